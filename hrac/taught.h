/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_TAUGHT_H
#define VOFW_HRAC_TAUGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/media.h"
#include "sip/flow.h"
#include "tunnel/control.h"

/*
 * What HRAS has taught this HRAC: the calls and the media legs of its LAN, by HRAS's numbers. HRAC
 * makes up nothing of it and keeps nothing of it over a restart; HRAS teaches it again in each new
 * session, between SYNC begin and SYNC end. Legs are real sockets in the media engine.
 */
struct taught;

#define TAUGHT_CALLS_MAX 16384
#define TAUGHT_STREAMS_MAX 32 /* legs shown of one call */

/* A leg could not be opened: `err` of enum err. */
typedef void taught_failed_cb(void *arg, uint32_t leg, uint16_t port, int err);

struct taught *taught_new(struct media *media, taught_failed_cb *cb, void *arg);
void taught_free(struct taught *t); /* closes all legs; before media_free */

/* The handlers of the control messages of these names. ERR_FULL beyond the caps. */
void taught_sync(struct taught *t, bool begin);
int taught_call(struct taught *t, const struct control_call *c);
void taught_call_end(struct taught *t, uint32_t call);
int taught_leg(struct taught *t, const struct control_leg *c);
void taught_leg_close(struct taught *t, uint32_t leg);

/* CONTROL_HEARD of one leg: what is heard of its phone by the other one. */
void taught_heard(struct taught *t, uint32_t leg, const struct heard *h);

/* Forgets all and closes all legs. */
void taught_clear(struct taught *t);

/* The number of the leg whose socket leg has `user` (media_leg_user). */
uint32_t taught_leg_number(const void *user);

size_t taught_calls_n(const struct taught *t);
size_t taught_legs_n(const struct taught *t);

/* A call as HRAC knows it; strings borrowed until the call changes. */
struct taught_call {
	uint32_t number;
	char *call_id, *from, *to;
	uint8_t state; /* enum vcit_state */
	uint64_t since_wall_s;
	char *will; /* the BYE to our phone should HRAS be gone; NULL = none */
	size_t will_len;
	struct sip_flow will_flow;
};

/* A leg for the status page. */
struct taught_leg {
	uint32_t number, call;
	uint8_t stream;
	uint16_t port;
	enum media_kind kind;
	struct addr far;
	struct media_leg *socket, *tunnel;
	struct heard heard_of; /* of its phone by the other one, as HRAS tells */
};

typedef void taught_call_cb(void *arg, const struct taught_call *c);
void taught_each_call(const struct taught *t, taught_call_cb *cb, void *arg);
/* Those that were not named since SYNC begin: what SYNC end forgets. */
void taught_each_unnamed(const struct taught *t, taught_call_cb *cb, void *arg);
/* The legs of one call in the order of their streams; returns their number (<= cap). */
size_t taught_legs(const struct taught *t, uint32_t call, const struct taught_leg **out,
    size_t cap);

/* What is heard of our phones, since the last call of this. */
struct heard_sum taught_take_heard(struct taught *t);
/* For the legs whose number modulo `parts` is `part` and whose phone heard something new: what. */
typedef void taught_heard_cb(void *arg, uint32_t leg, const struct heard *h);
void taught_each_heard(struct taught *t, unsigned part, unsigned parts, taught_heard_cb *cb,
    void *arg);

#endif
