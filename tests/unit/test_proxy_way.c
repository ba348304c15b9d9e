/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "hrac/proxy/way.h"

/* -- Addresses -- */

static void
expect_url(const char *text, const char *proxy, const char *user, const char *password)
{
	struct proxy_ways w = { 0 };

	assert_int_equal(proxy_ways_add_url(&w, text), 0);
	assert_int_equal(w.n, 1);
	assert_string_equal(w.way[0].proxy, proxy);
	if (user == NULL)
		assert_null(w.way[0].user);
	else
		assert_string_equal(w.way[0].user, user);
	if (password == NULL)
		assert_null(w.way[0].password);
	else
		assert_string_equal(w.way[0].password, password);
	proxy_ways_free(&w);
	assert_int_equal(w.n, 0);
}

static void
addresses_are_written_anew_with_scheme_and_port(void **state)
{
	(void)state;
	expect_url("http://proxy.example:3128", "http://proxy.example:3128", NULL, NULL);
	expect_url(" HTTP://Proxy.Example:3128/ \n", "http://proxy.example:3128", NULL, NULL);
	expect_url("proxy.example", "http://proxy.example:80", NULL, NULL);
	expect_url("proxy.example:8080", "http://proxy.example:8080", NULL, NULL);
	expect_url("https://proxy.example/", "https://proxy.example:443", NULL, NULL);
	expect_url("socks5://h", "socks5h://h:1080", NULL, NULL);
	expect_url("socks4://h:1", "socks4a://h:1", NULL, NULL);
	expect_url("http://[2001:DB8::1]:3128", "http://[2001:db8::1]:3128", NULL, NULL);
	expect_url("http://2001:db8::1", "http://[2001:db8::1]:80", NULL, NULL);
	expect_url("192.0.2.1:65535", "http://192.0.2.1:65535", NULL, NULL);
}

static void
credentials_are_taken_out_of_an_address_and_decoded(void **state)
{
	(void)state;
	expect_url("http://alice:wonder%40land@h:1", "http://h:1", "alice", "wonder@land");
	expect_url("http://EXAMPLE%5calice:%3A@h:1", "http://h:1", "EXAMPLE\\alice", ":");
	expect_url("alice@h:1", "http://h:1", "alice", "");
	expect_url("http://a:b:c@h:1", "http://h:1", "a", "b:c");
	expect_url("http://a:b@c@h:1", "http://h:1", "a", "b@c");
}

static void
what_is_no_address_is_refused(void **state)
{
	static const char *const wrong[] = { "", " ", "http://", "ftp://h:1", "http://h:0",
		"http://h:65536", "http://h:999999", "http://h:x", "http://h:", "http://h/path",
		"http://[::1", "http://[::1]x", "http://[h]:1:2", "http://-h", "http://h_\x80:1",
		"http://a%4:b@h:1", "http://a%zz@h:1", "http://a%00b@h:1", "http://a%0d%0a@h:1",
		"http://h h:1", "http://.h", "http://fe80::1%25eth0", "http://a@", "://h" };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct proxy_ways w = { 0 };

		if (proxy_ways_add_url(&w, wrong[i]) != ERR_MALFORMED)
			fail_msg("%s is taken", wrong[i]);
		assert_int_equal(w.n, 0);
	}
}

static void
a_user_too_long_for_anybody_is_refused(void **state)
{
	struct proxy_ways w = { 0 };
	char *text = mem_alloc(1000);

	(void)state;
	memset(text, 'a', 999);
	memcpy(text + 990, "@h:1", 5);
	assert_int_equal(proxy_ways_add_url(&w, text), ERR_MALFORMED);
	memcpy(text + 255, "@h:1", 5);
	assert_int_equal(proxy_ways_add_url(&w, text), 0);
	assert_int_equal(strlen(w.way[0].user), 255);
	proxy_ways_free(&w);
	mem_free(text);
}

/* -- PAC -- */

static void
expect_pac(const char *answer, unsigned passed_over, const char *expected)
{
	struct proxy_ways w = { 0 };
	char got[512] = "";

	assert_int_equal(proxy_ways_add_pac(&w, answer), passed_over);
	for (size_t i = 0; i < w.n; i++) {
		strcat(got, i == 0 ? "" : " ");
		strcat(got, w.way[i].proxy == NULL ? "direct" : w.way[i].proxy);
	}
	assert_string_equal(got, expected);
	proxy_ways_free(&w);
}

static void
a_pac_answer_is_a_list_in_its_order(void **state)
{
	(void)state;
	expect_pac("DIRECT", 0, "direct");
	expect_pac("PROXY a:3128; PROXY b; DIRECT", 0, "http://a:3128 http://b:80 direct");
	expect_pac("  proxy\ta:1 ;HTTPS b;;SOCKS c; SOCKS5 d:2;HTTP e:3;", 0,
	    "http://a:1 https://b:443 socks4a://c:1080 socks5h://d:2 http://e:3");
	expect_pac("PROXY [2001:db8::1]:8080", 0, "http://[2001:db8::1]:8080");
	expect_pac("PROXY a:1 and more", 0, "http://a:1");
}

static void
what_a_pac_answer_has_besides_is_passed_over(void **state)
{
	(void)state;
	expect_pac("", 0, "");
	expect_pac(" ; ;", 0, "");
	expect_pac("undefined", 1, "");
	expect_pac("QUIC a:1; PROXY; PROXY :1; PROXY a:x; PROXY u:p@a:1; DIRECTLY; PROXY ok:1", 6,
	    "http://ok:1");
	expect_pac("PROXY a:1,b:2; DIRECT", 1, "direct");
}

static void
a_list_ends_at_its_cap(void **state)
{
	(void)state;
	expect_pac(
	    "PROXY a:1;PROXY a:2;PROXY a:3;PROXY a:4;PROXY a:5;PROXY a:6;PROXY a:7;PROXY a:8;"
	    "PROXY a:9;DIRECT",
	    2,
	    "http://a:1 http://a:2 http://a:3 http://a:4 http://a:5 http://a:6 http://a:7 "
	    "http://a:8");
}

/* -- The environment -- */

static const char *const *environment; /* name, value, ..., NULL */

static char *
fake_getenv(const char *name)
{
	for (const char *const *e = environment; *e != NULL; e += 2) {
		if (strcmp(e[0], name) == 0)
			return (char *)(uintptr_t)e[1];
	}
	return NULL;
}

#define EXPECT_ENVIRONMENT(url, expected, ...)                          \
	do {                                                            \
		static const char *const env[] = { __VA_ARGS__, NULL }; \
		environment = env;                                      \
		expect_environment(url, expected);                      \
	} while (0)

static void
expect_environment(const char *url, const char *expected)
{
	struct proxy_ways w = { 0 };
	const char *variable = NULL;

	if (proxy_ways_add_environment(&w, url, fake_getenv, &variable) == 0) {
		assert_int_equal(w.n, 1);
		assert_string_equal(w.way[0].proxy == NULL ? "direct" : w.way[0].proxy, expected);
	} else {
		assert_int_equal(w.n, 0);
		assert_string_equal(variable, expected);
	}
	proxy_ways_free(&w);
}

static void
the_environment_names_the_proxy_of_each_scheme(void **state)
{
	(void)state;
	EXPECT_ENVIRONMENT("http://h/", "direct", "x", "y");
	EXPECT_ENVIRONMENT("http://h/", "http://a:1", "http_proxy", "a:1", "https_proxy", "b:1");
	EXPECT_ENVIRONMENT("https://h/", "http://b:1", "http_proxy", "a:1", "https_proxy", "b:1");
	EXPECT_ENVIRONMENT("https://h/", "http://c:1", "HTTPS_PROXY", "c:1", "all_proxy", "d:1");
	EXPECT_ENVIRONMENT("http://h/", "http://d:1", "HTTPS_PROXY", "c:1", "all_proxy", "d:1");
	EXPECT_ENVIRONMENT("http://h/", "socks5h://e:1080", "ALL_PROXY", "socks5://e");
	EXPECT_ENVIRONMENT("http://h/", "direct", "http_proxy", "");
	EXPECT_ENVIRONMENT("http://h/", "http_proxy", "http_proxy", "a:b:c:d");
}

static void
a_variable_that_web_servers_take_from_strangers_is_not_heeded(void **state)
{
	(void)state;
	EXPECT_ENVIRONMENT("http://h/", "direct", "HTTP_PROXY", "evil:1");
}

static void
no_proxy_excludes_hosts(void **state)
{
	(void)state;
	EXPECT_ENVIRONMENT("http://www.example.com/", "direct", "http_proxy", "a:1", "no_proxy",
	    "localhost, example.com");
	EXPECT_ENVIRONMENT("http://www.example.com/", "http://a:1", "http_proxy", "a:1", "no_proxy",
	    "localhost,www.example.org");
	EXPECT_ENVIRONMENT("https://[2001:db8::7]:444/", "direct", "all_proxy", "a:1", "NO_PROXY",
	    "2001:db8::/32");
}

static void
no_proxy_knows_suffixes_addresses_networks_and_ports(void **state)
{
	static const struct {
		const char *list, *host;
		unsigned port;
		bool excluded;
	} cases[] = {
		{ "*", "h", 80, true },
		{ "", "h", 80, false },
		{ " , ,", "h", 80, false },
		{ "example.com", "example.com", 80, true },
		{ "example.com", "EXAMPLE.com.", 80, true },
		{ "example.com", "a.example.com", 80, true },
		{ "example.com", "badexample.com", 80, false },
		{ ".example.com", "a.example.com", 80, true },
		{ "*.example.com", "a.example.com", 80, true },
		{ "example.com.", "example.com", 80, true },
		{ "a.example.com", "example.com", 80, false },
		{ "x example.com y", "example.com", 80, true },
		{ "example.com:8080", "example.com", 8080, true },
		{ "example.com:8080", "example.com", 80, false },
		{ "192.0.2.1", "192.0.2.1", 80, true },
		{ "192.0.2.1", "192.0.2.10", 80, false },
		{ "2.1", "192.0.2.1", 80, false },
		{ "192.0.2.0/24", "192.0.2.200", 80, true },
		{ "192.0.2.0/25", "192.0.2.200", 80, false },
		{ "192.0.2.128/25", "192.0.2.200", 80, true },
		{ "0.0.0.0/0", "192.0.2.200", 80, true },
		{ "0.0.0.0/0", "2001:db8::1", 80, false },
		{ "192.0.2.0/33", "192.0.2.0", 80, false },
		{ "192.0.2.0/", "192.0.2.0", 80, false },
		{ "2001:db8::/32", "2001:db8:ffff::1", 443, true },
		{ "2001:db8::/32", "2001:db9::1", 443, false },
		{ "[2001:db8::1]:443", "2001:db8::1", 443, true },
		{ "[2001:db8::1]:443", "2001:db8::1", 80, false },
		{ "[2001:db8::1", "2001:db8::1", 80, false },
		{ ".", "h", 80, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (proxy_is_excluded(cases[i].list, cases[i].host, cases[i].port) !=
		    cases[i].excluded)
			fail_msg("\"%s\" and %s:%u", cases[i].list, cases[i].host, cases[i].port);
	}
}

static void
the_host_of_a_url_is_found(void **state)
{
	char host[PROXY_HOST_MAX], *url;
	unsigned port;

	(void)state;
	assert_true(proxy_url_host("http://a.b/c", host, &port));
	assert_string_equal(host, "a.b");
	assert_int_equal(port, 80);
	assert_true(proxy_url_host("HTTPS://[2001:db8::1]:8443/", host, &port));
	assert_string_equal(host, "2001:db8::1");
	assert_int_equal(port, 8443);
	assert_true(proxy_url_host("https://x", host, &port));
	assert_int_equal(port, 443);
	assert_false(proxy_url_host("ftp://x", host, &port));
	assert_false(proxy_url_host("http:///x", host, &port));
	url = mem_printf("http://%0300d/", 1);
	assert_false(proxy_url_host(url, host, &port));
	mem_free(url);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_written_anew_with_scheme_and_port),
		cmocka_unit_test(credentials_are_taken_out_of_an_address_and_decoded),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(a_user_too_long_for_anybody_is_refused),
		cmocka_unit_test(a_pac_answer_is_a_list_in_its_order),
		cmocka_unit_test(what_a_pac_answer_has_besides_is_passed_over),
		cmocka_unit_test(a_list_ends_at_its_cap),
		cmocka_unit_test(the_environment_names_the_proxy_of_each_scheme),
		cmocka_unit_test(a_variable_that_web_servers_take_from_strangers_is_not_heeded),
		cmocka_unit_test(no_proxy_excludes_hosts),
		cmocka_unit_test(no_proxy_knows_suffixes_addresses_networks_and_ports),
		cmocka_unit_test(the_host_of_a_url_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
