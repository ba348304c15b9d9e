/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The two ends of the tunnel's HTTP, joined over the loopback on one event base. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before itself */
#include <cmocka.h>

#include <arpa/inet.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "log/log.h"
#include "tests/support/http_pair.h"
#include "tests/support/tcp_forwarder.h"
#include "tests/support/tls_ca.h"

#define SOON_MS 5000
#define FRAMES 2000

static void
start(struct http_pair *p)
{
	http_pair_init(p);
	http_pair_start_gateway(p);
	http_pair_start_uplink(p);
}

/* The uplink goes to the gateway by way of a forwarder. */
static struct tcp_forwarder *
start_over_forwarder(struct http_pair *p)
{
	struct tcp_forwarder *f;
	char *url;

	http_pair_init(p);
	http_pair_start_gateway(p);
	f = tcp_forwarder_new(p->base, &p->gateway_config.listen[0]);
	url = mem_printf("http://127.0.0.1:%u", tcp_forwarder_port(f));
	p->uplink_config.url = url;
	http_pair_start_uplink(p);
	p->uplink_config.url = NULL;
	mem_free(url);
	return f;
}

static void
assert_up(struct http_pair *p)
{
	assert_true(http_pair_wait(p, http_pair_is_up, p, SOON_MS));
}

static void
assert_clean(struct http_pair *p)
{
	assert_int_equal(p->up.wrong_n, 0);
	assert_int_equal(p->down.wrong_n, 0);
}

static void
assert_all_come(struct http_pair *p, unsigned ms)
{
	http_pair_wait(p, http_pair_all_came, p, ms);
	assert_int_equal(p->up.reliable_n, p->up_sent);
	assert_int_equal(p->down.reliable_n, p->down_sent);
	assert_clean(p);
}

struct search {
	const char *words;
	unsigned found_n;
};

static void
on_log_line(void *arg, uint64_t wall_s, enum log_level level, const char *component,
    const char *text)
{
	struct search *s = arg;

	(void)wall_s;
	(void)level;
	(void)component;
	s->found_n += strstr(text, s->words) != NULL;
}

static unsigned
logged_n(const char *words)
{
	struct search s = { words, 0 };

	log_recent(on_log_line, &s);
	return s.found_n;
}

/* -- Opening a session -- */

static void
a_session_opens_and_one_pair_stands_while_no_call_is_up(void **state)
{
	struct http_pair p;
	struct uplink_facts u;
	struct gateway_facts g;

	(void)state;
	start(&p);
	assert_up(&p);
	p.loops_n = 0;
	http_pair_sleep(&p, 1000);
	assert_true(p.loops_n < 300); /* nothing spins */
	uplink_facts(p.uplink, &u);
	gateway_agent_facts(p.agent, &g);
	assert_int_equal(u.up_n, 1);
	assert_int_equal(u.down_n, 1);
	assert_int_equal(g.up_n, 1);
	assert_int_equal(g.down_n, 1);
	assert_string_equal(u.transport, "http");
	assert_string_equal(g.transport, "http");
	assert_string_equal(g.agent, "office");
	assert_string_equal(u.last_error, "");
	assert_true(addr_is_loopback(&g.peer));
	assert_string_not_equal(u.peer, "-");
	assert_int_equal(p.agent_sessions_n, 1);
	assert_int_equal(p.agent_fresh_n, 1);
	assert_int_equal(p.uplink_restarted_n, 1);
	assert_ptr_equal(gateway_agent_find(p.gateway, "office"), p.agent);
	assert_ptr_equal(gateway_agent_user(p.agent), &p);
	http_pair_free(&p);
}

static bool
four_pairs(void *arg)
{
	struct http_pair *p = arg;
	struct uplink_facts u;
	struct gateway_facts g;

	uplink_facts(p->uplink, &u);
	gateway_agent_facts(p->agent, &g);
	return u.up_n == 4 && u.down_n == 4 && g.up_n == 4 && g.down_n == 4;
}

static void
all_pairs_open_when_a_call_is_set_up(void **state)
{
	struct http_pair p;

	(void)state;
	start(&p);
	assert_up(&p);
	uplink_set_busy(p.uplink, true);
	gateway_set_busy(p.agent, true);
	assert_true(http_pair_wait(&p, four_pairs, &p, SOON_MS));
	http_pair_free(&p);
}

static bool
was_refused(void *arg)
{
	struct http_pair *p = arg;

	return http_pair_metric(uplink_metrics(p->uplink), "uplink_refused") > 0;
}

static void
assert_refused_once(struct http_pair *p)
{
	struct uplink_facts u;

	assert_true(http_pair_wait(p, was_refused, p, SOON_MS));
	http_pair_sleep(p, 2000);
	uplink_facts(p->uplink, &u);
	assert_int_equal(u.state, TUNNEL_CONNECTING);
	assert_non_null(strstr(u.last_error, "wrong secret or unknown agent"));
	assert_int_equal(http_pair_metric(uplink_metrics(p->uplink), "uplink_handshakes"), 1);
	assert_int_equal(http_pair_metric(gateway_metrics(p->gateway), "gateway_refused"), 1);
	assert_int_equal(p->agent_sessions_n, 0);
}

static void
a_wrong_secret_is_refused_named_and_not_tried_again_at_once(void **state)
{
	struct http_pair p;

	(void)state;
	http_pair_init(&p);
	http_pair_start_gateway(&p);
	p.uplink_config.secret = "herring";
	http_pair_start_uplink(&p);
	assert_refused_once(&p);
	assert_true(logged_n("office") > 0);
	assert_int_equal(logged_n("herring"), 0);
	assert_int_equal(logged_n("swordfish"), 0);
	http_pair_free(&p);
}

static void
an_unknown_agent_is_refused_in_the_same_way(void **state)
{
	struct http_pair p;

	(void)state;
	http_pair_init(&p);
	http_pair_start_gateway(&p);
	p.uplink_config.agent = "attic";
	http_pair_start_uplink(&p);
	assert_refused_once(&p);
	http_pair_free(&p);
}

/* -- Traffic -- */

static void
frames_pass_both_ways_in_order_and_media_at_most_once(void **state)
{
	struct http_pair p;
	unsigned i;

	(void)state;
	start(&p);
	assert_up(&p);
	uplink_set_busy(p.uplink, true);
	gateway_set_busy(p.agent, true);
	assert_true(http_pair_wait(&p, four_pairs, &p, SOON_MS));
	for (i = 0; i < FRAMES / 20; i++) {
		http_pair_send(&p, 20);
		http_pair_send_media(&p, 20);
		event_base_loop(p.base, EVLOOP_NONBLOCK);
	}
	assert_all_come(&p, SOON_MS);
	http_pair_sleep(&p, 200);
	assert_int_equal(p.up.media_n, p.up_media_sent);
	assert_int_equal(p.down.media_n, p.down_media_sent);
	assert_clean(&p);
	assert_true(http_pair_metric(uplink_metrics(p.uplink), "tunnel_media_sent") >= FRAMES);
	assert_true(http_pair_metric(gateway_metrics(p.gateway), "tunnel_media_sent") >= FRAMES);
	http_pair_free(&p);
}

static void
a_frame_sent_before_any_session_is_refused_and_after_it_waits(void **state)
{
	struct http_pair p;

	(void)state;
	start(&p);
	assert_int_equal(uplink_send(p.uplink, 2, "x", 1), ERR_DOWN);
	assert_int_equal(uplink_send_media(p.uplink, 2, "x", 1), ERR_DOWN);
	assert_up(&p);
	http_pair_send(&p, 1);
	assert_all_come(&p, SOON_MS);
	http_pair_free(&p);
}

static void
rotation_by_few_bytes_loses_nothing(void **state)
{
	struct http_pair p;
	unsigned i;

	(void)state;
	http_pair_init(&p);
	p.gateway_config.rotate_bytes = p.uplink_config.rotate_bytes = 65536;
	http_pair_start_gateway(&p);
	http_pair_start_uplink(&p);
	assert_up(&p);
	for (i = 0; i < FRAMES / 20; i++) {
		http_pair_send(&p, 20);
		http_pair_send_media(&p, 20);
		http_pair_sleep(&p, 10);
	}
	assert_all_come(&p, SOON_MS);
	assert_int_equal(p.up.media_n, p.up_media_sent);
	assert_int_equal(p.down.media_n, p.down_media_sent);
	assert_true(http_pair_metric(uplink_metrics(p.uplink), "tunnel_streams_rotated") > 5);
	assert_true(http_pair_metric(gateway_metrics(p.gateway), "tunnel_streams_rotated") > 5);
	assert_int_equal(p.agent_sessions_n, 1);
	assert_int_equal(http_pair_metric(uplink_metrics(p.uplink), "tunnel_streams_cut"), 0);
	assert_int_equal(http_pair_metric(gateway_metrics(p.gateway), "tunnel_streams_cut"), 0);
	http_pair_free(&p);
}

/* Another agent, which only counts what comes. */
static unsigned branch_came_n;

static void
on_branch_reliable(void *arg, uint8_t type, const uint8_t *data, size_t n)
{
	(void)arg;
	assert_int_equal(type, 3);
	assert_int_equal(n, 6);
	assert_memory_equal(data, "branch", n);
	branch_came_n++;
}

static bool
branch_is_up(void *arg)
{
	struct gateway_agent *a = gateway_agent_find(((struct http_pair *)arg)->gateway, "branch");
	struct gateway_facts g;

	if (a == NULL)
		return false;
	gateway_agent_facts(a, &g);
	return g.state == TUNNEL_UP_STATE;
}

static bool
branch_got_ten(void *arg)
{
	(void)arg;
	return branch_came_n == 10;
}

static void
two_agents_at_two_addresses_do_not_hear_each_other(void **state)
{
	static const struct uplink_handlers handlers = { .on_reliable = on_branch_reliable };
	struct uplink_config config = { .agent = "branch", .secret = "swordfish" };
	struct gateway_agent *office, *branch;
	char text[ADDR_STR_MAX], *url;
	struct addr second;
	struct http_pair p;
	struct uplink *u;
	unsigned i;

	(void)state;
	http_pair_init(&p);
	assert_int_equal(addr_parse("[::1]:0", 0, &p.gateway_config.listen[1]), 0);
	p.gateway_config.listen_n = 2;
	http_pair_start_gateway(&p);
	second = gateway_addr(p.gateway, 1);
	url = mem_printf("http://%s/", addr_str(&second, text));
	http_pair_start_uplink(&p);
	assert_up(&p);
	office = p.agent;
	config.url = url;
	assert_int_equal(uplink_new(p.base, &config, &handlers, NULL, &u), 0);
	assert_true(http_pair_wait(&p, branch_is_up, &p, SOON_MS));
	p.agent = office; /* its last on_session was the other's */
	branch = gateway_agent_find(p.gateway, "branch");
	assert_ptr_not_equal(branch, office);
	for (i = 0; i < 10; i++)
		assert_int_equal(gateway_send(branch, 3, "branch", 6), 0);
	http_pair_send(&p, 10);
	assert_true(http_pair_wait(&p, branch_got_ten, NULL, SOON_MS));
	assert_all_come(&p, SOON_MS);
	uplink_free(u);
	mem_free(url);
	http_pair_free(&p);
}

/* -- Losing and regaining the link -- */

static void
cut_connections_cost_no_reliable_frame_and_no_session(void **state)
{
	struct http_pair p;
	struct tcp_forwarder *f = start_over_forwarder(&p);
	unsigned i;

	(void)state;
	assert_up(&p);
	uplink_set_busy(p.uplink, true);
	assert_true(http_pair_wait(&p, four_pairs, &p, SOON_MS));
	for (i = 0; i < 40; i++) {
		http_pair_send(&p, 20);
		http_pair_sleep(&p, 10);
		if (i % 10 == 5)
			tcp_forwarder_cut_all(f);
		else if (i % 3 == 0)
			tcp_forwarder_cut_eldest(f);
	}
	assert_all_come(&p, 2 * SOON_MS);
	assert_up(&p);
	assert_int_equal(p.agent_sessions_n, 1);
	assert_true(http_pair_metric(uplink_metrics(p.uplink), "tunnel_streams_cut") > 4);
	tcp_forwarder_free(f);
	http_pair_free(&p);
}

static bool
has_error(void *arg)
{
	struct http_pair *p = arg;
	struct uplink_facts u;

	uplink_facts(p->uplink, &u);
	return u.last_error[0] != '\0';
}

static void
assert_error(struct http_pair *p, const char *words)
{
	struct uplink_facts u;

	uplink_facts(p->uplink, &u);
	if (strstr(u.last_error, words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, u.last_error);
}

static bool
is_down(void *arg)
{
	return !http_pair_is_up(arg);
}

static void
a_network_that_swallows_all_is_noticed_and_left_behind(void **state)
{
	struct http_pair p;
	struct tcp_forwarder *f = start_over_forwarder(&p);
	uint64_t began_us;

	(void)state;
	assert_up(&p);
	tcp_forwarder_black_hole(f, true);
	began_us = clock_us();
	http_pair_send(&p, 5);
	assert_true(http_pair_wait(&p, is_down, &p, 7000));
	assert_true(clock_us() - began_us < 6 * CLOCK_S);
	assert_error(&p, "carried nothing for too long");
	tcp_forwarder_black_hole(f, false);
	tcp_forwarder_cut_all(f);
	assert_all_come(&p, 3 * SOON_MS);
	assert_up(&p);
	assert_int_equal(p.agent_sessions_n, 1);
	tcp_forwarder_free(f);
	http_pair_free(&p);
}

static void
a_proxy_that_keeps_our_requests_to_itself_is_named(void **state)
{
	struct http_pair p;
	struct tcp_forwarder *f = start_over_forwarder(&p);

	(void)state;
	tcp_forwarder_swallow(f, "POST /vofw/1/up/");
	assert_true(http_pair_wait(&p, has_error, &p, 15000));
	assert_error(&p, "swallows or collects what should pass");
	assert_false(http_pair_is_up(&p));
	tcp_forwarder_free(f);
	http_pair_free(&p);
}

static void
late_bytes_still_arrive_in_order(void **state)
{
	struct http_pair p;
	struct tcp_forwarder *f = start_over_forwarder(&p);
	struct uplink_facts u;
	unsigned i;

	(void)state;
	tcp_forwarder_delay(f, 20);
	assert_up(&p);
	for (i = 0; i < 50; i++) {
		http_pair_send(&p, 10);
		http_pair_sleep(&p, 10);
	}
	assert_all_come(&p, SOON_MS);
	uplink_facts(p.uplink, &u);
	assert_true(u.srtt_us > 10 * CLOCK_MS && u.srtt_us < 400 * CLOCK_MS);
	tcp_forwarder_free(f);
	http_pair_free(&p);
}

static bool
two_uplink_sessions(void *arg)
{
	return ((struct http_pair *)arg)->uplink_sessions_n == 2;
}

static void
a_restarted_hras_is_told_and_taught_anew(void **state)
{
	struct http_pair p;

	(void)state;
	start(&p);
	assert_up(&p);
	http_pair_send(&p, 10);
	assert_all_come(&p, SOON_MS);
	http_pair_stop_gateway(&p);
	http_pair_sleep(&p, 300);
	http_pair_start_gateway(&p);
	http_pair_forget(&p);
	assert_true(http_pair_wait(&p, two_uplink_sessions, &p, 3 * SOON_MS));
	assert_int_equal(p.uplink_restarted_n, 2);
	assert_int_equal(p.agent_fresh_n, 2);
	assert_up(&p);
	http_pair_send(&p, 10);
	assert_all_come(&p, SOON_MS);
	http_pair_free(&p);
}

static bool
two_agent_sessions(void *arg)
{
	return ((struct http_pair *)arg)->agent_sessions_n == 2;
}

static void
a_restarted_hrac_takes_the_place_of_the_one_before(void **state)
{
	struct http_pair p;
	struct gateway_agent *before;

	(void)state;
	start(&p);
	assert_up(&p);
	before = p.agent;
	http_pair_stop_uplink(&p);
	http_pair_start_uplink(&p);
	assert_true(http_pair_wait(&p, two_agent_sessions, &p, SOON_MS));
	assert_int_equal(p.agent_fresh_n, 2);
	assert_ptr_equal(p.agent, before);
	assert_up(&p);
	http_pair_send(&p, 10);
	assert_all_come(&p, SOON_MS);
	assert_int_equal(p.agent_gone_n, 0);
	http_pair_free(&p);
}

static bool
agent_gone(void *arg)
{
	return ((struct http_pair *)arg)->agent_gone_n == 1;
}

static void
an_agent_away_for_longer_than_the_grace_is_gone(void **state)
{
	struct http_pair p;

	(void)state;
	http_pair_init(&p);
	p.gateway_config.grace_s = 1;
	http_pair_start_gateway(&p);
	http_pair_start_uplink(&p);
	assert_up(&p);
	http_pair_stop_uplink(&p);
	assert_true(http_pair_wait(&p, agent_gone, &p, 4 * SOON_MS));
	assert_null(gateway_agent_find(p.gateway, "office"));
	http_pair_start_uplink(&p);
	assert_up(&p);
	http_pair_free(&p);
}

static void
an_agent_whose_secret_is_taken_away_is_gone_at_once(void **state)
{
	struct http_pair p;

	(void)state;
	start(&p);
	assert_up(&p);
	gateway_recheck(p.gateway);
	http_pair_sleep(&p, 50);
	assert_int_equal(p.agent_gone_n, 0);
	p.secret = NULL;
	gateway_recheck(p.gateway);
	assert_true(http_pair_wait(&p, agent_gone, &p, SOON_MS));
	assert_true(http_pair_wait(&p, was_refused, &p, 3 * SOON_MS));
	http_pair_free(&p);
}

static bool
saw_malformed(void *arg)
{
	struct http_pair *p = arg;

	return http_pair_metric(uplink_metrics(p->uplink), "tunnel_streams_malformed") > 0;
}

static void
a_garbled_connection_is_closed_and_counted_and_the_rest_goes_on(void **state)
{
	struct http_pair p;
	struct tcp_forwarder *f = start_over_forwarder(&p);
	unsigned i;

	(void)state;
	assert_up(&p);
	for (i = 0; i < 50 && !saw_malformed(&p); i++) {
		tcp_forwarder_garble(f);
		http_pair_send(&p, 10);
		http_pair_wait(&p, saw_malformed, &p, 100);
	}
	assert_true(saw_malformed(&p));
	http_pair_send(&p, 10);
	assert_up(&p);
	assert_int_equal(p.up.wrong_n, 0);
	tcp_forwarder_free(f);
	http_pair_free(&p);
}

static void
both_ends_may_end_in_the_midst_of_traffic(void **state)
{
	struct http_pair p;

	(void)state;
	start(&p);
	assert_up(&p);
	uplink_set_busy(p.uplink, true);
	http_pair_send(&p, 500);
	event_base_loop(p.base, EVLOOP_NONBLOCK);
	http_pair_send_media(&p, 500);
	http_pair_free(&p);
}

/* -- Causes of failure, told in plain words -- */

static void
assert_cause(struct http_pair *p, const char *words)
{
	http_pair_start_uplink(p);
	http_pair_wait(p, has_error, p, 10000);
	assert_error(p, words);
	http_pair_stop_uplink(p);
}

static void
what_stands_in_the_way_is_named(void **state)
{
	struct http_pair p;

	(void)state;
	http_pair_init(&p);
	p.uplink_config.url = "http://hras.invalid/";
	assert_cause(&p, "the name of HRAS is not resolved");
	p.uplink_config.url = "http://127.0.0.1:9/";
	assert_cause(&p, "cannot connect to HRAS: Connection refused");
	p.uplink_config.proxy = "http://127.0.0.1:9";
	assert_cause(&p, "cannot connect to the proxy: Connection refused");
	p.uplink_config.proxy = "http://proxy.invalid:3128";
	assert_cause(&p, "the name of the proxy is not resolved");
	p.uplink_config.proxy = NULL;
	p.uplink_config.url = "https://127.0.0.1:9/";
	p.uplink_config.ca = "/nonexistent/ca.pem";
	assert_cause(&p, "cannot connect to HRAS");
	http_pair_free(&p);
}

static bool
failed_thrice(void *arg)
{
	struct http_pair *p = arg;

	return http_pair_metric(uplink_metrics(p->uplink), "uplink_failures") >= 3;
}

static void
a_failure_that_goes_on_is_told_once(void **state)
{
	struct http_pair p;

	(void)state;
	http_pair_init(&p);
	p.uplink_config.url = "http://127.0.0.1:9/told-once/";
	http_pair_start_uplink(&p);
	assert_true(http_pair_wait(&p, failed_thrice, &p, 3 * SOON_MS));
	assert_int_equal(logged_n("told-once"), 1);
	http_pair_free(&p);
}

static void
two_boxes_under_one_name_are_told_of(void **state)
{
	struct http_pair p;
	unsigned i;

	(void)state;
	start(&p);
	for (i = 0; i < 4; i++) {
		assert_up(&p);
		assert_int_equal(logged_n("do two boxes use its name?"), i == 3);
		http_pair_stop_uplink(&p);
		http_pair_start_uplink(&p);
		p.agent = NULL;
	}
	http_pair_free(&p);
}

/* A web server of one answer. */
struct liar {
	struct event *listener, *client;
	const char *answer;
};

static void
on_liar_asked(evutil_socket_t fd, short what, void *arg)
{
	struct liar *l = arg;
	char request[2048];

	(void)what;
	assert_true(recv(fd, request, sizeof(request), 0) > 0);
	assert_true(send(fd, l->answer, strlen(l->answer), 0) > 0);
	event_free(l->client);
	close(fd);
}

static void
on_liar_accepts(evutil_socket_t fd, short what, void *arg)
{
	struct liar *l = arg;
	int c = accept(fd, NULL, NULL);

	(void)what;
	assert_true(c >= 0);
	l->client = event_new(event_get_base(l->listener), c, EV_READ, on_liar_asked, l);
	event_add(l->client, NULL);
}

static int
bound_socket(struct addr *out)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	socklen_t len = sizeof(in4);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&in4, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in4, &len), 0);
	addr_from_sockaddr((struct sockaddr *)&in4, out);
	return fd;
}

static void
an_answer_that_is_not_of_hras_is_named(void **state)
{
	static const struct {
		const char *answer, *words;
		bool as_proxy;
	} cases[] = {
		{ "HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\n\r\n",
		    "redirect to http://login.example/", false },
		{ "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nHello",
		    "HTTP 200, text/html (a login page, or a wrong url?)", false },
		{ "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n",
		    "HTTP 404, text/html", false },
		{ "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
		  "Content-Length: 5\r\n\r\nHello",
		    "cannot be understood", false },
		{ "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
		    "the proxy wants a user and a password", true },
		{ "HTTP/1.1 403 No\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n",
		    "the proxy forbids the way to HRAS", true },
		{ "HTTP/1.1 503 No\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n",
		    "the proxy cannot reach HRAS (HTTP 503)", true },
		{ "GARBAGE\r\n\r\n", "is no web server", false },
	};
	struct http_pair p;
	struct liar liar;
	struct addr a;
	char *url, text[ADDR_STR_MAX];
	int fd = bound_socket(&a);
	size_t i;

	(void)state;
	http_pair_init(&p);
	url = mem_printf("http://%s/", addr_str(&a, text));
	liar.listener = event_new(p.base, fd, EV_READ | EV_PERSIST, on_liar_accepts, &liar);
	event_add(liar.listener, NULL);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		liar.answer = cases[i].answer;
		p.uplink_config.url = cases[i].as_proxy ? "http://192.0.2.1/" : url;
		p.uplink_config.proxy = cases[i].as_proxy ? url : NULL;
		assert_cause(&p, cases[i].words);
	}
	event_free(liar.listener);
	close(fd);
	mem_free(url);
	http_pair_free(&p);
}

static void
a_configuration_that_cannot_work_is_refused(void **state)
{
	static const struct uplink_handlers handlers = { 0 };
	struct uplink_config config = { .url = "ftp://h/", .agent = "a", .secret = "s" };
	struct event_base *base = event_base_new();
	char name[100];
	struct uplink *u;

	(void)state;
	assert_int_equal(uplink_new(base, &config, &handlers, NULL, &u), ERR_MALFORMED);
	config.url = "http://user:password@h/";
	assert_int_equal(uplink_new(base, &config, &handlers, NULL, &u), ERR_MALFORMED);
	config.url = "http://h/?q";
	assert_int_equal(uplink_new(base, &config, &handlers, NULL, &u), ERR_MALFORMED);
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	config.url = "http://h/";
	config.agent = name;
	assert_int_equal(uplink_new(base, &config, &handlers, NULL, &u), ERR_TOO_BIG);
	event_base_free(base);
}

/* A raw client of the gateway. */
struct raw {
	struct event *ev;
	int fd;
	char answer[2048];
	size_t answer_len;
	bool closed;
};

static void
on_raw(evutil_socket_t fd, short what, void *arg)
{
	struct raw *r = arg;
	ssize_t n;

	(void)what;
	n = recv(fd, r->answer + r->answer_len, sizeof(r->answer) - 1 - r->answer_len, 0);
	if (n > 0) {
		r->answer_len += (size_t)n;
		return;
	}
	r->closed = true;
	event_del(r->ev);
}

static void
raw_open(struct raw *r, struct http_pair *p, const void *bytes, size_t n)
{
	struct addr *a = &p->gateway_config.listen[0];

	memset(r, 0, sizeof(*r));
	r->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(r->fd, &a->u.sa, addr_len(a)), 0);
	r->ev = event_new(p->base, r->fd, EV_READ | EV_PERSIST, on_raw, r);
	event_add(r->ev, NULL);
	if (n > 0)
		assert_int_equal(send(r->fd, bytes, n, MSG_NOSIGNAL), n);
}

static void
raw_close(struct raw *r)
{
	event_free(r->ev);
	close(r->fd);
}

static bool
raw_is_over(void *arg)
{
	struct raw *r = arg;

	return r->closed || strstr(r->answer, "\r\n\r\n") != NULL;
}

static bool
raw_is_closed(void *arg)
{
	return ((struct raw *)arg)->closed;
}

/* -- TLS -- */

static void
tls_is_verified_by_the_authority_given(void **state)
{
	struct http_pair p;
	struct uplink_facts u;
	struct gateway_facts g;
	struct tls_ca ca;

	(void)state;
	tls_ca_make(&ca);
	http_pair_init(&p);
	p.gateway_config.certificate = ca.certificate;
	p.gateway_config.key = ca.key;
	p.uplink_config.ca = ca.file;
	http_pair_start_gateway(&p);
	http_pair_start_uplink(&p);
	assert_up(&p);
	uplink_set_busy(p.uplink, true);
	assert_true(http_pair_wait(&p, four_pairs, &p, SOON_MS));
	http_pair_send(&p, 500);
	http_pair_send_media(&p, 100);
	assert_all_come(&p, SOON_MS);
	uplink_facts(p.uplink, &u);
	gateway_agent_facts(p.agent, &g);
	assert_string_equal(u.transport, "https");
	assert_string_equal(g.transport, "https");
	http_pair_free(&p);
	tls_ca_free(&ca);
}

static void
a_certificate_of_another_authority_is_refused_with_the_reason(void **state)
{
	struct http_pair p;
	struct tls_ca ca, other;

	(void)state;
	tls_ca_make(&ca);
	tls_ca_make(&other);
	http_pair_init(&p);
	p.gateway_config.certificate = ca.certificate;
	p.gateway_config.key = ca.key;
	http_pair_start_gateway(&p);
	p.uplink_config.ca = other.file;
	assert_cause(&p, "the certificate of HRAS is not trusted: SSL certificate problem");
	p.uplink_config.ca = NULL; /* the system's store */
	assert_cause(&p, "the certificate of HRAS is not trusted: SSL certificate problem");
	p.uplink_config.ca = "/nonexistent/ca.pem";
	assert_cause(&p, "the file of tunnel.ca cannot be used");
	p.uplink_config.ca = ca.file;
	p.gateway_config.certificate = NULL; /* the url is http: */
	assert_cause(&p, "the connection was cut");
	assert_int_equal(p.agent_sessions_n, 0);
	http_pair_free(&p);
	tls_ca_free(&ca);
	tls_ca_free(&other);
}

static void
strangers_who_begin_a_tls_handshake_and_stop_do_not_keep_us_busy(void **state)
{
	static const unsigned char beginning[] = { 22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3 };
	struct http_pair p;
	struct tls_ca ca;
	struct raw r[8];
	size_t i;

	(void)state;
	tls_ca_make(&ca);
	http_pair_init(&p);
	p.gateway_config.certificate = ca.certificate;
	p.gateway_config.key = ca.key;
	p.uplink_config.ca = ca.file;
	http_pair_start_gateway(&p);
	for (i = 0; i < 8; i++)
		raw_open(&r[i], &p, beginning, i % 2 == 0 ? sizeof(beginning) : 0);
	http_pair_start_uplink(&p);
	assert_up(&p);
	http_pair_sleep(&p, 200);
	p.loops_n = 0;
	http_pair_sleep(&p, 1000);
	assert_true(p.loops_n < 400);
	for (i = 0; i < 8; i++)
		raw_close(&r[i]);
	http_pair_free(&p);
	tls_ca_free(&ca);
}

/* -- The gateway alone -- */

static void
a_port_in_use_and_a_bad_certificate_fail_the_start(void **state)
{
	static const struct gateway_handlers handlers = { 0 };
	struct gateway_config config = { .listen_n = 2 };
	struct event_base *base = event_base_new();
	struct gateway *g;
	int fd;

	(void)state;
	fd = bound_socket(&config.listen[1]);
	assert_int_equal(addr_parse("127.0.0.1:0", 0, &config.listen[0]), 0);
	assert_int_equal(gateway_new(base, &config, &handlers, NULL, &g), ERR_IN_USE);
	assert_int_equal(addr_parse("192.0.2.1:80", 0, &config.listen[1]), 0);
	assert_int_equal(gateway_new(base, &config, &handlers, NULL, &g), ERR_IO);
	config.listen_n = 1;
	config.certificate = config.key = "rubbish";
	assert_int_equal(gateway_new(base, &config, &handlers, NULL, &g), ERR_MALFORMED);
	close(fd);
	event_base_free(base);
}

static void
requests_that_are_none_of_ours_get_a_plain_refusal(void **state)
{
	static const struct {
		const char *request, *answer;
	} cases[] = {
		{ "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 404 " },
		{ "GET /vofw/1/down HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 404 " },
		{ "GET /vofw/1/down/x HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 404 " },
		{ "GET /vofw/1/open HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 405 " },
		{ "POST /vofw/1/down/x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
		    "HTTP/1.1 405 " },
		{ "POST /vofw/1/up/1/2/3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "5\r\nhello\r\n",
		    "HTTP/1.1 404 " },
		{ "POST /vofw/1/open HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
		    "HTTP/1.1 400 " },
		{ "POST /vofw/1/open HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
		    "HTTP/1.1 400 " },
		{ "DELETE /%00/vofw/1/open HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 404 " },
		{ "\r\n\r\n\x01\xff rubbish\r\n\r\n", "" },
		{ "GET / HTTP/9.9\r\n\r\n", "" },
	};
	struct http_pair p;
	struct raw r;
	size_t i;

	(void)state;
	start(&p);
	assert_up(&p);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		raw_open(&r, &p, cases[i].request, strlen(cases[i].request));
		assert_true(http_pair_wait(&p, raw_is_over, &r, SOON_MS));
		if (strncmp(r.answer, cases[i].answer, strlen(cases[i].answer)) != 0)
			fail_msg("%s: %s", cases[i].request, r.answer);
		raw_close(&r);
	}
	http_pair_send(&p, 10);
	assert_all_come(&p, SOON_MS);
	http_pair_free(&p);
}

static void
an_open_request_that_is_too_long_is_cut_off(void **state)
{
	static const char head[] =
	    "POST /vofw/1/open HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n";
	struct http_pair p;
	struct raw r;
	char body[8192];

	(void)state;
	http_pair_init(&p);
	http_pair_start_gateway(&p);
	memset(body, 'x', sizeof(body));
	memcpy(body, head, sizeof(head) - 1);
	raw_open(&r, &p, body, sizeof(body));
	assert_true(http_pair_wait(&p, raw_is_closed, &r, SOON_MS));
	assert_int_equal(http_pair_metric(gateway_metrics(p.gateway), "gateway_requests_oversized"),
	    1);
	raw_close(&r);
	http_pair_free(&p);
}

struct drip {
	struct raw raw;
	struct event *ev;
};

static void
on_drip(evutil_socket_t fd, short what, void *arg)
{
	struct drip *d = arg;

	(void)fd;
	(void)what;
	(void)!send(d->raw.fd, "x", 1, MSG_NOSIGNAL);
}

static void
who_sends_a_byte_now_and_then_is_closed_after_the_term(void **state)
{
	static const char head[] = "GET /vofw/1/down/";
	static const struct timeval pause = { 0, 100000 };
	struct http_pair p;
	struct drip d;
	uint64_t began_us;

	(void)state;
	http_pair_init(&p);
	p.gateway_config.pending_s = 1;
	http_pair_start_gateway(&p);
	http_pair_start_uplink(&p);
	assert_up(&p);
	raw_open(&d.raw, &p, head, sizeof(head) - 1);
	d.ev = event_new(p.base, -1, EV_PERSIST, on_drip, &d);
	event_add(d.ev, &pause);
	began_us = clock_us();
	assert_true(http_pair_wait(&p, raw_is_closed, &d.raw, SOON_MS));
	assert_true(clock_us() - began_us > 800 * CLOCK_MS);
	assert_true(clock_us() - began_us < 2500 * CLOCK_MS);
	assert_true(http_pair_is_up(&p));
	assert_true(http_pair_metric(gateway_metrics(p.gateway), "gateway_connections_expired") >=
	    1);
	event_free(d.ev);
	raw_close(&d.raw);
	http_pair_free(&p);
}

static void
idle_strangers_beyond_the_cap_push_out_the_eldest(void **state)
{
	static struct raw strangers[GATEWAY_PENDING_MAX + 20];
	struct http_pair p;
	size_t i, n = sizeof(strangers) / sizeof(strangers[0]);

	(void)state;
	http_pair_init(&p);
	http_pair_start_gateway(&p);
	for (i = 0; i < n; i++) {
		raw_open(&strangers[i], &p, NULL, 0);
		event_base_loop(p.base, EVLOOP_NONBLOCK);
	}
	assert_true(http_pair_wait(&p, raw_is_closed, &strangers[10], SOON_MS));
	assert_false(strangers[n - 1].closed);
	http_pair_start_uplink(&p);
	assert_up(&p);
	for (i = 0; i < n; i++)
		raw_close(&strangers[i]);
	http_pair_send(&p, 10);
	assert_all_come(&p, SOON_MS);
	http_pair_free(&p);
}

static void
thousands_of_bogus_requests_disturb_nobody(void **state)
{
	static const char request[] =
	    "POST /x/vofw/1/open HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\nrubbish";
	struct http_pair p;
	struct raw r;
	unsigned i;

	(void)state;
	start(&p);
	assert_up(&p);
	for (i = 0; i < 1000; i++) {
		raw_open(&r, &p, request, sizeof(request) - 1);
		if (i % 2 == 0)
			assert_true(http_pair_wait(&p, raw_is_over, &r, SOON_MS));
		raw_close(&r);
		http_pair_send(&p, 1);
	}
	assert_all_come(&p, SOON_MS);
	assert_true(http_pair_metric(gateway_metrics(p.gateway), "gateway_malformed_opens") >= 500);
	http_pair_free(&p);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_opens_and_one_pair_stands_while_no_call_is_up),
		cmocka_unit_test(all_pairs_open_when_a_call_is_set_up),
		cmocka_unit_test(a_wrong_secret_is_refused_named_and_not_tried_again_at_once),
		cmocka_unit_test(an_unknown_agent_is_refused_in_the_same_way),
		cmocka_unit_test(frames_pass_both_ways_in_order_and_media_at_most_once),
		cmocka_unit_test(a_frame_sent_before_any_session_is_refused_and_after_it_waits),
		cmocka_unit_test(rotation_by_few_bytes_loses_nothing),
		cmocka_unit_test(two_agents_at_two_addresses_do_not_hear_each_other),
		cmocka_unit_test(cut_connections_cost_no_reliable_frame_and_no_session),
		cmocka_unit_test(a_network_that_swallows_all_is_noticed_and_left_behind),
		cmocka_unit_test(a_proxy_that_keeps_our_requests_to_itself_is_named),
		cmocka_unit_test(late_bytes_still_arrive_in_order),
		cmocka_unit_test(a_restarted_hras_is_told_and_taught_anew),
		cmocka_unit_test(a_restarted_hrac_takes_the_place_of_the_one_before),
		cmocka_unit_test(an_agent_away_for_longer_than_the_grace_is_gone),
		cmocka_unit_test(an_agent_whose_secret_is_taken_away_is_gone_at_once),
		cmocka_unit_test(a_garbled_connection_is_closed_and_counted_and_the_rest_goes_on),
		cmocka_unit_test(both_ends_may_end_in_the_midst_of_traffic),
		cmocka_unit_test(what_stands_in_the_way_is_named),
		cmocka_unit_test(a_failure_that_goes_on_is_told_once),
		cmocka_unit_test(two_boxes_under_one_name_are_told_of),
		cmocka_unit_test(an_answer_that_is_not_of_hras_is_named),
		cmocka_unit_test(a_configuration_that_cannot_work_is_refused),
		cmocka_unit_test(tls_is_verified_by_the_authority_given),
		cmocka_unit_test(a_certificate_of_another_authority_is_refused_with_the_reason),
		cmocka_unit_test(strangers_who_begin_a_tls_handshake_and_stop_do_not_keep_us_busy),
		cmocka_unit_test(a_port_in_use_and_a_bad_certificate_fail_the_start),
		cmocka_unit_test(requests_that_are_none_of_ours_get_a_plain_refusal),
		cmocka_unit_test(an_open_request_that_is_too_long_is_cut_off),
		cmocka_unit_test(who_sends_a_byte_now_and_then_is_closed_after_the_term),
		cmocka_unit_test(idle_strangers_beyond_the_cap_push_out_the_eldest),
		cmocka_unit_test(thousands_of_bogus_requests_disturb_nobody),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("uplink and gateway", tests, NULL, NULL);
}
