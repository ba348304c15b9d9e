/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_SIM_WATCH_H
#define VOFW_TESTS_SIM_WATCH_H

#include <stdint.h>

#include "tests/support/sim.h"

/*
 * An observer of the bodies of a simulation. It knows of the tunnels' state only what the wire tells:
 * which batches were written where, and which acknowledgements their writer has read. So it judges
 * the choice of streams by the rule, not by the code that follows it.
 *
 * A stream is idle when all its batches that want an acknowledgement have it, and proven when at
 * least one has that it sent since the direction was last silent, which is when nothing of it was
 * acknowledged for 130 ms.
 */
struct sim_watch;

struct sim_watch_way {
	uint64_t batches;              /* with voice in them */
	uint64_t media, repeats, sums; /* frames */
	uint64_t bare;                 /* batches without any frame: acknowledgements */
	uint64_t pings;                /* batches with a question */
	uint64_t behind;      /* batches of voice that went where something was outstanding ... */
	uint64_t behind_idle; /* ... though a proven stream was idle; the rule says none */
	unsigned in_flight;   /* batches of voice that were written and not acknowledged */
	unsigned in_flight_max;
	unsigned unproven; /* batches of voice that went to a stream not yet proven */
};

struct sim_watch *sim_watch_new(struct sim *s); /* one of a simulation */
void sim_watch_free(struct sim_watch *w);       /* only after its simulation was freed */
void sim_watch_reset(struct sim_watch *w);      /* the counters begin anew */
void sim_watch_way(struct sim_watch *w, enum tunnel_dir dir, struct sim_watch_way *out);

/* Batches of a direction that want an acknowledgement and have none, on streams that are there. */
unsigned sim_watch_outstanding(const struct sim_watch *w, enum tunnel_dir dir);

#endif
