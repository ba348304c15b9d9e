/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <event2/event.h>
#include <gnutls/abstract.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "hras/gateway/http_impl.h"
#include "hras/gateway/tls.h"
#include "log/log.h"

#define CONNECTIONS_MAX 32768
#define CONNECTION_MEMORY 65536
#define RUNS_MAX 4 /* of libmicrohttpd in a turn, before other events of the loop get theirs */
#define VAIN_MAX_MS 16

/* -- Connections -- */

static void
on_connection(void *arg, struct MHD_Connection *connection, void **context,
    enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *fd, *peer, *session;
	struct gateway_http *h = arg;
	struct gateway_conn *c;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
		peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
		*context = c = gateway_conn_new(&h->conns, fd->connect_fd, peer->client_addr);
		if (h->tls == NULL)
			return;
		session = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
		c->tls = gateway_tls_begin(h->tls, session->tls_session, &c->peer);
	} else if (*context != NULL) {
		c = *context;
		gateway_tls_end(c->tls);
		gateway_conn_free(c);
		*context = NULL;
	}
}

static void
on_conns_closed(void *arg)
{
	struct gateway_http *h = arg;

	h->due = true;
	h->handlers.on_turn(h->arg);
}

/* -- The turn -- */

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct gateway_http *h = arg;

	(void)fd;
	(void)what;
	h->due = true;
	h->handlers.on_turn(h->arg);
}

/*
 * libmicrohttpd is edge-triggered inside: what it left undone, no event will tell, and it is run
 * again. While it waits for a TLS handshake it says so for nothing, and only ever rarer asking keeps
 * a stranger who does not go on with his from taking all our time; what comes is told by `ready`.
 */
static void
run_again(struct gateway_http *h)
{
	struct timeval tv = { 0, 0 };

	h->due = false;
	if (h->called) {
		h->vain_ms = 0;
	} else {
		h->vain_ms = h->vain_ms == 0 ? 1 : h->vain_ms * 2;
		if (h->vain_ms > VAIN_MAX_MS)
			h->vain_ms = VAIN_MAX_MS;
	}
	tv.tv_usec = h->vain_ms * 1000;
	event_add(&h->again, &tv);
}

bool
gateway_http_run(struct gateway_http *h)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;
	unsigned i;

	if (h->inside)
		return false; /* on_turn follows */
	h->called = false;
	for (i = 0; h->due && i < RUNS_MAX; i++) {
		h->inside = true;
		h->due = false;
		MHD_run(h->daemon);
		h->inside = false;
		if (MHD_get_timeout(h->daemon, &wait_ms) == MHD_YES && wait_ms == 0)
			h->due = true;
	}
	if (h->due)
		run_again(h);
	return h->called;
}

/* -- Begin and end -- */

static void
on_complaint(void *arg, const char *format, va_list ap)
{
	struct gateway_http *h = arg;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	vsnprintf(h->complaint, sizeof(h->complaint), format, ap);
#pragma GCC diagnostic pop
	h->complaint[strcspn(h->complaint, "\n")] = '\0';
	log_debug("gateway", "libmicrohttpd: %s", h->complaint);
}

static int
listen_error(const struct addr *a, int fd)
{
	char text[ADDR_STR_MAX];
	int number = errno;

	log_error("gateway", "tunnel.listen: cannot listen on %s: %s", addr_str(a, text),
	    strerror(number));
	if (fd >= 0)
		close(fd);
	return number == EADDRINUSE ? ERR_IN_USE : ERR_IO;
}

/* Ours and not libmicrohttpd's, so that the reason of a failure is known. */
static int
listen_on(struct gateway_http *h, const struct addr *a, int *out)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd, on = 1;

	fd = socket(a->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return listen_error(a, fd);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (addr_is_v6(a))
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, &a->u.sa, addr_len(a)) < 0 || listen(fd, SOMAXCONN) < 0 ||
	    getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return listen_error(a, fd);
	addr_from_sockaddr((struct sockaddr *)&ss, &h->addr);
	*out = fd;
	return 0;
}

/*
 * libmicrohttpd wants a certificate for its own credentials, which are of no use: on_connection gives
 * each session those of the day before it shakes hands.
 */
static int
on_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
    gnutls_pcert_st **certificates, unsigned *certificates_n, gnutls_ocsp_data_st **ocsp,
    unsigned *ocsp_n, gnutls_privkey_t *key, unsigned *flags)
{
	(void)session, (void)info, (void)certificates, (void)certificates_n;
	(void)ocsp, (void)ocsp_n, (void)key, (void)flags;
	return -1;
}

static void
start_daemon(struct gateway_http *h, int fd)
{
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)(uintptr_t)on_certificate },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0,
		    (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" },
		{ MHD_OPTION_END, 0, NULL },
	};
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

	if (h->tls == NULL)
		tls[0].option = MHD_OPTION_END;
	else
		flags |= MHD_USE_TLS;
	h->daemon = MHD_start_daemon(flags, 0, NULL, NULL, gateway_http_on_request, h,
	    MHD_OPTION_EXTERNAL_LOGGER, on_complaint, h, MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_NOTIFY_COMPLETED, gateway_http_on_completed, h, MHD_OPTION_NOTIFY_CONNECTION,
	    on_connection, h, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_ARRAY, tls,
	    MHD_OPTION_END);
}

int
gateway_http_new(struct event_base *base, const struct gateway_http_config *config,
    const struct gateway_http_handlers *handlers, void *arg, struct gateway_http **out)
{
	struct gateway_http *h = mem_zalloc(sizeof(*h));
	int fd = -1, err;

	h->handlers = *handlers;
	h->arg = arg;
	h->tls = config->tls;
	LIST_INIT(&h->requests);
	err = listen_on(h, &config->listen, &fd);
	if (err < 0) {
		mem_free(h);
		return err;
	}
	start_daemon(h, fd);
	if (h->daemon == NULL) {
		log_error("gateway", "the HTTP server does not start: %s", h->complaint);
		close(fd);
		mem_free(h);
		return ERR_IO;
	}
	event_assign(&h->ready, base,
	    MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
	    EV_READ | EV_PERSIST, on_ready, h);
	event_add(&h->ready, NULL);
	evtimer_assign(&h->again, base, on_ready, h);
	gateway_conns_init(&h->conns, base, config->pending_s * CLOCK_S, on_conns_closed, h);
	*out = h;
	return 0;
}

void
gateway_http_free(struct gateway_http *h)
{
	struct gateway_request *r;

	if (h == NULL)
		return;
	h->closing = true;
	LIST_FOREACH(r, &h->requests, link) {
		r->closing = true;
		gateway_http_wake(r); /* libmicrohttpd does not stop over a suspended one */
	}
	event_del(&h->ready);
	MHD_stop_daemon(h->daemon);
	event_del(&h->again);
	gateway_conns_end(&h->conns);
	mem_free(h);
}

bool
gateway_http_has_tls(const struct gateway_http *h)
{
	return h->tls != NULL;
}

void
gateway_http_retire(struct gateway_http *h)
{
	char text[ADDR_STR_MAX];

	if (h->retired)
		return;
	h->retired = true;
	close(MHD_quiesce_daemon(h->daemon));
	log_info("gateway", "no longer listening on %s", addr_str(&h->addr, text));
}

void
gateway_http_outdate(struct gateway_http *h)
{
	gateway_conns_outdate(&h->conns);
	h->due = true;
}

bool
gateway_http_is_retired(const struct gateway_http *h)
{
	return h->retired;
}

unsigned
gateway_http_connections_n(const struct gateway_http *h)
{
	return h->conns.alive_n;
}

struct addr
gateway_http_addr(const struct gateway_http *h)
{
	return h->addr;
}

struct gateway_http_counters
gateway_http_counters(const struct gateway_http *h)
{
	struct gateway_http_counters c = h->counters;

	c.connections = h->conns.opened;
	c.expired = h->conns.expired;
	return c;
}
