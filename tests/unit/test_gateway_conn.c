/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long a connection may live that carries no stream, and which goes when there are too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "hras/gateway/conn.h"
#include "hras/gateway/gateway.h"

#define PENDING_US (200 * CLOCK_MS)

struct rig {
	struct event_base *base;
	struct gateway_conns all;
	unsigned closed_n;
};

struct pipe {
	struct gateway_conn *conn;
	int fd[2];
};

static void
on_closed(void *arg)
{
	((struct rig *)arg)->closed_n++;
}

static void
rig_init(struct rig *r)
{
	*r = (struct rig){ .base = event_base_new() };
	gateway_conns_init(&r->all, r->base, PENDING_US, on_closed, r);
}

static void
rig_free(struct rig *r)
{
	gateway_conns_end(&r->all);
	event_base_free(r->base);
}

static struct pipe
accepted(struct rig *r)
{
	const struct sockaddr_in from = { .sin_family = AF_INET };
	struct pipe p;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p.fd), 0);
	p.conn = gateway_conn_new(&r->all, p.fd[0], (const struct sockaddr *)&from);
	return p;
}

static void
closed(struct pipe *p)
{
	gateway_conn_free(p->conn);
	close(p->fd[0]);
	close(p->fd[1]);
}

static bool
is_shut(const struct pipe *p)
{
	char byte;

	return recv(p->fd[1], &byte, 1, MSG_PEEK) == 0;
}

static void
pass(struct rig *r, uint64_t us)
{
	const struct timeval tv = { 0, (suseconds_t)us };

	event_base_loopexit(r->base, &tv);
	event_base_dispatch(r->base);
}

static void
a_stranger_goes_in_time_though_another_rests_for_longer(void **state)
{
	struct rig r;
	struct pipe rests, stranger;

	(void)state;
	rig_init(&r);
	rests = accepted(&r);
	gateway_conn_becomes(rests.conn, GATEWAY_CONN_BUSY);
	gateway_conn_becomes(rests.conn, GATEWAY_CONN_RESTING);
	pass(&r, 50 * CLOCK_MS);
	stranger = accepted(&r);
	pass(&r, 100 * CLOCK_MS);
	assert_false(is_shut(&stranger));
	pass(&r, 300 * CLOCK_MS);
	assert_true(is_shut(&stranger));
	assert_false(is_shut(&rests));
	assert_int_equal(r.all.expired, 1);
	assert_true(r.closed_n > 0);
	closed(&rests);
	closed(&stranger);
	rig_free(&r);
}

static void
asking_again_and_again_gives_a_stranger_no_more_time(void **state)
{
	struct rig r;
	struct pipe p;

	(void)state;
	rig_init(&r);
	p = accepted(&r);
	for (unsigned i = 0; i < 8; i++) {
		gateway_conn_becomes(p.conn, GATEWAY_CONN_PENDING);
		pass(&r, 50 * CLOCK_MS);
	}
	assert_true(is_shut(&p));
	closed(&p);
	rig_free(&r);
}

static void
strangers_push_each_other_out_and_none_that_rests(void **state)
{
	static struct pipe p[GATEWAY_PENDING_MAX / 4];
	struct pipe rests;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.all.queues[GATEWAY_CONN_PENDING].max = 10;
	rests = accepted(&r);
	gateway_conn_becomes(rests.conn, GATEWAY_CONN_RESTING);
	for (size_t i = 0; i < sizeof(p) / sizeof(*p); i++)
		p[i] = accepted(&r);
	for (size_t i = 0; i < sizeof(p) / sizeof(*p); i++) {
		assert_int_equal(is_shut(&p[i]), i + 10 < sizeof(p) / sizeof(*p));
		closed(&p[i]);
	}
	assert_false(is_shut(&rests));
	closed(&rests);
	rig_free(&r);
}

static void
of_those_that_rest_the_eldest_goes_when_they_are_too_many(void **state)
{
	struct pipe p[3];
	struct rig r;

	(void)state;
	rig_init(&r);
	r.all.queues[GATEWAY_CONN_RESTING].max = 2;
	for (size_t i = 0; i < 3; i++) {
		p[i] = accepted(&r);
		gateway_conn_becomes(p[i].conn, GATEWAY_CONN_RESTING);
	}
	assert_true(is_shut(&p[0]) && !is_shut(&p[1]) && !is_shut(&p[2]));
	for (size_t i = 0; i < 3; i++)
		closed(&p[i]);
	rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stranger_goes_in_time_though_another_rests_for_longer),
		cmocka_unit_test(asking_again_and_again_gives_a_stranger_no_more_time),
		cmocka_unit_test(strangers_push_each_other_out_and_none_that_rests),
		cmocka_unit_test(of_those_that_rest_the_eldest_goes_when_they_are_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
