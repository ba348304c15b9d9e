/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Why the uplink cannot get through, told in plain words. */
#include "tests/support/http_pair_assert.h"

#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "hrac/uplink/cause.h"
#include "hrac/uplink/proxy.h"
#include "tests/support/tls_ca.h"

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
	p.uplink_config.urls[0] = "http://hras.invalid/";
	assert_cause(&p, "the name of HRAS is not resolved");
	p.uplink_config.urls[0] = "http://127.0.0.1:9/";
	assert_cause(&p, "cannot connect to HRAS: Connection refused");
	p.uplink_config.proxy = "http://127.0.0.1:9";
	assert_cause(&p, "cannot connect to the proxy: Connection refused");
	p.uplink_config.proxy = "http://proxy.invalid:3128";
	assert_cause(&p, "the name of the proxy is not resolved");
	p.uplink_config.proxy = NULL;
	p.uplink_config.urls[0] = "https://127.0.0.1:9/";
	p.uplink_config.ca = "/nonexistent/ca.pem";
	assert_cause(&p, "cannot connect to HRAS");
	http_pair_free(&p);
}

static void
what_libcurl_says_is_told_in_words_of_the_thing_itself(void **state)
{
	static char proxy_name[] = "http://p:1";
	static const struct uplink_proxy proxy = { .name = proxy_name };
	static const struct {
		struct uplink_failure f;
		const char *words;
	} cases[] = {
		{ { .code = CURLE_OPERATION_TIMEDOUT, .text = "Resolving timed out after 4000 ms" },
		    "no name server answers for the name of HRAS" },
		{ { .code = CURLE_OPERATION_TIMEDOUT,
		      .text = "Connection timed out after 4000 ms" },
		    "no answer from HRAS: timed out while connecting (a firewall?)" },
		{ { .code = CURLE_OPERATION_TIMEDOUT,
		      .text = "Connection timed out",
		      .proxy = &proxy },
		    "no answer from the proxy: timed out while connecting (a firewall?)" },
		{ { .code = CURLE_SSL_CONNECT_ERROR, .text = "wrong version number" },
		    "TLS with HRAS fails: wrong version number" },
		{ { .code = CURLE_RECV_ERROR, .text = "" },
		    "the connection was cut: Failure when receiving data from the peer" },
		{ { .code = CURLE_HTTP_RETURNED_ERROR,
		      .text = "",
		      .status = 404,
		      .from_hras = true },
		    "HRAS does not know our session" },
		{ { .code = CURLE_HTTP_RETURNED_ERROR,
		      .text = "",
		      .status = 503,
		      .from_hras = true },
		    "HRAS refuses the request (HTTP 503)" },
		{ { .code = CURLE_OK, .text = "", .status = 200, .from_hras = true }, "" },
	};
	struct uplink_failure f;
	CURL *easy = curl_easy_init();
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f = cases[i].f;
		f.easy = easy;
		uplink_cause(&f, text, sizeof(text));
		assert_string_equal(text, cases[i].words);
	}
	curl_easy_cleanup(easy);
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
	p.uplink_config.urls[0] = "http://127.0.0.1:9/told-once/";
	http_pair_start_uplink(&p);
	assert_true(http_pair_wait(&p, failed_thrice, &p, 3 * SOON_MS));
	assert_int_equal(logged_n("told-once"), 1);
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

static void
an_answer_that_is_not_of_hras_is_named(void **state)
{
	static const struct {
		const char *answer, *words;
		const char *by_proxy; /* to this URL; NULL = it is HRAS's own address */
	} cases[] = {
		{ "HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\n\r\n",
		    "redirect to http://login.example/", NULL },
		{ "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nHello",
		    "HTTP 200, text/html (a login page, or a wrong url?)", NULL },
		{ "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n",
		    "HTTP 404, text/html", NULL },
		{ "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
		  "Content-Length: 5\r\n\r\nHello",
		    "cannot be understood", NULL },
		{ "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
		  "Content-Length: 6\r\n\r\nVOFW\x03\x02",
		    "it speaks version 3 of the protocol, and we speak 2", NULL },
		{ "HTTP/1.1 400 Bad\r\nContent-Type: application/octet-stream\r\n"
		  "Content-Length: 0\r\n\r\n",
		    "it is of another version", NULL },
		{ "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
		    "the proxy wants a user and a password", "http://192.0.2.1/" },
		{ "HTTP/1.1 403 No\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n",
		    "the proxy forbids the way to HRAS", "http://192.0.2.1/" },
		{ "HTTP/1.1 503 No\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n",
		    "the proxy cannot reach HRAS (HTTP 503)", "http://192.0.2.1/" },
		{ "HTTP/1.0 411 Length\r\nContent-Length: 0\r\n\r\n",
		    "the proxy takes no body of unknown length (HTTP 411; it speaks HTTP/1.0)",
		    "http://192.0.2.1/" },
		{ "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
		    "the proxy forbids the way to HRAS (HTTP 403)", "https://192.0.2.1/" },
		{ "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
		    "the proxy forbids CONNECT to port 8443 (HTTP 403; most allow 443 alone)",
		    "https://192.0.2.1:8443/" },
		{ "HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n",
		    "the proxy knows no CONNECT (HTTP 405)", "https://192.0.2.1/" },
		{ "HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n",
		    "the proxy cannot reach HRAS (HTTP 502)", "https://192.0.2.1/" },
		{ "HTTP/1.1 407 Who\r\nProxy-Authenticate: NTLM\r\n"
		  "Proxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
		    "offers NTLM, Basic)", "https://192.0.2.1/" },
		{ "HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n",
		    "what stands before HRAS cannot reach it (HTTP 502)", NULL },
		{ "GARBAGE\r\n\r\n", "is no web server", NULL },
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
		p.uplink_config.urls[0] = cases[i].by_proxy != NULL ? cases[i].by_proxy : url;
		p.uplink_config.proxy = cases[i].by_proxy != NULL ? url : NULL;
		assert_cause(&p, cases[i].words);
	}
	event_free(liar.listener);
	close(fd);
	mem_free(url);
	http_pair_free(&p);
}

static void
behind_a_tunnel_through_a_proxy_it_is_not_blamed(void **state)
{
	static const long statuses[] = { 403, 405, 411, 501, 502, 503, 504 };

	(void)state;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		assert_true(uplink_cause_of_proxy("http://p:3128", false, statuses[i]));
		assert_true(uplink_cause_of_proxy("https://p:3129", false, statuses[i]));
		assert_false(uplink_cause_of_proxy("http://p:3128", true, statuses[i]));
		assert_false(uplink_cause_of_proxy("socks5h://p:1080", false, statuses[i]));
	}
	assert_true(uplink_cause_of_proxy("http://p:3128", true, 407));
	assert_false(uplink_cause_of_proxy("http://p:3128", false, 404));
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
	p.gateway_config.tls.certificate = ca.server.certificate;
	p.gateway_config.tls.key = ca.server.key;
	p.gateway_config.listen[0].tls = true;
	http_pair_start_gateway(&p);
	p.uplink_config.ca = other.file;
	assert_cause(&p, "the certificate of HRAS is not trusted: it is signed by \"VoFW test CA ");
	p.uplink_config.ca = NULL; /* the system's store */
	assert_cause(&p, "the certificate of HRAS is not trusted: it is signed by \"VoFW test CA ");
	p.uplink_config.ca = "/nonexistent/ca.pem";
	assert_cause(&p, "the file of tunnel.ca cannot be used");
	p.uplink_config.ca = ca.file;
	p.gateway_config.listen[0].tls = false; /* the url is http: */
	assert_cause(&p, "the connection was cut");
	assert_int_equal(p.agent_sessions_n, 0);
	http_pair_free(&p);
	tls_ca_free(&ca);
	tls_ca_free(&other);
}

static void
a_configuration_that_cannot_work_is_refused(void **state)
{
	static const struct uplink_handlers handlers = { 0 };
	struct uplink_config config = { .urls = { "ftp://h/" }, .agent = "a", .secret = "s" };
	struct event_base *base = event_base_new();
	char name[100];
	struct uplink *u;

	(void)state;
	assert_int_equal(uplink_new(base, &config, &handlers, NULL, &u), ERR_MALFORMED);
	config.urls[0] = "http://user:password@h/";
	assert_int_equal(uplink_new(base, &config, &handlers, NULL, &u), ERR_MALFORMED);
	config.urls[0] = "http://h/?q";
	assert_int_equal(uplink_new(base, &config, &handlers, NULL, &u), ERR_MALFORMED);
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	config.urls[0] = "http://h/";
	config.agent = name;
	assert_int_equal(uplink_new(base, &config, &handlers, NULL, &u), ERR_TOO_BIG);
	event_base_free(base);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_stands_in_the_way_is_named),
		cmocka_unit_test(what_libcurl_says_is_told_in_words_of_the_thing_itself),
		cmocka_unit_test(a_failure_that_goes_on_is_told_once),
		cmocka_unit_test(an_answer_that_is_not_of_hras_is_named),
		cmocka_unit_test(behind_a_tunnel_through_a_proxy_it_is_not_blamed),
		cmocka_unit_test(a_certificate_of_another_authority_is_refused_with_the_reason),
		cmocka_unit_test(a_configuration_that_cannot_work_is_refused),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("uplink, causes", tests, NULL, NULL);
}
