/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_CONTROL_H
#define VOFW_TUNNEL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/heard.h"

/*
 * What the agents tell each other in reliable frames: types and payloads (docs/PROTOCOL.md,
 * "Control"). Pure codec. Decoding borrows strings and bytes from the input until return of the
 * frame's handler; every decode checks lengths, caps and the address families, and gives
 * ERR_MALFORMED for anything else. Encoders write into a caller's buffer and give the length.
 *
 * HRAS is the brain: it numbers legs and calls; a number is unique within an agent's session
 * history and is reused only after its CLOSE was sent. CALL and LEG are idempotent: the same
 * number again updates.
 */
enum control_type {
	CONTROL_AGENT = 1,  /* up: first frame of each session: who I am in the LAN */
	CONTROL_SIP,        /* both: a SIP message with its flow */
	CONTROL_SIP_FAILED, /* up: a SIP message could not be sent */
	CONTROL_SIP_CLOSED, /* up: a TCP connection of the LAN is gone */
	CONTROL_SYNC,       /* down: HRAS teaches anew: what is not named until its end is closed */
	CONTROL_CALL,       /* down: a call exists: its names and its last will */
	CONTROL_CALL_END,   /* down */
	CONTROL_LEG,        /* down: open or update a media leg */
	CONTROL_LEG_CLOSE,  /* down */
	CONTROL_LEG_FAILED, /* up: the ports of this leg cannot be opened */
	CONTROL_LEG_SOURCE, /* up: the phone's real media address differs from what was taught */
	CONTROL_HEARD,      /* both: how legs' voice arrives where it is heard */
	CONTROL_BANDWIDTH,  /* both: what the sender's administrator allows the tunnel */
	CONTROL_DATAGRAMS,  /* down: where HRAS takes datagrams */
};

#define CONTROL_MAX 65900 /* longest payload (one SIP message and its flow) */
#define CONTROL_NAME_MAX 255

struct control_bytes { /* a borrowed run of bytes */
	const uint8_t *p;
	size_t n;
};

/* "udp", "tcp", "tls": the wire's numbers. */
enum control_proto { CONTROL_UDP = 0, CONTROL_TCP = 1, CONTROL_TLS = 2 };

#define CONTROL_LISTEN_MAX 8

struct control_agent {
	struct control_bytes version; /* of the software */
	struct {
		enum control_proto proto;
		struct addr addr;
	} sip[CONTROL_LISTEN_MAX]; /* HRAC's SIP listeners; index = listener number */
	size_t sip_n;
	struct addr media; /* HRAC's media address, port 0 */
	uint16_t port_min, port_max;
	/* Even ports taken by others, a bitmap: bit i (LSB first) of it is port_min + 2i. */
	struct control_bytes busy;
};

struct control_sip {
	enum control_proto proto;
	uint8_t listener; /* HRAC's listener number it came to or shall leave from */
	uint64_t conn; /* TCP: HRAC's connection number; 0 down = any, connect when there is none */
	struct addr peer; /* the phone */
	uint64_t tag;     /* down: handed back in SIP_FAILED; up: 0 */
	struct control_bytes message;
};

struct control_sip_failed {
	uint64_t tag;
	uint64_t conn;
	struct addr peer;
	int err; /* enum err */
};

struct control_sip_closed {
	uint64_t conn;
};

struct control_sync {
	bool begin;
	uint32_t grace_s; /* HRAC ends its calls when HRAS has been away so long, as HRAS does */
};

struct control_call {
	uint32_t call;
	/* For HRAC's status page; cut at CONTROL_NAME_MAX bytes. */
	struct control_bytes call_id, from, to;
	uint8_t state; /* enum vcit_state */
	uint64_t since_wall_s;
	/* Sent by HRAC when HRAS is gone for good: the BYE; message.n = 0: none. */
	struct control_sip will;
};

struct control_call_end {
	uint32_t call;
};

struct control_leg {
	uint32_t leg; /* media channel numbers are leg*2 (RTP) and leg*2+1 (RTCP) */
	uint32_t call;
	uint8_t stream;        /* index of the m-line */
	uint8_t kind;          /* enum media_kind */
	uint16_t port;         /* HRAC's even port to open */
	struct addr rtp, rtcp; /* where the phone wants its media (SDP); not set = not known yet */
	struct addr far; /* the other phone as HRAS sees it, for the status page; may be unset */
	bool mux;        /* rtcp-mux: RTCP on the RTP port */
	bool latch;      /* learn the real source anew */
	bool is_rtp;     /* RTP, so that counters make sense */
	uint32_t clock_rate; /* Hz, for jitter; 0 = unknown */
};

struct control_leg_close {
	uint32_t leg;
};

struct control_leg_failed {
	uint32_t leg;
	uint16_t port;
	int err;
};

struct control_leg_source {
	uint32_t leg;
	bool rtcp;
	struct addr source;
};

struct control_bandwidth { /* a session begins with 0 on both sides; the smaller one counts */
	uint32_t max_kbit; /* of IP traffic, each way; 0 = no cap */
};

struct control_datagrams {
	struct addr address; /* with its port; may be one that only HRAS's own network knows */
};

#define CONTROL_HEARD_MAX 16 /* legs in one message */

/* Up: what the leg's phone hears. Down: what is heard of the leg's phone by the other one. */
struct control_heard {
	size_t n; /* >= 1 */
	struct {
		uint32_t leg;
		struct heard heard;
	} leg[CONTROL_HEARD_MAX];
};

/* A decoded control message: `type` tells the member. */
struct control {
	enum control_type type;
	union {
		struct control_agent agent;
		struct control_sip sip;
		struct control_sip_failed sip_failed;
		struct control_sip_closed sip_closed;
		struct control_sync sync;
		struct control_call call;
		struct control_call_end call_end;
		struct control_leg leg;
		struct control_leg_close leg_close;
		struct control_leg_failed leg_failed;
		struct control_leg_source leg_source;
		struct control_heard heard;
		struct control_bandwidth bandwidth;
		struct control_datagrams datagrams;
	} u;
};

/* An address of docs/PROTOCOL.md, "Control"; r->bad, w->bad when it is none or has no room. */
struct wire_read;
struct wire_write;
struct addr control_get_addr(struct wire_read *r);
void control_put_addr(struct wire_write *w, const struct addr *a);

/* ERR_MALFORMED; ERR_UNSUPPORTED for an unknown type (a newer peer: ignore it, counted). */
int control_decode(uint8_t type, const uint8_t *in, size_t n, struct control *out);

/* ERR_TOO_BIG when it does not fit into cap. */
int control_encode(const struct control *c, uint8_t *out, size_t cap, size_t *out_len);

#endif
