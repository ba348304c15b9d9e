/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/guard.h"

#include <string.h>

#include "base/clock.h"

#define WINDOW_MIN 8 /* samples */
#define WINDOW_US (40 * CLOCK_MS)
#define WINDOW_LONG_US (500 * CLOCK_MS) /* then fewer samples must do */
#define HALF_US (30 * CLOCK_S)
#define ABOVE_US (40 * CLOCK_MS)
#define STILL_US (10 * CLOCK_MS) /* or an eighth: no growth */
#define STILL_FOR_US (2 * CLOCK_S)
#define OFF_MIN_US (2 * CLOCK_S)
#define OFF_MAX_US (32 * CLOCK_S)
#define PEACE_US (60 * CLOCK_S)
#define TRIAL_US (4 * CLOCK_S) /* redundancy is on again, but only on trial */
#define TRIAL_GROWTH_US (12 * CLOCK_MS)
#define CALM_US (500 * CLOCK_MS)
#define ROOM_US (60 * CLOCK_MS)
#define ROOM_LONGER_US (200 * CLOCK_MS) /* a way may have become longer by so much at once */
#define LONGER_US (2500 * CLOCK_MS)
#define ROOM_BATCHES 4
#define OVERTAKEN_US (20 * CLOCK_MS) /* what is told together comes in any order */
#define ALONE_US CLOCK_S             /* without any so long: then all count */
#define PAUSE_US (40 * CLOCK_MS)
#define PROBE_US (500 * CLOCK_MS) /* and two round trips: so long it takes to see what it does */
#define PROBE_RTT_MAX_US (600 * CLOCK_MS)
#define PROBE_GROWTH_US (20 * CLOCK_MS)
#define PROBE_WAIT_MIN_US CLOCK_S
#define PROBE_WAIT_MAX_US (64 * CLOCK_S)
#define COUNT_US (500 * CLOCK_MS)
#define SHARE_MIN 0.05
#define DROPPING_US CLOCK_S
#define DROPPING_SHARE 25 /* one in so many */
#define DROPPING_MIN 6

void
guard_init(struct guard *g, uint64_t rtt_us, uint64_t now_us)
{
	*g = (struct guard){ .min_us = { rtt_us != 0 ? rtt_us : CLOCK_NEVER, CLOCK_NEVER },
		.half_us = now_us,
		.paused_us = now_us,
		.shares = { 1 },
		.above_us = CLOCK_NEVER,
		.off_for_us = OFF_MIN_US,
		.probe_wait_us = PROBE_WAIT_MIN_US };
}

uint64_t
guard_newest_us(const struct guard *g)
{
	return g->newest_us;
}

uint64_t
guard_min_us(const struct guard *g)
{
	uint64_t min = g->min_us[0] < g->min_us[1] ? g->min_us[0] : g->min_us[1];

	return min == CLOCK_NEVER ? 0 : min;
}

static bool
within(uint64_t then_us, uint64_t span_us, uint64_t now_us)
{
	return then_us != 0 && now_us - then_us < span_us;
}

/* -- The round trip -- */

/* A lost segment makes a few samples long; the median does not see them. */
static uint64_t
take_median(struct guard *g)
{
	uint32_t *s = g->samples;

	for (size_t i = 1; i < g->samples_n; i++)
		for (size_t j = i; j > 0 && s[j] < s[j - 1]; j--) {
			uint32_t v = s[j];

			s[j] = s[j - 1];
			s[j - 1] = v;
		}
	return s[g->samples_n / 2];
}

static void
new_minimum(struct guard *g, uint64_t rtt_us, uint64_t now_us)
{
	g->min_us[0] = g->min_us[1] = rtt_us;
	g->half_us = now_us;
	g->above_us = CLOCK_NEVER;
	g->probe_until_us = 0;
	g->probe_wait_us = PROBE_WAIT_MIN_US;
}

static void
follow_minimum(struct guard *g, uint64_t rtt_us, uint64_t now_us)
{
	/* While voice is dropped the queue is our own doing; it must not pass for the way. */
	if (now_us - g->half_us >= HALF_US && !within(g->dropped_us, HALF_US, now_us)) {
		g->min_us[1] = g->min_us[0];
		g->min_us[0] = CLOCK_NEVER;
		g->half_us = now_us;
	}
	if (rtt_us < g->min_us[0])
		g->min_us[0] = rtt_us;
}

static void
trip(struct guard *g, uint64_t now_us)
{
	if (now_us < g->off_until_us) {
		/* Still above at the end of its time: it begins again then. */
		g->tripped_us = now_us;
		return;
	}
	if (g->tripped_us != 0 && now_us - g->tripped_us < PEACE_US)
		g->off_for_us = g->off_for_us * 2 < OFF_MAX_US ? g->off_for_us * 2 : OFF_MAX_US;
	else
		g->off_for_us = OFF_MIN_US;
	g->tripped_us = now_us;
	g->off_until_us = now_us + g->off_for_us;
}

/* Whether a higher round trip has stood still for long enough to be the way itself. */
static bool
stands_still(struct guard *g, uint64_t rtt_us, uint64_t now_us)
{
	uint64_t span_us;

	if (g->above_us == CLOCK_NEVER) {
		g->above_us = now_us;
		g->low_us = UINT64_MAX;
		g->high_us = 0;
		g->still_us = now_us;
	}
	if (rtt_us < g->low_us)
		g->low_us = rtt_us;
	if (rtt_us > g->high_us)
		g->high_us = rtt_us;
	span_us = g->low_us / 8 > STILL_US ? g->low_us / 8 : STILL_US;
	if (g->high_us - g->low_us > span_us || within(g->dropped_us, STILL_FOR_US, now_us)) {
		g->low_us = g->high_us = rtt_us;
		g->still_us = now_us;
	}
	return now_us - g->still_us >= STILL_FOR_US;
}

/* The highest median of the last second without redundancy, nearly: what is no growth. */
static void
follow_calm(struct guard *g, uint64_t rtt_us, uint64_t now_us)
{
	if (now_us - g->calm_half_us >= CALM_US) {
		g->calm_us[1] = g->calm_us[0];
		g->calm_us[0] = 0;
		g->calm_half_us = now_us;
	}
	if (rtt_us > g->calm_us[0])
		g->calm_us[0] = rtt_us;
}

static bool
grows_on_trial(const struct guard *g, uint64_t rtt_us, uint64_t now_us)
{
	uint64_t calm = g->calm_us[0] > g->calm_us[1] ? g->calm_us[0] : g->calm_us[1];

	return within(g->off_until_us, TRIAL_US, now_us) && rtt_us > calm + TRIAL_GROWTH_US;
}

/* The round trip while all is let through: it grew, so it was a queue; or it did not. */
static void
follow_probe(struct guard *g, uint64_t rtt_us, uint64_t now_us)
{
	if (g->probe_until_us == 0)
		return;
	if (rtt_us > g->probe_us + PROBE_GROWTH_US)
		g->probe_until_us = 0;
	else if (now_us >= g->probe_until_us)
		new_minimum(g, rtt_us < g->probe_us ? rtt_us : g->probe_us, now_us);
}

static void
on_window(struct guard *g, uint64_t rtt_us, uint64_t now_us)
{
	uint64_t min;

	g->median_us = rtt_us;
	g->srtt_us = g->srtt_us == 0 ? rtt_us : (3 * g->srtt_us + rtt_us) / 4;
	follow_minimum(g, rtt_us, now_us);
	follow_probe(g, rtt_us, now_us);
	if (now_us < g->off_until_us)
		follow_calm(g, rtt_us, now_us);
	else if (grows_on_trial(g, rtt_us, now_us))
		trip(g, now_us);
	min = guard_min_us(g);
	if (g->srtt_us <= min + ABOVE_US) {
		g->above_us = CLOCK_NEVER;
		return;
	}
	trip(g, now_us);
	if (stands_still(g, rtt_us, now_us))
		new_minimum(g, g->low_us, now_us);
}

/* Whether the acknowledgements pause, having last come then. */
static bool
pausing(const struct guard *g, uint64_t now_us)
{
	return g->heard_us != 0 && now_us - g->heard_us > PAUSE_US + 2 * g->every_us;
}

static void
hear(struct guard *g, uint64_t now_us)
{
	if (pausing(g, now_us))
		g->paused_us = now_us;
	else if (g->heard_us != 0)
		g->every_us = (7 * g->every_us + (now_us - g->heard_us)) / 8;
	g->heard_us = now_us;
}

void
guard_sample(struct guard *g, uint64_t rtt_us, bool alone, uint64_t now_us)
{
	hear(g, now_us);
	if (now_us - rtt_us > g->newest_us)
		g->newest_us = now_us - rtt_us;
	if (alone)
		g->alone_us = now_us;
	if (now_us - rtt_us + OVERTAKEN_US < g->newest_us ||
	    (!alone && within(g->alone_us, ALONE_US, now_us)))
		return;
	if (g->samples_n == 0)
		g->window_us = now_us;
	if (g->samples_n == GUARD_SAMPLES_MAX)
		memmove(g->samples, g->samples + 1, --g->samples_n * sizeof(*g->samples));
	g->samples[g->samples_n++] = rtt_us < UINT32_MAX ? (uint32_t)rtt_us : UINT32_MAX;
	if ((g->samples_n < WINDOW_MIN || now_us - g->window_us < WINDOW_US) &&
	    now_us - g->window_us < WINDOW_LONG_US && g->srtt_us != 0)
		return;
	rtt_us = take_median(g);
	g->samples_n = 0;
	on_window(g, rtt_us, now_us);
}

/* -- What may leave -- */

/* A batch or two that are refused now and then, behind a burst of losses, are no full line. */
static bool
dropping(const struct guard *g, uint64_t now_us)
{
	return within(g->dropped_us, DROPPING_US, now_us) && g->dropped_n >= DROPPING_MIN &&
	    g->dropped_n * DROPPING_SHARE >= g->asked_n;
}

bool
guard_spare(const struct guard *g, uint64_t now_us)
{
	return now_us >= g->off_until_us && g->above_us == CLOCK_NEVER && !dropping(g, now_us);
}

/*
 * Which share of what was to leave came out of the line: what went in, less by how much more is on its
 * way than before.
 */
static void
follow_delivery(struct guard *g, size_t in_flight, uint64_t now_us)
{
	double came, share = 1;

	if (now_us - g->count_us < COUNT_US)
		return;
	came = (double)g->admitted_n + (double)g->counted_in_flight - (double)in_flight;
	/* After a silence of our own it tells nothing. */
	if (now_us - g->count_us < 2 * COUNT_US && came < (double)g->offered_n)
		share = came / (double)g->offered_n;
	memmove(g->shares + 1, g->shares, sizeof(g->shares) - sizeof(*g->shares));
	g->shares[0] = share;
	g->count_us = now_us;
	g->admitted_n = g->offered_n = 0;
	g->counted_in_flight = in_flight;
}

static double
carried_share(const struct guard *g)
{
	double most = SHARE_MIN;

	for (size_t i = 0; i < GUARD_SHARES; i++)
		if (g->shares[i] > most)
			most = g->shares[i];
	return most;
}

static double
room(uint64_t line_us, double batches_per_s)
{
	return ROOM_BATCHES + batches_per_s * (double)line_us / CLOCK_S;
}

static bool
refuse(struct guard *g, uint64_t now_us)
{
	if (!within(g->dropped_us, DROPPING_US, now_us)) {
		g->dropping_us = now_us;
		g->asked_n = g->dropped_n = 0;
	}
	g->dropped_us = now_us;
	g->dropped_n++;
	return false;
}

/* Much is refused and has been for a while: is it the way after all? */
static void
probe(struct guard *g, uint64_t now_us)
{
	uint64_t rtt_us = g->median_us > g->srtt_us ? g->median_us : g->srtt_us;

	if (g->probe_until_us != 0 || now_us < g->probe_next_us || rtt_us > PROBE_RTT_MAX_US ||
	    !within(g->dropped_us, DROPPING_US, now_us) || now_us - g->dropping_us < DROPPING_US ||
	    g->dropped_n * DROPPING_SHARE < g->asked_n)
		return;
	g->probe_until_us = now_us + PROBE_US + 2 * rtt_us;
	g->probe_us = rtt_us;
	g->probe_next_us = g->probe_until_us + g->probe_wait_us;
	g->probe_wait_us =
	    g->probe_wait_us * 2 < PROBE_WAIT_MAX_US ? g->probe_wait_us * 2 : PROBE_WAIT_MAX_US;
}

static bool
has_room(struct guard *g, size_t in_flight, double batches_per_s, uint64_t now_us)
{
	uint64_t min = guard_min_us(g);
	double n = (double)in_flight;

	if (min == 0 || batches_per_s <= 0 ||
	    n <= room(min + ROOM_US, batches_per_s * carried_share(g)))
		return true;
	if ((pausing(g, now_us) || within(g->paused_us, LONGER_US, now_us)) &&
	    n <= room(min + ROOM_LONGER_US, batches_per_s))
		return true;
	probe(g, now_us);
	return g->probe_until_us != 0 && n <= room(g->probe_us + ROOM_US, batches_per_s);
}

bool
guard_admit(struct guard *g, size_t in_flight, double batches_per_s, uint64_t now_us)
{
	g->asked_n++;
	g->offered_n++;
	follow_delivery(g, in_flight, now_us);
	if (has_room(g, in_flight, batches_per_s, now_us)) {
		g->admitted_n++;
		return true;
	}
	/* In a cut it is lost either way, and says nothing of the line. */
	return pausing(g, now_us) ? false : refuse(g, now_us);
}

bool
guard_congested(const struct guard *g, uint64_t now_us)
{
	return g->above_us != CLOCK_NEVER || dropping(g, now_us);
}
