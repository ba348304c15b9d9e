/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/network.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "log/log.h"

#define WATCH_S 1
#define LATEST_US (500 * CLOCK_MS)
#define SLEPT_US (2 * (int64_t)CLOCK_S)

struct network {
	network_cb *cb;
	void *arg;
	int fd; /* -1: no netlink */
	struct event readable, settle, watch;
	uint64_t first_us; /* of the burst; 0 = there is none */
	int64_t ahead_us;
};

static int64_t
now_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * (int64_t)CLOCK_S + t.tv_nsec / 1000;
}

static int64_t
ahead_us(void)
{
	return now_us(CLOCK_BOOTTIME) - now_us(CLOCK_MONOTONIC);
}

bool
network_slept(int64_t ahead_before_us, int64_t ahead_now_us)
{
	return ahead_now_us - ahead_before_us >= SLEPT_US;
}

bool
network_has(const struct addr *a)
{
	struct addr any_port = *a;
	bool has;
	int fd = socket(a->u.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	addr_set_port(&any_port, 0);
	has =
	    fd < 0 || bind(fd, &any_port.u.sa, addr_len(&any_port)) == 0 || errno != EADDRNOTAVAIL;
	if (fd >= 0)
		close(fd);
	return has;
}

bool
network_source(const struct addr *to, struct addr *out)
{
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);
	int fd = socket(to->u.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool known = fd >= 0 && connect(fd, &to->u.sa, addr_len(to)) == 0 &&
	    getsockname(fd, (struct sockaddr *)&own, &len) == 0;

	if (known)
		addr_from_sockaddr((struct sockaddr *)&own, out);
	if (fd >= 0)
		close(fd);
	return known;
}

static void
on_settled(evutil_socket_t fd, short what, void *arg)
{
	struct network *n = arg;

	(void)fd;
	(void)what;
	n->first_us = 0;
	n->cb(n->arg, false);
}

/* Neighbours come and go all the time, and wireless links tell of their quality; that is no change. */
static bool
is_change(const struct nlmsghdr *h)
{
	const struct ifinfomsg *link = NLMSG_DATA(h);

	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
		return h->nlmsg_len >= NLMSG_LENGTH(sizeof(*link)) && link->ifi_change != 0;
	case RTM_DELLINK:
	case RTM_NEWADDR:
	case RTM_DELADDR:
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return true;
	default:
		return false;
	}
}

static void
changed(struct network *n)
{
	static const struct timeval settle = { 0, NETWORK_SETTLE_MS * 1000 };
	uint64_t us = clock_us();

	if (n->first_us == 0)
		n->first_us = us;
	if (us - n->first_us < LATEST_US)
		event_add(&n->settle, &settle);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct network *n = arg;
	_Alignas(struct nlmsghdr) uint8_t buf[8192];
	bool any = false;
	ssize_t got;

	(void)what;
	while ((got = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		int left = (int)got; /* NLMSG_NEXT may take it below 0 */

		for (struct nlmsghdr *h = (struct nlmsghdr *)buf; NLMSG_OK(h, left);
		     h = NLMSG_NEXT(h, left))
			any |= is_change(h);
	}
	/* Too much came at once to be kept: then something did change. */
	any |= got < 0 && errno == ENOBUFS;
	if (any)
		changed(n);
}

static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct network *n = arg;
	int64_t before_us = n->ahead_us;

	(void)fd;
	(void)what;
	n->ahead_us = ahead_us();
	if (network_slept(before_us, n->ahead_us))
		n->cb(n->arg, true);
}

static int
open_netlink(void)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
		    RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&nl, sizeof(nl)) == 0)
		return fd;
	log_warn("network", "changes of the network will not be noticed: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

struct network *
network_new(struct event_base *base, network_cb *cb, void *arg)
{
	static const struct timeval watch = { WATCH_S, 0 };
	struct network *n = mem_zalloc(sizeof(*n));

	n->cb = cb;
	n->arg = arg;
	n->ahead_us = ahead_us();
	n->fd = open_netlink();
	evtimer_assign(&n->settle, base, on_settled, n);
	event_assign(&n->watch, base, -1, EV_PERSIST, on_watch, n);
	event_add(&n->watch, &watch);
	if (n->fd >= 0) {
		event_assign(&n->readable, base, n->fd, EV_READ | EV_PERSIST, on_readable, n);
		event_add(&n->readable, NULL);
	}
	return n;
}

void
network_free(struct network *n)
{
	if (n == NULL)
		return;
	if (n->fd >= 0) {
		event_del(&n->readable);
		close(n->fd);
	}
	event_del(&n->settle);
	event_del(&n->watch);
	mem_free(n);
}
