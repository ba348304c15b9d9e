/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/registrar.h"

#include <ctype.h>
#include <osipparser2/osip_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "log/log.h"
#include "sip/access.h"
#include "sip/hide.h"
#include "sip/uri.h"

struct wish { /* one Contact of the request */
	char *contact;
	char *instance;
	struct sip_flow flow;
	uint32_t expires_s;
	uint16_t q;
	bool known; /* bound before */
};

struct registration {
	const struct arrival *a;
	char aor[512];
	char call_id[SEAL_CALL_ID_MAX];
	uint64_t now_wall_s;
	bool natted;
	struct wish wish[LOCATION_CONTACTS_MAX];
	size_t wish_n;
	const struct binding *bound[LOCATION_CONTACTS_MAX];
	size_t bound_n;
};

static char *
lent(const char *s)
{
	return (char *)(uintptr_t)s; /* struct binding owns its strings in other places */
}

/* -- Parameters of Contact -- */

static const char *
contact_param(const osip_contact_t *c, const char *name)
{
	osip_generic_param_t *p = NULL;

	osip_generic_param_get_byname((osip_list_t *)(uintptr_t)&c->gen_params, lent(name), &p);
	return p == NULL ? NULL : p->gvalue == NULL ? "" : p->gvalue;
}

/* §20.10: what cannot be read counts as 3600. */
static uint32_t
read_expires(const char *value)
{
	char *end;
	unsigned long s;

	if (value == NULL || !isdigit((unsigned char)*value))
		return REGISTRAR_EXPIRES_MAX_S;
	s = strtoul(value, &end, 10);
	if (*end != '\0')
		return REGISTRAR_EXPIRES_MAX_S;
	return s < UINT32_MAX ? (uint32_t)s : UINT32_MAX;
}

/* "0.7" as 700 */
static uint16_t
read_q(const char *value)
{
	unsigned q = 0, weight = 100;

	if (value == NULL || (*value != '0' && *value != '1'))
		return 1000;
	if (*value == '1')
		return 1000;
	if (value[1] == '.')
		for (value += 2; isdigit((unsigned char)*value) && weight > 0; value++) {
			q += (unsigned)(*value - '0') * weight;
			weight /= 10;
		}
	return (uint16_t)q;
}

/* -- §10.3 steps 5 to 7: what is asked for -- */

static const struct binding *
binding_of(const struct registration *r, const char *contact)
{
	for (size_t i = 0; i < r->bound_n; i++)
		if (strcmp(r->bound[i]->contact, contact) == 0)
			return r->bound[i];
	return NULL;
}

/* Step 7: the same phone's requests take effect in their order. */
static bool
is_out_of_order(const struct registration *r, const struct binding *b)
{
	return b != NULL && strcmp(b->call_id, r->call_id) == 0 &&
	    sip_msg_cseq(r->a->req) <= b->cseq;
}

static uint32_t
granted(const struct registration *r, const struct sip_flow *flow, uint32_t asked_s)
{
	bool nat_closes =
	    r->natted && r->a->from->face == SIP_FACE_OUTSIDE && flow->proto == SIP_UDP;
	uint32_t max_s = nat_closes ? REGISTRAR_EXPIRES_NAT_S : REGISTRAR_EXPIRES_MAX_S;

	return asked_s < max_s ? asked_s : max_s;
}

/* RFC 5393 §3: bindings that lead back to us would multiply a request with each turn. A name does
 * not, it is reached where its REGISTER came from; and a phone may well live on the agent's own
 * machine, at another port. */
static bool
leads_back(const struct registration *r, const osip_uri_t *uri)
{
	const struct face *outside = faces_find(r->a->s->faces, SIP_FACE_OUTSIDE);
	struct addr a;

	return uri_literal(uri, &a) &&
	    (face_owns(r->a->face, uri->host, addr_port(&a)) ||
		face_owns(outside, uri->host, addr_port(&a)));
}

/* 0 or the status to refuse with. */
static int
read_wish(struct registration *r, const osip_contact_t *c)
{
	const char *expires = contact_param(c, "expires");
	struct wish *w;
	uint32_t asked_s;

	if (expires == NULL)
		expires = sip_msg_header(r->a->req, "Expires");
	asked_s = read_expires(expires);
	if (asked_s > 0 && asked_s < REGISTRAR_EXPIRES_MIN_S)
		return 423;
	if (!uri_is_sip(c->url))
		return 400;
	if (leads_back(r, c->url))
		return 403;
	if (r->wish_n == LOCATION_CONTACTS_MAX)
		return 503;
	w = &r->wish[r->wish_n++];
	w->contact = uri_text(c->url);
	w->instance = mem_strdup(contact_param(c, "+sip.instance"));
	w->q = read_q(contact_param(c, "q"));
	w->flow = hide_flow_of(c->url, r->a->from, r->natted);
	if (!addr_is_set(&w->flow.peer))
		w->flow = *r->a->from; /* a name: the phone has shown a way to it */
	w->expires_s = granted(r, &w->flow, asked_s);
	w->known = binding_of(r, w->contact) != NULL;
	return is_out_of_order(r, binding_of(r, w->contact)) ? 500 : 0;
}

/* Step 6: "*" stands alone, and only to remove. */
static int
read_star(struct registration *r)
{
	const char *expires = sip_msg_header(r->a->req, "Expires");

	if (osip_list_size(&r->a->req->osip->contacts) != 1 || expires == NULL ||
	    read_expires(expires) != 0)
		return 400;
	for (size_t i = 0; i < r->bound_n; i++)
		if (is_out_of_order(r, r->bound[i]))
			return 500;
	location_remove_all(r->a->s->location, r->aor);
	log_info("registrar", "%s unbound", r->aor);
	return 0;
}

static bool
is_star(const osip_contact_t *c)
{
	return c->displayname != NULL && strcmp(c->displayname, "*") == 0;
}

static int
read_wishes(struct registration *r)
{
	osip_list_iterator_t it;
	const osip_contact_t *c = osip_list_get_first(&r->a->req->osip->contacts, &it);
	int status = 0;

	for (; status == 0 && osip_list_iterator_has_elem(it); c = osip_list_get_next(&it)) {
		if (is_star(c))
			return read_star(r);
		status = c->url == NULL ? 400 : read_wish(r, c);
	}
	return status;
}

/* -- Step 7, done: all or nothing -- */

static int
set_binding(struct registration *r, const struct wish *w)
{
	const struct arrival *a = r->a;
	struct binding b = { .aor = r->aor,
		.contact = w->contact,
		.agent = a->face->number != SIP_FACE_OUTSIDE ? a->face->name : NULL,
		.flow = w->flow,
		.call_id = r->call_id,
		.cseq = sip_msg_cseq(a->req),
		.q = w->q,
		.expires_wall_s = r->now_wall_s + w->expires_s,
		.user_agent = lent(sip_msg_header(a->req, "User-Agent")),
		.instance = w->instance };
	char peer[ADDR_STR_MAX];

	if (location_put(a->s->location, &b, r->now_wall_s) != 0)
		return 503;
	if (!w->known)
		log_info("registrar", "%s bound: %s from %s%s%s for %us", r->aor, w->contact,
		    addr_str(&a->from->peer, peer), b.agent != NULL ? " in " : "",
		    b.agent != NULL ? b.agent : "", w->expires_s);
	return 0;
}

static void
drop_binding(struct registration *r, const struct wish *w)
{
	if (location_remove(r->a->s->location, r->aor, w->contact) == 0)
		log_info("registrar", "%s unbound: %s", r->aor, w->contact);
}

static int
apply(struct registration *r)
{
	int status = 0;
	size_t done = 0;

	for (; status == 0 && done < r->wish_n; done++) {
		if (r->wish[done].expires_s == 0)
			drop_binding(r, &r->wish[done]);
		else
			status = set_binding(r, &r->wish[done]);
	}
	for (size_t i = 0; status != 0 && i < done; i++)
		if (!r->wish[i].known)
			location_remove(r->a->s->location, r->aor, r->wish[i].contact);
	return status;
}

/* -- Step 8 -- */

/* A phone recognises its own Contact; those of other faces it sees as it would in a call. */
static char *
visible_contact(const struct registration *r, const struct binding *b)
{
	const struct arrival *a = r->a;
	const struct face *face = faces_named(a->s->faces, b->agent != NULL ? b->agent : "");
	struct hide h = { .seal = a->s->seal,
		.domain = a->s->domains[0],
		.from = face,
		.to = a->face,
		.here = face_listener(a->face, a->from),
		.source = b->flow };
	osip_uri_t *uri;
	char *text;

	if (face == a->face)
		return mem_strdup(b->contact);
	if (face == NULL || h.here == NULL || (uri = uri_parse(b->contact)) == NULL)
		return NULL;
	hide_uri(&h, uri);
	text = uri_text(uri);
	osip_uri_free(uri);
	return text;
}

static void
add_contact(const struct registration *r, const struct binding *b, struct sip_msg *resp)
{
	char *contact = visible_contact(r, b), *value;
	char q[16] = "";

	if (contact == NULL)
		return;
	if (b->q < 1000)
		snprintf(q, sizeof(q), ";q=0.%03u", b->q);
	value = mem_printf("<%s>;expires=%llu%s", contact,
	    (unsigned long long)(b->expires_wall_s - r->now_wall_s), q);
	osip_message_set_header(resp->osip, "Contact", value);
	mem_free(value);
	mem_free(contact);
}

static void
add_date(const struct registration *r, struct sip_msg *resp)
{
	time_t now = (time_t)r->now_wall_s;
	char text[64];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	sip_msg_header_set(resp, "Date", text);
}

static void
find_bound(struct registration *r)
{
	r->bound_n = location_find(r->a->s->location, r->aor, r->now_wall_s, r->bound,
	    LOCATION_CONTACTS_MAX);
}

static void
answer_bound(struct registration *r)
{
	struct sip_msg *resp = server_response(r->a, 200, NULL);

	find_bound(r);
	for (size_t i = 0; i < r->bound_n; i++)
		add_contact(r, r->bound[i], resp);
	add_date(r, resp);
	server_send_response(r->a->s, r->a->st, resp, r->a->now_us);
}

static void
refuse(const struct registration *r, int status)
{
	char min[8];

	r->a->s->n.sip_registrations_refused++;
	snprintf(min, sizeof(min), "%u", REGISTRAR_EXPIRES_MIN_S);
	if (status == 423)
		server_answer_with(r->a, status, "Min-Expires", min);
	else if (status == 503)
		server_answer_with(r->a, status, "Retry-After", "60");
	else
		server_answer(r->a, status, NULL);
}

/* -- Steps 1 to 5 -- */

/* 0 or the status to refuse with; -1 when the answer was given. */
static int
admit(struct registration *r)
{
	const struct arrival *a = r->a;
	const osip_uri_t *to = a->req->osip->to->url;
	const char *require = sip_msg_header(a->req, "Require");

	/* 1. The Request-URI is one of our domains: route.c. 2. Required extensions: none known. */
	if (require != NULL) {
		server_answer_with(a, 420, "Unsupported", require);
		return -1;
	}
	/* 5. The address-of-record, before 3 and 4, which ask who owns it. */
	if (!uri_is_sip(to) || !server_is_ours(a->s, a->face, to) ||
	    server_aor(a->s, to, r->aor, sizeof(r->aor)) != 0)
		return 404;
	if (sip_msg_call_id(a->req, r->call_id, sizeof(r->call_id)) == NULL)
		return 400;
	/* 3., 4. Authentication, authorization. */
	return access_register(a, r->aor) ? 0 : -1;
}

void
registrar_request(const struct arrival *a)
{
	struct registration r = { .a = a, .now_wall_s = clock_steady_s() };
	int status;

	r.natted = hide_is_natted(a->req, a->from);
	status = admit(&r);
	if (status == 0) {
		find_bound(&r);
		status = read_wishes(&r);
	}
	if (status == 0)
		status = apply(&r);
	if (status == 0)
		answer_bound(&r);
	else if (status > 0)
		refuse(&r, status);
	for (size_t i = 0; i < r.wish_n; i++) {
		osip_free(r.wish[i].contact);
		mem_free(r.wish[i].instance);
	}
}
