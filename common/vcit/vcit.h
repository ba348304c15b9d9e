/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_VCIT_VCIT_H
#define VOFW_VCIT_VCIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"
#include "base/timers.h"
#include "media/media.h"
#include "sip/sip.h"
#include "vcit/room.h"

/*
 * The Voice Communication Information Table: the calls that HRAS relays, known by Call-ID, From
 * tag and To tag, and the only owner of call state. It is the proxy's relay hook: it reads offers
 * and answers (RFC 3264), opens a leg on each side for each stream, gives each phone the agent of
 * its own side to talk to, learns the dialog, and ends calls whose tunnel or media is gone by BYE
 * both ways. Calls and legs at an agent are numbered; what that agent must know goes out through
 * handlers (the wiring turns them into CONTROL messages), so that it can be taught anew.
 *
 * Row: call_id, from tag, to tag, state, two sides (caller, callee: face, address, dialog side),
 * streams (each: kind, one leg a side). IIP/IPort and OIP/OPort of a row are the media addresses
 * of the phones of the two sides: inside and outside (of two inside phones: caller's, callee's).
 */
struct vcit;

enum vcit_state { VCIT_CALLING, VCIT_RINGING, VCIT_UP, VCIT_HELD, VCIT_ENDING };
const char *vcit_state_str(enum vcit_state state); /* "calling" ... */

struct vcit_cfg {
	size_t calls_max;
	bool measured; /* no more calls than the line of each agent is seen to carry, as well */
	struct addr media_address; /* outside face's, port 0 */
	uint16_t port_min, port_max;
	uint64_t linger_us;
	uint64_t media_timeout_us; /* 0 = never */
};

/* What an agent reported of its media side when its session came up. */
struct vcit_agent {
	const char *name;
	struct addr media; /* port 0 */
	uint16_t port_min, port_max;
	const uint8_t *busy; /* bitmap, bit i = port_min + 2i; borrowed */
	size_t busy_len;
};

struct vcit_leg_order { /* what the agent of `face` shall open or update */
	uint32_t leg, call;
	uint8_t stream;
	enum media_kind kind;
	uint16_t port;
	struct addr rtp, rtcp, far;
	bool mux, latch;
	bool is_rtp;
	uint32_t clock_rate; /* Hz */
};

struct vcit_call_order {
	uint32_t call;
	const char *call_id, *from, *to;
	enum vcit_state state;
	uint64_t since_wall_s;
	const char
	    *will; /* BYE to the inside phone of that face should HRAS be gone; NULL = none */
	size_t will_len;
	struct sip_flow will_flow;
};

struct vcit_handlers {
	void (*on_leg)(void *arg, uint32_t face, const struct vcit_leg_order *o);
	void (*on_leg_close)(void *arg, uint32_t face, uint32_t leg);
	void (*on_call)(void *arg, uint32_t face, const struct vcit_call_order *o);
	void (*on_call_end)(void *arg, uint32_t face, uint32_t call);
	/* The face has its first call being set up, or its last one ended. */
	void (*on_busy)(void *arg, uint32_t face, bool busy);
};

struct vcit *vcit_new(const struct vcit_cfg *cfg, struct timers *timers, struct media *media,
    const struct vcit_handlers *h, void *arg);
/* Calls that are still there are forgotten; no handler is called (see vcit_end_all). */
void vcit_free(struct vcit *v);
/* The server that BYEs are sent by; set once before the first message. */
void vcit_set_server(struct vcit *v, struct sip_server *s);

/* -- The proxy's hooks (struct sip_server_handlers) -- */
int vcit_relay(struct vcit *v, struct sip_relay *r, uint64_t now_us);
void vcit_invite_failed(struct vcit *v, const struct sip_msg *request, int status, uint64_t now_us);
void vcit_branch_failed(struct vcit *v, const struct sip_msg *request, uint64_t branch,
    uint64_t now_us);

/* -- The room of an agent's tunnel (room.h) -- */

/* How it does, some times a second; of a face that is not known it is passed over. The cap in it is
 * kept from then on. */
void vcit_room_sample(struct vcit *v, uint32_t face, const struct room_sample *s, uint64_t now_us);

struct vcit_room {
	size_t calls;      /* places taken */
	size_t calls_max;  /* places there are, as far as is known; 0 = no end in sight */
	uint32_t cap_kbit; /* each way; 0 = none */
	double kbit[2];    /* used of it: up, down */
	uint64_t refused;  /* calls, since the agent came */
};
bool vcit_room_view(struct vcit *v, uint32_t face, struct vcit_room *out); /* false: not known */

/* -- Agents -- */

/* The agent of `face` is there (again): its media range is known; then all its calls and legs are
 * told to it by on_call and on_leg. */
void vcit_agent_up(struct vcit *v, uint32_t face, const struct vcit_agent *a, uint64_t now_us);
/* It is gone for good: its calls end, BYE to the other side. */
void vcit_agent_gone(struct vcit *v, uint32_t face, uint64_t now_us);
/* Its port is taken by another program: the port rests, the call is ended. */
void vcit_leg_failed(struct vcit *v, uint32_t face, uint32_t leg, uint16_t port, uint64_t now_us);
void vcit_leg_source(struct vcit *v, uint32_t face, uint32_t leg, bool rtcp,
    const struct addr *source);
/* A socket leg of HRAS learnt its source (media's on_source). */
void vcit_local_source(struct vcit *v, struct media_leg *leg, bool rtcp, const struct addr *source);

/* -- What is heard (docs/PROTOCOL.md, HEARD) -- */

/* The agent of `face` tells what the phone of its leg hears; a leg that is not known is ignored. */
void vcit_leg_heard(struct vcit *v, uint32_t face, uint32_t leg, const struct heard *h);
/* What inside phones heard since the last call of this. */
struct heard_sum vcit_take_heard(struct vcit *v);
/* What the agent of `face` shall know: what is heard of the phone of its leg by the other one. */
typedef void vcit_heard_cb(void *arg, uint32_t face, uint32_t leg, const struct heard *h);
/* For the legs at agents whose number modulo `parts` is `part`, where something new was heard. */
void vcit_each_heard(struct vcit *v, unsigned part, unsigned parts, vcit_heard_cb *cb, void *arg);

/* Ends all calls: BYE both ways to those that are up, to the callee only of those that ring.
 * `reason` (no quotes in it) is for the log and the Reason header. */
void vcit_end_all(struct vcit *v, const char *reason, uint64_t now_us);

/* -- Facts -- */
struct vcit_stream_view {
	enum media_kind kind;
	struct addr inside, outside; /* phones' media addresses; may be unset */
	struct media_stats from_inside, from_outside;
	struct heard heard_of_inside, heard_of_outside; /* of that phone by the other one */
};
struct vcit_call_view {
	const char *call_id, *from, *to;
	const char *caller_agent, *callee_agent; /* NULL = outside */
	enum vcit_state state;
	uint64_t since_wall_s, up_since_wall_s; /* 0 = not up yet */
	const struct vcit_stream_view *streams;
	size_t streams_n;
};
typedef void vcit_each_cb(void *arg, const struct vcit_call_view *call);
void vcit_each(const struct vcit *v, vcit_each_cb *cb, void *arg);
size_t vcit_calls_n(const struct vcit *v);
struct metric_set vcit_metrics(const struct vcit *v);

#endif
