/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "media/playout.h"

#include <stdbool.h>
#include <stddef.h>

#define WINDOW 64        /* numbers that may still come: 1.3 s of voice */
#define RATE_MAX 1000000 /* an SDP may say anything; no clock of RTP is faster */
#define HALF_S 10        /* half of the window for the fastest packet */
#define JUMP_S 10        /* a larger step of the transit time is a new time base */
#define LATE_MIN 10      /* late packets in a row before the buffer follows, however long it took */

void
playout_tally_init(struct playout_tally *t, uint32_t clock_rate)
{
	if (clock_rate > RATE_MAX)
		clock_rate = RATE_MAX;
	*t = (struct playout_tally){
		.allowed = (uint32_t)((uint64_t)clock_rate * PLAYOUT_MS / 1000),
		.second = clock_rate,
	};
}

/* All that is known of the transit time: this one. */
static void
anchor(struct playout *p, uint32_t transit, uint32_t arrival)
{
	p->fastest[0] = p->fastest[1] = transit;
	p->half = arrival;
	p->late_n = 0;
}

void
playout_begin(struct playout *p, uint32_t timestamp, uint32_t arrival)
{
	*p = (struct playout){ .heard = UINT64_MAX, .newest = timestamp };
	anchor(p, arrival - timestamp, arrival);
}

/* -- Too late or not -- */

static int32_t
behind(uint32_t transit, uint32_t fastest)
{
	return (int32_t)(transit - fastest);
}

static void
turn_window(struct playout *p, const struct playout_tally *t, uint32_t transit, uint32_t arrival)
{
	int32_t passed = (int32_t)(arrival - p->half), half = (int32_t)(t->second * HALF_S);

	if (passed < half)
		return;
	if (passed >= 2 * half) {
		anchor(p, transit, arrival); /* silence: nothing of it is still true */
		return;
	}
	p->fastest[1] = p->fastest[0];
	p->fastest[0] = transit;
	p->half = arrival;
}

static void
follow_late(struct playout *p, const struct playout_tally *t, uint32_t transit, uint32_t arrival)
{
	if (p->late_n++ == 0) {
		p->late_since = arrival;
		p->late_fastest = transit;
	} else if (behind(transit, p->late_fastest) < 0) {
		p->late_fastest = transit;
	}
	if (p->late_n >= LATE_MIN && arrival - p->late_since >= t->second)
		anchor(p, p->late_fastest, arrival);
}

static bool
in_time(struct playout *p, const struct playout_tally *t, uint32_t timestamp, uint32_t arrival)
{
	uint32_t transit = arrival - timestamp;
	int32_t late_by, late_by_last;

	turn_window(p, t, transit, arrival);
	late_by = behind(transit, p->fastest[0]);
	late_by_last = behind(transit, p->fastest[1]);
	if (late_by < 0)
		p->fastest[0] = transit;
	if (late_by < late_by_last)
		late_by = late_by_last;
	if (late_by <= (int32_t)t->allowed) {
		p->late_n = 0;
		return true;
	}
	if (late_by > (int32_t)(t->second * JUMP_S)) {
		anchor(p, transit, arrival);
		return true;
	}
	follow_late(p, t, transit, arrival);
	return false;
}

/* -- Runs -- */

/* n packets more than before are so old that what did not come will not. */
static void
retire(struct playout *p, struct playout_tally *t, unsigned n)
{
	for (; n > 0 && p->heard != 0; n--) {
		if (p->heard >> (WINDOW - 1) == 0) {
			p->run++;
		} else if (p->run > 0) {
			t->longest = playout_longest(t, p);
			t->run_missed += p->run;
			t->runs++;
			p->run = 0;
		}
		p->heard <<= 1;
	}
	p->run += n;
}

void
playout_packet(struct playout *p, struct playout_tally *t, int ahead, uint32_t timestamp,
    uint32_t arrival)
{
	uint64_t bit;
	bool tells;

	/*
	 * A newer packet whose timestamp is no newer is the rest of a picture, an event that lasts
	 * (RFC 4733) or a picture sent out of its order: its timestamp does not tell when it left.
	 */
	tells = ahead <= 0 || (int32_t)(timestamp - p->newest) > 0;
	if (ahead > 0) {
		retire(p, t, (unsigned)ahead);
		bit = 1;
		if (tells)
			p->newest = timestamp;
	} else {
		bit = -ahead < WINDOW ? 1ULL << -ahead : 0;
		if ((p->heard & bit) != 0)
			return; /* a duplicate */
	}
	if (!tells || in_time(p, t, timestamp, arrival))
		p->heard |= bit;
	else
		t->late++;
}

uint32_t
playout_longest(const struct playout_tally *t, const struct playout *p)
{
	return p != NULL && p->run > t->longest ? p->run : t->longest;
}
