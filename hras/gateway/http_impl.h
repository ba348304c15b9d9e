/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAS_GATEWAY_HTTP_IMPL_H
#define VOFW_HRAS_GATEWAY_HTTP_IMPL_H

#include <event2/event_struct.h>
#include <microhttpd.h>
#include <sys/queue.h>

#include "hras/gateway/conn.h"
#include "hras/gateway/gateway.h"
#include "hras/gateway/http.h"

/*
 * The inside of the gateway's HTTP server, for its own files:
 *   http.c    requests and their bodies
 *   server.c  listening, connections, the turns of libmicrohttpd
 */
enum gateway_http_kind { REFUSED, OPEN, DOWN, UP };

struct gateway_request {
	LIST_ENTRY(gateway_request) link;
	struct gateway_http *http;
	struct MHD_Connection *connection;
	struct gateway_conn *conn;
	enum gateway_http_kind kind;
	const struct gateway_http_bodies *bodies; /* of a stream or a probe */
	bool bounded;                             /* its body is known when it begins */
	bool known;                               /* its path is one of ours */
	unsigned status;                          /* of the answer */
	void *user;                               /* of a stream */
	bool suspended;
	bool closing;
	size_t body_len; /* of an open request */
	uint8_t body[HANDSHAKE_BODY_MAX];
};
LIST_HEAD(gateway_requests, gateway_request);

struct gateway_http {
	struct gateway_http_handlers handlers;
	void *arg;
	struct addr addr;
	struct gateway_tls *tls; /* NULL = plain HTTP */
	struct MHD_Daemon *daemon;
	struct event ready; /* libmicrohttpd's epoll descriptor */
	struct event again; /* it is to be run though the descriptor is not ready */
	long vain_ms;       /* the last wait of `again`; 0 = something came of it */
	struct gateway_conns conns;
	struct gateway_requests requests;
	struct gateway_http_counters counters;
	bool due;            /* libmicrohttpd is to be run */
	bool inside;         /* libmicrohttpd */
	bool called;         /* a handler */
	bool closing;        /* the whole */
	bool retired;        /* it listens no longer */
	char complaint[256]; /* what libmicrohttpd said last */
};

/* -- http.c: handlers of libmicrohttpd, whose arg is the struct gateway_http -- */

enum MHD_Result gateway_http_on_request(void *arg, struct MHD_Connection *connection,
    const char *url, const char *method, const char *version, const char *data, size_t *data_len,
    void **context);
void gateway_http_on_completed(void *arg, struct MHD_Connection *connection, void **context,
    enum MHD_RequestTerminationCode code);

#endif
