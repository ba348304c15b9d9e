/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "base/err.h"
#include "hrac/taught.h"

struct fixture {
	struct event_base *base;
	struct media *media;
	struct taught *taught;
	uint32_t failed_leg;
	int failed_err, failed_n;
	uint16_t port;
	unsigned heard_n;
	uint32_t heard_leg;
	struct heard heard;
};

static void
on_failed(void *arg, uint32_t leg, uint16_t port, int err)
{
	struct fixture *f = arg;

	(void)port;
	f->failed_leg = leg;
	f->failed_err = err;
	f->failed_n++;
}

/* Binds a UDP port of the loopback; *port is its number, 0 asks for any. -1 when it is taken. */
static int
bind_port(uint16_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons(*port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&a, n) != 0) {
		close(fd);
		return -1;
	}
	getsockname(fd, (struct sockaddr *)&a, &n);
	*port = ntohs(a.sin_port);
	return fd;
}

static bool
is_open(uint16_t port)
{
	int fd = bind_port(&port);

	if (fd >= 0)
		close(fd);
	return fd < 0;
}

/* An even port that is free now, its odd neighbour too. */
static uint16_t
free_port(void)
{
	uint16_t port, next;
	int fd, fd2;

	do {
		port = 0;
		fd = bind_port(&port);
		next = (uint16_t)(port + 1);
		fd2 = port % 2 == 0 && port < 65000 ? bind_port(&next) : -1;
		close(fd);
		if (fd2 >= 0)
			close(fd2);
	} while (fd2 < 0);
	return port;
}

static int
setup(void **state)
{
	static const struct media_handlers handlers;
	static struct fixture fixture;
	struct fixture *f = &fixture;
	struct media_cfg cfg = { 0 };

	memset(f, 0, sizeof(*f));
	addr_parse("127.0.0.1", 0, &cfg.address);
	f->base = event_base_new();
	f->media = media_new(f->base, &cfg, &handlers, f);
	f->taught = taught_new(f->media, on_failed, f);
	f->port = free_port();
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	taught_free(f->taught);
	assert_int_equal(media_legs_n(f->media), 0);
	media_free(f->media);
	event_base_free(f->base);
	return 0;
}

static void
teach_call(struct fixture *f, uint32_t number, const char *call_id)
{
	struct control_call c = { .call = number };

	c.call_id = (struct control_bytes){ (const uint8_t *)call_id, strlen(call_id) };
	c.from = c.to = c.call_id;
	assert_int_equal(taught_call(f->taught, &c), 0);
}

static void
teach_leg(struct fixture *f, uint32_t number, uint32_t call, uint16_t port)
{
	struct control_leg l = { .leg = number, .call = call, .port = port, .is_rtp = true };

	addr_parse("127.0.0.1:4000", 0, &l.rtp);
	assert_int_equal(taught_leg(f->taught, &l), 0);
}

static void
a_taught_leg_is_an_open_port_until_it_is_closed(void **state)
{
	struct fixture *f = *state;

	teach_call(f, 1, "c1");
	teach_leg(f, 5, 1, f->port);
	assert_true(is_open(f->port));
	assert_true(is_open((uint16_t)(f->port + 1)));
	teach_leg(f, 5, 1, f->port); /* the same again is an update */
	assert_int_equal(taught_legs_n(f->taught), 1);
	taught_leg_close(f->taught, 5);
	assert_false(is_open(f->port));
	assert_int_equal(f->failed_n, 0);
}

static void
a_port_held_by_another_is_told(void **state)
{
	struct fixture *f = *state;
	int fd = bind_port(&f->port);

	teach_leg(f, 5, 1, f->port);
	assert_int_equal(f->failed_n, 1);
	assert_int_equal(f->failed_leg, 5);
	assert_int_equal(f->failed_err, ERR_IN_USE);
	assert_int_equal(taught_legs_n(f->taught), 0);
	close(fd);
}

static void
what_a_sync_does_not_name_is_closed(void **state)
{
	struct fixture *f = *state;
	const struct taught_leg *legs[4];

	teach_call(f, 1, "kept");
	teach_call(f, 2, "dropped");
	teach_leg(f, 5, 1, f->port);
	teach_leg(f, 6, 2, free_port());
	taught_sync(f->taught, true);
	teach_call(f, 1, "kept");
	teach_leg(f, 5, 1, f->port);
	taught_sync(f->taught, false);
	assert_int_equal(taught_calls_n(f->taught), 1);
	assert_int_equal(taught_legs_n(f->taught), 1);
	assert_int_equal(taught_legs(f->taught, 1, legs, 4), 1);
	assert_int_equal(legs[0]->number, 5);
	assert_true(is_open(f->port));
}

static void
legs_of_a_call_come_in_the_order_of_their_streams(void **state)
{
	struct fixture *f = *state;
	struct control_leg video = { .leg = 9, .call = 1, .stream = 1, .port = free_port() };
	const struct taught_leg *legs[4];

	teach_call(f, 1, "c1");
	assert_int_equal(taught_leg(f->taught, &video), 0);
	teach_leg(f, 10, 1, f->port);
	assert_int_equal(taught_legs(f->taught, 1, legs, 4), 2);
	assert_int_equal(legs[0]->number, 10);
	assert_int_equal(legs[1]->number, 9);
	assert_int_equal(taught_legs(f->taught, 1, legs, 1), 1);
	assert_int_equal(taught_legs(f->taught, 77, legs, 4), 0);
}

static void
a_call_may_end_before_its_legs(void **state)
{
	struct fixture *f = *state;

	teach_call(f, 1, "c1");
	teach_leg(f, 5, 1, f->port);
	taught_call_end(f->taught, 1);
	assert_int_equal(taught_calls_n(f->taught), 0);
	assert_true(is_open(f->port));
	taught_leg_close(f->taught, 5);
	assert_false(is_open(f->port));
}

static void
on_heard(void *arg, uint32_t leg, const struct heard *h)
{
	struct fixture *f = arg;

	f->heard_n++;
	f->heard_leg = leg;
	f->heard = *h;
}

/* A packet of voice from HRAS for the phone of leg 5. */
static void
voice_comes(struct fixture *f, uint8_t seq)
{
	const uint8_t p[172] = { 0x80, 0, 0, seq };

	media_from_tunnel(f->media, 0, 10, p, sizeof(p), 1000000);
}

static void
what_a_phone_hears_is_told_once_and_in_its_turn(void **state)
{
	struct fixture *f = *state;

	teach_leg(f, 5, 1, f->port);
	taught_each_heard(f->taught, 0, 5, on_heard, f);
	assert_int_equal(f->heard_n, 0); /* nothing yet */
	voice_comes(f, 1);
	voice_comes(f, 4);
	for (unsigned part = 1; part < 5; part++)
		taught_each_heard(f->taught, part, 5, on_heard, f);
	assert_int_equal(f->heard_n, 0); /* not its turn */
	taught_each_heard(f->taught, 0, 5, on_heard, f);
	taught_each_heard(f->taught, 0, 5, on_heard, f);
	assert_int_equal(f->heard_n, 1);
	assert_int_equal(f->heard_leg, 5);
	assert_int_equal(f->heard.packets, 2);
	assert_int_equal(f->heard.lost, 2);
	voice_comes(f, 5);
	taught_each_heard(f->taught, 0, 5, on_heard, f);
	assert_int_equal(f->heard_n, 2);
}

static void
what_is_heard_of_a_phone_is_kept_and_summed_up(void **state)
{
	struct fixture *f = *state;
	struct heard h = { .packets = 100, .lost = 3, .mos = 400, .mos_recent = 410 };
	const struct taught_leg *legs[1];
	struct heard_sum sum;

	teach_call(f, 1, "c1");
	teach_leg(f, 5, 1, f->port);
	taught_heard(f->taught, 77, &h);
	taught_heard(f->taught, 5, &h);
	h.packets = 150;
	taught_heard(f->taught, 5, &h);
	assert_int_equal(taught_legs(f->taught, 1, legs, 1), 1);
	assert_int_equal(legs[0]->heard_of.packets, 150);
	sum = taught_take_heard(f->taught);
	assert_true(sum.audio == 150 && sum.lost == 3 && sum.streams == 2);
	assert_int_equal(taught_take_heard(f->taught).audio, 0);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_taught_leg_is_an_open_port_until_it_is_closed),
		TEST(a_port_held_by_another_is_told),
		TEST(what_a_sync_does_not_name_is_closed),
		TEST(legs_of_a_call_come_in_the_order_of_their_streams),
		TEST(a_call_may_end_before_its_legs),
		TEST(what_a_phone_hears_is_told_once_and_in_its_turn),
		TEST(what_is_heard_of_a_phone_is_kept_and_summed_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
