/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_ROUTE_H
#define VOFW_SIP_ROUTE_H

#include "sip/server.h"

/* RFC 3261 §16.3 to §16.5: whether a request can be forwarded at all, and to where. */

enum route_kind {
	ROUTE_SELF,    /* to the pair itself: a domain or address without user */
	ROUTE_USER,    /* to a user of our domains: `aor` */
	ROUTE_FLOW,    /* a way that is known: `flow` */
	ROUTE_FOREIGN, /* to where the DNS says: `next` */
};

struct route {
	enum route_kind kind;
	struct sip_msg *m; /* owned: the request without Via and our credentials, Route processed */
	bool sealed;       /* by a token of ours: who has it may use it */
	bool keep_uri;     /* the Request-URI is the recipient's own */
	struct sip_flow flow;
	const osip_uri_t *next; /* in m */
	char aor[512];
};

/* §16.3: 0, or the status to refuse with, *name and *value a header field for it or NULL. */
int route_validate(const struct arrival *a, const char **name, const char **value);

/* §16.4, §16.5: 0 and *out (route_clear it), or the status to refuse with. */
int route_find(const struct arrival *a, struct route *out);
void route_clear(struct route *r);

#endif
