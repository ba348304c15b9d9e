/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_REQUEST_H
#define VOFW_HRAC_UPLINK_REQUEST_H

#include <curl/curl.h>
#include <event2/event_struct.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "hrac/uplink/cause.h"
#include "hrac/uplink/http.h"
#include "hrac/uplink/proxy.h"
#include "hrac/uplink/signer.h"

/*
 * The inside of uplink_http, for its own files:
 *   http.c     the interface, the turn
 *   request.c  one request: its easy handle and its callbacks inside libcurl
 *   knock.c    the gate before proxies: what goes, what waits, what asks them
 */
struct event_base;
struct uplink_look;
struct uplink_poll;
struct uplink_route;
struct uplink_ticket;

enum uplink_kind {
	EXCHANGE,  /* a small POST or GET whose answer is collected */
	STREAM_UP, /* a body that carries the tunnel */
	STREAM_DOWN,
	KNOCK, /* our own question to a proxy, for all that wait for it */
};

struct uplink_request {
	LIST_ENTRY(uplink_request) link;
	TAILQ_ENTRY(uplink_request) awake_link; /* while `awake` */
	struct uplink_http *http;
	struct uplink_route *route;                  /* NULL of a knock, which may outlive it */
	struct uplink_proxy *proxy;                  /* of the route; NULL = direct */
	const struct uplink_http_handlers *handlers; /* those of `http`, or its own ... */
	void *arg;                                   /* ... and their argument */
	enum uplink_kind kind;
	bool burst; /* a bounded stream */
	void *user;
	CURL *easy;
	struct curl_slist *resolve; /* what libcurl is told of the name */
	curl_socket_t fd;           /* asked for when first needed; CURL_SOCKET_BAD before */
	bool held;                  /* libcurl does not have it: it waits for a knock */
	bool shut_out;     /* it is over for what is known of the proxy: libcurl never had it */
	bool again;        /* it is made for the second time */
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
	struct uplink_ticket *ticket;     /* of a knock that a thread makes; or NULL */
	long tried;                       /* of a knock: the scheme of its proxy when it began */
	char fate[UPLINK_HTTP_CAUSE_MAX]; /* shut out: of the knock; "" = that of its proxy */
	struct uplink_signer signer;
	char error[CURL_ERROR_SIZE];
};
LIST_HEAD(uplink_requests, uplink_request);
TAILQ_HEAD(uplink_awake, uplink_request);

struct uplink_http {
	struct event_base *base;
	struct uplink_poll *poll;
	struct uplink_http_handlers handlers;
	void *arg;
	struct uplink_proxies proxies;
	char *ca, *client_certificate, *client_key;
	CURLM *multi;  /* of `poll` */
	CURLSH *share; /* of TLS sessions: the second connection need not shake hands in full */
	struct curl_slist *headers, *headers_stream;
	struct uplink_requests requests;
	struct uplink_awake awake; /* those whose bodies are to go on */
	bool ending;               /* some are closing or over */
	struct event patience;     /* with knocks that hang */
};

/* -- request.c -- */

/* Among the requests of `h`, not yet given to libcurl. Strings are copied, the route is borrowed. */
struct uplink_request *uplink_request_new(struct uplink_http *h, struct uplink_route *route,
    const char *path, enum uplink_kind kind, void *user);
void uplink_request_free(struct uplink_request *r);
void uplink_request_dress(struct uplink_request *r);    /* by what is known of its proxy now */
void uplink_request_go(struct uplink_request *r);       /* dresses it, and gives it to libcurl */
void uplink_request_shut_out(struct uplink_request *r); /* ends it without libcurl */
void uplink_request_awake(struct uplink_request *r, bool awake);
void uplink_request_address(struct uplink_request *r, const struct addr *address);

/* CURLOPT_READFUNCTION of a body up. */
size_t uplink_request_read(char *out, size_t size, size_t n, void *arg);

/* What uplink_cause needs to know of one that is over; borrows from it. */
struct uplink_failure uplink_request_failure(const struct uplink_request *r);

/* -- knock.c -- */

/* Starts the request: at once, or when its proxy is known, or not at all. */
void uplink_knock_first(struct uplink_request *r);
void uplink_knock_over(struct uplink_request *k); /* a knock is over; the caller frees it */
void uplink_knock_patience(evutil_socket_t fd, short what, void *arg); /* of uplink_http.patience */

#endif
