/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_HTTP_PAIR_H
#define VOFW_TESTS_HTTP_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hrac/uplink/uplink.h"
#include "hras/gateway/gateway.h"

/*
 * An uplink and a gateway over the loopback, in one process and on one event base, with traffic
 * that checks itself: reliable frames must come once and in order, media frames at most once.
 */
#define HTTP_PAIR_MEDIA_MAX 65536

struct http_inbox {
	uint32_t reliable_n; /* came, in order */
	uint32_t media_n;    /* came, each for the first time */
	uint32_t wrong_n;    /* came out of order, twice, or with another content than was sent */
	uint8_t seen[HTTP_PAIR_MEDIA_MAX / 8];
};

struct http_pair {
	struct event_base *base;
	struct gateway *gateway;
	struct gateway_config gateway_config;
	struct uplink *uplink;
	struct uplink_config uplink_config;
	const char *secret; /* that HRAS knows for "office" and "branch" */

	struct gateway_agent *agent; /* between its first on_session and on_gone */
	unsigned agent_sessions_n, agent_fresh_n, agent_gone_n;
	unsigned uplink_sessions_n, uplink_restarted_n;
	struct http_inbox up, down; /* came at the gateway, at the uplink */
	unsigned loops_n; /* turns of the loop while waiting: 200 a second, and what happens */
	uint32_t up_sent, down_sent, up_media_sent, down_media_sent;
};

void http_pair_init(struct http_pair *p);
void http_pair_free(struct http_pair *p); /* what is running, and the base */

void http_pair_start_gateway(struct http_pair *p); /* by gateway_config; the port stays the same */
void http_pair_start_uplink(struct http_pair *p);  /* by uplink_config; its url, if NULL, is made */
void http_pair_stop_gateway(struct http_pair *p);
void http_pair_stop_uplink(struct http_pair *p);

/* Loops until cond(arg) or the time is over; gives the last cond. */
typedef bool http_pair_cond(void *arg);
bool http_pair_wait(struct http_pair *p, http_pair_cond *cond, void *arg, unsigned ms);
void http_pair_sleep(struct http_pair *p, unsigned ms); /* loops that long */

bool http_pair_is_up(void *pair);    /* conditions, for http_pair_wait */
bool http_pair_all_came(void *pair); /* every reliable frame sent since the sessions began */

void http_pair_send(struct http_pair *p, unsigned n);       /* n reliable frames each way */
void http_pair_send_media(struct http_pair *p, unsigned n); /* n media frames each way */
void http_pair_forget(struct http_pair *p);                 /* counts of the traffic begin anew */

uint64_t http_pair_metric(struct metric_set set, const char *name);

#endif
