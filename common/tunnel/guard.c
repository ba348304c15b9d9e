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
#define ROOM_US (60 * CLOCK_MS)
#define ROOM_EARLY_US (200 * CLOCK_MS)
#define EARLY_US (2500 * CLOCK_MS)
#define OVER_FORGET_US (5 * CLOCK_S)
#define ROOM_BATCHES 4

void
guard_init(struct guard *g, uint64_t now_us)
{
	*g = (struct guard){ .min_us = { CLOCK_NEVER, CLOCK_NEVER },
		.half_us = now_us,
		.above_us = CLOCK_NEVER,
		.off_for_us = OFF_MIN_US,
		.over_us = CLOCK_NEVER };
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
	g->above_us = g->over_us = CLOCK_NEVER;
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

static void
on_window(struct guard *g, uint64_t rtt_us, uint64_t now_us)
{
	uint64_t min;

	g->srtt_us = g->srtt_us == 0 ? rtt_us : (3 * g->srtt_us + rtt_us) / 4;
	follow_minimum(g, rtt_us, now_us);
	min = guard_min_us(g);
	if (g->srtt_us <= min + ABOVE_US) {
		g->above_us = CLOCK_NEVER;
		return;
	}
	trip(g, now_us);
	if (stands_still(g, rtt_us, now_us))
		new_minimum(g, g->low_us, now_us);
}

void
guard_sample(struct guard *g, uint64_t rtt_us, uint64_t now_us)
{
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

bool
guard_spare(const struct guard *g, uint64_t now_us)
{
	return now_us >= g->off_until_us && g->above_us == CLOCK_NEVER &&
	    !within(g->dropped_us, CLOCK_S, now_us);
}

static double
room(uint64_t line_us, double batches_per_s)
{
	return ROOM_BATCHES + batches_per_s * (double)line_us / CLOCK_S;
}

bool
guard_admit(struct guard *g, size_t in_flight, double batches_per_s, uint64_t now_us)
{
	uint64_t min = guard_min_us(g);

	if (min == 0 || batches_per_s <= 0)
		return true;
	if ((double)in_flight <= room(min + ROOM_US, batches_per_s)) {
		/* A moment of relief does not begin the patience anew. */
		if (!within(g->excess_us, OVER_FORGET_US, now_us))
			g->over_us = CLOCK_NEVER;
		return true;
	}
	g->excess_us = now_us;
	if (g->over_us == CLOCK_NEVER)
		g->over_us = now_us;
	if (now_us - g->over_us < EARLY_US &&
	    (double)in_flight <= room(min + ROOM_EARLY_US, batches_per_s))
		return true;
	g->dropped_us = now_us;
	return false;
}

bool
guard_congested(const struct guard *g, uint64_t now_us)
{
	return g->above_us != CLOCK_NEVER || within(g->dropped_us, CLOCK_S, now_us);
}
