/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tunnel/impl.h"

/* From the batches to the bytes: what waits at a stream, what is written of it, what the peer has. */

static bool
voice(const struct batch *b)
{
	return b->kind == BATCH_MEDIA || b->kind == BATCH_PARITY;
}

bool
output_too_old(const struct tunnel *t, const struct batch *b, uint64_t now_us)
{
	return voice(b) && now_us - b->made_us > t->cfg.media_max_age_us;
}

static void
count_late(struct tunnel *t, const struct batch *b)
{
	struct wire_read r = wire_reader(b->body, b->len);
	struct frame f;

	if (b->again || b->kind == BATCH_PARITY)
		return;
	t->stats.media_late_dropped += b->media_n;
	while (t->h.on_late != NULL && frame_next(&r, &f) == 0)
		if (f.type == FRAME_MEDIA)
			t->h.on_late(t->arg, f.channel);
}

void
output_drop_waiting(struct tunnel *t, uint64_t now_us)
{
	struct batch *b;

	while ((b = STAILQ_FIRST(&t->closed)) != NULL && output_too_old(t, b, now_us)) {
		STAILQ_REMOVE_HEAD(&t->closed, next);
		count_late(t, b);
		batch_free(t, b);
	}
}

/*
 * Voice that is too old waits only to be dropped when its stream moves again; but when that takes
 * up all the room there is, what is still young would be refused.
 */
static void
drop_old(struct tunnel *t, uint64_t now_us)
{
	if (now_us - t->swept_us < SWEEP_US)
		return;
	t->swept_us = now_us;
	output_drop_waiting(t, now_us);
	for (size_t i = 0; i < t->streams_n[t->writes]; i++) {
		struct stream_writer *w = &t->streams[t->writes][i]->u.w;
		struct batch_queue kept = STAILQ_HEAD_INITIALIZER(kept);
		struct batch *b;

		while ((b = STAILQ_FIRST(&w->queue)) != NULL) {
			STAILQ_REMOVE_HEAD(&w->queue, next);
			if (!output_too_old(t, b, now_us)) {
				STAILQ_INSERT_TAIL(&kept, b, next);
				continue;
			}
			w->queued_wanting_n--;
			w->queued_voice_n -= voice(b);
			count_late(t, b);
			batch_free(t, b);
		}
		STAILQ_CONCAT(&w->queue, &kept);
	}
}

struct batch *
batch_new(struct tunnel *t, enum batch_kind kind, uint64_t now_us)
{
	struct batch *b;

	if (STAILQ_EMPTY(&t->pool) && t->batches_n == BATCHES_MAX)
		drop_old(t, now_us);
	b = STAILQ_FIRST(&t->pool);
	if (b != NULL) {
		STAILQ_REMOVE_HEAD(&t->pool, next);
		t->pool_n--;
	} else if (t->batches_n < BATCHES_MAX) {
		b = mem_alloc(sizeof(*b));
		t->batches_n++;
	} else {
		return NULL;
	}
	b->kind = kind;
	b->made_us = now_us;
	b->media_n = 0;
	b->numbered = b->again = false;
	b->len = 0;
	return b;
}

void
batch_free(struct tunnel *t, struct batch *b)
{
	if (b->kind == BATCH_ACK)
		t->ack_queued = false;
	/* What a stall made us take is given back after it. */
	if (t->pool_n >= POOL_MAX) {
		t->batches_n--;
		mem_free(b);
		return;
	}
	STAILQ_INSERT_HEAD(&t->pool, b, next);
	t->pool_n++;
}

static bool
wanting(const struct batch *b)
{
	return b->kind != BATCH_ACK && b->kind != BATCH_END;
}

/* When the oldest batch that waits for an acknowledgement was given to the stream. */
static uint64_t
oldest_us(const struct stream_writer *w)
{
	const struct batch *b;

	if (w->acked_wanting_n < w->sent_wanting_n) {
		uint64_t i = w->acked_n + 1;

		if (w->sent_n - w->acked_n >= MARKS_N)
			return 0;
		while (w->marks[i % MARKS_N].wanting_n <= w->acked_wanting_n)
			i++;
		return w->marks[i % MARKS_N].wanting_us;
	}
	STAILQ_FOREACH(b, &w->queue, next)
		if (wanting(b))
			return b->given_us;
	return CLOCK_NEVER;
}

/* Idle is a stream of which the peer has confirmed all that asks for it. */
static void
path_follows(struct stream_writer *w)
{
	w->path.outstanding = w->queued_wanting_n + (w->sent_wanting_n - w->acked_wanting_n);
	w->path.oldest_us = w->path.outstanding == 0 ? CLOCK_NEVER : oldest_us(w);
	if (w->path.outstanding == 0)
		w->path.waiting_us = CLOCK_NEVER;
}

void
batch_give(struct tunnel *t, struct tunnel_stream *s, struct batch *b, uint64_t now_us)
{
	struct stream_writer *w = &s->u.w;

	STAILQ_INSERT_TAIL(&w->queue, b, next);
	b->given_us = now_us;
	w->path.used_us = now_us;
	if (wanting(b)) {
		w->queued_wanting_n++;
		if (voice(b)) {
			w->queued_voice_n++;
			w->path.half = !sched_half(&w->path, now_us);
			w->path.voice_us = now_us;
		}
		if (w->path.waiting_us == CLOCK_NEVER)
			w->path.waiting_us = now_us;
		if (w->path.outstanding++ == 0)
			w->path.oldest_us = now_us;
		duty_soon(t, now_us + DUTY_US);
	}
	if (s->bounded)
		poll_given(t, s, b);
}

void
output_ping(struct tunnel *t, struct tunnel_stream *s, uint64_t now_us)
{
	struct batch *b;

	t->pinged_us = now_us;
	if (s == NULL)
		s = output_choose(t, 0, now_us);
	if (s == NULL)
		return;
	/* A stalled stream needs no pile of questions. */
	s->u.w.written_us = now_us;
	b = s->u.w.ping_queued ? NULL : batch_new(t, BATCH_PING, now_us);
	if (b == NULL)
		return;
	s->u.w.ping_queued = true;
	batch_give(t, s, b, now_us);
}

void
output_acked(struct tunnel *t, struct tunnel_stream *s, uint64_t batches_n, uint64_t now_us)
{
	struct stream_writer *w = &s->u.w;
	const struct mark *m = &w->marks[batches_n % MARKS_N];

	if (batches_n <= w->acked_n)
		return;
	/* All on one stream comes in order, however late: the peer's meter sees no gap. */
	if (sched_late(&w->path, sched_patience_us(output_srtt_us(t)) + HELD_US, now_us))
		t->held_us = now_us;
	w->acked_n = batches_n;
	if (w->sent_n - batches_n < MARKS_N && m->wanting_n > w->acked_wanting_n) {
		bool alone = m->wanting_n == w->acked_wanting_n + 1;

		w->acked_wanting_n = m->wanting_n;
		w->acked_voice_n = m->voice_n;
		guard_sample(&t->guard, now_us - m->wanting_us, alone, now_us);
		/* What went out before may have come before the silence. */
		if (m->wanting_us > t->doubted_us)
			w->path.doubted = false;
	}
	w->path.waiting_us = now_us;
	w->path.heard_us = now_us;
	path_follows(w);
	stream_heard(t, s, now_us);
}

/* -- The output: the bytes of a stream -- */

static bool
lossy(const struct tunnel *t)
{
	return input_reported_level(t) > 0;
}

static bool
told_here(const struct frame_header *h, uint32_t serial)
{
	for (size_t i = 0; i < h->acks_n; i++)
		if (h->acks[i].serial == serial)
			return true;
	return false;
}

/* Adds what was not told yet, or what is to be told once more, in turn when it is much; false: there was
 * no room for all. */
static bool
collect(struct tunnel *t, struct frame_header *h, bool repeated)
{
	enum tunnel_dir reads = t->writes == TUNNEL_UP ? TUNNEL_DOWN : TUNNEL_UP;
	size_t n = t->streams_n[reads];

	for (size_t i = 0; i < n; i++) {
		struct tunnel_stream *s = t->streams[reads][(t->ack_turn + i) % n];
		struct stream_reader *r = &s->u.r;
		bool news = r->batches_n != r->told_n;

		if (repeated ? news || r->tellings_n == 0 || told_here(h, s->serial) : !news)
			continue;
		if (h->acks_n == FRAME_ACKS_MAX) {
			t->ack_turn = (t->ack_turn + i) % n;
			return false;
		}
		h->acks[h->acks_n++] = (struct frame_ack){ s->serial, r->batches_n };
		r->tellings_n = repeated ? r->tellings_n - 1 : ACK_TELLINGS - 1;
		r->told_n = r->batches_n;
	}
	return true;
}

/*
 * Acknowledgements of what came. On a line with losses each is told three times, for the batch that
 * carries it may be late; what has not been told yet goes first.
 */
static void
collect_acks(struct tunnel *t, struct frame_header *h)
{
	if (!collect(t, h, false))
		return;
	t->ack_us = CLOCK_NEVER;
	t->wanting_n = 0;
	if (lossy(t))
		collect(t, h, true);
}

uint8_t
output_report(const struct tunnel *t, uint64_t now_us)
{
	unsigned r = input_heard_level(t, now_us);

	if (input_heard_runs(t, now_us))
		r |= REPORT_RUNS;
	if (guard_congested(&t->guard, now_us))
		r |= REPORT_CONGESTED;
	return (uint8_t)(r | redundancy_now(t, now_us) << REPORT_REDUNDANCY_SHIFT);
}

static void
fill_header(struct tunnel *t, const struct batch *b, struct frame_header *h, uint64_t now_us)
{
	*h = (struct frame_header){ .busy = t->busy, .report = output_report(t, now_us) };
	collect_acks(t, h);
	h->has_reliable = t->reliable_news;
	h->reliable_next = t->rx.next;
	t->reliable_news = false;
	h->has_media = b->kind == BATCH_MEDIA;
	h->media_base = b->media_base;
}

/* The frames of those batches that tell the time or the state of this very moment. */
static void
fill_late(struct tunnel *t, struct batch *b, uint64_t now_us)
{
	struct wire_write w = wire_writer(b->body, FRAME_BODY_FILL);

	if (b->kind == BATCH_MEDIA || b->kind == BATCH_RELIABLE || b->kind == BATCH_PARITY)
		return;
	if (b->kind == BATCH_PING)
		frame_put(&w,
		    &(struct frame){ .type = FRAME_PING,
			.stamp = (uint32_t)now_us,
			.srtt_us = (uint32_t)t->srtt_us });
	if (t->pong_owed)
		frame_put(&w, &(struct frame){ .type = FRAME_PONG, .stamp = t->pong_stamp });
	t->pong_owed = false;
	if (b->kind == BATCH_END)
		frame_put(&w, &(struct frame){ .type = FRAME_END });
	b->len = w.used;
}

/* Nothing in it is worth sending: voice is too old, or another batch took the acknowledgements. */
static bool
pointless(struct tunnel *t, const struct batch *b, uint64_t now_us)
{
	if (b->kind == BATCH_ACK)
		return t->ack_us == CLOCK_NEVER && !t->pong_owed;
	if (!output_too_old(t, b, now_us))
		return false;
	count_late(t, b);
	return true;
}

static void
note_sent(struct stream_writer *w, const struct batch *b, uint64_t now_us)
{
	struct mark m = w->marks[w->sent_n % MARKS_N];

	if (wanting(b)) {
		m.wanting_n = ++w->sent_wanting_n;
		m.wanting_us = now_us;
	}
	if (voice(b))
		m.voice_n = ++w->sent_voice_n;
	w->marks[++w->sent_n % MARKS_N] = m;
}

/* A batch of n bytes, its length in front, which stays in the clear. */
static void
seal(struct tunnel_stream *s, uint8_t *batch, size_t n)
{
	struct cipher_message m = {
		.number = s->u.w.sent_n + 1, .ad = batch, .ad_len = FRAME_LENGTH_FIELD
	};

	cipher_seal(s->cipher, &m, batch + FRAME_LENGTH_FIELD, n - FRAME_LENGTH_FIELD);
}

size_t
output_write(struct tunnel *t, struct tunnel_stream *s, struct batch *b, uint8_t *out,
    uint64_t now_us)
{
	struct stream_writer *w = &s->u.w;
	size_t tag_len = cipher_tag_len(s->cipher), n;
	struct frame_header h;

	fill_late(t, b, now_us);
	fill_header(t, b, &h, now_us);
	n = frame_header_put(&h, b->len + tag_len, out);
	memcpy(out + n, b->body, b->len);
	n += b->len;
	seal(s, out, n);
	n += tag_len;
	w->written_us = now_us;
	note_sent(w, b, now_us);
	if (s->bounded)
		poll_wrote(t, s, wanting(b), now_us);
	if (b->kind == BATCH_PING && t->asked_us == CLOCK_NEVER)
		t->asked_us = now_us;
	t->stats.batches_sent++;
	if (!b->again)
		t->stats.media_sent += b->media_n;
	return n;
}

/* Takes the first batch off the queue; 0 when it was not worth being sent. */
static size_t
output_batch(struct tunnel *t, struct tunnel_stream *s, uint8_t *out, uint64_t now_us)
{
	struct stream_writer *w = &s->u.w;
	struct batch *b = STAILQ_FIRST(&w->queue);
	size_t n = 0;

	STAILQ_REMOVE_HEAD(&w->queue, next);
	w->queued_wanting_n -= wanting(b);
	w->queued_voice_n -= voice(b);
	w->ping_queued &= b->kind != BATCH_PING;
	if (!pointless(t, b, now_us))
		n = output_write(t, s, b, out, now_us);
	if (b->kind == BATCH_END) {
		s->phase = STREAM_ENDED;
		s->ending_us = now_us;
	}
	if (n == 0 || !redundancy_keep(t, s, b, now_us))
		batch_free(t, b);
	path_follows(w);
	return n;
}

static size_t
room_needed(const struct batch *b)
{
	/* PING, ACK and END are written at the last moment, and short. */
	return FRAME_HEADER_MAX + (b->len < 64 ? 64 : b->len) + CIPHER_TAG_LEN;
}

long
tunnel_output(struct tunnel *t, struct tunnel_stream *s, uint8_t *out, size_t cap, uint64_t now_us)
{
	struct stream_writer *w = &s->u.w;
	size_t used = 0, begin = 0;
	struct batch *b;

	if (s->phase == STREAM_ENDED)
		return TUNNEL_OUTPUT_END;
	if (s->phase == STREAM_ABORTED)
		return 0;
	if (!w->preamble_sent) {
		frame_preamble_put(s->dir, s->serial, out);
		used = begin = FRAME_PREAMBLE_LEN;
		w->path.connected = true;
	}
	while ((b = STAILQ_FIRST(&w->queue)) != NULL && cap - used >= room_needed(b))
		used += output_batch(t, s, out + used, now_us);
	if (s->bounded) {
		w->release |= w->preamble_sent || used > begin;
		if (!w->release)
			used = 0; /* what it was woken for is not worth saying any more */
		else if (STAILQ_EMPTY(&w->queue) && cap - used >= POLL_END_MAX)
			used += poll_end(t, s, out + used, now_us);
	}
	w->preamble_sent |= used > 0;
	s->bytes += used;
	t->stats.bytes_sent += used;
	if (s->bytes >= s->rotate_bytes && !s->due)
		s->due = s->aged = t->changed = true;
	w->paused = used == 0 && s->phase != STREAM_ENDED;
	return used == 0 && s->phase == STREAM_ENDED ? TUNNEL_OUTPUT_END : (long)used;
}
