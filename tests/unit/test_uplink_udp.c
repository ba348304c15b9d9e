/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/udp.h"
#include "hrac/uplink/udp.h"
#include "tunnel/datagram.h"

/* The client's tunnel and socket; HRAS is a socket that answers questions, and one that does not. */

static const struct tunnel_grant grant = { .session = 7ULL << 32, .cipher = CIPHER_AES_256_GCM };

struct world {
	struct event_base *base;
	struct tunnel *t;
	struct uplink_udp *udp;
	struct udp *silent, *answering;
	struct datagram_end *hras;
	size_t asked_silent, asked;
	bool mute;
};

static void
on_output(void *arg, const uint8_t *data, size_t n)
{
	struct world *w = arg;

	uplink_udp_send(w->udp, data, n);
}

static void
on_input(void *arg, uint8_t *data, size_t n, const struct addr *from)
{
	struct world *w = arg;

	assert_true(tunnel_datagram_input(w->t, data, n, from, clock_us()) >= 0);
}

static void
on_turn(void *arg)
{
	(void)arg;
}

static void
on_silent(void *arg, uint8_t *data, size_t n, const struct udp_path *from)
{
	struct world *w = arg;

	(void)data, (void)n, (void)from;
	w->asked_silent++;
}

static void
on_question(void *arg, uint8_t *data, size_t n, const struct udp_path *from)
{
	struct world *w = arg;
	uint8_t out[DATAGRAM_MAX];
	size_t len;

	w->asked++;
	if (w->mute || datagram_answer(w->hras, data, n, &from->remote, out, &len) < 0 || len == 0)
		return;
	udp_send(w->answering, from, out, len);
	udp_flush(w->answering);
}

static void
world_init(struct world *w)
{
	static const struct tunnel_handlers handlers = { .on_datagram = on_output };
	static const struct uplink_udp_handlers mine = { on_input, on_turn };
	static const struct udp_handlers silent = { on_silent, on_turn };
	static const struct udp_handlers answering = { on_question, on_turn };
	struct tunnel_cfg cfg;
	struct addr any;

	*w = (struct world){ .base = event_base_new() };
	assert_int_equal(addr_parse("127.0.0.1:0", 0, &any), 0);
	assert_int_equal(udp_new(w->base, &any, NULL, &silent, w, &w->silent), 0);
	assert_int_equal(udp_new(w->base, &any, NULL, &answering, w, &w->answering), 0);
	w->hras = datagram_end_new(&grant, TUNNEL_SERVER, 0);
	w->udp = uplink_udp_new(w->base, &mine, w);
	tunnel_cfg_default(TUNNEL_CLIENT, &cfg);
	w->t = tunnel_new(&cfg, &handlers, w, &grant, clock_us());
	assert_int_equal(tunnel_datagrams_start(w->t, clock_us()), 0);
}

static void
world_free(struct world *w)
{
	tunnel_free(w->t);
	uplink_udp_free(w->udp);
	datagram_end_free(w->hras);
	udp_free(w->silent);
	udp_free(w->answering);
	event_base_free(w->base);
}

static struct tunnel_datagrams
facts(const struct world *w)
{
	struct tunnel_datagrams d;

	assert_true(tunnel_datagrams(w->t, clock_us(), &d));
	return d;
}

/* Until the way is known to be good, or for so long. */
static void
run(struct world *w, uint64_t us)
{
	static const struct timeval step = { 0, 2000 };
	uint64_t until = clock_us() + us;

	while (clock_us() < until && !facts(w).good) {
		tunnel_flush(w->t, clock_us());
		uplink_udp_run(w->udp, w->t, clock_us());
		event_base_loopexit(w->base, &step);
		event_base_loop(w->base, 0);
	}
}

static void
where_nobody_answers_the_next_address_is_tried(void **state)
{
	struct world w;
	struct addr silent, answering;
	struct tunnel_datagrams d;
	struct uplink_udp_facts f;

	(void)state;
	world_init(&w);
	silent = udp_addr(w.silent);
	answering = udp_addr(w.answering);
	uplink_udp_add(w.udp, &silent);
	uplink_udp_add(w.udp, &silent);
	uplink_udp_add(w.udp, &answering);
	run(&w, 5 * CLOCK_S);
	assert_true(facts(&w).good);
	assert_in_range(w.asked_silent, 3, 4);
	uplink_udp_facts(w.udp, &f);
	assert_true(addr_equal(&f.remote, &answering));
	d = facts(&w);
	assert_true(addr_same_host(&d.mapped, &answering) &&
	    addr_port(&d.mapped) == addr_port(&f.local));
	assert_int_equal(f.opened_n, 2);
	world_free(&w);
}

static void
a_new_network_is_a_new_socket_to_the_same_address(void **state)
{
	struct world w;
	struct addr answering;
	struct uplink_udp_facts before, after;

	(void)state;
	world_init(&w);
	answering = udp_addr(w.answering);
	uplink_udp_add(w.udp, &answering);
	run(&w, 2 * CLOCK_S);
	uplink_udp_facts(w.udp, &before);
	uplink_udp_renew(w.udp);
	tunnel_datagrams_restart(w.t, clock_us());
	assert_false(facts(&w).good);
	run(&w, 2 * CLOCK_S);
	assert_true(facts(&w).good);
	uplink_udp_facts(w.udp, &after);
	assert_true(addr_equal(&after.remote, &before.remote));
	assert_false(addr_equal(&after.local, &before.local));
	world_free(&w);
}

static void
without_an_address_nothing_leaves_and_nothing_breaks(void **state)
{
	struct world w;
	struct uplink_udp_facts f;
	struct addr none = { .u.sa = { 0 } };

	(void)state;
	world_init(&w);
	uplink_udp_add(w.udp, &none);
	run(&w, 300 * CLOCK_MS);
	uplink_udp_facts(w.udp, &f);
	assert_false(addr_is_set(&f.local));
	assert_true(f.unsent_n > 0);
	uplink_udp_clear(w.udp);
	world_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_nobody_answers_the_next_address_is_tried),
		cmocka_unit_test(a_new_network_is_a_new_socket_to_the_same_address),
		cmocka_unit_test(without_an_address_nothing_leaves_and_nothing_breaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
