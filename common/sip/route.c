/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/route.h"

#include <osipparser2/osip_parser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "sip/uri.h"

/* -- §16.3 -- */

int
route_validate(const struct arrival *a, const char **name, const char **value)
{
	const char *max_forwards = sip_msg_header(a->req, "Max-Forwards");

	*name = *value = NULL;
	/* 1. Reasonable syntax: sip_msg_check, before the transaction layer. */
	/* 2. URI scheme. */
	if (!uri_is_sip(a->req->osip->req_uri))
		return 416;
	/* 3. Max-Forwards. An OPTIONS that ends here is for us (§11.2): route_find's caller. */
	if (max_forwards != NULL && strtoul(max_forwards, NULL, 10) == 0 &&
	    sip_msg_method(a->req) != SIP_OPTIONS && sip_msg_method(a->req) != SIP_REGISTER)
		return 483;
	/* 4. Loops: proxy.c, which knows the requests under way. */
	/* 5. Proxy-Require: we have no extension that a proxy could be asked for. */
	*value = sip_msg_header(a->req, "Proxy-Require");
	if (*value != NULL && sip_msg_method(a->req) != SIP_ACK) {
		*name = "Unsupported";
		return 420;
	}
	/* 6. Proxy-Authorization: access.c. */
	*value = NULL;
	return 0;
}

/* -- Routes -- */

static osip_route_t *
top_route(const struct sip_msg *m)
{
	return osip_list_get(&m->osip->routes, 0);
}

static void
drop_route(struct sip_msg *m, int pos)
{
	osip_route_t *route = osip_list_get(&m->osip->routes, pos);

	osip_list_remove(&m->osip->routes, pos);
	osip_route_free(route);
}

/* §16.4: a strict router before us put what we had put into Record-Route into the Request-URI. */
static void
undo_strict_routing(const struct arrival *a, struct sip_msg *m)
{
	int last = osip_list_size(&m->osip->routes) - 1;
	osip_uri_t *uri = m->osip->req_uri;
	osip_route_t *route;

	if (last < 0 || uri->username != NULL || uri_param(uri, "lr") == NULL ||
	    !server_is_ours(a->s, a->face, uri))
		return;
	route = osip_list_get(&m->osip->routes, last);
	if (route->url == NULL)
		return;
	osip_list_remove(&m->osip->routes, last);
	osip_uri_free(uri);
	m->osip->req_uri = route->url;
	route->url = NULL;
	osip_route_free(route);
}

/* §16.4: the topmost entries that name us. Sealed ones name others. */
static void
drop_own_routes(const struct arrival *a, struct sip_msg *m)
{
	osip_route_t *route;

	while ((route = top_route(m)) != NULL && route->url != NULL &&
	    !seal_marked(route->url->username) && server_is_ours(a->s, a->face, route->url))
		drop_route(m, 0);
}

/* -- Tokens -- */

struct opened {
	struct seal_uri u;
	const struct face *face;
};

/* 0 with out->face NULL: no token. Else the status to refuse with. */
static int
open_token(const struct arrival *a, const osip_uri_t *uri, struct opened *out)
{
	out->face = NULL;
	if (uri == NULL || !seal_marked(uri->username) || !server_is_ours(a->s, a->face, uri))
		return 0;
	if (seal_uri_open(a->s->seal, uri->username, &out->u) != 0) {
		a->s->n.sip_forged_tokens++;
		return 404;
	}
	out->face = faces_named(a->s->faces, out->u.agent);
	if (out->face == NULL)
		return 480; /* an agent that was taken out of the configuration */
	out->u.flow.face = out->face->number;
	return 0;
}

/* 0, or 404 when what was sealed is no URI any more. */
static int
replace_uri(osip_uri_t **uri, const char *text)
{
	osip_uri_t *real = uri_parse(text);

	if (real == NULL)
		return 404;
	osip_uri_free(*uri);
	*uri = real;
	return 0;
}

/* All that were sealed on the same face as the first: the next hop may see them. */
static int
open_routes(const struct arrival *a, struct route *r)
{
	osip_list_iterator_t it;
	osip_route_t *route;
	const struct face *next = NULL;
	struct opened o;
	int status;

	route = osip_list_get_first(&r->m->osip->routes, &it);
	for (; osip_list_iterator_has_elem(it); route = osip_list_get_next(&it)) {
		if ((status = open_token(a, route->url, &o)) != 0)
			return status;
		if (o.face == NULL || (next != NULL && o.face != next)) {
			if (next == NULL)
				return 0; /* the next hop is not of ours */
			continue;
		}
		if ((status = replace_uri(&route->url, o.u.uri)) != 0)
			return status;
		if (next == NULL) {
			next = o.face;
			r->kind = ROUTE_FLOW;
			r->flow = o.u.flow;
		}
	}
	return 0;
}

/* The Request-URI when Route already told the next hop: opened if it is of that face. */
static int
open_uri_behind_route(const struct arrival *a, struct route *r)
{
	struct opened o;
	int status = open_token(a, r->m->osip->req_uri, &o);

	r->sealed = true;
	if (status != 0 || o.face == NULL || o.face->number != r->flow.face)
		return status;
	r->keep_uri = true;
	return replace_uri(&r->m->osip->req_uri, o.u.uri);
}

/* -- §16.5 -- */

static void
set_foreign(struct route *r, const osip_uri_t *next)
{
	r->kind = ROUTE_FOREIGN;
	r->next = next;
}

static int
target_of_token(struct route *r, const struct opened *o)
{
	int status = replace_uri(&r->m->osip->req_uri, o->u.uri);

	if (status != 0)
		return status;
	r->sealed = true;
	r->keep_uri = true;
	r->kind = ROUTE_FLOW;
	r->flow = o->u.flow;
	if (!addr_is_set(&r->flow.peer))
		set_foreign(r, r->m->osip->req_uri);
	return 0;
}

/* An inside phone that calls an address of its own network past the registrar: it stays there. */
static bool
stays_inside(const struct arrival *a, const osip_uri_t *next, struct sip_flow *flow)
{
	*flow = (struct sip_flow){ .face = a->face->number, .proto = uri_proto(next, SIP_UDP) };
	return a->face->number != SIP_FACE_OUTSIDE && uri_literal(next, &flow->peer) &&
	    addr_is_private(&flow->peer);
}

static int
target_of_uri(const struct arrival *a, struct route *r)
{
	osip_uri_t *uri = r->m->osip->req_uri;
	osip_route_t *route = top_route(r->m);
	const osip_uri_t *next = route != NULL ? route->url : uri;

	if (route == NULL && server_is_ours(a->s, a->face, uri)) {
		if (uri->username == NULL || *uri->username == '\0') {
			r->kind = ROUTE_SELF;
			return 0;
		}
		r->kind = ROUTE_USER;
		return server_aor(a->s, uri, r->aor, sizeof(r->aor)) == 0 ? 0 : 404;
	}
	if (!uri_is_sip(next))
		return 400;
	if (stays_inside(a, next, &r->flow))
		r->kind = ROUTE_FLOW;
	else
		set_foreign(r, next);
	return 0;
}

/* §22.3: credentials that were for us go no further. */
static void
drop_own_credentials(const struct arrival *a, osip_list_t *list)
{
	osip_list_iterator_t it;
	osip_authorization_t *c = osip_list_get_first(list, &it);

	while (osip_list_iterator_has_elem(it)) {
		if (auth_is_ours(a->s->auth, c)) {
			osip_authorization_free(c);
			c = osip_list_iterator_remove(&it);
		} else {
			c = osip_list_get_next(&it);
		}
	}
}

static int
find(const struct arrival *a, struct route *r)
{
	struct opened o;
	int status;

	undo_strict_routing(a, r->m);
	drop_own_routes(a, r->m);
	r->kind = ROUTE_SELF;
	if ((status = open_routes(a, r)) != 0)
		return status;
	if (r->kind == ROUTE_FLOW) {
		status = open_uri_behind_route(a, r);
		if (!addr_is_set(&r->flow.peer))
			set_foreign(r, top_route(r->m)->url);
		return status;
	}
	if ((status = open_token(a, r->m->osip->req_uri, &o)) != 0)
		return status;
	if (o.face != NULL && top_route(r->m) == NULL)
		return target_of_token(r, &o);
	return target_of_uri(a, r);
}

int
route_find(const struct arrival *a, struct route *out)
{
	struct route r = { .m = sip_msg_clone(a->req) };
	int status;

	osip_list_special_free(&r.m->osip->vias, (void (*)(void *))osip_via_free);
	osip_list_init(&r.m->osip->vias);
	drop_own_credentials(a, &r.m->osip->authorizations);
	drop_own_credentials(a, &r.m->osip->proxy_authorizations);
	if ((status = find(a, &r)) != 0)
		route_clear(&r);
	else
		*out = r;
	return status;
}

void
route_clear(struct route *r)
{
	sip_msg_free(r->m);
	r->m = NULL;
}
