/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_RESOLVE_H
#define VOFW_SIP_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sip/flow.h"

struct event_base;

/*
 * Where to send a request for a SIP URI: RFC 3263 §4 (NAPTR, SRV, A, AAAA) with c-ares, never
 * blocking. Answers are cached by their TTL (at most 5 minutes, 10 s for failures; 4096 names).
 * IPv4 addresses of a host come before its IPv6 ones. sips: and transport=tls are not found as long
 * as TLS is not spoken. A look-up takes 8 s at most. Runs on the event base's thread.
 */
struct sip_resolver;
struct sip_query;

#define SIP_TARGETS_MAX 8

struct sip_targets { /* in the order to be tried */
	struct {
		enum sip_proto proto;
		struct addr addr;
	} target[SIP_TARGETS_MAX];
	size_t n;
};

/* servers: "192.0.2.53" or "192.0.2.53:5353", none = the system's. ERR_MALFORMED, ERR_IO. */
int sip_resolver_new(struct event_base *base, char *const *servers, size_t servers_n,
    struct sip_resolver **out);
void sip_resolver_free(struct sip_resolver *r); /* queries under way are dropped, not answered */

/* err: 0, ERR_NOT_FOUND, ERR_TIMEOUT. Called once, also from inside sip_resolve when known at once.
 * `targets` is borrowed. */
typedef void sip_resolve_cb(void *arg, int err, const struct sip_targets *targets);

struct sip_resolve_key {
	const char *host;      /* name or literal (brackets allowed) */
	uint16_t port;         /* 0 = not in the URI */
	const char *transport; /* the URI's parameter; NULL = none */
	bool sips;
};

/* Starts a look-up; *out (may be NULL) is good for sip_resolve_cancel until the callback. */
void sip_resolve(struct sip_resolver *r, const struct sip_resolve_key *key, sip_resolve_cb *cb,
    void *arg, struct sip_query **out);
void sip_resolve_cancel(struct sip_query *q);

#endif
