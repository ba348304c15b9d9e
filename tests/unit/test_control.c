/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "tunnel/control.h"

static uint8_t wire[CONTROL_MAX + 16];
static size_t wire_len;

static struct addr
addr_of(const char *s)
{
	struct addr a;

	assert_int_equal(addr_parse(s, 0, &a), 0);
	return a;
}

static struct control_bytes
bytes_of(const char *s)
{
	return (struct control_bytes){ (const uint8_t *)s, strlen(s) };
}

static void
assert_bytes(struct control_bytes b, const char *s)
{
	assert_int_equal(b.n, strlen(s));
	assert_memory_equal(b.p, s, b.n);
}

static void
assert_addr(const struct addr *a, const char *s)
{
	char text[ADDR_STR_MAX];

	assert_string_equal(addr_str(a, text), s);
}

/* From a block of just that size, so that the sanitizer sees a read past the end. */
static int
decode_copy(uint8_t type, const uint8_t *p, size_t n)
{
	uint8_t *copy = mem_alloc(n);
	struct control out;
	int err;

	if (n != 0)
		memcpy(copy, p, n);
	err = control_decode(type, copy, n, &out);
	mem_free(copy);
	return err;
}

/*
 * Encodes, decodes into *out (which borrows from `wire`), and finds every shortened form and one
 * with a byte more malformed; but those that end in a SIP message are whole wherever that is cut.
 */
static void
there_and_back(const struct control *c, size_t message_len, struct control *out)
{
	assert_int_equal(control_encode(c, wire, sizeof(wire), &wire_len), 0);
	assert_int_equal(control_decode((uint8_t)c->type, wire, wire_len, out), 0);
	assert_int_equal(out->type, c->type);
	for (size_t i = 0; i + message_len < wire_len + (message_len != 0); i++)
		assert_int_equal(decode_copy((uint8_t)c->type, wire, i), ERR_MALFORMED);
	if (message_len == 0) {
		wire[wire_len] = 0;
		assert_int_equal(decode_copy((uint8_t)c->type, wire, wire_len + 1), ERR_MALFORMED);
	}
	for (size_t cap = 0; cap < wire_len; cap++) {
		uint8_t small[1024];
		size_t n = 99;

		if (cap > sizeof(small))
			break;
		assert_int_equal(control_encode(c, small, cap, &n), ERR_TOO_BIG);
		assert_int_equal(n, 99);
	}
}

static void
an_agent_tells_who_it_is(void **state)
{
	struct control c = { .type = CONTROL_AGENT }, d;
	struct control_agent *a = &c.u.agent;

	(void)state;
	a->version = bytes_of("0.1");
	a->sip_n = 3;
	a->sip[0].proto = CONTROL_UDP;
	a->sip[0].addr = addr_of("192.168.1.5:5060");
	a->sip[1].proto = CONTROL_TCP;
	a->sip[1].addr = addr_of("[2001:db8::1]:5060");
	a->sip[2].proto = CONTROL_TLS;
	a->sip[2].addr = addr_of("[fe80::1%3]:5061");
	a->media = addr_of("192.168.1.5");
	a->port_min = 20000;
	a->port_max = 29999;
	a->busy = bytes_of("\x01\x80");
	there_and_back(&c, 0, &d);
	assert_bytes(d.u.agent.version, "0.1");
	assert_int_equal(d.u.agent.sip_n, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(d.u.agent.sip[i].proto, a->sip[i].proto);
		assert_true(addr_equal(&d.u.agent.sip[i].addr, &a->sip[i].addr));
	}
	assert_int_equal(d.u.agent.sip[2].addr.u.in6.sin6_scope_id, 3);
	assert_true(addr_equal(&d.u.agent.media, &a->media));
	assert_int_equal(d.u.agent.port_min, 20000);
	assert_int_equal(d.u.agent.port_max, 29999);
	assert_bytes(d.u.agent.busy, "\x01\x80");
}

static void
a_sip_message_travels_with_its_flow(void **state)
{
	struct control c = { .type = CONTROL_SIP }, d;

	(void)state;
	c.u.sip = (struct control_sip){ CONTROL_TCP, 7, UINT64_MAX, addr_of("10.0.0.9:40000"),
		1ULL << 40, bytes_of("OPTIONS sip:a SIP/2.0\r\n\r\n") };
	there_and_back(&c, c.u.sip.message.n, &d);
	assert_int_equal(d.u.sip.proto, CONTROL_TCP);
	assert_int_equal(d.u.sip.listener, 7);
	assert_true(d.u.sip.conn == UINT64_MAX);
	assert_true(d.u.sip.tag == 1ULL << 40);
	assert_addr(&d.u.sip.peer, "10.0.0.9:40000");
	assert_bytes(d.u.sip.message, "OPTIONS sip:a SIP/2.0\r\n\r\n");
}

static void
a_call_is_told_with_and_without_its_last_will(void **state)
{
	struct control c = { .type = CONTROL_CALL }, d;

	(void)state;
	c.u.call = (struct control_call){ .call = UINT32_MAX,
		.call_id = bytes_of("a84b4c76e66710"),
		.from = bytes_of("sip:alice@example.com"),
		.to = bytes_of("sip:bob@example.com"),
		.state = 3,
		.since_wall_s = 1700000000 };
	there_and_back(&c, 0, &d);
	assert_int_equal(d.u.call.call, UINT32_MAX);
	assert_bytes(d.u.call.call_id, "a84b4c76e66710");
	assert_bytes(d.u.call.from, "sip:alice@example.com");
	assert_bytes(d.u.call.to, "sip:bob@example.com");
	assert_int_equal(d.u.call.state, 3);
	assert_int_equal(d.u.call.since_wall_s, 1700000000);
	assert_int_equal(d.u.call.will.message.n, 0);
	c.u.call.will = (struct control_sip){ CONTROL_UDP, 0, 0, addr_of("10.0.0.9:5060"), 0,
		bytes_of("BYE sip:alice@10.0.0.9 SIP/2.0\r\n\r\n") };
	there_and_back(&c, c.u.call.will.message.n, &d);
	assert_bytes(d.u.call.will.message, "BYE sip:alice@10.0.0.9 SIP/2.0\r\n\r\n");
	assert_addr(&d.u.call.will.peer, "10.0.0.9:5060");
}

static void
a_name_that_is_too_long_is_cut_and_the_call_still_told(void **state)
{
	struct control c = { .type = CONTROL_CALL }, d;
	char name[400];

	(void)state;
	memset(name, 'n', sizeof(name));
	c.u.call.from = (struct control_bytes){ (uint8_t *)name, sizeof(name) };
	there_and_back(&c, 0, &d);
	assert_int_equal(d.u.call.from.n, CONTROL_NAME_MAX);
}

static void
a_leg_is_told_with_every_address_set_or_not(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		struct control c = { .type = CONTROL_LEG }, d;
		struct control_leg *l = &c.u.leg;

		*l = (struct control_leg){ .leg = UINT32_MAX / 2,
			.call = 5,
			.stream = 1,
			.kind = 2,
			.port = 20000,
			.mux = i & 8,
			.latch = i & 16,
			.is_rtp = i & 32,
			.clock_rate = 48000 };
		if (i & 1)
			l->rtp = addr_of("192.168.1.20:4000");
		if (i & 2)
			l->rtcp = addr_of("[2001:db8::7]:4001");
		if (i & 4)
			l->far = addr_of("203.0.113.9:7078");
		there_and_back(&c, 0, &d);
		assert_int_equal(d.u.leg.leg, UINT32_MAX / 2);
		assert_int_equal(d.u.leg.call, 5);
		assert_int_equal(d.u.leg.stream, 1);
		assert_int_equal(d.u.leg.kind, 2);
		assert_int_equal(d.u.leg.port, 20000);
		assert_int_equal(d.u.leg.mux, (i & 8) != 0);
		assert_int_equal(d.u.leg.latch, (i & 16) != 0);
		assert_int_equal(d.u.leg.is_rtp, (i & 32) != 0);
		assert_int_equal(d.u.leg.clock_rate, 48000);
		assert_int_equal(addr_is_set(&d.u.leg.rtp), (i & 1) != 0);
		assert_int_equal(addr_is_set(&d.u.leg.rtcp), (i & 2) != 0);
		assert_int_equal(addr_is_set(&d.u.leg.far), (i & 4) != 0);
		if (i & 2)
			assert_addr(&d.u.leg.rtcp, "[2001:db8::7]:4001");
	}
}

static void
the_short_messages_travel(void **state)
{
	struct control c, d;

	(void)state;
	c = (struct control){ .type = CONTROL_SIP_FAILED };
	c.u.sip_failed.tag = 9;
	c.u.sip_failed.conn = 300;
	c.u.sip_failed.peer = addr_of("10.0.0.9:5060");
	c.u.sip_failed.err = ERR_TIMEOUT;
	there_and_back(&c, 0, &d);
	assert_int_equal(d.u.sip_failed.tag, 9);
	assert_int_equal(d.u.sip_failed.conn, 300);
	assert_int_equal(d.u.sip_failed.err, ERR_TIMEOUT);
	assert_addr(&d.u.sip_failed.peer, "10.0.0.9:5060");

	c = (struct control){ .type = CONTROL_SIP_CLOSED };
	c.u.sip_closed.conn = 12345678901;
	there_and_back(&c, 0, &d);
	assert_true(d.u.sip_closed.conn == 12345678901);

	c = (struct control){ .type = CONTROL_SYNC };
	c.u.sync.begin = true;
	c.u.sync.grace_s = 300;
	there_and_back(&c, 0, &d);
	assert_true(d.u.sync.begin);
	assert_int_equal(d.u.sync.grace_s, 300);

	c = (struct control){ .type = CONTROL_BANDWIDTH };
	c.u.bandwidth.max_kbit = 100000000;
	there_and_back(&c, 0, &d);
	assert_int_equal(d.u.bandwidth.max_kbit, 100000000);

	c = (struct control){ .type = CONTROL_DATAGRAMS };
	assert_int_equal(addr_parse("[2001:db8::1]:443", 0, &c.u.datagrams.address), 0);
	there_and_back(&c, 0, &d);
	assert_true(addr_equal(&d.u.datagrams.address, &c.u.datagrams.address));

	c = (struct control){ .type = CONTROL_CALL_END };
	c.u.call_end.call = 70000;
	there_and_back(&c, 0, &d);
	assert_int_equal(d.u.call_end.call, 70000);

	c = (struct control){ .type = CONTROL_LEG_CLOSE };
	c.u.leg_close.leg = 128;
	there_and_back(&c, 0, &d);
	assert_int_equal(d.u.leg_close.leg, 128);

	c = (struct control){ .type = CONTROL_LEG_FAILED };
	c.u.leg_failed.leg = 1;
	c.u.leg_failed.port = 20002;
	c.u.leg_failed.err = ERR_IN_USE;
	there_and_back(&c, 0, &d);
	assert_int_equal(d.u.leg_failed.port, 20002);
	assert_int_equal(d.u.leg_failed.err, ERR_IN_USE);

	c = (struct control){ .type = CONTROL_LEG_SOURCE };
	c.u.leg_source.leg = 1;
	c.u.leg_source.rtcp = true;
	c.u.leg_source.source = addr_of("[2001:db8::1]:1");
	there_and_back(&c, 0, &d);
	assert_true(d.u.leg_source.rtcp);
	assert_addr(&d.u.leg_source.source, "[2001:db8::1]:1");
}

/* A message is whole wherever an entry ends: every other cut is malformed. */
static void
what_is_heard_of_many_legs_travels(void **state)
{
	struct control c = { .type = CONTROL_HEARD }, d;

	(void)state;
	for (uint32_t i = 0; i < CONTROL_HEARD_MAX; i++) {
		c.u.heard.leg[i].leg = UINT32_MAX / 2 - i;
		c.u.heard.leg[i].heard =
		    (struct heard){ 100000 + i, 20, 3, 9, 23, i, 1500, 80000, 428, 436 };
	}
	c.u.heard.n = 1;
	there_and_back(&c, 0, &d);
	c.u.heard.n = CONTROL_HEARD_MAX;
	assert_int_equal(control_encode(&c, wire, sizeof(wire), &wire_len), 0);
	assert_int_equal(control_decode(CONTROL_HEARD, wire, wire_len, &d), 0);
	assert_int_equal(d.u.heard.n, CONTROL_HEARD_MAX);
	assert_memory_equal(d.u.heard.leg, c.u.heard.leg, sizeof(c.u.heard.leg));
	wire[wire_len] = 0;
	assert_int_equal(decode_copy(CONTROL_HEARD, wire, wire_len + 1), ERR_MALFORMED);
	assert_int_equal(decode_copy(CONTROL_HEARD, wire, wire_len - 1), ERR_MALFORMED);
}

static void
the_largest_sip_message_travels_and_a_larger_one_does_not(void **state)
{
	uint8_t *message = mem_zalloc(CONTROL_MAX + 1);
	struct control c = { .type = CONTROL_SIP }, d;

	(void)state;
	c.u.sip.peer = addr_of("10.0.0.9:5060");
	c.u.sip.message = (struct control_bytes){ message, 65535 };
	assert_int_equal(control_encode(&c, wire, sizeof(wire), &wire_len), 0);
	assert_true(wire_len <= CONTROL_MAX);
	assert_int_equal(control_decode(CONTROL_SIP, wire, wire_len, &d), 0);
	assert_int_equal(d.u.sip.message.n, 65535);
	c.u.sip.message.n = CONTROL_MAX;
	assert_int_equal(control_encode(&c, wire, sizeof(wire), &wire_len), ERR_TOO_BIG);
	mem_free(message);
}

static void
types_of_a_newer_peer_are_unsupported_not_malformed(void **state)
{
	(void)state;
	assert_int_equal(decode_copy(0, NULL, 0), ERR_UNSUPPORTED);
	assert_int_equal(decode_copy(CONTROL_DATAGRAMS + 1, NULL, 0), ERR_UNSUPPORTED);
	assert_int_equal(decode_copy(255, NULL, 0), ERR_UNSUPPORTED);
}

static void
values_outside_their_range_are_malformed(void **state)
{
	static const struct {
		const char *why;
		uint8_t type;
		const char *bytes;
		size_t n;
	} cases[] = {
		{ "boolean 2", CONTROL_SYNC, "\2\0", 2 },
		{ "call beyond 32 bits", CONTROL_CALL_END, "\xff\xff\xff\xff\x10", 5 },
		{ "leg beyond 31 bits", CONTROL_LEG_CLOSE, "\x80\x80\x80\x80\x08", 5 },
		{ "endless number", CONTROL_SIP_CLOSED,
		    "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\1", 11 },
		{ "unknown protocol", CONTROL_SIP, "\3\0\0\4\1\2\3\4\0\1\0x", 12 },
		{ "listener 8", CONTROL_SIP, "\0\x8\0\4\1\2\3\4\0\1\0x", 12 },
		{ "no peer", CONTROL_SIP, "\0\0\0\0\0x", 6 },
		{ "unknown family", CONTROL_SIP, "\0\0\0\5\1\2\3\4\0\1\0x", 12 },
		{ "no message", CONTROL_SIP, "\0\0\0\4\1\2\3\4\0\1\0", 11 },
		{ "IPv4 in IPv6", CONTROL_LEG_SOURCE,
		    "\1\0\6\0\0\0\0\0\0\0\0\0\0\xff\xff\1\2\3\4\0\1", 21 },
		{ "scope 0", CONTROL_LEG_SOURCE,
		    "\1\0\7\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 25 },
		{ "odd port", CONTROL_LEG, "\1\1\0\0\0\x1\0\0\0\0\0", 11 },
		{ "port 0", CONTROL_LEG, "\1\1\0\0\0\0\0\0\0\0\0", 11 },
		{ "unknown flag", CONTROL_LEG, "\1\1\0\0\0\2\0\0\0\x8\0", 11 },
		{ "nothing heard", CONTROL_HEARD, "", 0 },
		{ "MOS of 5.01", CONTROL_HEARD, "\1\0\0\0\0\0\0\0\0\xf5\3\0", 12 },
		{ "nine listeners", CONTROL_AGENT, "\0\x9", 2 },
		{ "bandwidth beyond 32 bits", CONTROL_BANDWIDTH, "\x80\x80\x80\x80\x10", 5 },
		{ "datagrams to nowhere", CONTROL_DATAGRAMS, "\0", 1 },
		{ "datagrams to no port", CONTROL_DATAGRAMS, "\4\1\2\3\4\0\0", 7 },
		{ "ports upside down", CONTROL_AGENT, "\0\0\4\1\2\3\4\0\0\0\3\0\2\0", 14 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (decode_copy(cases[i].type, (const uint8_t *)cases[i].bytes, cases[i].n) !=
		    ERR_MALFORMED)
			fail_msg("%s passed", cases[i].why);
	/* The frames around those values are good ones. */
	assert_int_equal(decode_copy(CONTROL_HEARD, (const uint8_t *)"\1\0\0\0\0\0\0\0\0\xf4\3\0",
			     12),
	    0);
	assert_int_equal(decode_copy(CONTROL_SIP, (const uint8_t *)"\0\7\0\4\1\2\3\4\0\1\0x", 12),
	    0);
	assert_int_equal(decode_copy(CONTROL_LEG, (const uint8_t *)"\1\1\0\0\0\2\0\0\0\7\0", 11),
	    0);
	assert_int_equal(decode_copy(CONTROL_AGENT, (const uint8_t *)"\0\0\4\1\2\3\4\0\0\0\2\0\3\0",
			     14),
	    0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_agent_tells_who_it_is),
		cmocka_unit_test(a_sip_message_travels_with_its_flow),
		cmocka_unit_test(a_call_is_told_with_and_without_its_last_will),
		cmocka_unit_test(a_name_that_is_too_long_is_cut_and_the_call_still_told),
		cmocka_unit_test(a_leg_is_told_with_every_address_set_or_not),
		cmocka_unit_test(the_short_messages_travel),
		cmocka_unit_test(what_is_heard_of_many_legs_travels),
		cmocka_unit_test(the_largest_sip_message_travels_and_a_larger_one_does_not),
		cmocka_unit_test(types_of_a_newer_peer_are_unsupported_not_malformed),
		cmocka_unit_test(values_outside_their_range_are_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
