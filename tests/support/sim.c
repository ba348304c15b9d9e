/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/support/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/support/sim_stream.h"

#define RELIABLE_TYPE 7
#define TURNS_MAX 20000 /* without time passing: then somebody spins */

_Noreturn void
sim_broken_rule(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
	abort();
}

uint64_t
sim_now_us(const struct sim *s)
{
	return s->clock.now_us;
}

/* -- The handlers of the tunnels -- */

struct handler_arg {
	struct sim *sim;
	int side;
};

static struct handler_arg args[2];

static struct sim_end *
end_of(void *arg)
{
	struct handler_arg *a = arg;

	return &a->sim->end[a->side];
}

static void
on_reliable(void *arg, uint8_t type, const uint8_t *data, size_t n)
{
	struct handler_arg *a = arg;
	struct sim_end *e = end_of(arg);
	uint64_t sent_us;
	uint32_t number;

	must(type == RELIABLE_TYPE && n >= sizeof(sent_us) + sizeof(number));
	memcpy(&sent_us, data, sizeof(sent_us));
	memcpy(&number, data + sizeof(sent_us), sizeof(number));
	must(number == e->reliable_got);
	e->reliable_took_us[e->reliable_got++] = (uint32_t)(sim_now_us(a->sim) - sent_us);
}

static void
on_media(void *arg, uint32_t channel, const uint8_t *data, size_t n)
{
	struct handler_arg *a = arg;

	if (a->sim->on_media != NULL)
		a->sim->on_media(a->sim->media_arg, a->side, channel, data, n);
}

static void
on_wake(void *arg, struct tunnel_stream *s)
{
	(void)arg;
	sim_stream_wake(tunnel_stream_user(s));
}

static void
on_abort(void *arg, struct tunnel_stream *s, enum tunnel_why why)
{
	struct handler_arg *a = arg;

	end_of(arg)->aborted_dead += why == TUNNEL_WHY_DEAD;
	sim_stream_over(tunnel_stream_user(s), a->side, why);
}

static void
on_open(void *obj, uint64_t dir, uint64_t b)
{
	(void)b;
	sim_stream_open(obj, (enum tunnel_dir)dir);
}

static void
on_wanted(void *arg, enum tunnel_dir dir)
{
	struct handler_arg *a = arg;

	end_of(arg)->wanted++;
	sim_at(&a->sim->clock, 0, on_open, a->sim, dir, 0);
}

static void
on_state(void *arg, enum tunnel_state state)
{
	end_of(arg)->state = state;
}

static void
on_broken(void *arg)
{
	end_of(arg)->broken++;
}

/* -- Datagrams -- */

#define UDP_HEADERS 28

struct sim_datagram {
	struct sim_datagram *next, **prev;
	struct sim *sim;
	int to;
	size_t n;
	uint8_t bytes[2048];
};

static void
datagram_free(struct sim_datagram *d)
{
	*d->prev = d->next;
	if (d->next != NULL)
		d->next->prev = d->prev;
	mem_free(d);
}

static void
on_arrival(void *obj, uint64_t a, uint64_t b)
{
	static const struct addr server = { .u.in4 = { .sin_family = AF_INET, .sin_port = 1 } };
	struct sim_datagram *d = obj;
	struct sim *s = d->sim;
	const struct addr *from = d->to == SIM_SERVER ? &s->udp_from : &server;

	(void)a, (void)b;
	must(tunnel_datagram_input(s->end[d->to].t, d->bytes, d->n, from, sim_now_us(s)) >= 0);
	s->end[d->to].touched = true;
	datagram_free(d);
}

static void
on_datagram(void *arg, const uint8_t *data, size_t n)
{
	struct handler_arg *h = arg;
	struct sim *s = h->sim;
	uint64_t at = sim_line_pass(&s->line, h->side == SIM_CLIENT ? 0 : 1, n + UDP_HEADERS);
	struct sim_datagram *d;

	s->udp_n[h->side]++;
	if (at == CLOCK_NEVER || s->udp_blocked ||
	    sim_uniform(&s->clock) * 100 < s->udp_loss_pct[h->side])
		return;
	d = mem_zalloc(sizeof(*d));
	d->sim = s;
	d->to = !h->side;
	d->n = n;
	must(n <= sizeof(d->bytes));
	memcpy(d->bytes, data, n);
	d->prev = &s->flying;
	d->next = s->flying;
	if (d->next != NULL)
		d->next->prev = &d->next;
	s->flying = d;
	sim_at(&s->clock, at, on_arrival, d, 0, 0);
}

/* Both ends agree at once; the server knows it before. */
static void
on_rekey(void *arg)
{
	struct sim *s = ((struct handler_arg *)arg)->sim;
	struct tunnel_grant grant = *tunnel_grant(s->end[SIM_CLIENT].t);

	grant.purpose = HANDSHAKE_REKEY;
	grant.key[0]++;
	for (int side = SIM_SERVER; side >= SIM_CLIENT; side--) {
		must(tunnel_rekey(s->end[side].t, &grant, sim_now_us(s)) == 0);
		s->end[side].touched = true;
	}
}

double
sim_by_datagram(struct sim *s, int side)
{
	struct sim_end *e = &s->end[side];
	const struct tunnel_stats *now = tunnel_stats(e->t);
	uint64_t sent = now->media_sent - e->batches_n;
	uint64_t datagrams = now->media_by_datagram - e->datagrams_n;
	uint64_t doubled = now->media_doubled - e->doubled_n;

	e->batches_n = now->media_sent;
	e->datagrams_n = now->media_by_datagram;
	e->doubled_n = now->media_doubled;
	return sent == 0 ? 0 : (double)(datagrams - doubled) / (double)sent;
}

/* -- Life and time -- */

void
sim_cfg_default(struct sim_cfg *cfg)
{
	*cfg = (struct sim_cfg){ .seed = 1 };
	tunnel_cfg_default(TUNNEL_CLIENT, &cfg->end[SIM_CLIENT]);
	tunnel_cfg_default(TUNNEL_SERVER, &cfg->end[SIM_SERVER]);
}

struct sim *
sim_new(const struct sim_cfg *cfg)
{
	static const struct tunnel_handlers handlers = { .on_reliable = on_reliable,
		.on_media = on_media,
		.on_wake = on_wake,
		.on_abort = on_abort,
		.on_wanted = on_wanted,
		.on_state = on_state,
		.on_broken = on_broken,
		.on_rekey = on_rekey,
		.on_datagram = on_datagram };
	struct tunnel_grant grant = { .agent = "office",
		.session = 0x1234,
		/* Datagrams need a seal; the streams alone are faster without. */
		.cipher = cfg->datagrams ? CIPHER_AES_256_GCM : CIPHER_NONE,
		.key = { 1, 2, 3 } };
	struct sim *s = mem_zalloc(sizeof(*s));

	s->cfg = *cfg;
	sim_clock_init(&s->clock, cfg->seed);
	sim_line_init(&s->line, &s->clock);
	sim_set_rtt(s, 40);
	for (int side = 0; side < 2; side++) {
		struct tunnel_cfg tc = cfg->end[side];

		tc.seed += cfg->seed;
		args[side] = (struct handler_arg){ s, side };
		s->end[side].t = tunnel_new(&tc, &handlers, &args[side], &grant, sim_now_us(s));
		s->end[side].touched = true;
		if (cfg->datagrams)
			must(tunnel_datagrams_start(s->end[side].t, sim_now_us(s)) == 0);
	}
	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++)
		tunnel_set_bounded(s->end[SIM_CLIENT].t, dir, cfg->bounded[dir], sim_now_us(s));
	must(addr_parse("198.51.100.7:40000", 0, &s->udp_from) == 0);
	return s;
}

void
sim_free(struct sim *s)
{
	sim_stream_free_all(s);
	while (s->flying != NULL)
		datagram_free(s->flying);
	for (int side = 0; side < 2; side++)
		tunnel_free(s->end[side].t);
	sim_clock_free(&s->clock);
	mem_free(s);
}

/* What a daemon does at the end of a turn of its loop. */
static void
turn(struct sim *s)
{
	uint64_t now = sim_now_us(s);

	sim_stream_pump_all(s);
	for (int side = 0; side < 2; side++) {
		struct sim_end *e = &s->end[side];

		if (!e->touched && e->deadline_us > now)
			continue;
		e->touched = false;
		tunnel_flush(e->t, now);
		if (tunnel_deadline(e->t) <= now)
			tunnel_tick(e->t, now);
		sim_stream_pump_all(s);
		e->touched = false;
		e->deadline_us = tunnel_deadline(e->t);
	}
}

static uint64_t
next_us(const struct sim *s)
{
	uint64_t due = sim_next_us(&s->clock);

	for (int side = 0; side < 2; side++) {
		const struct sim_end *e = &s->end[side];

		if (e->touched)
			due = 0;
		else if (e->deadline_us < due)
			due = e->deadline_us;
	}
	return s->pumps != NULL ? 0 : due;
}

void
sim_run(struct sim *s, uint64_t us)
{
	uint64_t until = sim_now_us(s) + us, due;
	unsigned turns_n = 0;

	while ((due = next_us(s)) <= until) {
		turns_n = due > sim_now_us(s) ? 0 : turns_n + 1;
		must(turns_n < TURNS_MAX);
		if (due > sim_now_us(s))
			s->clock.now_us = due;
		while (sim_next_us(&s->clock) <= sim_now_us(s))
			sim_step(&s->clock);
		turn(s);
	}
	s->clock.now_us = until;
}

/* -- What a test does -- */

int
sim_send(struct sim *s, int side, size_t n)
{
	static uint8_t payload[TUNNEL_RELIABLE_MAX];
	struct sim_end *e = &s->end[side];
	uint64_t now = sim_now_us(s);
	int err;

	must(n >= 12 && n <= sizeof(payload) && e->reliable_sent < SIM_RELIABLE_MAX);
	memcpy(payload, &now, sizeof(now));
	memcpy(payload + sizeof(now), &e->reliable_sent, sizeof(e->reliable_sent));
	err = tunnel_send(e->t, RELIABLE_TYPE, payload, n, now);
	e->reliable_sent += err == 0;
	e->touched = true;
	return err;
}

void
sim_busy(struct sim *s, bool busy)
{
	for (int side = 0; side < 2; side++) {
		tunnel_set_busy(s->end[side].t, busy, sim_now_us(s));
		s->end[side].touched = true;
	}
}

void
sim_set_rtt(struct sim *s, double rtt_ms)
{
	s->line.set[0].delay_ms = s->line.set[1].delay_ms = rtt_ms / 2;
}

void
sim_set_loss(struct sim *s, double percent)
{
	s->line.set[0].loss_pct = s->line.set[1].loss_pct = percent;
}

static void
on_light(void *obj, uint64_t a, uint64_t b)
{
	struct sim *s = obj;

	(void)a, (void)b;
	s->line.set[0].on = s->line.set[1].on = 1;
}

void
sim_black(struct sim *s, uint64_t us)
{
	s->line.set[0].on = s->line.set[1].on = 0;
	sim_at(&s->clock, sim_now_us(s) + us, on_light, s, 0, 0);
}
