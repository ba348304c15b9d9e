/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tunnel/control.h"
#include "tunnel/datagram.h"
#include "tunnel/impl.h"
#include "tunnel/trust.h"

/*
 * The way beside the streams: batches of voice in datagrams, the questions that keep the way open and
 * show whether it is good, and the answers. Which of the two ways voice goes is trust's to say.
 */

#define SENT_N 4096 /* datagrams whose times are remembered; a power of two */
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
#define KEEP_US (15 * CLOCK_S) /* without a call: at first, ... */
#define KEEP_MIN_US (5 * CLOCK_S)
#define KEEP_MAX_US (25 * CLOCK_S)
#define KEEP_STEP_US (2 * CLOCK_S)
#define KEEP_SAME_N 4 /* ... and longer after so many answers that show the same address */
#define FORGET_US (60 * CLOCK_S)
#define CAME_US TRUST_SPAN_US

struct sent {
	uint64_t us;
	uint32_t voice_n; /* batches of voice up to it */
	bool wants;       /* an answer */
	bool voice;
};

struct came { /* the datagrams of the other end */
	uint64_t at_us, through, missing;
};

struct datapath {
	struct datagram_end *end;
	struct trust trust;
	bool heard; /* something authentic came: there is somebody to send to */
	/* Out. */
	struct sent sent[SENT_N]; /* by number */
	uint64_t sent_n;          /* number of the last */
	uint32_t voice_n;
	uint64_t sent_us, wanted_us,
	    asked_us;      /* last: anything, what wants an answer, a question */
	uint64_t voice_us; /* our voice last left as a datagram */
	uint64_t rtt_us;   /* smoothed; 0 = not known */
	/* What is owed. */
	uint64_t ack_us; /* by then; CLOCK_NEVER = nothing */
	unsigned wanting_n;
	bool answer_owed;
	size_t answer_max; /* no longer than the question */
	struct addr answer_addr;
	/* Asking. */
	uint64_t probe_us; /* at once, whatever else holds, from then on; CLOCK_NEVER */
	unsigned tries_n;
	struct addr mapped;
	unsigned same_n;
	uint64_t keep_us, keep_max_us;
	/* In. */
	uint64_t heard_voice_us;
	struct came came[2]; /* at the end of the last span, and of the one before */
};

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
	d->sent[number % SENT_N] = (struct sent){ now_us, d->voice_n, wants, voice };
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
	head_len = frame_header_put(h, n, head) - FRAME_LENGTH_LEN;
	memcpy(buf + DATAGRAM_HEADER_LEN, head + FRAME_LENGTH_LEN, head_len);
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

static void
ask(struct tunnel *t, uint64_t now_us)
{
	static const uint8_t nothing[TRIAL_LEN];
	struct datapath *d = t->datapath;
	bool trial = trust_tries(&d->trust, now_us);

	d->asked_us = now_us;
	d->probe_us = CLOCK_NEVER;
	if (d->trust.state == TRUST_NONE)
		d->tries_n++;
	send_frame(t, FRAME_PROBE, nothing, trial ? TRIAL_LEN : DATAGRAM_PROBE_LEN, now_us);
}

/* The longest way of writing an address is no longer than what asks for it; of what is, nothing is told. */
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

enum datapath_route
datapath_route(const struct tunnel *t, uint64_t now_us)
{
	const struct datapath *d = t->datapath;

	if (d == NULL || d->trust.state == TRUST_NONE || d->trust.state == TRUST_LEFT)
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

	return d != NULL && (d->trust.state == TRUST_GOOD || d->trust.state == TRUST_DOUBT);
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

/* While the way is in doubt it says nothing of what waits in the line. */
size_t
datapath_in_flight(const struct tunnel *t)
{
	const struct datapath *d = t->datapath;

	if (d == NULL || d->trust.state != TRUST_GOOD || d->sent_n - d->trust.through >= SENT_N)
		return 0;
	return d->voice_n - d->sent[d->trust.through % SENT_N].voice_n;
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
	uint64_t keep_us = client ? d->sent_us + d->keep_us : CLOCK_NEVER, due = keep_us;

	if (!client && !d->heard)
		return CLOCK_NEVER;
	if (d->trust.state == TRUST_NONE && client)
		due = d->asked_us + try_us(t);
	else if (duty_busy(t) && d->trust.state != TRUST_LEFT)
		due = d->wanted_us + (d->trust.state == TRUST_DOUBT ? ASK_DOUBT_US : ASK_US);
	else if (duty_busy(t) && trial_due_us(t) < due)
		due = trial_due_us(t);
	if (client && duty_busy(t) && d->trust.state != TRUST_NONE &&
	    d->asked_us + MAPPING_US < due)
		due = d->asked_us + MAPPING_US;
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
	d->keep_us = KEEP_US;
	d->keep_max_us = KEEP_MAX_US;
	d->rtt_us = 0;
	d->probe_us = now_us;
}

/* -- What comes -- */

static uint64_t
next_wanting_us(const struct datapath *d, uint64_t through)
{
	if (d->sent_n - through >= SENT_N)
		through = d->sent_n - SENT_N + 1;
	for (uint64_t i = through + 1; i <= d->sent_n; i++)
		if (d->sent[i % SENT_N].wants)
			return d->sent[i % SENT_N].us;
	return CLOCK_NEVER;
}

/* Those that want no answer may have waited for company with theirs. */
static void
sample(struct tunnel *t, const struct sent *s, uint64_t now_us)
{
	struct datapath *d = t->datapath;
	uint64_t rtt_us = now_us - s->us;

	if (!s->wants)
		return;
	rtt_us = rtt_us == 0 ? 1 : rtt_us;
	d->rtt_us = d->rtt_us == 0 ? rtt_us : (7 * d->rtt_us + rtt_us) / 8;
	if (s->voice)
		guard_sample(&t->guard, rtt_us, true, now_us);
}

static int
on_told(struct tunnel *t, const struct frame_header *h, uint64_t now_us)
{
	struct datapath *d = t->datapath;
	bool unknown = d->trust.state == TRUST_NONE;

	if (!h->has_datagrams)
		return 0;
	if (h->through > d->sent_n)
		return ERR_MALFORMED;
	if (h->through > d->trust.through && d->sent_n - h->through < SENT_N)
		sample(t, &d->sent[h->through % SENT_N], now_us);
	trust_told(&d->trust, h->through, h->missing, next_wanting_us(d, h->through), now_us);
	/* The peer is to know, too, that what it sent has come. */
	if (unknown && d->trust.state == TRUST_GOOD && t->cfg.role == TUNNEL_CLIENT)
		d->probe_us = now_us;
	return 0;
}

static void
follow_mapping(struct datapath *d, const struct addr *seen, bool idle)
{
	bool same = addr_equal(&d->mapped, seen), first = !addr_is_set(&d->mapped);

	d->mapped = *seen;
	d->same_n = same ? d->same_n + 1 : 0;
	if (first || !idle)
		return;
	if (!same) {
		/* The NAT forgot us in between. */
		d->keep_us = d->keep_us * 2 / 3 > KEEP_MIN_US ? d->keep_us * 2 / 3 : KEEP_MIN_US;
		d->keep_max_us = d->keep_us;
	} else if (d->same_n >= KEEP_SAME_N) {
		d->same_n = 0;
		d->keep_us += KEEP_STEP_US;
		if (d->keep_us > d->keep_max_us)
			d->keep_us = d->keep_max_us;
	}
}

static int
on_answer(struct tunnel *t, const struct frame *f)
{
	struct wire_read r = wire_reader(f->data, f->data_len);
	struct addr seen = { 0 };

	if (f->data_len == 0)
		return 0;
	seen = control_get_addr(&r);
	if (r.bad || r.left != 0)
		return ERR_MALFORMED;
	if (t->cfg.role == TUNNEL_CLIENT && addr_is_set(&seen))
		follow_mapping(t->datapath, &seen, !duty_busy(t));
	return 0;
}

static void
owe_ack(struct datapath *d, bool at_once, uint64_t now_us)
{
	if (at_once || ++d->wanting_n >= ACK_EVERY_N)
		d->ack_us = now_us;
	else if (d->ack_us == CLOCK_NEVER)
		d->ack_us = now_us + ACK_DELAY_US;
}

static void
on_probe(struct tunnel *t, const struct frame *f, const struct addr *from)
{
	struct datapath *d = t->datapath;

	if (t->cfg.role != TUNNEL_SERVER)
		return;
	d->answer_owed = true;
	d->answer_max = f->data_len;
	d->answer_addr = *from;
}

static int
on_batch(struct tunnel *t, struct frame_header *h, struct wire_read *body, const struct addr *from,
    uint64_t now_us)
{
	const struct wire_read whole = *body;
	uint32_t base = h->media_base;
	bool voice = false, probe = false;
	struct frame f;
	int err = on_told(t, h, now_us);

	while (err == 0 && (err = frame_next(body, &f)) == 0) {
		if (f.type == FRAME_PROBE)
			on_probe(t, &f, from);
		else if (f.type == FRAME_ANSWER)
			err = on_answer(t, &f);
		else
			err = input_voice(t, h, base, &f, now_us);
		probe |= f.type == FRAME_PROBE;
		voice |= f.type == FRAME_MEDIA || f.type == FRAME_PARITY;
	}
	if (voice || probe)
		owe_ack(t->datapath, probe, now_us);
	if (voice)
		t->datapath->heard_voice_us = now_us;
	if (err != ERR_NOT_FOUND)
		return err;
	input_report(t, h->report, now_us);
	input_voice_end(t, base, h, &whole, now_us);
	return 0;
}

int
tunnel_datagram_input(struct tunnel *t, uint8_t *in, size_t n, const struct addr *from,
    uint64_t now_us)
{
	struct datapath *d = t->datapath;
	struct frame_header h;
	struct wire_read body;
	struct datagram g;
	int err;

	if (d == NULL)
		return ERR_STATE;
	err = datagram_open(d->end, in, n, &g);
	t->stats.datagrams_forged += err == ERR_AUTH || err == ERR_MALFORMED;
	t->stats.datagrams_replayed += err == ERR_EXISTS;
	if (err < 0)
		return err;
	d->heard = true;
	t->stats.datagrams_received++;
	t->stats.datagram_bytes_received += n;
	t->stats.batches_received++;
	t->stats.bytes_received += n;
	err = frame_datagram_get(g.batch, g.batch_len, &h, &body);
	if (err == 0)
		err = on_batch(t, &h, &body, from, now_us);
	t->stats.malformed += err < 0;
	return g.newest ? TUNNEL_DATAGRAM_NEWEST : 0;
}

/* -- Life -- */

int
tunnel_datagrams_start(struct tunnel *t, uint64_t now_us)
{
	struct datapath *d;

	if (t->h.on_datagram == NULL || t->grant.cipher == 0 || t->grant.cipher == CIPHER_NONE)
		return ERR_UNSUPPORTED;
	if (t->datapath != NULL)
		return 0;
	d = mem_zalloc(sizeof(*d));
	d->end = datagram_end_new(&t->grant, t->cfg.role, t->stats.rekeys);
	trust_init(&d->trust, now_us);
	d->ack_us = CLOCK_NEVER;
	d->keep_us = KEEP_US;
	d->keep_max_us = KEEP_MAX_US;
	d->sent_us = d->wanted_us = d->asked_us = now_us;
	d->probe_us = t->cfg.role == TUNNEL_CLIENT ? now_us : CLOCK_NEVER;
	t->datapath = d;
	return 0;
}

void
tunnel_datagrams_stop(struct tunnel *t)
{
	if (t->datapath == NULL)
		return;
	datagram_end_free(t->datapath->end);
	mem_free(t->datapath);
	t->datapath = NULL;
	t->changed = true;
}

void
tunnel_datagrams_restart(struct tunnel *t, uint64_t now_us)
{
	datapath_kick(t, now_us);
}

void
tunnel_datagrams_rekey(struct tunnel *t, const uint8_t key[static CIPHER_KEY_LEN],
    enum cipher_kind kind)
{
	if (t->datapath != NULL)
		datagram_end_rekey(t->datapath->end, kind, key);
}

static double
loss_of(const struct came *from, const struct came *to)
{
	uint64_t sent = to->through - from->through;
	uint64_t lost = to->missing > from->missing ? to->missing - from->missing : 0;

	if (sent == 0)
		return 0;
	return lost >= sent ? 1 : (double)lost / (double)sent;
}

bool
tunnel_datagrams(const struct tunnel *t, uint64_t now_us, struct tunnel_datagrams *out)
{
	const struct datapath *d = t->datapath;
	enum tunnel_dir reads = t->writes == TUNNEL_UP ? TUNNEL_DOWN : TUNNEL_UP;

	*out = (struct tunnel_datagrams){ .state = "off", .why = "" };
	if (d == NULL)
		return false;
	out->state = trust_state_str(d->trust.state);
	out->good = d->trust.state == TRUST_GOOD || d->trust.state == TRUST_DOUBT;
	out->known = d->trust.state != TRUST_NONE;
	if (d->trust.waiting_us < now_us)
		out->silent_us = now_us - d->trust.waiting_us;
	out->asked_n = d->tries_n;
	out->loss[t->writes] = trust_loss(&d->trust, now_us);
	out->loss[reads] = loss_of(&d->came[1], &d->came[0]);
	out->rtt_us = d->rtt_us;
	out->mapped = d->mapped;
	out->keep_us = t->cfg.role == TUNNEL_CLIENT ? d->keep_us : 0;
	out->left_n = d->trust.left_n[TRUST_WHY_LOSS] + d->trust.left_n[TRUST_WHY_SILENCE];
	if (out->left_n > 0)
		out->why = d->trust.why == TRUST_WHY_LOSS ? "loss" : "silence";
	return true;
}
