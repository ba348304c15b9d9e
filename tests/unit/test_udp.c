/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#include "base/err.h"
#include "base/udp.h"

#define BURST_N 200

struct end {
	struct udp *udp;
	size_t got_n, turns_n;
	uint8_t last[UDP_DATAGRAM_MAX];
	size_t last_len;
	struct udp_path from;
	bool echo;
};

static void
on_datagram(void *arg, uint8_t *data, size_t n, const struct udp_path *from)
{
	struct end *e = arg;

	assert_true(n <= sizeof(e->last));
	e->got_n++;
	memcpy(e->last, data, n);
	e->last_len = n;
	e->from = *from;
	if (e->echo)
		udp_send(e->udp, from, data, n);
}

static void
on_turn(void *arg)
{
	struct end *e = arg;

	e->turns_n++;
	udp_flush(e->udp);
}

static const struct udp_handlers handlers = { on_datagram, on_turn };

struct pair {
	struct event_base *base;
	struct end server, client;
};

static struct pair *
pair_new(const char *listen, const char *host)
{
	static struct pair p;
	struct addr a, to;

	memset(&p, 0, sizeof(p));
	p.base = event_base_new();
	assert_int_equal(addr_parse(listen, 0, &a), 0);
	assert_int_equal(udp_new(p.base, &a, NULL, &handlers, &p.server, &p.server.udp), 0);
	assert_int_equal(addr_parse_host(host, strlen(host), 0, &to), 0);
	a = udp_addr(p.server.udp);
	addr_set_port(&to, addr_port(&a));
	assert_int_equal(udp_new(p.base, NULL, &to, &handlers, &p.client, &p.client.udp), 0);
	p.server.echo = true;
	return &p;
}

static void
pair_free(struct pair *p)
{
	udp_free(p->client.udp);
	udp_free(p->server.udp);
	event_base_free(p->base);
}

static void
run_until(struct pair *p, const size_t *counter, size_t n)
{
	for (int i = 0; i < 1000 && *counter < n; i++)
		event_base_loop(p->base, EVLOOP_ONCE);
	assert_int_equal(*counter, n);
}

static void
what_is_sent_leaves_at_the_flush_and_is_answered(void **state)
{
	struct pair *p = pair_new("127.0.0.1:0", "127.0.0.1");
	struct addr mine = udp_addr(p->client.udp);

	(void)state;
	udp_send(p->client.udp, NULL, (const uint8_t *)"voice", 5);
	event_base_loop(p->base, EVLOOP_NONBLOCK);
	assert_int_equal(p->server.got_n, 0);
	udp_flush(p->client.udp);
	run_until(p, &p->client.got_n, 1);
	assert_true(addr_equal(&p->server.from.remote, &mine));
	assert_int_equal(p->client.last_len, 5);
	assert_memory_equal(p->client.last, "voice", 5);
	pair_free(p);
}

static void
a_burst_comes_whole_and_in_few_turns(void **state)
{
	struct pair *p = pair_new("127.0.0.1:0", "127.0.0.1");
	uint8_t data[1253] = { 0 };

	(void)state;
	for (uint16_t i = 0; i < BURST_N; i++) {
		memcpy(data, &i, sizeof(i));
		udp_send(p->client.udp, NULL, data, sizeof(data) - i);
	}
	udp_flush(p->client.udp);
	run_until(p, &p->client.got_n, BURST_N);
	assert_true(p->server.turns_n < BURST_N / 10);
	assert_int_equal(p->client.last_len, sizeof(data) - (BURST_N - 1));
	assert_int_equal(udp_unsent(p->client.udp) + udp_unsent(p->server.udp), 0);
	pair_free(p);
}

/* The client hears only the address that it sent to. */
static void
the_answer_leaves_from_the_address_that_was_asked(void **state)
{
	static const char *const hosts[][2] = { { "0.0.0.0:0", "127.0.0.77" },
		{ "[::]:0", "::1" } };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct pair *p = pair_new(hosts[i][0], hosts[i][1]);
		struct addr asked;

		udp_send(p->client.udp, NULL, (const uint8_t *)"?", 1);
		udp_flush(p->client.udp);
		run_until(p, &p->client.got_n, 1);
		assert_int_equal(addr_parse_host(hosts[i][1], strlen(hosts[i][1]), 0, &asked), 0);
		assert_true(addr_same_host(&p->server.from.local, &asked));
		pair_free(p);
	}
}

static void
a_peer_that_is_not_there_is_no_end_of_it(void **state)
{
	struct pair *p = pair_new("127.0.0.1:0", "127.0.0.1");
	struct addr address = udp_addr(p->server.udp);

	(void)state;
	udp_free(p->server.udp);
	for (int i = 0; i < 10; i++) {
		udp_send(p->client.udp, NULL, (const uint8_t *)"voice", 5);
		udp_flush(p->client.udp);
		event_base_loop(p->base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(udp_new(p->base, &address, NULL, &handlers, &p->server, &p->server.udp),
	    0);
	p->server.got_n = 0;
	udp_send(p->client.udp, NULL, (const uint8_t *)"again", 5);
	udp_flush(p->client.udp);
	run_until(p, &p->server.got_n, 1);
	pair_free(p);
}

static void
a_port_that_is_taken_is_told(void **state)
{
	struct pair *p = pair_new("127.0.0.1:0", "127.0.0.1");
	struct addr address = udp_addr(p->server.udp);
	struct udp *other;

	(void)state;
	assert_int_equal(udp_new(p->base, &address, NULL, &handlers, NULL, &other), ERR_IN_USE);
	pair_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sent_leaves_at_the_flush_and_is_answered),
		cmocka_unit_test(a_burst_comes_whole_and_in_few_turns),
		cmocka_unit_test(the_answer_leaves_from_the_address_that_was_asked),
		cmocka_unit_test(a_peer_that_is_not_there_is_no_end_of_it),
		cmocka_unit_test(a_port_that_is_taken_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
