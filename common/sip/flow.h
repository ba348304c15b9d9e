/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_FLOW_H
#define VOFW_SIP_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

/*
 * Where a SIP message came from, or goes to. The pair is one proxy with several *faces*: face 0
 * is outside (HRAS's own sockets); face n > 0 is the inside network of agent n (the sockets of its
 * HRAC, reached through the tunnel). A value.
 */
#define SIP_FACE_OUTSIDE 0
#define SIP_LISTEN_MAX 8

enum sip_proto { SIP_UDP, SIP_TCP, SIP_TLS };

struct sip_flow {
	uint32_t face;
	enum sip_proto proto;
	uint8_t listener; /* index of the face's listener of that protocol and family to use */
	uint64_t conn;    /* TCP, TLS: the connection's number on its face; 0 = any, or connect */
	struct addr peer; /* the remote address */
};

/* One of a face's listening addresses; what Via, Record-Route and Contact name. */
struct sip_listener {
	enum sip_proto proto;
	struct addr addr;
};

/* A message that could not be delivered, as the face that it was sent to tells it. */
struct sip_failure {
	uint32_t face;
	uint64_t tag; /* handed to `send` with the message */
	int err;      /* enum err */
};

const char *sip_proto_str(enum sip_proto proto);   /* "UDP": as in Via */
const char *sip_proto_param(enum sip_proto proto); /* "udp": as in ;transport= */
bool sip_proto_reliable(enum sip_proto proto);
bool sip_flow_equal(const struct sip_flow *a, const struct sip_flow *b);

#endif
