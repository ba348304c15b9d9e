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
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * What VoFW is measured against: the least that can carry voice over TCP. One TCP connection joins
 * two processes, each with a UDP socket for each call; a packet is framed by its length and its
 * call's number, 4 bytes. No HTTP, no authentication, no numbering, no latching, no counters, no
 * recovery. What came in one turn of the loop leaves in one write, as a fair reference would do it.
 *
 *	tcp_shim listen|connect [TCP_HOST:]TCP_PORT CALLS AGENT_HOST AGENT_PORT PHONE_HOST PHONE_PORT
 *
 * Call i has the UDP port AGENT_PORT + 2i and sends to PHONE_PORT. The phones of all calls share
 * an address: a relay tells its calls apart by its own ports. Prints "ready" when joined.
 */
#define FRAME 4
#define PACKET_MAX 2048
#define OUT_MAX (4U << 20)
#define TURN_MAX 512
#define TCP_ID UINT32_MAX

struct shim {
	int epoll, tcp;
	uint32_t calls_n;
	int *udp;
	struct sockaddr_in phone;
	uint8_t *out;
	size_t out_n;
	uint8_t in[1 << 18];
	size_t in_n;
	bool blocked;
};

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static struct sockaddr_in
address(const char *host, unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		die(host);
	return a;
}

static struct sockaddr_in
tcp_address(const char *where)
{
	const char *colon = strchr(where, ':');
	char host[64];

	if (colon == NULL)
		return address("127.0.0.1", (unsigned)atoi(where));
	snprintf(host, sizeof(host), "%.*s", (int)(colon - where), where);
	return address(host, (unsigned)atoi(colon + 1));
}

static void
watch(const struct shim *s, int fd, uint32_t events, uint32_t id, int op)
{
	struct epoll_event e = { .events = events, .data.u32 = id };

	if (epoll_ctl(s->epoll, op, fd, &e) < 0)
		die("epoll_ctl");
}

static int
join_tcp(bool listens, const char *where)
{
	struct sockaddr_in a = tcp_address(where);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0), accepted;

	if (!listens) {
		while (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
			if (errno != ECONNREFUSED)
				die("connect");
			close(fd);
			usleep(20000);
			fd = socket(AF_INET, SOCK_STREAM, 0);
		}
	} else {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
			die("listen");
		accepted = accept(fd, NULL, NULL);
		close(fd);
		fd = accepted;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void
open_calls(struct shim *s, const char *host, unsigned port)
{
	s->udp = calloc(s->calls_n, sizeof(*s->udp));
	for (uint32_t i = 0; i < s->calls_n; i++) {
		struct sockaddr_in a = address(host, port + 2 * i);

		s->udp[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		if (s->udp[i] < 0 || bind(s->udp[i], (struct sockaddr *)&a, sizeof(a)) < 0)
			die("bind");
		watch(s, s->udp[i], EPOLLIN, i, EPOLL_CTL_ADD);
	}
}

static void
on_phone(struct shim *s, uint32_t call)
{
	uint8_t *frame = s->out + s->out_n;
	ssize_t n;

	if (s->out_n + FRAME + PACKET_MAX > OUT_MAX)
		return; /* level-triggered: it waits in the socket */
	n = recv(s->udp[call], frame + FRAME, PACKET_MAX, 0);
	if (n < 0)
		return;
	frame[0] = (uint8_t)(n >> 8);
	frame[1] = (uint8_t)n;
	frame[2] = (uint8_t)(call >> 8);
	frame[3] = (uint8_t)call;
	s->out_n += FRAME + (size_t)n;
}

static void
flush(struct shim *s)
{
	ssize_t n;

	if (s->out_n == 0)
		return;
	n = send(s->tcp, s->out, s->out_n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		exit(0);
	if (n > 0) {
		s->out_n -= (size_t)n;
		memmove(s->out, s->out + n, s->out_n);
	}
	if (s->blocked != (s->out_n > 0)) {
		s->blocked = s->out_n > 0;
		watch(s, s->tcp, EPOLLIN | (s->blocked ? EPOLLOUT : 0), TCP_ID, EPOLL_CTL_MOD);
	}
}

static void
on_tcp(struct shim *s)
{
	ssize_t got = recv(s->tcp, s->in + s->in_n, sizeof(s->in) - s->in_n, MSG_DONTWAIT);
	size_t at = 0;

	if (got == 0 || (got < 0 && errno != EAGAIN))
		exit(0);
	if (got > 0)
		s->in_n += (size_t)got;
	while (s->in_n - at >= FRAME) {
		const uint8_t *frame = s->in + at;
		size_t n = (size_t)frame[0] << 8 | frame[1];
		uint32_t call = (uint32_t)frame[2] << 8 | frame[3];

		if (s->in_n - at < FRAME + n)
			break;
		if (call < s->calls_n)
			(void)sendto(s->udp[call], frame + FRAME, n, 0,
			    (struct sockaddr *)&s->phone, sizeof(s->phone));
		at += FRAME + n;
	}
	s->in_n -= at;
	memmove(s->in, s->in + at, s->in_n);
}

static void
run(struct shim *s)
{
	struct epoll_event e[TURN_MAX];

	for (;;) {
		int n = epoll_wait(s->epoll, e, TURN_MAX, -1);

		for (int i = 0; i < n; i++) {
			if (e[i].data.u32 == TCP_ID)
				on_tcp(s);
			else
				on_phone(s, e[i].data.u32);
		}
		flush(s);
	}
}

int
main(int argc, char **argv)
{
	static struct shim s;
	struct rlimit files;

	if (argc != 8) {
		fprintf(stderr,
		    "usage: tcp_shim listen|connect [TCP_HOST:]TCP_PORT CALLS "
		    "AGENT_HOST AGENT_PORT PHONE_HOST PHONE_PORT\n");
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);

	s.calls_n = (uint32_t)atoi(argv[3]);
	s.phone = address(argv[6], (unsigned)atoi(argv[7]));
	s.out = malloc(OUT_MAX);
	s.epoll = epoll_create1(0);
	open_calls(&s, argv[4], (unsigned)atoi(argv[5]));
	s.tcp = join_tcp(strcmp(argv[1], "listen") == 0, argv[2]);
	watch(&s, s.tcp, EPOLLIN, TCP_ID, EPOLL_CTL_ADD);
	puts("ready");
	fflush(stdout);
	run(&s);
}
