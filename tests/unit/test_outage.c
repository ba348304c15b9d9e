/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#include "base/clock.h"
#include "hrac/outage.h"
#include "sip/msg.h"

#define START 1000000

static const char invite[] = "INVITE sip:bob@example.com SIP/2.0\r\n"
			     "Via: SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK1;rport\r\n"
			     "From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>\r\n"
			     "Call-ID: c1\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"
			     "Content-Length: 0\r\n\r\n";
static const char bye[] =
    "BYE sip:alice@192.168.1.20 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.168.1.5:5060;branch=z9hG4bKwill\r\n"
    "From: <sip:bob@example.com>;tag=b\r\nTo: <sip:alice@example.com>;tag=a\r\n"
    "Call-ID: c1\r\nCSeq: 2 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";

struct fixture {
	struct event_base *base;
	struct timers *timers;
	struct media *media;
	struct taught *taught;
	struct outage *outage;
	unsigned sent_n;
	char last[2048];
	struct sip_flow last_to;
};

static void
on_send(void *arg, const struct sip_flow *to, const char *data, size_t n)
{
	struct fixture *f = arg;

	assert_true(n < sizeof(f->last));
	f->sent_n++;
	f->last_to = *to;
	memcpy(f->last, data, n);
	f->last[n] = '\0';
}

static void
on_failed(void *arg, uint32_t leg, uint16_t port, int err)
{
	(void)arg, (void)leg, (void)port, (void)err;
}

static int
setup(void **state)
{
	static const struct media_handlers handlers;
	static struct fixture fixture;
	struct fixture *f = &fixture;
	struct media_cfg cfg = { 0 };

	sip_msg_init();
	memset(f, 0, sizeof(*f));
	addr_parse("127.0.0.1", 0, &cfg.address);
	f->base = event_base_new();
	f->timers = timers_new();
	f->media = media_new(f->base, &cfg, &handlers, f);
	f->taught = taught_new(f->media, on_failed, f);
	f->outage = outage_new(f->timers, on_send, f);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	outage_free(f->outage);
	taught_free(f->taught);
	media_free(f->media);
	timers_free(f->timers);
	event_base_free(f->base);
	return 0;
}

static struct sip_flow
phone(void)
{
	struct sip_flow flow = { .proto = SIP_UDP };

	addr_parse("192.168.1.20:40000", 0, &flow.peer);
	return flow;
}

static void
teach(struct fixture *f, const char *will)
{
	struct control_call c = { .call = 7 };

	c.call_id = (struct control_bytes){ (const uint8_t *)"c1", 2 };
	c.from = c.to = c.call_id;
	c.will.peer = phone().peer;
	c.will.message = (struct control_bytes){ (const uint8_t *)will, strlen(will) };
	assert_int_equal(taught_call(f->taught, &c), 0);
}

static void
a_request_is_answered_503_with_retry_after_where_it_came_from(void **state)
{
	struct fixture *f = *state;
	struct sip_flow from = phone();

	outage_refuse(f->outage, &from, invite, strlen(invite));
	assert_int_equal(f->sent_n, 1);
	assert_memory_equal(f->last, "SIP/2.0 503 ", 12);
	assert_non_null(strstr(f->last, "Retry-After: "));
	assert_non_null(strstr(f->last, "rport=40000"));
	assert_true(addr_equal(&f->last_to.peer, &from.peer));
}

static void
acks_responses_and_garbage_are_not_answered(void **state)
{
	struct fixture *f = *state;
	struct sip_flow from = phone();
	static const char ack[] =
	    "ACK sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n"
	    "From: <sip:a@b>;tag=a\r\nTo: <sip:b@b>;tag=b\r\nCall-ID: c\r\n"
	    "CSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n";
	static const char ok[] = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n"
				 "From: <sip:a@b>;tag=a\r\nTo: <sip:b@b>;tag=b\r\nCall-ID: c\r\n"
				 "CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";

	outage_refuse(f->outage, &from, ack, strlen(ack));
	outage_refuse(f->outage, &from, ok, strlen(ok));
	outage_refuse(f->outage, &from, "\r\n\r\n", 4);
	outage_refuse(f->outage, &from, "GET / HTTP/1.1\r\n\r\n", 18);
	assert_int_equal(f->sent_n, 0);
}

static void
a_will_is_repeated_until_it_is_answered(void **state)
{
	struct fixture *f = *state;
	char answer[512];
	unsigned before;

	teach(f, bye);
	outage_execute_wills(f->outage, f->taught, START);
	assert_string_equal(f->last, bye);
	assert_int_equal(timers_next_us(f->timers), START + 500 * CLOCK_MS);
	timers_run(f->timers, START + 500 * CLOCK_MS);
	timers_run(f->timers, START + 1500 * CLOCK_MS);
	assert_int_equal(f->sent_n, 3);
	snprintf(answer, sizeof(answer), "SIP/2.0 200 OK\r\n%s", strstr(bye, "Via:"));
	assert_true(outage_take_answer(f->outage, answer, strlen(answer)));
	before = f->sent_n;
	timers_run(f->timers, START + 60 * CLOCK_S);
	assert_int_equal(f->sent_n, before);
	assert_false(outage_take_answer(f->outage, answer, strlen(answer)));
}

static void
a_will_that_nobody_answers_ends_after_timer_f(void **state)
{
	struct fixture *f = *state;

	teach(f, bye);
	outage_execute_wills(f->outage, f->taught, START);
	for (uint64_t t = START; timers_next_us(f->timers) != CLOCK_NEVER; t += 100 * CLOCK_MS) {
		assert_true(t < START + 40 * CLOCK_S);
		timers_run(f->timers, t);
	}
	assert_in_range(f->sent_n, 8, 12);
}

static void
a_call_without_a_will_and_one_that_is_no_sip_do_nothing(void **state)
{
	struct fixture *f = *state;

	teach(f, "");
	outage_execute_wills(f->outage, f->taught, START);
	teach(f, "nonsense");
	outage_execute_wills(f->outage, f->taught, START);
	assert_int_equal(f->sent_n, 0);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_answered_503_with_retry_after_where_it_came_from),
		TEST(acks_responses_and_garbage_are_not_answered),
		TEST(a_will_is_repeated_until_it_is_answered),
		TEST(a_will_that_nobody_answers_ends_after_timer_f),
		TEST(a_call_without_a_will_and_one_that_is_no_sip_do_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
