/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/datapath.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tunnel/control.h"

/* What comes in datagrams; how a way for them begins and ends, and what is told of it. */

#define KEEP_MIN_US (5 * CLOCK_S)
#define KEEP_STEP_US (2 * CLOCK_S)
#define KEEP_SAME_N 4 /* ... and longer after so many answers that show the same address */

/* -- What comes -- */

static uint64_t
next_wanting_us(const struct datapath *d, uint64_t through)
{
	if (d->sent_n - through >= DATAPATH_SENT_N)
		through = d->sent_n - DATAPATH_SENT_N + 1;
	for (uint64_t i = through + 1; i <= d->sent_n; i++)
		if (d->sent[i % DATAPATH_SENT_N].wants)
			return d->sent[i % DATAPATH_SENT_N].us;
	return CLOCK_NEVER;
}

/* Those that want no answer may have waited for company with theirs. */
static void
sample(struct tunnel *t, const struct datapath_sent *s, uint64_t now_us)
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
	if (h->through > d->trust.through && d->sent_n - h->through < DATAPATH_SENT_N)
		sample(t, &d->sent[h->through % DATAPATH_SENT_N], now_us);
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
	err = frame_content_get(g.batch, g.batch_len, &h, &body);
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
	d->keep_us = DATAPATH_KEEP_US;
	d->keep_max_us = DATAPATH_KEEP_MAX_US;
	d->sent_us = d->wanted_us = d->asked_us = now_us;
	d->probe_us = t->cfg.role == TUNNEL_CLIENT ? now_us : CLOCK_NEVER;
	t->datapath = d;
	return 0;
}

void
datapath_free(struct tunnel *t)
{
	if (t->datapath == NULL)
		return;
	datagram_end_free(t->datapath->end);
	mem_free(t->datapath);
	t->datapath = NULL;
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
loss_of(const struct datapath_came *from, const struct datapath_came *to)
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
