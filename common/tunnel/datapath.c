/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/datapath.h"

#include <string.h>

#include "base/clock.h"
#include "tunnel/control.h"

/* Sending, and which way voice goes. */

#define FRESH_US CLOCK_S
#define TRY_US (200 * CLOCK_MS) /* between questions while nothing was answered yet, ... */
#define TRIES_N 5               /* ... so many of them; then ever more seldom, ... */
#define TRY_BUSY_MAX_US (4 * CLOCK_S)
#define TRY_IDLE_MAX_US (60 * CLOCK_S)
#define ASK_US (500 * CLOCK_MS) /* with a call, when nothing else is to be answered */
#define ASK_DOUBT_US (250 * CLOCK_MS)
#define TRIAL_US (100 * CLOCK_MS)
#define TRIAL_SILENT_US CLOCK_S
#define TRIAL_LEN 190 /* payload: as long as one packet of voice */
#define MAPPING_US (10 * CLOCK_S)
#define FORGET_US (60 * CLOCK_S)
#define CAME_US TRUST_SPAN_US

/* -- Sending -- */

static uint64_t
rtt_of(const struct tunnel *t)
{
	return t->datapath->rtt_us != 0 ? t->datapath->rtt_us : output_srtt_us(t);
}

static void
note_sent(struct tunnel *t, uint64_t number, bool wants, bool voice, uint64_t now_us)
{
	struct datapath *d = t->datapath;

	d->voice_n += voice;
	d->sent[number % DATAPATH_SENT_N] =
	    (struct datapath_sent){ now_us, d->voice_n, wants, voice };
	d->sent_n = number;
	d->sent_us = now_us;
	if (wants)
		d->wanted_us = now_us;
	if (voice)
		d->voice_us = now_us;
	trust_sent(&d->trust, number, wants, now_us);
}

/* Every datagram also tells what has come. */
static void
send_batch(struct tunnel *t, struct frame_header *h, const uint8_t *body, size_t n, bool wants,
    uint64_t now_us)
{
	struct datapath *d = t->datapath;
	uint8_t buf[FRAME_HEADER_MAX + DATAGRAM_MAX], head[FRAME_HEADER_MAX];
	size_t head_len, len;
	uint64_t number;

	h->busy = t->busy;
	h->report = output_report(t, now_us);
	datagram_came(d->end, &h->through, &h->missing);
	h->has_datagrams = h->through != 0;
	head_len = frame_header_put(h, n, head) - FRAME_LENGTH_FIELD;
	memcpy(buf + DATAGRAM_HEADER_LEN, head + FRAME_LENGTH_FIELD, head_len);
	memcpy(buf + DATAGRAM_HEADER_LEN + head_len, body, n);
	number = datagram_seal(d->end, buf, head_len + n, &len);
	note_sent(t, number, wants, wants && h->has_media, now_us);
	d->ack_us = CLOCK_NEVER;
	d->wanting_n = 0;
	t->stats.datagrams_sent++;
	t->stats.datagram_bytes_sent += len;
	t->stats.batches_sent++;
	t->stats.bytes_sent += len;
	t->h.on_datagram(t->arg, buf, len);
}

static void
send_frame(struct tunnel *t, enum frame_type type, const uint8_t *data, size_t n, uint64_t now_us)
{
	struct frame_header h = { 0 };
	uint8_t body[FRAME_BODY_FILL];
	struct wire_write w = wire_writer(body, sizeof(body));

	frame_put(&w, &(struct frame){ .type = type, .data = data, .data_len = n });
	send_batch(t, &h, body, w.used, type == FRAME_PROBE, now_us);
}

/* When HRAC asks for the sake of its NAT: that it does not forget, and whether it did. */
static uint64_t
keep_due_us(const struct tunnel *t)
{
	const struct datapath *d = t->datapath;
	uint64_t due = d->sent_us + d->keep_us;

	if (t->cfg.role != TUNNEL_CLIENT)
		return CLOCK_NEVER;
	if (duty_busy(t) && d->trust.state != TRUST_NONE && d->asked_us + MAPPING_US < due)
		due = d->asked_us + MAPPING_US;
	return due;
}

static void
ask(struct tunnel *t, uint64_t now_us)
{
	static const uint8_t nothing[TRIAL_LEN];
	struct datapath *d = t->datapath;
	bool trial = trust_tries(&d->trust, now_us);
	bool full = trial && guard_congested(&t->guard, now_us);

	d->probe_us = CLOCK_NEVER;
	/* On a line that is full a trial would take the place of voice; the way is only kept open. */
	if (full && now_us < keep_due_us(t)) {
		d->wanted_us = now_us;
		return;
	}
	d->asked_us = now_us;
	if (d->trust.state == TRUST_NONE)
		d->tries_n++;
	send_frame(t, FRAME_PROBE, nothing, trial && !full ? TRIAL_LEN : DATAGRAM_PROBE_LEN,
	    now_us);
}

/*
 * An address that is longer than the question's payload is not told, so that the answer's is never
 * longer.
 */
static void
answer(struct tunnel *t, uint64_t now_us)
{
	struct datapath *d = t->datapath;
	uint8_t mem[DATAGRAM_PROBE_LEN];
	struct wire_write w = wire_writer(mem, sizeof(mem));

	d->answer_owed = false;
	control_put_addr(&w, &d->answer_addr);
	send_frame(t, FRAME_ANSWER, mem, w.used <= d->answer_max ? w.used : 0, now_us);
}

/* -- Which way -- */

/* Requests that end with each burst cannot take each batch besides: they get all or nothing. */
static bool
given_up(const struct tunnel *t)
{
	const struct trust *trust = &t->datapath->trust;

	return trust->state == TRUST_DOUBT && trust->silent && poll_on(t, t->writes);
}

enum datapath_route
datapath_route(const struct tunnel *t, uint64_t now_us)
{
	const struct datapath *d = t->datapath;

	if (!datapath_used(t))
		return DATAPATH_STREAM;
	if (d->trust.state == TRUST_GOOD)
		return now_us - d->trust.told_us > FRESH_US ? DATAPATH_BOTH : DATAPATH_DATAGRAM;
	/* Where the line is full, twice as much would make it worse. */
	if (d->trust.silent || output_thin(t) || guard_spare(&t->guard, now_us))
		return DATAPATH_BOTH;
	return DATAPATH_DATAGRAM;
}

bool
datapath_used(const struct tunnel *t)
{
	const struct datapath *d = t->datapath;

	return d != NULL && (d->trust.state == TRUST_GOOD || d->trust.state == TRUST_DOUBT) &&
	    !given_up(t);
}

bool
datapath_alone(const struct tunnel *t, uint64_t now_us)
{
	return datapath_route(t, now_us) == DATAPATH_DATAGRAM;
}

size_t
datapath_fill(const struct tunnel *t, uint64_t now_us)
{
	return datapath_route(t, now_us) == DATAPATH_STREAM ? FRAME_BODY_FILL : DATAPATH_FILL;
}

bool
datapath_give(struct tunnel *t, const struct batch *b, uint64_t now_us)
{
	struct frame_header h = { .has_media = b->kind == BATCH_MEDIA,
		.media_base = b->media_base };

	if (b->len > DATAPATH_FILL)
		return false;
	send_batch(t, &h, b->body, b->len, true, now_us);
	if (!b->again) {
		t->stats.media_sent += b->media_n;
		t->stats.media_by_datagram += b->media_n;
	}
	return true;
}

/* When nothing comes through, that says nothing of what waits in the line. */
size_t
datapath_in_flight(const struct tunnel *t)
{
	const struct datapath *d = t->datapath;

	if (!datapath_used(t) || (d->trust.state == TRUST_DOUBT && d->trust.silent) ||
	    d->sent_n - d->trust.through >= DATAPATH_SENT_N)
		return 0;
	return d->voice_n - d->sent[d->trust.through % DATAPATH_SENT_N].voice_n;
}

bool
datapath_carries(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	const struct datapath *d = t->datapath;
	uint64_t last_us;

	if (d == NULL)
		return false;
	last_us = dir == t->writes ? d->voice_us : d->heard_voice_us;
	if (dir == t->writes && !datapath_alone(t, now_us))
		return false;
	return last_us != 0 && now_us - last_us < 2 * CLOCK_S;
}

/* -- Time -- */

static uint64_t
try_us(const struct tunnel *t)
{
	unsigned n = t->datapath->tries_n;
	uint64_t max = duty_busy(t) ? TRY_BUSY_MAX_US : TRY_IDLE_MAX_US;
	uint64_t us = TRY_US;

	if (n < TRIES_N)
		return us;
	for (us = CLOCK_S; n > TRIES_N && us < max; n--)
		us *= 2;
	return us < max ? us : max;
}

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t
trial_due_us(const struct tunnel *t)
{
	const struct datapath *d = t->datapath;
	uint64_t last_us = later(d->trust.told_us, d->trust.trial_us);
	bool answered = d->wanted_us < last_us + TRIAL_SILENT_US;

	return later(d->trust.trial_us, d->wanted_us + (answered ? TRIAL_US : TRIAL_SILENT_US));
}

/* When the next question is due. Without a call HRAC alone asks. */
static uint64_t
ask_due_us(const struct tunnel *t)
{
	const struct datapath *d = t->datapath;
	bool client = t->cfg.role == TUNNEL_CLIENT;
	uint64_t keep_us = keep_due_us(t), due = keep_us;

	if (!client && !d->heard)
		return CLOCK_NEVER;
	if (d->trust.state == TRUST_NONE && client)
		due = d->asked_us + try_us(t);
	else if (duty_busy(t) && d->trust.state != TRUST_LEFT)
		due = d->wanted_us + (d->trust.state == TRUST_DOUBT ? ASK_DOUBT_US : ASK_US);
	else if (duty_busy(t) && trial_due_us(t) < due)
		due = trial_due_us(t);
	if (d->trust.state != TRUST_NONE && keep_us < due)
		due = keep_us;
	return d->probe_us < due ? d->probe_us : due;
}

uint64_t
datapath_due_us(const struct tunnel *t)
{
	const struct datapath *d = t->datapath;
	uint64_t due, trust_us;

	if (d == NULL)
		return CLOCK_NEVER;
	due = ask_due_us(t);
	trust_us = trust_due_us(&d->trust, rtt_of(t));
	if (d->answer_owed)
		return 0;
	due = d->ack_us < due ? d->ack_us : due;
	return trust_us < due ? trust_us : due;
}

static void
roll(struct datapath *d, uint64_t now_us)
{
	if (now_us - d->came[0].at_us < CAME_US)
		return;
	d->came[1] = d->came[0];
	d->came[0].at_us = now_us;
	datagram_came(d->end, &d->came[0].through, &d->came[0].missing);
}

static void
count_changes(struct tunnel *t)
{
	const struct trust *trust = &t->datapath->trust;

	t->stats.datagrams_left_loss = trust->left_n[TRUST_WHY_LOSS];
	t->stats.datagrams_left_silent = trust->left_n[TRUST_WHY_SILENCE];
	t->stats.datagrams_returned = trust->returned_n;
}

static void
judge(struct tunnel *t, uint64_t now_us)
{
	struct datapath *d = t->datapath;
	enum trust_state was = d->trust.state;

	trust_run(&d->trust, rtt_of(t), duty_busy(t), now_us);
	if (d->trust.state == was)
		return;
	count_changes(t);
	/* The streams it takes are wanted at once, or not any more. */
	t->changed = true;
	if (d->trust.state == TRUST_NONE)
		d->tries_n = 0;
}

void
datapath_run(struct tunnel *t, uint64_t now_us)
{
	struct datapath *d = t->datapath;

	if (d == NULL)
		return;
	judge(t, now_us);
	roll(d, now_us);
	if (d->answer_owed)
		answer(t, now_us);
	if (ask_due_us(t) <= now_us)
		ask(t, now_us);
	if (d->ack_us <= now_us)
		send_batch(t, &(struct frame_header){ 0 }, (const uint8_t *)"", 0, false, now_us);
}

void
datapath_busy(struct tunnel *t, uint64_t now_us)
{
	struct datapath *d = t->datapath;

	if (d == NULL || !duty_busy(t))
		return;
	/* What drove us away in a call long ago may be over. */
	if (d->trust.state == TRUST_LEFT && now_us - d->trust.since_us > FORGET_US)
		trust_forget(&d->trust, now_us);
	d->tries_n = 0;
	if (t->cfg.role == TUNNEL_CLIENT || d->heard)
		d->probe_us = now_us;
}

void
datapath_kick(struct tunnel *t, uint64_t now_us)
{
	struct datapath *d = t->datapath;

	if (d == NULL)
		return;
	trust_forget(&d->trust, now_us);
	d->tries_n = 0;
	d->mapped = (struct addr){ 0 };
	d->same_n = 0;
	d->keep_us = DATAPATH_KEEP_US;
	d->keep_max_us = DATAPATH_KEEP_MAX_US;
	d->rtt_us = 0;
	d->probe_us = now_us;
}
