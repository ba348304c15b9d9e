/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "log/log.h"
#include "sip/msg.h"
#include "sip/transport_impl.h"

#define ACCEPT_PAUSE_S 1
#define KEEPALIVE_S 60
#define UNSENT_MS 30000 /* a peer that takes nothing for so long is gone */

/* -- The end of a connection -- */

static void
conn_free(struct conn *c)
{
	struct outgoing *o;

	event_free(c->readable);
	event_free(c->writable);
	event_free(c->deadline);
	close(c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
	while ((o = STAILQ_FIRST(&c->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&c->waiting, next);
		mem_free(o);
	}
	mem_free(c);
}

/* Our caller may be using it: out of the tables now, told and freed in the next turn. */
static void
conn_close(struct conn *c, int err)
{
	if (c->closed)
		return;
	c->closed = true;
	c->err = err;
	transport_conn_del(c);
	event_del(c->readable);
	event_del(c->writable);
	event_del(c->deadline);
	c->next_closed = c->t->closed;
	c->t->closed = c;
	event_active(c->t->reaper, 0, 0);
}

static void
tell_unsent(struct conn *c)
{
	struct sip_transport *t = c->t;
	struct outgoing *o;

	while ((o = STAILQ_FIRST(&c->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&c->waiting, next);
		t->n.sip_sends_failed++;
		t->h.on_failed(t->arg, &o->flow, o->tag, c->err);
		mem_free(o);
	}
}

void
transport_tcp_reap(struct sip_transport *t)
{
	struct conn *c = t->closed, *next;

	t->closed = NULL;
	for (; c != NULL; c = next) {
		next = c->next_closed;
		tell_unsent(c);
		t->h.on_closed(t->arg, c->flow.conn);
		conn_free(c);
	}
}

void
transport_tcp_free_all(struct sip_transport *t)
{
	struct conn *c;

	while (t->by_number != NULL)
		conn_close(t->by_number, ERR_DOWN);
	while ((c = t->closed) != NULL) {
		t->closed = c->next_closed;
		conn_free(c);
	}
}

/* -- How long it may live -- */

static uint64_t
deadline_us(const struct conn *c)
{
	if (c->connecting)
		return c->began_us + c->t->connect_us;
	if (c->partial)
		return c->partial_us + c->t->speak_us;
	if (c->accepted && !c->spoke)
		return c->began_us + c->t->speak_us;
	return c->active_us + c->t->idle_us;
}

/* Only where the deadline can come nearer; one that moved away is found out when it runs. */
static void
arm_deadline(struct conn *c, uint64_t now_us)
{
	uint64_t due_us = deadline_us(c), left_us = due_us > now_us ? due_us - now_us : 0;
	struct timeval tv = { (time_t)(left_us / CLOCK_S), (suseconds_t)(left_us % CLOCK_S) };

	event_add(c->deadline, &tv);
}

static void
on_deadline(int fd, short what, void *arg)
{
	struct conn *c = arg;
	uint64_t now_us = clock_us();

	(void)fd;
	(void)what;
	if (deadline_us(c) > now_us) {
		arm_deadline(c, now_us);
		return;
	}
	c->t->n.sip_conns_timed_out++;
	conn_close(c, ERR_TIMEOUT);
}

/* -- Out -- */

static void
pop_written(struct conn *c)
{
	struct outgoing *o;

	while ((o = STAILQ_FIRST(&c->waiting)) != NULL && o->end <= c->written) {
		STAILQ_REMOVE_HEAD(&c->waiting, next);
		c->t->n.sip_stream_messages_sent++;
		mem_free(o);
	}
}

static void
flush(struct conn *c)
{
	while (buf_len(&c->out) > 0) {
		ssize_t n = send(c->fd, buf_data(&c->out), buf_len(&c->out), MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			event_add(c->writable, NULL);
			return;
		}
		if (n < 0) {
			conn_close(c, ERR_DOWN);
			return;
		}
		buf_consume(&c->out, (size_t)n);
		c->written += (uint64_t)n;
		pop_written(c);
	}
	event_del(c->writable);
}

static void
conn_write(struct conn *c, const char *data, size_t n)
{
	if (buf_append(&c->out, data, n) != 0) {
		conn_close(c, ERR_FULL);
		return;
	}
	c->queued += n;
	if (!c->connecting)
		flush(c);
}

static void
conn_send(struct conn *c, const struct sip_flow *flow, uint64_t tag, const char *data, size_t n)
{
	struct outgoing *o = mem_zalloc(sizeof(*o));

	o->flow = *flow;
	o->tag = tag;
	o->end = c->queued + n;
	STAILQ_INSERT_TAIL(&c->waiting, o, next);
	c->active_us = clock_us();
	conn_write(c, data, n);
}

static void
on_writable(int fd, short what, void *arg)
{
	struct conn *c = arg;
	socklen_t len = sizeof(int);
	int err = 0;

	(void)what;
	if (c->connecting) {
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 || err != 0) {
			conn_close(c, ERR_DOWN);
			return;
		}
		c->connecting = false;
		event_add(c->readable, NULL);
		arm_deadline(c, clock_us());
	}
	flush(c);
}

/* -- In -- */

/* RFC 5626 §3.5.1: a double CRLF is a ping and CRLF its pong. Half a ping waits for the other
 * half. */
static void
take_keepalive(struct conn *c, size_t skip)
{
	if (skip < 4 && skip == buf_len(&c->in))
		return;
	if (skip >= 4) {
		c->t->n.sip_keepalives_received++;
		conn_write(c, "\r\n", 2);
	}
	buf_consume(&c->in, skip);
}

/* One message, or nothing when there is none that is whole. */
static bool
take_message(struct conn *c)
{
	size_t skip, len;
	int err = sip_frame((const char *)buf_data(&c->in), buf_len(&c->in), &skip, &len);

	if (skip > 0)
		take_keepalive(c, skip);
	if (err == ERR_INCOMPLETE || c->closed)
		return false;
	if (err != 0) {
		c->t->n.sip_conns_malformed++;
		conn_close(c, ERR_MALFORMED);
		return false;
	}
	c->spoke = true;
	c->t->n.sip_stream_messages_received++;
	c->t->h.on_message(c->t->arg, &c->flow, (const char *)buf_data(&c->in), len);
	buf_consume(&c->in, len);
	return !c->closed;
}

static bool
has_begun_message(const struct conn *c)
{
	const uint8_t *p = buf_data(&c->in);

	for (size_t i = 0; i < buf_len(&c->in); i++)
		if (p[i] != '\r' && p[i] != '\n')
			return true;
	return false;
}

static void
take_messages(struct conn *c)
{
	bool took = false, was_partial = c->partial;

	while (buf_len(&c->in) > 0 && take_message(c))
		took = true;
	if (c->closed)
		return;
	c->partial = has_begun_message(c);
	if (c->partial && (!was_partial || took)) {
		c->partial_us = c->active_us;
		arm_deadline(c, c->active_us);
	}
}

static void
on_readable(int fd, short what, void *arg)
{
	struct conn *c = arg;
	uint8_t *room;
	ssize_t n;

	(void)what;
	if (buf_reserve(&c->in, IN_STEP, &room) != 0) {
		conn_close(c, ERR_TOO_BIG); /* sip_frame would have said so before */
		return;
	}
	n = recv(fd, room, IN_STEP, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_close(c, ERR_DOWN);
		return;
	}
	buf_commit(&c->in, (size_t)n);
	c->active_us = clock_us();
	take_messages(c);
}

/* -- The beginning of a connection -- */

/* Keepalives find a phone that lost its power, and keep the way through a NAT open that it
 * registered over. */
static void
set_options(int fd, const struct addr *peer)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, UNSENT_MS },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_S / 4 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 4 },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value,
		    sizeof(options[i].value));
	transport_mark_af31(fd, peer);
}

static struct conn *
conn_new(struct listener *l, int fd, const struct addr *peer)
{
	struct conn *c = mem_zalloc(sizeof(*c));

	c->t = l->t;
	c->fd = fd;
	c->flow = (struct sip_flow){ .proto = SIP_TCP, .listener = l->index, .peer = *peer };
	c->began_us = c->active_us = clock_us();
	buf_init(&c->in, IN_MAX);
	buf_init(&c->out, OUT_MAX);
	STAILQ_INIT(&c->waiting);
	set_options(fd, peer);
	c->readable = event_new(l->t->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(l->t->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
	c->deadline = evtimer_new(l->t->base, on_deadline, c);
	transport_conn_add(l->t, c);
	return c;
}

static void
accepted(struct listener *l, int fd, const struct addr *peer)
{
	struct conn *c;

	if (!transport_conn_fits(l->t, peer)) {
		l->t->n.sip_conns_refused++;
		close(fd);
		return;
	}
	l->t->n.sip_conns_accepted++;
	c = conn_new(l, fd, peer);
	c->accepted = true;
	event_add(c->readable, NULL);
	arm_deadline(c, c->began_us);
}

void
transport_tcp_on_acceptable(int fd, short what, void *listener)
{
	struct listener *l = listener;
	struct timeval pause = { ACCEPT_PAUSE_S, 0 };

	(void)what;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		struct addr peer;
		int conn = accept4(fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (conn >= 0) {
			addr_from_sockaddr((struct sockaddr *)&ss, &peer);
			accepted(l, conn, &peer);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			/* It stays acceptable: to be told so at once again would be a busy loop. */
			l->t->n.sip_accept_pauses++;
			event_del(l->readable);
			event_add(l->resume, &pause);
			return;
		} else if (errno == EAGAIN) {
			return;
		}
	}
}

static int
connect_from(const struct listener *l, const struct addr *peer, bool *connecting)
{
	struct addr from = l->l.addr;
	int on = 1,
	    fd = socket(peer->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	/* From the listener's address, as the phones and the firewall know it; any port of it. */
	addr_set_port(&from, 0);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	*connecting = false;
	if ((!addr_is_any(&from) && bind(fd, &from.u.sa, addr_len(&from)) < 0) ||
	    (connect(fd, &peer->u.sa, addr_len(peer)) < 0 && errno != EINPROGRESS)) {
		close(fd);
		return -1;
	}
	*connecting = true;
	return fd;
}

static struct conn *
conn_open(struct listener *l, const struct addr *peer)
{
	struct conn *c;
	bool connecting;
	int fd = connect_from(l, peer, &connecting);

	if (fd < 0)
		return NULL;
	l->t->n.sip_conns_opened++;
	c = conn_new(l, fd, peer);
	c->connecting = connecting;
	event_add(c->writable, NULL);
	arm_deadline(c, c->began_us);
	return c;
}

void
transport_tcp_send(struct sip_transport *t, const struct sip_flow *flow, uint64_t tag,
    const char *data, size_t n)
{
	struct conn *c = flow->conn == 0 ? NULL : transport_conn_find(t, flow->conn);
	int err = ERR_DOWN;

	if (c == NULL)
		c = transport_conn_find_peer(t, &flow->peer);
	if (c == NULL && flow->conn == 0) {
		if (transport_conn_fits(t, &flow->peer))
			c = conn_open(transport_listener_for(t, flow), &flow->peer);
		else
			err = ERR_FULL;
	}
	if (c == NULL) {
		transport_fail_later(t, flow, tag, err);
		return;
	}
	conn_send(c, flow, tag, data, n);
}
