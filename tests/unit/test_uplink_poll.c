/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bounded streams over real HTTP on the loopback: what passes, what is kept, what is closed. */
#include "tests/support/http_pair_assert.h"

#include <event2/event.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "config/config.h"

static void
start_polling(struct http_pair *p)
{
	http_pair_init(p);
	p->uplink_config.transport = CONFIG_BY_POLL;
	http_pair_start_gateway(p);
	http_pair_start_uplink(p);
	assert_up(p);
}

static uint64_t
of_uplink(struct http_pair *p, const char *name)
{
	return http_pair_metric(uplink_metrics(p->uplink), name);
}

static uint64_t
of_gateway(struct http_pair *p, const char *name)
{
	return http_pair_metric(gateway_metrics(p->gateway), name);
}

static void
all_passes_by_requests_of_one_burst_each(void **state)
{
	struct http_pair p;

	(void)state;
	start_polling(&p);
	uplink_set_busy(p.uplink, true);
	gateway_set_busy(p.agent, true);
	for (unsigned i = 0; i < 100; i++) {
		http_pair_send(&p, 5);
		http_pair_send_media(&p, 2);
		http_pair_sleep(&p, 10);
	}
	assert_all_come(&p, SOON_MS);
	http_pair_sleep(&p, 200);
	assert_int_equal(p.up.media_n, p.up_media_sent);
	assert_int_equal(p.down.media_n, p.down_media_sent);
	assert_clean(&p);
	assert_true(of_uplink(&p, "tunnel_streams_bounded") > 100);
	assert_int_equal(of_uplink(&p, "tunnel_streams_bounded"),
	    of_uplink(&p, "tunnel_streams_opened"));
	assert_int_equal(of_uplink(&p, "tunnel_streams_cut"), 0);
	assert_int_equal(of_uplink(&p, "tunnel_streams_refused"), 0);
	assert_int_equal(of_gateway(&p, "tunnel_streams_cut"), 0);
	http_pair_free(&p);
}

static void
requests_follow_each_other_on_a_few_connections(void **state)
{
	uint64_t connections;
	struct http_pair p;

	(void)state;
	start_polling(&p);
	for (unsigned i = 0; i < 200; i++) {
		http_pair_send(&p, 1);
		http_pair_sleep(&p, 5);
	}
	assert_all_come(&p, SOON_MS);
	connections = of_gateway(&p, "gateway_connections");
	printf("%llu connections for %llu requests\n", (unsigned long long)connections,
	    (unsigned long long)of_gateway(&p, "gateway_requests"));
	assert_true(of_gateway(&p, "gateway_requests") > 200);
	assert_true(connections < 30);
	http_pair_free(&p);
}

static void
nothing_spins_while_a_request_waits(void **state)
{
	struct http_pair p;

	(void)state;
	start_polling(&p);
	p.loops_n = 0;
	for (unsigned i = 0; i < 3; i++) {
		http_pair_sleep(&p, 1000);
		http_pair_send(&p, 1);
		assert_all_come(&p, SOON_MS);
	}
	assert_true(p.loops_n < 1000);
	assert_true(http_pair_is_up(&p));
	http_pair_free(&p);
}

static void
connections_cut_between_and_under_requests_cost_no_frame(void **state)
{
	struct tcp_forwarder *f;
	struct http_pair p;
	char url[64];

	(void)state;
	http_pair_init(&p);
	p.uplink_config.transport = CONFIG_BY_POLL;
	http_pair_start_gateway(&p);
	f = tcp_forwarder_new(p.base, &p.gateway_config.listen[0].addr);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", tcp_forwarder_port(f));
	p.uplink_config.urls[0] = url;
	http_pair_start_uplink(&p);
	assert_up(&p);
	uplink_set_busy(p.uplink, true);
	gateway_set_busy(p.agent, true);
	for (unsigned i = 0; i < 12; i++) {
		for (unsigned k = 0; k < 10; k++) {
			http_pair_send(&p, 3);
			http_pair_sleep(&p, 5);
		}
		tcp_forwarder_cut_all(f);
	}
	assert_all_come(&p, SOON_MS);
	assert_int_equal(p.agent_sessions_n, 1);
	http_pair_free(&p);
	tcp_forwarder_free(f);
}

/* What was read of a socket until the peer was done or a second was over; the loop goes on meanwhile. */
static size_t
answer_to(struct http_pair *p, const char *request, char *out, size_t cap)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct addr a = gateway_addr(p->gateway, 0);
	size_t used = 0;
	ssize_t n;

	connect(fd, &a.u.sa, addr_len(&a));
	http_pair_sleep(p, 20);
	assert_int_equal(send(fd, request, strlen(request), 0), (ssize_t)strlen(request));
	for (unsigned i = 0; i < 100; i++) {
		http_pair_sleep(p, 10);
		n = recv(fd, out + used, cap - 1 - used, 0);
		if (n == 0)
			break;
		used += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	out[used] = '\0';
	return used;
}

static void
a_bounded_path_that_proves_nothing_is_not_found_and_closed(void **state)
{
	static const char path[] =
	    "vofw/1/get/0123456789abcdef/00000009/00000000000000000000000000000000";
	char request[256], answer[1024];
	struct http_pair p;

	(void)state;
	start_polling(&p);
	snprintf(request, sizeof(request), "GET /%s HTTP/1.1\r\nHost: h\r\n\r\n", path);
	assert_true(answer_to(&p, request, answer, sizeof(answer)) > 0);
	assert_non_null(strstr(answer, "HTTP/1.1 404"));
	assert_non_null(strstr(answer, "Connection: close"));
	/* As old as that: the method of the other one. */
	snprintf(request, sizeof(request), "POST /%s HTTP/1.0\r\nContent-Length: 0\r\n\r\n", path);
	assert_true(answer_to(&p, request, answer, sizeof(answer)) > 0);
	assert_non_null(strstr(answer, " 405 "));
	assert_true(http_pair_is_up(&p));
	http_pair_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_passes_by_requests_of_one_burst_each),
		cmocka_unit_test(requests_follow_each_other_on_a_few_connections),
		cmocka_unit_test(nothing_spins_while_a_request_waits),
		cmocka_unit_test(connections_cut_between_and_under_requests_cost_no_frame),
		cmocka_unit_test(a_bounded_path_that_proves_nothing_is_not_found_and_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
