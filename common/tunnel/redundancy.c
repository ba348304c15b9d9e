/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "tunnel/impl.h"

/*
 * What is sent besides voice so that a lost segment is not heard. Which kind depends on what the
 * peer hears, on the round trip and on the number of calls; none at all while the line is full, for
 * then it would take the place of voice.
 */

#define RESEND_HOLD_US (8 * CLOCK_MS)
#define RESEND_MAX_US (45 * CLOCK_MS) /* what comes again later than that is hardly in time */
#define RESEND_KEEP_US (60 * CLOCK_S)
#define DISTANT_US (40 * CLOCK_MS)
#define GROUP_US (30 * CLOCK_MS)
#define MANY_FRAMES_PER_S 9000 /* 200 calls, less a little */

/* -- Which -- */

static uint64_t
resend_us(const struct tunnel *t)
{
	uint64_t srtt_us = output_srtt_us(t);

	return srtt_us + srtt_us / 8 + RESEND_HOLD_US;
}

/* What the cap of the bandwidth leaves beside voice would not hold it. */
static bool
capped(const struct tunnel *t)
{
	uint64_t max = t->cfg.bandwidth_max_bps;

	return max != 0 && t->rate.bits_per_s > 0.9 * (double)max;
}

enum tunnel_redundancy
redundancy_now(const struct tunnel *t, uint64_t now_us)
{
	unsigned level = output_level(t, now_us);
	/* Datagrams are not acknowledged one by one, and not worth staying with when misses come in runs. */
	bool acknowledged = !datapath_alone(t, now_us);

	/* What is repeated in time is not missed: the level alone would let go of it each time. */
	if (level == 0 &&
	    (t->lossy_us == 0 || now_us - t->lossy_us > RESEND_KEEP_US ||
		resend_us(t) >= RESEND_MAX_US || !acknowledged))
		return TUNNEL_REDUNDANCY_NONE;
	if (!guard_spare(&t->guard, now_us) || capped(t) || poll_starved(t, now_us))
		return TUNNEL_REDUNDANCY_NONE;
	if (acknowledged && resend_us(t) < RESEND_MAX_US)
		return TUNNEL_REDUNDANCY_RESEND;
	if (acknowledged && (t->report & REPORT_RUNS))
		return TUNNEL_REDUNDANCY_DISTANT;
	if (output_thin(t))
		return level == 1 ? TUNNEL_REDUNDANCY_REPEAT_1 : TUNNEL_REDUNDANCY_REPEAT_2;
	return level == 1 ? TUNNEL_REDUNDANCY_PARITY_1 : TUNNEL_REDUNDANCY_PARITY_2;
}

/* -- The frames of the batch before once more -- */

static void
remember(struct tunnel *t, const struct batch *b)
{
	t->recent[1] = t->recent[0];
	t->recent[0].media_n = 0;
	if (b->len > sizeof(t->recent[0].body))
		return;
	t->recent[0].base = b->media_base;
	t->recent[0].media_n = b->media_n;
	t->recent[0].len = b->len;
	memcpy(t->recent[0].body, b->body, b->len);
}

static void
repeat(struct tunnel *t, struct batch *b, const struct recent *r, size_t max)
{
	struct wire_read body = wire_reader(r->body, r->len);
	struct frame f;

	for (uint32_t i = 0; i < r->media_n && frame_next(&body, &f) == 0; i++) {
		uint32_t back = (b->media_base - r->base - i) & FRAME_MEDIA_MASK;

		if (back > UINT8_MAX || b->len + frame_repeat_len(f.channel, f.data_len) > max)
			return;
		b->len += frame_repeat_put((uint8_t)back, f.channel, f.data, f.data_len,
		    b->body + b->len);
		t->stats.media_repeated++;
	}
}

void
redundancy_fill(struct tunnel *t, struct batch *b, uint64_t now_us)
{
	enum tunnel_redundancy now = redundancy_now(t, now_us);
	size_t max = datapath_fill(t, now_us);
	struct recent before[2];

	if (!output_thin(t)) {
		t->recent[0].media_n = t->recent[1].media_n = 0;
		return;
	}
	memcpy(before, t->recent, sizeof(before));
	remember(t, b);
	if (now == TUNNEL_REDUNDANCY_REPEAT_1 || now == TUNNEL_REDUNDANCY_REPEAT_2)
		repeat(t, b, &before[0], max);
	if (now == TUNNEL_REDUNDANCY_REPEAT_2)
		repeat(t, b, &before[1], max);
}

/* -- Sums over groups -- */

static unsigned
group_size(const struct tunnel *t)
{
	bool many = t->rate.frames_per_s >= MANY_FRAMES_PER_S;

	if (t->parity.rows_n == 1)
		return many ? 8 : 6;
	return many ? 6 : 5;
}

static void
send_sum(struct tunnel *t, unsigned row, uint64_t now_us)
{
	enum datapath_route route = datapath_route(t, now_us);
	struct batch *b = batch_new(t, BATCH_PARITY, now_us);
	struct tunnel_stream *s;
	struct wire_write w;
	struct frame f;

	if (b == NULL)
		return;
	parity_frame(&t->parity, row, &f);
	w = wire_writer(b->body, sizeof(b->body));
	frame_put(&w, &f);
	b->len = w.used;
	t->rate.batches_n++;
	t->stats.parity_sent++;
	if (route != DATAPATH_STREAM && datapath_give(t, b, now_us)) {
		batch_free(t, b);
		return;
	}
	s = output_choose(t, 0, now_us);
	if (s != NULL)
		batch_give(t, s, b, now_us);
	else
		batch_free(t, b);
}

static void
close_group(struct tunnel *t, uint64_t now_us)
{
	if (t->parity.batches_n >= FRAME_GROUP_MIN)
		for (unsigned row = 0; row < t->parity.rows_n; row++)
			send_sum(t, row, now_us);
	t->parity.batches_n = 0;
}

static uint64_t
group_due_us(const struct tunnel *t)
{
	return t->parity.batches_n < FRAME_GROUP_MIN ? CLOCK_NEVER : t->group_us + GROUP_US;
}

static void
add_to_group(struct tunnel *t, const struct batch *b, unsigned rows_n, uint64_t now_us)
{
	if (t->parity.batches_n == 0) {
		parity_start(&t->parity, rows_n);
		t->group_us = now_us;
	}
	if (parity_add(&t->parity, b->media_base, b->media_n, b->body, b->len) < 0) {
		close_group(t, now_us);
		return;
	}
	if (t->parity.batches_n >= group_size(t) || group_due_us(t) <= now_us)
		close_group(t, now_us);
}

void
redundancy_given(struct tunnel *t, const struct batch *b, uint64_t now_us)
{
	enum tunnel_redundancy now = redundancy_now(t, now_us);

	if (now == TUNNEL_REDUNDANCY_PARITY_1 || now == TUNNEL_REDUNDANCY_PARITY_2)
		add_to_group(t, b, now == TUNNEL_REDUNDANCY_PARITY_1 ? 1 : 2, now_us);
	else if (t->parity.batches_n > 0)
		close_group(t, now_us);
}

/* -- Whole batches once more -- */

bool
redundancy_keep(struct tunnel *t, const struct tunnel_stream *s, struct batch *b, uint64_t now_us)
{
	enum tunnel_redundancy now = redundancy_now(t, now_us);

	if (b->kind != BATCH_MEDIA || b->again ||
	    (now != TUNNEL_REDUNDANCY_RESEND && now != TUNNEL_REDUNDANCY_DISTANT))
		return false;
	b->serial = s->serial;
	b->sent_n = s->u.w.sent_n;
	b->due_us = now_us + (now == TUNNEL_REDUNDANCY_RESEND ? resend_us(t) : DISTANT_US);
	STAILQ_INSERT_TAIL(&t->kept, b, next);
	return true;
}

static bool
acknowledged(struct tunnel *t, const struct batch *b)
{
	const struct tunnel_stream *s = stream_find(t, t->writes, b->serial);

	return s != NULL && s->u.w.acked_n >= b->sent_n;
}

static void
send_again(struct tunnel *t, struct batch *b, uint64_t now_us)
{
	enum tunnel_redundancy now = redundancy_now(t, now_us);
	struct tunnel_stream *s = NULL;

	if (now == TUNNEL_REDUNDANCY_RESEND || now == TUNNEL_REDUNDANCY_DISTANT)
		s = output_choose(t, b->serial, now_us);
	if (s == NULL || s->serial == b->serial || acknowledged(t, b)) {
		batch_free(t, b);
		return;
	}
	b->again = true;
	t->rate.batches_n++;
	t->stats.media_resent += b->media_n;
	batch_give(t, s, b, now_us);
}

uint64_t
redundancy_due_us(const struct tunnel *t)
{
	const struct batch *b = STAILQ_FIRST(&t->kept);
	uint64_t due = group_due_us(t);

	return b != NULL && b->due_us < due ? b->due_us : due;
}

void
redundancy_run(struct tunnel *t, uint64_t now_us)
{
	struct batch *b;

	if (group_due_us(t) <= now_us)
		close_group(t, now_us);
	while ((b = STAILQ_FIRST(&t->kept)) != NULL && b->due_us <= now_us) {
		STAILQ_REMOVE_HEAD(&t->kept, next);
		send_again(t, b, now_us);
	}
}
