/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_PARITY_H
#define VOFW_TUNNEL_PARITY_H

#include <stddef.h>
#include <stdint.h>

#include "tunnel/frame.h"

/*
 * Sums over groups of media batches, from which the receiver rebuilds up to two that were lost
 * (docs/PROTOCOL.md, "Redundancy"). It hides the field of 2^8 elements and how to reckon in it
 * sixteen bytes at a time. Pure, and no allocation: all memory is the caller's. Not thread-safe.
 */

#define PARITY_ROWS 2 /* P and Q */
#define PARITY_BLOCK_MAX (FRAME_LENGTH_LEN + FRAME_BODY_FILL)

/* -- The sender: one group that grows -- */

/* Large: for the heap or a member of something there. The counts are for the caller to read. */
struct parity_sum {
	uint32_t base;      /* media number of the first frame of the group */
	uint32_t next;      /* and of the first one behind it */
	unsigned rows_n;    /* 1: P; 2: P and Q */
	unsigned batches_n; /* in the group, 0..FRAME_GROUP_MAX */
	uint8_t media_n[FRAME_GROUP_MAX];
	size_t len; /* of the longest block so far */
	uint8_t row[PARITY_ROWS][PARITY_BLOCK_MAX];
};

/* An empty group, for rows_n sums: 1 (P) or 2 (P and Q). Whatever s held is forgotten. */
void parity_start(struct parity_sum *s, unsigned rows_n);

/*
 * Adds a media batch to the group, as its next one: the number of its first media frame, how many
 * there are, and its body, borrowed until return. Below 1 us. Nothing is added on an error:
 * ERR_UNSUPPORTED, this batch cannot be protected (a body longer than FRAME_BODY_FILL; no media
 * frame, or more than 255); ERR_STATE, its numbers do not follow on from the group's (close that and
 * start another one); ERR_FULL, FRAME_GROUP_MAX are in the group.
 */
int parity_add(struct parity_sum *s, uint32_t base, size_t media_n, const uint8_t *body,
    size_t len);

/*
 * The frame of one sum, row < rows_n, of a group of at least FRAME_GROUP_MIN batches. It borrows the
 * sum from s until that is changed.
 */
void parity_frame(const struct parity_sum *s, unsigned row, struct frame *out);

/* -- The receiver: what is there of one group -- */

struct parity_block {
	const uint8_t *data; /* borrowed; NULL: did not come */
	size_t len;
};

struct parity_group {
	unsigned batches_n;                        /* FRAME_GROUP_MIN..FRAME_GROUP_MAX */
	struct parity_block body[FRAME_GROUP_MAX]; /* of the batches, without their lengths */
	struct parity_block sum[PARITY_ROWS];      /* P and Q as they came, with the length's sum */
};

struct parity_rebuilt {
	unsigned i;          /* which batch of the group */
	size_t len;          /* of its body */
	const uint8_t *body; /* in mem */
	uint8_t mem[PARITY_BLOCK_MAX];
};

/*
 * Rebuilds the batches that did not come, in the order of the group, and says how many: one from
 * either sum, two from both; none when none lacks. ERR_INCOMPLETE: more lack than there are sums.
 * ERR_MALFORMED: the bodies and the sums cannot belong together, namely a body or a rebuilt length is
 * longer than its sum, the sums differ in length, or what should fill up a block is not zero; the
 * content of `out` is then undefined. Any bytes may come; nothing outside of `out` is written.
 */
int parity_solve(const struct parity_group *g, struct parity_rebuilt out[PARITY_ROWS],
    size_t *rebuilt_n);

#endif
