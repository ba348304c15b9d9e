/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink/http.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/tcp.h"
#include "hrac/uplink/look.h"
#include "hrac/uplink/poll.h"
#include "hrac/uplink/request.h"
#include "hrac/uplink/route.h"
#include "log/log.h"

/*
 * The buffer of a POST: small, as what waits in it has left the tunnel's hands and ages unseen. It
 * is libcurl's least.
 */
#define UPLOAD_BUFFER_LEN 16384
#define DOWNLOAD_BUFFER_LEN 32768
#define EXCHANGE_TIMEOUT_MS 8000L
#define REST_MAX_S \
	25L        /* of a connection between two bounded streams; many a box forgets it later */
#define PUMP_MAX 4 /* buffers that a stream may send in a row before the others get their turn */

static void
set_body(struct uplink_request *r, const void *body, size_t n)
{
	curl_easy_setopt(r->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE, (long)n);
	curl_easy_setopt(r->easy, CURLOPT_COPYPOSTFIELDS, body);
	curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->http->headers);
}

struct uplink_request *
uplink_http_exchange(struct uplink_http *h, struct uplink_route *route, const char *path,
    const void *body, size_t n, void *user)
{
	struct uplink_request *r = uplink_request_new(h, route, path, EXCHANGE, user);

	set_body(r, body, n);
	curl_easy_setopt(r->easy, CURLOPT_TIMEOUT_MS, EXCHANGE_TIMEOUT_MS);
	/* One that rests since the session before may be as dead as that, and nobody has said so. */
	curl_easy_setopt(r->easy, CURLOPT_MAXAGE_CONN, 1L);
	uplink_knock_first(r);
	return r;
}

struct uplink_request *
uplink_http_burst(struct uplink_http *h, struct uplink_route *route, const char *path,
    const void *body, size_t n, bool fresh, void *user)
{
	struct uplink_request *r =
	    uplink_request_new(h, route, path, body != NULL ? STREAM_UP : STREAM_DOWN, user);

	r->burst = true;
	curl_easy_setopt(r->easy, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(r->easy, CURLOPT_MAXAGE_CONN, REST_MAX_S);
	curl_easy_setopt(r->easy, CURLOPT_BUFFERSIZE, (long)DOWNLOAD_BUFFER_LEN);
	if (fresh)
		curl_easy_setopt(r->easy, CURLOPT_FRESH_CONNECT, 1L);
	if (body != NULL)
		set_body(r, body, n);
	else
		curl_easy_setopt(r->easy, CURLOPT_HTTPGET, 1L);
	uplink_knock_first(r);
	return r;
}

struct uplink_request *
uplink_http_look(struct uplink_http *h, struct uplink_route *route, struct uplink_look *look,
    void *user)
{
	struct uplink_request *r = uplink_request_new(h, route, "vofw/1/open", EXCHANGE, user);

	r->look = look;
	uplink_look_watch(look, r->easy);
	curl_easy_setopt(r->easy, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(r->easy, CURLOPT_TIMEOUT_MS, EXCHANGE_TIMEOUT_MS);
	uplink_knock_first(r);
	return r;
}

struct uplink_request *
uplink_http_stream(struct uplink_http *h, struct uplink_route *route, const char *path, bool up,
    void *user)
{
	struct uplink_request *r =
	    uplink_request_new(h, route, path, up ? STREAM_UP : STREAM_DOWN, user);

	curl_easy_setopt(r->easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(r->easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(r->easy, CURLOPT_FAILONERROR, 1L);
	if (up) {
		curl_easy_setopt(r->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(r->easy, CURLOPT_READFUNCTION, uplink_request_read);
		curl_easy_setopt(r->easy, CURLOPT_READDATA, r);
		curl_easy_setopt(r->easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_LEN);
		curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, h->headers_stream);
	} else {
		curl_easy_setopt(r->easy, CURLOPT_HTTPGET, 1L);
		curl_easy_setopt(r->easy, CURLOPT_BUFFERSIZE, (long)DOWNLOAD_BUFFER_LEN);
	}
	uplink_knock_first(r);
	return r;
}

void
uplink_http_proxy(struct uplink_http *h, const char *proxy, const char *user, const char *password)
{
	uplink_proxy_identify(uplink_proxy_get(&h->proxies, proxy), user, password);
}

void
uplink_http_connect_to(struct uplink_request *r, const struct addr *address)
{
	uplink_request_address(r, address);
	curl_easy_setopt(r->easy, CURLOPT_FRESH_CONNECT, 1L);
}

bool
uplink_http_local(const struct uplink_request *r, struct addr *out)
{
	char *ip = NULL;

	curl_easy_getinfo(r->easy, CURLINFO_LOCAL_IP, &ip);
	return ip != NULL && addr_parse_host(ip, strlen(ip), 0, out) == 0;
}

void
uplink_http_handle(struct uplink_request *r, const struct uplink_http_handlers *handlers, void *arg)
{
	r->handlers = handlers;
	r->arg = arg;
}

struct probe_segments
uplink_http_segments(const struct uplink_request *r)
{
	struct probe_segments s = { 0, 0 };

	if (r->fd != CURL_SOCKET_BAD)
		tcp_segments(r->fd, &s.sent, &s.again);
	return s;
}

uint64_t
uplink_http_asked_us(const struct uplink_request *r)
{
	return r->asked_us;
}

void
uplink_http_wake(struct uplink_request *r)
{
	uplink_request_awake(r, true);
}

void
uplink_http_close(struct uplink_request *r)
{
	r->closing = true;
	r->held = false; /* its route may end before it does */
	r->http->ending = true;
}

/* -- The turn -- */

/*
 * Lets a body up go on, and sends until on_read has nothing left or the socket takes no more. To
 * pretend that the socket is writable spares the waiting for it, and the idle recv(2) that
 * libcurl's own timer would do.
 */
static void
pump(struct uplink_request *r)
{
	unsigned i, pulls;

	r->paused = false;
	curl_easy_pause(r->easy, CURLPAUSE_CONT);
	for (i = 0; i < PUMP_MAX && !r->paused; i++) {
		pulls = r->pulls;
		uplink_poll_act(r->http->poll, r->fd, CURL_CSELECT_OUT);
		if (r->pulls == pulls)
			break;
	}
}

static void
tell_look(struct uplink_request *r, bool from_hras)
{
	if (!r->shut_out)
		uplink_look_end(r->look, r->easy, r->code, from_hras);
	else if (r->fate[0] == '\0')
		r->look->step = UPLINK_LOOK_PROXY;
	if (r->proxy != NULL && r->proxy->offered != 0)
		uplink_proxy_schemes(r->proxy->offered, r->look->schemes);
}

static void
tell_done(struct uplink_request *r)
{
	const struct uplink_failure f = uplink_request_failure(r);
	char cause[UPLINK_HTTP_CAUSE_MAX];
	struct uplink_http_result result = { .status = f.status,
		.from_hras = f.from_hras,
		.body = buf_data(&r->answer),
		.body_len = buf_len(&r->answer),
		.asked_us = r->asked_us,
		.cause = cause };

	if (r->asked_us != 0 && r->heard_us > r->asked_us)
		result.answer_us = (uint32_t)(r->heard_us - r->asked_us);
	if (r->look != NULL)
		tell_look(r, f.from_hras);
	if (r->fate[0] != '\0') {
		result.status = 0;
		result.cause = r->fate;
	} else {
		uplink_cause(&f, cause, sizeof(cause));
	}
	r->handlers->on_done(r->arg, r->user, &result);
}

/*
 * The knock found the proxy open, but for this request it asks who we are: it may be that it forbids
 * the place of the knock to everybody. When nothing of a body is gone, the request is made once more,
 * behind a knock of its own.
 */
static bool
begins_again(struct uplink_request *r, bool refused, long scheme)
{
	if (!refused || scheme != 0 || r->again || r->pulls > 0)
		return false;
	curl_multi_remove_handle(r->http->multi, r->easy);
	buf_free(&r->answer);
	r->again = true;
	r->over = r->checked = false;
	r->asked_us = r->heard_us = 0;
	r->fd = CURL_SOCKET_BAD;
	r->error[0] = '\0';
	uplink_knock_first(r);
	return true;
}

static void
finish(struct uplink_request *r)
{
	struct uplink_proxy_answer a = { 0 };
	long scheme;

	if (r->kind == KNOCK) {
		uplink_knock_over(r);
		uplink_request_free(r);
		return;
	}
	if (r->proxy != NULL && !r->shut_out) {
		scheme = r->proxy->scheme;
		uplink_proxy_read(r->easy, &a);
		uplink_proxy_note(r->proxy, &a, clock_us());
		if (begins_again(r, a.refused, scheme))
			return;
	}
	tell_done(r);
	uplink_request_free(r);
}

void
uplink_http_turn(struct uplink_http *h)
{
	h->handlers.on_turn(h->arg);
}

/* Sends what was woken. A body not paused is still on its way: libcurl will ask by itself. */
static void
pump_awake(struct uplink_http *h)
{
	struct uplink_request *r;

	while ((r = TAILQ_FIRST(&h->awake)) != NULL) {
		uplink_request_awake(r, false);
		if (r->paused && !r->closing && !r->over)
			pump(r);
	}
}

/* Ends what is over. True when something was. */
static bool
harvest(struct uplink_http *h)
{
	struct uplink_request *r, *next;
	bool any = false;
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &r);
		r->over = true;
		r->code = m->data.result;
		h->ending = true;
	}
	if (!h->ending)
		return false;
	h->ending = false;
	for (r = LIST_FIRST(&h->requests); r != NULL; r = next) {
		next = LIST_NEXT(r, link);
		if (r->closing)
			uplink_request_free(r);
		else if (r->over)
			finish(r);
		else
			continue;
		any = true;
		next = LIST_FIRST(&h->requests); /* on_done may have changed the list */
	}
	return any;
}

void
uplink_http_run(struct uplink_http *h)
{
	if (uplink_poll_is_inside(h->poll))
		return; /* on_turn follows */
	do {
		pump_awake(h);
	} while (harvest(h));
	uplink_poll_apply(h->poll);
}

/* -- Begin and end -- */

static void
make_headers(struct uplink_http *h)
{
	static const char type[] = "Content-Type: application/octet-stream";
	static const char chunked[] = "Transfer-Encoding: chunked";

	h->headers = curl_slist_append(NULL, type);
	h->headers = curl_slist_append(h->headers, "Expect:");
	h->headers_stream = curl_slist_append(NULL, type);
	h->headers_stream = curl_slist_append(h->headers_stream, chunked);
	h->headers_stream = curl_slist_append(h->headers_stream, "Expect:");
}

struct uplink_http *
uplink_http_new(struct event_base *base, const struct uplink_http_config *config,
    const struct uplink_http_handlers *handlers, void *arg)
{
	struct uplink_http *h = mem_zalloc(sizeof(*h));

	h->base = base;
	h->handlers = *handlers;
	h->arg = arg;
	uplink_proxies_init(&h->proxies, config->proxy_user, config->proxy_password, config->ca);
	h->ca = mem_strdup(config->ca);
	h->client_certificate = mem_strdup(config->client_certificate);
	h->client_key = mem_strdup(config->client_key);
	LIST_INIT(&h->requests);
	TAILQ_INIT(&h->awake);
	evtimer_assign(&h->patience, base, uplink_knock_patience, h);
	make_headers(h);
	h->poll = uplink_poll_new(base, handlers->on_turn, arg);
	if (h->poll == NULL) {
		log_error("uplink", "libcurl does not start");
		uplink_http_free(h);
		return NULL;
	}
	h->multi = uplink_poll_multi(h->poll);
	h->share = curl_share_init();
	curl_share_setopt(h->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	return h;
}

void
uplink_http_free(struct uplink_http *h)
{
	struct uplink_request *r;

	while ((r = LIST_FIRST(&h->requests)) != NULL)
		uplink_request_free(r);
	event_del(&h->patience);
	uplink_poll_free(h->poll);
	curl_share_cleanup(h->share);
	curl_slist_free_all(h->headers);
	curl_slist_free_all(h->headers_stream);
	uplink_proxies_free(&h->proxies);
	mem_free(h->ca);
	mem_free(h->client_certificate);
	mem_free(h->client_key);
	mem_free(h);
}
