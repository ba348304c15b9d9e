/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "status/status.h"

#include <errno.h>
#include <event2/event.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "log/log.h"
#include "status/page.h"
#include "status/render.h"

#define COMPONENT "status"
#define CONNECTIONS_MAX 64
#define CONNECTION_TIMEOUT_S 15

struct status {
	struct MHD_Daemon *mhd;
	struct event *ready, *timeout;
	const struct status_source *src;
	void *arg;
	size_t max; /* entries that the request at hand wants at most, by ?max=N; 0 = all */
};

/* What a path answers with: bytes that libmicrohttpd will free (or static ones) and their type. */
struct answer {
	unsigned code;
	const char *type;
	char *text;
	size_t len;
	bool is_static;
};

static void
answer_text(struct answer *a, unsigned code, const char *text)
{
	*a = (struct answer){ code, "text/plain; charset=utf-8", (char *)(uintptr_t)text,
		strlen(text), true };
}

static void
answer_json(struct answer *a, json_t *root)
{
	char *text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(10));

	json_decref(root);
	if (text == NULL) {
		answer_text(a, MHD_HTTP_INTERNAL_SERVER_ERROR, "cannot be shown as JSON\n");
		return;
	}
	*a = (struct answer){ MHD_HTTP_OK, "application/json", text, strlen(text), false };
}

static void
answer_page(struct status *s, struct answer *a)
{
	(void)s;
	*a = (struct answer){ MHD_HTTP_OK, "text/html; charset=utf-8",
		(char *)(uintptr_t)status_page, status_page_len, true };
}

static void
answer_status(struct status *s, struct answer *a)
{
	struct metric_set sets[STATUS_SETS_MAX];
	size_t n = s->src->metrics(s->arg, sets, STATUS_SETS_MAX);
	json_t *root = s->src->status(s->arg);

	json_object_set_new(root, "counters", render_counters(sets, n));
	answer_json(a, root);
}

static void
answer_calls(struct status *s, struct answer *a)
{
	answer_json(a, s->src->calls(s->arg, s->max));
}

static void
answer_registrations(struct status *s, struct answer *a)
{
	answer_json(a, s->src->registrations(s->arg, s->max));
}

static void
answer_events(struct status *s, struct answer *a)
{
	(void)s;
	answer_json(a, render_events());
}

static void
answer_history(struct status *s, struct answer *a)
{
	answer_json(a, s->src->history(s->arg));
}

static void
answer_metrics(struct status *s, struct answer *a)
{
	struct metric_set sets[STATUS_SETS_MAX];
	size_t n = s->src->metrics(s->arg, sets, STATUS_SETS_MAX), len;
	json_t *root = s->src->status(s->arg);
	char *text = render_prometheus(root, sets, n, &len);

	json_decref(root);
	*a = (struct answer){ MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, len,
		false };
}

static void
answer_healthz(struct status *s, struct answer *a)
{
	if (s->src->healthy(s->arg))
		answer_text(a, MHD_HTTP_OK, "ok: the tunnel is up\n");
	else
		answer_text(a, MHD_HTTP_SERVICE_UNAVAILABLE, "the tunnel is down\n");
}

static const struct {
	const char *path;
	void (*answer)(struct status *, struct answer *);
} routes[] = {
	{ "/", answer_page },
	{ "/api/status", answer_status },
	{ "/api/calls", answer_calls },
	{ "/api/registrations", answer_registrations },
	{ "/api/events", answer_events },
	{ "/api/history", answer_history },
	{ "/metrics", answer_metrics },
	{ "/healthz", answer_healthz },
};

static enum MHD_Result
respond(struct MHD_Connection *connection, const struct answer *a)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(a->len, a->text,
	    a->is_static ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE);
	enum MHD_Result res;

	if (r == NULL) {
		if (!a->is_static)
			free(a->text);
		return MHD_NO;
	}
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, a->type);
	MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(r, "Content-Security-Policy",
	    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
	    "connect-src 'self'; img-src data:; frame-ancestors 'none'");
	if (a->code == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	res = MHD_queue_response(connection, a->code, r);
	MHD_destroy_response(r);
	return res;
}

static size_t
asked_max(struct MHD_Connection *connection)
{
	const char *max = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "max");

	return max == NULL ? 0 : strtoul(max, NULL, 10);
}

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *upload_data, size_t *upload_data_size, void **con_cls)
{
	struct status *s = cls;
	struct answer a;

	(void)version, (void)upload_data, (void)upload_data_size, (void)con_cls;
	answer_text(&a, MHD_HTTP_NOT_FOUND, "not found\n");
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		answer_text(&a, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
		return respond(connection, &a);
	}
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (strcmp(url, routes[i].path) == 0) {
			s->max = asked_max(connection);
			routes[i].answer(s, &a);
			break;
		}
	}
	return respond(connection, &a);
}

/* libmicrohttpd asks for its next turn anew before every wait; it is edge-triggered inside. */
static void
arm(struct status *s)
{
	MHD_UNSIGNED_LONG_LONG ms;
	struct timeval tv;

	if (MHD_get_timeout(s->mhd, &ms) != MHD_YES) {
		event_del(s->timeout);
		return;
	}
	tv.tv_sec = (time_t)(ms / 1000);
	tv.tv_usec = (suseconds_t)(ms % 1000 * 1000);
	event_add(s->timeout, &tv);
}

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct status *s = arg;

	(void)fd, (void)what;
	MHD_run(s->mhd);
	arm(s);
}

static int
start(struct status *s, const struct addr *listen)
{
	char str[ADDR_STR_MAX];
	unsigned flags = MHD_USE_EPOLL | (addr_is_v6(listen) ? MHD_USE_IPv6 : 0);

	errno = 0;
	s->mhd = MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR,
	    &listen->u.sa, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_TIMEOUT_S, MHD_OPTION_END);
	if (s->mhd == NULL) {
		log_error(COMPONENT, "cannot listen on %s: %s", addr_str(listen, str),
		    errno ? strerror(errno) : "refused by the HTTP library");
		return errno == EADDRINUSE ? ERR_IN_USE : ERR_IO;
	}
	log_info(COMPONENT, "status page at http://%s/", addr_str(listen, str));
	return 0;
}

int
status_new(struct event_base *base, const struct addr *listen, const struct status_source *src,
    void *arg, struct status **out)
{
	struct status *s = mem_zalloc(sizeof(*s));
	const union MHD_DaemonInfo *info;
	int err;

	s->src = src;
	s->arg = arg;
	if ((err = start(s, listen)) != 0) {
		mem_free(s);
		return err;
	}
	info = MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	s->ready = event_new(base, info->epoll_fd, EV_READ | EV_PERSIST, on_ready, s);
	s->timeout = event_new(base, -1, 0, on_ready, s);
	event_add(s->ready, NULL);
	arm(s);
	*out = s;
	return 0;
}

void
status_free(struct status *s)
{
	if (s == NULL)
		return;
	event_free(s->ready);
	event_free(s->timeout);
	MHD_stop_daemon(s->mhd);
	mem_free(s);
}
