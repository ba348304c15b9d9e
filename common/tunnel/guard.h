/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_GUARD_H
#define VOFW_TUNNEL_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Keeps the tunnel from being the reason why its own voice is late. It measures the round trip by
 * acknowledged batches and its minimum. When the round trip has grown, something waits in the line,
 * and what we add on top of voice makes it worse: redundancy is then held back. When more is on its
 * way than the line could hold without a queue, new voice is dropped, for in the queue it would only
 * make the rest late. Pure; fixed memory.
 *
 * A way that became longer looks at first like a queue. It is told from one by standing still: a
 * round trip that is higher but does not grow, while nothing was dropped for it, is the new minimum.
 */

#define GUARD_SAMPLES_MAX 32

struct guard {
	/* The round trip: medians of windows of samples, smoothed. */
	uint32_t samples[GUARD_SAMPLES_MAX];
	size_t samples_n;
	uint64_t window_us; /* when the window began */
	uint64_t srtt_us;   /* 0 = not measured */
	/* Its minimum: of this half-minute and the one before. */
	uint64_t min_us[2]; /* CLOCK_NEVER = none yet */
	uint64_t half_us;   /* when this half began */
	/* A round trip above the minimum: since when, and between which values it stood. */
	uint64_t above_us; /* CLOCK_NEVER = it is not */
	uint64_t still_us; /* since when it stands still */
	uint64_t low_us, high_us;
	/* Redundancy is held back until then, and next time for so long. */
	uint64_t off_until_us, off_for_us, tripped_us;
	/* Too much on its way. */
	uint64_t over_us;    /* since when; CLOCK_NEVER = it is not, nor was it lately */
	uint64_t excess_us;  /* when last */
	uint64_t dropped_us; /* when a batch was last refused; 0 = never */
};

void guard_init(struct guard *g, uint64_t now_us);

/* A batch was acknowledged rtt_us after it was written. */
void guard_sample(struct guard *g, uint64_t rtt_us, uint64_t now_us);

/* May more be sent than voice needs? No for 2 s after the round trip was last more than 40 ms above
 * its minimum, each time twice as long, up to 32 s; a minute in peace forgets that. */
bool guard_spare(const struct guard *g, uint64_t now_us);

/*
 * May a new batch of voice leave, with `in_flight` batches not acknowledged, at batches_per_s (0 =
 * not known: yes)? There is room for 4 + rate x (minimum + 60 ms); and for 200 ms instead of 60 during the first 2.5 s,
 * in which a longer way shows itself. Remembers that it refused.
 */
bool guard_admit(struct guard *g, size_t in_flight, double batches_per_s, uint64_t now_us);

/* The line holds less than is sent, now or within the last second. */
bool guard_congested(const struct guard *g, uint64_t now_us);

uint64_t guard_min_us(const struct guard *g); /* 0 = not measured */

#endif
