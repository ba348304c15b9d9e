/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAS_GATEWAY_HTTP_H
#define VOFW_HRAS_GATEWAY_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "tunnel/probe.h"

/*
 * The HTTP server of the gateway, over libmicrohttpd in libevent's loop; private to the gateway. It
 * knows the routes (docs/PROTOCOL.md, "HTTP") but not the sessions: `open` requests are answered at
 * once, `down` (GET) and `up` (POST) requests are endless bodies that its owner accepts or refuses
 * by a status. It keeps strangers short: see GATEWAY_PENDING_* in gateway.h.
 *
 * libmicrohttpd must not be run from its own callbacks. Hence what is asked for here (wake, close)
 * is only noted and done by gateway_http_run, which the owner calls at the end of each turn. All
 * handlers but on_turn run inside libmicrohttpd.
 */
struct gateway_http;
struct gateway_tls;
struct gateway_request;
struct event_base;

#define GATEWAY_HTTP_END (-1)

#define GATEWAY_HTTP_ANSWER_MAX 2048

/* What to do with requests whose bodies are made or taken as they flow. */
struct gateway_http_bodies {
	/*
	 * A request; `path` begins with "vofw/1/". Gives 200 and sets *user for the other handlers, or
	 * the status of a refusal.
	 */
	unsigned (*on_request)(void *arg, struct gateway_request *r, const char *path, void **user);
	/* Bytes for a body down: n > 0, 0 = none now (gateway_http_wake tells), GATEWAY_HTTP_END. */
	long (*on_read)(void *arg, void *user, uint8_t *out, size_t cap);
	/* Bytes of a body up. false: close the connection. */
	bool (*on_write)(void *arg, void *user, const uint8_t *in, size_t n);
	/*
	 * A body up is complete: writes the body of the answer, at most GATEWAY_HTTP_ANSWER_MAX bytes,
	 * and gives its length. May be NULL: it is empty, and the connection closed.
	 */
	size_t (*on_answer)(void *arg, void *user, uint8_t *out);
	/* The request is over; `orderly`: its body was complete. Ends on return. */
	void (*on_gone)(void *arg, void *user, bool orderly);
};

struct gateway_http_handlers {
	/*
	 * A whole open request of n <= cap bytes; writes the answer (`body` has room for cap bytes).
	 * Gives the HTTP status.
	 */
	unsigned (*on_open)(void *arg, struct gateway_request *r, uint8_t *body, size_t *n);
	const struct gateway_http_bodies *streams, *probes;
	/* Something happened: a turn to be ended by gateway_http_run. */
	void (*on_turn)(void *arg);
};

struct gateway_http_counters {
	uint64_t connections, expired; /* the latter: carried no stream for too long */
	uint64_t requests, refused;    /* the latter: no route, wrong method, no session */
	uint64_t oversized;            /* a body where none or a short one belongs */
};

struct gateway_http_config { /* borrowed until return */
	struct addr listen;
	struct gateway_tls *tls; /* NULL = plain HTTP; borrowed while the object lives */
	uint32_t pending_s;      /* see GATEWAY_PENDING_S */
};

/* One object for each address. Errors as gateway_new. */
int gateway_http_new(struct event_base *base, const struct gateway_http_config *config,
    const struct gateway_http_handlers *handlers, void *arg, struct gateway_http **out);

/* Closes all connections, without on_gone. Takes over; NULL is fine. */
void gateway_http_free(struct gateway_http *h);

struct addr gateway_http_addr(const struct gateway_http *h); /* with the real port */
bool gateway_http_has_tls(const struct gateway_http *h);

/* Accepts no connection any more; those that it has go on. */
void gateway_http_retire(struct gateway_http *h);
bool gateway_http_is_retired(const struct gateway_http *h);
/* Shuts all connections: who asks has to come again. */
void gateway_http_outdate(struct gateway_http *h);

unsigned gateway_http_connections_n(const struct gateway_http *h); /* that it has */

struct gateway_http_counters gateway_http_counters(const struct gateway_http *h);

/* on_read has bytes again after it gave 0. */
void gateway_http_wake(struct gateway_request *r);

/* Who asked has closed its connection; libmicrohttpd does not look at those that wait for on_read. */
bool gateway_http_deserted(const struct gateway_request *r);

/* No handler is called for it any more; its connection is closed by the next gateway_http_run. */
void gateway_http_close(struct gateway_request *r);

/* Does what was noted and what the network brought; true when a handler was called. */
bool gateway_http_run(struct gateway_http *h);

struct addr gateway_http_peer(const struct gateway_request *r);
struct addr gateway_http_local(const struct gateway_request
	*r); /* the address of ours; may be unset */
/*
 * For whom a proxy says that it asks: the last address of X-Forwarded-For, which is that of the proxy
 * nearest to us; not set when it says none. Anybody may say anything: it is for people to read, and
 * nothing may be decided by it.
 */
struct addr gateway_http_forwarded(const struct gateway_request *r);
bool gateway_http_tls(const struct gateway_request *r);
/* SHA-256 of the certificate that we showed on its connection; false: there is none. */
bool gateway_http_fingerprint(const struct gateway_request *r, uint8_t out[static 32]);

/* What its TCP connection sent until now. */
struct probe_segments gateway_http_segments(const struct gateway_request *r);
/*
 * Whether who sent it may be `agent`, as far as certificates say (gateway_tls_may_be); nobody, when its
 * connection is from before gateway_http_outdate.
 */
bool gateway_http_may_be(const struct gateway_request *r, const char *agent);
bool gateway_http_via_proxy(const struct gateway_request
	*r); /* a proxy says that it passed it on */

#endif
