/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_TRUST_H
#define VOFW_TUNNEL_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Whether datagrams are to be trusted with voice, in one direction, by its writer. Streams carry voice
 * just as well and mend what is lost, so datagrams are used only as long as nearly all of them come:
 *
 *   NONE    nothing is known yet, or it was forgotten without a call; the first answer makes it GOOD
 *   GOOD    voice goes by datagrams alone
 *   DOUBT   some were lost, or answers are late: voice goes both ways until it is known
 *   LEFT    voice goes by streams; after a rest, a trial of TRUST_TRIAL_US without losses makes it GOOD
 *
 * It goes by what the peer says of the numbers that came. Pure; fixed memory; no clock of its own.
 */
enum trust_state { TRUST_NONE, TRUST_GOOD, TRUST_DOUBT, TRUST_LEFT };
enum trust_why { TRUST_WHY_LOSS, TRUST_WHY_SILENCE, TRUST_WHY_N };

#define TRUST_SPAN_US 2000000ULL   /* over which losses are looked at */
#define TRUST_TRIAL_US 10000000ULL /* so long a trial has to be clean */
#define TRUST_NOTES 32

struct trust {
	enum trust_state state;
	enum trust_why why;  /* left last */
	bool silent;         /* DOUBT: it began with silence, not with loss */
	uint64_t since_us;   /* in this state */
	uint64_t told_us;    /* when the peer last told of a higher number; 0 = never */
	uint64_t waiting_us; /* since when an answer is due; CLOCK_NEVER = none is */
	uint64_t run_us;
	uint64_t wait_us;  /* from leaving to coming back, the trial included; 0 = never left */
	uint64_t trial_us; /* LEFT: when this trial begins, or began */
	bool trying;       /* it began; what it is judged by is above number trial_from ... */
	uint64_t trial_from;
	uint64_t clean_us; /* ... and was first told of then, with these; CLOCK_NEVER = not yet */
	uint64_t clean_through, clean_missing;
	uint64_t sent;             /* number of the last datagram */
	uint64_t through, missing; /* as the peer told them last */
	struct trust_note {
		uint64_t at_us, through, missing; /* least missing of the tenth of a second */
	} notes[TRUST_NOTES];
	unsigned notes_n; /* ever made; the last at (notes_n - 1) % TRUST_NOTES */
	uint64_t left_n[TRUST_WHY_N], returned_n;
};

void trust_init(struct trust *t, uint64_t now_us); /* NONE */

/* Another way, or another time: NONE, as if nothing had been lost. The counters stay. */
void trust_forget(struct trust *t, uint64_t now_us);

/* A datagram of this number was sent; wants: it is to be answered. */
void trust_sent(struct trust *t, uint64_t number, bool wants, uint64_t now_us);

/*
 * The peer told that all up to `through` came but `missing`. next_us: when the first beyond that was
 * sent, of those that want an answer; CLOCK_NEVER = there is none. What is older than the last is
 * passed over.
 */
void trust_told(struct trust *t, uint64_t through, uint64_t missing, uint64_t next_us,
    uint64_t now_us);

/* Follows the time. busy: there is a call; without one, silence only means that nothing is known. */
void trust_run(struct trust *t, uint64_t srtt_us, bool busy, uint64_t now_us);

/* When trust_run has something to do if nothing is told before; CLOCK_NEVER. */
uint64_t trust_due_us(const struct trust *t, uint64_t srtt_us);

/* LEFT, and this is the time to send some for trial. */
bool trust_tries(const struct trust *t, uint64_t now_us);

/* Which share of those of the last TRUST_SPAN_US was lost, 0..1. */
double trust_loss(const struct trust *t, uint64_t now_us);

const char *trust_state_str(enum trust_state state); /* "unknown", "good", "in doubt", "left" */

#endif
