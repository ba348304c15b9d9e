/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/bench/wan_line.h"

#include <math.h>
#include <string.h>

#define NS_PER_MS 1e6
#define DEVIATIONS 3.0 /* of the normal jitter, from its mean to either end */
#define IDLE_NS 1000000000

static int64_t
ns(double ms)
{
	return (int64_t)llround(ms * NS_PER_MS);
}

/* splitmix64. */
static uint64_t
draw(struct line *l)
{
	uint64_t z = l->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* 0 <= x < 1. */
static double
draw_unit(struct line *l)
{
	return (double)(draw(l) >> 11) * 0x1p-53;
}

/* The quantile `u` of the normal distribution, cut to +-DEVIATIONS and moved to 0..1. */
static double
normal_quantile(double u)
{
	double low = -DEVIATIONS, high = DEVIATIONS;

	for (int i = 0; i < 40; i++) {
		double z = (low + high) / 2;

		if (0.5 * erfc(-z * M_SQRT1_2) < u)
			low = z;
		else
			high = z;
	}
	return 0.5 + low / (2 * DEVIATIONS);
}

void
line_init(struct line *l, uint64_t seed)
{
	memset(l, 0, sizeof(*l));
	l->random = seed;
	l->set.on = 1;
	l->set.queue_ms = 100;
	for (int i = 0; i <= LINE_SPREAD_N; i++)
		l->spread[i] = (float)normal_quantile((double)i / LINE_SPREAD_N);
}

/* The burst of the period that begins at period_from, or after it with burst_poisson. */
static void
next_burst(struct line *l)
{
	const struct line_set *s = &l->set;
	double clear_ms = s->burst_every_ms - s->burst_ms;

	if (s->burst_poisson != 0)
		l->burst_from = l->period_from - ns(clear_ms * log(1 - draw_unit(l)));
	else
		l->burst_from = l->period_from + ns(clear_ms * draw_unit(l));
	l->burst_until = l->burst_from + ns(s->burst_ms);
}

static bool
in_burst(struct line *l, int64_t at)
{
	if (l->set.burst_ms == 0)
		return false;
	while (at >= l->burst_until &&
	    (l->set.burst_poisson != 0 || at >= l->period_from + ns(l->set.burst_every_ms))) {
		l->period_from = l->set.burst_poisson != 0 ?
		    l->burst_until :
		    l->period_from + ns(l->set.burst_every_ms);
		next_burst(l);
	}
	return at >= l->burst_from && at < l->burst_until;
}

static const char *
wrong_with(const struct line_set *s)
{
	if (s->burst_ms > 0 && s->burst_every_ms < s->burst_ms)
		return "burst_every_ms is shorter than burst_ms";
	if (s->loss_pct > 100)
		return "loss_pct is above 100";
	return NULL;
}

const char *
line_change(struct line *l, const struct line_set *set, int64_t now)
{
	const char *wrong = wrong_with(set);
	struct line_set was = l->set;

	if (wrong != NULL)
		return wrong;
	l->set = *set;
	l->lost_below = (uint64_t)(set->loss_pct / 100 * 0x1p63) * 2;
	if (set->loss_pct == 100)
		l->lost_below = UINT64_MAX;
	if (l->free_at > now && set->rate_kbit != was.rate_kbit)
		l->free_at = set->rate_kbit == 0 ?
		    now :
		    now + (int64_t)((double)(l->free_at - now) * was.rate_kbit / set->rate_kbit);
	if (set->jitter_ms != was.jitter_ms)
		l->saw_len = 0;
	if (set->burst_ms != was.burst_ms || set->burst_every_ms != was.burst_every_ms ||
	    set->burst_poisson != was.burst_poisson) {
		l->period_from = now;
		next_burst(l);
	}
	return NULL;
}

/* Takes the packet into the queue: the moment at which it is on the line, or -1 if it is full. */
static int64_t
through_queue(struct line *l, size_t bytes, int64_t now)
{
	const struct line_set *s = &l->set;
	int64_t wait, took;

	if (s->rate_kbit == 0)
		return now;
	wait = l->free_at > now ? l->free_at - now : 0;
	took = ns((double)bytes * 8 / s->rate_kbit);
	if (wait > 0 && wait > ns(s->queue_ms))
		return -1;
	if (s->queue_bytes != 0 && wait > 0 && wait + took > ns(s->queue_bytes * 8 / s->rate_kbit))
		return -1;
	if (wait > l->queued_max)
		l->queued_max = wait;
	l->free_at = now + wait + took;
	return l->free_at;
}

/* How full the queue behind the jitter is at a moment, 1 to 0. */
static double
saw(struct line *l, int64_t at)
{
	if (l->saw_len == 0 || at - l->saw_from > l->saw_len + IDLE_NS) {
		l->saw_len = ns(l->set.jitter_ms * (1 + 2 * draw_unit(l)));
		l->saw_from = at - (int64_t)((double)l->saw_len * draw_unit(l));
	}
	while (at >= l->saw_from + l->saw_len) {
		l->saw_from += l->saw_len;
		l->saw_len = ns(l->set.jitter_ms * (1 + 2 * draw_unit(l)));
	}
	return 1 - (double)(at - l->saw_from) / (double)l->saw_len;
}

static int64_t
jitter(struct line *l, int64_t at)
{
	double u;

	if (l->set.jitter_ms == 0)
		return 0;
	u = l->set.reorder != 0 ? draw_unit(l) : saw(l, at);
	if (l->set.jitter_normal != 0)
		u = (double)l->spread[(int)(u * LINE_SPREAD_N)];
	return ns(l->set.jitter_ms * u);
}

enum line_fate
line_offer(struct line *l, size_t bytes, int64_t now, int64_t *release)
{
	int64_t at;

	if (l->set.on == 0)
		return LINE_OFF;
	at = through_queue(l, bytes, now);
	if (at < 0)
		return LINE_QUEUE;
	/* Drawn for every packet: bursts do not change which of the others are lost. */
	bool lost = l->lost_below != 0 && draw(l) < l->lost_below;
	if (in_burst(l, at))
		return LINE_BURST;
	if (lost)
		return LINE_LOST;
	at += ns(l->set.delay_ms) + jitter(l, at);
	if (l->set.reorder == 0 && at < l->released_at)
		at = l->released_at;
	if (at > l->released_at)
		l->released_at = at;
	*release = at;
	return LINE_PASSES;
}
