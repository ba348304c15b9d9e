/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink/name.h"

#include <ares.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <string.h>
#include <sys/queue.h>

#include "base/mem.h"

#define TIMEOUT_MS 800 /* of the first try; c-ares doubles it for the second */
#define TRIES 2

struct sock {
	LIST_ENTRY(sock) link;
	ares_socket_t fd;
	struct event event;
};

struct uplink_lookup {
	struct event_base *base;
	uplink_lookup_cb *cb;
	void *arg;
	uint16_t port;
	ares_channel channel; /* of this question alone: it reads the system's files anew */
	bool open;
	LIST_HEAD(, sock) socks;
	struct event timer, done;
	struct addr addresses[UPLINK_ADDRESSES_MAX];
	size_t n;
};

static void
arm(struct uplink_lookup *l)
{
	struct timeval tv, *left = ares_timeout(l->channel, NULL, &tv);

	if (left == NULL)
		event_del(&l->timer);
	else
		event_add(&l->timer, left);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct uplink_lookup *l = arg;

	(void)fd;
	(void)what;
	ares_process_fd(l->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(l);
}

static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct uplink_lookup *l = arg;

	ares_process_fd(l->channel, (what & EV_READ) != 0 ? fd : ARES_SOCKET_BAD,
	    (what & EV_WRITE) != 0 ? fd : ARES_SOCKET_BAD);
	arm(l);
}

static struct sock *
find_sock(struct uplink_lookup *l, ares_socket_t fd)
{
	struct sock *s;

	LIST_FOREACH(s, &l->socks, link)
		if (s->fd == fd)
			return s;
	return NULL;
}

static void
on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct uplink_lookup *l = arg;
	short what = (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
	struct sock *s = find_sock(l, fd);

	if (s != NULL) {
		event_del(&s->event);
	} else if (what != 0) {
		s = mem_zalloc(sizeof(*s));
		s->fd = fd;
		LIST_INSERT_HEAD(&l->socks, s, link);
	}
	if (what != 0) {
		event_assign(&s->event, l->base, fd, (short)(what | EV_PERSIST), on_socket, l);
		event_add(&s->event, NULL);
	} else if (s != NULL) {
		LIST_REMOVE(s, link);
		mem_free(s);
	}
}

/* The next of the family, from *node on; *node moves behind it. */
static bool
take(struct uplink_lookup *l, const struct ares_addrinfo_node **node, int family)
{
	const struct ares_addrinfo_node *n = *node;

	while (n != NULL && n->ai_family != family)
		n = n->ai_next;
	*node = n == NULL ? NULL : n->ai_next;
	if (n == NULL || l->n == UPLINK_ADDRESSES_MAX)
		return false;
	addr_from_sockaddr(n->ai_addr, &l->addresses[l->n]);
	addr_set_port(&l->addresses[l->n++], l->port);
	return true;
}

static void
on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	const struct ares_addrinfo_node *first, *second;
	struct uplink_lookup *l = arg;
	int family;
	bool any = status == ARES_SUCCESS && info->nodes != NULL;

	(void)timeouts;
	if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED)
		return;
	if (any) {
		family = info->nodes->ai_family;
		first = second = info->nodes;
		while (any) {
			any = take(l, &first, family);
			any |= take(l, &second, family == AF_INET ? AF_INET6 : AF_INET);
		}
	}
	ares_freeaddrinfo(info);
	/* The channel cannot be taken down from in here. */
	event_active(&l->done, EV_TIMEOUT, 0);
}

static void
lookup_free(struct uplink_lookup *l)
{
	struct sock *s;

	if (l->open)
		ares_destroy(l->channel);
	while ((s = LIST_FIRST(&l->socks)) != NULL) {
		LIST_REMOVE(s, link);
		event_del(&s->event);
		mem_free(s);
	}
	event_del(&l->timer);
	event_del(&l->done);
	mem_free(l);
}

static void
on_done(evutil_socket_t fd, short what, void *arg)
{
	struct uplink_lookup *l = arg;
	struct addr addresses[UPLINK_ADDRESSES_MAX];
	uplink_lookup_cb *cb = l->cb;
	void *cb_arg = l->arg;
	size_t n = l->n;

	(void)fd;
	(void)what;
	memcpy(addresses, l->addresses, sizeof(addresses));
	lookup_free(l);
	cb(cb_arg, addresses, n);
}

struct uplink_lookup *
uplink_lookup_start(struct event_base *base, const char *host, uint16_t port, uplink_lookup_cb *cb,
    void *arg)
{
	struct uplink_lookup *l = mem_zalloc(sizeof(*l));
	struct ares_options options = { .timeout = TIMEOUT_MS,
		.tries = TRIES,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = l };
	struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC };

	l->base = base;
	l->cb = cb;
	l->arg = arg;
	l->port = port;
	LIST_INIT(&l->socks);
	evtimer_assign(&l->timer, base, on_timer, l);
	evtimer_assign(&l->done, base, on_done, l);
	l->open = ares_init_options(&l->channel, &options,
		      ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB) == ARES_SUCCESS;
	if (!l->open) {
		event_active(&l->done, EV_TIMEOUT, 0);
		return l;
	}
	ares_getaddrinfo(l->channel, host, NULL, &hints, on_answer, l);
	arm(l);
	return l;
}

void
uplink_lookup_cancel(struct uplink_lookup *l)
{
	if (l != NULL)
		lookup_free(l);
}
