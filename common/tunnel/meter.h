/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_METER_H
#define VOFW_TUNNEL_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How much voice is missed on the way here, by the receiver (docs/PROTOCOL.md, "Redundancy"). A gap
 * in the media numbers that is not filled 25 ms after a higher number came is a miss: frames, which
 * may be in several batches. What comes in another order within 25 ms is none, and neither is a pause,
 * since then no numbers are used up.
 *
 * Numbers that jump by more than 65536 are those of a new beginning, and nothing between is missed;
 * backwards only after 32 such batches in a row, since single ones are only very late.
 *
 * Pure: no clock, no sockets; some 30 KB a meter, whatever comes, and a few compares a batch. Times
 * are monotonic us and never go back. Not thread-safe.
 */
struct meter;

struct meter *meter_new(void); /* the caller owns it */
void meter_free(struct meter *m);

/*
 * A media batch came as it was sent at first: the number of its first media frame, how many there
 * are (>= 1). To be told at its arrival, in any order. One that comes again changes nothing, unless
 * it comes before the 25 ms are over: then the voice was not missed.
 */
void meter_batch(struct meter *m, uint32_t base, size_t media_n, uint64_t now_us);

/*
 * 2: over 1.5 % of the frames of the last 3 s were missed, in two batches at least, or this was so
 * within the last 3 s; else 1: something was missed within the last 10 s; else 0.
 */
unsigned meter_level(struct meter *m, uint64_t now_us);

/*
 * Misses come in runs: of the frames missed within the last 10 s more than half lay in runs, gaps of
 * two batches and more that spanned some 20 ms of the flow (15 ms, since a cut of 20 ms may hit less);
 * and that is no accident: beyond the first of each run four batches or more are missing. It stays so
 * until it is less than a third.
 */
bool meter_runs(struct meter *m, uint64_t now_us);

/* The share of the frames of the last 3 s that was missed, 0..1; 0 without frames. */
double meter_loss(struct meter *m, uint64_t now_us);

/* The frames missed so far, as far as that is settled. */
uint64_t meter_missed(const struct meter *m);

struct meter_facts {
	uint64_t frames;      /* that were sent, as far as can be told: the numbers that went by */
	uint64_t missed;      /* frames of them */
	uint64_t gaps;        /* that these lay in */
	uint64_t run_mean_us; /* how much of the flow a gap of the last 10 s took; 0 = none */
	uint64_t run_longest_us;
};
void meter_facts(struct meter *m, uint64_t now_us, struct meter_facts *out);

#endif
