/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/support/lossy_link.h"

/* What two tunnels do with each other when the link is cut, swallowed, stalled or refused. */

#define VANISH_US (5 * CLOCK_S) /* a peer that is gone is noticed within this */

static struct lossy_link *
link_up(const struct link_cfg *cfg)
{
	struct lossy_link *l = link_new(cfg);

	do
		link_run(l, 10 * cfg->delay_us);
	while (l->end[LINK_CLIENT].state != TUNNEL_UP_STATE && l->now_us < 10 * CLOCK_S);
	assert_int_equal(l->end[LINK_CLIENT].state, TUNNEL_UP_STATE);
	return l;
}

/* One round of bad luck: something is sent, and something may break. */
static void
harm_round(struct lossy_link *l)
{
	for (int side = 0; side < 2; side++) {
		for (uint64_t n = link_random(l, 4); n > 0; n--)
			link_send_media(l, side, 4 + link_random(l, 400));
		if (link_random(l, 4) == 0)
			assert_int_equal(link_send(l, side, 4 + link_random(l, 3000)), 0);
		if (link_random(l, 300) == 0)
			assert_int_equal(link_send(l, side, 60000), 0);
	}
	switch (link_random(l, 60)) {
	case 0:
		link_cut(l, TUNNEL_UP, link_random(l, 4));
		break;
	case 1:
		link_cut(l, TUNNEL_DOWN, link_random(l, 4));
		break;
	case 2:
		if (link_random(l, 4) == 0)
			link_blackhole(l, link_random(l, 2), link_random(l, 4));
		break;
	case 3:
		l->refuse = !l->refuse;
		break;
	case 4:
		if (link_random(l, 8) == 0)
			l->swallow = true;
		break;
	case 5:
		tunnel_set_busy(l->end[link_random(l, 2)].t, link_random(l, 2), l->now_us);
		break;
	case 6:
		if (link_random(l, 20) == 0)
			link_blackhole_all(l);
		break;
	case 7:
		if (link_random(l, 8) == 0)
			tunnel_kick(l->end[LINK_CLIENT].t, l->now_us);
		break;
	}
	if (link_random(l, 10) == 0)
		l->refuse = l->swallow = false;
	link_run(l, link_random(l, 60 * CLOCK_MS));
}

static void
harm(uint64_t seed, unsigned rounds_n)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	link_cfg_default(&cfg);
	cfg.seed = seed;
	cfg.chop = true;
	cfg.stall_permille = 50;
	cfg.stall_us = 400 * CLOCK_MS;
	cfg.window = seed % 3 == 0 ? 0 : 20000;
	cfg.end[LINK_CLIENT].rotate_bytes = 50000;
	cfg.end[LINK_CLIENT].rotate_age_us = 5 * CLOCK_S;
	l = link_up(&cfg);
	for (unsigned i = 0; i < rounds_n; i++)
		harm_round(l);
	l->refuse = l->swallow = false;
	link_run(l, 20 * CLOCK_S);
	for (int side = 0; side < 2; side++) {
		assert_int_equal(l->end[side].broken, 0);
		assert_int_equal(l->end[side].state, TUNNEL_UP_STATE);
		assert_int_equal(l->end[side].reliable_got, l->end[!side].reliable_sent);
		assert_true(l->end[side].media_got > l->end[!side].media_sent / 4);
		assert_int_equal(tunnel_stats(l->end[side].t)->malformed, 0);
	}
	link_free(l);
}

static void
whatever_breaks_reliable_frames_come_once_and_in_order(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 24; seed++)
		harm(seed, 1000);
}

static void
a_cut_of_everything_in_mid_call_costs_a_round_trip_or_two(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;
	uint32_t got;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	link_run(l, CLOCK_S);
	assert_int_equal(link_send(l, LINK_SERVER, 50000), 0);
	link_run(l, 10 * CLOCK_MS);
	for (int i = 0; i < 4; i++) {
		link_cut(l, TUNNEL_UP, 0);
		link_cut(l, TUNNEL_DOWN, 0);
	}
	/* Each end learns within 100 ms, then the client opens anew at once. */
	link_run(l, 250 * CLOCK_MS);
	assert_true(link_settled(l));
	got = l->end[LINK_SERVER].media_got;
	for (int i = 0; i < 50; i++) {
		link_send_media(l, LINK_CLIENT, 172);
		link_run(l, 20 * CLOCK_MS);
	}
	assert_int_equal(l->end[LINK_SERVER].media_got, got + 50);
	assert_true(l->end[LINK_CLIENT].state_us < CLOCK_S + 10 * cfg.delay_us);
	link_free(l);
}

static void
a_peer_that_vanishes_is_noticed_within_5_s(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		bool busy = i % 2;
		struct link_cfg cfg;
		struct lossy_link *l;
		uint64_t vanished;

		link_cfg_default(&cfg);
		cfg.seed = i;
		l = link_up(&cfg);
		tunnel_set_busy(l->end[LINK_CLIENT].t, busy, l->now_us);
		link_run(l, 10 * CLOCK_S + i * 150 * CLOCK_MS);
		link_blackhole_all(l);
		l->swallow = true;
		vanished = l->now_us;
		link_run(l, VANISH_US);
		for (int side = 0; side < 2; side++) {
			assert_int_equal(l->end[side].state, TUNNEL_DOWN_STATE);
			assert_true(l->end[side].state_us > vanished);
			assert_true(l->end[side].aborted_dead > 0);
		}
		assert_int_equal(link_living_n(l, TUNNEL_UP), 0);
		link_free(l);
	}
}

static void
a_black_hole_in_mid_call_is_left_before_the_dead_man_strikes(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;
	uint64_t since;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	link_run(l, 10 * CLOCK_S);
	link_blackhole_all(l);
	since = l->now_us;
	while (l->end[LINK_SERVER].media_got == 0 || l->end[LINK_CLIENT].media_got == 0) {
		link_send_media(l, LINK_CLIENT, 172);
		link_send_media(l, LINK_SERVER, 172);
		link_run(l, 20 * CLOCK_MS);
	}
	assert_in_range(l->now_us - since, CLOCK_S, 2200 * CLOCK_MS);
	assert_int_equal(l->end[LINK_CLIENT].state, TUNNEL_UP_STATE);
	link_free(l);
}

static void
one_black_hole_among_four_costs_at_most_one_voice_packet(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	link_run(l, CLOCK_S);
	link_blackhole(l, TUNNEL_UP, 2);
	for (int i = 0; i < 500; i++) {
		link_send_media(l, LINK_CLIENT, 172);
		if (i % 10 == 0)
			assert_int_equal(link_send(l, LINK_CLIENT, 700), 0);
		link_run(l, 20 * CLOCK_MS);
	}
	link_run(l, CLOCK_S);
	assert_true(link_settled(l));
	assert_true(l->end[LINK_SERVER].media_got >= 500 - 2);
	link_free(l);
}

static void
nothing_reliable_is_lost_when_all_streams_are_away_for_20_s(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	link_blackhole_all(l);
	l->refuse = true;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(link_send(l, LINK_CLIENT, 900), 0);
		assert_int_equal(link_send(l, LINK_SERVER, 900), 0);
		link_run(l, 200 * CLOCK_MS);
	}
	assert_int_equal(l->end[LINK_CLIENT].reliable_got + l->end[LINK_SERVER].reliable_got, 0);
	assert_int_equal(link_send_media(l, LINK_CLIENT, 100), ERR_DOWN);
	l->refuse = false;
	link_run(l, 6 * CLOCK_S);
	assert_true(link_settled(l));
	assert_int_equal(l->end[0].broken + l->end[1].broken, 0);
	link_free(l);
}

static void
a_frame_that_waits_for_32_s_breaks_the_session_once(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	link_blackhole_all(l);
	l->swallow = true;
	link_send(l, LINK_CLIENT, 900);
	link_run(l, 31900 * CLOCK_MS);
	assert_int_equal(l->end[LINK_CLIENT].broken, 0);
	link_run(l, 200 * CLOCK_MS);
	assert_int_equal(l->end[LINK_CLIENT].broken, 1);
	link_run(l, 60 * CLOCK_S);
	assert_int_equal(l->end[LINK_CLIENT].broken, 1);
	assert_int_equal(l->end[LINK_SERVER].broken, 0);
	link_free(l);
}

static void
more_reliable_frames_than_the_cap_are_refused_and_break_the_session(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	cfg.end[LINK_CLIENT].reliable_max = 50;
	l = link_up(&cfg);
	for (int i = 0; i < 50; i++)
		assert_int_equal(link_send(l, LINK_CLIENT, 10), 0);
	assert_int_equal(l->end[LINK_CLIENT].broken, 0);
	assert_int_equal(link_send(l, LINK_CLIENT, 10), ERR_FULL);
	link_run(l, 1);
	assert_int_equal(l->end[LINK_CLIENT].broken, 1);
	link_free(l);
}

static void
attempts_are_immediate_at_first_then_slow_and_one_at_a_time(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;
	unsigned n;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	link_run(l, 10 * CLOCK_S);
	l->refuse = true;
	for (int i = 0; i < 4; i++) {
		link_cut(l, TUNNEL_UP, 0);
		link_cut(l, TUNNEL_DOWN, 0);
	}
	n = l->end[LINK_CLIENT].wanted[TUNNEL_UP];
	link_run(l, 300 * CLOCK_MS);
	assert_true(l->end[LINK_CLIENT].wanted[TUNNEL_UP] > n);
	link_run(l, 30 * CLOCK_S);
	n = l->end[LINK_CLIENT].wanted[TUNNEL_UP];
	/* Full jitter over 0 .. 5 s: about 24 in a minute. */
	link_run(l, 60 * CLOCK_S);
	assert_in_range(l->end[LINK_CLIENT].wanted[TUNNEL_UP] - n, 12, 48);
	assert_true(tunnel_deadline(l->end[LINK_CLIENT].t) > l->now_us);
	/* And when the way is free again, they come back and four are there soon. */
	l->refuse = false;
	link_run(l, 6 * CLOCK_S);
	assert_int_equal(tunnel_streams_n(l->end[LINK_CLIENT].t, TUNNEL_UP), 4);
	link_free(l);
}

static void
backoff_is_spread_over_the_whole_wait_and_capped(void **state)
{
	uint64_t seed = 3, sum = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		assert_true(tunnel_backoff_us(0, 100, 5000, &seed) <= 100);
		assert_true(tunnel_backoff_us(3, 100, 5000, &seed) <= 800);
		sum += tunnel_backoff_us(200, 100, 5000, &seed);
	}
	assert_in_range(sum / 10000, 2400, 2600);
}

static void
a_kick_opens_new_streams_at_once_and_keeps_the_old_ones_until_then(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;
	size_t before;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	link_run(l, CLOCK_S);
	before = l->pipes_n;
	tunnel_kick(l->end[LINK_CLIENT].t, l->now_us);
	link_run(l, 1);
	assert_int_equal(l->pipes_n, before + 2);
	assert_int_equal(tunnel_streams_n(l->end[LINK_CLIENT].t, TUNNEL_UP), 1);
	link_run(l, CLOCK_S);
	assert_int_equal(link_living_n(l, TUNNEL_UP), 1);
	assert_int_equal(link_living_n(l, TUNNEL_DOWN), 1);
	assert_int_equal(tunnel_stats(l->end[LINK_CLIENT].t)->streams_ended[TUNNEL_WHY_ORDERLY], 2);
	link_free(l);
}

/* -- One end alone: its streams are written and read by hand -- */

struct alone {
	struct tunnel *t;
	struct tunnel_stream *up, *down;
	unsigned woken_n, media_n, broken_n;
};

static void
on_wake(void *arg, struct tunnel_stream *s)
{
	struct alone *a = arg;

	assert_ptr_equal(s, a->down);
	a->woken_n++;
}

static void
on_media(void *arg, uint32_t channel, const uint8_t *data, size_t n)
{
	(void)channel, (void)data, (void)n;
	((struct alone *)arg)->media_n++;
}

static void
on_reliable(void *arg, uint8_t type, const uint8_t *data, size_t n)
{
	(void)arg, (void)type, (void)data, (void)n;
}

static void
on_abort(void *arg, struct tunnel_stream *s, enum tunnel_why why)
{
	(void)arg, (void)s, (void)why;
}

static void
on_state(void *arg, enum tunnel_state state)
{
	(void)arg, (void)state;
}

static void
on_broken(void *arg)
{
	((struct alone *)arg)->broken_n++;
}

static const struct tunnel_handlers alone_handlers = { on_reliable, on_media, on_wake, on_abort,
	NULL, on_state, on_broken };

/* Paths that the client of this session would ask for; serials 1, 2, 3 ... */
static void
client_path(enum tunnel_dir dir, uint32_t serial, struct tunnel_request *out)
{
	struct tunnel_grant grant = { .session = 5 };
	struct tunnel_stream *s;
	struct tunnel_cfg cfg;
	char path[TUNNEL_PATH_MAX];
	struct tunnel *t;

	tunnel_cfg_default(TUNNEL_CLIENT, &cfg);
	t = tunnel_new(&cfg, &alone_handlers, NULL, &grant, 1);
	for (uint32_t i = 0; i < serial; i++) {
		assert_int_equal(tunnel_stream_open(t, dir, NULL, 1, path, &s), 0);
		if (i + 1 < serial)
			tunnel_stream_gone(t, s, TUNNEL_WHY_CUT, 1);
	}
	assert_int_equal(tunnel_request_parse(path, out), 0);
	assert_int_equal(out->serial, serial);
	tunnel_free(t);
}

static void
alone_new(struct alone *a)
{
	struct tunnel_grant grant = { .session = 5 };
	struct tunnel_request r;
	struct tunnel_cfg cfg;

	*a = (struct alone){ 0 };
	tunnel_cfg_default(TUNNEL_SERVER, &cfg);
	a->t = tunnel_new(&cfg, &alone_handlers, a, &grant, 1);
	client_path(TUNNEL_DOWN, 1, &r);
	assert_int_equal(tunnel_stream_accept(a->t, &r, NULL, 1, &a->down), 0);
	client_path(TUNNEL_UP, 2, &r);
	assert_int_equal(tunnel_stream_accept(a->t, &r, NULL, 1, &a->up), 0);
}

static void
a_request_is_good_once_and_only_with_its_mac(void **state)
{
	struct tunnel_stream *s;
	struct tunnel_request r;
	struct alone a;

	(void)state;
	alone_new(&a);
	client_path(TUNNEL_UP, 3, &r);
	for (size_t i = 0; i < sizeof(r.mac) * 8; i++) {
		r.mac[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), ERR_AUTH);
		r.mac[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	r.dir = TUNNEL_DOWN;
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), ERR_AUTH);
	r.dir = TUNNEL_UP;
	r.serial++;
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), ERR_AUTH);
	r.serial--;
	r.session++;
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), ERR_AUTH);
	r.session--;
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), 0);
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), ERR_EXISTS);
	/* What is far below the highest counts as used. */
	client_path(TUNNEL_UP, 1100, &r);
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), 0);
	client_path(TUNNEL_UP, 4, &r);
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), ERR_EXISTS);
	client_path(TUNNEL_UP, 1100 - 1023, &r);
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), 0);
	tunnel_free(a.t);
}

static void
voice_older_than_its_age_is_dropped_when_it_is_written_and_not_before(void **state)
{
	uint8_t voice[172] = { 0 }, out[4096];
	struct alone a;
	uint64_t now = CLOCK_S;

	(void)state;
	alone_new(&a);
	assert_true(tunnel_output(a.t, a.down, out, sizeof(out), now) > 0);
	assert_int_equal(tunnel_output(a.t, a.down, out, sizeof(out), now), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(tunnel_send_media(a.t, 1, voice, sizeof(voice),
				     now + (uint64_t)i * 2000),
		    0);
		tunnel_flush(a.t, now + (uint64_t)i * 2000);
	}
	assert_int_equal(a.woken_n, 1);
	/* The first is too old by one microsecond, the others are not. */
	assert_in_range(tunnel_output(a.t, a.down, out, sizeof(out), now + 150 * CLOCK_MS + 1),
	    2 * 180, 2 * 190);
	assert_int_equal(tunnel_stats(a.t)->media_late_dropped, 1);
	assert_int_equal(tunnel_stats(a.t)->media_sent, 2);
	tunnel_free(a.t);
}

static void
voice_for_which_there_is_no_room_is_refused_and_counted(void **state)
{
	uint8_t voice[172] = { 0 }, out[4096];
	uint64_t now = CLOCK_S, dropped;
	struct alone a;
	int err = 0;

	(void)state;
	alone_new(&a);
	for (int i = 0; i < 100000 && err == 0; i++) {
		err = tunnel_send_media(a.t, 1, voice, sizeof(voice), now);
		tunnel_flush(a.t, now);
	}
	assert_int_equal(err, ERR_FULL);
	assert_int_equal(tunnel_stats(a.t)->media_full_dropped, 1);
	/* Soon all that waits is too old, and makes room for what is young. */
	now += 150 * CLOCK_MS;
	assert_int_equal(tunnel_send_media(a.t, 1, voice, sizeof(voice), now), ERR_FULL);
	now += 21 * CLOCK_MS;
	assert_int_equal(tunnel_send_media(a.t, 1, voice, sizeof(voice), now), 0);
	tunnel_flush(a.t, now);
	dropped = tunnel_stats(a.t)->media_late_dropped;
	assert_true(dropped > 4000);
	while (tunnel_output(a.t, a.down, out, sizeof(out), now) > 0)
		;
	assert_int_equal(tunnel_stats(a.t)->media_late_dropped, dropped);
	assert_int_equal(tunnel_stats(a.t)->media_sent, 1);
	tunnel_free(a.t);
}

/* A stream as a client would write it, given to the server in pieces of `piece` bytes. */
static int
feed(const uint8_t *bytes, size_t n, size_t piece, unsigned *media_n)
{
	struct alone a;
	int err = 0;

	alone_new(&a);
	for (size_t done = 0; done < n && err == 0; done += piece) {
		size_t take = n - done < piece ? n - done : piece;
		uint8_t *copy = mem_dup(bytes + done, take);

		err = tunnel_input(a.t, a.up, copy, take, 2);
		mem_free(copy);
	}
	*media_n = a.media_n;
	tunnel_free(a.t);
	return err;
}

static const uint8_t sample[] = {
	0x56, 0x46, 1, 0, 0, 0, 0, 2,                               /* preamble: UP, serial 2 */
	0, 10, 0x04, 0, 0, 7, 1, 4, 3, 'a', 'b', 'c',               /* media 7 on channel 3 */
	0, 4, 0x00, 0x40, 1, 'x',                                   /* an extension */
	0, 19, 0x04, 0, 0, 8, 1, 4, 3, 'a', 'b', 'c', 1, 5, 3, 'd', /* media 8 and 9 ... */
	'e', 'f', 'g', 0x41, 0,                                     /* ... and an extension */
	0, 10, 0x04, 0, 0, 7, 1, 4, 3, 'a', 'b', 'c',               /* media 7 once more */
	0, 3, 0x00, 5, 0,                                           /* END */
};

static void
input_is_the_same_however_it_is_cut(void **state)
{
	unsigned media_n;

	(void)state;
	for (size_t piece = 1; piece <= sizeof(sample); piece++) {
		assert_int_equal(feed(sample, sizeof(sample), piece, &media_n), 0);
		assert_int_equal(media_n, 3);
	}
}

static void
input_that_is_no_stream_is_malformed(void **state)
{
	static const struct {
		const char *why;
		size_t at;
		uint8_t byte;
	} cases[] = {
		{ "magic", 0, 0x57 },
		{ "version", 2, 2 },
		{ "direction", 3, 1 },
		{ "serial", 7, 1 },
		{ "length 0", 9, 0 },
		{ "length beyond the maximum", 8, 0x08 },
		{ "unknown flag", 10, 0x14 },
		{ "media without a base", 10, 0x00 },
		{ "frame longer than its batch", 15, 5 },
		{ "unknown frame", 14, 0x3f },
		{ "frame type 0", 14, 0 },
	};
	uint8_t bytes[sizeof(sample) + 3];
	unsigned media_n;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(bytes, sample, sizeof(sample));
		bytes[cases[i].at] = cases[i].byte;
		for (size_t piece = 1; piece < 40; piece += 6)
			if (feed(bytes, sizeof(sample), piece, &media_n) != ERR_MALFORMED)
				fail_msg("%s passed in pieces of %zu", cases[i].why, piece);
	}
	/* Nothing follows an END. */
	memcpy(bytes, sample, sizeof(sample));
	memcpy(bytes + sizeof(sample), "\0\1\0", 3);
	assert_int_equal(feed(bytes, sizeof(sample), 7, &media_n), 0);
	assert_int_equal(feed(bytes, sizeof(bytes), 7, &media_n), ERR_MALFORMED);
}

static void
acknowledging_what_was_never_sent_is_malformed(void **state)
{
	static const uint8_t preamble[] = { 0x56, 0x46, 1, 0, 0, 0, 0, 2 };
	static const struct {
		uint8_t bytes[8];
		size_t n;
	} cases[] = {
		{ { 0, 4, 0x01, 1, 1, 2 }, 6 }, /* two batches of stream 1, which had one */
		{ { 0, 2, 0x02, 2 }, 4 },       /* waits for reliable frame 2 */
		{ { 0, 2, 0x02, 0 }, 4 },       /* ... 0 */
		{ { 0, 2, 0x01, 0 }, 4 },       /* no acknowledgements in the list of them */
		{ { 0, 2, 0x01, 9 }, 4 },       /* more of them than there may be */
	};
	static const uint8_t good[] = { 0, 6, 0x03, 1, 1, 1, 1, 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t out[4096];
		struct alone a;

		alone_new(&a);
		assert_true(tunnel_output(a.t, a.down, out, sizeof(out), 1) > 0);
		assert_int_equal(tunnel_input(a.t, a.up, preamble, sizeof(preamble), 2), 0);
		assert_int_equal(tunnel_input(a.t, a.up, good, 7, 2), 0);
		assert_int_equal(tunnel_input(a.t, a.up, cases[i].bytes, cases[i].n, 2),
		    ERR_MALFORMED);
		tunnel_free(a.t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_breaks_reliable_frames_come_once_and_in_order),
		cmocka_unit_test(a_cut_of_everything_in_mid_call_costs_a_round_trip_or_two),
		cmocka_unit_test(a_peer_that_vanishes_is_noticed_within_5_s),
		cmocka_unit_test(a_black_hole_in_mid_call_is_left_before_the_dead_man_strikes),
		cmocka_unit_test(one_black_hole_among_four_costs_at_most_one_voice_packet),
		cmocka_unit_test(nothing_reliable_is_lost_when_all_streams_are_away_for_20_s),
		cmocka_unit_test(a_frame_that_waits_for_32_s_breaks_the_session_once),
		cmocka_unit_test(
		    more_reliable_frames_than_the_cap_are_refused_and_break_the_session),
		cmocka_unit_test(attempts_are_immediate_at_first_then_slow_and_one_at_a_time),
		cmocka_unit_test(backoff_is_spread_over_the_whole_wait_and_capped),
		cmocka_unit_test(
		    a_kick_opens_new_streams_at_once_and_keeps_the_old_ones_until_then),
		cmocka_unit_test(a_request_is_good_once_and_only_with_its_mac),
		cmocka_unit_test(
		    voice_older_than_its_age_is_dropped_when_it_is_written_and_not_before),
		cmocka_unit_test(voice_for_which_there_is_no_room_is_refused_and_counted),
		cmocka_unit_test(input_is_the_same_however_it_is_cut),
		cmocka_unit_test(input_that_is_no_stream_is_malformed),
		cmocka_unit_test(acknowledging_what_was_never_sent_is_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
