/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/udp.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

#define TOS_EF 0xb8
#define BATCH_N 32   /* datagrams of one system call */
#define ROUNDS_MAX 4 /* before other events of the loop get their turn */
#define QUEUE_BYTES (4 << 20)

union control { /* room for the address of ours that a datagram came to, or leaves from */
	struct cmsghdr align;
	uint8_t v4[CMSG_SPACE(sizeof(struct in_pktinfo))];
	uint8_t v6[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct slot {
	struct iovec iov;
	struct sockaddr_storage name;
	union control control;
	uint8_t bytes[UDP_DATAGRAM_MAX];
};

struct udp {
	int fd;
	bool connected, any; /* any: bound to all addresses, so each datagram tells which */
	struct udp_handlers handlers;
	void *arg;
	struct event event;
	struct addr addr;
	size_t out_n;
	uint64_t unsent_n;
	struct slot in[BATCH_N], out[BATCH_N];
	struct mmsghdr in_hdr[BATCH_N], out_hdr[BATCH_N];
};

/* -- Reading -- */

static struct addr
local_of(struct msghdr *m)
{
	struct addr a = { 0 };

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			a.u.in4 = (struct sockaddr_in){ .sin_family = AF_INET,
				.sin_addr = info.ipi_spec_dst };
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			a.u.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
				.sin6_addr = info.ipi6_addr };
		}
	}
	return a;
}

static int
read_some(struct udp *u)
{
	int n;

	for (size_t i = 0; i < BATCH_N; i++)
		u->in_hdr[i].msg_hdr = (struct msghdr){ .msg_name = &u->in[i].name,
			.msg_namelen = sizeof(u->in[i].name),
			.msg_iov = &u->in[i].iov,
			.msg_iovlen = 1,
			.msg_control = u->any ? &u->in[i].control : NULL,
			.msg_controllen = u->any ? sizeof(u->in[i].control) : 0 };
	n = recvmmsg(u->fd, u->in_hdr, BATCH_N, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		struct udp_path from;

		memset(&from, 0, sizeof(from));
		addr_from_sockaddr((struct sockaddr *)&u->in[i].name, &from.remote);
		if (u->any)
			from.local = local_of(&u->in_hdr[i].msg_hdr);
		u->handlers.on_datagram(u->arg, u->in[i].bytes, u->in_hdr[i].msg_len, &from);
	}
	return n;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct udp *u = arg;
	unsigned rounds = 0;
	int n;

	(void)fd;
	(void)what;
	do
		n = read_some(u);
	/* An error is one that the net reported of what we sent: it is over by being told. */
	while ((n == BATCH_N || (n < 0 && errno == ECONNREFUSED)) && ++rounds < ROUNDS_MAX);
	u->handlers.on_turn(u->arg);
}

/* -- Sending -- */

static void
put_local(struct msghdr *m, union control *control, const struct addr *local)
{
	bool v6 = addr_is_v6(local);
	struct in6_pktinfo info6 = { .ipi6_addr = local->u.in6.sin6_addr };
	struct in_pktinfo info4 = { .ipi_spec_dst = local->u.in4.sin_addr };
	struct cmsghdr *c;

	memset(control, 0, sizeof(*control));
	m->msg_control = control;
	m->msg_controllen = v6 ? sizeof(control->v6) : sizeof(control->v4);
	c = CMSG_FIRSTHDR(m);
	c->cmsg_level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
	c->cmsg_type = v6 ? IPV6_PKTINFO : IP_PKTINFO;
	c->cmsg_len = v6 ? CMSG_LEN(sizeof(info6)) : CMSG_LEN(sizeof(info4));
	memcpy(CMSG_DATA(c), v6 ? (void *)&info6 : (void *)&info4,
	    v6 ? sizeof(info6) : sizeof(info4));
}

void
udp_send(struct udp *u, const struct udp_path *to, const uint8_t *data, size_t n)
{
	struct slot *s;
	struct msghdr *m;

	if (u->out_n == BATCH_N)
		udp_flush(u);
	s = &u->out[u->out_n];
	m = &u->out_hdr[u->out_n++].msg_hdr;
	memcpy(s->bytes, data, n);
	s->iov.iov_len = n;
	*m = (struct msghdr){ .msg_iov = &s->iov, .msg_iovlen = 1 };
	if (u->connected)
		return;
	memcpy(&s->name, &to->remote, sizeof(to->remote));
	m->msg_name = &s->name;
	m->msg_namelen = addr_len(&to->remote);
	if (u->any && addr_is_set(&to->local))
		put_local(m, &s->control, &to->local);
}

void
udp_flush(struct udp *u)
{
	bool retried = false;

	for (size_t i = 0; i < u->out_n;) {
		int n = sendmmsg(u->fd, u->out_hdr + i, (unsigned)(u->out_n - i), MSG_DONTWAIT);

		if (n > 0) {
			i += (size_t)n;
			retried = false;
		} else if (errno == ECONNREFUSED && !retried) {
			/* The fate of an earlier one. */
			retried = true;
		} else {
			u->unsent_n++;
			i++;
		}
	}
	u->out_n = 0;
}

uint64_t
udp_unsent(const struct udp *u)
{
	return u->unsent_n;
}

/* -- Life -- */

static void
set(int fd, int level, int name, int value)
{
	/* Without it voice is a little worse off. */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void
prepare(int fd, bool v6)
{
	set(fd, SOL_SOCKET, SO_RCVBUF, QUEUE_BYTES);
	set(fd, SOL_SOCKET, SO_SNDBUF, QUEUE_BYTES);
	if (v6) {
		set(fd, IPPROTO_IPV6, IPV6_TCLASS, TOS_EF);
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
		set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	} else {
		set(fd, IPPROTO_IP, IP_TOS, TOS_EF);
		set(fd, IPPROTO_IP, IP_PKTINFO, 1);
		set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
	}
}

static int
open_socket(struct udp *u, const struct addr *local, const struct addr *remote)
{
	bool v6 = addr_is_v6(remote != NULL ? remote : local);
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);

	u->fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (u->fd < 0)
		return ERR_IO;
	prepare(u->fd, v6);
	if (local != NULL && bind(u->fd, &local->u.sa, addr_len(local)) < 0)
		return errno == EADDRINUSE ? ERR_IN_USE : ERR_IO;
	if (remote != NULL && connect(u->fd, &remote->u.sa, addr_len(remote)) < 0)
		return ERR_IO;
	if (getsockname(u->fd, (struct sockaddr *)&name, &len) < 0)
		return ERR_IO;
	addr_from_sockaddr((struct sockaddr *)&name, &u->addr);
	return 0;
}

int
udp_new(struct event_base *base, const struct addr *local, const struct addr *remote,
    const struct udp_handlers *handlers, void *arg, struct udp **out)
{
	struct udp *u = mem_zalloc(sizeof(*u));
	int err = open_socket(u, local, remote), saved = errno;

	if (err < 0) {
		if (u->fd >= 0)
			close(u->fd);
		mem_free(u);
		errno = saved;
		return err;
	}
	u->connected = remote != NULL;
	u->any = !u->connected && addr_is_any(&u->addr);
	u->handlers = *handlers;
	u->arg = arg;
	for (size_t i = 0; i < BATCH_N; i++) {
		u->in[i].iov = (struct iovec){ u->in[i].bytes, sizeof(u->in[i].bytes) };
		u->out[i].iov.iov_base = u->out[i].bytes;
	}
	event_assign(&u->event, base, u->fd, EV_READ | EV_PERSIST, on_readable, u);
	event_add(&u->event, NULL);
	*out = u;
	return 0;
}

void
udp_free(struct udp *u)
{
	if (u == NULL)
		return;
	event_del(&u->event);
	close(u->fd);
	mem_free(u);
}

struct addr
udp_addr(const struct udp *u)
{
	return u->addr;
}
