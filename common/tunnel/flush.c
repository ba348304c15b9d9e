/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "base/err.h"
#include "tunnel/impl.h"

/* From the frames to the streams: frames are gathered into batches, and batches given to streams. */

#define GATHER_US (5 * CLOCK_MS) /* so long a frame waits for company */
#define GATHER_ENOUGH (FRAME_BODY_FILL * 6 / 10)
#define SHORT_US (5 * CLOCK_MS) /* a round trip */
#define GATHER_FULL_US (8 * CLOCK_MS)
#define GATHER_THIN_US (21 * CLOCK_MS)
#define GATHER_POLL_US (10 * CLOCK_MS) /* each request costs a few hundred bytes more */
#define ALONE_FRAMES_PER_S 60          /* one call: there is nothing to wait for */
#define WAITED_US (15 * CLOCK_MS)      /* longer than that it was not for company */
#define WIRE_EXTRA 70    /* bytes of IP, TCP and HTTP around a batch, and a half acknowledgement */
#define WIRE_DATAGRAM 28 /* bytes of IP and UDP around a datagram */
#define RATE_US (250 * CLOCK_MS)
#define RATE_MIN_US (50 * CLOCK_MS)
#define RATE_OLD_US (2 * CLOCK_S)
#define THIN_FRAMES_PER_S 130 /* two calls with 20 ms packets, and their RTCP */
#define THIN_FRAMES_BLIND 30  /* before the rate is known */

/* -- The rate -- */

bool
output_thin(const struct tunnel *t)
{
	if (t->rate.frames_per_s > 0)
		return t->rate.frames_per_s <= THIN_FRAMES_PER_S;
	return t->rate.frames_n <= THIN_FRAMES_BLIND;
}

static double
mean_rate(double old, unsigned n, uint64_t span_us)
{
	double now = (double)n * CLOCK_S / (double)span_us;

	return old > 0 ? (old + now) / 2 : now;
}

/* What this end sent, with headers, nearly. */
static uint64_t
wire_bytes(const struct tunnel *t)
{
	return t->stats.bytes_sent + t->stats.batches_sent * WIRE_EXTRA -
	    t->stats.datagrams_sent * (WIRE_EXTRA - WIRE_DATAGRAM);
}

/* A frame after a long pause: what was known of the flow is of another one. */
static void
rate_begin(struct tunnel *t, uint64_t now_us)
{
	if (t->rate.since_us == 0 || now_us - t->rate.since_us > RATE_OLD_US)
		t->rate = (struct tunnel_rate){ .since_us = now_us, .bytes = wire_bytes(t) };
}

/*
 * The rate that the line is judged by. It follows at once where each batch goes twice from one moment
 * to the next; else the room would be that of the half, and the line seem full.
 */
static double
rate_now(const struct tunnel *t, uint64_t now_us)
{
	const struct tunnel_rate *r = &t->rate;
	uint64_t span_us = now_us - r->since_us;
	double now = span_us < RATE_MIN_US ? 0 : (double)r->batches_n * CLOCK_S / (double)span_us;

	if (r->batches_per_s <= 0 || (t->report & REPORT_RUNS) == 0)
		return r->batches_per_s;
	if (r->last_per_s > now)
		now = r->last_per_s;
	return r->batches_per_s > now ? r->batches_per_s : now;
}

static void
rate_follow(struct tunnel *t, uint64_t now_us)
{
	struct tunnel_rate *r = &t->rate;
	uint64_t span_us = now_us - r->since_us;

	if (span_us < RATE_US)
		return;
	r->last_per_s = (double)r->batches_n * CLOCK_S / (double)span_us;
	r->bits_per_s = (double)(wire_bytes(t) - r->bytes) * 8 * CLOCK_S / (double)span_us;
	r->batches_per_s = mean_rate(r->batches_per_s, r->batches_n, span_us);
	r->frames_per_s = mean_rate(r->frames_per_s, r->frames_n, span_us);
	r->behind_share = (double)r->behind_n / (r->batches_n == 0 ? 1 : r->batches_n);
	r->batches_n = r->frames_n = r->behind_n = 0;
	r->bytes = wire_bytes(t);
	r->since_us = now_us;
	demand_flow(t, now_us);
}

/* -- Gathering -- */

static void
close_gathering(struct tunnel *t)
{
	if (t->gathering != NULL)
		STAILQ_INSERT_TAIL(&t->closed, t->gathering, next);
	t->gathering = NULL;
}

/* The batch that has room for a frame of `len` bytes. */
static struct batch *
gather(struct tunnel *t, size_t len, uint64_t now_us)
{
	if (t->gathering != NULL && t->gathering->len + len > datapath_fill(t, now_us))
		close_gathering(t);
	if (t->gathering == NULL)
		t->gathering = batch_new(t, BATCH_MEDIA, now_us);
	return t->gathering;
}

int
tunnel_send_media(struct tunnel *t, uint32_t channel, const void *data, size_t n, uint64_t now_us)
{
	size_t len = frame_media_len(channel, n);
	struct batch *b;

	if (n > TUNNEL_MEDIA_MAX)
		return ERR_TOO_BIG;
	if (!t->writable && !poll_starves(t, now_us) && !datapath_used(t)) {
		t->stats.media_down_dropped++;
		return ERR_DOWN;
	}
	b = gather(t, len, now_us);
	if (b == NULL) {
		t->stats.media_full_dropped++;
		return ERR_FULL;
	}
	b->len += frame_media_put(channel, data, n, b->body + b->len);
	b->media_n++;
	if (t->rate.frames_n == 0)
		rate_begin(t, now_us);
	t->rate.frames_n++;
	/* Another like this one will not fit: nothing to wait for. */
	if (b->len + len > datapath_fill(t, now_us))
		close_gathering(t);
	return 0;
}

/* When the burst leaves that is gathered for a bounded stream: all that waits, in one request. */
static uint64_t
burst_us(const struct tunnel *t)
{
	const struct batch *first = STAILQ_FIRST(&t->closed);

	/* While all requests are under way what comes is gathered for the next one. */
	if (first == NULL)
		first = t->gathering;
	if (first == NULL || !t->writable)
		return CLOCK_NEVER;
	if (t->rate.frames_per_s <= ALONE_FRAMES_PER_S || poll_loaded(t) ||
	    (first != t->gathering && poll_spreads(t)))
		return 0;
	return first->made_us + GATHER_POLL_US;
}

/* Voice waits for requests, unless datagrams take it. */
static bool
polled(const struct tunnel *t)
{
	return poll_on(t, t->writes) && !datapath_used(t);
}

/*
 * When the batch that is gathered leaves. On a line that is full a segment more costs more than the
 * wait: then a thin flow waits for its next frame, and the others for a full batch.
 */
static uint64_t
gathered_us(const struct tunnel *t)
{
	bool thin = output_thin(t);

	if (polled(t))
		return burst_us(t);
	if (t->gathering == NULL)
		return CLOCK_NEVER;
	if (!guard_spare(&t->guard, t->gathering->made_us))
		return t->gathering->made_us + (thin ? GATHER_THIN_US : GATHER_FULL_US);
	/* On a short line the rest of a segment is not worth another turn of a busy loop. */
	if (output_srtt_us(t) < SHORT_US && t->gathering->len >= GATHER_ENOUGH)
		return 0;
	return thin ? 0 : t->gathering->made_us + GATHER_US;
}

uint64_t
output_due_us(const struct tunnel *t)
{
	uint64_t due = gathered_us(t), again_us = redundancy_due_us(t);
	uint64_t beside_us = datapath_due_us(t);

	if (again_us < due)
		due = again_us;
	if (beside_us < due)
		due = beside_us;
	if (!t->ack_queued && t->writable && t->ack_us < due)
		due = t->ack_us;
	return due;
}

/* -- Choosing -- */

uint64_t
output_srtt_us(const struct tunnel *t)
{
	return t->guard.srtt_us != 0 ? t->guard.srtt_us : t->srtt_us;
}

static struct tunnel_stream *
choose(struct tunnel *t, uint32_t avoid_serial, bool together, uint64_t now_us)
{
	enum tunnel_dir dir = t->writes;
	size_t avoid = SCHED_NONE, i;
	struct tunnel_stream *poll = poll_choose(t);

	if (poll != NULL)
		return poll;
	for (i = 0; avoid_serial != 0 && i < t->streams_n[dir]; i++)
		if (t->streams[dir][i]->serial == avoid_serial)
			avoid = i;
	i = sched_choose(t->paths, t->streams_n[dir],
	    &(struct sched_ask){ .avoid = avoid,
		.patience_us = sched_patience_us(output_srtt_us(t)),
		.together = together,
		.now_us = now_us });
	return i == SCHED_NONE ? NULL : t->streams[dir][i];
}

unsigned
output_level(const struct tunnel *t, uint64_t now_us)
{
	unsigned level = input_reported_level(t);

	if (level == 0 && output_thin(t) && t->held_us != 0 && now_us - t->held_us < HELD_FOR_US)
		return 1;
	return level;
}

struct tunnel_stream *
output_choose(struct tunnel *t, uint32_t avoid_serial, uint64_t now_us)
{
	return choose(t, avoid_serial, false, now_us);
}

bool
output_elsewhere(const struct tunnel *t, uint32_t serial)
{
	for (size_t i = 0; i < t->streams_n[t->writes]; i++)
		if (stream_usable(t->streams[t->writes][i]) &&
		    t->streams[t->writes][i]->serial != serial)
			return true;
	return poll_on(t, t->writes);
}

/* There is a stream that was opened, or heard of, since all were doubted. */
static bool
any_trusted(const struct tunnel *t)
{
	for (size_t i = 0; i < t->streams_n[t->writes]; i++)
		if (t->paths[i]->open && t->paths[i]->connected && !t->paths[i]->doubted)
			return true;
	return false;
}

/*
 * Batches of voice that may still wait in the line: a line keeps their order, so what went out before
 * one that has come is lost, and only its repetition is on its way. What doubted streams have is taken
 * for lost as soon as there are others.
 */
static size_t
in_flight(const struct tunnel *t, uint64_t now_us)
{
	uint64_t patience_us = sched_patience_us(output_srtt_us(t));
	bool trusted = any_trusted(t);
	size_t n = datapath_in_flight(t);

	for (size_t i = 0; i < t->streams_n[t->writes]; i++) {
		const struct stream_writer *w = &t->streams[t->writes][i]->u.w;
		uint64_t voice_n = w->sent_voice_n;

		if (sched_stalled(&w->path, patience_us, now_us) || (trusted && w->path.doubted))
			continue;
		n += w->queued_voice_n;
		for (uint64_t k = w->sent_n; k > w->acked_n && w->sent_n - k < MARKS_N - 1 &&
		     w->marks[k % MARKS_N].wanting_us > guard_newest_us(&t->guard);
		     k--)
			voice_n = w->marks[(k - 1) % MARKS_N].voice_n;
		n += w->sent_voice_n - (voice_n > w->acked_voice_n ? voice_n : w->acked_voice_n);
	}
	return n;
}

/* -- Handing over -- */

static void
drop(struct tunnel *t, struct batch *b, uint64_t *counter)
{
	*counter += b->media_n;
	batch_free(t, b);
}

/* Only now, so that what was dropped before leaves no gap that the peer would take for a loss. */
static void
number(struct tunnel *t, struct batch *b)
{
	if (b->numbered)
		return;
	b->numbered = true;
	b->media_base = t->media_next;
	t->media_next = (t->media_next + b->media_n) & FRAME_MEDIA_MASK;
}

/* The cap of the bandwidth, by a token bucket of a tenth of a second. */
static bool
affordable(struct tunnel *t, const struct batch *b, uint64_t now_us)
{
	double max = (double)t->cfg.bandwidth_max_bps;

	if (t->cfg.bandwidth_max_bps == 0)
		return true;
	t->tokens += max * (double)(now_us - t->tokens_us) / CLOCK_S;
	t->tokens_us = now_us;
	if (t->tokens > max / 10)
		t->tokens = max / 10;
	if (t->tokens < 0)
		return false;
	t->tokens -= (double)(b->len + WIRE_EXTRA + CIPHER_TAG_LEN) * 8;
	return true;
}

/*
 * Nothing is acknowledged any more, on no stream: those that are idle look best and may be as dead as the
 * others. One that is opened now, or that is heard of again, goes before them.
 */
static void
doubt_all(struct tunnel *t, uint64_t now_us)
{
	/* Streams that only stand by for datagrams are silent by nature. */
	if (now_us - t->voice_us > VOICE_PAUSE_US || t->doubted_us > t->heard_us[t->writes] ||
	    !demand_silent(t, t->writes, now_us))
		return;
	t->doubted_us = now_us;
	for (size_t i = 0; i < t->streams_n[t->writes]; i++)
		t->paths[i]->doubted = t->paths[i]->heard_us != 0;
}

static void
note_wait(struct tunnel *t, const struct batch *b, uint64_t now_us)
{
	if (now_us - b->made_us <= WAITED_US)
		return;
	t->rate.behind_n++;
	t->polls[t->writes].starved_us = now_us;
}

static void
give_stream(struct tunnel *t, struct tunnel_stream *s, struct batch *b, uint64_t now_us)
{
	if (s->bounded)
		note_wait(t, b, now_us);
	else
		t->rate.behind_n += s->u.w.path.outstanding > 0;
	batch_give(t, s, b, now_us);
}

/*
 * A numbered batch leaves, by a datagram, by a stream (which may be NULL), or by both; fresh: for the
 * first time.
 */
static void
leave(struct tunnel *t, struct batch *b, struct tunnel_stream *s, enum datapath_route route,
    bool fresh, uint64_t now_us)
{
	bool gone = route != DATAPATH_STREAM && datapath_give(t, b, now_us);

	/* Grown too long for a datagram. */
	if (!gone && s == NULL)
		s = output_choose(t, 0, now_us);
	if (gone && s != NULL) {
		b->again = true;
		t->stats.media_doubled += b->media_n;
		t->rate.batches_n++;
	}
	if (s != NULL)
		give_stream(t, s, b, now_us);
	if (fresh)
		redundancy_given(t, b, now_us);
	if (s == NULL && gone)
		batch_free(t, b);
	else if (s == NULL)
		drop(t, b, &t->stats.media_down_dropped);
}

static void
hand_over(struct tunnel *t, struct batch *b, size_t *flying, uint64_t now_us)
{
	enum datapath_route route = datapath_route(t, now_us);
	struct tunnel_stream *s = NULL;
	bool fresh; /* not saved from a stream that is gone */

	/* What is offered counts: else what was dropped would take its room along. */
	t->rate.batches_n++;
	if (b->len > DATAPATH_FILL)
		route = DATAPATH_STREAM;
	if (route != DATAPATH_DATAGRAM) {
		if (now_us - t->voice_us > VOICE_PAUSE_US)
			t->voice_since_us = now_us;
		t->voice_us = now_us;
	}
	if (!b->numbered &&
	    (!guard_admit(&t->guard, *flying, rate_now(t, now_us), now_us) ||
		!affordable(t, b, now_us))) {
		drop(t, b, &t->stats.media_congested_dropped);
		return;
	}
	if (route != DATAPATH_DATAGRAM)
		s = choose(t, 0, output_thin(t) && output_level(t, now_us) == 0, now_us);
	if (s == NULL && route == DATAPATH_STREAM) {
		drop(t, b, &t->stats.media_down_dropped);
		return;
	}
	fresh = !b->numbered;
	number(t, b);
	if (fresh)
		redundancy_fill(t, b, now_us);
	++*flying;
	leave(t, b, s, route, fresh, now_us);
}

static void
flush_media(struct tunnel *t, uint64_t now_us)
{
	bool polls = polled(t), leaves = gathered_us(t) <= now_us;
	size_t flying;
	struct batch *b;

	if (leaves)
		close_gathering(t);
	if (polls)
		output_drop_waiting(t, now_us);
	if (STAILQ_EMPTY(&t->closed) || (polls && !leaves))
		return;
	doubt_all(t, now_us);
	flying = in_flight(t, now_us);
	while ((t->writable || !polls) && (b = STAILQ_FIRST(&t->closed)) != NULL) {
		STAILQ_REMOVE_HEAD(&t->closed, next);
		hand_over(t, b, &flying, now_us);
	}
	rate_follow(t, now_us);
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
		struct tunnel_stream *s = output_choose(t, f->last_serial, now_us);
		struct batch *b;

		if (s == NULL)
			return;
		b = batch_new(t, BATCH_RELIABLE, now_us);
		if (b == NULL)
			return;
		last = fill_reliable(t, b, f, s->serial, now_us);
		batch_give(t, s, b, now_us);
	}
}

static void
flush_acks(struct tunnel *t, uint64_t now_us)
{
	struct tunnel_stream *s;
	struct batch *b;

	if (t->ack_us > now_us || t->ack_queued)
		return;
	s = output_choose(t, 0, now_us);
	if (s == NULL)
		return;
	/* Bursts of nothing but acknowledgements are not acknowledged, and would prove nothing for ever. */
	if (s->bounded && poll_should_ask(t, now_us)) {
		t->ack_us = now_us + ACK_DELAY_US;
		output_ping(t, s, now_us);
		return;
	}
	/* One that is not connected may never be, and begins with a question, which tells them too. */
	b = s->u.w.path.connected ? batch_new(t, BATCH_ACK, now_us) : NULL;
	if (b == NULL) {
		t->ack_us = now_us + ACK_DELAY_US;
		return;
	}
	t->ack_queued = true;
	batch_give(t, s, b, now_us);
}

static void
wake(struct tunnel *t)
{
	for (size_t i = 0; i < t->streams_n[t->writes]; i++) {
		struct tunnel_stream *s = t->streams[t->writes][i];

		if (s->u.w.paused && s->phase != STREAM_ABORTED &&
		    (!STAILQ_EMPTY(&s->u.w.queue) || (s->u.w.release && s->u.w.takes))) {
			s->u.w.paused = false;
			t->h.on_wake(t->arg, s);
		}
	}
}

/* SIP first: it is little, and never waits for voice. */
void
output_flush(struct tunnel *t, uint64_t now_us)
{
	flush_reliable(t, now_us);
	flush_media(t, now_us);
	redundancy_run(t, now_us);
	datapath_run(t, now_us);
	flush_acks(t, now_us);
	wake(t);
	poll_sweep(t, now_us);
}
