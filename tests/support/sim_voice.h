/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_SIM_VOICE_H
#define VOFW_TESTS_SIM_VOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/sim.h"

/*
 * Calls over a simulation: each sends a packet of 172 bytes (RTP, G.711, 20 ms) every 20 ms both ways,
 * the phases of the calls spread evenly; through the tunnel or, to compare, as plain UDP over the
 * same line. It keeps the delay of each packet. What a listener hears is judged by a fixed playout:
 * a packet that takes 60 ms more than the fastest one is late, which is as bad as lost.
 */

#define SIM_VOICE_CALLS_MAX 400
#define SIM_VOICE_LEN 172
#define SIM_VOICE_UDP_LEN 200 /* with the headers of RTP's UDP and IPv4 */
#define SIM_VOICE_PERIOD_US 20000ULL

struct sim_voice;

/* Voice flows from now on. udp: it bypasses the tunnel. One of each kind for a simulation. */
struct sim_voice *sim_voice_new(struct sim *s, unsigned calls, bool udp);
void sim_voice_free(struct sim_voice *v);                  /* only after its simulation was freed */
void sim_voice_calls(struct sim_voice *v, unsigned calls); /* so many from now on; 0 = none */

/*
 * Only packets sent between begin and end are judged. end lets 2 s pass, in which voice goes on, so
 * that what is late still comes.
 */
void sim_voice_begin(struct sim_voice *v);
void sim_voice_end(struct sim_voice *v);

struct sim_voice_report { /* of one direction, or of both */
	uint64_t sent, got;
	double late60,
	    late100; /* shares of the sent ones: later than the minimum + 60 ms, or lost */
	double lost; /* share that never came */
	double min_ms, p50_ms, p99_ms, max_ms; /* of those that came */
	double mos;                            /* E-model at the playout of minimum + 60 ms */
	double bytes;                          /* on the wire, both ways, for each packet sent */
};
/* way: enum tunnel_dir, or 2 for both (the minimum is each way's own). */
void sim_voice_report(const struct sim_voice *v, int way, struct sim_voice_report *out);

/*
 * How long after `since_us` voice was heard again, both ways: the end of the first packet's way from
 * which on, for 200 ms, 95 % came in time (the line's own delay + 60 ms). CLOCK_NEVER.
 */
uint64_t sim_voice_recovery_us(const struct sim_voice *v, uint64_t since_us);

/* Share of the packets sent in [from, to) that were late (as above) or lost, both ways. */
double sim_voice_late(const struct sim_voice *v, uint64_t from_us, uint64_t to_us);

#endif
