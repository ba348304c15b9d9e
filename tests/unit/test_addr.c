/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/err.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct addr
parsed(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, 5060, &a), 0);
	return a;
}

static void
addr_prints_what_it_parsed(void **state)
{
	static const struct {
		const char *text, *printed, *host;
	} cases[] = {
		{ "192.0.2.1:5080", "192.0.2.1:5080", "192.0.2.1" },
		{ "192.0.2.1", "192.0.2.1:5060", "192.0.2.1" },
		{ "192.0.2.1:0", "192.0.2.1:0", "192.0.2.1" },
		{ "192.0.2.1:65535", "192.0.2.1:65535", "192.0.2.1" },
		{ "[2001:db8::1]:80", "[2001:db8::1]:80", "2001:db8::1" },
		{ "[2001:db8::1]", "[2001:db8::1]:5060", "2001:db8::1" },
		{ "2001:DB8:0::1", "[2001:db8::1]:5060", "2001:db8::1" },
		{ "::", "[::]:5060", "::" },
		{ "::ffff:192.0.2.1", "192.0.2.1:5060", "192.0.2.1" },
		{ "[::ffff:192.0.2.1]:7", "192.0.2.1:7", "192.0.2.1" },
	};
	char str[ADDR_STR_MAX], host[ADDR_HOST_MAX];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct addr a = parsed(cases[i].text);

		assert_string_equal(addr_str(&a, str), cases[i].printed);
		assert_string_equal(addr_host(&a, host), cases[i].host);
	}
}

static void
addr_refuses_what_is_no_address_and_leaves_the_result_alone(void **state)
{
	static const char *const cases[] = { "", ":", "host", "host:5060", "192.0.2", "192.0.2.256",
		"192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1:+1", "192.0.2.1: 1",
		"192.0.2.1:1x", "192.0.2.1:000080", " 192.0.2.1", "[192.0.2.1]:80", "[", "]", "[]",
		"]:80", "[]:80", "[2001:db8::1", "[2001:db8::1]x", "[2001:db8::1]:", "2001:db8::1]",
		"[[::1]]:80", "2001:db8:::1", "[::1]:99999", "fe80::1%",
		"fe80::1%no-such-interface",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee:ffff:0000" };
	struct addr before, a;

	(void)state;
	memset(&a, 0x5a, sizeof(a));
	before = a;
	for (size_t i = 0; i < N(cases); i++)
		assert_int_equal(addr_parse(cases[i], 5060, &a), ERR_MALFORMED);
	assert_memory_equal(&a, &before, sizeof(a));
}

static void
addr_parse_host_reads_no_byte_beyond_its_length(void **state)
{
	struct addr a, expected = parsed("192.0.2.1:99");

	(void)state;
	assert_int_equal(addr_parse_host("192.0.2.1567", 9, 99, &a), 0);
	assert_true(addr_equal(&a, &expected));
	assert_int_equal(addr_parse_host("192.0.2.1\0junk", 14, 99, &a), ERR_MALFORMED);
	assert_int_equal(addr_parse_host("[", 1, 99, &a), ERR_MALFORMED);
}

static void
addr_with_a_zone_survives_printing(void **state)
{
	char str[ADDR_STR_MAX];
	struct addr a = parsed("[fe80::1%lo]:5060"), b = parsed("fe80::1%1"), c = parsed("fe80::1");
	struct addr far = parsed("[fe80::1%4000000000]:1");

	(void)state;
	assert_true(addr_equal(&a, &b));
	assert_false(addr_equal(&a, &c));
	assert_string_equal(addr_str(&a, str), "[fe80::1%lo]:5060");
	assert_string_equal(addr_str(&far, str), "[fe80::1%4000000000]:1");
}

static void
addr_that_is_not_set_is_nothing_at_all(void **state)
{
	struct addr none = { 0 }, other = parsed("0.0.0.0:0");
	char str[ADDR_STR_MAX], host[ADDR_HOST_MAX];

	(void)state;
	assert_false(addr_is_set(&none));
	assert_false(addr_is_any(&none));
	assert_false(addr_is_loopback(&none));
	assert_false(addr_is_private(&none));
	assert_false(addr_equal(&none, &other));
	assert_int_equal(addr_port(&none), 0);
	assert_string_equal(addr_str(&none, str), "-");
	assert_string_equal(addr_host(&none, host), "-");
}

static void
addr_knows_the_kinds_of_address(void **state)
{
	enum { ANY = 1, LOOPBACK = 2, PRIVATE = 4 };
	static const struct {
		const char *text;
		int kinds;
	} cases[] = {
		{ "0.0.0.0", ANY },
		{ "::", ANY },
		{ "127.0.0.1", LOOPBACK | PRIVATE },
		{ "127.255.255.255", LOOPBACK | PRIVATE },
		{ "::1", LOOPBACK | PRIVATE },
		{ "::ffff:127.0.0.1", LOOPBACK | PRIVATE },
		{ "10.0.0.0", PRIVATE },
		{ "10.255.255.255", PRIVATE },
		{ "11.0.0.0", 0 },
		{ "9.255.255.255", 0 },
		{ "172.16.0.0", PRIVATE },
		{ "172.31.255.255", PRIVATE },
		{ "172.15.255.255", 0 },
		{ "172.32.0.0", 0 },
		{ "192.168.0.0", PRIVATE },
		{ "192.168.255.255", PRIVATE },
		{ "192.167.255.255", 0 },
		{ "192.169.0.0", 0 },
		{ "100.64.0.0", PRIVATE },
		{ "100.127.255.255", PRIVATE },
		{ "100.63.255.255", 0 },
		{ "100.128.0.0", 0 },
		{ "169.254.1.1", PRIVATE },
		{ "fe80::1", PRIVATE },
		{ "febf::1", PRIVATE },
		{ "fec0::1", 0 },
		{ "fc00::1", PRIVATE },
		{ "fdff::1", PRIVATE },
		{ "fe00::1", 0 },
		{ "2001:db8::1", 0 },
		{ "203.0.113.1", 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct addr a = parsed(cases[i].text);
		int kinds = (addr_is_any(&a) ? ANY : 0) | (addr_is_loopback(&a) ? LOOPBACK : 0) |
		    (addr_is_private(&a) ? PRIVATE : 0);

		if (kinds != cases[i].kinds)
			fail_msg("%s: %d, not %d", cases[i].text, kinds, cases[i].kinds);
	}
}

static void
addr_parse_last_takes_the_end_of_a_list_or_nothing(void **state)
{
	static const struct {
		const char *list, *address; /* NULL = malformed */
	} cases[] = {
		{ "203.0.113.5", "203.0.113.5:1" },
		{ "10.0.0.1, 203.0.113.5", "203.0.113.5:1" },
		{ "10.0.0.1,\t2001:db8::1 ", "[2001:db8::1]:1" },
		{ "203.0.113.5:4711", "203.0.113.5:4711" },
		{ "unknown,[2001:db8::1]:80", "[2001:db8::1]:80" },
		{ "203.0.113.5, unknown", NULL },
		{ "203.0.113.5,", NULL },
		{ "203.0.113.5 203.0.113.6", NULL },
		{ "_hidden", NULL },
		{ "", NULL },
		{ "11111111112222222222333333333344444444445555555555666666666677777777778888888888",
		    NULL },
	};
	char text[ADDR_STR_MAX];
	struct addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].address == NULL) {
			assert_int_equal(addr_parse_last(cases[i].list, 1, &a), ERR_MALFORMED);
			continue;
		}
		assert_int_equal(addr_parse_last(cases[i].list, 1, &a), 0);
		assert_string_equal(addr_str(&a, text), cases[i].address);
	}
}

static void
addr_equality_is_of_host_and_port(void **state)
{
	struct addr a = parsed("192.0.2.1:1"), b = parsed("192.0.2.1:2"), c = parsed("192.0.2.2:1");
	struct addr v6 = parsed("[2001:db8::1]:1"), w6 = parsed("[2001:db8::2]:1");

	(void)state;
	assert_true(addr_same_host(&a, &b));
	assert_false(addr_equal(&a, &b));
	assert_false(addr_same_host(&a, &c));
	assert_false(addr_same_host(&a, &v6));
	assert_false(addr_same_host(&v6, &w6));
	addr_set_port(&b, 1);
	assert_true(addr_equal(&a, &b));
	assert_int_equal(addr_hash(&a), addr_hash(&b));
	addr_set_port(&v6, 77);
	assert_int_equal(addr_port(&v6), 77);
}

static void
addr_comes_from_what_the_kernel_gives(void **state)
{
	struct addr a = parsed("192.0.2.1:7"), b = parsed("[2001:db8::1]:7"), got;
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6, .sin6_port = htons(7) };
	struct sockaddr unix_path = { .sa_family = AF_UNIX };

	(void)state;
	addr_from_sockaddr(&a.u.sa, &got);
	assert_true(addr_equal(&a, &got));
	assert_int_equal(addr_len(&got), sizeof(struct sockaddr_in));
	addr_from_sockaddr(&b.u.sa, &got);
	assert_true(addr_equal(&b, &got));
	assert_int_equal(addr_len(&got), sizeof(struct sockaddr_in6));
	memcpy(mapped.sin6_addr.s6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1", 16);
	addr_from_sockaddr((const struct sockaddr *)&mapped, &got);
	assert_true(addr_equal(&a, &got));
	addr_from_sockaddr(&unix_path, &got);
	assert_false(addr_is_set(&got));
}

/* 64 K ports of one host must not crowd together in the low bits, which tables use. */
static void
addr_hash_spreads_the_ports_of_one_host(void **state)
{
	static uint16_t buckets[4096];
	struct addr a = parsed("192.0.2.1:0");
	unsigned fullest = 0;

	(void)state;
	for (unsigned port = 0; port < 65536; port++) {
		addr_set_port(&a, (uint16_t)port);
		buckets[addr_hash(&a) % N(buckets)]++;
	}
	for (size_t i = 0; i < N(buckets); i++) {
		if (buckets[i] > fullest)
			fullest = buckets[i];
	}
	assert_true(fullest < 64); /* 16 on average */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addr_prints_what_it_parsed),
		cmocka_unit_test(addr_refuses_what_is_no_address_and_leaves_the_result_alone),
		cmocka_unit_test(addr_parse_host_reads_no_byte_beyond_its_length),
		cmocka_unit_test(addr_with_a_zone_survives_printing),
		cmocka_unit_test(addr_that_is_not_set_is_nothing_at_all),
		cmocka_unit_test(addr_knows_the_kinds_of_address),
		cmocka_unit_test(addr_parse_last_takes_the_end_of_a_list_or_nothing),
		cmocka_unit_test(addr_equality_is_of_host_and_port),
		cmocka_unit_test(addr_comes_from_what_the_kernel_gives),
		cmocka_unit_test(addr_hash_spreads_the_ports_of_one_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
