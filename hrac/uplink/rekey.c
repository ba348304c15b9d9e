/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "hrac/uplink/impl.h"
#include "tunnel/crypto.h"

/*
 * Another key for the session that there is, agreed upon beside it while calls go on: the opening
 * of docs/PROTOCOL.md once more, for another purpose, over the route in use. When it fails all
 * stays as it is; the tunnel asks again.
 */
#define PATH "vofw/1/open"

struct uplink_rekey {
	struct uplink *uplink;
	struct handshake handshake;
	struct uplink_request *request;
	bool responding; /* RESPONSE sent, not HELLO */
};

void
uplink_rekey_cancel(struct uplink *u)
{
	struct uplink_rekey *k = u->rekey;

	u->rekey_due = false;
	u->rekey = NULL;
	if (k == NULL)
		return;
	if (k->request != NULL)
		uplink_http_close(k->request);
	mem_wipe_free(k, sizeof(*k));
}

static void
failed(struct uplink *u, const char *cause)
{
	log_warn("uplink", "no new key for the session, the old one goes on: %s", cause);
	uplink_rekey_cancel(u);
}

static void on_done(void *arg, void *user, const struct uplink_http_result *r);

static void
exchange(struct uplink_rekey *k, const uint8_t *body, size_t n)
{
	static const struct uplink_http_handlers handlers = { .on_done = on_done };
	struct uplink *u = k->uplink;

	k->request = uplink_http_exchange(u->http, u->way->route, PATH, body, n, NULL);
	uplink_http_handle(k->request, &handlers, k);
	uplink_http_connect_to(k->request, &u->way->route->address);
}

static void
finish(struct uplink_rekey *k, const struct uplink_http_result *r)
{
	struct uplink *u = k->uplink;
	struct tunnel_grant grant;
	int err;

	err = handshake_finish(&k->handshake, r->body, r->body_len, &grant);
	if (err == 0)
		err = tunnel_rekey(u->tunnel, &grant, clock_us());
	crypto_wipe(&grant, sizeof(grant));
	if (err < 0) {
		failed(u, err_str(err));
		return;
	}
	log_debug("uplink", "session %016llx has a new key",
	    (unsigned long long)tunnel_grant(u->tunnel)->session);
	uplink_rekey_cancel(u);
}

static void
on_done(void *arg, void *user, const struct uplink_http_result *r)
{
	struct uplink_rekey *k = arg;
	uint8_t body[HANDSHAKE_BODY_MAX];
	size_t n;

	(void)user;
	k->request = NULL;
	k->uplink->more = true;
	if (r->cause[0] != '\0') {
		failed(k->uplink, r->cause);
	} else if (k->responding) {
		finish(k, r);
	} else if (handshake_respond(&k->handshake, r->body, r->body_len, body, &n) < 0) {
		failed(k->uplink, "HRAS's answer cannot be understood");
	} else {
		k->responding = true;
		exchange(k, body, n);
	}
}

void
uplink_rekey_run(struct uplink *u)
{
	uint8_t body[HANDSHAKE_BODY_MAX];
	struct uplink_rekey *k;
	size_t n;

	if (!u->rekey_due || u->rekey != NULL || u->tunnel == NULL || u->opening)
		return;
	u->rekey_due = false;
	k = u->rekey = mem_zalloc(sizeof(*k));
	k->uplink = u;
	k->handshake = u->handshake;
	handshake_hello(&k->handshake, HANDSHAKE_REKEY, tunnel_grant(u->tunnel)->session, body, &n);
	exchange(k, body, n);
}
