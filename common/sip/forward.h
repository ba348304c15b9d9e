/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_FORWARD_H
#define VOFW_SIP_FORWARD_H

#include "sip/hide.h"
#include "sip/server.h"

/* What is changed in a message on its way through (RFC 3261 §16.6, §16.7 steps 3 and 8). */

struct forward {
	const struct face *from, *to;
	struct sip_flow source; /* where the message came from */
	struct sip_flow target; /* where it goes; its listener is chosen */
	bool natted;            /* its sender does not know its own address */
	bool keep_uri;          /* the Request-URI is the recipient's own */
	bool direct;            /* nothing of us stays in it: its dialog goes around us */
};

/* The crossing, for hide.h; h->here is NULL when the face has no listener for the target. */
void forward_hide(const struct sip_server *s, const struct forward *f, struct hide *h);

/*
 * The request as it leaves but for Via: `routed` (route.h) with the Request-URI `uri` (NULL = its
 * own). *record_routed tells whether our entry was added. ERR_UNSUPPORTED without a listener.
 */
int forward_request(const struct sip_server *s, const struct forward *f,
    const struct sip_msg *routed, const char *uri, struct sip_msg **out, bool *record_routed);

/*
 * The response as it goes upstream: `resp` as it came (f->from is the side it came from), with what
 * belongs to the upstream side set back from `request`. record_routed as from forward_request.
 */
int forward_response(const struct sip_server *s, const struct forward *f,
    const struct sip_msg *resp, const struct sip_msg *request, bool record_routed,
    struct sip_msg **out);

/* The last look at what leaves (hide_sweep), after the relay hook; 0, or it must not leave. */
int forward_sweep(struct sip_server *s, const struct forward *f, const struct sip_msg *came,
    struct sip_msg **m);

/* A copy of `resp` with From, To but its tag, and Call-ID of `request`. */
struct sip_msg *forward_undisguised(const struct sip_msg *resp, const struct sip_msg *request);

#endif
