/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_SCHED_H
#define VOFW_TUNNEL_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Which stream a batch goes to. Voice is never put behind data that the peer has not acknowledged:
 * a stream on which something is outstanding may be in the middle of a TCP repetition, and
 * everything behind it would wait. The peer's own acknowledgements are what counts; between us and
 * the peer a proxy may take the bytes and say nothing of what becomes of them. Pure.
 */
struct sched_path {
	bool open;            /* takes batches; false: being retired or aborted */
	uint64_t outstanding; /* bytes given to it and not acknowledged; 0 = idle */
	uint64_t waiting_us;  /* since when for an acknowledgement; CLOCK_NEVER = none is due */
	uint64_t heard_us;    /* when the peer last acknowledged something of it; 0 = never */
	uint64_t used_us;     /* when it last took a batch; 0 = never */
};

/* An acknowledgement that takes so long says that the stream is stalled or dead. */
#define SCHED_LATE_US 400000ULL

#define SCHED_NONE SIZE_MAX

/*
 * The index of the path for the next batch, of paths[0..n). The best are idle: of these that which
 * most recently heard from the peer, when equal the one used longest ago. Then those with something
 * outstanding, the fewest bytes first. Then those that never heard from the peer, which may not
 * even be connected yet; and last those whose acknowledgement is late. `avoid`, an index or
 * SCHED_NONE, is taken only when there is no other. SCHED_NONE when none is open.
 */
size_t sched_choose(struct sched_path *const *paths, size_t n, size_t avoid, uint64_t now_us);

#endif
