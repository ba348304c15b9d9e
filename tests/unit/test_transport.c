/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "sip/transport.h"

/* A transport with loopback listeners, real sockets of a peer, and what the handlers were told. */
#define GOT_MAX 600

struct world {
	struct event_base *base;
	struct sip_transport *t;
	size_t got_n, failed_n, closed_n;
	struct sip_flow flow; /* of the last message */
	char text[2000];      /* the last message */
	size_t text_len;
	uint64_t failed_tag[GOT_MAX];
	int failed_err;
	uint64_t closed_conn;
	bool echo; /* every message is sent back on its flow */
};

static void
on_message(void *arg, const struct sip_flow *flow, const char *data, size_t n)
{
	struct world *w = arg;

	w->got_n++;
	w->flow = *flow;
	w->text_len = n;
	assert_true(n < sizeof(w->text));
	memcpy(w->text, data, n);
	w->text[n] = '\0';
	if (w->echo)
		assert_int_equal(sip_transport_send(w->t, flow, 1, data, n), 0);
}

static void
on_failed(void *arg, const struct sip_flow *flow, uint64_t tag, int err)
{
	struct world *w = arg;

	(void)flow;
	assert_true(w->failed_n < GOT_MAX);
	w->failed_tag[w->failed_n++] = tag;
	w->failed_err = err;
}

static void
on_closed(void *arg, uint64_t conn)
{
	struct world *w = arg;

	w->closed_n++;
	w->closed_conn = conn;
}

static int
set_up(void **state)
{
	static const struct sip_transport_handlers h = { on_message, on_failed, on_closed };
	struct world *w = mem_zalloc(sizeof(*w));

	w->base = event_base_new();
	w->t = sip_transport_new(w->base, &h, w);
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	sip_transport_free(w->t);
	event_base_free(w->base);
	mem_free(w);
	return 0;
}

/* Runs the loop until the condition holds; fails when it does not within 5 s. */
#define WAIT(w, condition)                                                     \
	do {                                                                   \
		uint64_t end_us_ = clock_us() + 5 * CLOCK_S;                   \
                                                                               \
		while (!(condition)) {                                         \
			if (clock_us() > end_us_)                              \
				fail_msg("never became true: %s", #condition); \
			event_base_loop((w)->base, EVLOOP_NONBLOCK);           \
		}                                                              \
	} while (0)

static uint64_t
counter(const struct world *w, const char *name)
{
	struct metric_set s = sip_transport_metrics(w->t);

	for (const struct metric *m = s.table; m->name != NULL; m++)
		if (strcmp(m->name, name) == 0)
			return metric_value(&s, m);
	fail_msg("no counter %s", name);
	return 0;
}

static struct addr
listen_on(struct world *w, enum sip_proto proto, const char *host)
{
	struct sip_listener l = { .proto = proto };

	assert_int_equal(addr_parse(host, 0, &l.addr), 0);
	assert_int_equal(sip_transport_listen(w->t, &l), 0);
	l = sip_transport_listener(w->t, sip_transport_listeners_n(w->t) - 1);
	assert_int_not_equal(addr_port(&l.addr), 0);
	return l.addr;
}

/* A non-blocking socket of the peer's, bound to a port of the system's choice on `host`. */
static int
peer_socket(int type, const char *host, struct addr *own)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr a;
	int fd;

	assert_int_equal(addr_parse(host, 0, &a), 0);
	fd = socket(a.u.sa.sa_family, type | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &a.u.sa, addr_len(&a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	addr_from_sockaddr((struct sockaddr *)&ss, own);
	return fd;
}

static int
peer_connect(struct world *w, const struct addr *to)
{
	struct addr own;
	uint64_t before = counter(w, "sip_conns_accepted");
	int fd = peer_socket(SOCK_STREAM, "127.0.0.1", &own);

	assert_int_equal(connect(fd, &to->u.sa, addr_len(to)), 0);
	WAIT(w, counter(w, "sip_conns_accepted") == before + 1);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void
peer_write(int fd, const char *data, size_t n)
{
	assert_int_equal(send(fd, data, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Reads until n bytes came, with the loop running. */
static void
peer_read(struct world *w, int fd, char *buf, size_t n)
{
	size_t got = 0;
	ssize_t r;

	while (got < n) {
		WAIT(w, (r = recv(fd, buf + got, n - got, MSG_DONTWAIT)) >= 0);
		assert_true(r > 0);
		got += (size_t)r;
	}
	buf[n] = '\0';
}

static bool
peer_is_closed(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

static const char message[] = "OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 4\r\n\r\nbody";
static const char short_message[] = "BYE sip:a@b SIP/2.0\r\nl:0\r\n\r\n";
#define MESSAGE_LEN (sizeof(message) - 1)
#define SHORT_LEN (sizeof(short_message) - 1)

/* -- UDP -- */

static void
datagrams_there_and_back(struct world *w, const char *host)
{
	struct addr here = listen_on(w, SIP_UDP, host), own;
	char buf[100];
	int fd = peer_socket(SOCK_DGRAM, host, &own);
	ssize_t n;

	w->echo = true;
	assert_true(sendto(fd, message, MESSAGE_LEN, 0, &here.u.sa, addr_len(&here)) > 0);
	WAIT(w, w->got_n == 1);
	assert_string_equal(w->text, message);
	assert_int_equal(w->flow.proto, SIP_UDP);
	assert_int_equal(w->flow.conn, 0);
	assert_true(addr_equal(&w->flow.peer, &own));
	WAIT(w, (n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) >= 0);
	assert_int_equal(n, MESSAGE_LEN);
	close(fd);
}

static void
datagram_is_received_with_its_source_and_can_be_answered(void **state)
{
	datagrams_there_and_back(*state, "127.0.0.1");
}

static void
datagram_over_ipv6_is_too(void **state)
{
	datagrams_there_and_back(*state, "::1");
}

static void
datagrams_that_cannot_be_sip_are_dropped_and_counted(void **state)
{
	struct world *w = *state;
	struct addr here = listen_on(w, SIP_UDP, "127.0.0.1"), own;
	static const char stun[20] = "\0\1\0\0\x21\x12\xa4\x42";
	int fd = peer_socket(SOCK_DGRAM, "127.0.0.1", &own);

	assert_int_equal(connect(fd, &here.u.sa, addr_len(&here)), 0);
	peer_write(fd, "", 0);
	peer_write(fd, "\r\n\r\n", 4);
	peer_write(fd, "\0\0\0\0", 4);
	peer_write(fd, stun, sizeof(stun));
	peer_write(fd, "\x80garbage", 8);
	peer_write(fd, message, MESSAGE_LEN);
	WAIT(w, w->got_n == 1);
	assert_int_equal(counter(w, "sip_keepalives_received"), 3);
	assert_int_equal(counter(w, "sip_stun_dropped"), 1);
	assert_int_equal(counter(w, "sip_datagrams_dropped"), 1);
	assert_int_equal(counter(w, "sip_datagrams_received"), 1);
	close(fd);
}

static void
a_burst_of_datagrams_comes_whole_and_in_order(void **state)
{
	enum { BURST = 200 };
	struct world *w = *state;
	struct addr here = listen_on(w, SIP_UDP, "127.0.0.1"), own;
	int fd = peer_socket(SOCK_DGRAM, "127.0.0.1", &own);
	char text[64];

	assert_int_equal(connect(fd, &here.u.sa, addr_len(&here)), 0);
	for (unsigned i = 1; i <= BURST; i++)
		peer_write(fd, text, (size_t)sprintf(text, "message %u", i));
	WAIT(w, w->got_n == BURST);
	assert_string_equal(w->text, "message 200");
	close(fd);
}

static void
datagram_is_marked_af31(void **state)
{
	struct world *w = *state;
	struct sip_flow to = { .proto = SIP_UDP };
	int fd = peer_socket(SOCK_DGRAM, "127.0.0.1", &to.peer), on = 1;
	char data[100], control[100];
	struct iovec iov = { data, sizeof(data) };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg;

	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on)), 0);
	listen_on(w, SIP_UDP, "127.0.0.1");
	assert_int_equal(sip_transport_send(w->t, &to, 1, message, MESSAGE_LEN), 0);
	assert_int_equal(recvmsg(fd, &msg, 0), MESSAGE_LEN);
	cmsg = CMSG_FIRSTHDR(&msg);
	assert_non_null(cmsg);
	assert_int_equal(cmsg->cmsg_type, IP_TOS);
	assert_int_equal(*CMSG_DATA(cmsg) >> 2, 26);
	close(fd);
}

static void
send_refuses_what_no_listener_can_carry(void **state)
{
	struct world *w = *state;
	struct sip_flow to = { .proto = SIP_UDP };
	char *big = mem_zalloc(65508);

	listen_on(w, SIP_UDP, "127.0.0.1");
	assert_int_equal(addr_parse("127.0.0.1:9", 0, &to.peer), 0);
	assert_int_equal(sip_transport_send(w->t, &to, 1, big, 65508), ERR_TOO_BIG);
	assert_int_equal(sip_transport_send(w->t, &to, 1, big, 65507), 0);
	to.proto = SIP_TCP;
	assert_int_equal(sip_transport_send(w->t, &to, 1, message, MESSAGE_LEN), ERR_UNSUPPORTED);
	to.proto = SIP_UDP;
	assert_int_equal(addr_parse("[::1]:9", 0, &to.peer), 0);
	assert_int_equal(sip_transport_send(w->t, &to, 1, message, MESSAGE_LEN), ERR_UNSUPPORTED);
	mem_free(big);
}

static void
listener_on_a_port_that_is_taken_says_so(void **state)
{
	struct world *w = *state;
	struct sip_listener l = { .proto = SIP_UDP };

	l.addr = listen_on(w, SIP_UDP, "127.0.0.1");
	assert_int_equal(sip_transport_listen(w->t, &l), ERR_IN_USE);
	l.proto = SIP_TCP;
	l.addr = listen_on(w, SIP_TCP, "127.0.0.1");
	assert_int_equal(sip_transport_listen(w->t, &l), ERR_IN_USE);
	assert_int_equal(addr_parse("192.0.2.1:5060", 0, &l.addr), 0);
	assert_int_equal(sip_transport_listen(w->t, &l), ERR_IO);
	l.proto = SIP_TLS;
	assert_int_equal(sip_transport_listen(w->t, &l), ERR_UNSUPPORTED);
	assert_int_equal(sip_transport_listeners_n(w->t), 2);
}

/* -- TCP: streams -- */

static void
stream_cut_at_every_byte_gives_the_same_messages(void **state)
{
	struct world *w = *state;
	struct addr here = listen_on(w, SIP_TCP, "127.0.0.1");
	char text[MESSAGE_LEN + SHORT_LEN + 3];
	size_t n = (size_t)sprintf(text, "%s\r\n%s", message, short_message);

	for (size_t cut = 1; cut < n; cut++) {
		size_t before = w->got_n, whole = cut >= MESSAGE_LEN;
		int fd = peer_connect(w, &here);

		peer_write(fd, text, cut);
		WAIT(w, w->got_n == before + whole);
		for (int i = 0; i < 5; i++)
			event_base_loop(w->base, EVLOOP_NONBLOCK);
		assert_int_equal(w->got_n, before + whole);
		peer_write(fd, text + cut, n - cut);
		WAIT(w, w->got_n == before + 2);
		assert_string_equal(w->text, short_message);
		assert_int_equal(w->flow.proto, SIP_TCP);
		close(fd);
	}
	assert_int_equal(counter(w, "sip_conns_malformed"), 0);
}

static void
stream_brought_byte_by_byte_is_understood(void **state)
{
	struct world *w = *state;
	struct addr here = listen_on(w, SIP_TCP, "127.0.0.1");
	int fd = peer_connect(w, &here);

	for (size_t i = 0; i < MESSAGE_LEN; i++) {
		assert_int_equal(w->got_n, 0);
		peer_write(fd, message + i, 1);
		event_base_loop(w->base, EVLOOP_NONBLOCK);
	}
	WAIT(w, w->got_n == 1);
	assert_string_equal(w->text, message);
	close(fd);
}

static void
many_messages_in_one_segment_come_one_by_one(void **state)
{
	struct world *w = *state;
	struct addr here = listen_on(w, SIP_TCP, "127.0.0.1");
	char text[10 * (MESSAGE_LEN + SHORT_LEN) + 1], *p = text;
	int fd = peer_connect(w, &here);

	for (int i = 0; i < 10; i++)
		p += sprintf(p, "%s%s", message, short_message);
	peer_write(fd, text, (size_t)(p - text));
	WAIT(w, w->got_n == 20);
	assert_string_equal(w->text, short_message);
	close(fd);
}

static void
stream_whose_frames_are_lost_is_closed(void **state)
{
	static const char *const lost[] = {
		"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: -1\r\n\r\n",
		"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 65536\r\n\r\n",
		"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 1 2\r\n\r\n",
		"OPTIONS sip:a@b SIP/2.0\r\nContent-Length:\r\n\r\n",
		"OPTIONS sip:a@b SIP/2.0\r\nFrom: x\r\n\r\n",
		"OPTIONS sip:a@b SIP/2.0\r\nl: 1\r\nContent-Length: 2\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	};
	struct world *w = *state;
	struct addr here = listen_on(w, SIP_TCP, "127.0.0.1");
	size_t n = sizeof(lost) / sizeof(lost[0]);

	for (size_t i = 0; i < n; i++) {
		int fd = peer_connect(w, &here);

		peer_write(fd, lost[i], strlen(lost[i]));
		WAIT(w, peer_is_closed(fd));
		close(fd);
	}
	assert_int_equal(w->got_n, 0);
	assert_int_equal(w->closed_n, n);
	assert_int_equal(counter(w, "sip_conns_malformed"), n);
	assert_int_equal(counter(w, "sip_conns"), 0);
}

static void
stream_without_an_end_of_its_header_is_closed_at_the_cap(void **state)
{
	struct world *w = *state;
	struct addr here = listen_on(w, SIP_TCP, "127.0.0.1");
	int fd = peer_connect(w, &here);
	char line[1000];

	memset(line, 'x', sizeof(line));
	WAIT(w,
	    (event_base_loop(w->base, EVLOOP_NONBLOCK),
		send(fd, line, sizeof(line), MSG_NOSIGNAL) < 0 && errno != EAGAIN));
	assert_int_equal(counter(w, "sip_conns_malformed"), 1);
	close(fd);
}

static void
ping_is_answered_with_a_pong_also_when_it_comes_in_halves(void **state)
{
	struct world *w = *state;
	struct addr here = listen_on(w, SIP_TCP, "127.0.0.1");
	int fd = peer_connect(w, &here);
	char buf[10];

	peer_write(fd, "\r\n\r\n", 4);
	peer_read(w, fd, buf, 2);
	assert_string_equal(buf, "\r\n");
	peer_write(fd, "\r\n", 2);
	for (int i = 0; i < 5; i++)
		event_base_loop(w->base, EVLOOP_NONBLOCK);
	assert_true(recv(fd, buf, 1, MSG_DONTWAIT) < 0);
	peer_write(fd, "\r\n", 2);
	peer_read(w, fd, buf, 2);
	peer_write(fd, message, MESSAGE_LEN);
	WAIT(w, w->got_n == 1);
	assert_int_equal(counter(w, "sip_keepalives_received"), 2);
	close(fd);
}

/* -- TCP: connections -- */

static void
answer_goes_back_on_the_connection_it_is_for(void **state)
{
	struct world *w = *state;
	struct addr here = listen_on(w, SIP_TCP, "127.0.0.1");
	int fd[2] = { peer_connect(w, &here), peer_connect(w, &here) };
	struct sip_flow first;
	char buf[SHORT_LEN + 1];

	peer_write(fd[0], message, MESSAGE_LEN);
	WAIT(w, w->got_n == 1);
	first = w->flow;
	peer_write(fd[1], message, MESSAGE_LEN);
	WAIT(w, w->got_n == 2);
	assert_true(first.conn != 0 && w->flow.conn != 0 && first.conn != w->flow.conn);
	assert_int_equal(sip_transport_send(w->t, &first, 1, short_message, SHORT_LEN), 0);
	peer_read(w, fd[0], buf, SHORT_LEN);
	assert_string_equal(buf, short_message);
	assert_true(recv(fd[1], buf, 1, MSG_DONTWAIT) < 0);
	first.conn = 0; /* by the peer's address alone */
	assert_int_equal(sip_transport_send(w->t, &first, 1, short_message, SHORT_LEN), 0);
	peer_read(w, fd[0], buf, SHORT_LEN);
	assert_int_equal(counter(w, "sip_conns_opened"), 0);
	close(fd[0]);
	close(fd[1]);
}

static void
connection_is_opened_once_for_all_that_waits_and_used_again(void **state)
{
	struct world *w = *state;
	struct sip_flow to = { .proto = SIP_TCP };
	char buf[3 * SHORT_LEN + 1];
	int listener = peer_socket(SOCK_STREAM, "127.0.0.1", &to.peer), fd;

	listen_on(w, SIP_TCP, "127.0.0.1");
	assert_int_equal(listen(listener, 5), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(sip_transport_send(w->t, &to, 1, short_message, SHORT_LEN), 0);
	fd = accept(listener, NULL, NULL);
	peer_read(w, fd, buf, 2 * SHORT_LEN);
	assert_int_equal(sip_transport_send(w->t, &to, 1, short_message, SHORT_LEN), 0);
	peer_read(w, fd, buf, SHORT_LEN);
	peer_write(fd, message, MESSAGE_LEN);
	WAIT(w, w->got_n == 1);
	assert_true(addr_equal(&w->flow.peer, &to.peer));
	assert_int_equal(counter(w, "sip_conns_opened"), 1);
	assert_int_equal(counter(w, "sip_stream_messages_sent"), 3);
	assert_int_equal(w->failed_n, 0);
	close(fd);
	WAIT(w, w->closed_n == 1);
	assert_int_equal(w->closed_conn, w->flow.conn);
	close(listener);
}

static void
refused_connection_fails_each_waiting_message_in_a_later_turn(void **state)
{
	struct world *w = *state;
	struct sip_flow to = { .proto = SIP_TCP };
	int fd = peer_socket(SOCK_STREAM, "127.0.0.1", &to.peer); /* bound, not listening */

	listen_on(w, SIP_TCP, "127.0.0.1");
	assert_int_equal(sip_transport_send(w->t, &to, 11, short_message, SHORT_LEN), 0);
	assert_int_equal(sip_transport_send(w->t, &to, 22, short_message, SHORT_LEN), 0);
	assert_int_equal(w->failed_n, 0);
	WAIT(w, w->failed_n == 2);
	assert_int_equal(w->failed_tag[0], 11);
	assert_int_equal(w->failed_tag[1], 22);
	assert_int_equal(w->failed_err, ERR_DOWN);
	assert_int_equal(counter(w, "sip_conns"), 0);
	close(fd);
}

static void
message_for_a_connection_that_is_gone_fails_and_opens_none(void **state)
{
	struct world *w = *state;
	struct addr here = listen_on(w, SIP_TCP, "127.0.0.1");
	int fd = peer_connect(w, &here);

	peer_write(fd, message, MESSAGE_LEN);
	WAIT(w, w->got_n == 1);
	close(fd);
	WAIT(w, w->closed_n == 1);
	assert_int_equal(sip_transport_send(w->t, &w->flow, 5, short_message, SHORT_LEN), 0);
	assert_int_equal(w->failed_n, 0);
	WAIT(w, w->failed_n == 1);
	assert_int_equal(w->failed_tag[0], 5);
	assert_int_equal(counter(w, "sip_conns_opened"), 0);
}

static void
peer_that_reads_nothing_is_closed_at_the_cap_and_the_unsent_told(void **state)
{
	struct world *w = *state;
	struct addr here = listen_on(w, SIP_TCP, "127.0.0.1");
	int fd = peer_connect(w, &here);
	char *big = mem_zalloc(60000);
	uint64_t tag = 0;
	size_t came = 0;
	ssize_t n;

	peer_write(fd, message, MESSAGE_LEN);
	WAIT(w, w->got_n == 1);
	while (counter(w, "sip_conns") == 1 && tag < GOT_MAX)
		sip_transport_send(w->t, &w->flow, ++tag, big, 60000);
	WAIT(w, w->closed_n == 1);
	while ((n = recv(fd, big, 60000, MSG_DONTWAIT)) > 0)
		came += (size_t)n;
	/* What did not come whole was told, and nothing else. */
	assert_int_equal(w->failed_n, tag - came / 60000);
	for (size_t i = 0; i < w->failed_n; i++)
		assert_int_equal(w->failed_tag[i], came / 60000 + 1 + i);
	assert_int_equal(w->failed_err, ERR_FULL);
	mem_free(big);
	close(fd);
}

static void
silent_and_half_spoken_and_idle_connections_are_closed_in_time(void **state)
{
	struct world *w = *state;
	struct addr here = listen_on(w, SIP_TCP, "127.0.0.1");
	int silent, half, idle, late;

	sip_transport_times(w->t, 5000, 60, 100000);
	silent = peer_connect(w, &here);
	half = peer_connect(w, &here);
	peer_write(half, message, MESSAGE_LEN);
	WAIT(w, w->got_n == 1);
	peer_write(half, message, 10);
	idle = peer_connect(w, &here);
	peer_write(idle, message, MESSAGE_LEN);
	late = peer_connect(w, &here);
	peer_write(late, message, MESSAGE_LEN);
	WAIT(w, peer_is_closed(silent) && peer_is_closed(half));
	assert_int_equal(counter(w, "sip_conns_timed_out"), 2);
	/* After its first deadline the next one is that of idleness, until a message begins. */
	close(silent);
	silent = peer_connect(w, &here);
	WAIT(w, peer_is_closed(silent));
	peer_write(late, message, 10);
	WAIT(w, peer_is_closed(late));
	close(late);
	assert_int_equal(counter(w, "sip_conns_timed_out"), 4);
	assert_false(peer_is_closed(idle));
	sip_transport_times(w->t, 5000, 60, 20);
	close(idle);
	idle = peer_connect(w, &here);
	peer_write(idle, message, MESSAGE_LEN);
	WAIT(w, peer_is_closed(idle));
	close(silent);
	close(half);
	close(idle);
}

static void
connections_of_one_host_are_capped(void **state)
{
	struct world *w = *state;
	struct addr here = listen_on(w, SIP_TCP, "127.0.0.1"), own;
	int fd[TRANSPORT_CONNS_PER_HOST_MAX + 1];

	for (size_t i = 0; i < TRANSPORT_CONNS_PER_HOST_MAX; i++)
		fd[i] = peer_connect(w, &here);
	fd[TRANSPORT_CONNS_PER_HOST_MAX] = peer_socket(SOCK_STREAM, "127.0.0.1", &own);
	assert_int_equal(connect(fd[TRANSPORT_CONNS_PER_HOST_MAX], &here.u.sa, addr_len(&here)), 0);
	WAIT(w, counter(w, "sip_conns_refused") == 1);
	assert_true(peer_is_closed(fd[TRANSPORT_CONNS_PER_HOST_MAX]));
	close(fd[0]);
	WAIT(w, w->closed_n == 1);
	fd[0] = peer_connect(w, &here);
	for (size_t i = 0; i <= TRANSPORT_CONNS_PER_HOST_MAX; i++)
		close(fd[i]);
}

static void
accepting_pauses_without_file_descriptors_and_goes_on_later(void **state)
{
	struct world *w = *state;
	struct addr here = listen_on(w, SIP_TCP, "127.0.0.1"), own;
	int fd = peer_socket(SOCK_STREAM, "127.0.0.1", &own), turns = 0;
	struct rlimit limit, low;
	uint64_t end_us;

	assert_int_equal(connect(fd, &here.u.sa, addr_len(&here)), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = (rlim_t)fd; /* the next one would be at least fd + 1 */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	WAIT(w, counter(w, "sip_accept_pauses") == 1);
	/* It must sleep now, though the socket stays acceptable. */
	for (end_us = clock_us() + 200 * CLOCK_MS; clock_us() < end_us; turns++)
		event_base_loop(w->base, EVLOOP_NONBLOCK);
	assert_int_equal(counter(w, "sip_accept_pauses"), 1);
	assert_int_equal(counter(w, "sip_conns_accepted"), 0);
	assert_true(turns > 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	WAIT(w, counter(w, "sip_conns_accepted") == 1);
	close(fd);
}

static void
freeing_with_everything_open_leaks_nothing(void **state)
{
	struct world *w = *state;
	struct addr here = listen_on(w, SIP_TCP, "127.0.0.1"), own;
	struct sip_flow to = { .proto = SIP_TCP };
	int fd = peer_connect(w, &here), deaf = peer_socket(SOCK_STREAM, "127.0.0.1", &own);

	peer_write(fd, message, MESSAGE_LEN - 1);
	to.peer = own;
	assert_int_equal(sip_transport_send(w->t, &to, 1, short_message, SHORT_LEN), 0);
	to.conn = 12345; /* nobody's: a failure that is still to be told */
	assert_int_equal(addr_parse("127.0.0.1:1", 0, &to.peer), 0);
	assert_int_equal(sip_transport_send(w->t, &to, 1, short_message, SHORT_LEN), 0);
	sip_transport_free(w->t);
	w->t = NULL;
	assert_int_equal(w->failed_n + w->closed_n, 0);
	close(fd);
	close(deaf);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(datagram_is_received_with_its_source_and_can_be_answered),
		TEST(datagram_over_ipv6_is_too),
		TEST(datagrams_that_cannot_be_sip_are_dropped_and_counted),
		TEST(a_burst_of_datagrams_comes_whole_and_in_order),
		TEST(datagram_is_marked_af31),
		TEST(send_refuses_what_no_listener_can_carry),
		TEST(listener_on_a_port_that_is_taken_says_so),
		TEST(stream_cut_at_every_byte_gives_the_same_messages),
		TEST(stream_brought_byte_by_byte_is_understood),
		TEST(many_messages_in_one_segment_come_one_by_one),
		TEST(stream_whose_frames_are_lost_is_closed),
		TEST(stream_without_an_end_of_its_header_is_closed_at_the_cap),
		TEST(ping_is_answered_with_a_pong_also_when_it_comes_in_halves),
		TEST(answer_goes_back_on_the_connection_it_is_for),
		TEST(connection_is_opened_once_for_all_that_waits_and_used_again),
		TEST(refused_connection_fails_each_waiting_message_in_a_later_turn),
		TEST(message_for_a_connection_that_is_gone_fails_and_opens_none),
		TEST(peer_that_reads_nothing_is_closed_at_the_cap_and_the_unsent_told),
		TEST(silent_and_half_spoken_and_idle_connections_are_closed_in_time),
		TEST(connections_of_one_host_are_capped),
		TEST(accepting_pauses_without_file_descriptors_and_goes_on_later),
		TEST(freeing_with_everything_open_leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
