/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_HIDE_H
#define VOFW_SIP_HIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sip/face.h"
#include "sip/msg.h"
#include "sip/seal.h"

/*
 * Topology hiding, stateless: how each header field is told to another face (docs/ARCHITECTURE.md,
 * "Hiding"). Three means, from the mildest:
 *  - a URI is *sealed*: `sip:<token>@<the pair there>`, which comes back to us and opens;
 *  - an address that is only a name for a domain (From, To) becomes the domain;
 *  - what is left of an inside address in any text is written over (`hide_sweep`).
 * Nothing is hidden between two phones of one face; only targets are sealed there, so that
 * requests come back to us.
 */
struct hide {
	struct seal *seal;
	const char *domain;              /* stands for hidden hosts */
	const struct face *from, *to;    /* the crossing */
	const struct sip_listener *here; /* the pair's address that the recipient sees */
	struct sip_flow source;          /* where the message came from */
	bool natted;                     /* the sender does not know its own address */
	bool keep_uri; /* the Request-URI is the recipient's own: do not sweep it */
};

/* True when the message leaves an inside network. */
bool hide_crosses(const struct hide *h);

/*
 * How to reach the URI of somebody whose message came by `source`: at the address of the URI when
 * that can be meant, else (a NAT, a TCP connection, a name that only the inside network knows)
 * the way it came. flow->peer is not set when the DNS has to be asked. flow->listener may not fit.
 */
struct sip_flow hide_flow_of(const osip_uri_t *uri, const struct sip_flow *source, bool natted);

/* True when the top Via of a request does not name the address it came from (RFC 3581 §1). */
bool hide_is_natted(const struct sip_msg *request, const struct sip_flow *source);

/* Contact, Refer-To, Referred-By, Replaces, Join, Target-Dialog, In-Reply-To; from an inside
 * network also From, To and Call-ID. `m` has those as they came. Via and routes are not touched. */
void hide_request(const struct hide *h, struct sip_msg *m);
/* Contact and the like in a response; those that come from the request are not touched. */
void hide_response(const struct hide *h, struct sip_msg *m);

/* One URI, sealed or, when sealed already, told with the pair's address there. */
void hide_uri(const struct hide *h, osip_uri_t *uri);
/* The same for a token of ours alone; anything else stays as it is. */
void hide_token(const struct hide *h, osip_uri_t *uri);
/* Gives the message its Call-ID as its maker knows it; true when it had another. */
bool hide_call_id_undo(struct seal *seal, struct sip_msg *m);
/* Record-Route entry number `pos`: sealed, with lr. */
void hide_route(const struct hide *h, osip_uri_t *uri);

/* The Call-ID as this crossing's recipient knows it, written to buf. */
const char *hide_call_id(const struct hide *h, const char *call_id, char *buf, size_t cap);

/* The Call-ID as its maker knows it: opens a token, copies anything else. Returns buf. */
const char *hide_real_call_id(struct seal *seal, const char *call_id, char *buf, size_t cap);

/*
 * Looks through the whole text of *m (about to leave) for addresses of the inside that `came` (the
 * message as it came) betrays, and for any private address; writes the pair's address over them.
 * Not looked at: what is the recipient's own (Via, Route, start line with keep_uri; in a response
 * also From, To, Call-ID, Record-Route). Returns how many addresses were found (*m is another then);
 * ERR_TOO_BIG or ERR_MALFORMED when it cannot be written: it must not leave.
 */
int hide_sweep(const struct hide *h, const struct sip_msg *came, struct sip_msg **m);

#endif
