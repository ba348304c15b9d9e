/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_LINES_H
#define VOFW_SIP_LINES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The header of a SIP message as lines (RFC 3261 §7.3), before anything of it is understood; for
 * msg_parse.c and frame.c, so that both see the same lines in the same bytes. A line ends with
 * CRLF or, from sloppy senders, LF; one that begins with a blank continues the line before it.
 * Pure, copies nothing.
 */
struct sip_line {
	const char *name; /* NULL when there is no colon, or no token before it */
	size_t name_len;
	const char *value; /* without blanks and line ends around it; folds are still inside */
	size_t value_len;
};

/* The header's length, the empty line that ends it included; 0 when that line is not there. */
size_t sip_lines_end(const char *data, size_t n);

/* The next logical line of [*p, end): fills `out`, moves *p behind it; false at the end. The start
 * line is one whose name is not looked at. */
bool sip_lines_next(const char **p, const char *end, struct sip_line *out);

/* 1*DIGIT with nothing around it, at most `max`; false otherwise. */
bool sip_number(const char *s, size_t n, unsigned long max, unsigned long *out);

/* A token character of RFC 3261 §25.1. */
bool sip_is_token_char(char c);

/* The full name of a header field's compact form (§7.3.3 and the IANA registry); else NULL. */
const char *sip_compact_name(const char *name, size_t n);

/* Whether a header field's name of n bytes, compact or in full, means `full`; any case. */
bool sip_name_is(const char *name, size_t n, const char *full);

#endif
