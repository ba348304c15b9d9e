/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_DATAGRAM_H
#define VOFW_TUNNEL_DATAGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "tunnel/cipher.h"
#include "tunnel/tunnel.h"

/*
 * The datagrams of a session (docs/PROTOCOL.md, "Datagrams"): the form of one, its number, its seal, and
 * the window by which one that comes twice falls away. What is inside is a batch, without its length.
 * Of a datagram that is not authentic nothing is believed and nothing changes. Pure: bytes in, bytes
 * out; the work for each is bounded, and a `struct datagram_end` has its memory from the start.
 */
#define DATAGRAM_HEADER_LEN 9
#define DATAGRAM_BATCH_MAX 1200 /* so that it passes whole where the MTU is 1280 */
#define DATAGRAM_MAX (DATAGRAM_HEADER_LEN + DATAGRAM_BATCH_MAX + CIPHER_TAG_LEN)
#define DATAGRAM_WINDOW \
	4096 /* numbers; what is further below the highest is taken for a repetition */

struct datagram_end; /* one end of one session */

/* Keys of the grant's session, one for each direction; rekeyed: so often it had another one before. The
 * caller owns the end. */
struct datagram_end *datagram_end_new(const struct tunnel_grant *grant, enum tunnel_role role,
    uint64_t rekeyed);
void datagram_end_free(struct datagram_end *e); /* wipes the keys; NULL is fine */

/*
 * The session has another key, which from now on is opened beside the last one. The server, which is to
 * have it when the client has, seals by it at once; the client as soon as something so sealed has come.
 */
void datagram_end_rekey(struct datagram_end *e, enum cipher_kind kind,
    const uint8_t key[static CIPHER_KEY_LEN]);

/* By what a datagram names its session, to whoever sees it. */
uint32_t datagram_id(uint64_t session);

/* The id in a datagram; false: it is none. */
bool datagram_peek(const uint8_t *in, size_t n, uint32_t *id);

/*
 * Seals the batch of n <= DATAGRAM_BATCH_MAX bytes that stands at buf + DATAGRAM_HEADER_LEN (room for
 * DATAGRAM_MAX bytes). Returns its number, from 1; *len is its length.
 */
uint64_t datagram_seal(struct datagram_end *e, uint8_t *buf, size_t n, size_t *len);

struct datagram {
	uint64_t number;
	bool newest; /* no higher number came before */
	const uint8_t *batch;
	size_t batch_len;
};

/*
 * Opens a datagram where it stands; out->batch points into it. ERR_MALFORMED: too short, too long or
 * of another session; ERR_EXISTS: it came before, or is too old to tell; ERR_AUTH.
 */
int datagram_open(struct datagram_end *e, uint8_t *in, size_t n, struct datagram *out);

/* The highest number that came, 0 = none, and how many of those up to it have not come. */
void datagram_came(const struct datagram_end *e, uint64_t *through, uint64_t *missing);

#define DATAGRAM_PROBE_LEN 23 /* least payload of a PROBE: no address in an ANSWER is longer */

/*
 * What HRAS answers to a PROBE where there is no tunnel behind the session, only a look at the way (a
 * visit): opens `in`, and if it asks writes the ANSWER into out (room for DATAGRAM_MAX bytes), which is
 * never longer. `from` is the address that it came from. *len 0: nothing was asked. Errors as
 * datagram_open, ERR_MALFORMED for what is no batch.
 */
int datagram_answer(struct datagram_end *e, uint8_t *in, size_t n, const struct addr *from,
    uint8_t *out, size_t *len);

/* The other end of that: a PROBE with n >= DATAGRAM_PROBE_LEN bytes of payload into out (as above). */
size_t datagram_ask(struct datagram_end *e, size_t n, uint8_t *out);

/* Opens an answer: the address that HRAS saw, and what came of all asked. Errors as datagram_answer. */
struct datagram_said {
	struct addr mapped;
	uint64_t through, missing;
};
int datagram_said(struct datagram_end *e, uint8_t *in, size_t n, struct datagram_said *out);

#endif
