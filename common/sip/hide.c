/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/hide.h"

#include <ctype.h>
#include <osipparser2/osip_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "sip/uri.h"

bool
hide_crosses(const struct hide *h)
{
	return h->from->number != SIP_FACE_OUTSIDE && h->from != h->to;
}

bool
hide_is_natted(const struct sip_msg *request, const struct sip_flow *source)
{
	const osip_via_t *via = osip_list_get(&request->osip->vias, 0);
	struct addr a;

	if (via == NULL || via->host == NULL)
		return true;
	/* A name in Via says nothing. */
	return addr_parse_host(via->host, strlen(via->host), 0, &a) == 0 &&
	    !addr_same_host(&a, &source->peer);
}

struct sip_flow
hide_flow_of(const osip_uri_t *uri, const struct sip_flow *source, bool natted)
{
	struct sip_flow flow = *source;
	struct addr a;

	if (!uri_literal(uri, &a)) {
		if (source->face == SIP_FACE_OUTSIDE && !natted)
			flow = (struct sip_flow){ .proto = uri_proto(uri, SIP_UDP) };
		return flow;
	}
	if (!addr_same_host(&a, &source->peer)) {
		/* Another machine is meant only if the sender can know addresses that mean something
		 * here: not behind a NAT, and from outside not a private one. */
		if (natted || (source->face == SIP_FACE_OUTSIDE && addr_is_private(&a)))
			return flow;
		flow.conn = 0;
		flow.proto = uri_proto(uri, SIP_UDP);
		flow.peer = a;
		return flow;
	}
	/* A stream is used again as long as it stands (RFC 5923); a datagram goes where the phone
	 * listens, which need not be the port it sends from. */
	if (uri_proto(uri, source->proto) != source->proto || source->proto == SIP_UDP) {
		flow.conn = 0;
		flow.proto = uri_proto(uri, source->proto);
		flow.peer = a;
	}
	return flow;
}

/* -- URIs -- */

static void
seal_with_flow(const struct hide *h, osip_uri_t *uri, const struct sip_flow *flow, bool lr)
{
	struct seal_uri u = { .flow = *flow };
	char token[SEAL_TOKEN_MAX];
	char *text = uri_text(uri);
	int len = snprintf(u.uri, sizeof(u.uri), "%s", text);

	osip_free(text);
	snprintf(u.agent, sizeof(u.agent), "%s", h->from->name);
	/* A URI too long to be sealed is lost rather than shown. */
	if ((size_t)len >= sizeof(u.uri) || seal_uri(h->seal, &u, token, sizeof(token)) != 0)
		uri_set_here(uri, "unreachable", h->here, lr);
	else
		uri_set_here(uri, token, h->here, lr);
}

static bool
is_ours(const struct hide *h, const osip_uri_t *uri)
{
	struct seal_uri u;

	return seal_marked(uri->username) && seal_uri_open(h->seal, uri->username, &u) == 0;
}

/* The recipient of a token knows us by another address than its bringer. */
static void
rehost(const struct hide *h, osip_uri_t *uri, bool lr)
{
	char *token = mem_strdup(uri->username);

	uri_set_here(uri, token, h->here, lr);
	mem_free(token);
}

static void
seal_or_rehost(const struct hide *h, osip_uri_t *uri, bool lr)
{
	struct sip_flow flow;

	if (!uri_is_sip(uri))
		return;
	if (is_ours(h, uri)) {
		rehost(h, uri, lr);
		return;
	}
	flow = hide_flow_of(uri, &h->source, h->natted);
	seal_with_flow(h, uri, &flow, lr);
}

void
hide_uri(const struct hide *h, osip_uri_t *uri)
{
	seal_or_rehost(h, uri, false);
}

void
hide_token(const struct hide *h, osip_uri_t *uri)
{
	if (uri_is_sip(uri) && is_ours(h, uri))
		rehost(h, uri, false);
}

void
hide_route(const struct hide *h, osip_uri_t *uri)
{
	seal_or_rehost(h, uri, true);
}

/*
 * A URI that is given away to be called later (Refer-To, a Contact of 3xx): a domain's stays, an
 * address of ours becomes ours there, any other address is sealed, since it means nothing on
 * another face or nobody gets there but through us.
 */
static void
hide_reference(const struct hide *h, osip_uri_t *uri)
{
	struct sip_flow flow = { .face = h->from->number };

	if (!uri_is_sip(uri))
		return;
	if (is_ours(h, uri)) {
		rehost(h, uri, false);
		return;
	}
	if (face_owns(h->from, uri->host, uri_port(uri))) {
		char *user = mem_strdup(uri->username);

		uri_set_here(uri, user, h->here, false);
		mem_free(user);
		return;
	}
	/* From outside to outside both can reach it, and a token would make us an open relay. */
	if (!uri_literal(uri, &flow.peer) ||
	    (h->from->number == SIP_FACE_OUTSIDE && h->to->number == SIP_FACE_OUTSIDE))
		return;
	flow.proto = uri_proto(uri, SIP_UDP);
	seal_with_flow(h, uri, &flow, false);
}

/* From and To only name somebody: the host of an inside address is the domain. */
static void
hide_identity(const struct hide *h, osip_uri_t *uri)
{
	struct addr a;

	if (!uri_is_sip(uri) || !uri_literal(uri, &a))
		return;
	if (!addr_is_private(&a) && !face_owns_addr(h->from, &a) &&
	    !addr_same_host(&a, &h->source.peer))
		return;
	uri_set_host(uri, h->domain, 0);
	uri_param_remove(uri, "transport");
	uri_param_remove(uri, "maddr");
}

/* -- Call-IDs -- */

/* "f81d@192.168.1.20" tells the address, "f81d@pc7.lan" the name; an address may also stand alone. */
static bool
call_id_tells(const char *call_id)
{
	unsigned dots = 0, colons = 0;

	for (const char *p = call_id; *p != '\0'; p++) {
		if (*p == '@')
			return true;
		dots += *p == '.' && p > call_id && isdigit((unsigned char)p[-1]);
		colons += *p == ':';
	}
	return dots >= 3 || colons >= 2;
}

const char *
hide_real_call_id(struct seal *seal, const char *call_id, char *buf, size_t cap)
{
	char agent[SEAL_AGENT_MAX], real[SEAL_CALL_ID_MAX];

	if (seal_marked(call_id) && seal_call_id_open(seal, call_id, agent, real) == 0)
		snprintf(buf, cap, "%s", real);
	else
		snprintf(buf, cap, "%s", call_id);
	return buf;
}

const char *
hide_call_id(const struct hide *h, const char *call_id, char *buf, size_t cap)
{
	char agent[SEAL_AGENT_MAX], real[SEAL_CALL_ID_MAX];

	if (seal_marked(call_id) && seal_call_id_open(h->seal, call_id, agent, real) == 0)
		snprintf(buf, cap, "%s", strcmp(agent, h->to->name) == 0 ? real : call_id);
	else if (!hide_crosses(h) || !call_id_tells(call_id) ||
	    seal_call_id(h->seal, h->from->name, call_id, buf, cap) != 0)
		snprintf(buf, cap, "%s", call_id);
	return buf;
}

static bool
set_call_id(struct sip_msg *m, const char *came, const char *text)
{
	osip_call_id_t *id;

	if (strcmp(came, text) == 0 || osip_call_id_init(&id) != 0)
		return false;
	if (osip_call_id_parse(id, text) != 0) {
		osip_call_id_free(id);
		return false;
	}
	osip_call_id_free(m->osip->call_id);
	m->osip->call_id = id;
	return true;
}

static void
hide_call_id_header(const struct hide *h, struct sip_msg *m)
{
	char came[SEAL_TOKEN_MAX], text[SEAL_TOKEN_MAX];

	if (sip_msg_call_id(m, came, sizeof(came)) != NULL)
		set_call_id(m, came, hide_call_id(h, came, text, sizeof(text)));
}

bool
hide_call_id_undo(struct seal *seal, struct sip_msg *m)
{
	char came[SEAL_TOKEN_MAX], text[SEAL_TOKEN_MAX];

	return sip_msg_call_id(m, came, sizeof(came)) != NULL &&
	    set_call_id(m, came, hide_real_call_id(seal, came, text, sizeof(text)));
}

static void
append_hidden(const struct hide *h, const char *id, size_t n, struct buf *out)
{
	char text[SEAL_CALL_ID_MAX], hidden[SEAL_TOKEN_MAX];

	if (n >= sizeof(text)) {
		buf_append(out, id, n);
		return;
	}
	memcpy(text, id, n);
	text[n] = '\0';
	hide_call_id(h, text, hidden, sizeof(hidden));
	buf_append(out, hidden, strlen(hidden));
}

/* "call-id;to-tag=..;from-tag=.." and lists of call-ids (In-Reply-To). */
static char *
hidden_call_ids(const struct hide *h, const char *value)
{
	struct buf out;
	char *text;
	size_t n;

	buf_init(&out, SIP_MSG_MAX);
	while (*value != '\0') {
		n = strcspn(value, ";, \t");
		if (n > 0)
			append_hidden(h, value, n, &out);
		value += n;
		/* Parameters stay, up to the next element of a list. */
		n = *value == ';' ? strcspn(value, ",") : strspn(value, ", \t");
		buf_append(&out, value, n);
		value += n;
	}
	text = mem_dup(buf_data(&out), buf_len(&out));
	buf_free(&out);
	return text;
}

/* -- Header fields -- */

static void
hide_contacts(const struct hide *h, struct sip_msg *m)
{
	bool redirect = sip_msg_status(m) >= 300 && sip_msg_status(m) < 400;
	osip_list_iterator_t it;
	osip_contact_t *c = osip_list_get_first(&m->osip->contacts, &it);

	for (; osip_list_iterator_has_elem(it); c = osip_list_get_next(&it)) {
		if (c->url == NULL)
			continue;
		if (redirect)
			hide_reference(h, c->url);
		else
			hide_uri(h, c->url);
	}
}

/* RFC 3891 §6.1: the Replaces of the request that the Refer-To URI asks for. */
static void
hide_uri_replaces(const struct hide *h, osip_uri_t *uri, osip_list_t *headers)
{
	osip_list_iterator_t it;
	osip_uri_header_t *p = osip_list_get_first(headers, &it);
	char *value;

	for (; osip_list_iterator_has_elem(it); p = osip_list_get_next(&it)) {
		if (p->gname == NULL || p->gvalue == NULL)
			continue;
		value = strcasecmp(p->gname, "Replaces") == 0 ? hidden_call_ids(h, p->gvalue) :
								mem_strdup(p->gvalue);
		osip_uri_uheader_add(uri, osip_strdup(p->gname), osip_strdup(value));
		mem_free(value);
	}
}

static void
hide_refer_uri(const struct hide *h, osip_uri_t *uri)
{
	osip_list_t headers = uri->url_headers;

	/* The headers belong to the request to come: they are not sealed with the URI. */
	osip_list_init(&uri->url_headers);
	hide_reference(h, uri);
	hide_uri_replaces(h, uri, &headers);
	osip_uri_param_freelist(&headers);
}

/* Refer-To and Referred-By: one name-addr. */
static char *
hidden_name_addr(const struct hide *h, const char *value)
{
	osip_from_t *na;
	char *text = NULL, *out = NULL;

	if (osip_from_init(&na) != 0)
		return NULL;
	if (osip_from_parse(na, value) == 0 && na->url != NULL) {
		hide_refer_uri(h, na->url);
		if (osip_from_to_str(na, &text) == 0)
			out = mem_strdup(text);
		osip_free(text);
	}
	osip_from_free(na);
	return out;
}

static const struct {
	const char *name;
	char *(*hidden)(const struct hide *h, const char *value);
} carriers[] = {
	{ "Refer-To", hidden_name_addr },
	{ "Referred-By", hidden_name_addr },
	{ "Replaces", hidden_call_ids },
	{ "Join", hidden_call_ids },
	{ "Target-Dialog", hidden_call_ids },
	{ "In-Reply-To", hidden_call_ids },
};

static void
hide_carriers(const struct hide *h, struct sip_msg *m)
{
	osip_list_iterator_t it;
	osip_header_t *hd = osip_list_get_first(&m->osip->headers, &it);
	char *value;

	for (; osip_list_iterator_has_elem(it); hd = osip_list_get_next(&it))
		for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++) {
			if (hd->hname == NULL || hd->hvalue == NULL ||
			    strcasecmp(hd->hname, carriers[i].name) != 0 ||
			    (value = carriers[i].hidden(h, hd->hvalue)) == NULL)
				continue;
			osip_free(hd->hvalue);
			hd->hvalue = osip_strdup(value);
			mem_free(value);
		}
}

void
hide_request(const struct hide *h, struct sip_msg *m)
{
	hide_contacts(h, m);
	hide_carriers(h, m);
	hide_call_id_header(h, m);
	if (!hide_crosses(h))
		return;
	hide_identity(h, m->osip->from->url);
	hide_identity(h, m->osip->to->url);
}

void
hide_response(const struct hide *h, struct sip_msg *m)
{
	hide_contacts(h, m);
	hide_carriers(h, m);
}
