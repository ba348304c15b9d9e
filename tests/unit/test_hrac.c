/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The whole of HRAC on the loopback; HRAS is a gateway by which the test teaches and listens. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "base/err.h"
#include "base/mem.h"
#include "hrac/hrac.h"
#include "hrac/inside.h"
#include "hras/gateway/gateway.h"
#include "tests/support/loopback.h"
#include "tunnel/control.h"

#define PORT_MIN 42001 /* odd on purpose */
#define PORT_MAX 42099

struct fixture {
	struct event_base *base;
	struct gateway *gateway;
	struct gateway_agent *agent;
	struct hrac *hrac;
	uint16_t sip_port;
	int phone;
	struct addr phone_addr;
	unsigned introductions_n, failed_n;
	struct control_agent introduction;
	struct control_leg_failed failed;
	unsigned bandwidths_n;
	uint32_t bandwidth_kbit;
};

/* -- HRAS -- */

static const char *
on_secret(void *arg, const char *agent)
{
	(void)arg;
	return strcmp(agent, "office") == 0 ? "wonderland" : NULL;
}

static void
on_session(void *arg, struct gateway_agent *a, bool fresh)
{
	struct fixture *f = arg;

	(void)fresh;
	f->agent = a;
}

static void
on_reliable(void *arg, struct gateway_agent *a, uint8_t type, const uint8_t *data, size_t n)
{
	struct fixture *f = arg;
	struct control c;

	(void)a;
	assert_int_equal(control_decode(type, data, n, &c), 0);
	if (type == CONTROL_AGENT) {
		f->introductions_n++;
		f->introduction = c.u.agent;
	} else if (type == CONTROL_LEG_FAILED) {
		f->failed_n++;
		f->failed = c.u.leg_failed;
	} else if (type == CONTROL_BANDWIDTH) {
		assert_true(f->introductions_n > 0);
		f->bandwidths_n++;
		f->bandwidth_kbit = c.u.bandwidth.max_kbit;
	}
}

static void
on_gone(void *arg, struct gateway_agent *a)
{
	struct fixture *f = arg;

	(void)a;
	f->agent = NULL;
}

static const struct gateway_handlers handlers = { .secret = on_secret,
	.on_session = on_session,
	.on_reliable = on_reliable,
	.on_gone = on_gone };

static void
teach(struct fixture *f, const struct control *c)
{
	uint8_t frame[CONTROL_MAX];
	size_t n;

	assert_int_equal(control_encode(c, frame, sizeof(frame), &n), 0);
	assert_int_equal(gateway_send(f->agent, (uint8_t)c->type, frame, n), 0);
	gateway_flush(f->gateway);
}

static void
teach_sync(struct fixture *f, bool begin)
{
	teach(f, &(struct control){ .type = CONTROL_SYNC, .u.sync = { begin, 30 } });
}

static void
teach_call(struct fixture *f)
{
	static const char bye[] = "BYE sip:alice@127.0.0.1 SIP/2.0\r\n"
				  "Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKwill\r\n"
				  "From: <sip:bob@example.com>;tag=b\r\n"
				  "To: <sip:alice@example.com>;tag=a\r\n"
				  "Call-ID: call\r\nCSeq: 9 BYE\r\nContent-Length: 0\r\n\r\n";
	static const uint8_t name[] = "name";
	const struct control_bytes b = { name, 4 };

	teach(f,
	    &(struct control){ .type = CONTROL_CALL,
		.u.call = { .call = 7,
		    .call_id = b,
		    .from = b,
		    .to = b,
		    .will = { .peer = f->phone_addr,
			.message = { (const uint8_t *)bye, sizeof(bye) - 1 } } } });
}

static void
teach_leg(struct fixture *f, uint32_t leg, uint16_t port)
{
	teach(f,
	    &(struct control){ .type = CONTROL_LEG,
		.u.leg = { .leg = leg, .call = 7, .port = port, .is_rtp = true } });
}

/* -- HRAC -- */

static struct config_hrac *
load(const struct fixture *f, const char *tunnel, const char *more)
{
	struct config_hrac *conf = NULL;
	struct addr a = gateway_addr(f->gateway, 0);
	char text[1024], *file;

	snprintf(text, sizeof(text),
	    "log_level = error\n"
	    "tunnel { url = \"http://127.0.0.1:%u/\" secret = \"wonderland\" %s }\n"
	    "sip { listen = \"udp:127.0.0.1:%u\" }\n"
	    "media { address = \"127.0.0.1\" ports = \"%u-%u\" }\n%s",
	    addr_port(&a), tunnel, f->sip_port, PORT_MIN, PORT_MAX, more);
	file = loopback_file(text);
	assert_int_equal(config_load_hrac(file, &conf), 0);
	loopback_file_free(file);
	return conf;
}

#define OFFICE "agent = \"office\""

static bool
is_introduced(void *arg)
{
	struct fixture *f = arg;

	return f->introductions_n > 0;
}

static bool
is_introduced_again(void *arg)
{
	struct fixture *f = arg;

	return f->introductions_n > 1;
}

static bool
is_refused(void *arg)
{
	struct fixture *f = arg;

	return f->failed_n > 0;
}

static bool
is_refused_twice(void *arg)
{
	struct fixture *f = arg;

	return f->failed_n == 2;
}

static bool
has_call(void *arg)
{
	struct fixture *f = arg;

	return taught_calls_n(f->hrac->taught) == 1;
}

static bool
has_no_call(void *arg)
{
	struct fixture *f = arg;

	return taught_calls_n(f->hrac->taught) == 0;
}

static bool
has_leg(void *arg)
{
	struct fixture *f = arg;

	return taught_legs_n(f->hrac->taught) == 1;
}

static bool
is_offended_twice(void *arg)
{
	struct fixture *f = arg;

	return f->hrac->control_malformed == 2;
}

static bool
phone_heard(const struct fixture *f, const char *what)
{
	char text[2048] = "";

	return recv(f->phone, text, sizeof(text) - 1, MSG_DONTWAIT) > 0 &&
	    strncmp(text, what, strlen(what)) == 0;
}

static void
wait_for(struct fixture *f, loopback_cond *cond)
{
	assert_true(loopback_wait(f->base, cond, f));
}

static int
setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));
	struct gateway_config cfg = { .listen_n = 1 };
	int fd;

	signal(SIGPIPE, SIG_IGN);
	f->base = event_base_new();
	addr_parse("127.0.0.1", 0, &cfg.listen[0].addr);
	assert_int_equal(gateway_new(f->base, &cfg, &handlers, f, &f->gateway), 0);
	f->phone = loopback_udp(&f->phone_addr);
	fd = loopback_udp(&cfg.listen[0].addr);
	f->sip_port = addr_port(&cfg.listen[0].addr);
	close(fd);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	if (f->hrac != NULL)
		hrac_free(f->hrac);
	gateway_free(f->gateway);
	close(f->phone);
	event_base_free(f->base);
	mem_free(f);
	return 0;
}

static void
start(struct fixture *f)
{
	void *hrac;

	assert_int_equal(hrac_start(f->base, load(f, OFFICE, ""), &hrac), 0);
	f->hrac = hrac;
	wait_for(f, is_introduced);
	teach_sync(f, true);
	teach_call(f);
	teach_sync(f, false);
	wait_for(f, has_call);
}

/* -- The tests -- */

static void
the_range_is_told_from_its_first_even_port_on(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_int_equal(f->introduction.port_min, PORT_MIN + 1);
	assert_int_equal(f->introduction.port_max, PORT_MAX);
}

static void
a_leg_on_a_port_outside_of_the_configured_range_is_refused(void **state)
{
	struct fixture *f = *state;

	start(f);
	teach_leg(f, 1, 54);
	wait_for(f, is_refused);
	assert_int_equal(f->failed.leg, 1);
	assert_int_equal(f->failed.port, 54);
	teach_leg(f, 2, PORT_MAX + 1);
	teach_leg(f, 3, PORT_MIN + 1);
	wait_for(f, has_leg);
	wait_for(f, is_refused_twice);
	assert_int_equal(f->hrac->legs_refused, 2);
}

static void
a_new_tunnel_section_costs_no_call(void **state)
{
	struct fixture *f = *state;

	start(f);
	hrac_reload(f->hrac, load(f, OFFICE " connections_max = 2", ""));
	wait_for(f, is_introduced_again);
	assert_true(has_call(f));
	teach_sync(f, true);
	teach_call(f);
	teach_sync(f, false);
	teach_leg(f, 3, PORT_MIN + 1);
	wait_for(f, has_leg);
	assert_true(has_call(f));
	assert_false(phone_heard(f, ""));
}

static bool
bandwidth_was_told(void *arg)
{
	struct fixture *f = arg;

	return f->bandwidths_n > 0;
}

static bool
bandwidth_was_heard(void *arg)
{
	struct fixture *f = arg;

	return f->hrac->told_kbit != 0;
}

static json_t *
room_of_status(const struct fixture *f)
{
	json_t *root = hrac_facts.status(f->hrac);
	const json_t *row = json_array_get(json_object_get(root, "tunnels"), 0);
	json_t *room = json_incref(json_object_get(row, "room"));

	json_decref(root);
	return room;
}

static void
a_cap_of_the_bandwidth_is_told_and_the_smaller_one_counts(void **state)
{
	struct fixture *f = *state;
	json_t *room;

	start(f);
	assert_int_equal(f->bandwidths_n, 0); /* none: nothing to tell */
	hrac_reload(f->hrac, load(f, OFFICE " bandwidth_max = 3M", ""));
	wait_for(f, bandwidth_was_told);
	assert_int_equal(f->bandwidth_kbit, 3000);
	assert_int_equal(f->introductions_n, 1); /* the tunnel stands */
	teach(f, &(struct control){ .type = CONTROL_BANDWIDTH, .u.bandwidth = { 700 } });
	wait_for(f, bandwidth_was_heard);
	room = room_of_status(f);
	assert_int_equal(json_integer_value(json_object_get(room, "bandwidth_max_kbit")), 700);
	assert_int_equal(json_integer_value(json_object_get(room, "calls")), 1);
	assert_true(json_is_null(json_object_get(room, "calls_max")));
	assert_true(json_is_real(json_object_get(json_object_get(room, "bandwidth_kbit"), "up")));
	json_decref(room);
	f->bandwidths_n = 0; /* a new session tells it anew */
	hrac_reload(f->hrac, load(f, OFFICE " bandwidth_max = 3M connections_max = 2", ""));
	wait_for(f, is_introduced_again);
	wait_for(f, bandwidth_was_told);
	assert_int_equal(f->bandwidth_kbit, 3000);
	assert_int_equal(line_bandwidth_max(f->hrac), 3000);
}

static void
under_another_name_the_calls_of_the_old_one_end(void **state)
{
	struct fixture *f = *state;

	start(f);
	hrac_reload(f->hrac, load(f, "agent = \"branch\"", ""));
	assert_true(has_no_call(f));
	assert_true(phone_heard(f, "BYE "));
}

static void
a_tunnel_section_that_cannot_work_leaves_the_old_one(void **state)
{
	struct fixture *f = *state;
	struct config_hrac *conf = load(f, OFFICE, "");
	const struct config_hrac *old;

	start(f);
	old = f->hrac->conf;
	mem_free(conf->tunnel.urls[0]);
	conf->tunnel.urls[0] = mem_strdup("gopher://127.0.0.1/");
	hrac_reload(f->hrac, conf);
	assert_ptr_equal(f->hrac->conf, old);
	teach_leg(f, 3, PORT_MIN + 1);
	wait_for(f, has_leg);
}

static void
other_sockets_are_not_taken_by_a_reload(void **state)
{
	struct fixture *f = *state;
	const struct config_hrac *old;

	start(f);
	old = f->hrac->conf;
	f->sip_port++;
	hrac_reload(f->hrac, load(f, OFFICE, ""));
	assert_ptr_equal(f->hrac->conf, old);
}

static void
a_call_that_hras_names_no_more_is_ended_for_our_phone(void **state)
{
	struct fixture *f = *state;

	start(f);
	teach_sync(f, true);
	teach_sync(f, false);
	wait_for(f, has_no_call);
	assert_true(phone_heard(f, "BYE "));
}

static void
a_call_that_hras_ends_itself_needs_no_will(void **state)
{
	struct fixture *f = *state;

	start(f);
	teach(f, &(struct control){ .type = CONTROL_CALL_END, .u.call_end = { 7 } });
	wait_for(f, has_no_call);
	assert_false(phone_heard(f, ""));
}

static void
messages_that_only_hrac_says_are_counted_and_ignored(void **state)
{
	struct fixture *f = *state;

	start(f);
	teach(f, &(struct control){ .type = CONTROL_SIP_CLOSED, .u.sip_closed = { 1 } });
	assert_int_equal(gateway_send(f->agent, 200, "?", 1), 0);
	gateway_flush(f->gateway);
	wait_for(f, is_offended_twice);
	assert_true(has_call(f));
}

static void
strange_kinds_and_states_can_be_shown(void **state)
{
	struct fixture *f = *state;
	json_t *calls;
	char *text;

	start(f);
	teach(f, &(struct control){ .type = CONTROL_CALL, .u.call = { .call = 7, .state = 255 } });
	teach(f,
	    &(struct control){ .type = CONTROL_LEG,
		.u.leg = { .leg = 1, .call = 7, .kind = 255, .port = PORT_MIN + 1 } });
	wait_for(f, has_leg);
	calls = hrac_facts.calls(f->hrac, 0);
	text = json_dumps(calls, 0);
	assert_non_null(strstr(text, "\"other\""));
	assert_non_null(strstr(text, "\"unknown\""));
	free(text);
	json_decref(calls);
}

static void
assert_refused(struct fixture *f, struct config_hrac *conf, int err)
{
	void *hrac = NULL;

	assert_int_equal(hrac_start(f->base, conf, &hrac), err);
	assert_null(hrac);
	config_free_hrac(conf);
}

static void
a_start_that_fails_in_the_middle_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct config_hrac *conf;
	struct addr tunnel = gateway_addr(f->gateway, 0);
	char more[64];
	uint16_t good = f->sip_port;

	f->sip_port = addr_port(&f->phone_addr);
	assert_refused(f, load(f, OFFICE, ""), ERR_IN_USE);
	f->sip_port = good;
	snprintf(more, sizeof(more), "status { listen = \"127.0.0.1:%u\" }", addr_port(&tunnel));
	assert_refused(f, load(f, OFFICE, more), ERR_IN_USE);
	conf = load(f, OFFICE, "");
	addr_parse("192.0.2.1", 0, &conf->media.address);
	assert_refused(f, conf, ERR_IO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_range_is_told_from_its_first_even_port_on),
		TEST(a_leg_on_a_port_outside_of_the_configured_range_is_refused),
		TEST(a_new_tunnel_section_costs_no_call),
		TEST(a_cap_of_the_bandwidth_is_told_and_the_smaller_one_counts),
		TEST(under_another_name_the_calls_of_the_old_one_end),
		TEST(a_tunnel_section_that_cannot_work_leaves_the_old_one),
		TEST(other_sockets_are_not_taken_by_a_reload),
		TEST(a_call_that_hras_names_no_more_is_ended_for_our_phone),
		TEST(a_call_that_hras_ends_itself_needs_no_will),
		TEST(messages_that_only_hrac_says_are_counted_and_ignored),
		TEST(strange_kinds_and_states_can_be_shown),
		TEST(a_start_that_fails_in_the_middle_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
