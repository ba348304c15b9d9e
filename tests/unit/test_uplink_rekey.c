/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The seal of the tunnel between its two HTTP ends: what they agree upon, and new keys in mid-call. */
#include "tests/support/http_pair_assert.h"

#include <event2/event.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"

static bool
was_refused_by_hras(void *arg)
{
	struct http_pair *p = arg;

	return http_pair_metric(uplink_metrics(p->uplink), "uplink_refused") > 0;
}

static void
start_sealing(struct http_pair *p, bool uplink, bool gateway)
{
	http_pair_init(p);
	p->uplink_config.unsealed = !uplink;
	p->gateway_config.unsealed = !gateway;
	http_pair_start_gateway(p);
	http_pair_start_uplink(p);
}

static void
assert_cipher(struct http_pair *p, bool sealed)
{
	struct uplink_facts u;
	struct gateway_facts g;

	assert_up(p);
	uplink_facts(p->uplink, &u);
	gateway_agent_facts(p->agent, &g);
	assert_string_equal(u.cipher, g.cipher);
	assert_int_equal(strcmp(u.cipher, "none") != 0, sealed);
}

static void
a_tunnel_is_sealed_unless_both_ends_leave_it_open(void **state)
{
	static const bool cases[3][2] = { { true, true }, { true, false }, { false, false } };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct http_pair p;

		start_sealing(&p, cases[i][0], cases[i][1]);
		assert_cipher(&p, cases[i][0]);
		http_pair_send(&p, 100);
		assert_true(http_pair_wait(&p, http_pair_all_came, &p, SOON_MS));
		http_pair_free(&p);
	}
}

static void
an_agent_that_would_not_seal_is_turned_away_and_both_logs_say_why(void **state)
{
	struct uplink_facts u;
	struct http_pair p;

	(void)state;
	start_sealing(&p, false, true);
	assert_true(http_pair_wait(&p, was_refused_by_hras, &p, SOON_MS));
	uplink_facts(p.uplink, &u);
	assert_non_null(strstr(u.last_error, "HRAS demands that the tunnel is sealed"));
	assert_non_null(strstr(u.last_error, "tunnel.seal is false here"));
	assert_null(u.cipher);
	assert_int_equal(p.agent_sessions_n, 0);
	assert_true(logged_n("its tunnel.seal is false, and ours is not") > 0);
	http_pair_free(&p);
}

static uint64_t
rekeys_n(struct http_pair *p)
{
	uint64_t at_hrac = http_pair_metric(uplink_metrics(p->uplink), "tunnel_rekeys");
	uint64_t at_hras = http_pair_metric(gateway_metrics(p->gateway), "tunnel_rekeys");

	return at_hrac < at_hras ? at_hrac : at_hras;
}

/* And meanwhile voice goes both ways as in a call or two, and a message now and then. */
static bool
has_its_third_key(void *arg)
{
	static uint64_t sent_us;
	struct http_pair *p = arg;

	if (clock_us() - sent_us >= 10 * CLOCK_MS) {
		sent_us = clock_us();
		http_pair_send(p, 1);
		http_pair_send_media(p, 1);
		uplink_flush(p->uplink);
		gateway_flush(p->gateway);
	}
	return rekeys_n(p) >= 2;
}

static bool
all_media_came(void *arg)
{
	struct http_pair *p = arg;

	return http_pair_all_came(p) && p->up.media_n == p->up_media_sent &&
	    p->down.media_n == p->down_media_sent;
}

/* Every frame of a call goes on while the session gets its second and its third key. */
static void
new_keys_in_mid_call_cost_not_one_frame(void **state)
{
	struct http_pair p;

	(void)state;
	http_pair_init(&p);
	p.uplink_config.rekey_age_s = 1;
	http_pair_start_gateway(&p);
	http_pair_start_uplink(&p);
	assert_up(&p);
	uplink_set_busy(p.uplink, true);
	gateway_set_busy(p.agent, true);
	assert_true(http_pair_wait(&p, four_pairs, &p, SOON_MS));
	assert_true(http_pair_wait(&p, has_its_third_key, &p, 4 * SOON_MS));
	assert_true(http_pair_wait(&p, all_media_came, &p, SOON_MS));
	assert_int_equal(p.up.wrong_n + p.down.wrong_n, 0);
	assert_true(p.up.media_n > 100);
	assert_int_equal(p.agent_sessions_n, 1);
	assert_int_equal(p.uplink_sessions_n, 1);
	assert_int_equal(http_pair_metric(gateway_metrics(p.gateway), "gateway_unknown_sessions"),
	    0);
	http_pair_free(&p);
}

/* HRAS knows the secret anew: no new key is to be had, and the session has to be another one. */
static void
without_a_new_key_the_old_one_goes_on(void **state)
{
	struct http_pair p;

	(void)state;
	http_pair_init(&p);
	p.uplink_config.rekey_age_s = 1;
	http_pair_start_gateway(&p);
	http_pair_start_uplink(&p);
	assert_up(&p);
	p.secret = "herring";
	http_pair_sleep(&p, 2500);
	assert_int_equal(rekeys_n(&p), 0);
	assert_true(logged_n("no new key for the session, the old one goes on") > 0);
	assert_up(&p);
	http_pair_send(&p, 10);
	assert_true(http_pair_wait(&p, http_pair_all_came, &p, SOON_MS));
	assert_int_equal(p.agent_sessions_n, 1);
	http_pair_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tunnel_is_sealed_unless_both_ends_leave_it_open),
		cmocka_unit_test(an_agent_that_would_not_seal_is_turned_away_and_both_logs_say_why),
		cmocka_unit_test(new_keys_in_mid_call_cost_not_one_frame),
		cmocka_unit_test(without_a_new_key_the_old_one_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
