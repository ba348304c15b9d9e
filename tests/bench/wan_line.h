/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef BENCH_WAN_LINE_H
#define BENCH_WAN_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One direction of a WAN line as arithmetic: what befalls a packet that is offered at a moment, and
 * when it comes out at the far end. No clock, no packets and no sockets of its own; the same seed
 * and the same offers give the same fates.
 *
 * A packet meets, in this order: the switch (`on`), a drop-tail queue before a link of `rate_kbit`,
 * bursts in which all is lost, random loss, and then a fixed delay and jitter. What is lost on the
 * way has taken its time on the link, as on a real line.
 *
 * Moments are nanoseconds of any clock that never goes back.
 */

/* What a direction does; 0 switches a thing off. All are doubles so that one table names them. */
struct line_set {
	double on;          /* 0: all that is offered is lost; what is on its way still comes */
	double rate_kbit;   /* of IP packets, 1000 bit/s */
	double queue_ms;    /* the longest that a packet may wait for the link */
	double queue_bytes; /* the most that may wait for the link, with the packet; 0: no matter */
	double loss_pct;    /* each packet for itself, 0..100 */
	double burst_ms;    /* all is lost for so long ... */
	double
	    burst_every_ms;   /* ... once in so long: the share of time lost is exactly the ratio */
	double burst_poisson; /* 0: once in every period, anywhere in it; 1: at any time */
	double delay_ms;
	double jitter_ms; /* 0 to so much is added to the delay */
	double
	    jitter_normal; /* 0: evenly spread; 1: normal, mean half and deviation a sixth of it */
	/*
	 * 0: packets keep their order. Jitter then is a queue's: it fills at once and drains within
	 * 1 to 3 times jitter_ms, over and over. So its spread does not depend on how many packets
	 * sample it; drawn for each packet, order would make it a constant for a dense stream.
	 * 1: jitter is drawn for each packet, and packets overtake each other.
	 */
	double reorder;
};

enum line_fate {
	LINE_PASSES,
	LINE_LOST,
	LINE_BURST,
	LINE_QUEUE,
	LINE_OFF,
};

#define LINE_SPREAD_N 1024

struct line {
	struct line_set set;
	uint64_t random;                 /* state of the generator */
	uint64_t lost_below;             /* a draw below it is a loss */
	int64_t free_at;                 /* the link is busy until then */
	int64_t released_at;             /* the latest moment given to any packet */
	int64_t saw_from, saw_len;       /* the queue behind the jitter: filled when, drained in */
	int64_t period_from;             /* burst_every_ms of now */
	int64_t burst_from, burst_until; /* the burst that is, or comes next */
	int64_t queued_max;              /* the longest wait for the link so far */
	float spread[LINE_SPREAD_N + 1]; /* quantiles of the normal jitter, 0..1 */
};

/* A line that loses nothing and delays nothing. Fills `l`, the caller's; `seed` makes its chances. */
void line_init(struct line *l, uint64_t seed);

/*
 * From `now` on the line is as `set` (copied) says. What is on its way keeps its moment; what waits
 * for the link goes on at the new rate, and later packets stay behind it unless they may overtake.
 * Returns NULL, or what is wrong with `set`, a constant text; the line then is as it was.
 */
const char *line_change(struct line *l, const struct line_set *set, int64_t now);

/*
 * A packet of `bytes` is offered at `now`, which never goes back. LINE_PASSES gives the moment at
 * which it comes out, never before `now`; with any other fate *release is untouched.
 */
enum line_fate line_offer(struct line *l, size_t bytes, int64_t now, int64_t *release);

#endif
