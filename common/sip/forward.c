/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/forward.h"

#include <osipparser2/osip_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sip/uri.h"

void
forward_hide(const struct sip_server *s, const struct forward *f, struct hide *h)
{
	*h = (struct hide){ .seal = s->seal,
		.domain = s->domains[0],
		.from = f->from,
		.to = f->to,
		.here = face_listener(f->to, &f->target),
		.source = f->source,
		.natted = f->natted,
		.keep_uri = f->keep_uri };
}

int
forward_sweep(struct sip_server *s, const struct forward *f, const struct sip_msg *came,
    struct sip_msg **m)
{
	struct hide h;
	int found;

	if (f->direct)
		return 0;
	forward_hide(s, f, &h);
	found = hide_sweep(&h, came, m);
	if (found > 0)
		s->n.sip_swept++;
	return found < 0 ? found : 0;
}

/* -- Requests -- */

/* §16.6 step 3. */
static void
count_down(struct sip_msg *m)
{
	const char *value = sip_msg_header(m, "Max-Forwards");
	unsigned long hops = value != NULL ? strtoul(value, NULL, 10) : 71;
	char text[8];

	if (hops > 255)
		hops = 255;
	snprintf(text, sizeof(text), "%lu", hops > 0 ? hops - 1 : 0);
	sip_msg_header_set(m, "Max-Forwards", text);
}

/* Only what can begin a dialog, or lead its target elsewhere, needs to come back by us. */
static bool
wants_record_route(const struct sip_msg *m)
{
	switch (sip_msg_method(m)) {
	case SIP_INVITE:
	case SIP_SUBSCRIBE:
	case SIP_NOTIFY:
	case SIP_REFER:
	case SIP_UPDATE:
	case SIP_OTHER:
		return true;
	default:
		return false;
	}
}

/* §16.6 step 4: what the other side may see of the route so far, and our own address there. */
static void
record_route(const struct hide *h, struct sip_msg *m, bool add)
{
	osip_list_iterator_t it;
	osip_record_route_t *rr = osip_list_get_first(&m->osip->record_routes, &it);

	for (; osip_list_iterator_has_elem(it); rr = osip_list_get_next(&it))
		if (rr->url != NULL)
			hide_route(h, rr->url);
	if (!add || osip_record_route_init(&rr) != 0)
		return;
	osip_uri_init(&rr->url);
	uri_set_here(rr->url, NULL, h->here, true);
	osip_list_add(&m->osip->record_routes, rr, 0);
}

/* §16.6 step 6: the next hop is a strict router of RFC 2543. */
static void
route_strictly(struct sip_msg *m)
{
	osip_route_t *top = osip_list_get(&m->osip->routes, 0), *last;

	if (top == NULL || top->url == NULL || uri_param(top->url, "lr") != NULL ||
	    osip_route_init(&last) != 0)
		return;
	osip_list_remove(&m->osip->routes, 0);
	last->url = m->osip->req_uri;
	osip_list_add(&m->osip->routes, last, -1);
	m->osip->req_uri = top->url;
	top->url = NULL;
	osip_route_free(top);
}

int
forward_request(const struct sip_server *s, const struct forward *f, const struct sip_msg *routed,
    const char *uri, struct sip_msg **out, bool *record_routed)
{
	struct sip_msg *m;
	struct hide h;
	osip_uri_t *target = uri != NULL ? uri_parse(uri) : NULL;

	forward_hide(s, f, &h);
	if (h.here == NULL || (uri != NULL && target == NULL)) {
		osip_uri_free(target);
		return ERR_UNSUPPORTED;
	}
	/* 1. Copy. */
	m = sip_msg_clone(routed);
	/* 2. Request-URI: the target; a token on its way to another face names us there. */
	if (target != NULL) {
		osip_uri_free(m->osip->req_uri);
		m->osip->req_uri = target;
	} else if (!f->keep_uri) {
		hide_token(&h, m->osip->req_uri);
	}
	/* 3. Max-Forwards. */
	count_down(m);
	/* 4. Record-Route, and what else may not be seen there. */
	*record_routed = !f->direct && wants_record_route(m);
	if (!f->direct) {
		record_route(&h, m, *record_routed);
		hide_request(&h, m);
	}
	/* 5. No more header fields. 6. Route for the next hop. */
	route_strictly(m);
	/* 7. The next hop was found by route.c and branch.c. 8. Via, 9. Content-Length and 10. the
	 * sending are the transaction layer's. 11. Timer C: branch.c. */
	*out = m;
	return 0;
}

/* -- Responses -- */

static void
set_to_tag(osip_to_t *to, const char *tag)
{
	osip_generic_param_t *param = NULL;
	char name[] = "tag";

	osip_generic_param_get_byname(&to->gen_params, name, &param);
	if (param == NULL && *tag != '\0')
		osip_to_set_tag(to, osip_strdup(tag));
}

static void
set_back_dialog(struct sip_msg *m, const struct sip_msg *request)
{
	char *tag = mem_strdup(sip_msg_to_tag(m));

	osip_from_free(m->osip->from);
	osip_from_clone(request->osip->from, &m->osip->from);
	osip_to_free(m->osip->to);
	osip_to_clone(request->osip->to, &m->osip->to);
	set_to_tag(m->osip->to, tag);
	osip_call_id_free(m->osip->call_id);
	osip_call_id_clone(request->osip->call_id, &m->osip->call_id);
	mem_free(tag);
}

struct sip_msg *
forward_undisguised(const struct sip_msg *resp, const struct sip_msg *request)
{
	struct sip_msg *m = sip_msg_clone(resp);

	set_back_dialog(m, request);
	return m;
}

static void
set_back_vias(struct sip_msg *m, const struct sip_msg *request)
{
	osip_list_special_free(&m->osip->vias, (void (*)(void *))osip_via_free);
	osip_list_init(&m->osip->vias);
	osip_list_clone(&request->osip->vias, &m->osip->vias,
	    (int (*)(void *, void **))osip_via_clone);
}

static void
drop_last_record_route(struct sip_msg *m)
{
	int last = osip_list_size(&m->osip->record_routes) - 1;
	osip_record_route_t *rr = osip_list_get(&m->osip->record_routes, last);

	osip_list_remove(&m->osip->record_routes, last);
	osip_record_route_free(rr);
}

/*
 * §16.7 step 8. From the top: entries of proxies behind us, which are hidden; ours, which gets our
 * address on the upstream side; those that the request brought, which are set back. A UAS that
 * copied fewer than it got (a provisional response may have none) is told nothing of ours.
 */
static void
set_back_record_routes(const struct hide *h, struct sip_msg *m, const struct sip_msg *request,
    bool record_routed)
{
	osip_list_t *list = &m->osip->record_routes;
	int theirs = osip_list_size(&request->osip->record_routes);
	int beyond = osip_list_size(list) - theirs - record_routed;
	osip_record_route_t *rr;

	if (beyond < 0)
		theirs = beyond = 0;
	for (int i = 0; i < theirs; i++)
		drop_last_record_route(m);
	for (int i = 0; i < osip_list_size(list); i++) {
		rr = osip_list_get(list, i);
		if (rr->url == NULL)
			continue;
		if (record_routed && i == beyond)
			uri_set_here(rr->url, NULL, h->here, true);
		else if (record_routed)
			hide_route(h, rr->url);
	}
	for (int i = 0; i < theirs; i++)
		if (osip_record_route_clone(osip_list_get(&request->osip->record_routes, i), &rr) ==
		    0)
			osip_list_add(list, rr, -1);
}

int
forward_response(const struct sip_server *s, const struct forward *f, const struct sip_msg *resp,
    const struct sip_msg *request, bool record_routed, struct sip_msg **out)
{
	struct sip_msg *m;
	struct hide h;

	forward_hide(s, f, &h);
	if (h.here == NULL)
		return ERR_UNSUPPORTED;
	m = sip_msg_clone(resp);
	set_back_vias(m, request);
	set_back_dialog(m, request);
	set_back_record_routes(&h, m, request, record_routed);
	if (!f->direct)
		hide_response(&h, m);
	*out = m;
	return 0;
}
