/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_LADDER_H
#define VOFW_HRAC_UPLINK_LADDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Which route is asked when, and which of those that answer is taken: the order of the rungs, the
 * best first (those that hold bodies back behind all others), with the back-off of each. Pure: it knows routes by their number (0 is the best), does
 * nothing, and is given the time. Private to the uplink.
 *
 * While it *climbs* all routes are asked, one a little after the other, and those that fail again
 * after waits of full jitter. The first answer begins a short grace for the better ones that are
 * still being asked; then the best of those that answered is taken. When one is in use (settled) only
 * better ones are asked, seldom.
 */
#define LADDER_MAX 32
#define LADDER_NONE SIZE_MAX

#define LADDER_STAGGER_US 250000ULL    /* between two routes to one HRAS (RFC 8305, section 8) */
#define LADDER_HURRY_US 50000ULL       /* likewise, while a call waits for it */
#define LADDER_NEXT_HRAS_US 1500000ULL /* before the routes to the next HRAS */
#define LADDER_GRACE_US 300000ULL      /* and as long again as the answer took, ... */
#define LADDER_GRACE_MAX_US 1500000ULL /* ... but no longer than this */
#define LADDER_RETRY_BASE_US 500000ULL /* waits while climbing */
#define LADDER_RETRY_CAP_US 15000000ULL
#define LADDER_BETTER_MIN_US 15000000ULL /* waits before a better one is asked again */
#define LADDER_BETTER_MAX_US 300000000ULL

enum ladder_state { LADDER_WAITS, LADDER_ASKED, LADDER_ANSWERS };

struct ladder_rung {
	unsigned hras; /* which HRAS it leads to, as far as its name tells */
	enum ladder_state state;
	uint64_t since_us;   /* of the state */
	uint64_t due_us;     /* when it is asked, while it waits */
	uint64_t least_us;   /* not before that, whatever happens */
	unsigned failures_n; /* in a row */
	bool fresh;          /* not yet asked in this climb */
	bool barred;         /* is not to be taken: leads elsewhere than to our session */
	bool absent;         /* there is no such way, or no longer */
	bool held;           /* bodies are held back on it: any other that answers is better */
};

struct ladder {
	struct ladder_rung rung[LADDER_MAX];
	size_t n;
	size_t in_use; /* LADDER_NONE while there is none */
	bool climbing;
	uint64_t grace_us; /* end of the grace; CLOCK_NEVER while none answers; 0 = it is over */
	uint64_t seed;
};

void ladder_init(struct ladder *l, uint64_t seed);

/* Another rung at this place, before the one that has it now, or behind all; while one climbs it is
 * asked at once. False beyond LADDER_MAX. */
bool ladder_insert(struct ladder *l, size_t at, unsigned hras, uint64_t now_us);

/* Rung a is better than b. */
bool ladder_better(const struct ladder *l, size_t a, size_t b);

/* All are asked from `from_us` on, back-off forgotten. Those that are being asked go on. */
void ladder_climb(struct ladder *l, uint64_t from_us, bool hurry);

/* The one to be asked now, or LADDER_NONE; the caller says ladder_asked. Not while `calm` is false:
 * a better HRAS than the one in use. */
size_t ladder_next(const struct ladder *l, bool calm, uint64_t now_us);
void ladder_asked(struct ladder *l, size_t i, uint64_t now_us);
void ladder_answered(struct ladder *l, size_t i, uint64_t now_us);

/* It did not answer, or is of no use; it is not asked again for least_us. While one climbs the next
 * one need not wait for its turn any more. */
void ladder_failed(struct ladder *l, size_t i, uint64_t least_us, uint64_t now_us);

/* What it was asked or answered counts for nothing, and it is asked again now. False: it waits anyway. */
bool ladder_again(struct ladder *l, size_t i, uint64_t now_us);

/* While climbing: the one to take now, or LADDER_NONE. */
size_t ladder_winner(const struct ladder *l, uint64_t now_us);

/* A grace that is past is over: ladder_due_us tells of it no more. */
void ladder_end_grace(struct ladder *l, uint64_t now_us);

/* The climb is over, this one is in use. */
void ladder_settle(struct ladder *l, size_t i, uint64_t now_us);

/* Better ones are worth another look soon: the network has changed. */
void ladder_refresh(struct ladder *l, uint64_t now_us);

/* Each was asked in this climb, and none of those that may be taken answers or may still answer. */
bool ladder_all_failed(const struct ladder *l);

/* When ladder_next or ladder_winner may have something new to say; CLOCK_NEVER. */
uint64_t ladder_due_us(const struct ladder *l, bool calm);

#endif
