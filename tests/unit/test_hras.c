/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The whole of HRAS on the loopback, and an agent of its that the test speaks for: an uplink. */
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
#include "hrac/uplink/uplink.h"
#include "hras/hras.h"
#include "hras/outside.h"
#include "tests/support/loopback.h"
#include "tunnel/control.h"

struct fixture {
	struct event_base *base;
	struct hras *hras;
	struct uplink *uplink;
	uint16_t sip_port;
	unsigned sessions_n, syncs_n, answers_n;
	int answer; /* status of the last SIP response to us */
	unsigned bandwidths_n;
	uint32_t bandwidth_kbit; /* as told last */
};

static void
on_session(void *arg, const struct tunnel_grant *grant, bool restarted)
{
	struct fixture *f = arg;

	(void)grant, (void)restarted;
	f->sessions_n++;
}

static void
on_reliable(void *arg, uint8_t type, const uint8_t *data, size_t n)
{
	struct fixture *f = arg;
	struct control c;

	assert_int_equal(control_decode(type, data, n, &c), 0);
	if (type == CONTROL_SYNC)
		f->syncs_n++;
	if (type == CONTROL_BANDWIDTH) {
		f->bandwidths_n++;
		f->bandwidth_kbit = c.u.bandwidth.max_kbit;
	}
	if (type == CONTROL_SIP &&
	    sscanf((const char *)c.u.sip.message.p, "SIP/2.0 %d", &f->answer) == 1)
		f->answers_n++;
}

static void
say(struct fixture *f, const struct control *c)
{
	uint8_t frame[CONTROL_MAX];
	size_t n;

	assert_int_equal(control_encode(c, frame, sizeof(frame), &n), 0);
	assert_int_equal(uplink_send(f->uplink, (uint8_t)c->type, frame, n), 0);
	uplink_flush(f->uplink);
}

static void
say_agent(struct fixture *f)
{
	struct control c = { .type = CONTROL_AGENT,
		.u.agent = { .sip_n = 1, .port_min = 20000, .port_max = 20099 } };

	addr_parse("192.168.1.5", 5060, &c.u.agent.sip[0].addr);
	addr_parse("192.168.1.5", 0, &c.u.agent.media);
	say(f, &c);
}

static void
say_register(struct fixture *f)
{
	static const char text[] = "REGISTER sip:example.com SIP/2.0\r\n"
				   "Via: SIP/2.0/UDP 192.168.1.20;branch=z9hG4bKr1\r\n"
				   "From: <sip:alice@example.com>;tag=a\r\n"
				   "To: <sip:alice@example.com>\r\n"
				   "Contact: <sip:alice@192.168.1.20>\r\n"
				   "User-Agent: T\xe9l\xe9phone\r\n"
				   "Max-Forwards: 70\r\nCall-ID: r\r\nCSeq: 1 REGISTER\r\n"
				   "Content-Length: 0\r\n\r\n";
	struct control c = { .type = CONTROL_SIP,
		.u.sip.message = { (const uint8_t *)text, sizeof(text) - 1 } };

	addr_parse("192.168.1.20", 5060, &c.u.sip.peer);
	say(f, &c);
}

static bool
is_offended(void *arg)
{
	struct fixture *f = arg;

	return f->hras->faces.control_malformed > 0;
}

static bool
has_session(void *arg)
{
	struct fixture *f = arg;

	return f->sessions_n > 0;
}

static bool
is_taught(void *arg)
{
	struct fixture *f = arg;

	return f->syncs_n == 2;
}

static bool
is_answered(void *arg)
{
	struct fixture *f = arg;

	return f->answers_n > 0;
}

static void
wait_for(struct fixture *f, loopback_cond *cond)
{
	assert_true(loopback_wait(f->base, cond, f));
}

static struct config_hras *
load(const struct fixture *f, const char *more)
{
	struct config_hras *conf = NULL;
	char text[1024], *file;

	snprintf(text, sizeof(text),
	    "domains = \"example.com\"\n"
	    "log_level = error\n"
	    "tunnel { listen = \"127.0.0.1:1\" }\n"
	    "sip { listen = \"udp:127.0.0.1:%u\" }\n"
	    "media { address = \"127.0.0.1\" }\n%s\n",
	    f->sip_port, more);
	file = loopback_file(text);
	assert_int_equal(config_load_hras(file, &conf), 0);
	loopback_file_free(file);
	addr_set_port(&conf->tunnel.listen[0].addr, 0);
	return conf;
}

#define OFFICE "agent \"office\" { secret = \"wonderland\" }\n"
#define SETS_MAX 32

static int
setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));
	struct addr a;

	signal(SIGPIPE, SIG_IGN);
	f->base = event_base_new();
	close(loopback_udp(&a));
	f->sip_port = addr_port(&a);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	uplink_free(f->uplink);
	if (f->hras != NULL)
		hras_free(f->hras);
	event_base_free(f->base);
	mem_free(f);
	return 0;
}

static void
start(struct fixture *f)
{
	static const struct uplink_handlers handlers = { .on_reliable = on_reliable,
		.on_session = on_session };
	struct uplink_config cfg = { .agent = "office", .secret = "wonderland" };
	char url[64];
	struct addr a;
	void *hras;

	assert_int_equal(hras_start(f->base, load(f, OFFICE), &hras), 0);
	f->hras = hras;
	a = gateway_addr(f->hras->gateway, 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", addr_port(&a));
	cfg.urls[0] = url;
	assert_int_equal(uplink_new(f->base, &cfg, &handlers, f, &f->uplink), 0);
	wait_for(f, has_session);
}

/* -- The tests -- */

static void
an_agent_that_says_who_it_is_is_taught(void **state)
{
	struct fixture *f = *state;

	start(f);
	say_agent(f);
	wait_for(f, is_taught);
	assert_int_equal(f->hras->faces.control_malformed, 0);
}

static void
what_an_agent_says_before_its_name_is_not_heard(void **state)
{
	struct fixture *f = *state;

	start(f);
	say_register(f);
	wait_for(f, is_offended);
	assert_int_equal(location_n(f->hras->location), 0);
}

static void
an_agent_without_listeners_is_refused(void **state)
{
	struct fixture *f = *state;
	struct control c = { .type = CONTROL_AGENT, .u.agent = { .port_min = 2, .port_max = 4 } };

	start(f);
	addr_parse("192.168.1.5", 0, &c.u.agent.media);
	say(f, &c);
	wait_for(f, is_offended);
	assert_int_equal(f->syncs_n, 0);
}

static void
orders_that_only_hras_gives_are_counted_and_ignored(void **state)
{
	struct fixture *f = *state;

	start(f);
	say_agent(f);
	wait_for(f, is_taught);
	say(f, &(struct control){ .type = CONTROL_CALL_END, .u.call_end = { 1 } });
	wait_for(f, is_offended);
}

static void
reports_of_what_is_not_there_change_nothing(void **state)
{
	struct fixture *f = *state;
	struct control source = { .type = CONTROL_LEG_SOURCE, .u.leg_source = { .leg = 1 } };

	start(f);
	say_agent(f);
	addr_parse("192.168.1.20", 4000, &source.u.leg_source.source);
	say(f, &source);
	say(f,
	    &(struct control){ .type = CONTROL_LEG_FAILED, .u.leg_failed = { 1, 20000, ERR_IO } });
	say(f, &(struct control){ .type = CONTROL_SIP_FAILED, .u.sip_failed = { .tag = 1 } });
	say(f, &(struct control){ .type = CONTROL_SIP_CLOSED, .u.sip_closed = { 1 } });
	uplink_send_media(f->uplink, 3, "voice", 5);
	say_register(f);
	wait_for(f, is_answered);
	assert_int_equal(f->answer, 200);
	assert_int_equal(f->hras->faces.control_malformed, 0);
}

static void
a_phone_whose_name_is_not_utf8_is_shown(void **state)
{
	struct fixture *f = *state;
	json_t *root;
	const json_t *row;

	start(f);
	say_agent(f);
	say_register(f);
	wait_for(f, is_answered);
	root = hras_facts.registrations(f->hras, 0);
	row = json_array_get(json_object_get(root, "registrations"), 0);
	assert_string_equal(json_string_value(json_object_get(row, "aor")), "alice@example.com");
	assert_string_equal(json_string_value(json_object_get(row, "user_agent")), "T?l?phone");
	json_decref(root);
}

static void
no_counter_is_told_by_two_modules(void **state)
{
	struct fixture *f = *state;
	struct metric_set sets[SETS_MAX];
	size_t n;
	json_t *seen = json_object();

	start(f);
	n = hras_facts.metrics(f->hras, sets, SETS_MAX);
	for (size_t i = 0; i < n; i++)
		for (const struct metric *m = sets[i].table; m->name != NULL; m++) {
			if (json_object_get(seen, m->name) != NULL)
				fail_msg("%s", m->name);
			json_object_set_new(seen, m->name, json_true());
		}
	json_decref(seen);
}

#define OFFICE_CAPPED "agent \"office\" { secret = \"wonderland\" bandwidth_max = 2M }\n"

static bool
is_told_of_bandwidth(void *arg)
{
	struct fixture *f = arg;

	return f->bandwidths_n > 0;
}

/* tunnels[0].room.<key> of the status; -1 for null. */
static long
room_figure(const struct fixture *f, const char *key)
{
	json_t *root = hras_facts.status(f->hras);
	const json_t *row = json_array_get(json_object_get(root, "tunnels"), 0);
	const json_t *v = json_object_get(json_object_get(row, "room"), key);
	long n = json_is_null(v) ? -1 : (long)json_integer_value(v);

	assert_non_null(v);
	json_decref(root);
	return n;
}

static bool
is_capped_at_500(void *arg)
{
	return room_figure(arg, "bandwidth_max_kbit") == 500;
}

static void
the_smaller_cap_of_both_ends_counts_and_a_reload_changes_it(void **state)
{
	struct fixture *f = *state;
	const struct control own = { .type = CONTROL_BANDWIDTH, .u.bandwidth = { 500 } };

	start(f);
	say_agent(f);
	wait_for(f, is_taught);
	assert_int_equal(room_figure(f, "bandwidth_max_kbit"), -1);
	assert_int_equal(room_figure(f, "calls_max"), -1);
	assert_int_equal(room_figure(f, "calls"), 0);
	hras_reload(f->hras, load(f, OFFICE_CAPPED));
	wait_for(f, is_told_of_bandwidth);
	assert_int_equal(f->bandwidth_kbit, 2000);
	say(f, &own);
	wait_for(f, is_capped_at_500);
	f->bandwidths_n = 0;
	hras_reload(f->hras, load(f, OFFICE));
	wait_for(f, is_told_of_bandwidth);
	assert_int_equal(f->bandwidth_kbit, 0);
	assert_int_equal(faces_bandwidth_max(f->hras, f->hras->faces.face[0]), 500);
	assert_int_equal(f->hras->faces.control_malformed, 0);
}

static bool
is_dropping(void *arg)
{
	static const char data[1000];
	struct fixture *f = arg;
	struct gateway_agent *a = gateway_agent_find(f->hras->gateway, "office");

	for (int i = 0; i < 20; i++)
		gateway_send_media(a, 3, data, sizeof(data));
	gateway_flush(f->hras->gateway);
	return tunnel_stats(gateway_agent_tunnel(a))->media_congested_dropped > 0;
}

static void
voice_beyond_the_cap_is_dropped_before_it_fills_the_line(void **state)
{
	struct fixture *f = *state;
	const struct control own = { .type = CONTROL_BANDWIDTH, .u.bandwidth = { 8 } };

	start(f);
	say_agent(f);
	wait_for(f, is_taught);
	say(f, &own);
	wait_for(f, is_dropping);
}

static bool
is_measured(void *arg)
{
	struct fixture *f = arg;
	struct vcit_room room;

	return vcit_room_view(f->hras->vcit, 1, &room) && room.kbit[TUNNEL_UP] > 10;
}

static void
what_passes_a_tunnel_is_measured(void **state)
{
	static const char data[1200];
	struct fixture *f = *state;

	start(f);
	say_agent(f);
	wait_for(f, is_taught);
	for (int i = 0; i < 20; i++)
		uplink_send_media(f->uplink, 3, data, sizeof(data));
	uplink_flush(f->uplink);
	wait_for(f, is_measured);
}

static void
an_agent_that_is_no_longer_configured_is_sent_away(void **state)
{
	struct fixture *f = *state;

	start(f);
	say_agent(f);
	wait_for(f, is_taught);
	hras_reload(f->hras, load(f, "agent \"branch\" { secret = \"x\" }\n"));
	assert_null(f->hras->faces.face[0]->agent);
	assert_null(gateway_agent_find(f->hras->gateway, "office"));
}

static void
what_a_reload_cannot_change_is_refused_as_a_whole(void **state)
{
	struct fixture *f = *state;
	const struct config_hras *old;

	start(f);
	old = f->hras->conf;
	hras_reload(f->hras, load(f, OFFICE "calls_max = 7"));
	assert_ptr_equal(f->hras->conf, old);
	hras_reload(f->hras, load(f, OFFICE "store = \"/nowhere/at/all\""));
	assert_ptr_equal(f->hras->conf, old);
	f->sip_port++;
	hras_reload(f->hras, load(f, OFFICE));
	assert_ptr_equal(f->hras->conf, old);
}

static void
assert_refused(struct fixture *f, struct config_hras *conf)
{
	void *hras = NULL;

	assert_true(hras_start(f->base, conf, &hras) < 0);
	assert_null(hras);
	config_free_hras(conf);
}

static void
a_start_that_fails_in_the_middle_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct config_hras *conf;
	char more[256], *empty = loopback_file("");
	struct addr taken, good;
	int fd = loopback_udp(&taken);

	assert_refused(f, load(f, OFFICE "store = \"/nowhere/at/all\""));
	conf = load(f, OFFICE);
	addr_parse("192.0.2.1", 0, &conf->media.address);
	assert_refused(f, conf);
	conf = load(f, OFFICE);
	good = conf->sip.listen[0].addr;
	conf->sip.listen[0].addr = taken;
	assert_refused(f, conf);
	conf = load(f, OFFICE);
	conf->tunnel.certificate = mem_strdup(empty);
	conf->tunnel.key = mem_strdup(empty);
	conf->tunnel.listen[0].carrier = CONFIG_HTTPS;
	assert_refused(f, conf);
	close(fd);
	start(f);
	taken = gateway_addr(f->hras->gateway, 0);
	addr_set_port(&good, (uint16_t)(f->sip_port + 1));
	conf = load(f, OFFICE);
	conf->sip.listen[0].addr = good;
	conf->tunnel.listen[0].addr = taken;
	assert_refused(f, conf);
	snprintf(more, sizeof(more), OFFICE "status { listen = \"127.0.0.1:%u\" }",
	    addr_port(&taken));
	conf = load(f, more);
	conf->sip.listen[0].addr = good;
	assert_refused(f, conf);
	loopback_file_free(empty);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_agent_that_says_who_it_is_is_taught),
		TEST(what_an_agent_says_before_its_name_is_not_heard),
		TEST(an_agent_without_listeners_is_refused),
		TEST(orders_that_only_hras_gives_are_counted_and_ignored),
		TEST(reports_of_what_is_not_there_change_nothing),
		TEST(a_phone_whose_name_is_not_utf8_is_shown),
		TEST(no_counter_is_told_by_two_modules),
		TEST(the_smaller_cap_of_both_ends_counts_and_a_reload_changes_it),
		TEST(voice_beyond_the_cap_is_dropped_before_it_fills_the_line),
		TEST(what_passes_a_tunnel_is_measured),
		TEST(an_agent_that_is_no_longer_configured_is_sent_away),
		TEST(what_a_reload_cannot_change_is_refused_as_a_whole),
		TEST(a_start_that_fails_in_the_middle_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
