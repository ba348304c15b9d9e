/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_URI_H
#define VOFW_SIP_URI_H

#include <osipparser2/osip_message.h>
#include <stdbool.h>
#include <stdint.h>

#include "sip/flow.h"

/* What a proxy asks of a SIP URI (RFC 3261 §19.1), over libosip2's structure. */

osip_uri_t *uri_parse(const char *s);     /* NULL when it is none; freed by osip_uri_free */
char *uri_text(const osip_uri_t *uri);    /* newly allocated; "" when it cannot be written */
bool uri_is_sip(const osip_uri_t *uri);   /* sip: or sips:, with a host */
uint16_t uri_port(const osip_uri_t *uri); /* 0 = not given, or none */
bool uri_literal(const osip_uri_t *uri, struct addr *out); /* host is an address; default port */
const char *uri_param(const osip_uri_t *uri, const char *name); /* NULL = absent, "" = no value */
void uri_param_remove(osip_uri_t *uri, const char *name);

/* The protocol its transport parameter names, `dflt` when there is none or an unknown one. */
enum sip_proto uri_proto(const osip_uri_t *uri, enum sip_proto dflt);

/* Each takes a copy of the value; NULL removes the component. */
void uri_set_host(osip_uri_t *uri, const char *host, uint16_t port);

/* Makes it `sip:<user>@<listener>[;transport=tcp][;lr]`; user NULL = none. */
void uri_set_here(osip_uri_t *uri, const char *user, const struct sip_listener *here, bool lr);

#endif
