/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the doctor says of what was found out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "hrac/doctor/facts.h"
#include "tunnel/tunnel.h"

static struct doctor_facts facts;

static struct doctor_route *
add_route(const char *url, const char *proxy, enum doctor_stop stop)
{
	struct doctor_route *r = &facts.route[facts.route_n++];

	snprintf(r->url, sizeof(r->url), "%s", url);
	snprintf(r->proxy, sizeof(r->proxy), "%s", proxy);
	r->https = strncmp(url, "https", 5) == 0;
	r->stop = stop;
	if (stop != DOCTOR_STOP_NOWHERE)
		snprintf(r->trouble, sizeof(r->trouble), "it stops here");
	return r;
}

/* A route that gets through: both ways stream, 2000 kbit/s, 40 ms. */
static struct doctor_route *
add_good(const char *url, const char *proxy)
{
	struct doctor_route *r = add_route(url, proxy, DOCTOR_STOP_NOWHERE);

	for (int dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++)
		r->way[dir] = (struct doctor_way){ .body = DOCTOR_STREAMS,
			.idle_ok_s = 10,
			.kbit = 2000,
			.segments = 1000,
			.again = 0 };
	r->rtt_min_us = 39000;
	r->rtt_median_us = 40000;
	return r;
}

static int
start(void **state)
{
	(void)state;
	memset(&facts, 0, sizeof(facts));
	facts.agent = "office";
	facts.host_n = 1;
	strcpy(facts.host[0].name, "hras.example.com");
	facts.host[0].port = 443;
	return 0;
}

struct search {
	const char *verdict, *topic, *words;
	bool found;
};

static void
on_line(void *arg, const struct doctor_line *line)
{
	struct search *s = arg;

	if (line->topic != NULL && strcmp(line->topic, s->topic) == 0 &&
	    strcmp(doctor_verdict_str(line->verdict), s->verdict) == 0 &&
	    strstr(line->text, s->words) != NULL)
		s->found = true;
}

static void
assert_says(const char *verdict, const char *topic, const char *words)
{
	struct search s = { verdict, topic, words, false };

	doctor_tell(&facts, on_line, &s);
	if (!s.found)
		fail_msg("no line \"%s %s ... %s\"", verdict, topic, words);
}

static void
assert_advises(const char *words)
{
	char advice[DOCTOR_TEXT_MAX];

	doctor_advise(&facts, advice);
	if (strstr(advice, words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, advice);
	assert_null(strchr(advice, '\n'));
}

static void
the_first_route_that_streams_is_the_best(void **state)
{
	struct doctor_route *r;

	(void)state;
	add_route("https://hras.example.com/", "", DOCTOR_STOP_CONNECT);
	r = add_good("http://hras.example.com/", "");
	r->way[TUNNEL_DOWN].body = DOCTOR_HELD;
	r->way[TUNNEL_DOWN].held_ms = 400;
	r->way[TUNNEL_DOWN].whole = true;
	add_good("http://hras.example.com/", "http://proxy:3128");
	doctor_judge(&facts);
	assert_int_equal(facts.best, 2);
	assert_string_equal(facts.rung, "proxy");
	assert_int_equal(facts.calls, 16); /* 0.8 x 2000 / 100 */
	assert_true(facts.mos > 4.2 && facts.mos < 4.5);
	assert_says("NO", "tcp", "it stops here");
	assert_says("??", "get", "held back for 400 ms or more");
	assert_says("OK", "calls", "about 16 calls");
	assert_advises("Calls will work, by proxy through the web proxy. Nothing");
}

static void
a_way_that_holds_bodies_back_is_polled(void **state)
{
	struct doctor_route *r = add_good("https://hras.example.com/", "");
	double streamed;

	(void)state;
	doctor_judge(&facts);
	assert_string_equal(facts.rung, "stream");
	streamed = facts.mos;
	r->way[TUNNEL_UP].body = DOCTOR_HELD;
	doctor_judge(&facts);
	assert_int_equal(facts.best, 0);
	assert_string_equal(facts.rung, "poll");
	assert_true(facts.mos < streamed);
	assert_advises("exempts https://hras.example.com/");
	strcpy(r->way[TUNNEL_UP].why, "the proxy wants to be told the length (HTTP 411)");
	assert_says("??", "post", "does not stream: the proxy wants");

	/* Voice by datagrams does not care. */
	facts.udp = (struct doctor_udp){ .offered = true, .sent = 50, .came = 50 };
	doctor_judge(&facts);
	assert_string_equal(facts.rung, "udp");
}

static void
datagrams_are_the_best_rung_where_they_pass(void **state)
{
	(void)state;
	add_good("https://hras.example.com/", "");
	facts.udp = (struct doctor_udp){
		.offered = true, .sent = 50, .came = 49, .steady = true, .rtt_median_us = 30000
	};
	assert_int_equal(addr_parse("203.0.113.10:443", 0, &facts.udp.to), 0);
	assert_int_equal(addr_parse("198.51.100.7:61000", 0, &facts.udp.mapped), 0);
	assert_int_equal(addr_parse("192.168.1.5:40000", 0, &facts.udp.local), 0);
	doctor_judge(&facts);
	assert_string_equal(facts.rung, "udp");
	assert_says("OK", "nat", "198.51.100.7:61000: a NAT that gives us other ports");
	assert_says("OK", "loss", "1 of 50 datagrams");
	addr_set_port(&facts.udp.local, 61000);
	assert_says("OK", "nat", "a NAT that keeps our ports");
	facts.udp.local = facts.udp.mapped;
	assert_says("OK", "nat", "there is no NAT");

	facts.udp.came = 40; /* it is left where so much is lost */
	doctor_judge(&facts);
	assert_string_equal(facts.rung, "stream");
	facts.udp.came = 0;
	doctor_judge(&facts);
	assert_string_equal(facts.rung, "stream");
	assert_says("??", "udp", "no datagram comes back from 203.0.113.10:443");
	assert_advises("lets UDP out to port 443");
	facts.udp.came = 50;
	facts.transport = CONFIG_BY_STREAM;
	doctor_judge(&facts);
	assert_string_equal(facts.rung, "stream");
}

static void
a_rung_that_is_forbidden_is_not_taken(void **state)
{
	(void)state;
	add_good("http://hras.example.com/", "");
	facts.transport = CONFIG_BY_PROXY;
	doctor_judge(&facts);
	assert_int_equal(facts.best, DOCTOR_NONE);
	assert_advises("tunnel.transport");
	facts.transport = CONFIG_BY_POLL;
	doctor_judge(&facts);
	assert_string_equal(facts.rung, "poll");
}

/* What stops all routes, and what is to be done about it. */
static void
what_stands_in_the_way_is_named_with_its_cure(void **state)
{
	static const struct {
		enum doctor_stop stop;
		const char *proxy;
		struct uplink_look look;
		const char *topic, *advice;
	} cases[] = {
		{ DOCTOR_STOP_NAME, "", { 0 }, "tcp", "No name server" },
		{ DOCTOR_STOP_CONNECT, "", { 0 }, "tcp", "let TCP out to https://h/" },
		{ DOCTOR_STOP_CONNECT, "http://p:1", { 0 }, "tcp", "http://p:1 cannot be reached" },
		{ DOCTOR_STOP_PROXY, "http://p:1",
		    { .schemes = "Basic, NTLM", .connect_status = 407 }, "connect",
		    "(Basic, NTLM): put a user" },
		{ DOCTOR_STOP_PROXY, "http://p:1", { .connect_status = 403 }, "connect",
		    "allow CONNECT to https://h/ (it says 403)" },
		{ DOCTOR_STOP_PROXY, "http://p:1", { .status = 403 }, "connect",
		    "allow https://h/ (it says 403)" },
		{ DOCTOR_STOP_PROXY, "http://p:1", { .connect_status = 503 }, "connect",
		    "does not reach https://h/ (it says 503)" },
		{ DOCTOR_STOP_TLS, "",
		    { .tls = { .seen = true, .issuer = "Evil CA", .why = "self-signed" } }, "tls",
		    "signed by \"Evil CA\"" },
		{ DOCTOR_STOP_TLS, "",
		    { .tls = { .seen = true, .trusted = true, .subject = "other.example" } }, "tls",
		    "is of \"other.example\"" },
		{ DOCTOR_STOP_TLS, "", { 0 }, "tls", "speaks https" },
		{ DOCTOR_STOP_ANSWER, "", { 0 }, "hras", "is not HRAS" },
		{ DOCTOR_STOP_SECRET, "", { 0 }, "secret", "tunnel.agent (\"office\")" },
		{ DOCTOR_STOP_BODIES, "", { 0 }, "body", "exempt it from scanning" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(state);
		add_route("https://h/", cases[i].proxy, cases[i].stop)->look = cases[i].look;
		/* Another one that did not even come so far changes nothing. */
		add_route("http://h/", "", DOCTOR_STOP_NAME);
		doctor_judge(&facts);
		assert_int_equal(facts.best, DOCTOR_NONE);
		assert_null(facts.rung);
		assert_says("NO", cases[i].topic, "it stops here");
		assert_says("NO", "calls", "nothing gets through");
		assert_advises(cases[i].advice);
	}
}

static void
trouble_on_a_way_that_works_is_told(void **state)
{
	struct doctor_route *r = add_good("https://hras.example.com/", "");

	(void)state;
	r->look.tls = (struct uplink_look_tls){ .seen = true,
		.trusted = true,
		.version = "TLSv1.3",
		.cipher = "TLS_AES_256_GCM_SHA384",
		.subject = "hras.example.com",
		.issuer = "Company CA" };
	r->opened = DOCTOR_OPENED_YES;
	r->way[TUNNEL_UP].idle_cut_s = 3;
	r->way[TUNNEL_UP].again = 100;
	doctor_judge(&facts);
	assert_true(facts.works);
	assert_says("??", "tls", "TLS is opened on the way");
	assert_says("NO", "idle", "a silent POST is cut after 3 s");
	assert_says("OK", "idle", "a silent GET lives for 10 s and more");
	assert_says("??", "loss", "100 of 1000");
	assert_advises("keep silent connections");
	r->way[TUNNEL_UP].kbit = 110;
	doctor_judge(&facts);
	assert_int_equal(facts.calls, 1);
	r->way[TUNNEL_UP].kbit = 90;
	doctor_judge(&facts);
	assert_int_equal(facts.calls, 0);
	assert_false(facts.works);
	assert_says("NO", "calls", "0 calls");
	assert_advises("too slow");
	r->way[TUNNEL_UP].kbit = 2000;
	facts.cap_kbit = 500;
	doctor_judge(&facts);
	assert_int_equal(facts.calls, 5);
}

static void
names_and_ports_are_told_as_they_were_found(void **state)
{
	struct doctor_host *h = &facts.host[0];

	(void)state;
	h->address_n = 4;
	for (unsigned i = 0; i < 4; i++) {
		addr_parse("192.0.2.1:443", 0, &h->address[i].addr);
		h->address[i].door = (enum doctor_door)i;
		h->address[i].us = 1000 * (i + 1);
	}
	doctor_judge(&facts);
	assert_says("OK", "name", "hras.example.com is 192.0.2.1");
	assert_says("OK", "tcp", "192.0.2.1:443 answers (1 ms)");
	assert_says("NO", "tcp", "refuses");
	assert_says("NO", "tcp", "timed out");
	assert_says("NO", "tcp", "unreachable");
	strcpy(h->trouble, "Name or service not known");
	assert_says("NO", "name", "hras.example.com is not resolved after 0.0 s: Name or");
}

static void
the_same_is_told_as_json(void **state)
{
	struct doctor_route *r;
	json_t *all;
	char *text;

	(void)state;
	add_route("https://hras.example.com/", "http://p:1", DOCTOR_STOP_PROXY)->look =
	    (struct uplink_look){ .schemes = "NTLM", .connect_status = 407 };
	r = add_good("https://hras.example.com/", "");
	r->look.tls.seen = true;
	r->opened = DOCTOR_OPENED_NO;
	r->way[TUNNEL_UP].body = DOCTOR_HELD;
	r->way[TUNNEL_UP].held_ms = 400;
	doctor_judge(&facts);
	text = doctor_json(&facts);
	all = json_loads(text, 0, NULL);
	free(text);
	assert_non_null(all);
	r = &facts.route[1];
	{
		const char *rung, *stopped, *schemes, *up, *down;
		int ok, best, calls, held, status;
		double mos, rtt;

		assert_int_equal(json_unpack(all,
				     "{s:b, s:i, s:i, s:f, s:s, s:[{s:s, s:s, s:i}, "
				     "{s:n, s:{s:s, s:i}, s:{s:s}, s:f, s:{s:b}}]}",
				     "ok", &ok, "route", &best, "calls", &calls, "mos", &mos,
				     "rung", &rung, "routes", "stopped_at", &stopped,
				     "proxy_schemes", &schemes, "connect_status", &status,
				     "stopped_at", "up", "body", &up, "held_ms", &held, "down",
				     "body", &down, "rtt_ms", &rtt, "tls", "intercepted",
				     &(int){ 0 }),
		    0);
		assert_int_equal(ok, 1);
		assert_int_equal(best, 1);
		assert_int_equal(calls, 16);
		assert_int_equal(held, 400);
		assert_int_equal(status, 407);
		assert_string_equal(rung, "poll");
		assert_string_equal(stopped, "proxy");
		assert_string_equal(schemes, "NTLM");
		assert_string_equal(up, "held");
		assert_string_equal(down, "streams");
		assert_true(mos > 4 && rtt == 40);
	}
	assert_true(json_array_size(json_object_get(all, "lines")) > 8);
	assert_true(json_is_string(json_object_get(all, "advice")));
	assert_true(json_is_null(json_object_get(all, "udp")));
	json_decref(all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_first_route_that_streams_is_the_best, start),
		cmocka_unit_test_setup(a_way_that_holds_bodies_back_is_polled, start),
		cmocka_unit_test_setup(datagrams_are_the_best_rung_where_they_pass, start),
		cmocka_unit_test_setup(a_rung_that_is_forbidden_is_not_taken, start),
		cmocka_unit_test_setup(what_stands_in_the_way_is_named_with_its_cure, start),
		cmocka_unit_test_setup(trouble_on_a_way_that_works_is_told, start),
		cmocka_unit_test_setup(names_and_ports_are_told_as_they_were_found, start),
		cmocka_unit_test_setup(the_same_is_told_as_json, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
