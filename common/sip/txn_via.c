/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <osipparser2/osip_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "sip/lines.h"
#include "sip/txn.h"

#define SIP_PORT 5060
#define MAGIC_COOKIE "z9hG4bK" /* §8.1.1.7: the branch is unique by itself */

static osip_via_t *
top_via(const struct sip_msg *m)
{
	return osip_list_get(&m->osip->vias, 0);
}

static osip_generic_param_t *
via_param(const osip_via_t *via, const char *name)
{
	osip_generic_param_t *param = NULL;

	osip_generic_param_get_byname((osip_list_t *)&via->via_params, (char *)name, &param);
	return param;
}

static uint16_t
sent_by_port(const osip_via_t *via)
{
	unsigned long port = SIP_PORT;

	if (via->port != NULL)
		sip_number(via->port, strlen(via->port), 65535, &port);
	return (uint16_t)port;
}

/* -- Keys -- */

char *
txn_client_key(const struct sip_layer *l, const struct sip_msg *m, uint32_t face)
{
	return mem_printf("%sc%" PRIu32 " %s %s", l->secret, face, m->osip->cseq->method,
	    sip_msg_branch(m));
}

static char *
lower_case(const char *s)
{
	char *copy = mem_strdup(s);

	for (char *p = copy; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p |= 0x20;
	return copy;
}

/* §17.2.3, RFC 2543: without the cookie the request itself is the identity. The To tag of an ACK is
 * not that of its INVITE and is looked at by the machine. */
static char *
old_server_key(const struct sip_layer *l, const struct sip_msg *m, uint32_t face,
    const char *method)
{
	const osip_via_t *via = top_via(m);
	char *via_text = NULL, *uri = NULL, *call_id = NULL, *key;

	osip_via_to_str(via, &via_text);
	osip_uri_to_str(m->osip->req_uri, &uri);
	osip_call_id_to_str(m->osip->call_id, &call_id);
	key = mem_printf("%so%" PRIu32 " %s %s %s %s %s %s", l->secret, face, method,
	    m->osip->cseq->number, call_id, sip_msg_from_tag(m), uri, via_text);
	mem_free(via_text);
	mem_free(uri);
	mem_free(call_id);
	return key;
}

/* The face is in it: two inside networks may use the same addresses. */
char *
txn_server_key(const struct sip_layer *l, const struct sip_msg *m, uint32_t face,
    const char *method)
{
	const osip_via_t *via = top_via(m);
	const char *branch = sip_msg_branch(m);
	char *host, *key;

	if (strcmp(method, "ACK") == 0)
		method = "INVITE";
	/* RFC 4475 §3.2.1: the bare cookie makes nothing unique. */
	if (strncasecmp(branch, MAGIC_COOKIE, strlen(MAGIC_COOKIE)) != 0 ||
	    branch[strlen(MAGIC_COOKIE)] == '\0')
		return old_server_key(l, m, face, method);
	host = lower_case(via->host);
	key = mem_printf("%ss%" PRIu32 " %s %s:%u %s", l->secret, face, method, host,
	    sent_by_port(via), branch);
	mem_free(host);
	return key;
}

/* FNV-1a: no more than the same bits for the same request is asked of it. */
static uint64_t
mix(uint64_t h, const char *s)
{
	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3;
	return h;
}

void
txn_tag(const struct sip_layer *l, const struct sip_msg *m, char out[static TXN_TAG_LEN + 1])
{
	uint64_t h = mix(0xcbf29ce484222325, l->secret);

	h = mix(mix(h, sip_msg_branch(m)), sip_msg_from_tag(m));
	h = mix(mix(h, m->osip->call_id->number), m->osip->cseq->number);
	snprintf(out, TXN_TAG_LEN + 1, "%016" PRIx64, h);
}

/* -- The source of a request and the way back -- */

static void
set_param(osip_via_t *via, const char *name, const char *value)
{
	osip_generic_param_t *param = via_param(via, name);

	if (param == NULL) {
		osip_via_param_add(via, mem_strdup(name), mem_strdup(value));
		return;
	}
	mem_free(param->gvalue);
	param->gvalue = mem_strdup(value);
}

/* Whether sent-by is the literal address that the message came from. */
static bool
is_sent_by(const osip_via_t *via, const struct addr *peer)
{
	struct addr host;

	return addr_parse_host(via->host, strlen(via->host), 0, &host) == 0 &&
	    addr_same_host(&host, peer);
}

void
txn_via_mark(struct sip_msg *m, const struct sip_flow *from)
{
	osip_via_t *via = top_via(m);
	osip_generic_param_t *rport;
	char host[ADDR_HOST_MAX], port[8];

	if (via == NULL)
		return;
	rport = via_param(via, "rport");
	/* A `received` that the client wrote itself is a lie or a mistake: overwritten. */
	if (rport != NULL || via_param(via, "received") != NULL || !is_sent_by(via, &from->peer))
		set_param(via, "received", addr_host(&from->peer, host));
	if (rport != NULL) {
		snprintf(port, sizeof(port), "%u", addr_port(&from->peer));
		set_param(via, "rport", port);
	}
}

/*
 * A sent-by with a private address that is not the source is that of a phone behind a NAT, whose
 * port means nothing on this side of it: it is answered as if it had said rport.
 */
static bool
is_behind_nat(const osip_via_t *via, const struct addr *peer)
{
	struct addr host;

	return addr_parse_host(via->host, strlen(via->host), 0, &host) == 0 &&
	    !addr_same_host(&host, peer) && addr_is_private(&host);
}

/* maddr is not followed: it would let anyone aim our responses at anybody. */
struct sip_flow
txn_via_destination(const struct sip_msg *m, const struct sip_flow *from)
{
	const osip_via_t *via = top_via(m);
	struct sip_flow to = *from;

	if (sip_proto_reliable(from->proto) || via == NULL || via_param(via, "rport") != NULL ||
	    is_behind_nat(via, &from->peer))
		return to;
	addr_set_port(&to.peer, sent_by_port(via));
	return to;
}

struct sip_flow
txn_via_sent_by(const struct sip_msg *m, const struct sip_flow *from)
{
	struct sip_flow to = *from;

	to.conn = 0;
	if (top_via(m) != NULL)
		addr_set_port(&to.peer, sent_by_port(top_via(m)));
	return to;
}

void
txn_via_push(struct sip_msg *m, const struct sip_listener *l)
{
	char host[ADDR_HOST_MAX], branch[sizeof(MAGIC_COOKIE) + 2 * 12];
	osip_via_t *via;

	osip_via_init(&via);
	via->version = mem_strdup("2.0");
	via->protocol = mem_strdup(sip_proto_str(l->proto));
	via->host = mem_strdup(addr_host(&l->addr, host));
	via->port = mem_printf("%u", addr_port(&l->addr));
	memcpy(branch, MAGIC_COOKIE, strlen(MAGIC_COOKIE));
	sip_random_hex(branch + strlen(MAGIC_COOKIE), 12);
	osip_via_set_branch(via, mem_strdup(branch));
	osip_via_param_add(via, mem_strdup("rport"), NULL);
	osip_list_add(&m->osip->vias, via, 0);
}
