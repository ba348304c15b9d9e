/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAS_FACES_H
#define VOFW_HRAS_FACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"
#include "hras/gateway/gateway.h"
#include "sip/flow.h"
#include "tunnel/control.h"
#include "vcit/vcit.h"

/*
 * The inside faces: face n > 0 is the LAN of one agent, the same as long as HRAS runs. This file
 * is the only one of HRAS that speaks control messages (docs/PROTOCOL.md, "Control"): what the SIP
 * server and the call table want of an agent goes out by it, what agents say comes in by it.
 */
#define FACES_MAX 1024

struct hras;

struct face {
	uint32_t number;
	char *name;
	struct gateway_agent *agent; /* NULL while away for good */
	bool known;                  /* its CONTROL_AGENT came in this session */
	uint32_t bandwidth_kbit; /* its own bandwidth_max, as it told in this session; 0 = none */
	uint32_t told_kbit;      /* what it was told of ours in this session */
	struct sip_listener listen[SIP_LISTEN_MAX];
	size_t listen_n;
	/* Of its tunnel, up to a second old. */
	bool up;
	uint64_t round_trip_us; /* 0 = not known */
};

struct faces {
	struct face *face[FACES_MAX]; /* by number - 1; owned */
	size_t n;
	uint64_t control_malformed, control_unsendable; /* counters */
};

/* The gateway's handlers; arg is the struct hras. */
extern const struct gateway_handlers faces_gateway_handlers;

/* The call table's handlers; arg is the struct hras. */
extern const struct vcit_handlers faces_vcit_handlers;

void faces_clear(struct faces *f);

/* A SIP message to a phone of an inside face. ERR_DOWN when its agent is away. */
int faces_send_sip(struct hras *h, const struct sip_flow *to, uint64_t tag, const char *data,
    size_t n);

/* A packet to the leg of an inside face. */
void faces_send_media(struct hras *h, uint32_t face, uint32_t channel, const uint8_t *data,
    size_t n);

/* What caps its tunnel, kbit/s each way, by all that was configured at both ends; 0 = nothing. */
uint32_t faces_bandwidth_max(const struct hras *h, const struct face *face);

/* Some times a second: the call table hears how the tunnels do. */
void faces_sample(struct hras *h, uint64_t now_us);

/* The configuration changed: agents are told what they must know of it. */
void faces_reload(struct hras *h);

/* What is heard of the phones of an inside face. */
void faces_send_heard(struct hras *h, uint32_t face, const struct control_heard *legs);

struct metric_set faces_metrics(const struct faces *f);

#endif
