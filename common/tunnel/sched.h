/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_SCHED_H
#define VOFW_TUNNEL_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Which stream a batch goes to, and how many streams are good to have. Voice is never put behind
 * data that the peer has not acknowledged: a stream on which something is outstanding may be in the
 * middle of a TCP repetition, and everything behind it would wait. The peer's own acknowledgements
 * are what counts; between us and the peer a proxy may take the bytes and say nothing of what
 * becomes of them. Pure.
 */
struct sched_path {
	bool open;           /* takes batches; false: being retired or aborted */
	bool connected;      /* its bytes go somewhere: the HTTP layer has asked for some */
	size_t outstanding;  /* batches given to it that want an acknowledgement; 0 = idle */
	uint64_t oldest_us;  /* when the oldest of them was given; CLOCK_NEVER = there is none */
	uint64_t waiting_us; /* since when for an acknowledgement; CLOCK_NEVER = none is due */
	uint64_t heard_us;   /* when the peer last acknowledged something of it; 0 = never */
	uint64_t used_us;    /* when it last took a batch; 0 = never */
	uint64_t voice_us;   /* when it last took voice; 0 = never */
	bool half;           /* that was the first batch of a pair */
	bool
	    doubted; /* the direction fell silent, and nothing of this path was acknowledged since */
	uint64_t opened_us;
};

#define SCHED_NONE SIZE_MAX

/* A stream that waits so long without a word is dead for voice: better a new one beside it. */
#define SCHED_DEAD_US 600000ULL

/* An acknowledgement on time takes a round trip, and a little for both ends to turn it round. */
uint64_t sched_patience_us(uint64_t srtt_us); /* 1.25 srtt + 15 ms; srtt 0 = not known: 400 ms */

/* The oldest batch that was given to the path has waited for longer than the patience. */
bool sched_late(const struct sched_path *p, uint64_t patience_us, uint64_t now_us);

/* Nothing of what was given to the path came in a time in which everything should have: TCP repeats
 * ever more seldom now. Twice the patience and 100 ms. */
bool sched_stalled(const struct sched_path *p, uint64_t patience_us, uint64_t now_us);

/*
 * The path waits for the second batch of a pair: it took the first one a moment ago. Two segments are
 * one acknowledgement of TCP. More than two would hide a loss: what comes in order shows no gap.
 */
bool sched_half(const struct sched_path *p, uint64_t now_us);

struct sched_ask {
	size_t avoid;         /* an index that is taken only when there is no other; SCHED_NONE */
	uint64_t patience_us; /* sched_patience_us */
	bool together;        /* a thin flow on a clean line: in pairs, see sched_half */
	uint64_t now_us;
};

/*
 * The index of the path for the next batch, of paths[0..n). The best are idle: of these that which
 * most recently heard from the peer, when equal the one used longest ago. Then those with something
 * outstanding whose oldest is no older than the patience, the fewest batches first. Then those that
 * never heard from the peer but are connected; then those that are doubted, the fewest batches first;
 * then those out of patience, the one first whose oldest
 * is youngest; then those that may not even be connected, the youngest first; last those that are
 * stalled. With `together` those that wait for the second batch of a pair go before all. SCHED_NONE when
 * none is open.
 */
size_t sched_choose(struct sched_path *const *paths, size_t n, const struct sched_ask *ask);

struct sched_flow {           /* what is sent in one direction */
	double batches_per_s; /* everything that wants an acknowledgement */
	bool thin;            /* one or two calls */
	uint64_t srtt_us;     /* 0 = not known */
	unsigned level;       /* of loss, as the peer hears it; 0..2 */
};

/*
 * How many streams the flow should have, 1 .. max. With losses so many that an idle one is nearly
 * always there, 1.2 x batches x (srtt + 20 ms); an eighth of it on a clean line, at least 4 and
 * at most 16, for acknowledgements of TCP then come together and a stream that is suddenly cut is only
 * one of a few. A thin flow on a clean line, which goes in pairs, has six tenths of it, at least 2.
 */
unsigned sched_streams(const struct sched_flow *flow, unsigned max);

/*
 * How many requests it takes, 2 .. max, for one always to wait, when each carries one burst and is made
 * anew a round trip later: 1.2 x bursts x (srtt + 20 ms) and two to spare.
 */
unsigned sched_polls(const struct sched_flow *flow, unsigned max);

#endif
