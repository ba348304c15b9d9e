/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAS_OUTSIDE_H
#define VOFW_HRAS_OUTSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/timers.h"
#include "base/turn.h"
#include "config/config.h"
#include "hras/faces.h"
#include "hras/gateway/gateway.h"
#include "media/media.h"
#include "sip/location.h"
#include "sip/resolve.h"
#include "sip/sip.h"
#include "sip/transport.h"
#include "status/status.h"
#include "status/trend.h"
#include "vcit/vcit.h"

struct event_base;

/* A message that its face refused at once: told to the server on the next timers, not inside. */
struct failed_send;

/* The parts of a running HRAS; private to hras.c (the wiring), faces.c (its agents) and facts.c
 * (what it shows). */
struct hras {
	struct event_base *base;
	struct config_hras *conf; /* owned */
	struct gateway *gateway;
	struct sip_transport *transport;
	struct sip_resolver *resolver;
	struct location *location;
	struct sip_server *server;
	struct media *media;
	struct vcit *vcit;
	struct status *status;
	struct timers *timers;
	struct turn *turn;
	struct timer sampling; /* how the tunnels do */
	struct timer failing;  /* set while `failed` is not empty */
	struct failed_send *failed;
	struct faces faces;
	struct timer second; /* watch.c */
	unsigned seconds;
	struct trend *trend;
	uint64_t started_us;
};

/* watch.c: a look at calls and tunnels every second, for the status page and for the agents. */
void hras_watch_start(struct hras *h);
void hras_watch_stop(struct hras *h);                  /* fine when not started */
uint64_t hras_round_trip_us(void *arg, uint32_t face); /* for the media; arg is the struct hras */

/* The source of HRAS's status page; its arg is the struct hras. */
extern const struct status_source hras_facts;

#endif
