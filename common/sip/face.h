/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_FACE_H
#define VOFW_SIP_FACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sip/flow.h"

/* The faces of the pair, found by number (of a flow) and by agent's name (of a token or binding). */
struct faces;

#define FACES_MAX 4096

struct face {
	uint32_t number;
	bool up;
	char *name;                                 /* "" = outside */
	struct sip_listener listen[SIP_LISTEN_MAX]; /* as others are told */
	size_t listen_n;
	struct addr
	    bound[SIP_LISTEN_MAX]; /* as they are, if that is another; ours, but told to nobody */
};

struct faces *faces_new(void);
void faces_free(struct faces *f);

/* Adds a face or changes its name and listeners; it is up. NULL beyond FACES_MAX. */
const struct face *faces_put(struct faces *f, uint32_t number, const char *name,
    const struct sip_listener *listen, size_t n);
/* Where the first n listeners of a face really are; addresses that are not set are as told. */
void faces_set_bound(struct faces *f, uint32_t number, const struct addr *bound, size_t n);
void faces_down(struct faces *f, uint32_t number);
const struct face *faces_find(const struct faces *f, uint32_t number); /* NULL = unknown */
const struct face *faces_named(const struct faces *f, const char *name);

/* The listener a message to or from `flow` passes; NULL when the face has none of its protocol. */
const struct sip_listener *face_listener(const struct face *face, const struct sip_flow *flow);

/* Sets flow->face and flow->listener so that a listener of the flow's protocol and its peer's
 * family is used. ERR_UNSUPPORTED when there is none. */
int face_choose(const struct face *face, struct sip_flow *flow);

/* True when host (a literal) and port name one of the face's listeners; port 0 = any. */
bool face_owns(const struct face *face, const char *host, uint16_t port);
/* True when `a` is the host of one of them, as it is told to others. */
bool face_tells_addr(const struct face *face, const struct addr *a);
/* ... or as it is. */
bool face_owns_addr(const struct face *face, const struct addr *a);

#endif
