/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hras/gateway/conn.h"

#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/tcp.h"
#include "hras/gateway/gateway.h"

void
gateway_conn_shut(struct gateway_conn *c)
{
	shutdown(c->fd, SHUT_RDWR);
}

void
gateway_conns_outdate(struct gateway_conns *all)
{
	struct gateway_conn *c;

	LIST_FOREACH(c, &all->alive, alive_link) {
		c->outdated = true;
		gateway_conn_shut(c);
	}
}

static void
arm(struct gateway_conns *all)
{
	uint64_t now_us = clock_us(), due_us = CLOCK_NEVER, wait_us;
	struct timeval tv;

	for (size_t i = 0; i < GATEWAY_CONN_BUSY; i++) {
		struct gateway_conn *eldest = TAILQ_FIRST(&all->queues[i].list);

		if (eldest != NULL && eldest->until_us < due_us)
			due_us = eldest->until_us;
	}
	/* It is hundreds of times a second that one rests again, and never the first to expire. */
	if (due_us >= all->due_us)
		return;
	all->due_us = due_us;
	wait_us = due_us > now_us ? due_us - now_us : 0;
	tv.tv_sec = (time_t)(wait_us / CLOCK_S);
	tv.tv_usec = (suseconds_t)(wait_us % CLOCK_S);
	event_add(&all->expires, &tv);
}

/* Out of the queue of its state. */
static void
leave(struct gateway_conn *c)
{
	struct gateway_conn_queue *q;

	if (c->state == GATEWAY_CONN_BUSY)
		return;
	q = &c->all->queues[c->state];
	TAILQ_REMOVE(&q->list, c, link);
	q->n--;
	c->state = GATEWAY_CONN_BUSY;
}

static void
close_eldest(struct gateway_conns *all, struct gateway_conn_queue *q)
{
	struct gateway_conn *c = TAILQ_FIRST(&q->list);

	leave(c);
	gateway_conn_shut(c);
	all->expired++;
}

void
gateway_conn_becomes(struct gateway_conn *c, enum gateway_conn_state state)
{
	struct gateway_conns *all = c->all;
	struct gateway_conn_queue *q;

	if (state == c->state)
		return;
	leave(c);
	if (state == GATEWAY_CONN_BUSY)
		return;
	q = &all->queues[state];
	if (q->n >= q->max)
		close_eldest(all, q);
	c->state = state;
	c->until_us = clock_us() + q->age_us;
	TAILQ_INSERT_TAIL(&q->list, c, link);
	q->n++;
	arm(all);
}

static void
on_expires(evutil_socket_t fd, short what, void *arg)
{
	struct gateway_conns *all = arg;
	uint64_t now_us = clock_us();

	(void)fd;
	(void)what;
	all->due_us = CLOCK_NEVER;
	for (size_t i = 0; i < GATEWAY_CONN_BUSY; i++) {
		struct gateway_conn_queue *q = &all->queues[i];

		while (!TAILQ_EMPTY(&q->list) && TAILQ_FIRST(&q->list)->until_us <= now_us)
			close_eldest(all, q);
	}
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
	all->alive_n++;
	LIST_INSERT_HEAD(&all->alive, c, alive_link);
	c->state = GATEWAY_CONN_BUSY;
	gateway_conn_becomes(c, GATEWAY_CONN_PENDING);
	return c;
}

void
gateway_conn_free(struct gateway_conn *c)
{
	leave(c);
	c->all->alive_n--;
	LIST_REMOVE(c, alive_link);
	mem_free(c);
}

void
gateway_conns_init(struct gateway_conns *all, struct event_base *base, uint64_t pending_us,
    void (*on_closed)(void *arg), void *arg)
{
	memset(all, 0, sizeof(*all));
	all->due_us = CLOCK_NEVER;
	all->queues[GATEWAY_CONN_PENDING].max = GATEWAY_PENDING_MAX;
	all->queues[GATEWAY_CONN_PENDING].age_us = pending_us;
	all->queues[GATEWAY_CONN_RESTING].max = GATEWAY_RESTING_MAX;
	all->queues[GATEWAY_CONN_RESTING].age_us = GATEWAY_RESTING_S * CLOCK_S;
	for (size_t i = 0; i < GATEWAY_CONN_BUSY; i++)
		TAILQ_INIT(&all->queues[i].list);
	all->on_closed = on_closed;
	all->arg = arg;
	evtimer_assign(&all->expires, base, on_expires, all);
}

void
gateway_conns_end(struct gateway_conns *all)
{
	event_del(&all->expires);
}
