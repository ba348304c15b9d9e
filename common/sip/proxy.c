/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/proxy.h"

#include <osipparser2/osip_parser.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sip/access.h"
#include "sip/context.h"
#include "sip/registrar.h"
#include "sip/uri.h"

/* -- Tables of contexts -- */

static struct context *
context_find(const struct sip_server *s, const struct sip_server_txn *st)
{
	struct context *ctx;

	HASH_FIND(hh_txn, s->by_txn, &st, sizeof(st), ctx);
	return ctx;
}

static struct context *
context_same(const struct sip_server *s, const char *identity)
{
	struct context *ctx;

	HASH_FIND(hh_identity, s->by_identity, identity, strlen(identity), ctx);
	return ctx;
}

static void
context_add(struct sip_server *s, struct context *ctx)
{
	DL_APPEND(s->all, ctx);
	if (ctx->st == NULL)
		return;
	HASH_ADD(hh_txn, s->by_txn, st, sizeof(ctx->st), ctx);
	HASH_ADD_KEYPTR(hh_identity, s->by_identity, ctx->identity, strlen(ctx->identity), ctx);
}

static void
context_forget_txn(struct sip_server *s, struct context *ctx)
{
	HASH_DELETE(hh_txn, s->by_txn, ctx);
	HASH_DELETE(hh_identity, s->by_identity, ctx);
	ctx->st = NULL;
	ctx->req = NULL;
}

static void
context_del(struct sip_server *s, struct context *ctx)
{
	if (ctx->st != NULL)
		context_forget_txn(s, ctx);
	DL_DELETE(s->all, ctx);
	for (size_t i = 0; i < ctx->branch_n; i++)
		branch_clear(&ctx->branch[i]);
	route_clear(&ctx->route);
	sip_msg_free(ctx->real);
	sip_msg_free(ctx->ack);
	mem_free(ctx->branch);
	mem_free(ctx->identity);
	mem_free(ctx);
}

void
context_release(struct context *ctx)
{
	if (ctx->st != NULL || ctx->starting)
		return;
	for (size_t i = 0; i < ctx->branch_n; i++)
		if (ctx->branch[i].ct != NULL || ctx->branch[i].resolving)
			return;
	context_del(ctx->s, ctx);
}

static void
on_txn_ended(void *arg, struct sip_server_txn *st)
{
	struct context *ctx = arg;

	(void)st;
	context_forget_txn(ctx->s, ctx);
	context_release(ctx);
}

const struct sip_msg *
context_real(const struct context *ctx)
{
	return ctx->real != NULL ? ctx->real : ctx->req;
}

bool
context_is_invite(const struct context *ctx)
{
	return ctx->method == SIP_INVITE;
}

/* All: a request in a dialog that the hook does not see counts in its CSeq all the same. */
bool
context_is_hooked(const struct context *ctx)
{
	return ctx->s->h.on_relay != NULL;
}

/* -- Loops (§16.3 step 4, RFC 5393) -- */

static char *
identity_of(const struct arrival *a)
{
	char call_id[SEAL_TOKEN_MAX], real[SEAL_TOKEN_MAX];
	char *uri = uri_text(a->req->osip->req_uri), *identity;

	if (sip_msg_call_id(a->req, call_id, sizeof(call_id)) == NULL)
		call_id[0] = '\0';
	hide_real_call_id(a->s->seal, call_id, real, sizeof(real));
	identity = mem_printf("%s %u %s %s %s", sip_msg_method_str(a->req), sip_msg_cseq(a->req),
	    sip_msg_from_tag(a->req), real, uri);
	osip_free(uri);
	return identity;
}

static bool
passed_us_before(const struct arrival *a)
{
	const struct face *outside = faces_find(a->s->faces, SIP_FACE_OUTSIDE);
	osip_list_iterator_t it;
	const osip_via_t *via = osip_list_get_first(&a->req->osip->vias, &it);

	for (; osip_list_iterator_has_elem(it); via = osip_list_get_next(&it)) {
		uint16_t port = via->port != NULL ? (uint16_t)atoi(via->port) : 5060;

		if (via->host != NULL &&
		    (face_owns(a->face, via->host, port) || face_owns(outside, via->host, port)))
			return true;
	}
	return false;
}

/* Our own Via says nothing of what we did with the request, but while it is under way its context
 * does: the same request to the same URI again is a loop, to another URI a spiral. */
static bool
is_loop(const struct arrival *a)
{
	char *identity;
	bool found;

	if (!passed_us_before(a))
		return false;
	identity = identity_of(a);
	found = context_same(a->s, identity) != NULL;
	mem_free(identity);
	return found;
}

/* -- Targets (§16.5) -- */

static void
make_branches(struct context *ctx, size_t n)
{
	ctx->branch = mem_calloc(n, sizeof(*ctx->branch));
	ctx->branch_n = n;
	for (size_t i = 0; i < n; i++) {
		ctx->branch[i].ctx = ctx;
		ctx->branch[i].id = ++ctx->s->last_branch;
	}
}

static void
add_bindings(struct context *ctx, const char *aor)
{
	const struct binding *found[BRANCHES_MAX];
	size_t n = location_find(ctx->s->location, aor, clock_steady_s(), found, BRANCHES_MAX);

	make_branches(ctx, n);
	for (size_t i = 0; i < n; i++) {
		struct target *t = &ctx->branch[i].target;
		const struct face *face =
		    faces_named(ctx->s->faces, found[i]->agent != NULL ? found[i]->agent : "");

		t->uri = mem_strdup(found[i]->contact);
		t->flow = found[i]->flow;
		t->registered = true;
		t->down = face == NULL || !face->up;
		if (face != NULL)
			t->flow.face = face->number;
	}
}

static void
add_target(struct context *ctx)
{
	const struct route *r = &ctx->route;
	const struct face *face = faces_find(ctx->s->faces, r->flow.face);
	struct target *t;

	make_branches(ctx, 1);
	t = &ctx->branch[0].target;
	t->by_dns = r->kind == ROUTE_FOREIGN;
	t->flow = r->flow;
	t->down = !t->by_dns && (face == NULL || !face->up);
}

static bool
is_user(const struct sip_server *s, const char *aor)
{
	const char *at = strchr(aor, '@');
	char *name = mem_dup(aor, (size_t)(at - aor));
	bool known = auth_user_known(s->auth, name);

	mem_free(name);
	return known;
}

/* -- Requests -- */

static struct context *
context_new(const struct arrival *a, struct route *route)
{
	struct context *ctx = mem_zalloc(sizeof(*ctx));

	ctx->s = a->s;
	ctx->st = a->st;
	ctx->ack = a->st == NULL ? sip_msg_clone(a->req) : NULL;
	ctx->req = ctx->ack != NULL ? ctx->ack : a->req;
	ctx->route = *route;
	ctx->from = *a->from;
	ctx->method = sip_msg_method(a->req);
	ctx->natted = hide_is_natted(a->req, a->from);
	ctx->identity = identity_of(a);
	if (seal_marked(a->req->osip->call_id->number)) {
		ctx->real = sip_msg_clone(ctx->req);
		hide_call_id_undo(a->s->seal, ctx->real);
	}
	context_add(a->s, ctx);
	return ctx;
}

/* §16.6: all targets at once. */
static void
forward(const struct arrival *a, struct context *ctx)
{
	ctx->starting = true;
	if (ctx->st != NULL)
		sip_server_txn_own(ctx->st, on_txn_ended, ctx);
	/* §16.2: a proxy that may take longer than 200 ms says so; ours crosses the Internet. */
	if (ctx->st != NULL && context_is_invite(ctx))
		server_send_response(a->s, ctx->st, sip_msg_response(ctx->req, 100, NULL, NULL),
		    a->now_us);
	for (size_t i = 0; i < ctx->branch_n; i++)
		branch_start(&ctx->branch[i], a->now_us);
	ctx->starting = false;
	answer_choose(ctx, a->now_us);
	context_release(ctx);
}

/* §11.2: what the pair can do itself. */
static void
answer_options(const struct arrival *a)
{
	struct sip_msg *resp = server_response(a, 200, NULL);

	sip_msg_header_set(resp, "Allow",
	    "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, MESSAGE, PRACK, UPDATE, INFO, REFER, "
	    "SUBSCRIBE, NOTIFY, PUBLISH");
	sip_msg_header_set(resp, "Accept", "application/sdp, */*");
	sip_msg_header_set(resp, "Accept-Encoding", "identity");
	sip_msg_header_set(resp, "Accept-Language", "en");
	server_send_response(a->s, a->st, resp, a->now_us);
}

/* True when the request is for the pair, or for nobody, and was answered. */
static bool
ends_here(const struct arrival *a, const struct route *r)
{
	const char *max_forwards = sip_msg_header(a->req, "Max-Forwards");
	enum sip_method method = sip_msg_method(a->req);
	bool last = max_forwards != NULL && strtoul(max_forwards, NULL, 10) == 0;

	if (method == SIP_REGISTER && (r->kind == ROUTE_SELF || r->kind == ROUTE_USER)) {
		registrar_request(a);
		return true;
	}
	if (method == SIP_OPTIONS && (r->kind == ROUTE_SELF || last))
		answer_options(a);
	else if (last)
		server_answer(a, 483, NULL);
	else if (r->kind == ROUTE_SELF)
		server_answer(a, 404, NULL);
	else
		return false;
	return true;
}

static void
proxy_routed(const struct arrival *a, struct route *r)
{
	struct context *ctx;

	if (ends_here(a, r) || (a->st != NULL && !access_request(a, r)) ||
	    (a->st == NULL && r->kind == ROUTE_FOREIGN && !r->sealed &&
		a->face->number == SIP_FACE_OUTSIDE)) {
		route_clear(r);
		return;
	}
	ctx = context_new(a, r);
	if (r->kind == ROUTE_USER)
		add_bindings(ctx, r->aor);
	else
		add_target(ctx);
	if (ctx->branch_n == 1 || (ctx->branch_n > 1 && a->st != NULL)) { /* an ACK has one way */
		forward(a, ctx);
		return;
	}
	server_answer(a, is_user(a->s, r->aor) ? 480 : 404, NULL);
	context_del(a->s, ctx);
}

void
proxy_request(const struct arrival *a)
{
	const char *name, *value;
	struct route r;
	int status = route_validate(a, &name, &value);

	if (status == 0 && a->st != NULL && is_loop(a)) {
		a->s->n.sip_loops++;
		status = 482;
	}
	if (status == 0)
		status = route_find(a, &r);
	if (status != 0)
		server_answer_with(a, status, name, value);
	else
		proxy_routed(a, &r);
}

void
proxy_cancel(const struct arrival *a, struct sip_server_txn *invite)
{
	struct context *ctx = context_find(a->s, invite);
	const char *reason = sip_msg_header(a->req, "Reason");

	if (ctx == NULL || ctx->answered)
		return;
	ctx->cancelled = true;
	ctx->starting = true; /* no choice before all are told */
	for (size_t i = 0; i < ctx->branch_n; i++)
		branch_cancel(&ctx->branch[i], reason, a->now_us);
	ctx->starting = false;
	answer_choose(ctx, a->now_us);
}

void
proxy_free(struct sip_server *s)
{
	while (s->all != NULL)
		context_del(s, s->all);
}
