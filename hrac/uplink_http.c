/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink_http.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/tcp.h"
#include "hrac/uplink_cause.h"
#include "hrac/uplink_look.h"
#include "hrac/uplink_poll.h"
#include "hrac/uplink_proxy.h"
#include "hrac/uplink_route.h"
#include "hrac/uplink_signer.h"
#include "log/log.h"

/*
 * The buffer of a POST: small, as what waits in it has left the tunnel's hands and ages unseen. It
 * is libcurl's least.
 */
#define UPLOAD_BUFFER_LEN 16384
#define DOWNLOAD_BUFFER_LEN 32768
#define CONNECT_TIMEOUT_MS 4000L
#define EXCHANGE_TIMEOUT_MS 8000L
#define REST_MAX_S \
	25L        /* of a connection between two bounded streams; many a box forgets it later */
#define PUMP_MAX 4 /* buffers that a stream may send in a row before the others get their turn */

/* What asks a proxy for its wishes; HRAS knows no such thing, and that is as good as any answer. */
#define KNOCK_PATH "vofw/1/knock"
#define KNOCK_PATIENCE_MS 500 /* before those for another place behind a proxy have their own */

enum kind { EXCHANGE, STREAM_UP, STREAM_DOWN, KNOCK };

struct uplink_request {
	LIST_ENTRY(uplink_request) link;
	TAILQ_ENTRY(uplink_request) awake_link; /* while `awake` */
	struct uplink_http *http;
	struct uplink_route *route;                  /* NULL of a knock, which may outlive it */
	struct uplink_proxy *proxy;                  /* of the route; NULL = direct */
	const struct uplink_http_handlers *handlers; /* those of `http`, or its own ... */
	void *arg;                                   /* ... and their argument */
	enum kind kind;
	void *user;
	CURL *easy;
	struct curl_slist *resolve; /* what libcurl is told of the name */
	curl_socket_t fd;           /* asked for when first needed; CURL_SOCKET_BAD before */
	bool held;                  /* libcurl does not have it: it waits for a knock */
	bool shut_out;     /* it is over for what is known of the proxy: libcurl never had it */
	bool paused;       /* on_read gave 0 */
	bool awake;        /* uplink_http_wake since */
	bool closing;      /* uplink_http_close */
	bool over;         /* libcurl is done with it, on_done is due */
	bool checked;      /* the answer's head is HRAS's */
	unsigned pulls;    /* calls of on_read */
	uint64_t asked_us; /* when the connection was ready for the request; 0 = it is not */
	uint64_t heard_us; /* when the head of the answer began; 0 = it did not */
	CURLcode code;     /* when over */
	struct uplink_look *look;         /* to be filled; or NULL */
	struct buf answer;                /* of an exchange */
	char *base;                       /* of a knock */
	long tried;                       /* of a knock: the scheme of its proxy when it began */
	char fate[UPLINK_HTTP_CAUSE_MAX]; /* shut out: of the knock; "" = that of its proxy */
	struct uplink_signer signer;
	char error[CURL_ERROR_SIZE];
};
LIST_HEAD(requests, uplink_request);
TAILQ_HEAD(awake, uplink_request);

struct uplink_http {
	struct uplink_poll *poll;
	struct uplink_http_handlers handlers;
	void *arg;
	struct uplink_proxies proxies;
	char *ca, *client_certificate, *client_key;
	CURLM *multi;  /* of `poll` */
	CURLSH *share; /* of TLS sessions: the second connection need not shake hands in full */
	struct curl_slist *headers, *headers_stream;
	struct requests requests;
	struct awake awake;    /* those whose bodies are to go on */
	bool ending;           /* some are closing or over */
	struct event patience; /* with knocks that hang */
};

/* -- Callbacks of a request, inside libcurl -- */

static int
on_sockopt(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	struct uplink_request *r = arg;

	(void)purpose;
	/* For pump. Of several addresses tried at a time it may be the wrong one: then the pump finds
	 * nothing to do, and libcurl's own timer does it. */
	r->fd = fd;
	tcp_for_stream(fd);
	return CURL_SOCKOPT_OK;
}

static size_t
on_curl_read(char *out, size_t size, size_t n, void *arg)
{
	struct uplink_request *r = arg;
	long got;

	r->pulls++;
	if (r->closing)
		return CURL_READFUNC_ABORT;
	got = r->handlers->on_read(r->arg, r->user, (uint8_t *)out, size * n);
	if (got == UPLINK_HTTP_END)
		return 0;
	if (got == 0) {
		r->paused = true;
		return CURL_READFUNC_PAUSE;
	}
	return (size_t)got;
}

static bool
is_from_hras(CURL *easy)
{
	char *type = NULL;

	curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
	return type != NULL && strcasecmp(type, "application/octet-stream") == 0;
}

static size_t
on_curl_write(char *in, size_t size, size_t n, void *arg)
{
	struct uplink_request *r = arg;
	size_t len = size * n;
	long status = 0;

	if (r->closing)
		return 0;
	if (r->kind == KNOCK)
		return len;
	if (r->kind == EXCHANGE)
		return buf_append(&r->answer, in, len) == 0 ? len : 0;
	if (!r->checked) {
		curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
		r->checked = status == 200 && is_from_hras(r->easy);
		if (!r->checked)
			return 0;
	}
	return r->handlers->on_write(r->arg, r->user, (uint8_t *)in, len) ? len : 0;
}

/* The connection stands, also through a proxy, and the request is about to be written. */
static int
on_curl_prereq(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct uplink_request *r = arg;

	(void)ip;
	(void)local_ip;
	(void)port;
	(void)local_port;
	r->asked_us = clock_us();
	return CURL_PREREQFUNC_OK;
}

/* A line of a head; the last head is the answer's. */
static size_t
on_curl_header(char *line, size_t size, size_t n, void *arg)
{
	struct uplink_request *r = arg;

	if (size * n >= 5 && memcmp(line, "HTTP/", 5) == 0)
		r->heard_us = clock_us();
	if (r->look != NULL)
		uplink_look_header(r->look, line, size * n);
	return size * n;
}

/* -- Requests -- */

/* When it starts, since what it needs may have been learned while it was held. */
static void
set_proxy(struct uplink_request *r)
{
	/* An empty name, unlike none, keeps libcurl from looking into the environment. */
	curl_easy_setopt(r->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(r->easy, CURLOPT_NOPROXY, "");
	if (r->proxy == NULL)
		return;
	uplink_proxy_dress(&r->http->proxies, r->proxy, r->easy, r->kind == KNOCK);
	/* Digest takes two rounds: both on the connection of the first. */
	if (r->proxy->scheme == (long)CURLAUTH_DIGEST)
		curl_easy_setopt(r->easy, CURLOPT_FORBID_REUSE, 0L);
}

static void
set_tls(struct uplink_request *r)
{
	struct uplink_http *h = r->http;

	curl_easy_setopt(r->easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(r->easy, CURLOPT_SSL_VERIFYHOST, 2L);
	uplink_signer_watch(&r->signer, r->easy);
	curl_easy_setopt(r->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (h->ca != NULL) {
		curl_easy_setopt(r->easy, CURLOPT_CAINFO, h->ca);
		curl_easy_setopt(r->easy, CURLOPT_CAPATH, NULL);
	}
	if (h->client_certificate != NULL) {
		curl_easy_setopt(r->easy, CURLOPT_SSLCERT, h->client_certificate);
		curl_easy_setopt(r->easy, CURLOPT_SSLKEY, h->client_key);
	}
}

/* libcurl remembers names for a minute: it is told what to know of this one, or to forget it. */
static void
set_address(struct uplink_request *r, const struct addr *address)
{
	const struct uplink_route *route = r->route;
	char host[ADDR_HOST_MAX], *line;

	if (route == NULL || route->literal)
		return; /* a knock takes what libcurl knows */
	if (addr_is_set(address))
		line = mem_printf(addr_is_v6(address) ? "%s:%u:[%s]" : "%s:%u:%s", route->host,
		    route->port, addr_host(address, host));
	else
		line = mem_printf("-%s:%u", route->host, route->port);
	curl_slist_free_all(r->resolve);
	r->resolve = curl_slist_append(NULL, line);
	curl_easy_setopt(r->easy, CURLOPT_RESOLVE, r->resolve);
	mem_free(line);
}

static struct uplink_request *
request_new(struct uplink_http *h, struct uplink_route *route, const char *path, enum kind kind,
    void *user)
{
	struct uplink_request *r = mem_zalloc(sizeof(*r));
	char *url = mem_printf("%s%s", route->base, path);

	r->http = h;
	r->route = kind == KNOCK ? NULL : route;
	if (route->proxy != NULL)
		r->proxy = uplink_proxy_get(&h->proxies, route->proxy);
	r->handlers = &h->handlers;
	r->arg = h->arg;
	r->kind = kind;
	r->user = user;
	r->fd = CURL_SOCKET_BAD;
	buf_init(&r->answer, UPLINK_HTTP_ANSWER_MAX);
	r->easy = curl_easy_init();
	if (r->easy == NULL)
		abort(); /* it is out of memory */
	curl_easy_setopt(r->easy, CURLOPT_URL, url);
	mem_free(url);
	curl_easy_setopt(r->easy, CURLOPT_PRIVATE, r);
	curl_easy_setopt(r->easy, CURLOPT_SHARE, h->share);
	curl_easy_setopt(r->easy, CURLOPT_ERRORBUFFER, r->error);
	curl_easy_setopt(r->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(r->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(r->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(r->easy, CURLOPT_USERAGENT, "VoFW/1");
	curl_easy_setopt(r->easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(r->easy, CURLOPT_SOCKOPTFUNCTION, on_sockopt);
	curl_easy_setopt(r->easy, CURLOPT_SOCKOPTDATA, r);
	curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, on_curl_write);
	curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(r->easy, CURLOPT_PREREQFUNCTION, on_curl_prereq);
	curl_easy_setopt(r->easy, CURLOPT_PREREQDATA, r);
	curl_easy_setopt(r->easy, CURLOPT_HEADERFUNCTION, on_curl_header);
	curl_easy_setopt(r->easy, CURLOPT_HEADERDATA, r);
	/* Or the loop would wait here for a name server that does not answer. */
	curl_easy_setopt(r->easy, CURLOPT_QUICK_EXIT, 1L);
	set_tls(r);
	set_address(r, &route->address);
	LIST_INSERT_HEAD(&h->requests, r, link);
	return r;
}

/* Its first step comes with the timer that libcurl sets. */
static void
request_go(struct uplink_request *r)
{
	r->held = false;
	set_proxy(r);
	curl_multi_add_handle(r->http->multi, r->easy);
	uplink_poll_apply(r->http->poll);
}

static void
request_shut_out(struct uplink_request *r)
{
	r->held = false;
	r->shut_out = r->over = true;
	r->http->ending = true;
}

static int
on_curl_debug(CURL *easy, curl_infotype type, char *text, size_t n, void *arg)
{
	struct uplink_request *r = arg;

	(void)easy;
	if (type == CURLINFO_TEXT)
		uplink_proxy_overhear(r->proxy, text, n);
	return 0;
}

static void
knock(struct uplink_http *h, const char *base, const char *proxy)
{
	struct uplink_route route = { .base = (char *)(uintptr_t)base,
		.proxy = (char *)(uintptr_t)proxy };
	struct uplink_request *r = request_new(h, &route, KNOCK_PATH, KNOCK, NULL);

	r->base = mem_strdup(base);
	curl_easy_setopt(r->easy, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(r->easy, CURLOPT_TIMEOUT_MS, EXCHANGE_TIMEOUT_MS);
	curl_easy_setopt(r->easy, CURLOPT_VERBOSE, 1L);
	curl_easy_setopt(r->easy, CURLOPT_DEBUGFUNCTION, on_curl_debug);
	curl_easy_setopt(r->easy, CURLOPT_DEBUGDATA, r);
	r->tried = r->proxy->scheme;
	request_go(r);
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

static void
on_patience(evutil_socket_t fd, short what, void *arg)
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
	static const struct timeval patience = { 0, KNOCK_PATIENCE_MS * 1000 };

	r->held = true;
	if (!evtimer_pending(&r->http->patience, NULL))
		evtimer_add(&r->http->patience, &patience);
}

static void
request_start(struct uplink_request *r)
{
	enum uplink_proxy_verdict verdict =
	    r->proxy == NULL ? UPLINK_PROXY_GO : uplink_proxy_ask(r->proxy, clock_us());

	if (verdict == UPLINK_PROXY_GO) {
		request_go(r);
		return;
	}
	if (verdict == UPLINK_PROXY_NO) {
		request_shut_out(r);
		uplink_http_turn(r->http);
		return;
	}
	request_hold(r);
	if (verdict == UPLINK_PROXY_KNOCK)
		knock(r->http, r->route->base, r->route->proxy);
}

static void
set_awake(struct uplink_request *r, bool awake)
{
	if (r->awake == awake)
		return;
	r->awake = awake;
	if (awake)
		TAILQ_INSERT_TAIL(&r->http->awake, r, awake_link);
	else
		TAILQ_REMOVE(&r->http->awake, r, awake_link);
}

static void
request_free(struct uplink_request *r)
{
	set_awake(r, false);
	curl_multi_remove_handle(r->http->multi, r->easy);
	curl_easy_cleanup(r->easy);
	curl_slist_free_all(r->resolve);
	LIST_REMOVE(r, link);
	buf_free(&r->answer);
	mem_free(r->base);
	mem_free(r);
}

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
	struct uplink_request *r = request_new(h, route, path, EXCHANGE, user);

	set_body(r, body, n);
	curl_easy_setopt(r->easy, CURLOPT_TIMEOUT_MS, EXCHANGE_TIMEOUT_MS);
	request_start(r);
	return r;
}

struct uplink_request *
uplink_http_burst(struct uplink_http *h, struct uplink_route *route, const char *path,
    const void *body, size_t n, bool fresh, void *user)
{
	struct uplink_request *r =
	    request_new(h, route, path, body != NULL ? STREAM_UP : STREAM_DOWN, user);

	curl_easy_setopt(r->easy, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(r->easy, CURLOPT_MAXAGE_CONN, REST_MAX_S);
	curl_easy_setopt(r->easy, CURLOPT_BUFFERSIZE, (long)DOWNLOAD_BUFFER_LEN);
	if (fresh)
		curl_easy_setopt(r->easy, CURLOPT_FRESH_CONNECT, 1L);
	if (body != NULL)
		set_body(r, body, n);
	else
		curl_easy_setopt(r->easy, CURLOPT_HTTPGET, 1L);
	request_start(r);
	return r;
}

struct uplink_request *
uplink_http_look(struct uplink_http *h, struct uplink_route *route, struct uplink_look *look,
    void *user)
{
	struct uplink_request *r = request_new(h, route, "vofw/1/open", EXCHANGE, user);

	r->look = look;
	uplink_look_watch(look, r->easy);
	curl_easy_setopt(r->easy, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(r->easy, CURLOPT_TIMEOUT_MS, EXCHANGE_TIMEOUT_MS);
	request_start(r);
	return r;
}

struct uplink_request *
uplink_http_stream(struct uplink_http *h, struct uplink_route *route, const char *path, bool up,
    void *user)
{
	struct uplink_request *r = request_new(h, route, path, up ? STREAM_UP : STREAM_DOWN, user);

	curl_easy_setopt(r->easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(r->easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(r->easy, CURLOPT_FAILONERROR, 1L);
	if (up) {
		curl_easy_setopt(r->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(r->easy, CURLOPT_READFUNCTION, on_curl_read);
		curl_easy_setopt(r->easy, CURLOPT_READDATA, r);
		curl_easy_setopt(r->easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_LEN);
		curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, h->headers_stream);
	} else {
		curl_easy_setopt(r->easy, CURLOPT_HTTPGET, 1L);
		curl_easy_setopt(r->easy, CURLOPT_BUFFERSIZE, (long)DOWNLOAD_BUFFER_LEN);
	}
	request_start(r);
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
	set_address(r, address);
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
	set_awake(r, true);
}

void
uplink_http_close(struct uplink_request *r)
{
	r->closing = true;
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
note_peer(struct uplink_route *route, CURL *easy)
{
	char *ip = NULL;
	long port = 0;

	curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &ip);
	curl_easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &port);
	if (ip == NULL || *ip == '\0')
		return;
	snprintf(route->peer, sizeof(route->peer), strchr(ip, ':') == NULL ? "%s:%ld" : "[%s]:%ld",
	    ip, port);
}

/* What uplink_cause needs to know. */
static struct uplink_failure
failure_of(const struct uplink_request *r)
{
	struct uplink_failure f = { .code = r->code, .text = r->error, .easy = r->easy };

	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &f.status);
	f.from_hras = is_from_hras(r->easy);
	f.proxy = r->proxy;
	f.signer = r->signer.name;
	if (r->shut_out)
		f.status = 407;
	return f;
}

/* What waited goes, or ends as the knock did. */
static void
knock_settles(struct uplink_request *k, enum uplink_proxy_verdict verdict, bool reached)
{
	const struct uplink_failure f = failure_of(k);
	struct uplink_request *r;

	LIST_FOREACH(r, &k->http->requests, link) {
		if (!r->held || r->proxy != k->proxy)
			continue;
		if (verdict == UPLINK_PROXY_GO) {
			request_go(r);
		} else if (verdict == UPLINK_PROXY_NO) {
			request_shut_out(r);
		} else if (!reached && strcmp(r->route->base, k->base) == 0) {
			request_shut_out(r);
			uplink_cause(&f, r->fate, sizeof(r->fate));
		}
	}
}

static void
knock_over(struct uplink_request *k)
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
			request_start(r);
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
	const struct uplink_failure f = failure_of(r);
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

static void
finish(struct uplink_request *r)
{
	struct uplink_proxy_answer a;

	if (r->kind == KNOCK) {
		knock_over(r);
	} else {
		if (!r->shut_out)
			note_peer(r->route, r->easy);
		if (r->proxy != NULL && !r->shut_out) {
			uplink_proxy_read(r->easy, &a);
			uplink_proxy_note(r->proxy, &a, clock_us());
		}
		tell_done(r);
	}
	request_free(r);
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
		set_awake(r, false);
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
			request_free(r);
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

	h->handlers = *handlers;
	h->arg = arg;
	uplink_proxies_init(&h->proxies, config->proxy_user, config->proxy_password, config->ca);
	h->ca = mem_strdup(config->ca);
	h->client_certificate = mem_strdup(config->client_certificate);
	h->client_key = mem_strdup(config->client_key);
	LIST_INIT(&h->requests);
	TAILQ_INIT(&h->awake);
	evtimer_assign(&h->patience, base, on_patience, h);
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
		request_free(r);
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
