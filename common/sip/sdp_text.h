/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_SDP_TEXT_H
#define VOFW_SIP_SDP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

/*
 * The lines of a session description as text, shared by the parser (sdp.c) and the rewriter
 * (sdp_rewrite.c), so that both see the same. Nothing is copied: every result borrows the text.
 * Pure.
 */

/* A piece of the text; no NUL behind it. */
struct span {
	const char *p;
	size_t n;
};

void span_skip(struct span *s, size_t n);          /* drops n <= s->n bytes at the front */
struct span span_cut_word(struct span *s);         /* up to a blank; empty at the end */
struct span span_before(struct span s, char c);    /* what stands before the first c, or all */
bool span_is(struct span s, const char *text);     /* case does not count */
bool span_starts(struct span s, const char *text); /* likewise */
int span_number(struct span s, uint32_t max, uint32_t *out); /* decimal; ERR_MALFORMED */

struct sdp_line {
	char type; /* the letter before '=' */
	struct span value;
	struct span whole; /* without its line end */
};

/*
 * Cuts the next line that is not empty off the text. ERR_NOT_FOUND at the end; ERR_MALFORMED when it
 * is not "x=value", or has a NUL or a CR inside: who took that for a line end would see other lines
 * than we did.
 */
int sdp_cut_line(struct span *text, struct sdp_line *out);

/* IN <family> <host>[/<ttl>...]: the end of o=, c= and a=rtcp. */
struct sdp_place {
	struct span host;
	struct addr addr; /* port 0; not set when the host is a name */
};
int sdp_read_place(struct span s, struct sdp_place *out); /* ERR_MALFORMED */

/*
 * The value of o= (RFC 4566 §5.2): `head` is what stands before the place, with its blank. Read from
 * its end, for phones put spaces into the user name. ERR_MALFORMED.
 */
int sdp_read_origin(struct span value, struct span *head, struct sdp_place *out);

/* The value of m= (§5.14): <kind> <port>[/<count>] <proto> <formats>. */
struct sdp_media_line {
	struct span kind, proto, formats;
	uint16_t port;
};
int sdp_read_media(struct span value, struct sdp_media_line *out); /* ERR_MALFORMED */

/* rtcp:<port> [<place>] (RFC 3605); without a place its host is empty. ERR_MALFORMED. */
int sdp_read_rtcp(struct span attribute, uint16_t *port, struct sdp_place *out);

#endif
