/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "tunnel/impl.h"

/* From the bytes of a stream to the handlers. All of it was chosen by the peer. */

#define HALF (FRAME_MEDIA_MASK / 2 + 1)
#define RTT_MAX_US (60 * CLOCK_S)
#define STALE_US (150 * CLOCK_MS)
#define SUMS_LAST_US (5 * CLOCK_S) /* so long after the last one more are expected */
#define SAMPLE_OLD_US (10 * CLOCK_S)

/* -- Media -- */

static void
mark_seen(struct tunnel *t, uint32_t number)
{
	t->seen[number % SEEN_N / 8] |= (uint8_t)(1u << number % 8);
}

/* The n <= SEEN_N numbers from `first` on; bytes at a time, since a peer may jump in every batch. */
static void
mark_unseen(struct tunnel *t, uint32_t first, uint32_t n)
{
	while (n > 0) {
		uint32_t at = first % SEEN_N, bytes = at % 8 == 0 ? n / 8 : 0;

		if (bytes > (SEEN_N - at) / 8)
			bytes = (SEEN_N - at) / 8;
		if (bytes > 0)
			memset(&t->seen[at / 8], 0, bytes);
		else
			t->seen[at / 8] &= (uint8_t) ~(1u << at % 8);
		first += bytes > 0 ? 8 * bytes : 1;
		n -= bytes > 0 ? 8 * bytes : 1;
	}
}

/* Numbers up to and with `number` are new from now on, `number` itself is seen. */
static void
advance(struct tunnel *t, uint32_t number, uint32_t step)
{
	mark_unseen(t, t->media_top, step < SEEN_N ? step : SEEN_N);
	t->media_top = (number + 1) & FRAME_MEDIA_MASK;
	mark_seen(t, number);
}

/* Whether this media frame comes for the first time, as far as can be told. */
static bool
fresh(struct tunnel *t, uint32_t number)
{
	uint32_t ahead = (number - t->media_top) & FRAME_MEDIA_MASK;
	uint32_t behind = (t->media_top - number) & FRAME_MEDIA_MASK;

	if (!t->media_any || ahead < HALF) {
		t->media_any = true;
		advance(t, number, ahead + 1);
		return true;
	}
	if (behind > SEEN_N || (t->seen[number % SEEN_N / 8] & 1u << number % 8) != 0)
		return false;
	mark_seen(t, number);
	return true;
}

/* -- What is too late -- */

/* Remembers which number was the highest when. */
static void
note_top(struct tunnel *t, uint64_t now_us)
{
	struct top *last = &t->tops[t->tops_n % TOPS_N];

	if (t->tops_n > 0 && now_us - last->at_us < STALE_US / (TOPS_N - 1))
		return;
	t->tops[++t->tops_n % TOPS_N] = (struct top){ now_us, t->media_top };
}

/* Whether a higher number came so long ago that nobody waits for this one any more. */
static bool
stale(const struct tunnel *t, uint32_t number, uint64_t now_us)
{
	for (unsigned i = 0; i < TOPS_N && i < t->tops_n; i++) {
		const struct top *top = &t->tops[(t->tops_n - i) % TOPS_N];

		if (now_us - top->at_us > STALE_US)
			return ((top->number - number - 1) & FRAME_MEDIA_MASK) < HALF;
	}
	return false;
}

/* -- Frames of media -- */

static void
deliver_media(struct tunnel *t, uint32_t number, const struct frame *f, bool again, uint64_t now_us)
{
	if (stale(t, number, now_us)) {
		t->stats.media_stale_dropped++;
		return;
	}
	if (!fresh(t, number)) {
		t->stats.media_duplicate++;
		return;
	}
	t->stats.media_received++;
	t->stats.media_rebuilt += again;
	t->h.on_media(t->arg, f->channel, f->data, f->data_len);
}

static int
on_media(struct tunnel *t, struct frame_header *h, const struct frame *f, uint64_t now_us)
{
	uint32_t number = h->media_base;

	if (!h->has_media)
		return ERR_MALFORMED;
	h->media_base = (h->media_base + 1) & FRAME_MEDIA_MASK;
	deliver_media(t, number, f, false, now_us);
	return 0;
}

static int
on_repeat(struct tunnel *t, const struct frame_header *h, uint32_t base, const struct frame *f,
    uint64_t now_us)
{
	if (!h->has_media)
		return ERR_MALFORMED;
	deliver_media(t, (base - f->back) & FRAME_MEDIA_MASK, f, true, now_us);
	return 0;
}

/* Whether a body is a row of frames with so many of media. */
static bool
is_whole(struct wire_read body, size_t media_n)
{
	struct frame f;
	size_t n = 0;
	int err;

	while ((err = frame_next(&body, &f)) == 0)
		n += f.type == FRAME_MEDIA;
	return err == ERR_NOT_FOUND && n == media_n;
}

/* Its bytes were chosen by the peer like those of any other batch. */
static void
on_rebuilt(struct tunnel *t, uint32_t number, size_t media_n, struct wire_read r, uint64_t now_us)
{
	struct frame f;

	if (!is_whole(r, media_n)) {
		t->stats.malformed++;
		return;
	}
	while (frame_next(&r, &f) == 0)
		if (f.type == FRAME_MEDIA) {
			deliver_media(t, number, &f, true, now_us);
			number = (number + 1) & FRAME_MEDIA_MASK;
		}
}

static void
rebuild(struct tunnel *t, uint64_t now_us)
{
	const uint8_t *body;
	size_t media_n, len;
	uint32_t base;

	while (recover_next(t->recover, &base, &media_n, &body, &len) == 0)
		on_rebuilt(t, base, media_n, wire_reader(body, len), now_us);
}

unsigned
input_heard_level(const struct tunnel *t, uint64_t now_us)
{
	return meter_level(t->meter, now_us);
}

bool
input_heard_runs(const struct tunnel *t, uint64_t now_us)
{
	return meter_runs(t->meter, now_us);
}

/* -- Reliable -- */

/* A reliable frame of the tunnel's own; one of a newer peer that we do not know is passed over. */
static void
on_own(struct tunnel *t, uint8_t kind, const uint8_t *data, size_t n, uint64_t now_us)
{
	struct wire_read r = wire_reader(data, n);
	uint32_t serial = wire_get_u32(&r);
	struct tunnel_stream *s;

	if (kind == KIND_WANT && n == 1 && t->cfg.role == TUNNEL_CLIENT) {
		t->demand[TUNNEL_DOWN].wanted = data[0];
		t->changed = true;
	}
	if (kind != KIND_RETIRE || t->cfg.role != TUNNEL_SERVER || r.bad)
		return;
	s = stream_find(t, TUNNEL_DOWN, serial);
	if (s != NULL)
		stream_retire(t, s, now_us);
}

static int
deliver(struct tunnel *t, uint64_t now_us)
{
	const uint8_t *data;
	uint8_t kind;
	size_t n;
	int err;

	while ((err = reliable_rx_next(&t->rx, &kind, &data, &n)) == 0) {
		if (kind >= KIND_RESERVED) {
			on_own(t, kind, data, n, now_us);
			continue;
		}
		t->stats.reliable_received++;
		t->h.on_reliable(t->arg, kind, data, n);
	}
	if (err == ERR_NOT_FOUND)
		return 0;
	/* What was numbered and acknowledged is lost: no other stream can mend that. */
	t->broken = true;
	t->changed = true;
	return err;
}

static int
on_reliable(struct tunnel *t, const struct frame *f, uint64_t now_us)
{
	int err = reliable_rx_put(&t->rx, f);

	t->reliable_news = true;
	if (err == ERR_EXISTS) {
		t->stats.reliable_duplicate++;
		return 0;
	}
	return err < 0 ? err : deliver(t, now_us);
}

/* -- Time -- */

/* RFC 6298 §2. Stamps go out with the bytes and come back, so that no sample is ambiguous. */
static void
on_pong(struct tunnel *t, uint32_t stamp, uint64_t now_us)
{
	uint32_t rtt_us = (uint32_t)now_us - stamp;

	if (rtt_us > RTT_MAX_US)
		return;
	t->srtt_us = t->srtt_us == 0 ? rtt_us : (7 * t->srtt_us + rtt_us) / 8;
	if (t->srtt_us == 0)
		t->srtt_us = 1;
	t->sampled_us = now_us;
}

static void
on_ping(struct tunnel *t, const struct frame *f, uint64_t now_us)
{
	t->pong_owed = true;
	t->pong_stamp = f->stamp;
	t->ack_us = now_us;
	/* Without calls only HRAC asks; the way is as long for HRAS. */
	if (f->srtt_us != 0 && f->srtt_us <= RTT_MAX_US &&
	    (t->srtt_us == 0 || now_us - t->sampled_us > SAMPLE_OLD_US))
		t->srtt_us = f->srtt_us;
}

unsigned
input_reported_level(const struct tunnel *t)
{
	unsigned level = t->report & REPORT_LEVEL;

	return level < LEVEL_MAX ? level : LEVEL_MAX;
}

void
input_report(struct tunnel *t, uint8_t report, uint64_t now_us)
{
	t->report = report;
	if (input_reported_level(t) > 0)
		t->lossy_us = now_us;
}

/* -- Batches -- */

int
input_voice(struct tunnel *t, struct frame_header *h, uint32_t base, const struct frame *f,
    uint64_t now_us)
{
	switch (f->type) {
	case FRAME_MEDIA:
		return on_media(t, h, f, now_us);
	case FRAME_PARITY:
		t->summed_us = now_us;
		recover_parity(t->recover, &f->parity);
		return 0;
	case FRAME_REPEAT:
		return on_repeat(t, h, base, f, now_us);
	default:
		return ERR_MALFORMED;
	}
}

static int
on_frame(struct tunnel *t, struct tunnel_stream *s, struct frame_header *h, uint32_t base,
    const struct frame *f, uint64_t now_us)
{
	switch (f->type) {
	case FRAME_MEDIA:
	case FRAME_PARITY:
	case FRAME_REPEAT:
		return input_voice(t, h, base, f, now_us);
	case FRAME_RELIABLE:
		return on_reliable(t, f, now_us);
	case FRAME_PING:
		on_ping(t, f, now_us);
		return 0;
	case FRAME_PONG:
		on_pong(t, f->stamp, now_us);
		return 0;
	case FRAME_END:
		if (s->phase != STREAM_ENDED)
			s->ending_us = now_us;
		s->phase = STREAM_ENDED;
		t->changed = true;
		return 0;
	case FRAME_PROBE:
	case FRAME_ANSWER:
	case FRAME_EXTENSION:
		break;
	}
	return ERR_MALFORMED;
}

static int
on_header(struct tunnel *t, const struct frame_header *h, uint64_t now_us)
{
	if (h->busy != t->peer_busy) {
		t->peer_busy = h->busy;
		duty_busy_changed(t, now_us);
	}
	input_report(t, h->report, now_us);
	for (size_t i = 0; i < h->acks_n; i++) {
		struct tunnel_stream *s = stream_find(t, t->writes, h->acks[i].serial);

		/* One that is gone here may well be acknowledged still. */
		if (s == NULL)
			continue;
		if (h->acks[i].batches_n > s->u.w.sent_n)
			return ERR_MALFORMED;
		output_acked(t, s, h->acks[i].batches_n, now_us);
	}
	return h->has_reliable ? reliable_tx_ack(&t->tx, h->reliable_next) : 0;
}

/* Voice and SIP wait a little for company with their acknowledgement; a question does not. */
static void
owe_ack(struct tunnel *t, uint64_t now_us)
{
	t->wanting_n++;
	if (t->wanting_n >= ACK_EVERY_N)
		t->ack_us = now_us;
	else if (t->ack_us == CLOCK_NEVER)
		t->ack_us = now_us + ACK_DELAY_US;
}

static bool
wants_ack(enum frame_type type)
{
	return type == FRAME_MEDIA || type == FRAME_RELIABLE || type == FRAME_PING ||
	    type == FRAME_PARITY;
}

/* A batch with voice came whole: what it says of the line, and of those that lack. */
static void
on_voice(struct tunnel *t, uint32_t base, size_t media_n, const struct wire_read *body,
    uint64_t now_us)
{
	meter_batch(t->meter, base, media_n, now_us);
	note_top(t, now_us);
	t->stats.media_missed = meter_missed(t->meter);
	/* Sums that come are of use without a miss, too; without either their memory is given back. */
	recover_expect(t->recover,
	    meter_level(t->meter, now_us) > 0 ||
		(t->summed_us != 0 && now_us - t->summed_us < SUMS_LAST_US));
	recover_batch(t->recover, base, media_n, body->p, body->left);
}

void
input_voice_end(struct tunnel *t, uint32_t base, const struct frame_header *h,
    const struct wire_read *whole, uint64_t now_us)
{
	if (h->media_base != base)
		on_voice(t, base, (h->media_base - base) & FRAME_MEDIA_MASK, whole, now_us);
	rebuild(t, now_us);
}

static int
on_batch(struct tunnel *t, struct tunnel_stream *s, struct frame_header *h, struct wire_read *body,
    uint64_t now_us)
{
	const struct wire_read whole = *body;
	uint32_t base = h->media_base;
	bool wanting = false;
	struct frame f;
	int err;

	s->u.r.batches_n++;
	t->stats.batches_received++;
	stream_heard(t, s, now_us);
	err = on_header(t, h, now_us);
	while (err == 0 && (err = frame_next(body, &f)) == 0) {
		wanting |= wants_ack(f.type);
		err = on_frame(t, s, h, base, &f, now_us);
	}
	s->u.r.wanting |= wanting;
	if (wanting)
		owe_ack(t, now_us);
	if (err != ERR_NOT_FOUND)
		return err;
	input_voice_end(t, base, h, &whole, now_us);
	return 0;
}

/*
 * What follows the length of the batch of n bytes, opened; in `plain` when it was sealed. False: it is
 * not what the peer sealed as the next batch of this stream.
 */
static bool
open_batch(struct tunnel_stream *s, const uint8_t *batch, size_t n,
    uint8_t plain[static FRAME_BATCH_MAX], struct wire_read *out)
{
	struct cipher_message m = {
		.number = s->u.r.batches_n + 1, .ad = batch, .ad_len = FRAME_LENGTH_FIELD
	};

	batch += FRAME_LENGTH_FIELD;
	n -= FRAME_LENGTH_FIELD;
	if (s->cipher == NULL) {
		*out = wire_reader(batch, n);
		return true;
	}
	if (!cipher_open(s->cipher, &m, batch, n, plain))
		return false;
	*out = wire_reader(plain, n - cipher_tag_len(s->cipher));
	return true;
}

/* Takes the preamble or one batch off the front of n bytes. ERR_INCOMPLETE; ERR_MALFORMED; ERR_AUTH. */
static int
input_item(struct tunnel *t, struct tunnel_stream *s, const uint8_t *in, size_t n, uint64_t now_us,
    size_t *used)
{
	uint8_t plain[FRAME_BATCH_MAX];
	struct frame_header h;
	struct wire_read content, body;
	int err;

	if (!s->u.r.preamble_got) {
		if (n < FRAME_PREAMBLE_LEN)
			return ERR_INCOMPLETE;
		*used = FRAME_PREAMBLE_LEN;
		s->u.r.preamble_got = true;
		return frame_preamble_check(s->dir, s->serial, in);
	}
	err = frame_batch_split(in, n, used);
	if (err < 0)
		return err;
	if (!open_batch(s, in, *used, plain, &content))
		return ERR_AUTH;
	err = frame_content_get(content.p, content.left, &h, &body);
	if (err < 0)
		return err;
	/* Nothing follows an END. */
	return s->phase == STREAM_ENDED ? ERR_MALFORMED : on_batch(t, s, &h, &body, now_us);
}

/* How many bytes the item has whose first n are in `have`, as far as is known by now. */
static size_t
item_len(const struct stream_reader *r)
{
	if (!r->preamble_got)
		return FRAME_PREAMBLE_LEN;
	if (r->have_len < FRAME_LENGTH_FIELD)
		return FRAME_LENGTH_FIELD;
	return FRAME_LENGTH_FIELD + ((size_t)r->have[0] << 8 | r->have[1]);
}

/* Completes the item that the last input cut. ERR_INCOMPLETE: all was taken, more is needed. */
static int
complete(struct tunnel *t, struct tunnel_stream *s, const uint8_t **in, size_t *n, uint64_t now_us)
{
	struct stream_reader *r = &s->u.r;
	int err = ERR_INCOMPLETE;
	size_t used;

	while (err == ERR_INCOMPLETE && *n > 0) {
		size_t take = item_len(r) - r->have_len;

		if (take > *n)
			take = *n;
		memcpy(r->have + r->have_len, *in, take);
		r->have_len += take;
		*in += take;
		*n -= take;
		err = input_item(t, s, r->have, r->have_len, now_us, &used);
	}
	if (err == 0)
		r->have_len = 0;
	return err;
}

static int
input(struct tunnel *t, struct tunnel_stream *s, const uint8_t *in, size_t n, uint64_t now_us)
{
	struct stream_reader *r = &s->u.r;
	size_t used;
	int err = 0;

	if (r->have_len > 0)
		err = complete(t, s, &in, &n, now_us);
	while (err == 0 && n > 0) {
		err = input_item(t, s, in, n, now_us, &used);
		if (err == 0) {
			in += used;
			n -= used;
		}
	}
	if (err != ERR_INCOMPLETE)
		return err;
	/* A length that is too long was found malformed before it gets here. */
	if (n > 0)
		memcpy(r->have, in, n);
	r->have_len += n;
	return 0;
}

int
tunnel_input(struct tunnel *t, struct tunnel_stream *s, const uint8_t *in, size_t n,
    uint64_t now_us)
{
	int err;

	if (s->phase == STREAM_ABORTED)
		return 0;
	s->bytes += n;
	t->stats.bytes_received += n;
	if (s->bytes >= s->rotate_bytes && !s->due)
		s->due = s->aged = t->changed = true;
	err = input(t, s, in, n, now_us);
	/* Whoever garbles one stream gets no further say on it. */
	if (err < 0)
		s->phase = STREAM_ABORTED;
	return err;
}
