/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/access.h"

#include <osipparser2/osip_parser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "log/log.h"
#include "sip/uri.h"

static bool
is_trusted(const struct arrival *a)
{
	return a->s->auth_mode == SIP_AUTH_NONE ||
	    (a->s->auth_mode == SIP_AUTH_OUTSIDE && a->face->number != SIP_FACE_OUTSIDE);
}

/* -- Digest -- */

/* The URI that was digested: the Request-URI, or any that names us (testers digest the address they
 * send to). */
static bool
uri_fits(void *arg, const char *text)
{
	const struct arrival *a = arg;
	char *asked = uri_text(a->req->osip->req_uri);
	bool same = strcmp(asked, text) == 0;
	osip_uri_t *uri;

	osip_free(asked);
	if (same || (uri = uri_parse(text)) == NULL)
		return same;
	same = server_is_ours(a->s, a->face, uri);
	osip_uri_free(uri);
	return same;
}

static void
challenge(const struct arrival *a, int status, bool stale)
{
	const char *name = status == 401 ? "WWW-Authenticate" : "Proxy-Authenticate";
	struct sip_msg *resp = server_response(a, status, NULL);
	char value[AUTH_CHALLENGE_MAX];

	for (unsigned i = 0; i < AUTH_CHALLENGES; i++) {
		if (auth_challenge(a->s->auth, i, stale, a->now_us / CLOCK_S, value))
			osip_message_set_header(resp->osip, name, value);
	}
	a->s->n.sip_auth_challenges++;
	server_send_response(a->s, a->st, resp, a->now_us);
}

static void
log_failure(const struct arrival *a, const char *user)
{
	static struct log_limit limit;
	char peer[ADDR_STR_MAX];

	a->s->n.sip_auth_failures++;
	log_warn_limited(&limit, "sip", "wrong password or unknown user \"%s\" in %s from %s%s%s",
	    user, sip_msg_method_str(a->req), addr_str(&a->from->peer, peer),
	    a->face->number != SIP_FACE_OUTSIDE ? " in " : "", a->face->name);
}

/* True with the user's name when it has proved itself; else the request is answered. */
static bool
authenticate(const struct arrival *a, int status, char user[static AUTH_USER_MAX])
{
	const osip_message_t *m = a->req->osip;
	struct auth_request req = { .method = m->sip_method,
		.credentials = status == 401 ? &m->authorizations : &m->proxy_authorizations,
		.uri_fits = uri_fits,
		.arg = (void *)(uintptr_t)a,
		.now_s = a->now_us / CLOCK_S };
	enum auth_result result = auth_check(a->s->auth, &req, user);

	if (result == AUTH_GOOD)
		return true;
	if (result == AUTH_WRONG)
		log_failure(a, user);
	if (result == AUTH_STALE)
		a->s->n.sip_auth_stale++;
	challenge(a, status, result == AUTH_STALE);
	return false;
}

/* -- Who is who -- */

/* "alice" of "alice@example.com". */
static bool
owns(const char *user, const char *aor)
{
	size_t n = strlen(user);

	return strncmp(user, aor, n) == 0 && aor[n] == '@';
}

static bool
refuse(const struct arrival *a)
{
	server_answer(a, 403, NULL);
	return false;
}

bool
access_register(const struct arrival *a, const char *aor)
{
	char user[AUTH_USER_MAX];

	if (is_trusted(a))
		return true;
	/* §10.3 steps 3 and 4. */
	return authenticate(a, 401, user) && (owns(user, aor) || refuse(a));
}

static bool
is_in_dialog_by_token(const struct arrival *a, const struct route *r)
{
	return r->sealed && *sip_msg_to_tag(a->req) != '\0';
}

/* §26.3.2: no open relay, not even where nobody has a password. */
static bool
refuse_foreign(const struct arrival *a)
{
	a->s->n.sip_foreign_refused++;
	return refuse(a);
}

static bool
is_private_literal(const osip_uri_t *uri)
{
	struct addr addr;

	return uri_literal(uri, &addr) && addr_is_private(&addr);
}

bool
access_request(const struct arrival *a, const struct route *r)
{
	const osip_uri_t *from = a->req->osip->from->url;
	bool outside = a->face->number == SIP_FACE_OUTSIDE;
	bool foreign = r->kind == ROUTE_FOREIGN && !r->sealed;
	char user[AUTH_USER_MAX], aor[512];
	bool ours;

	/* Nobody outside has business with the private addresses around HRAS. */
	if (outside && foreign && is_private_literal(r->next))
		return refuse_foreign(a);
	if (is_in_dialog_by_token(a, r))
		return true;
	if (is_trusted(a))
		return !(outside && foreign) || refuse_foreign(a);
	ours = uri_is_sip(from) && server_is_ours(a->s, a->face, from);
	if (!ours && !foreign)
		return true;
	/* §22.3 */
	if (!ours)
		return refuse_foreign(a);
	return authenticate(a, 407, user) &&
	    ((server_aor(a->s, from, aor, sizeof(aor)) == 0 && owns(user, aor)) || refuse(a));
}
