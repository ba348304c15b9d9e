/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_MSG_H
#define VOFW_SIP_MSG_H

#include <osipparser2/osip_message.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * One SIP message (RFC 3261 §7), parsed by libosip2 and checked by us: libosip2 5.3.0 accepts
 * requests without Via or Call-ID. Inside sip/ the osip structure may be read and changed
 * directly; everyone else uses the functions. Strings returned are borrowed while the message
 * lives unchanged. Not thread-safe.
 */
struct sip_msg {
	osip_message_t *osip; /* owned */
	const char *wrong; /* static: what the parser found wrong, for sip_msg_check; else NULL */
};

#define SIP_MSG_MAX 65535   /* longest message, bytes */
#define SIP_HEADERS_MAX 256 /* more header fields than that are ERR_TOO_BIG */
#define SIP_ITEMS_MAX 512   /* ... and more list elements and parameters (, ; &) in all of them */

enum sip_method {
	SIP_INVITE,
	SIP_ACK,
	SIP_CANCEL,
	SIP_BYE,
	SIP_OPTIONS,
	SIP_REGISTER,
	SIP_MESSAGE,
	SIP_PRACK,
	SIP_UPDATE,
	SIP_INFO,
	SIP_REFER,
	SIP_SUBSCRIBE,
	SIP_NOTIFY,
	SIP_PUBLISH,
	SIP_OTHER
};

/* Once per process, before anything else of sip/: libosip2's parser, its trace into the log. */
void sip_msg_init(void);

/*
 * Parses exactly one message of n bytes (a datagram, or what sip_frame found on a stream).
 * 0; ERR_MALFORMED when it is no SIP message at all; ERR_TOO_BIG. A message that parses may still
 * be wrong: ask sip_msg_check. Bytes after Content-Length are ignored (RFC 3261 §18.3).
 *
 * Structures of libosip2 are made of what a proxy must understand (§16.3): Request-URI, Via, From,
 * To, Call-ID, CSeq, Route, Record-Route, Contact, Content-Type and the digest headers. All other
 * fields, and challenges and credentials that are not Digest, stay in osip->headers, one entry for
 * each header field, with their names in full and their values as they came (unfolded).
 */
int sip_msg_parse(const char *data, size_t n, struct sip_msg **out);
struct sip_msg *sip_msg_clone(const struct sip_msg *m);
void sip_msg_free(struct sip_msg *m); /* takes over; NULL is fine */

/* The message as it goes on the wire, newly allocated with its length (and a NUL after it);
 * Content-Length is always right. ERR_TOO_BIG. */
int sip_msg_encode(const struct sip_msg *m, char **out, size_t *n);

/*
 * RFC 3261 §8.1.1, §16.3 step 1, §20: the mandatory fields are there, once, and readable; CSeq's
 * method is the request's; the version is 2.0. Returns 0, or the status to answer with (400, 416,
 * 505) and *why a static phrase for the reason; -1 for a message that cannot even be answered
 * (no usable Via, Call-ID, From, To or CSeq; any bad response): drop and count it.
 */
int sip_msg_check(const struct sip_msg *m, const char **why);

/*
 * Finds where the first message on a stream ends (RFC 3261 §18.3; Content-Length is mandatory on
 * streams, its compact form `l` too). Leading CRLFs are keepalives: *skip bytes of them are to be
 * dropped before the message (set whatever the result). 0: the message is the *len bytes after
 * them. ERR_INCOMPLETE: give more. ERR_MALFORMED (no or wrong Content-Length), ERR_TOO_BIG: the stream is lost, close it.
 */
int sip_frame(const char *data, size_t n, size_t *skip, size_t *len);

bool sip_msg_is_request(const struct sip_msg *m);
enum sip_method sip_msg_method(const struct sip_msg *m); /* a response: of its CSeq */
const char *sip_msg_method_str(const struct sip_msg *m);
int sip_msg_status(const struct sip_msg *m); /* 0 for a request */
/* "id@host"; ERR: NULL */
const char *sip_msg_call_id(const struct sip_msg *m, char *buf, size_t cap);
uint32_t sip_msg_cseq(const struct sip_msg *m);
const char *sip_msg_from_tag(const struct sip_msg *m); /* "" when there is none */
const char *sip_msg_to_tag(const struct sip_msg *m);
/* The From / To URI without name and parameters ("sip:alice@example.com"); returns buf. */
const char *sip_msg_from_uri(const struct sip_msg *m, char *buf, size_t cap);
const char *sip_msg_to_uri(const struct sip_msg *m, char *buf, size_t cap);
const char *sip_msg_branch(const struct sip_msg *m); /* of the top Via; "" when none */

/* First value of a header field that libosip2 has no structure for (and of Expires, Require ...);
 * NULL when absent. Names in any case; compact forms are known. */
const char *sip_msg_header(const struct sip_msg *m, const char *name);
/* Afterwards there is this one value, up to its first line end if it has any. */
void sip_msg_header_set(struct sip_msg *m, const char *name, const char *value);
void sip_msg_header_remove(struct sip_msg *m, const char *name); /* all values */

/* The body: NULL and 0 when there is none. One part or multipart as it came. */
const char *sip_msg_body(const struct sip_msg *m, size_t *n);
bool sip_msg_body_is(const struct sip_msg *m, const char *type); /* "application/sdp" */
/* Replaces body and Content-Type (copies); type NULL removes both. */
void sip_msg_body_set(struct sip_msg *m, const char *type, const char *body, size_t n);

/*
 * The Session Description in the body, if any: the body itself when it is application/sdp, or the
 * first such part of a multipart body. NULL and 0 when there is none. Setting replaces just it.
 */
const char *sip_msg_sdp(const struct sip_msg *m, size_t *n);
void sip_msg_sdp_set(struct sip_msg *m, const char *sdp, size_t n);

/*
 * A response to `req` (RFC 3261 §8.2.6.2, §16.7): Via, From, To, Call-ID, CSeq copied, To given
 * the tag `to_tag` when it has none and status > 100. reason NULL = the standard phrase.
 */
struct sip_msg *sip_msg_response(const struct sip_msg *req, int status, const char *reason,
    const char *to_tag);

/* The standard reason phrase of a status, "Unknown" when there is none. */
const char *sip_status_phrase(int status);

/* n random bytes as 2n lower-case hex digits and NUL: tags, branches, nonces. */
void sip_random_hex(char *out, size_t n);

#endif
