/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_SIM_LINE_H
#define VOFW_TESTS_SIM_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/wan_line.h"

/*
 * The line of the bench's WAN emulator (tests/bench/wan_line.h), both ways, under a fake clock, and
 * the heap of events that all of the simulation runs by.
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

struct sim_way_facts {
	uint64_t packets, bytes; /* handed to the line, lost or not; IP headers included */
	uint64_t lost, dropped;  /* at random, in bursts and black-outs; at the full queue */
};

struct sim_line {
	struct sim_clock *clock;
	struct line_set set[2]; /* 0 up, 1 down: enum tunnel_dir. Change it at any time. */
	struct line way[2];
	struct sim_way_facts facts[2];
};

/* A line that loses nothing and delays nothing. */
void sim_line_init(struct sim_line *l, struct sim_clock *c);

/*
 * A packet of `len` bytes, IP header included, is sent now. Its arrival; CLOCK_NEVER when it is
 * lost.
 */
uint64_t sim_line_pass(struct sim_line *l, int way, size_t len);

#endif
