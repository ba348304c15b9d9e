/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "sip/lines.h"
#include "sip/transport_impl.h"

/* RFC 5626 §3.5.2, RFC 8489 §5: two zero bits, and the magic cookie. */
static bool
is_stun(const uint8_t *p, size_t n)
{
	return n >= 20 && p[0] < 4 && memcmp(p + 4, "\x21\x12\xa4\x42", 4) == 0;
}

/* CRLFs, zero bytes or nothing at all: what phones send to keep the way through a NAT open. */
static bool
is_keepalive(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != '\r' && p[i] != '\n' && p[i] != '\0')
			return false;
	return true;
}

static void
receive(struct listener *l, const uint8_t *p, size_t n, const struct sockaddr *from)
{
	struct sip_transport *t = l->t;
	struct sip_flow flow = { .proto = SIP_UDP, .listener = l->index };

	if (is_keepalive(p, n)) {
		t->n.sip_keepalives_received++;
	} else if (is_stun(p, n)) {
		t->n.sip_stun_dropped++;
	} else if (!sip_is_token_char((char)p[0]) && p[0] != '\r' && p[0] != '\n') {
		t->n.sip_datagrams_dropped++;
	} else {
		t->n.sip_datagrams_received++;
		addr_from_sockaddr(from, &flow.peer);
		t->h.on_message(t->arg, &flow, (const char *)p, n);
	}
}

void
transport_udp_on_readable(int fd, short what, void *listener)
{
	struct listener *l = listener;
	struct mmsghdr msgs[UDP_BATCH] = { 0 };
	struct iovec iov[UDP_BATCH];
	struct sockaddr_storage from[UDP_BATCH];
	int n;

	(void)what;
	for (size_t i = 0; i < UDP_BATCH; i++) {
		iov[i] = (struct iovec){ l->t->datagrams + i * DATAGRAM_MAX, DATAGRAM_MAX };
		msgs[i].msg_hdr = (struct msghdr){ .msg_name = &from[i],
			.msg_namelen = sizeof(from[i]),
			.msg_iov = &iov[i],
			.msg_iovlen = 1 };
	}
	n = recvmmsg(fd, msgs, UDP_BATCH, 0,
	    NULL); /* an error is one of some send before: nothing */
	for (int i = 0; i < n; i++)
		receive(l, iov[i].iov_base, msgs[i].msg_len, (struct sockaddr *)&from[i]);
}

int
transport_udp_send(struct listener *l, const struct addr *to, const char *data, size_t n)
{
	ssize_t sent;

	if (n > UDP_PAYLOAD_MAX)
		return ERR_TOO_BIG;
	do
		sent = sendto(l->fd, data, n, 0, &to->u.sa, addr_len(to));
	while (sent < 0 && errno == EINTR);
	if (sent >= 0) {
		l->t->n.sip_datagrams_sent++;
		return 0;
	}
	l->t->n.sip_sends_failed++;
	/* A full queue loses datagrams as the network does: it will be repeated. */
	return errno == EAGAIN || errno == ENOBUFS || errno == ECONNREFUSED ? 0 : ERR_IO;
}
