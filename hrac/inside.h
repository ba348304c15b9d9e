/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_INSIDE_H
#define VOFW_HRAC_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/timers.h"
#include "base/turn.h"
#include "config/config.h"
#include "hrac/line.h"
#include "hrac/outage.h"
#include "hrac/taught.h"
#include "hrac/uplink/uplink.h"
#include "media/media.h"
#include "sip/transport.h"
#include "status/status.h"
#include "status/trend.h"
#include "tunnel/control.h"
#include "vcit/room.h"

struct event_base;

/* The parts of a running HRAC; private to hrac.c (the wiring) and facts.c (what it shows). */
struct hrac {
	struct event_base *base;
	struct config_hrac *conf; /* owned */
	struct uplink *uplink;
	struct sip_transport *transport;
	struct media *media;
	struct taught *taught;
	struct outage *outage;
	struct status *status;
	struct timers *timers;
	struct turn *turn;
	struct network *network;
	bool address_gone[CONFIG_LISTEN_MAX + 1]; /* of sip.listen, and of media; it was said */
	struct timer gone;                        /* the tunnel is down for good when it runs */
	struct timer metering;                    /* how the tunnel does */
	struct timer quiet;  /* an INVITE that led to no call no longer makes us busy */
	struct timer second; /* watch.c */
	unsigned seconds;
	struct trend *trend;
	uint64_t round_trip_us; /* of the tunnel, up to a second old; 0 = not known */
	uint64_t started_us;
	uint64_t control_malformed, legs_refused;
	uint64_t boot;       /* of the HRAS that taught us; 0 = none yet */
	uint32_t grace_s;    /* as HRAS told */
	uint32_t told_kbit;  /* HRAS's bandwidth_max for us, told in this session; 0 = none */
	struct room room;    /* of the tunnel; only what is measured */
	uint8_t *busy_ports; /* bitmap of the even ports that others hold */
	size_t busy_ports_len;
};

int hrac_send_control(struct hrac *h, const struct control *c);

/* watch.c: a look at calls and tunnel every second, for the status page and for HRAS. */
void hrac_watch_start(struct hrac *h);
void hrac_watch_stop(struct hrac *h);                                  /* fine when not started */
int hrac_take_heard(struct hrac *h, const struct control_heard *legs); /* 0 */
uint64_t hrac_round_trip_us(void *arg, uint32_t face); /* for the media; arg is the struct hrac */

/* The source of HRAC's status page; its arg is the struct hrac. */
extern const struct status_source hrac_facts;

#endif
