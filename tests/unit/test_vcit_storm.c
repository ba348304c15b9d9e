/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "log/log.h"
#include "vcit_lab.h"

/*
 * Nonsense at random: messages in any order with any SDP, agents that come and go, ports that
 * fail, time that passes. What must hold after each step is little, and holds always; the
 * sanitizers watch the rest.
 */
#define SEEDS 6
#define STEPS 8000
#define VIDEO "m=video 4002 RTP/AVP 96\r\n"
#define FAX                                                                               \
	"v=0\r\no=- 1 2 IN IP4 192.168.1.20\r\ns=-\r\nc=IN IP4 192.168.1.20\r\nt=0 0\r\n" \
	"m=image 4500 udptl t38\r\n"

static unsigned
any(unsigned *seed, unsigned n)
{
	return (unsigned)rand_r(seed) % n;
}

static struct mail
any_mail(unsigned *seed, char id[16], char tag[16])
{
	static const char *const method[] = { "INVITE", "INVITE", "INVITE", "ACK", "BYE", "UPDATE",
		"PRACK", "INFO", "OPTIONS" };
	static const int status[] = { 0, 0, 100, 180, 183, 200, 200, 200, 407, 486, 491, 500 };
	static const char *const sdp[] = { NULL, NULL, AUDIO("192.168.1.20", "4000"),
		AUDIO("192.168.1.20", "4000") VIDEO, AUDIO("203.0.113.99", "6000"),
		AUDIO("203.0.113.99", "0"), AUDIO("0.0.0.0", "6000"),
		AUDIO("203.0.113.99", "6000") "a=sendonly\r\n" VIDEO VIDEO, FAX, "rubbish",
		"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\n" };
	struct mail m = { .by = (int)any(seed, 2),
		.method = method[any(seed, 9)],
		.status = status[any(seed, 12)],
		.cseq = 1 + any(seed, 4),
		.call_id = id,
		.to_tag = tag,
		.sdp = sdp[any(seed, 11)],
		.headers = any(seed, 4) == 0 ? "RSeq: 1\r\n" : NULL,
		.direct = any(seed, 20) == 0 };

	snprintf(id, 16, "c%u", any(seed, 4) + 8 * (any(seed, 50) == 0));
	snprintf(tag, 16, "t%u", any(seed, 2));
	if (strcmp(m.method, "ACK") == 0)
		m.status = 0;
	if (strcmp(m.method, "INVITE") == 0 && any(seed, 2) == 0) {
		m.first = true;
		m.by = m.status != 0;
	}
	return m;
}

static void
any_trouble(struct lab *lab, unsigned *seed)
{
	uint32_t face = OFFICE + any(seed, 2);
	struct addr source = lab->phone[0].peer;

	switch (any(seed, 6)) {
	case 0:
		lab_agent_up(lab, face, any(seed, 4) == 0 ? "192.168.7.7" : "192.168.1.5");
		break;
	case 1:
		if (any(seed, 8) == 0)
			vcit_agent_gone(lab->vcit, face, lab->now_us);
		break;
	case 2:
		vcit_leg_failed(lab->vcit, face, any(seed, 200),
		    (uint16_t)(30000 + 2 * any(seed, 10)), lab->now_us);
		break;
	case 3:
		vcit_leg_source(lab->vcit, face, any(seed, 200), any(seed, 2) == 0, &source);
		break;
	case 4:
		lab_run(lab, any(seed, 40) * CLOCK_S);
		break;
	case 5:
		if (any(seed, 50) == 0)
			vcit_end_all(lab->vcit, "storm", lab->now_us);
	}
}

static void
step(struct lab *lab, unsigned *seed)
{
	char id[16], tag[16];
	struct mail m = any_mail(seed, id, tag);

	lab_place(lab, any(seed, 3), any(seed, 3));
	lab->branch = any(seed, 2);
	lab->legs_n = lab->closed_n = lab->calls_n = lab->ended_n = lab->byes_n = 0;
	switch (any(seed, 40)) {
	case 0:
		any_trouble(lab, seed);
		break;
	case 1:
		lab_invite_failed(lab, &m, any(seed, 2) == 0 ? 487 : 500);
		break;
	case 2:
		lab_branch_failed(lab, &m, lab->branch);
		break;
	default:
		(void)lab_relay(lab, &m);
	}
	assert_int_equal(lab_metric(lab, "ports_in_use"), media_legs_n(lab->media));
	assert_true(vcit_calls_n(lab->vcit) <= 8);
	assert_int_equal(lab_metric(lab, "calls_active"), vcit_calls_n(lab->vcit));
}

static uint64_t
ended_n(const struct lab *lab)
{
	static const char *const cause[] = { "bye", "cancelled", "failed", "direct",
		"media_timeout", "agent_gone", "leg_failed", "shutdown" };
	char name[48];
	uint64_t n = 0;

	for (size_t i = 0; i < sizeof(cause) / sizeof(cause[0]); i++) {
		snprintf(name, sizeof(name), "calls_ended_%s", cause[i]);
		n += lab_metric(lab, name);
	}
	return n;
}

static void
the_table_stays_sound_whatever_comes_in_whatever_order(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		struct lab *lab = lab_with(NULL);
		unsigned s = seed;

		for (int i = 0; i < STEPS; i++)
			step(lab, &s);
		/* All that began has ended when everything is let go. */
		lab->byes_n = lab->closed_n = lab->ended_n = 0;
		vcit_end_all(lab->vcit, "storm", lab->now_us);
		assert_int_equal(vcit_calls_n(lab->vcit), 0);
		assert_int_equal(media_legs_n(lab->media), 0);
		assert_int_equal(ended_n(lab), lab_metric(lab, "calls_started"));
		assert_true(lab_metric(lab, "calls_answered") > 15);
		lab_free(lab);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_stays_sound_whatever_comes_in_whatever_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
