/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <event2/event.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "hrac/uplink/request.h"
#include "hrac/uplink/route.h"
#include "hrac/uplink/ticket.h"

/* What asks a proxy for its wishes; HRAS knows no such thing, and that is as good as any answer. */
#define KNOCK_PATH "vofw/1/knock"
#define KNOCK_PATIENCE_MS 500 /* before those for another place behind a proxy have their own */
#define KNOCK_LOGIN_MS 2000   /* ... where two could try a wrong password at a time */
#define KNOCK_TIMEOUT_MS 8000L

static void
on_ticket(void *arg, const struct uplink_ticket_result *result)
{
	struct uplink_request *r = arg;

	r->ticket = NULL;
	curl_easy_cleanup(r->easy);
	r->easy = result->easy;
	r->code = result->code;
	memcpy(r->error, result->error, sizeof(r->error));
	uplink_proxy_overhear(r->proxy, result->trouble, strlen(result->trouble));
	r->over = true;
	r->http->ending = true;
	uplink_http_turn(r->http);
}

static void
knock(struct uplink_http *h, const char *base, const char *proxy)
{
	struct uplink_route route = { .base = (char *)(uintptr_t)base,
		.proxy = (char *)(uintptr_t)proxy };
	struct uplink_request *r = uplink_request_new(h, &route, KNOCK_PATH, KNOCK, NULL);

	r->base = mem_strdup(base);
	curl_easy_setopt(r->easy, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(r->easy, CURLOPT_TIMEOUT_MS, KNOCK_TIMEOUT_MS);
	r->tried = r->proxy->scheme;
	if (r->tried == (long)CURLAUTH_NEGOTIATE) {
		uplink_request_dress(r);
		r->ticket = uplink_ticket_get(h->base, r->easy, on_ticket, r);
	}
	if (r->ticket == NULL)
		uplink_request_go(r);
}

/* A knock waits for HRAS too, and it may be that only its own way there is closed. */
static void
knock_for(struct uplink_request *held)
{
	struct uplink_http *h = held->http;
	struct uplink_request *r;

	LIST_FOREACH(r, &h->requests, link) {
		if (r->kind == KNOCK && r->proxy == held->proxy &&
		    strcmp(r->base, held->route->base) == 0)
			return;
	}
	uplink_proxy_knock(held->proxy);
	knock(h, held->route->base, held->route->proxy);
}

void
uplink_knock_patience(evutil_socket_t fd, short what, void *arg)
{
	struct uplink_http *h = arg;
	struct uplink_request *r;

	(void)fd;
	(void)what;
	LIST_FOREACH(r, &h->requests, link) {
		if (r->held)
			knock_for(r);
	}
}

static void
request_hold(struct uplink_request *r)
{
	unsigned ms = r->proxy->user == NULL ? KNOCK_PATIENCE_MS : KNOCK_LOGIN_MS;
	const struct timeval patience = { ms / 1000, ms % 1000 * 1000 };

	r->held = true;
	if (!evtimer_pending(&r->http->patience, NULL))
		evtimer_add(&r->http->patience, &patience);
}

void
uplink_knock_first(struct uplink_request *r)
{
	enum uplink_proxy_verdict verdict =
	    r->proxy == NULL ? UPLINK_PROXY_GO : uplink_proxy_ask(r->proxy, clock_us());

	if (verdict == UPLINK_PROXY_GO) {
		uplink_request_go(r);
		return;
	}
	if (verdict == UPLINK_PROXY_NO) {
		uplink_request_shut_out(r);
		uplink_http_turn(r->http);
		return;
	}
	request_hold(r);
	if (verdict == UPLINK_PROXY_KNOCK)
		knock(r->http, r->route->base, r->route->proxy);
}

/* What waited goes, or ends as the knock did. */
static void
knock_settles(struct uplink_request *k, enum uplink_proxy_verdict verdict, bool reached)
{
	const struct uplink_failure f = uplink_request_failure(k);
	struct uplink_request *r;

	LIST_FOREACH(r, &k->http->requests, link) {
		if (!r->held || r->proxy != k->proxy)
			continue;
		if (verdict == UPLINK_PROXY_GO) {
			uplink_request_go(r);
		} else if (verdict == UPLINK_PROXY_NO) {
			uplink_request_shut_out(r);
		} else if (!reached && strcmp(r->route->base, k->base) == 0) {
			uplink_request_shut_out(r);
			uplink_cause(&f, r->fate, sizeof(r->fate));
		}
	}
}

void
uplink_knock_over(struct uplink_request *k)
{
	struct uplink_http *h = k->http;
	enum uplink_proxy_verdict verdict;
	struct uplink_proxy_answer a = { .tried = k->tried };
	struct uplink_request *r, *next;

	uplink_proxy_read(k->easy, &a);
	verdict = uplink_proxy_learn(k->proxy, &a, clock_us());
	if (verdict == UPLINK_PROXY_KNOCK) {
		uplink_proxy_knock(k->proxy);
		knock(h, k->base, k->proxy->name);
		return;
	}
	knock_settles(k, verdict, a.reached);
	/* Those for another place behind this proxy have a try of their own. */
	for (r = LIST_FIRST(&h->requests); r != NULL; r = next) {
		next = LIST_NEXT(r, link);
		if (r->held && r->proxy == k->proxy)
			uplink_knock_first(r);
	}
}
