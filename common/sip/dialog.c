/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/dialog.h"

#include <osipparser2/osip_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sip/hide.h"
#include "sip/txn.h"
#include "sip/uri.h"

/* Requests of our own in dialogs of others, and what must be known for them. */

/* -- Learning one end -- */

void
sip_dialog_side_clear(struct sip_dialog_side *side)
{
	for (size_t i = 0; i < side->route_n; i++)
		mem_free(side->route[i]);
	mem_free(side->route);
	mem_free(side->contact);
	mem_free(side->call_id);
	*side = (struct sip_dialog_side){ 0 };
}

/*
 * RFC 3261 §12.1: towards the sender of a request its Record-Route is in order; towards the sender
 * of a response it is in reverse, and only what stands above our own entry and those that the
 * request had brought.
 */
static void
learn_route(struct sip_dialog_side *side, const struct sip_relay *r)
{
	const osip_list_t *list = &r->in->osip->record_routes;
	int n = osip_list_size(list);
	osip_record_route_t *rr;

	if (r->upstream)
		n -= osip_list_size(&r->request->osip->record_routes) + !r->direct;
	if (n <= 0)
		return;
	side->route = mem_calloc((size_t)n, sizeof(*side->route));
	for (int i = 0; i < n; i++) {
		rr = osip_list_get(list, r->upstream ? n - 1 - i : i);
		if (rr->url != NULL)
			side->route[side->route_n++] = uri_text(rr->url);
	}
}

static struct sip_flow
flow_to(const char *uri_string, const struct sip_relay *r)
{
	osip_uri_t *uri = uri_parse(uri_string);
	struct sip_flow flow = r->from;

	if (uri != NULL && uri_is_sip(uri))
		flow = hide_flow_of(uri, &r->from, r->natted);
	osip_uri_free(uri);
	/* A name: the DNS cannot be waited for here. */
	return addr_is_set(&flow.peer) ? flow : r->from;
}

int
sip_dialog_side_learn(struct sip_dialog_side *side, const struct sip_relay *r)
{
	const osip_contact_t *c = osip_list_get(&r->in->osip->contacts, 0);

	if (c == NULL || c->url == NULL)
		return ERR_NOT_FOUND;
	sip_dialog_side_clear(side);
	side->contact = uri_text(c->url);
	learn_route(side, r);
	side->flow = flow_to(side->route_n > 0 ? side->route[0] : side->contact, r);
	side->call_id = mem_strdup(r->wire_call_id);
	return 0;
}

/* -- Making a request -- */

static int
set_route(struct sip_msg *m, const char *uri_string)
{
	osip_uri_t *uri = uri_parse(uri_string);
	osip_route_t *route;

	if (uri == NULL)
		return ERR_MALFORMED;
	osip_route_init(&route);
	route->url = uri;
	osip_list_add(&m->osip->routes, route, -1);
	return 0;
}

/* An address that one end called itself or us by is none of the other's business. */
static void
hide_private(const struct sip_server *s, osip_from_t *who)
{
	struct addr a;

	if (who->url != NULL && uri_is_sip(who->url) && uri_literal(who->url, &a) &&
	    addr_is_private(&a))
		uri_set_host(who->url, s->domains[0], 0);
}

static int
set_ends(const struct sip_server *s, struct sip_msg *m, const struct sip_originate *o)
{
	const char *call_id = o->to->call_id != NULL ? o->to->call_id : o->call_id;

	if (osip_message_set_from(m->osip, o->from) != 0 || m->osip->from == NULL ||
	    osip_message_set_to(m->osip, o->to_header) != 0 || m->osip->to == NULL ||
	    osip_message_set_call_id(m->osip, call_id) != 0 || m->osip->call_id == NULL)
		return ERR_MALFORMED;
	hide_private(s, m->osip->from);
	hide_private(s, m->osip->to);
	return 0;
}

static int
fill(const struct sip_server *s, struct sip_msg *m, const struct sip_originate *o,
    const char *method)
{
	osip_message_t *osip = m->osip;

	osip->sip_version = osip_strdup("SIP/2.0");
	osip->sip_method = osip_strdup(method);
	osip->req_uri = o->to->contact != NULL ? uri_parse(o->to->contact) : NULL;
	if (osip->req_uri == NULL)
		return ERR_MALFORMED;
	osip_cseq_init(&osip->cseq);
	osip->cseq->number = mem_printf("%u", o->cseq);
	osip->cseq->method = osip_strdup(method);
	for (size_t i = 0; i < o->to->route_n; i++)
		if (set_route(m, o->to->route[i]) != 0)
			return ERR_MALFORMED;
	sip_msg_header_set(m, "Max-Forwards", "70");
	if (o->reason != NULL)
		sip_msg_header_set(m, "Reason", o->reason); /* RFC 3326 */
	return set_ends(s, m, o);
}

static const char *
method_name(enum sip_method method)
{
	return method == SIP_ACK ? "ACK" : "BYE";
}

/* The request, where it goes and the Via that it needs. ERR_DOWN, ERR_UNSUPPORTED, ERR_MALFORMED. */
static int
make(struct sip_server *s, const struct sip_originate *o, struct sip_msg **out,
    struct sip_flow *flow, const struct sip_listener **here)
{
	const struct face *face = faces_find(s->faces, o->to->flow.face);
	struct sip_msg *m;
	int err;

	if (face == NULL)
		return ERR_DOWN;
	*flow = o->to->flow;
	if ((err = face_choose(face, flow)) != 0)
		return err;
	*here = face_listener(face, flow);
	m = mem_zalloc(sizeof(*m));
	osip_message_init(&m->osip);
	if ((err = fill(s, m, o, method_name(o->method))) != 0) {
		sip_msg_free(m);
		return err;
	}
	*out = m;
	return 0;
}

int
sip_server_originate(struct sip_server *s, const struct sip_originate *o, uint64_t now_us)
{
	static const struct sip_client_handlers nobody;
	const struct sip_listener *here;
	struct sip_client_txn *ct;
	struct sip_flow flow;
	struct sip_msg *m;
	int err;

	if ((err = make(s, o, &m, &flow, &here)) != 0)
		return err;
	s->n.sip_originated++;
	if (o->method == SIP_ACK) {
		sip_layer_send_stateless(s->layer, m, here, &flow);
		return 0;
	}
	return sip_client_txn_start(s->layer, m, here, &flow, &nobody, NULL, now_us, &ct);
}

int
sip_server_render(struct sip_server *s, const struct sip_originate *o, char **out, size_t *n,
    struct sip_flow *to)
{
	const struct sip_listener *here;
	struct sip_msg *m;
	int err;

	if ((err = make(s, o, &m, to, &here)) != 0)
		return err;
	txn_via_push(m, here);
	err = sip_msg_encode(m, out, n);
	sip_msg_free(m);
	return err;
}

/* -- A call that must not be -- */

static char *
header_text(const osip_from_t *who)
{
	char *text = NULL;

	return osip_from_to_str(who, &text) == 0 ? text : mem_strdup("");
}

void
dialog_kill(struct sip_server *s, const struct sip_relay *r, bool bye, uint64_t now_us)
{
	struct sip_dialog_side side = { 0 };
	char *from, *to;
	struct sip_originate o = {
		.method = SIP_ACK, .to = &side, .cseq = sip_msg_cseq(r->in), .reason = NULL
	};

	if (sip_dialog_side_learn(&side, r) != 0)
		return;
	from = header_text(r->in->osip->from);
	to = header_text(r->in->osip->to);
	o.from = from;
	o.to_header = to;
	o.call_id = r->wire_call_id;
	if (sip_server_originate(s, &o, now_us) == 0 && bye) {
		s->n.sip_killed++;
		o.method = SIP_BYE;
		o.cseq++;
		sip_server_originate(s, &o, now_us);
	}
	osip_free(from);
	osip_free(to);
	sip_dialog_side_clear(&side);
}
