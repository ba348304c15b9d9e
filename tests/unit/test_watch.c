/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "media/watch.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"

#define SOCKETS_N 64
#define PATIENCE_US (60 * CLOCK_S) /* for what takes milliseconds on a machine that is not busy */

static struct event_base *base;
static struct media_watch *watch;
static int inlet[SOCKETS_N], outlet[SOCKETS_N];
static size_t read_n, looks_n;

static size_t
on_readable(void *arg, void *user, uint64_t now_us)
{
	char packet[16];

	(void)arg;
	assert_true(now_us <= clock_us());
	assert_true(recv(*(int *)user, packet, sizeof(packet), 0) > 0);
	read_n++;
	return 1;
}

static void
on_read(void *arg)
{
	(void)arg;
	looks_n++;
}

static const struct media_watch_handlers handlers = { on_readable, on_read };

static int
start(void **state)
{
	int pair[2];

	(void)state;
	read_n = looks_n = 0;
	base = event_base_new();
	watch = media_watch_new(base, &handlers, NULL);
	assert_non_null(watch);
	for (size_t i = 0; i < SOCKETS_N; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
		inlet[i] = pair[0];
		outlet[i] = pair[1];
		assert_int_equal(media_watch_add(watch, outlet[i], &outlet[i]), 0);
	}
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	for (size_t i = 0; i < SOCKETS_N; i++) {
		media_watch_remove(watch, outlet[i]);
		close(inlet[i]);
		close(outlet[i]);
	}
	media_watch_free(watch);
	event_base_free(base);
	return 0;
}

static void
say(size_t sockets_n)
{
	for (size_t i = 0; i < sockets_n; i++)
		assert_int_equal(send(inlet[i], "voice", 5, 0), 5);
}

static void
run_until_read(size_t n)
{
	uint64_t until_us = clock_us() + PATIENCE_US;

	while (read_n < n && clock_us() < until_us)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(read_n, n);
}

/* Speaks, and hears all of it, until each packet does not wake any more. */
static size_t
speak_until_busy(void)
{
	uint64_t until_us = clock_us() + PATIENCE_US;
	size_t said_n = 0;

	while (media_watch_gap_us(watch) == 0 && clock_us() < until_us) {
		say(SOCKETS_N);
		said_n += SOCKETS_N;
		run_until_read(said_n);
	}
	assert_int_not_equal(media_watch_gap_us(watch), 0);
	return said_n;
}

static void
few_packets_are_read_as_they_come(void **state)
{
	(void)state;
	assert_int_equal(media_watch_gap_us(watch), 0);
	say(1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(read_n, 1);
	assert_int_equal(looks_n, 1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(looks_n, 1);
}

static void
all_sockets_that_are_ready_are_read_in_one_look(void **state)
{
	(void)state;
	say(SOCKETS_N);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(read_n, SOCKETS_N);
	assert_int_equal(looks_n, 1);
}

static void
socket_that_was_removed_is_not_read(void **state)
{
	(void)state;
	media_watch_remove(watch, outlet[0]);
	say(1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(read_n, 0);
}

static void
many_packets_are_read_at_intervals_and_none_stays(void **state)
{
	size_t said_n;

	(void)state;
	said_n = speak_until_busy();
	say(SOCKETS_N);
	run_until_read(said_n + SOCKETS_N);
}

static void
quiet_ends_the_looking(void **state)
{
	uint64_t until_us = clock_us() + PATIENCE_US;
	size_t said_n;

	(void)state;
	said_n = speak_until_busy();
	while (media_watch_gap_us(watch) != 0 && clock_us() < until_us)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(media_watch_gap_us(watch), 0);
	looks_n = 0;
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(looks_n, 0);
	say(1);
	run_until_read(said_n + 1);
}

struct other {
	struct event *event;
	unsigned n;
};

static void
on_other(evutil_socket_t fd, short what, void *arg)
{
	struct other *o = arg;
	char byte;

	(void)what;
	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	o->n++;
}

/* What else the loop waits for has its turn between two looks, and all that it sets going as well. */
static void
nap_keeps_nobody_out(void **state)
{
	struct other other = { NULL, 0 };
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
	other.event = event_new(base, pair[0], EV_READ | EV_PERSIST, on_other, &other);
	event_add(other.event, NULL);
	(void)speak_until_busy();
	for (unsigned i = 0; i < 8 && media_watch_gap_us(watch) != 0; i++) {
		assert_int_equal(send(pair[1], "x", 1, 0), 1);
		event_base_loop(base, EVLOOP_ONCE);
		assert_int_equal(other.n, i + 1);
	}
	event_free(other.event);
	close(pair[0]);
	close(pair[1]);
}

static void
gap_passes_between_two_looks(void **state)
{
	uint64_t before_us;
	unsigned gap_us;

	(void)state;
	(void)speak_until_busy();
	event_base_loop(base, EVLOOP_ONCE);
	gap_us = media_watch_gap_us(watch);
	before_us = clock_us();
	looks_n = 0;
	while (looks_n < 3 && media_watch_gap_us(watch) != 0)
		event_base_loop(base, EVLOOP_ONCE);
	if (media_watch_gap_us(watch) == gap_us)
		assert_true(clock_us() - before_us >= 2 * gap_us);
}

/* -- The rule -- */

static void
gap_begins_with_load_and_ends_at_half_of_it(void **state)
{
	unsigned gap_us = media_watch_choose(0, WATCH_BUSY - 1);

	(void)state;
	assert_int_equal(gap_us, 0);
	gap_us = media_watch_choose(0, WATCH_BUSY);
	assert_int_not_equal(gap_us, 0);
	assert_int_not_equal(media_watch_choose(gap_us, WATCH_BUSY / 2), 0);
	assert_int_equal(media_watch_choose(gap_us, WATCH_BUSY / 2 - 1), 0);
	assert_int_equal(media_watch_choose(gap_us, 0), 0);
}

static void
gap_grows_with_the_load_within_its_bounds(void **state)
{
	unsigned last_us = 0;

	(void)state;
	for (uint64_t rate = WATCH_BUSY; rate < 10000000; rate += rate / 7) {
		unsigned gap_us = media_watch_choose(0, rate);

		assert_in_range(gap_us, WATCH_GAP_MIN_US, WATCH_GAP_MAX_US);
		assert_in_range(gap_us, last_us, WATCH_GAP_MAX_US);
		last_us = gap_us;
	}
	assert_int_equal(media_watch_choose(0, 36000), 200);
	assert_int_equal(media_watch_choose(0, UINT64_MAX), WATCH_GAP_MAX_US);
}

static void
rate_that_sways_leaves_the_gap(void **state)
{
	(void)state;
	assert_int_equal(media_watch_choose(200, 31000), 200);
	assert_int_equal(media_watch_choose(200, 44000), 200);
	assert_int_equal(media_watch_choose(200, 72000), 400);
	assert_int_equal(media_watch_choose(400, 36000), 200);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(few_packets_are_read_as_they_come, start, stop),
		cmocka_unit_test_setup_teardown(all_sockets_that_are_ready_are_read_in_one_look,
		    start, stop),
		cmocka_unit_test_setup_teardown(socket_that_was_removed_is_not_read, start, stop),
		cmocka_unit_test_setup_teardown(many_packets_are_read_at_intervals_and_none_stays,
		    start, stop),
		cmocka_unit_test_setup_teardown(quiet_ends_the_looking, start, stop),
		cmocka_unit_test_setup_teardown(nap_keeps_nobody_out, start, stop),
		cmocka_unit_test_setup_teardown(gap_passes_between_two_looks, start, stop),
		cmocka_unit_test(gap_begins_with_load_and_ends_at_half_of_it),
		cmocka_unit_test(gap_grows_with_the_load_within_its_bounds),
		cmocka_unit_test(rate_that_sways_leaves_the_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
