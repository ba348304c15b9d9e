/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_RECOVER_H
#define VOFW_TUNNEL_RECOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tunnel/frame.h"

/*
 * The receiver's side of parity: it remembers the media batches that came and the groups of which
 * something lacks, and rebuilds what can be (docs/PROTOCOL.md, "Redundancy").
 *
 * It remembers the last 512 batches and 64 groups, in about 820 KB that are allocated when the
 * first of them comes and only while they are expected: a clean tunnel pays a test of a flag. All
 * that comes may be hostile. A batch is looked up by a compare with each group that waits, and each
 * group is solved once at most, so that the work is bounded for each batch and for each sum.
 *
 * Pure: no clock, no sockets. Not thread-safe.
 */
struct recover;

struct recover_stats {
	uint64_t rebuilt;   /* batches */
	uint64_t unneeded;  /* sums of groups that were whole */
	uint64_t given_up;  /* groups that were pushed out by newer ones before they were whole */
	uint64_t malformed; /* sums that contradict the batches, themselves, or one another */
};

/* Expects nothing; the caller owns it. salt: large, and not known to the peer, so that it cannot choose
 * numbers that are slow to find. */
struct recover *recover_new(uint32_t salt);
void recover_free(struct recover *r);

/*
 * Whether sums may come: true from the first loss that is heard on; the first recover_parity says it,
 * too. False forgets all that is remembered, and its memory. Until it is true recover_batch keeps
 * nothing.
 */
void recover_expect(struct recover *r, bool on);
bool recover_expects(const struct recover *r);

/*
 * A batch with media came, for the first time or again: the number of its first media frame, how many
 * MEDIA frames there are, and its body with all frames, copied. One that is in no group (a body longer
 * than FRAME_BODY_FILL; no media, or more than 255) is passed over. Then ask recover_next.
 */
void recover_batch(struct recover *r, uint32_t base, size_t media_n, const uint8_t *body,
    size_t len);

/* A sum came, as frame_next decoded it; copied. Then ask recover_next. */
void recover_parity(struct recover *r, const struct frame_parity *p);

/*
 * The next batch that was rebuilt, each once: the number of its first media frame, how many there are
 * meant to be, and the body, borrowed until the next call with r. The sender of a sum chose all of
 * its bytes: parse it like any other body, and drop what is known by its number. ERR_NOT_FOUND: none.
 */
int recover_next(struct recover *r, uint32_t *base, size_t *media_n, const uint8_t **body,
    size_t *len);

const struct recover_stats *recover_stats(const struct recover *r); /* borrowed while r lives */

#endif
