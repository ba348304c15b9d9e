/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/support/sim_voice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "media/media.h"

#define BIN_US 100
#define BINS_N 30000 /* 3 s; later counts as that */
#define SLOT_US 20000ULL
#define PLAYOUT_US (60 * CLOCK_MS)
#define HEARD_SLOTS 10
#define HEARD_SHARE 0.95

struct voice_packet {              /* what the payload begins with */
	uint64_t sent_us, line_us; /* when it was sent, and the line's delay then */
	uint32_t number, judged;   /* number: of this way */
};

struct voice_slot {
	uint32_t sent, good; /* of the packets sent in these 20 ms; that came in time */
};

struct voice_way {
	uint32_t bins[BINS_N + 1]; /* by what the packet took beyond the line's own delay */
	uint64_t sent, got, next_number, min_line_us;
	uint8_t *seen; /* a bit for each number */
	size_t seen_cap;
	struct voice_slot *slots;
	size_t slots_cap;
};

struct sim_voice {
	struct sim *sim;
	bool udp, judging;
	unsigned calls, scheduled;
	uint64_t start_us;
	uint64_t begin_bytes, bytes;
	struct voice_way way[2];
};

static struct voice_slot *
slot(struct voice_way *w, uint64_t i)
{
	if (i >= w->slots_cap) {
		size_t cap = 2 * (size_t)i + 1024;

		w->slots = mem_realloc(w->slots, cap * sizeof(*w->slots));
		memset(w->slots + w->slots_cap, 0, (cap - w->slots_cap) * sizeof(*w->slots));
		w->slots_cap = cap;
	}
	return &w->slots[i];
}

/* Whether the packet comes for the first time. */
static bool
fresh(struct voice_way *w, uint32_t number)
{
	if (number / 8 >= w->seen_cap) {
		size_t cap = 2 * (number / 8) + 1024;

		w->seen = mem_realloc(w->seen, cap);
		memset(w->seen + w->seen_cap, 0, cap - w->seen_cap);
		w->seen_cap = cap;
	}
	if ((w->seen[number / 8] >> number % 8 & 1) != 0)
		return false;
	w->seen[number / 8] |= (uint8_t)(1u << number % 8);
	return true;
}

static void
arrived(struct sim_voice *v, int dir, const struct voice_packet *p)
{
	struct voice_way *w = &v->way[dir];
	uint64_t now = sim_now_us(v->sim), took = now - p->sent_us;
	uint64_t over = took > p->line_us ? took - p->line_us : 0;

	if (!fresh(w, p->number)) {
		fprintf(stderr, "sim_voice: a packet came twice\n");
		abort();
	}
	slot(w, p->sent_us / SLOT_US)->good += over <= PLAYOUT_US;
	if (!p->judged)
		return;
	w->got++;
	w->bins[over / BIN_US < BINS_N ? over / BIN_US : BINS_N]++;
}

static void
on_media(void *arg, int side, uint32_t channel, const uint8_t *data, size_t n)
{
	struct voice_packet p;

	(void)channel, (void)n;
	memcpy(&p, data, sizeof(p));
	arrived(arg, side == SIM_SERVER ? TUNNEL_UP : TUNNEL_DOWN, &p);
}

/* -- Plain UDP -- */

/* An event has room for two numbers: the packet is folded into the second one. */
static uint64_t
fold(const struct voice_packet *p, int dir)
{
	return (uint64_t)p->number | (uint64_t)dir << 32 | (uint64_t)p->judged << 33 |
	    p->line_us << 34;
}

static void
on_udp(void *obj, uint64_t sent_us, uint64_t folded)
{
	struct voice_packet p = { .sent_us = sent_us,
		.line_us = folded >> 34,
		.number = (uint32_t)folded,
		.judged = folded >> 33 & 1 };

	arrived(obj, folded >> 32 & 1, &p);
}

static void
send_udp(struct sim_voice *v, int dir, const struct voice_packet *p)
{
	uint64_t at = sim_line_pass(&v->sim->line, dir, SIM_VOICE_UDP_LEN);

	if (at != CLOCK_NEVER)
		sim_at(&v->sim->clock, at, on_udp, v, p->sent_us, fold(p, dir));
}

/* -- Sending -- */

static void
send_packet(struct sim_voice *v, uint32_t call, int dir)
{
	struct voice_way *w = &v->way[dir];
	struct voice_packet p = { .sent_us = sim_now_us(v->sim),
		.line_us = (uint64_t)(v->sim->line.set[dir].delay_ms * 1e3),
		.number = (uint32_t)w->next_number++,
		.judged = v->judging };
	int side = dir == TUNNEL_UP ? SIM_CLIENT : SIM_SERVER;
	uint8_t payload[SIM_VOICE_LEN] = { 0 };

	w->sent += p.judged;
	if (p.judged && p.line_us < w->min_line_us)
		w->min_line_us = p.line_us;
	slot(w, p.sent_us / SLOT_US)->sent++;
	if (v->udp) {
		send_udp(v, dir, &p);
		return;
	}
	memcpy(payload, &p, sizeof(p));
	/* What it refuses was sent by the phone all the same, and is lost. */
	(void)tunnel_send_media(v->sim->end[side].t, 2 * call, payload, sizeof(payload), p.sent_us);
	v->sim->end[side].touched = true;
}

static void
on_phone(void *obj, uint64_t call, uint64_t dir)
{
	struct sim_voice *v = obj;

	if (call >= v->calls)
		return;
	send_packet(v, (uint32_t)call, (int)dir);
	sim_at(&v->sim->clock, sim_now_us(v->sim) + SIM_VOICE_PERIOD_US, on_phone, v, call, dir);
}

void
sim_voice_calls(struct sim_voice *v, unsigned calls)
{
	uint64_t now = sim_now_us(v->sim);

	if (!v->udp)
		sim_busy(v->sim, calls > 0);
	/* Those above the old number had stopped by themselves within a period. */
	for (unsigned i = v->calls; i < calls; i++)
		for (uint64_t dir = 0; dir < 2; dir++)
			sim_at(&v->sim->clock,
			    now + (2 * i + dir) * SIM_VOICE_PERIOD_US / (2 * calls), on_phone, v, i,
			    dir);
	v->calls = calls;
}

/* -- Life -- */

struct sim_voice *
sim_voice_new(struct sim *s, unsigned calls, bool udp)
{
	struct sim_voice *v = mem_zalloc(sizeof(*v));

	v->sim = s;
	v->udp = udp;
	if (!udp) {
		s->on_media = on_media;
		s->media_arg = v;
	}
	sim_voice_calls(v, calls);
	return v;
}

void
sim_voice_free(struct sim_voice *v)
{
	for (int dir = 0; dir < 2; dir++) {
		mem_free(v->way[dir].seen);
		mem_free(v->way[dir].slots);
	}
	mem_free(v);
}

static uint64_t
line_bytes(const struct sim_voice *v)
{
	return v->sim->line.facts[0].bytes + v->sim->line.facts[1].bytes;
}

void
sim_voice_begin(struct sim_voice *v)
{
	v->judging = true;
	v->begin_bytes = line_bytes(v);
	v->start_us = sim_now_us(v->sim);
	for (int dir = 0; dir < 2; dir++) {
		struct voice_way *w = &v->way[dir];

		memset(w->bins, 0, sizeof(w->bins));
		w->sent = w->got = 0;
		w->min_line_us = CLOCK_NEVER;
	}
}

void
sim_voice_end(struct sim_voice *v)
{
	v->judging = false;
	v->bytes = line_bytes(v) - v->begin_bytes;
	sim_run(v->sim, 2 * CLOCK_S);
}

/* -- Reports -- */

static size_t
min_bin(const struct voice_way *w)
{
	size_t i = 0;

	while (i < BINS_N && w->bins[i] == 0)
		i++;
	return i;
}

static uint64_t
later_than(const struct voice_way *w, uint64_t us)
{
	uint64_t n = w->sent - w->got;

	for (size_t i = min_bin(w) + us / BIN_US + 1; i <= BINS_N; i++)
		n += w->bins[i];
	return n;
}

static double
quantile_ms(const struct voice_way *w, double q)
{
	uint64_t left = (uint64_t)(q * (double)w->got);
	size_t i = 0;

	if (left >= w->got && w->got > 0)
		left = w->got - 1;
	for (; i < BINS_N && w->bins[i] <= left; i++)
		left -= w->bins[i];
	return (double)(i * BIN_US + w->min_line_us) / 1e3;
}

static double
larger(double a, double b)
{
	return a > b ? a : b;
}

static void
report_way(const struct voice_way *w, struct sim_voice_report *out)
{
	double sent = w->sent > 0 ? (double)w->sent : 1;

	out->sent += w->sent;
	out->got += w->got;
	out->late60 += (double)later_than(w, 60 * CLOCK_MS) / sent;
	out->late100 += (double)later_than(w, 100 * CLOCK_MS) / sent;
	out->lost += (double)(w->sent - w->got) / sent;
	out->min_ms = larger(out->min_ms, (double)(min_bin(w) * BIN_US + w->min_line_us) / 1e3);
	out->p50_ms = larger(out->p50_ms, quantile_ms(w, 0.5));
	out->p99_ms = larger(out->p99_ms, quantile_ms(w, 0.99));
	out->max_ms = larger(out->max_ms, quantile_ms(w, 1));
}

void
sim_voice_report(const struct sim_voice *v, int way, struct sim_voice_report *out)
{
	unsigned n = 0;

	*out = (struct sim_voice_report){ 0 };
	for (int dir = 0; dir < 2; dir++)
		if (way == dir || way == 2) {
			report_way(&v->way[dir], out);
			n++;
		}
	out->late60 /= n;
	out->late100 /= n;
	out->lost /= n;
	out->mos = media_mos(20 + out->min_ms + 60, out->late60);
	out->bytes = (double)v->bytes / (double)(v->way[0].sent + v->way[1].sent);
}

static double
slots_late(const struct sim_voice *v, uint64_t from, uint64_t to)
{
	uint64_t sent = 0, good = 0;

	for (int dir = 0; dir < 2; dir++)
		for (uint64_t i = from; i < to && i < v->way[dir].slots_cap; i++) {
			sent += v->way[dir].slots[i].sent;
			good += v->way[dir].slots[i].good;
		}
	return sent == 0 ? 0 : 1 - (double)good / (double)sent;
}

double
sim_voice_late(const struct sim_voice *v, uint64_t from_us, uint64_t to_us)
{
	return slots_late(v, from_us / SLOT_US, to_us / SLOT_US);
}

uint64_t
sim_voice_recovery_us(const struct sim_voice *v, uint64_t since_us)
{
	uint64_t now = sim_now_us(v->sim) / SLOT_US;

	for (uint64_t i = (since_us + SLOT_US - 1) / SLOT_US; i + HEARD_SLOTS <= now; i++)
		if (slots_late(v, i, i + 1) <= 1 - HEARD_SHARE &&
		    slots_late(v, i, i + HEARD_SLOTS) <= 1 - HEARD_SHARE)
			return i * SLOT_US - since_us +
			    (uint64_t)(v->sim->line.set[0].delay_ms * 1e3);
	return CLOCK_NEVER;
}
