/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_SIM_LINE_H
#define VOFW_TESTS_SIM_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A simulated line between two networks, under a fake clock, and the heap of events that all of the
 * simulation runs by. Each direction has a bottleneck (rate, drop-tail queue), a delay, jitter,
 * random loss, bursts in which everything is lost, and black-outs. All of `struct sim_way` and
 * the bursts may be changed at any time; packets that are on the way keep the arrival that they were given.
 */

/* -- Events -- */

typedef void (*sim_fn)(void *obj, uint64_t a, uint64_t b);

struct sim_event {
	uint64_t at_us, order; /* those of the same time run in the order of being added */
	sim_fn fn;
	void *obj;
	uint64_t a, b;
};

struct sim_clock {
	uint64_t now_us;
	uint64_t order;
	uint64_t random;
	struct sim_event *heap; /* the earliest first */
	size_t n, cap;
};

void sim_clock_init(struct sim_clock *c, uint64_t seed);
void sim_clock_free(struct sim_clock *c);

/* fn(obj, a, b) is called at `at_us` (at once when that is past). obj must live until then. */
void sim_at(struct sim_clock *c, uint64_t at_us, sim_fn fn, void *obj, uint64_t a, uint64_t b);

/* Time of the earliest event; CLOCK_NEVER. */
uint64_t sim_next_us(const struct sim_clock *c);

/* Runs the earliest event; its time becomes now. There must be one. */
void sim_step(struct sim_clock *c);

uint64_t sim_random(struct sim_clock *c, uint64_t n); /* 0 .. n-1 */
double sim_uniform(struct sim_clock *c);              /* [0, 1) */

/* -- The line -- */

struct sim_way {
	uint64_t delay_us;  /* one way */
	uint64_t jitter_us; /* 0 .. jitter_us more for each packet, uniformly */
	double loss;        /* 0 .. 1 for each packet */
	uint64_t rate_bps;  /* bits a second; 0 = no limit */
	uint64_t
	    queue_len; /* bytes before the bottleneck, then packets are dropped; 0 = no limit */
	uint64_t black_until_us; /* nothing passes until then */
};

struct sim_way_facts {
	uint64_t packets, bytes; /* handed to the line, lost or not; IP headers included */
	uint64_t lost, dropped;  /* at random, in bursts and black-outs; at the full queue */
};

struct sim_line {
	struct sim_clock *clock;
	struct sim_way way[2]; /* 0 up, 1 down: enum tunnel_dir */
	struct sim_way_facts facts[2];
	uint64_t free_us[2]; /* when the bottleneck has sent all that is queued */
	/* Bursts hit both ways alike: all is lost for so long, with such a pause (mean, exponential). */
	uint64_t burst_us, burst_pause_us; /* pause 0 = no bursts */
	uint64_t burst_at_us, burst_end_us;
};

void sim_line_init(struct sim_line *l, struct sim_clock *c);

/*
 * A packet of `len` bytes, IP header included, is sent now. Its arrival; CLOCK_NEVER when it is
 * lost. Jitter may change the order of packets: who needs order keeps it by the last arrival.
 */
uint64_t sim_line_pass(struct sim_line *l, int way, size_t len);

#endif
