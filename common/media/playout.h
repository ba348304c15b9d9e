/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_MEDIA_PLAYOUT_H
#define VOFW_MEDIA_PLAYOUT_H

#include <stdint.h>

/*
 * What somebody would hear who plays a stream PLAYOUT_MS behind its fastest packets: which packets
 * come too late for that, and in which runs packets are missed, lost or late. All times are in the
 * stream's clock and wrap. Pure, no allocation, a few instructions for a packet in order.
 *
 * The fastest packet is that of the last 10 to 20 s, so that two clocks that drift do no harm. When
 * nothing but late packets came for a second the listener's buffer has followed: the fastest of
 * those counts from then on.
 */
#define PLAYOUT_MS 60

/* Of a stream, over all its sources. Zeroed but for what playout_tally_init sets. */
struct playout_tally {
	uint32_t allowed, second;  /* in the stream's clock: PLAYOUT_MS, 1 s */
	uint64_t late;             /* packets that came, but too late */
	uint64_t runs, run_missed; /* closed runs of missed packets; packets in them */
	uint32_t longest;          /* run, in packets */
};
void playout_tally_init(struct playout_tally *t, uint32_t clock_rate); /* Hz, > 0 */

/* One source (SSRC). */
struct playout {
	uint64_t heard;  /* bit i: the packet i before the newest came in time, or was never sent */
	uint32_t newest; /* timestamp */
	uint32_t fastest[2]; /* transit times: of this half of the window, of the last half */
	uint32_t half;       /* when this half began */
	uint32_t run;        /* packets missed in a row, at the old end of `heard` */
	uint32_t late_n;     /* packets late in a row */
	uint32_t late_since, late_fastest;
};

/* The first packet of a source, sent at `timestamp`, came at `arrival`. */
void playout_begin(struct playout *p, uint32_t timestamp, uint32_t arrival);

/* A further packet: `ahead` in number of the newest one so far, 0 or less for an older one. */
void playout_packet(struct playout *p, struct playout_tally *t, int ahead, uint32_t timestamp,
    uint32_t arrival);

/* The longest run of t, or of p if its last one is longer; p may be NULL. */
uint32_t playout_longest(const struct playout_tally *t, const struct playout *p);

#endif
