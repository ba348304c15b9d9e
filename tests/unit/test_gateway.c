/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The gateway and strangers. */
#include "tests/support/http_pair_assert.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "tests/support/tls_ca.h"

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
	struct addr *a = &p->gateway_config.listen[0].addr;

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
	p.gateway_config.tls.certificate = ca.server.certificate;
	p.gateway_config.tls.key = ca.server.key;
	p.gateway_config.listen[0].tls = true;
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

static void
a_port_in_use_and_a_bad_certificate_fail_the_start(void **state)
{
	static const struct gateway_handlers handlers = { 0 };
	struct gateway_config config = { .listen_n = 2 };
	struct event_base *base = event_base_new();
	struct gateway *g;
	int fd;

	(void)state;
	fd = bound_socket(&config.listen[1].addr);
	assert_int_equal(addr_parse("127.0.0.1:0", 0, &config.listen[0].addr), 0);
	assert_int_equal(gateway_new(base, &config, &handlers, NULL, &g), ERR_IN_USE);
	assert_int_equal(addr_parse("192.0.2.1:80", 0, &config.listen[1].addr), 0);
	assert_int_equal(gateway_new(base, &config, &handlers, NULL, &g), ERR_IO);
	config.listen_n = 1;
	config.tls.certificate = config.tls.key = "/dev/null";
	config.listen[0].tls = true;
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
	start_pair(&p);
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

/* Both ends of their connections are ours. */
static void
raise_file_limit(void)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max < 2 * GATEWAY_PENDING_MAX + 200)
		skip();
}

static void
idle_strangers_beyond_the_cap_push_out_the_eldest(void **state)
{
	static struct raw strangers[GATEWAY_PENDING_MAX + 20];
	struct http_pair p;
	size_t i, n = sizeof(strangers) / sizeof(strangers[0]);

	(void)state;
	raise_file_limit();
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
	start_pair(&p);
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

static void
spoilt_requests_disturb_nobody(void **state)
{
	static const char request[] =
	    "POST /vofw/1/up/0123456789abcdef/00000001/"
	    "987693d1712a1820d1c6f2e060cec758 HTTP/1.1\r\nHost: h\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n8\r\nVF\1\0\0\0\0\1\r\n0\r\n\r\n";
	char spoilt[sizeof(request)];
	struct http_pair p;
	struct raw r;
	unsigned seed = 20, i, k;

	(void)state;
	start_pair(&p);
	assert_up(&p);
	for (i = 0; i < 400; i++) {
		memcpy(spoilt, request, sizeof(request));
		for (k = 0; k <= i % 8; k++)
			spoilt[(unsigned)rand_r(&seed) % sizeof(request)] = (char)rand_r(&seed);
		raw_open(&r, &p, spoilt, (unsigned)rand_r(&seed) % sizeof(request));
		http_pair_wait(&p, raw_is_over, &r, 4);
		raw_close(&r);
	}
	http_pair_send(&p, 10);
	assert_all_come(&p, SOON_MS);
	assert_int_equal(p.agent_sessions_n, 1);
	http_pair_free(&p);
}

static void
an_agent_is_told_the_host_that_stands_for_ours_behind_a_nat(void **state)
{
	static const char *const private[] = { "127.0.0.1", "127.0.0.2" };
	static const char *const told[] = { "192.0.2.1", "127.0.0.1" };
	char host[ADDR_HOST_MAX];
	struct http_pair p;
	struct addr a;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		http_pair_init(&p);
		addr_parse("127.0.0.1:0", 0, &p.gateway_config.datagrams[0]);
		p.gateway_config.datagrams_n = 1;
		addr_parse(private[i], 0, &p.gateway_config.private_host);
		addr_parse("192.0.2.1", 0, &p.gateway_config.told_host);
		http_pair_start_gateway(&p);
		http_pair_start_uplink(&p);
		assert_up(&p);
		assert_true(gateway_datagram_address(p.agent, &a));
		assert_string_equal(addr_host(&a, host), told[i]);
		assert_int_not_equal(addr_port(&a), 0);
		http_pair_free(&p);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strangers_who_begin_a_tls_handshake_and_stop_do_not_keep_us_busy),
		cmocka_unit_test(a_port_in_use_and_a_bad_certificate_fail_the_start),
		cmocka_unit_test(requests_that_are_none_of_ours_get_a_plain_refusal),
		cmocka_unit_test(an_open_request_that_is_too_long_is_cut_off),
		cmocka_unit_test(who_sends_a_byte_now_and_then_is_closed_after_the_term),
		cmocka_unit_test(idle_strangers_beyond_the_cap_push_out_the_eldest),
		cmocka_unit_test(spoilt_requests_disturb_nobody),
		cmocka_unit_test(an_agent_is_told_the_host_that_stands_for_ours_behind_a_nat),
		cmocka_unit_test(thousands_of_bogus_requests_disturb_nobody),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("gateway", tests, NULL, NULL);
}
