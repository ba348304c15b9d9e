/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/tcp.h"
#include "hrac/uplink/look.h"
#include "hrac/uplink/poll.h"
#include "hrac/uplink/route.h"
#include "hrac/uplink/ticket.h"

#define CONNECT_TIMEOUT_MS 4000L

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
	if (!r->burst)
		tcp_delay_acks(fd, true);
	return CURL_SOCKOPT_OK;
}

size_t
uplink_request_read(char *out, size_t size, size_t n, void *arg)
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

static void
note_peer(struct uplink_route *route, const char *ip, int port)
{
	if (ip == NULL || *ip == '\0')
		return;
	snprintf(route->peer, sizeof(route->peer), strchr(ip, ':') == NULL ? "%s:%d" : "[%s]:%d",
	    ip, port);
}

/* The connection stands, also through a proxy, and the request is about to be written. */
static int
on_curl_prereq(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct uplink_request *r = arg;

	(void)local_ip;
	(void)local_port;
	if (r->kind != KNOCK)
		note_peer(r->route, ip, port);
	r->asked_us = clock_us();
	return CURL_PREREQFUNC_OK;
}

/* Of an answer in small pieces the next one may wait for our kernel's acknowledgement. */
static void
hasten_rest(const struct uplink_request *r)
{
	curl_socket_t fd = CURL_SOCKET_BAD;

	if (r->burst && curl_easy_getinfo(r->easy, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK &&
	    fd != CURL_SOCKET_BAD)
		tcp_delay_acks(fd, false);
}

/* A line of a head; the last head is the answer's. */
static size_t
on_curl_header(char *line, size_t size, size_t n, void *arg)
{
	struct uplink_request *r = arg;

	if (size * n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		r->heard_us = clock_us();
		hasten_rest(r);
	}
	if (r->look != NULL)
		uplink_look_header(r->look, line, size * n);
	return size * n;
}

/* -- Its life -- */

/* When it starts, since what it needs may have been learned while it was held. */
void
uplink_request_dress(struct uplink_request *r)
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
void
uplink_request_address(struct uplink_request *r, const struct addr *address)
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

struct uplink_request *
uplink_request_new(struct uplink_http *h, struct uplink_route *route, const char *path,
    enum uplink_kind kind, void *user)
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
	uplink_request_address(r, &route->address);
	LIST_INSERT_HEAD(&h->requests, r, link);
	return r;
}

/* Its first step comes with the timer that libcurl sets. */
void
uplink_request_go(struct uplink_request *r)
{
	r->held = false;
	uplink_request_dress(r);
	curl_multi_add_handle(r->http->multi, r->easy);
	uplink_poll_apply(r->http->poll);
}

void
uplink_request_shut_out(struct uplink_request *r)
{
	r->held = false;
	r->shut_out = r->over = true;
	r->http->ending = true;
}

void
uplink_request_awake(struct uplink_request *r, bool awake)
{
	if (r->awake == awake)
		return;
	r->awake = awake;
	if (awake)
		TAILQ_INSERT_TAIL(&r->http->awake, r, awake_link);
	else
		TAILQ_REMOVE(&r->http->awake, r, awake_link);
}

void
uplink_request_free(struct uplink_request *r)
{
	uplink_request_awake(r, false);
	if (r->ticket != NULL)
		uplink_ticket_abandon(r->ticket);
	curl_multi_remove_handle(r->http->multi, r->easy);
	curl_easy_cleanup(r->easy);
	curl_slist_free_all(r->resolve);
	LIST_REMOVE(r, link);
	buf_free(&r->answer);
	mem_free(r->base);
	mem_free(r);
}

/* What uplink_cause needs to know. */
struct uplink_failure
uplink_request_failure(const struct uplink_request *r)
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
