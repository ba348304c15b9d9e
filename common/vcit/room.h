/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_VCIT_ROOM_H
#define VOFW_VCIT_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Is there room in a tunnel for one more call? Pure: it is told a few times a second how the tunnel
 * does and how many calls it carries, and is asked before each call. It hides how much a call is
 * taken to need, and what it remembers of a line that was full.
 *
 * A *place* is one side of one call whose voice passes the tunnel; a call between two phones of one
 * agent that is relayed takes two places of it. Two rules, each with its own refusal:
 *
 *  bandwidth  What is measured, and for each place that is not heard yet (being set up, on hold)
 *             what a call needs, must fit under a cap, in each direction. The need is learnt from the
 *             calls that are up; as long as nothing is known it is ROOM_CALL_KBIT.
 *  line       Only when `measured`: while a direction has been congested for ROOM_ONSET_US no call is
 *             let in. How many calls were up when it began, less one, is from then on the ceiling.
 *             When that has been reached for a while without congestion it rises by one call, again
 *             each ROOM_RISE_US as long as that goes well, and by twice as many after each
 *             ROOM_FASTER_US. A single rise that ends in congestion makes the wait for the next one
 *             twice as long, so that a line that is just full is tried seldom. A ceiling is forgotten
 *             ROOM_FORGET_US after the last congestion, and with the session that it was learnt in.
 *
 * A tunnel without any call takes one, whatever its size: from it the need is learnt.
 */
#define ROOM_CALL_KBIT 100.0 /* kbit/s each way that a call needs as long as nothing is known */
#define ROOM_ONSET_US 3000000ULL
#define ROOM_AGAIN_US 10000000ULL /* congested all the time with so many calls: too many as well */
#define ROOM_RISE_US 30000000ULL
#define ROOM_RISE_MAX_US 600000000ULL
#define ROOM_FASTER_US 300000000ULL
#define ROOM_FORGET_US 1800000000ULL
#define ROOM_RECENT_N 4 /* samples: congestion shows only some time after the call that caused it */

enum room_answer {
	ROOM_YES,
	ROOM_NO_BANDWIDTH, /* the cap of kbit/s would be passed */
	ROOM_NO_CONGESTED, /* what waits in the line grows just now */
	ROOM_NO_CEILING,   /* the line was congested with more calls than this */
	ROOM_ANSWERS_N
};

/* How a tunnel does; counters of one session, by direction: 0 up, 1 down. */
struct room_sample {
	uint64_t session;              /* 0 = there is none now */
	uint64_t bytes[2], batches[2]; /* the latter with the headers of TCP and HTTP besides */
	bool congested[2];
	uint32_t cap_kbit; /* each way; 0 = none */
};

/* Fills in what the tunnel counted of a direction; `datagrams` are among the batches. */
void room_count(struct room_sample *s, int dir, uint64_t bytes, uint64_t batches,
    uint64_t datagrams);

/* Places that are taken. */
struct room_load {
	size_t up;    /* answered, and talking */
	size_t held;  /* answered, and on hold */
	size_t early; /* not answered yet */
};

/* Fields may be read; they are written by the functions below. */
struct room {
	bool measured;  /* the line's rule is in force */
	double kbit[2]; /* of IP traffic, over the last seconds */
	double need[2]; /* kbit/s of one call */
	uint32_t cap_kbit;
	size_t ceiling;   /* places; 0 = none is known */
	size_t full_at;   /* places up when the ceiling was learnt */
	uint64_t full_us; /* when it was congested last */

	struct room_sample last;
	uint64_t seen_us;             /* when the line was looked at last */
	uint64_t sampled_us;          /* when `last` was taken */
	uint64_t onset_us[2];         /* since when it is congested, by direction; 0 = it is not */
	uint64_t stretch_us;          /* the part of it that is being judged began */
	uint64_t calm_us;             /* spent at the ceiling without congestion */
	uint64_t wait_us;             /* so long before the first rise */
	uint64_t risen_us;            /* the first rise since the last congestion; 0 = none yet */
	size_t rises;                 /* since the last congestion */
	size_t most;                  /* places answered in the stretch */
	size_t recent[ROOM_RECENT_N]; /* places answered at the last samples */
	unsigned recent_at;
};

void room_init(struct room *r, bool measured);

/* `s` and `load` as they are at now_us (monotonic). */
void room_sample(struct room *r, const struct room_sample *s, const struct room_load *load,
    uint64_t now_us);

/* May n more places be taken, with those of `load` taken already? */
enum room_answer room_ask(const struct room *r, const struct room_load *load, size_t n);

/* For an operator's log: why room_ask said `answer` (not ROOM_YES), in words. Returns out. */
#define ROOM_TEXT_MAX 200
const char *room_text(const struct room *r, enum room_answer answer, const struct room_load *load,
    uint64_t now_us, char out[static ROOM_TEXT_MAX]);

#endif
