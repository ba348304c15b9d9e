/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hras/gateway_conn.h"

#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/tcp.h"
#include "hras/gateway.h"

void
gateway_conn_shut(struct gateway_conn *c)
{
	shutdown(c->fd, SHUT_RDWR);
}

static void
arm(struct gateway_conns *all)
{
	struct gateway_conn *eldest = TAILQ_FIRST(&all->pending);
	uint64_t now_us = clock_us(), wait_us;
	struct timeval tv;

	if (eldest == NULL || event_pending(&all->expires, EV_TIMEOUT, NULL))
		return;
	wait_us = eldest->until_us > now_us ? eldest->until_us - now_us : 0;
	tv.tv_sec = (time_t)(wait_us / CLOCK_S);
	tv.tv_usec = (suseconds_t)(wait_us % CLOCK_S);
	event_add(&all->expires, &tv);
}

static void
remove_pending(struct gateway_conn *c)
{
	if (!c->pending)
		return;
	TAILQ_REMOVE(&c->all->pending, c, link);
	c->all->pending_n--;
	c->pending = false;
}

static void
close_eldest(struct gateway_conns *all)
{
	struct gateway_conn *c = TAILQ_FIRST(&all->pending);

	remove_pending(c);
	gateway_conn_shut(c);
	all->expired++;
}

static void
add_pending(struct gateway_conn *c)
{
	struct gateway_conns *all = c->all;

	if (c->pending)
		return;
	if (all->pending_n >= GATEWAY_PENDING_MAX)
		close_eldest(all);
	c->pending = true;
	c->until_us = clock_us() + all->pending_us;
	TAILQ_INSERT_TAIL(&all->pending, c, link);
	all->pending_n++;
	arm(all);
}

void
gateway_conn_set_pending(struct gateway_conn *c, bool pending)
{
	if (pending)
		add_pending(c);
	else
		remove_pending(c);
}

static void
on_expires(evutil_socket_t fd, short what, void *arg)
{
	struct gateway_conns *all = arg;
	uint64_t now_us = clock_us();
	struct gateway_conn *c;

	(void)fd;
	(void)what;
	while ((c = TAILQ_FIRST(&all->pending)) != NULL && c->until_us <= now_us)
		close_eldest(all);
	arm(all);
	all->on_closed(all->arg);
}

struct gateway_conn *
gateway_conn_new(struct gateway_conns *all, int fd, const struct sockaddr *peer)
{
	struct gateway_conn *c = mem_zalloc(sizeof(*c));

	c->all = all;
	c->fd = fd;
	addr_from_sockaddr(peer, &c->peer);
	tcp_for_stream(fd);
	all->opened++;
	add_pending(c);
	return c;
}

void
gateway_conn_free(struct gateway_conn *c)
{
	remove_pending(c);
	mem_free(c);
}

void
gateway_conns_init(struct gateway_conns *all, struct event_base *base, uint64_t pending_us,
    void (*on_closed)(void *arg), void *arg)
{
	memset(all, 0, sizeof(*all));
	TAILQ_INIT(&all->pending);
	all->pending_us = pending_us;
	all->on_closed = on_closed;
	all->arg = arg;
	evtimer_assign(&all->expires, base, on_expires, all);
}

void
gateway_conns_end(struct gateway_conns *all)
{
	event_del(&all->expires);
}
