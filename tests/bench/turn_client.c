/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The inside end of TURN over TCP (RFC 8656), as a browser behind a firewall has it: for each call a
 * TCP connection of its own to the server, an allocation on it, and a channel to the outside phone.
 * The server must not ask for credentials. What the connection does not take at once is dropped,
 * as browsers do.
 *
 *	turn_client SERVER CALLS AGENT_HOST AGENT_PORT INSIDE_PHONE OUTSIDE_PHONE
 *
 * SERVER and the phones are HOST:PORT. The inside phone of call i sends to AGENT_PORT + 2i. Prints, call
 * by call, the HOST:PORT that its outside phone sends to, and then "ready".
 */
#define COOKIE 0x2112a442U
#define STUN_HEAD 20
#define ALLOCATE 0x0003
#define CHANNEL_BIND 0x0009
#define SUCCESS 0x0100
#define ATTR_CHANNEL 0x000c
#define ATTR_PEER 0x0012
#define ATTR_RELAYED 0x0016
#define ATTR_TRANSPORT 0x0019
#define CHANNEL 0x4000 /* the first; each connection has but one */
#define CHANNEL_HEAD 4
#define PACKET_MAX 2048
#define TURN_MAX 256

struct call {
	int udp, tcp;
	uint8_t in[1 << 16], out[PACKET_MAX + CHANNEL_HEAD];
	size_t in_n, out_n; /* out: the rest of a packet that was taken in part */
};

struct client {
	int epoll;
	uint32_t calls_n;
	struct call *call;
	struct sockaddr_in server, inside, outside;
};

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static struct sockaddr_in
address(const char *text)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	char host[64];
	unsigned port;

	if (sscanf(text, "%63[^:]:%u", host, &port) != 2 ||
	    inet_pton(AF_INET, host, &a.sin_addr) != 1) {
		fprintf(stderr, "%s: HOST:PORT expected\n", text);
		exit(2);
	}
	a.sin_port = htons((uint16_t)port);
	return a;
}

/* -- STUN: RFC 8489 section 5, and the attributes of RFC 8656 section 18 -- */

static void
put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void
put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

static unsigned
get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static uint32_t
get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* A request with `n` bytes of attributes behind its head, sent and answered; the answer's length. */
static size_t
ask(int tcp, unsigned type, uint8_t *message, size_t n, uint8_t *answer)
{
	size_t got;

	put16(message, type);
	put16(message + 2, (unsigned)n);
	put32(message + 4, COOKIE);
	memset(message + 8, 'v', 12);
	if (send(tcp, message, STUN_HEAD + n, 0) != (ssize_t)(STUN_HEAD + n) ||
	    recv(tcp, answer, STUN_HEAD, MSG_WAITALL) != STUN_HEAD)
		die("the TURN server");
	got = get16(answer + 2);
	if (get16(answer) != (type | SUCCESS) || STUN_HEAD + got > PACKET_MAX ||
	    recv(tcp, answer + STUN_HEAD, got, MSG_WAITALL) != (ssize_t)got) {
		fprintf(stderr, "the TURN server refused %u: %u\n", type, get16(answer));
		exit(1);
	}
	return STUN_HEAD + got;
}

static const uint8_t *
find(const uint8_t *message, size_t n, unsigned attribute)
{
	for (size_t at = STUN_HEAD; at + 4 <= n; at += 4 + ((get16(message + at + 2) + 3U) & ~3U))
		if (get16(message + at) == attribute)
			return message + at + 4;
	fprintf(stderr, "the TURN server forgot attribute %u\n", attribute);
	exit(1);
}

static void
allocate(int tcp)
{
	uint8_t message[STUN_HEAD + 8], answer[PACKET_MAX];
	const uint8_t *relayed;
	struct in_addr host;
	size_t n;

	put16(message + STUN_HEAD, ATTR_TRANSPORT);
	put16(message + STUN_HEAD + 2, 4);
	put32(message + STUN_HEAD + 4, (uint32_t)IPPROTO_UDP << 24);
	n = ask(tcp, ALLOCATE, message, 8, answer);
	relayed = find(answer, n, ATTR_RELAYED);
	host.s_addr = htonl(get32(relayed + 4) ^ COOKIE);
	printf("%s:%u\n", inet_ntoa(host), get16(relayed + 2) ^ (COOKIE >> 16));
}

static void
bind_channel(int tcp, const struct sockaddr_in *peer)
{
	uint8_t message[STUN_HEAD + 20], answer[PACKET_MAX], *at = message + STUN_HEAD;

	put16(at, ATTR_CHANNEL);
	put16(at + 2, 4);
	put32(at + 4, (uint32_t)CHANNEL << 16);
	put16(at + 8, ATTR_PEER);
	put16(at + 10, 8);
	put16(at + 12, 1); /* IPv4 */
	put16(at + 14, ntohs(peer->sin_port) ^ (COOKIE >> 16));
	put32(at + 16, ntohl(peer->sin_addr.s_addr) ^ COOKIE);
	(void)ask(tcp, CHANNEL_BIND, message, 20, answer);
}

/* -- The calls -- */

static void
watch(const struct client *c, int fd, uint64_t id)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = id };

	if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll_ctl");
}

static void
open_call(struct client *c, uint32_t i, const char *host, unsigned port)
{
	struct call *call = &c->call[i];
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int one = 1;

	call->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (inet_pton(AF_INET, host, &a.sin_addr) != 1 || call->udp < 0 ||
	    bind(call->udp, (struct sockaddr *)&a, sizeof(a)) < 0)
		die(host);
	call->tcp = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(call->tcp, (struct sockaddr *)&c->server, sizeof(c->server)) < 0)
		die("connect");
	setsockopt(call->tcp, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	allocate(call->tcp);
	bind_channel(call->tcp, &c->outside);
	watch(c, call->udp, 2 * i);
	watch(c, call->tcp, 2 * i + 1);
}

/* Ends with the connection: a call without one is no measurement. */
static void
flush(struct call *call)
{
	ssize_t n = send(call->tcp, call->out, call->out_n, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN)
		die("send");
	if (n > 0) {
		call->out_n -= (size_t)n;
		memmove(call->out, call->out + n, call->out_n);
	}
}

static void
on_phone(struct call *call)
{
	uint8_t packet[PACKET_MAX];
	ssize_t n = recv(call->udp, packet, sizeof(packet), 0);

	if (n < 0)
		return;
	if (call->out_n > 0)
		flush(call);
	if (call->out_n > 0)
		return; /* dropped */
	put16(call->out, CHANNEL);
	put16(call->out + 2, (unsigned)n);
	memcpy(call->out + CHANNEL_HEAD, packet, (size_t)n);
	call->out_n = CHANNEL_HEAD + (((size_t)n + 3) & ~(size_t)3);
	memset(call->out + CHANNEL_HEAD + n, 0, call->out_n - CHANNEL_HEAD - (size_t)n);
	flush(call);
}

static void
on_server(const struct client *c, struct call *call)
{
	ssize_t got =
	    recv(call->tcp, call->in + call->in_n, sizeof(call->in) - call->in_n, MSG_DONTWAIT);
	size_t at = 0;

	if (got == 0 || (got < 0 && errno != EAGAIN))
		die("the TURN server is gone");
	if (got > 0)
		call->in_n += (size_t)got;
	while (call->in_n - at >= CHANNEL_HEAD) {
		const uint8_t *frame = call->in + at;
		size_t n = get16(frame + 2);
		bool data = get16(frame) == CHANNEL;
		size_t len = data ? CHANNEL_HEAD + ((n + 3) & ~(size_t)3) : STUN_HEAD + n;

		if (call->in_n - at < len)
			break;
		if (data)
			(void)sendto(call->udp, frame + CHANNEL_HEAD, n, 0,
			    (const struct sockaddr *)&c->inside, sizeof(c->inside));
		at += len;
	}
	call->in_n -= at;
	memmove(call->in, call->in + at, call->in_n);
}

int
main(int argc, char **argv)
{
	struct client c = { .calls_n = 0 };

	if (argc != 7) {
		fprintf(stderr,
		    "usage: turn_client SERVER CALLS AGENT_HOST AGENT_PORT INSIDE_PHONE "
		    "OUTSIDE_PHONE\n");
		return 2;
	}
	c.server = address(argv[1]);
	c.calls_n = (uint32_t)atoi(argv[2]);
	c.inside = address(argv[5]);
	c.outside = address(argv[6]);
	c.call = calloc(c.calls_n, sizeof(*c.call));
	c.epoll = epoll_create1(0);
	if (c.call == NULL || c.epoll < 0)
		die("memory");
	for (uint32_t i = 0; i < c.calls_n; i++)
		open_call(&c, i, argv[3], (unsigned)atoi(argv[4]) + 2 * i);
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct epoll_event e[TURN_MAX];
		int n = epoll_wait(c.epoll, e, TURN_MAX, -1);

		for (int i = 0; i < n; i++) {
			struct call *call = &c.call[e[i].data.u64 / 2];

			if (e[i].data.u64 % 2 == 0)
				on_phone(call);
			else
				on_server(&c, call);
		}
	}
}
