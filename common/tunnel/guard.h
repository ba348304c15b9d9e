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
 * Three things look like a queue and are none:
 *  - A batch that was lost and repeated is acknowledged late. A line keeps the order of what it
 *    carries: what later batches have overtaken tells nothing of the round trip.
 *  - In a cut no acknowledgement comes at all; behind a queue they come late, but they come.
 *  - A way that became longer. It comes with a pause of the acknowledgements, which a queue that
 *    grows does not make, and then stands still: that is the new minimum. Should voice be dropped all
 *    the same, then now and then all of it is let through for a moment: a queue grows by that, a way
 *    does not.
 */

#define GUARD_SAMPLES_MAX 32
#define GUARD_SHARES 4

struct guard {
	/* Acknowledgements. */
	uint64_t heard_us;  /* when the last one came; 0 = never */
	uint64_t every_us;  /* how often they come, smoothed */
	uint64_t paused_us; /* when they came again after a pause; 0 = never */
	uint64_t newest_us; /* when the youngest of what was acknowledged had been written */
	/* The round trip: medians of windows of samples, smoothed. */
	uint32_t samples[GUARD_SAMPLES_MAX];
	size_t samples_n;
	uint64_t window_us; /* when the window began */
	uint64_t alone_us;  /* when a batch was last acknowledged alone */
	uint64_t median_us; /* of the last one */
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
	uint64_t calm_us[2], calm_half_us; /* highest medians of this half-second and the last */
	/* Which share of what was to leave the line carried; the latest first. */
	double shares[GUARD_SHARES];
	uint64_t count_us;            /* since when is counted ... */
	size_t offered_n, admitted_n; /* ... what was to leave, what was let through, ... */
	size_t counted_in_flight;     /* ... and what was on its way then */
	/* Too much on its way. */
	uint64_t dropped_us;         /* when a batch was last refused; 0 = never */
	uint64_t dropping_us;        /* since when that goes on, ... */
	unsigned asked_n, dropped_n; /* ... how many batches were asked for, and refused */
	uint64_t probe_until_us;     /* all is let through until then; 0 = no probe is on */
	uint64_t probe_us;           /* the round trip at its beginning */
	uint64_t probe_next_us, probe_wait_us;
};

/* rtt_us: as it was when nothing was sent, the first minimum; 0 = not known. */
void guard_init(struct guard *g, uint64_t rtt_us, uint64_t now_us);

/*
 * A batch was acknowledged rtt_us after it was written. alone: no other one of its stream with it;
 * those that are may have waited together for the repetition of the first, and hardly count.
 */
void guard_sample(struct guard *g, uint64_t rtt_us, bool alone, uint64_t now_us);

/*
 * May more be sent than voice needs? No for 2 s after the round trip was last more than 40 ms above
 * its minimum, each time twice as long, up to 32 s; a minute in peace forgets that. When it is tried
 * again, it ends as soon as the round trip grows by a little.
 */
bool guard_spare(const struct guard *g, uint64_t now_us);

/*
 * May a new batch of voice leave, with `in_flight` batches not acknowledged, at batches_per_s (0 =
 * not known: yes)? There is room for 4 + rate x (minimum + 60 ms), of the rate what the line carried
 * of it in the last two seconds; and for 200 ms instead of 60 in a pause of the
 * acknowledgements and for 2.5 s after it. Remembers that it refused.
 */
bool guard_admit(struct guard *g, size_t in_flight, double batches_per_s, uint64_t now_us);

/* The line holds less than is sent, now or within the last second. */
bool guard_congested(const struct guard *g, uint64_t now_us);

uint64_t guard_min_us(const struct guard *g); /* 0 = not measured */

/* Only what went out after it may wait in the line: see above. */
uint64_t guard_newest_us(const struct guard *g);

#endif
