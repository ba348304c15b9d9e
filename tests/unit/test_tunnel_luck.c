/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "tests/support/lossy_link.h"

/*
 * The promise of the tunnel, for a million frames of whatever may happen: streams are cut, swallowed,
 * stalled and chopped, they overtake each other; requests are refused, lost and made twice; datagrams
 * are lost, doubled and overtaken; streams end with each burst or never; keys change; either end loses
 * its memory.
 * Reliable frames come once and in order, and all of them before the session ends in peace; across a
 * restart none comes twice; media comes once or not at all. lossy_link.c judges each frame as it comes.
 *
 * VOFW_LUCK_FRAMES is another number than a million, VOFW_LUCK_SEED another beginning; a failure tells
 * the seed of its storm, which is run again by that number alone with VOFW_LUCK_FRAMES=1.
 */

#define FRAMES_N 1000000
#define STORM_ROUNDS 400

static uint64_t
number_of(const char *name, uint64_t usual)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : usual;
}

static void
say(struct lossy_link *l)
{
	for (int side = 0; side < 2; side++) {
		for (uint64_t n = link_random(l, 12); n > 0; n--)
			link_send_media(l, side, 4 + link_random(l, 200));
		for (uint64_t n = link_random(l, 4); n > 0; n--)
			assert_int_equal(link_send(l, side, 4 + link_random(l, 900)), 0);
		if (link_random(l, 100) == 0)
			assert_int_equal(link_send(l, side, 20000), 0);
	}
}

static void
break_something(struct lossy_link *l)
{
	enum tunnel_dir dir = (enum tunnel_dir)link_random(l, 2);

	switch (link_random(l, 40)) {
	case 0:
	case 1:
	case 2:
		link_cut(l, dir, link_random(l, 4));
		break;
	case 3:
		for (int i = 0; i < 8; i++)
			link_cut(l, (enum tunnel_dir)(i % 2), 0);
		break;
	case 4:
		link_blackhole(l, dir, link_random(l, 4));
		break;
	case 5:
		if (link_random(l, 10) == 0)
			link_blackhole_all(l);
		break;
	case 6:
		l->refuse = !l->refuse;
		break;
	case 7:
		l->swallow = link_random(l, 4) == 0;
		break;
	case 8:
		tunnel_set_busy(l->end[link_random(l, 2)].t, link_random(l, 4) != 0, l->now_us);
		break;
	case 9:
		tunnel_set_bounded(l->end[LINK_CLIENT].t, dir, link_random(l, 2), l->now_us);
		break;
	case 10:
		if (link_random(l, 8) == 0)
			tunnel_kick(l->end[LINK_CLIENT].t, l->now_us);
		break;
	case 11:
		/* An end stands still, or the way does. */
		link_run(l, link_random(l, 3 * CLOCK_S));
		break;
	default:
		link_repeat_request(l);
		break;
	}
	if (link_random(l, 12) == 0)
		l->refuse = l->swallow = false;
}

static void
peace(struct lossy_link *l)
{
	uint64_t since = l->now_us;

	l->refuse = l->swallow = false;
	while (!link_settled(l) && l->now_us - since < 30 * CLOCK_S)
		link_run(l, 100 * CLOCK_MS);
	assert_true(link_settled(l));
	for (int side = 0; side < 2; side++) {
		assert_int_equal(l->end[side].broken, 0);
		assert_int_equal(tunnel_stats(l->end[side].t)->malformed, 0);
	}
}

/* One life of a session; it ends in peace, or not. */
static void
life(struct lossy_link *l, unsigned rounds_n, bool peaceful)
{
	for (unsigned i = 0; i < rounds_n; i++) {
		say(l);
		break_something(l);
		link_run(l, link_random(l, 30 * CLOCK_MS));
	}
	if (peaceful)
		peace(l);
}

static const enum cipher_kind ciphers[] = { CIPHER_NONE, CIPHER_AES_256_GCM,
	CIPHER_CHACHA20_POLY1305 };

struct sum {
	uint64_t reliable, media, media_got, streams, datagrams, rekeys;
};

static void
count(const struct lossy_link *l, struct sum *sum)
{
	for (int side = 0; side < 2; side++)
		sum->datagrams += tunnel_stats(l->end[side].t)->datagrams_received;
	sum->rekeys += tunnel_stats(l->end[LINK_CLIENT].t)->rekeys;
}

/* A few lives, each with what the seed makes of it. */
static void
storm(uint64_t seed, struct sum *sum)
{
	struct lossy_link *l;
	struct link_cfg cfg;

	link_cfg_default(&cfg);
	cfg.seed = seed;
	cfg.chop = seed % 2;
	cfg.stall_permille = 30;
	cfg.stall_us = 300 * CLOCK_MS;
	cfg.window = seed % 3 == 0 ? 20000 : 0;
	cfg.cipher = ciphers[seed % 3];
	cfg.datagrams = cfg.cipher != CIPHER_NONE && seed % 4 < 2;
	cfg.datagram_loss_permille = 50;
	cfg.datagram_twice_permille = 50;
	cfg.rekey_lost_permille = 200;
	cfg.end[LINK_CLIENT].rekey_bytes = cfg.cipher != CIPHER_NONE ? 300000 : 0;
	cfg.end[LINK_CLIENT].rotate_bytes = 100000;
	cfg.end[LINK_CLIENT].rotate_age_us = 5 * CLOCK_S;
	l = link_new(&cfg);
	for (int lives = 3; lives > 0; lives--) {
		life(l, STORM_ROUNDS / 2 + (unsigned)link_random(l, STORM_ROUNDS),
		    lives == 1 || link_random(l, 2) == 0);
		count(l, sum);
		if (lives > 1)
			link_restart(l);
	}
	for (int side = 0; side < 2; side++) {
		sum->reliable += l->end[side].reliable_sent;
		sum->media += l->end[side].media_sent;
		sum->media_got += l->end[side].media_got;
	}
	sum->streams += l->opened_n;
	link_free(l);
}

static void
reliable_frames_come_once_and_in_order_and_media_at_most_once(void **state)
{
	uint64_t wanted = number_of("VOFW_LUCK_FRAMES", FRAMES_N);
	uint64_t seed = number_of("VOFW_LUCK_SEED", 1);
	struct sum sum = { 0 };

	(void)state;
	for (; sum.reliable + sum.media < wanted; seed++) {
		/* Overwritten by the next one; what is left to read is the storm that failed. */
		fprintf(stderr, "storm %llu\r", (unsigned long long)seed);
		storm(seed, &sum);
	}
	print_message("%llu reliable and %llu media frames, %llu of these came; %llu streams, "
		      "%llu datagrams, %llu new keys\n",
	    (unsigned long long)sum.reliable, (unsigned long long)sum.media,
	    (unsigned long long)sum.media_got, (unsigned long long)sum.streams,
	    (unsigned long long)sum.datagrams, (unsigned long long)sum.rekeys);
	/* Else too little was tried. */
	assert_true(sum.media_got > sum.media / 4 && sum.datagrams > 0 && sum.rekeys > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reliable_frames_come_once_and_in_order_and_media_at_most_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
