/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_BASE_HEARD_H
#define VOFW_BASE_HEARD_H

#include <stdint.h>

/*
 * What is heard of one stream of voice, where the phone is that hears it. The media engine counts
 * it, the agents tell it each other (docs/PROTOCOL.md, HEARD), the status page shows it. Plain data;
 * counts are modulo 2^32.
 */
struct heard {
	uint32_t packets;     /* that came; 0 = nothing is known */
	uint32_t lost;        /* that never came */
	uint32_t late;        /* that came too late to be played */
	uint32_t runs;        /* of packets lost or late in a row, that are over */
	uint32_t run_missed;  /* packets in them */
	uint32_t run_longest; /* packets */
	uint32_t jitter_us;
	uint32_t delay_us;   /* one way, of the network; 0 = not known */
	uint16_t mos;        /* hundredths, since the stream began; 0 = not known, or no voice */
	uint16_t mos_recent; /* likewise, of the last seconds; 0 = nothing came */
};

/* What many hear, or one did over some time. */
struct heard_sum {
	uint32_t streams; /* of voice, of which something came */
	uint64_t packets; /* that came, of all kinds of media */
	uint64_t audio;   /* of voice alone, as all below */
	uint64_t lost, late;
	uint64_t runs, run_missed;
	uint64_t mos_sum;   /* of mos_recent, over `streams` */
	uint16_t mos_worst; /* hundredths; 0 = there is none */
};

/* Adds what came between two tellings about one stream; last is all 0 at first. */
void heard_add(struct heard_sum *sum, const struct heard *now, const struct heard *last);

#endif
