/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/transport.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "log/log.h"
#include "sip/transport_impl.h"

#define LISTEN_BACKLOG 1024
#define UDP_QUEUE (1 << 20) /* a burst of registrations fits while the loop is busy */

static void
on_reap(int fd, short what, void *arg)
{
	struct sip_transport *t = arg;
	struct outgoing *o;

	(void)fd;
	(void)what;
	while ((o = STAILQ_FIRST(&t->failed)) != NULL) {
		STAILQ_REMOVE_HEAD(&t->failed, next);
		t->n.sip_sends_failed++;
		t->h.on_failed(t->arg, &o->flow, o->tag, o->err);
		mem_free(o);
	}
	transport_tcp_reap(t);
}

struct sip_transport *
sip_transport_new(struct event_base *base, const struct sip_transport_handlers *h, void *arg)
{
	struct sip_transport *t = mem_zalloc(sizeof(*t));

	t->base = base;
	t->h = *h;
	t->arg = arg;
	/* So that a number remembered from before a restart names nobody's connection. */
	t->last_conn = clock_wall_s() << 24;
	t->datagrams = mem_alloc((size_t)UDP_BATCH * DATAGRAM_MAX);
	t->reaper = event_new(base, -1, 0, on_reap, t);
	STAILQ_INIT(&t->failed);
	sip_transport_times(t, 5000, 30000, 65 * 60 * 1000);
	return t;
}

void
sip_transport_times(struct sip_transport *t, unsigned connect_ms, unsigned speak_ms,
    unsigned idle_ms)
{
	t->connect_us = connect_ms * CLOCK_MS;
	t->speak_us = speak_ms * CLOCK_MS;
	t->idle_us = idle_ms * CLOCK_MS;
}

void
sip_transport_free(struct sip_transport *t)
{
	struct outgoing *o;

	if (t == NULL)
		return;
	transport_tcp_free_all(t);
	while ((o = STAILQ_FIRST(&t->failed)) != NULL) {
		STAILQ_REMOVE_HEAD(&t->failed, next);
		mem_free(o);
	}
	for (size_t i = 0; i < t->listeners_n; i++) {
		event_free(t->listeners[i].readable);
		event_free(t->listeners[i].resume);
		close(t->listeners[i].fd);
	}
	event_free(t->reaper);
	mem_free(t->datagrams);
	mem_free(t);
}

void
transport_fail_later(struct sip_transport *t, const struct sip_flow *flow, uint64_t tag, int err)
{
	struct outgoing *o = mem_zalloc(sizeof(*o));

	o->flow = *flow;
	o->tag = tag;
	o->err = err;
	STAILQ_INSERT_TAIL(&t->failed, o, next);
	event_active(t->reaper, 0, 0);
}

void
transport_mark_af31(int fd, const struct addr *a)
{
	int tos = DSCP_AF31;

	if (addr_is_v6(a))
		setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	else
		setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
}

/* -- Listeners -- */

static int
open_socket(const struct sip_listener *l)
{
	int type = (l->proto == SIP_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
	int fd = socket(l->addr.u.sa.sa_family, type, 0), on = 1, queue = UDP_QUEUE, saved;

	if (fd < 0)
		return -1;
	if (addr_is_v6(&l->addr))
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (l->proto == SIP_UDP)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &queue, sizeof(queue));
	else
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	transport_mark_af31(fd, &l->addr);
	if (bind(fd, &l->addr.u.sa, addr_len(&l->addr)) == 0 &&
	    (l->proto == SIP_UDP || listen(fd, LISTEN_BACKLOG) == 0))
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static void
on_resume(int fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)fd;
	(void)what;
	event_add(l->readable, NULL);
}

int
sip_transport_listen(struct sip_transport *t, const struct sip_listener *l)
{
	struct listener *new = &t->listeners[t->listeners_n];
	char name[ADDR_STR_MAX];
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd;

	if (l->proto == SIP_TLS)
		return ERR_UNSUPPORTED;
	if (t->listeners_n == SIP_LISTEN_MAX)
		return ERR_FULL;
	fd = open_socket(l);
	if (fd < 0) {
		int err = errno == EADDRINUSE ? ERR_IN_USE : ERR_IO;

		log_error("sip", "cannot listen on %s:%s: %s", sip_proto_param(l->proto),
		    addr_str(&l->addr, name), strerror(errno));
		return err;
	}
	*new = (struct listener){ .t = t, .index = (uint8_t)t->listeners_n, .l = *l, .fd = fd };
	if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
		addr_from_sockaddr((struct sockaddr *)&ss, &new->l.addr);
	new->readable = event_new(t->base, fd, EV_READ | EV_PERSIST,
	    l->proto == SIP_UDP ? transport_udp_on_readable : transport_tcp_on_acceptable, new);
	new->resume = evtimer_new(t->base, on_resume, new);
	event_add(new->readable, NULL);
	t->listeners_n++;
	return 0;
}

size_t
sip_transport_listeners_n(const struct sip_transport *t)
{
	return t->listeners_n;
}

struct sip_listener
sip_transport_listener(const struct sip_transport *t, size_t i)
{
	return t->listeners[i].l;
}

static bool
listener_fits(const struct listener *l, const struct sip_flow *flow)
{
	return l->l.proto == flow->proto && addr_is_v6(&l->l.addr) == addr_is_v6(&flow->peer);
}

struct listener *
transport_listener_for(struct sip_transport *t, const struct sip_flow *flow)
{
	if (flow->listener < t->listeners_n && listener_fits(&t->listeners[flow->listener], flow))
		return &t->listeners[flow->listener];
	for (size_t i = 0; i < t->listeners_n; i++)
		if (listener_fits(&t->listeners[i], flow))
			return &t->listeners[i];
	return NULL;
}

/* -- Sending -- */

int
sip_transport_send(struct sip_transport *t, const struct sip_flow *flow, uint64_t tag,
    const char *data, size_t n)
{
	struct listener *l = transport_listener_for(t, flow);

	if (l == NULL)
		return ERR_UNSUPPORTED;
	if (flow->proto == SIP_UDP)
		return transport_udp_send(l, &flow->peer, data, n);
	transport_tcp_send(t, flow, tag, data, n);
	return 0;
}

/* -- Counters -- */

struct metric_set
sip_transport_metrics(const struct sip_transport *t)
{
#define COUNTER(field, help) METRIC(struct transport_counters, field, METRIC_COUNTER, help)
	static const struct metric table[] = {
		COUNTER(sip_datagrams_received, "SIP datagrams received."),
		COUNTER(sip_datagrams_sent, "SIP datagrams sent."),
		COUNTER(sip_datagrams_dropped, "Datagrams on SIP ports that cannot be SIP."),
		COUNTER(sip_stun_dropped, "STUN messages on SIP ports."),
		COUNTER(sip_keepalives_received,
		    "Keepalives received, datagrams and double CRLFs."),
		COUNTER(sip_stream_messages_received, "SIP messages received on connections."),
		COUNTER(sip_stream_messages_sent, "SIP messages sent on connections."),
		COUNTER(sip_conns_accepted, "SIP connections accepted."),
		COUNTER(sip_conns_opened, "SIP connections opened to peers."),
		COUNTER(sip_conns_refused, "SIP connections closed at once because of a cap."),
		COUNTER(sip_conns_malformed,
		    "SIP connections closed because of what came on them."),
		COUNTER(sip_conns_timed_out, "SIP connections closed because too little came."),
		COUNTER(sip_accept_pauses, "Pauses in accepting: no file descriptors left."),
		COUNTER(sip_sends_failed, "SIP messages that could not be sent."),
		METRIC(struct transport_counters, sip_conns, METRIC_GAUGE, "SIP connections open."),
		{ 0 },
	};

	return (struct metric_set){ table, &t->n };
}
