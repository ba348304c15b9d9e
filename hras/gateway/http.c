/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/tcp.h"
#include "hras/gateway/http_impl.h"
#include "hras/gateway/tls.h"

#define READ_MIN 2048   /* least room for on_read */
#define READ_MAX 16384  /* what waits here has left the tunnel's hands and ages unseen */
#define BURST_CAP 32768 /* a bounded body down; the tunnel ends them before */

/* -- Bodies down -- */

/*
 * libmicrohttpd asks for the next bytes. "None now" may only be said together with a suspension:
 * it would ask again and again.
 */
static ssize_t
on_content(void *arg, uint64_t position, char *out, size_t cap)
{
	struct gateway_request *r = arg;
	struct gateway_http *h = r->http;
	long n;

	(void)position;
	if (r->closing || cap < READ_MIN)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	h->called = true;
	n = r->bodies->on_read(h->arg, r->user, (uint8_t *)out, cap < READ_MAX ? cap : READ_MAX);
	if (n == GATEWAY_HTTP_END)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == 0) {
		MHD_suspend_connection(r->connection);
		r->suspended = true;
	}
	return n;
}

static void
resume(struct gateway_request *r)
{
	if (!r->suspended)
		return;
	r->suspended = false;
	MHD_resume_connection(r->connection);
	r->http->due = true;
}

void
gateway_http_wake(struct gateway_request *r)
{
	resume(r);
}

void
gateway_http_close(struct gateway_request *r)
{
	r->closing = true;
	gateway_conn_shut(r->conn);
	r->http->due = true;
	resume(r);
}

bool
gateway_http_deserted(const struct gateway_request *r)
{
	char byte;
	ssize_t n = recv(r->conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	/* Over TLS all that can come of who waits for an answer is the notice that he goes. */
	if (n > 0)
		return r->http->tls != NULL;
	return n == 0 || (errno != EAGAIN && errno != EINTR);
}

/* -- Requests -- */

static enum MHD_Result
answer(struct gateway_request *r, struct MHD_Response *response)
{
	enum MHD_Result result;

	/* For what sits in between: proxies that cache, recode or collect. */
	MHD_add_response_header(response, "Cache-Control", "no-store, no-transform");
	MHD_add_response_header(response, "X-Accel-Buffering", "no");
	MHD_add_response_header(response, "Content-Type",
	    r->known ? "application/octet-stream" : "text/plain");
	if (r->kind != OPEN && !r->bounded && (r->kind != UP || r->bodies->on_answer == NULL))
		MHD_add_response_header(response, "Connection", "close");
	result = MHD_queue_response(r->connection, r->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result
answer_bytes(struct gateway_request *r, const void *body, size_t n)
{
	return answer(r,
	    MHD_create_response_from_buffer(n, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY));
}

static enum MHD_Result
answer_refused(struct gateway_request *r)
{
	static const char not_found[] = "not found\n", refused[] = "refused\n";

	if (r->status == MHD_HTTP_NOT_FOUND)
		return answer_bytes(r, not_found, sizeof(not_found) - 1);
	return answer_bytes(r, refused, sizeof(refused) - 1);
}

static enum MHD_Result
answer_open(struct gateway_request *r)
{
	struct gateway_http *h = r->http;

	h->called = true;
	r->status = h->handlers.on_open(h->arg, r, r->body, &r->body_len);
	if (r->status != MHD_HTTP_OK)
		return answer_refused(r);
	return answer_bytes(r, r->body, r->body_len);
}

static enum MHD_Result
answer_up(struct gateway_request *r)
{
	uint8_t body[GATEWAY_HTTP_ANSWER_MAX];
	size_t n = 0;

	if (r->bodies->on_answer != NULL && !r->closing)
		n = r->bodies->on_answer(r->http->arg, r->user, body);
	return answer_bytes(r, body, n);
}

static enum MHD_Result
answer_down(struct gateway_request *r)
{
	return answer(r,
	    MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, READ_MIN, on_content, r, NULL));
}

/*
 * All of it is known before the head is written: its length is told, which proxies that speak HTTP/1.0 want,
 * and the connection goes on to the next one. libmicrohttpd asks again when it is resumed.
 */
static enum MHD_Result
answer_burst(struct gateway_request *r)
{
	struct gateway_http *h = r->http;
	uint8_t body[BURST_CAP];
	size_t n = 0;
	long got = 0;

	if (r->closing)
		return MHD_NO;
	h->called = true;
	while (sizeof(body) - n >= READ_MIN &&
	    (got = r->bodies->on_read(h->arg, r->user, body + n, sizeof(body) - n)) > 0)
		n += (size_t)got;
	if (got == GATEWAY_HTTP_END)
		return answer_bytes(r, body, n);
	if (got > 0)
		return MHD_NO;
	MHD_suspend_connection(r->connection);
	r->suspended = true;
	return MHD_YES;
}

/* What stands behind "vofw/1/", under whatever prefix; NULL when that is not in the path. */
static const char *
find_route(const char *url)
{
	const char *at = strstr(url, "/vofw/1/");

	return at == NULL ? NULL : at + 1;
}

/* Which route it is; a refusal is a kind like the others. */
static void
classify(struct gateway_request *r, const char *path, const char *method)
{
	const struct {
		const char *prefix, *method;
		enum gateway_http_kind kind;
		const struct gateway_http_bodies *bodies;
		bool bounded;
	} routes[] = {
		{ "vofw/1/open", "POST", OPEN, NULL, false },
		{ "vofw/1/down/", "GET", DOWN, r->http->handlers.streams, false },
		{ "vofw/1/up/", "POST", UP, r->http->handlers.streams, false },
		{ "vofw/1/get/", "GET", DOWN, r->http->handlers.streams, true },
		{ "vofw/1/put/", "POST", UP, r->http->handlers.streams, true },
		{ "vofw/1/probe/down/", "GET", DOWN, r->http->handlers.probes, false },
		{ "vofw/1/probe/up/", "POST", UP, r->http->handlers.probes, false },
	};
	size_t i;

	r->kind = REFUSED;
	r->status = MHD_HTTP_NOT_FOUND;
	if (path == NULL)
		return;
	for (i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (strncmp(path, routes[i].prefix, strlen(routes[i].prefix)) != 0)
			continue;
		r->known = true;
		r->status = MHD_HTTP_METHOD_NOT_ALLOWED;
		if (strcmp(method, routes[i].method) != 0)
			continue;
		r->kind = routes[i].kind;
		r->bodies = routes[i].bodies;
		r->bounded = routes[i].bounded;
		r->status = MHD_HTTP_OK;
		return;
	}
}

static struct gateway_request *
request_new(struct gateway_http *h, struct MHD_Connection *connection)
{
	struct gateway_request *r = mem_zalloc(sizeof(*r));
	const union MHD_ConnectionInfo *info;

	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	r->http = h;
	r->connection = connection;
	r->conn = info->socket_context;
	LIST_INSERT_HEAD(&h->requests, r, link);
	return r;
}

/* The head of a request is complete. */
static enum MHD_Result
request_begin(struct gateway_request *r, const char *url, const char *method)
{
	struct gateway_http *h = r->http;
	const char *path = find_route(url);

	h->counters.requests++;
	classify(r, path, method);
	if (r->kind == DOWN || r->kind == UP) {
		h->called = true;
		r->status = r->bodies->on_request(h->arg, r, path, &r->user);
		if (r->status == MHD_HTTP_OK) {
			gateway_conn_becomes(r->conn, GATEWAY_CONN_BUSY);
			tcp_delay_acks(r->conn->fd, !r->bounded);
		} else {
			r->kind = REFUSED;
		}
		r->bounded &= r->kind != REFUSED;
	}
	/* A proxy may send strangers' requests on the connection that it used for an agent. */
	if (r->kind == REFUSED || r->kind == OPEN)
		gateway_conn_becomes(r->conn, GATEWAY_CONN_PENDING);
	if (r->kind == REFUSED) {
		h->counters.refused++;
		return answer_refused(r);
	}
	return MHD_YES;
}

/* More of its body came. MHD_NO closes the connection. */
static enum MHD_Result
request_body(struct gateway_request *r, const char *data, size_t n)
{
	struct gateway_http *h = r->http;

	if (r->closing)
		return MHD_NO;
	if (r->kind == UP) {
		h->called = true;
		return r->bodies->on_write(h->arg, r->user, (const uint8_t *)data, n) ? MHD_YES :
											MHD_NO;
	}
	if (r->kind != OPEN || n > sizeof(r->body) - r->body_len) {
		h->counters.oversized++;
		return MHD_NO;
	}
	memcpy(r->body + r->body_len, data, n);
	r->body_len += n;
	return MHD_YES;
}

/* The request is complete. */
static enum MHD_Result
request_end(struct gateway_request *r)
{
	switch (r->kind) {
	case OPEN:
		return answer_open(r);
	case DOWN:
		return r->bounded ? answer_burst(r) : answer_down(r);
	case UP:
		return answer_up(r);
	case REFUSED:
		break;
	}
	return MHD_NO;
}

enum MHD_Result
gateway_http_on_request(void *arg, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *data, size_t *data_len, void **context)
{
	struct gateway_request *r = *context;
	size_t n = *data_len;

	(void)version;
	if (r == NULL) {
		r = *context = request_new(arg, connection);
		return request_begin(r, url, method);
	}
	if (n == 0)
		return request_end(r);
	*data_len = 0;
	return request_body(r, data, n);
}

void
gateway_http_on_completed(void *arg, struct MHD_Connection *connection, void **context,
    enum MHD_RequestTerminationCode code)
{
	struct gateway_request *r = *context;
	struct gateway_http *h = arg;

	(void)connection;
	if (r == NULL)
		return;
	if ((r->kind == DOWN || r->kind == UP) && !r->closing && !h->closing) {
		h->called = true;
		r->bodies->on_gone(h->arg, r->user, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
	}
	/* It may linger, or bring a next request: its days are counted again. */
	if (r->bounded)
		tcp_delay_acks(r->conn->fd, false);
	if (!h->closing)
		gateway_conn_becomes(r->conn,
		    r->bounded ? GATEWAY_CONN_RESTING : GATEWAY_CONN_PENDING);
	LIST_REMOVE(r, link);
	mem_free(r);
	*context = NULL;
}

struct addr
gateway_http_peer(const struct gateway_request *r)
{
	return r->conn->peer;
}

struct addr
gateway_http_local(const struct gateway_request *r)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	struct addr a = { 0 };

	if (getsockname(r->conn->fd, (struct sockaddr *)&name, &len) == 0)
		addr_from_sockaddr((struct sockaddr *)&name, &a);
	return a;
}

/* A proxy may add a header of its own rather than lengthen the one that is there. */
static enum MHD_Result
on_header(void *last, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	if (strcasecmp(name, "X-Forwarded-For") == 0 && value != NULL)
		*(const char **)last = value;
	return MHD_YES;
}

struct addr
gateway_http_forwarded(const struct gateway_request *r)
{
	const char *last = "";
	struct addr a;

	MHD_get_connection_values(r->connection, MHD_HEADER_KIND, on_header, &last);
	if (addr_parse_last(last, 0, &a) < 0)
		memset(&a, 0, sizeof(a));
	return a;
}

bool
gateway_http_tls(const struct gateway_request *r)
{
	return r->http->tls != NULL;
}

bool
gateway_http_may_be(const struct gateway_request *r, const char *agent)
{
	return !r->conn->outdated &&
	    (r->conn->tls == NULL || gateway_tls_may_be(r->conn->tls, agent));
}

bool
gateway_http_fingerprint(const struct gateway_request *r, uint8_t out[static 32])
{
	return r->conn->tls != NULL && gateway_tls_fingerprint(r->conn->tls, out);
}

struct probe_segments
gateway_http_segments(const struct gateway_request *r)
{
	struct probe_segments s;

	tcp_segments(r->conn->fd, &s.sent, &s.again);
	return s;
}

bool
gateway_http_via_proxy(const struct gateway_request *r)
{
	return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "Via") != NULL ||
	    MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "X-Forwarded-For") != NULL;
}
