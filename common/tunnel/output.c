/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tunnel/impl.h"

/* From the frames to the bytes: batches, which stream they go to, and what is written of them. */

static bool
too_old(const struct tunnel *t, const struct batch *b, uint64_t now_us)
{
	return b->kind == BATCH_MEDIA && now_us - b->made_us > t->cfg.media_max_age_us;
}

static void
count_late(struct tunnel *t, const struct batch *b)
{
	struct wire_read r = wire_reader(b->body, b->len);
	struct frame f;

	t->stats.media_late_dropped += b->media_n;
	while (t->h.on_late != NULL && frame_next(&r, &f) == 0)
		t->h.on_late(t->arg, f.channel);
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
	for (size_t i = 0; i < t->streams_n[t->writes]; i++) {
		struct stream_writer *w = &t->streams[t->writes][i]->u.w;
		struct batch_queue kept = STAILQ_HEAD_INITIALIZER(kept);
		struct batch *b;

		while ((b = STAILQ_FIRST(&w->queue)) != NULL) {
			STAILQ_REMOVE_HEAD(&w->queue, next);
			if (!too_old(t, b, now_us)) {
				STAILQ_INSERT_TAIL(&kept, b, next);
				continue;
			}
			w->queued_bytes -= b->queued_len;
			w->queued_wanting_n--;
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
	return b->kind == BATCH_MEDIA || b->kind == BATCH_RELIABLE || b->kind == BATCH_PING;
}

/* Idle is a stream of which the peer has confirmed all that asks for it. */
static void
path_follows(struct stream_writer *w)
{
	bool idle = w->queued_wanting_n == 0 && w->acked_n >= w->wanting_n;

	w->path.outstanding = idle ? 0 : w->queued_bytes + w->sent_bytes - w->acked_bytes;
	if (idle)
		w->path.waiting_us = CLOCK_NEVER;
}

void
batch_give(struct tunnel_stream *s, struct batch *b, uint64_t now_us)
{
	struct stream_writer *w = &s->u.w;

	STAILQ_INSERT_TAIL(&w->queue, b, next);
	b->queued_len = b->len + 1;
	w->queued_bytes += b->queued_len;
	w->path.used_us = now_us;
	if (wanting(b)) {
		w->queued_wanting_n++;
		if (w->path.waiting_us == CLOCK_NEVER)
			w->path.waiting_us = now_us;
	}
	path_follows(w);
}

static struct tunnel_stream *
choose(struct tunnel *t, uint32_t avoid_serial, uint64_t now_us)
{
	enum tunnel_dir dir = t->writes;
	size_t avoid = SCHED_NONE, i;

	for (i = 0; avoid_serial != 0 && i < t->streams_n[dir]; i++)
		if (t->streams[dir][i]->serial == avoid_serial)
			avoid = i;
	i = sched_choose(t->paths, t->streams_n[dir], avoid, now_us);
	return i == SCHED_NONE ? NULL : t->streams[dir][i];
}

void
output_ping(struct tunnel *t, struct tunnel_stream *s, uint64_t now_us)
{
	struct batch *b;

	t->pinged_us = now_us;
	if (s == NULL)
		s = choose(t, 0, now_us);
	if (s == NULL)
		return;
	/* A stalled stream needs no pile of questions. */
	s->u.w.written_us = now_us;
	b = s->u.w.ping_queued ? NULL : batch_new(t, BATCH_PING, now_us);
	if (b == NULL)
		return;
	s->u.w.ping_queued = true;
	batch_give(s, b, now_us);
}

void
output_acked(struct tunnel *t, struct tunnel_stream *s, uint64_t batches_n, uint64_t now_us)
{
	struct stream_writer *w = &s->u.w;

	if (batches_n <= w->acked_n)
		return;
	if (w->sent_n - batches_n < MARKS_N)
		w->acked_bytes = w->marks[batches_n % MARKS_N];
	w->acked_n = batches_n;
	w->path.waiting_us = now_us;
	w->path.heard_us = now_us;
	path_follows(w);
	stream_heard(t, s, now_us);
}

/* -- The flush: batches get their streams -- */

bool
output_elsewhere(const struct tunnel *t, uint32_t serial)
{
	for (size_t i = 0; i < t->streams_n[t->writes]; i++)
		if (stream_usable(t->streams[t->writes][i]) &&
		    t->streams[t->writes][i]->serial != serial)
			return true;
	return false;
}

static void
flush_media(struct tunnel *t, uint64_t now_us)
{
	struct batch *b;

	if (t->gathering != NULL) {
		STAILQ_INSERT_TAIL(&t->closed, t->gathering, next);
		t->gathering = NULL;
	}
	while ((b = STAILQ_FIRST(&t->closed)) != NULL) {
		struct tunnel_stream *s = choose(t, 0, now_us);

		STAILQ_REMOVE_HEAD(&t->closed, next);
		if (s != NULL) {
			batch_give(s, b, now_us);
			continue;
		}
		t->stats.media_down_dropped += b->media_n;
		batch_free(t, b);
	}
}

static struct frame
fragment_frame(const struct reliable_fragment *f)
{
	return (struct frame){ .type = FRAME_RELIABLE,
		.number = f->number,
		.bits = f->bits,
		.kind = f->kind,
		.data = f->data,
		.data_len = f->len };
}

/* Fills b with fragments behind `after`; returns the last one that went in. */
static struct reliable_fragment *
fill_reliable(struct tunnel *t, struct batch *b, struct reliable_fragment *f, uint32_t serial,
    uint64_t now_us)
{
	struct wire_write w = wire_writer(b->body, FRAME_BODY_FILL);
	struct reliable_fragment *last = NULL;

	for (; f != NULL; f = reliable_tx_next(&t->tx, last)) {
		struct frame frame = fragment_frame(f);

		frame_put(&w, &frame);
		if (w.bad)
			break;
		b->len = w.used;
		t->stats.reliable_sent++;
		t->stats.reliable_resent += f->last_serial != 0;
		reliable_tx_sent(&t->tx, f, serial, now_us);
		last = f;
	}
	return last;
}

static void
flush_reliable(struct tunnel *t, uint64_t now_us)
{
	struct reliable_fragment *f, *last = NULL;

	while ((f = reliable_tx_next(&t->tx, last)) != NULL) {
		struct tunnel_stream *s = choose(t, f->last_serial, now_us);
		struct batch *b;

		if (s == NULL)
			return;
		b = batch_new(t, BATCH_RELIABLE, now_us);
		if (b == NULL)
			return;
		last = fill_reliable(t, b, f, s->serial, now_us);
		batch_give(s, b, now_us);
	}
}

static void
flush_acks(struct tunnel *t, uint64_t now_us)
{
	struct tunnel_stream *s;
	struct batch *b;

	if (t->ack_us > now_us || t->ack_queued)
		return;
	s = choose(t, 0, now_us);
	b = s == NULL ? NULL : batch_new(t, BATCH_ACK, now_us);
	if (b == NULL)
		return;
	t->ack_queued = true;
	batch_give(s, b, now_us);
}

static void
wake(struct tunnel *t)
{
	for (size_t i = 0; i < t->streams_n[t->writes]; i++) {
		struct tunnel_stream *s = t->streams[t->writes][i];

		if (s->u.w.paused && s->phase != STREAM_ABORTED && !STAILQ_EMPTY(&s->u.w.queue)) {
			s->u.w.paused = false;
			t->h.on_wake(t->arg, s);
		}
	}
}

void
output_flush(struct tunnel *t, uint64_t now_us)
{
	flush_media(t, now_us);
	flush_reliable(t, now_us);
	flush_acks(t, now_us);
	wake(t);
}

/* -- The output: the bytes of a stream -- */

/* Acknowledgements of what came and was not yet acknowledged, in turn when there are many. */
static void
collect_acks(struct tunnel *t, struct frame_header *h)
{
	enum tunnel_dir reads = t->writes == TUNNEL_UP ? TUNNEL_DOWN : TUNNEL_UP;
	size_t n = t->streams_n[reads];
	bool more = false;

	for (size_t i = 0; i < n; i++) {
		struct tunnel_stream *s = t->streams[reads][(t->ack_turn + i) % n];

		if (s->u.r.batches_n == s->u.r.told_n)
			continue;
		if (h->acks_n == FRAME_ACKS_MAX) {
			more = true;
			t->ack_turn = (t->ack_turn + i) % n;
			break;
		}
		h->acks[h->acks_n++] = (struct frame_ack){ s->serial, s->u.r.batches_n };
		s->u.r.told_n = s->u.r.batches_n;
	}
	if (!more) {
		t->ack_us = CLOCK_NEVER;
		t->wanting_n = 0;
	}
}

static void
fill_header(struct tunnel *t, const struct batch *b, struct frame_header *h)
{
	*h = (struct frame_header){ .busy = t->busy };
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

	if (b->kind == BATCH_MEDIA || b->kind == BATCH_RELIABLE)
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
	if (!too_old(t, b, now_us))
		return false;
	count_late(t, b);
	return true;
}

static size_t
write_batch(struct tunnel *t, struct tunnel_stream *s, struct batch *b, uint8_t *out,
    uint64_t now_us)
{
	struct stream_writer *w = &s->u.w;
	struct frame_header h;
	size_t n;

	fill_late(t, b, now_us);
	fill_header(t, b, &h);
	n = frame_header_put(&h, b->len, out);
	memcpy(out + n, b->body, b->len);
	n += b->len;
	w->written_us = now_us;
	w->sent_n++;
	w->sent_bytes += n;
	w->marks[w->sent_n % MARKS_N] = w->sent_bytes;
	if (wanting(b))
		w->wanting_n = w->sent_n;
	t->stats.batches_sent++;
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
	w->queued_bytes -= b->queued_len;
	w->queued_wanting_n -= wanting(b);
	w->ping_queued &= b->kind != BATCH_PING;
	if (!pointless(t, b, now_us))
		n = write_batch(t, s, b, out, now_us);
	if (b->kind == BATCH_END) {
		s->phase = STREAM_ENDED;
		s->ending_us = now_us;
	}
	batch_free(t, b);
	path_follows(w);
	return n;
}

static size_t
room_needed(const struct batch *b)
{
	/* PING, ACK and END are written at the last moment, and short. */
	return FRAME_HEADER_MAX + (b->len < 64 ? 64 : b->len);
}

long
tunnel_output(struct tunnel *t, struct tunnel_stream *s, uint8_t *out, size_t cap, uint64_t now_us)
{
	struct stream_writer *w = &s->u.w;
	size_t used = 0;
	struct batch *b;

	if (s->phase == STREAM_ENDED)
		return TUNNEL_OUTPUT_END;
	if (s->phase == STREAM_ABORTED)
		return 0;
	if (!w->preamble_sent) {
		frame_preamble_put(s->dir, s->serial, out);
		used = FRAME_PREAMBLE_LEN;
		w->preamble_sent = true;
	}
	while ((b = STAILQ_FIRST(&w->queue)) != NULL && cap - used >= room_needed(b))
		used += output_batch(t, s, out + used, now_us);
	s->bytes += used;
	t->stats.bytes_sent += used;
	if (s->bytes >= s->rotate_bytes && !s->due)
		s->due = t->changed = true;
	w->paused = used == 0 && s->phase != STREAM_ENDED;
	return used == 0 && s->phase == STREAM_ENDED ? TUNNEL_OUTPUT_END : (long)used;
}
