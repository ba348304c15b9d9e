/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_HTTP_H
#define VOFW_HRAC_UPLINK_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "tunnel/probe.h"

/*
 * The requests of the uplink, over libcurl's multi interface and libevent; private to the uplink.
 * It knows nothing of sessions: a request is a small POST whose answer is collected (exchange), or
 * one endless body up (POST) or down (GET) on a connection of its own, or a bounded one. It also tells
 * in plain words why a request failed.
 *
 * libcurl must not be called from its own callbacks. Hence what is asked for here (wake, close) is
 * only noted and done by uplink_http_run, which the owner calls at the end of each turn; the
 * handlers on_read and on_write run inside libcurl and may not call uplink_http_run.
 */
struct uplink_http;
struct uplink_look;
struct uplink_request;
struct uplink_route;
struct event_base;

struct uplink_http_config {                          /* copied */
	const char *proxy_user, *proxy_password;     /* NULL = none */
	const char *ca;                              /* NULL = the system's store */
	const char *client_certificate, *client_key; /* PEM files; NULL = none */
};

#define UPLINK_HTTP_ANSWER_MAX 1024 /* a longer answer to an exchange is cut there */
#define UPLINK_HTTP_CAUSE_MAX 256

struct uplink_http_result {
	long status;         /* the HTTP status; 0 = there was no answer */
	bool from_hras;      /* the answer looks like one of VoFW, not of something in between */
	const uint8_t *body; /* of an exchange; borrowed until return */
	size_t body_len;
	uint64_t asked_us; /* by clock_us, when the connection was ready; 0 = it never was */
	uint32_t
	    answer_us; /* from the request, the connection being ready, to its answer; 0 = none */
	/* Why this is not a 200 of HRAS that ended in order, in plain words; "" when it is one. */
	const char *cause;
};

#define UPLINK_HTTP_END (-1)

struct uplink_http_handlers {
	/* Bytes for a body up: n > 0, 0 = none now (uplink_http_wake tells), UPLINK_HTTP_END. */
	long (*on_read)(void *arg, void *user, uint8_t *out, size_t cap);
	/*
	 * Bytes of a body down, or of HRAS's answer to a body up (none of those that carry the tunnel).
	 * false: close the request.
	 */
	bool (*on_write)(void *arg, void *user, const uint8_t *in, size_t n);
	/* The request is over by itself, and its struct ends on return. Not inside libcurl. */
	void (*on_done)(void *arg, void *user, const struct uplink_http_result *result);
	/* Something happened on a socket or a timer: a turn to be ended by uplink_http_run. */
	void (*on_turn)(void *arg);
};

/* `base` is borrowed while the object lives. NULL, logged, when libcurl cannot start. */
struct uplink_http *uplink_http_new(struct event_base *base,
    const struct uplink_http_config *config, const struct uplink_http_handlers *handlers,
    void *arg);
void uplink_http_free(struct uplink_http *h); /* closes all requests, without on_done */

/*
 * Who we are at that proxy (as in uplink_route), when its own address told a user and a password;
 * the default is what uplink_http_config has. All is copied.
 */
void uplink_http_proxy(struct uplink_http *h, const char *proxy, const char *user,
    const char *password);

/*
 * A request for `path` below the route's base. The route is borrowed until the request is over or
 * closed, and learns from it; `path` and the body are copied; `user` goes to the handlers.
 */
struct uplink_request *uplink_http_exchange(struct uplink_http *h, struct uplink_route *route,
    const char *path, const void *body, size_t n, void *user);
struct uplink_request *uplink_http_stream(struct uplink_http *h, struct uplink_route *route,
    const char *path, bool up, void *user);

/*
 * A bounded stream, on a connection that is kept for the next one: a POST of these n bytes, or with NULL a
 * GET. fresh: not on one that was used before.
 */
struct uplink_request *uplink_http_burst(struct uplink_http *h, struct uplink_route *route,
    const char *path, const void *body, size_t n, bool fresh, void *user);

/*
 * A GET of what only HRAS refuses by 405, for the doctor: `look` (borrowed until the request is over or
 * closed) gets how far it came and whom it met. The cause says that HRAS refuses when all is well.
 */
struct uplink_request *uplink_http_look(struct uplink_http *h, struct uplink_route *route,
    struct uplink_look *look, void *user);

/*
 * Before its first turn: it takes a connection of its own, to this address (borrowed until return)
 * of the route's host; not set = whatever the system says of the name now.
 */
void uplink_http_connect_to(struct uplink_request *r, const struct addr *address);

/* Our own address of its connection; false while there is none. */
bool uplink_http_local(const struct uplink_request *r, struct addr *out);

/*
 * For this one request these handlers with this argument, both borrowed while it lives, instead of
 * the object's; on_turn stays the object's.
 */
void uplink_http_handle(struct uplink_request *r, const struct uplink_http_handlers *handlers,
    void *arg);

/* What its TCP connection sent until now; for a handler that runs inside libcurl. */
struct probe_segments uplink_http_segments(const struct uplink_request *r);

/* By clock_us, when the connection was ready; 0 = it is not yet. */
uint64_t uplink_http_asked_us(const struct uplink_request *r);

/* Asks the owner for a turn, since something was noted from outside of one. */
void uplink_http_turn(struct uplink_http *h);

/* on_read has bytes again after it gave 0. */
void uplink_http_wake(struct uplink_request *r);

/* No handler is called for it any more; the next uplink_http_run ends it. */
void uplink_http_close(struct uplink_request *r);

/* Does what was noted, until nothing is left. */
void uplink_http_run(struct uplink_http *h);

#endif
