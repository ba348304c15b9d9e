/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tunnel/control.h"
#include "tunnel/frame.h"
#include "tunnel/request.h"
#include "tunnel/tunnel.h"

/* One end of a tunnel whose streams are written and read by hand. */

struct alone {
	struct tunnel *t;
	struct tunnel_stream *up, *down;
	unsigned woken_n, media_n, broken_n, late_n, aborted_n;
};

static void
on_wake(void *arg, struct tunnel_stream *s)
{
	(void)s;
	((struct alone *)arg)->woken_n++;
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
	(void)s, (void)why;
	((struct alone *)arg)->aborted_n++;
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

static void
on_late(void *arg, uint32_t channel)
{
	assert_int_equal(channel, 1);
	((struct alone *)arg)->late_n++;
}

static const struct tunnel_handlers alone_handlers = { on_reliable, on_media, on_wake, on_abort,
	NULL, on_state, on_broken, on_late };

/* What the client of this session would ask for. */
static void
request_of(enum tunnel_dir dir, uint32_t serial, struct tunnel_request *out)
{
	struct tunnel_grant grant = { .session = 5 };
	char path[TUNNEL_PATH_MAX];

	request_print(&grant, dir, serial, path);
	assert_int_equal(tunnel_request_parse(path, out), 0);
	assert_int_equal(out->serial, serial);
}

static struct tunnel_stream *
accepted(struct alone *a, enum tunnel_dir dir, uint32_t serial)
{
	struct tunnel_request r;
	struct tunnel_stream *s;

	request_of(dir, serial, &r);
	assert_int_equal(tunnel_stream_accept(a->t, &r, NULL, CLOCK_S, &s), 0);
	return s;
}

/* A server with one pair: DOWN is stream 1, UP is stream 2. */
static void
alone_new(struct alone *a)
{
	struct tunnel_grant grant = { .session = 5 };
	struct tunnel_cfg cfg;

	*a = (struct alone){ 0 };
	tunnel_cfg_default(TUNNEL_SERVER, &cfg);
	a->t = tunnel_new(&cfg, &alone_handlers, a, &grant, CLOCK_S);
	a->down = accepted(a, TUNNEL_DOWN, 1);
	a->up = accepted(a, TUNNEL_UP, 2);
}

struct seen { /* a batch that was written */
	struct frame_header h;
	unsigned frames_n, media_n, pings_n, pongs_n, reliable_n, ends_n;
	size_t len;
};

/* What the tunnel writes on `s` now, until it has nothing more; how many batches. */
static size_t
written(struct alone *a, struct tunnel_stream *s, uint64_t now, struct seen *out, size_t max)
{
	uint8_t bytes[16384];
	size_t n = 0;
	long len;

	while ((len = tunnel_output(a->t, s, bytes, sizeof(bytes), now)) > 0)
		for (long at = memcmp(bytes, "VF\1", 3) == 0 ? FRAME_PREAMBLE_LEN : 0; at < len;
		     n++) {
			struct wire_read body;
			struct frame f;

			assert_true(n < max);
			memset(&out[n], 0, sizeof(out[n]));
			assert_int_equal(frame_batch_get(bytes + at, (size_t)(len - at), &out[n].h,
					     &body, &out[n].len),
			    0);
			at += (long)out[n].len;
			while (frame_next(&body, &f) == 0) {
				out[n].frames_n++;
				out[n].media_n += f.type == FRAME_MEDIA;
				out[n].pings_n += f.type == FRAME_PING;
				out[n].pongs_n += f.type == FRAME_PONG;
				out[n].reliable_n += f.type == FRAME_RELIABLE;
				out[n].ends_n += f.type == FRAME_END;
			}
		}
	return n;
}

/* The client writes a batch with this header and these frames on `s`. */
static int
hear(struct alone *a, struct tunnel_stream *s, const struct frame_header *h, const char *frames,
    size_t n, uint64_t now)
{
	uint8_t batch[FRAME_BATCH_MAX];
	size_t len = frame_header_put(h, n, batch);

	memcpy(batch + len, frames, n);
	return tunnel_input(a->t, s, batch, len + n, now);
}

static void
hear_preamble(struct alone *a, struct tunnel_stream *s, uint32_t serial)
{
	uint8_t bytes[FRAME_PREAMBLE_LEN];

	frame_preamble_put(TUNNEL_UP, serial, bytes);
	assert_int_equal(tunnel_input(a->t, s, bytes, sizeof(bytes), CLOCK_S), 0);
}

/* The client acknowledges so many batches of a DOWN stream. */
static void
hear_ack(struct alone *a, uint32_t serial, uint64_t batches_n, uint64_t now)
{
	struct frame_header h = { .acks_n = 1, .acks = { { serial, batches_n } } };

	assert_int_equal(hear(a, a->up, &h, "", 0, now), 0);
}

#define MEDIA_FRAME "\1\2\7x"
#define PING_FRAME "\3\5\0\0\0\1\0"
#define RELIABLE_1 "\2\4\1\3\5x"

static void
hear_media(struct alone *a, struct tunnel_stream *s, uint32_t number, uint64_t now)
{
	struct frame_header h = { .has_media = true, .media_base = number };

	assert_int_equal(hear(a, s, &h, MEDIA_FRAME, sizeof(MEDIA_FRAME) - 1, now), 0);
}

static void
send_voice(struct alone *a, unsigned n, uint64_t now)
{
	uint8_t voice[172] = { 0 };

	while (n-- > 0)
		assert_int_equal(tunnel_send_media(a->t, 1, voice, sizeof(voice), now), 0);
	tunnel_flush(a->t, now);
}

static unsigned
media_in(const struct seen *b, size_t n)
{
	unsigned media_n = 0;

	for (size_t i = 0; i < n; i++)
		media_n += b[i].media_n;
	return media_n;
}

static void
a_request_is_good_once_and_only_with_its_mac(void **state)
{
	struct tunnel_stream *s;
	struct tunnel_request r;
	struct alone a;

	(void)state;
	alone_new(&a);
	request_of(TUNNEL_UP, 3, &r);
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
	request_of(TUNNEL_UP, 1100, &r);
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), 0);
	request_of(TUNNEL_UP, 4, &r);
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), ERR_EXISTS);
	request_of(TUNNEL_UP, 1100 - 1023, &r);
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), 0);
	/* A long jump leaves nothing behind: 3 was used, 3 + 2048 was not. */
	request_of(TUNNEL_UP, 3000, &r);
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), 0);
	request_of(TUNNEL_UP, 3 + 2048, &r);
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
	assert_int_equal(a.late_n, 1);
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
	now += 5 * CLOCK_MS;
	tunnel_flush(a.t, now);
	dropped = tunnel_stats(a.t)->media_late_dropped;
	assert_true(dropped > 4000);
	while (tunnel_output(a.t, a.down, out, sizeof(out), now) > 0)
		;
	assert_int_equal(tunnel_stats(a.t)->media_late_dropped, dropped);
	assert_int_equal(tunnel_stats(a.t)->media_sent, 1);
	tunnel_free(a.t);
}

static void
one_or_two_calls_leave_at_once(void **state)
{
	struct seen b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	written(&a, a.down, CLOCK_S, b, 8);
	send_voice(&a, 1, CLOCK_S);
	assert_int_equal(written(&a, a.down, CLOCK_S, b, 8), 1);
	assert_int_equal(b[0].media_n, 1);
	tunnel_free(a.t);
}

static void
frames_of_many_calls_wait_5_ms_for_company(void **state)
{
	const uint64_t start = CLOCK_S;
	struct seen b[16];
	struct alone a;
	size_t n;

	(void)state;
	alone_new(&a);
	written(&a, a.down, start, b, 16);
	send_voice(&a, 49, start); /* seven to a batch */
	assert_int_equal(media_in(b, written(&a, a.down, start, b, 16)), 49);
	send_voice(&a, 1, start + 1000);
	send_voice(&a, 1, start + 5000);
	assert_int_equal(written(&a, a.down, start + 5000, b, 16), 0);
	assert_true(tunnel_deadline(a.t) <= start + 6000);
	tunnel_tick(a.t, start + 6000);
	n = written(&a, a.down, start + 6000, b, 16);
	assert_int_equal(n, 1);
	assert_int_equal(b[0].media_n, 2);
	tunnel_free(a.t);
}

static void
a_batch_has_the_age_of_its_first_frame(void **state)
{
	const uint64_t late = CLOCK_S + 150 * CLOCK_MS + 1;
	uint8_t voice[172] = { 0 };
	struct seen b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	assert_int_equal(written(&a, a.down, CLOCK_S, b, 8), 1);
	tunnel_send_media(a.t, 1, voice, sizeof(voice), CLOCK_S);
	tunnel_send_media(a.t, 1, voice, sizeof(voice), CLOCK_S + 400);
	tunnel_flush(a.t, CLOCK_S + 400);
	assert_int_equal(written(&a, a.down, late, b, 8), 0);
	assert_int_equal(tunnel_stats(a.t)->media_late_dropped, 2);
	assert_int_equal(a.late_n, 2);
	tunnel_free(a.t);
}

static void
gathered_batches_are_at_most_1400_bytes(void **state)
{
	struct seen b[16];
	struct alone a;
	size_t n;

	(void)state;
	alone_new(&a);
	written(&a, a.down, CLOCK_S, b, 16);
	send_voice(&a, 56, CLOCK_S);
	n = written(&a, a.down, CLOCK_S, b, 16);
	assert_int_equal(n, 8);
	assert_int_equal(media_in(b, n), 56);
	for (size_t i = 0; i < n; i++)
		assert_in_range(b[i].len, 170, 1400);
	tunnel_free(a.t);
}

static void
voice_given_to_a_stream_that_is_lost_goes_to_another_one(void **state)
{
	struct tunnel_stream *second;
	struct seen b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	second = accepted(&a, TUNNEL_DOWN, 3);
	written(&a, a.down, CLOCK_S, b, 8);
	written(&a, second, CLOCK_S, b, 8);
	hear_preamble(&a, a.up, 2);
	hear_ack(&a, 1, 1, CLOCK_S);
	send_voice(&a, 1, CLOCK_S);
	assert_int_equal(a.woken_n, 1);
	assert_int_equal(written(&a, second, CLOCK_S, b, 8), 0);
	tunnel_stream_gone(a.t, a.down, TUNNEL_WHY_CUT, CLOCK_S);
	tunnel_flush(a.t, CLOCK_S);
	assert_int_equal(media_in(b, written(&a, second, CLOCK_S, b, 8)), 1);
	tunnel_free(a.t);
}

static void
a_stream_that_was_not_heard_from_is_not_trusted_with_voice(void **state)
{
	struct tunnel_stream *second;
	struct seen b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	written(&a, a.down, CLOCK_S, b, 8);
	hear_preamble(&a, a.up, 2);
	hear_ack(&a, 1, 1, CLOCK_S);
	send_voice(&a, 5, CLOCK_S);
	second = accepted(&a, TUNNEL_DOWN, 3);
	written(&a, a.down, CLOCK_S, b, 8);
	written(&a, second, CLOCK_S, b, 8);
	/* The first has a lot outstanding, the second only its first question. */
	send_voice(&a, 1, CLOCK_S);
	assert_int_equal(written(&a, second, CLOCK_S, b, 8), 0);
	assert_int_equal(media_in(b, written(&a, a.down, CLOCK_S, b, 8)), 1);
	tunnel_free(a.t);
}

/* With two idle streams the one acknowledged last is used; what must not change that: */
static void
neither_late_acknowledgements_nor_mere_acknowledgements_make_a_stream_wait(void **state)
{
	struct tunnel_stream *second;
	struct seen b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	second = accepted(&a, TUNNEL_DOWN, 3);
	hear_preamble(&a, a.up, 2);
	written(&a, second, CLOCK_S, b, 8);
	written(&a, a.down, CLOCK_S, b, 8);
	hear_ack(&a, 3, 1, CLOCK_S);
	hear_ack(&a, 1, 1, CLOCK_S + 1);
	send_voice(&a, 1, CLOCK_S + 2);
	assert_int_equal(written(&a, a.down, CLOCK_S + 2, b, 8), 1);
	hear_ack(&a, 1, 2, CLOCK_S + 3);
	/* An older count that took a longer way. */
	hear_ack(&a, 1, 1, CLOCK_S + 4);
	/* A batch that only acknowledges asks for nothing. */
	hear_media(&a, a.up, 0, CLOCK_S + 5);
	tunnel_tick(a.t, CLOCK_S + 6 + 20 * CLOCK_MS);
	assert_int_equal(written(&a, a.down, CLOCK_S + 7 + 20 * CLOCK_MS, b, 8), 1);
	assert_int_equal(b[0].frames_n, 0);
	assert_int_equal(b[0].h.acks_n, 1);
	send_voice(&a, 1, CLOCK_S + 30 * CLOCK_MS);
	assert_int_equal(written(&a, second, CLOCK_S + 30 * CLOCK_MS, b, 8), 0);
	assert_int_equal(media_in(b, written(&a, a.down, CLOCK_S + 30 * CLOCK_MS, b, 8)), 1);
	tunnel_free(a.t);
}

/* Two streams with everything outstanding; the first has more, of which a little is confirmed. */
static void
what_is_outstanding_is_not_underestimated_when_a_lot_is(void **state)
{
	static struct seen b[1000];
	struct tunnel_stream *second;
	uint64_t now = CLOCK_S;
	struct alone a;

	(void)state;
	alone_new(&a);
	hear_preamble(&a, a.up, 2);
	written(&a, a.down, now, b, 1000);
	for (int i = 0; i < 300; i++) {
		send_voice(&a, 7, now); /* a full batch */
		assert_int_equal(written(&a, a.down, now, b, 1000), 1);
	}
	second = accepted(&a, TUNNEL_DOWN, 3);
	written(&a, second, now, b, 1000);
	hear_ack(&a, 3, 1, now);
	for (int i = 0; i < 100; i++) {
		send_voice(&a, 7, now);
		assert_int_equal(written(&a, second, now, b, 1000), 1);
	}
	hear_ack(&a, 1, 11, now);
	send_voice(&a, 7, now);
	assert_int_equal(written(&a, a.down, now, b, 1000), 0);
	assert_int_equal(written(&a, second, now, b, 1000), 1);
	/* And when most of it is confirmed that is seen, too. */
	hear_ack(&a, 1, 280, now);
	send_voice(&a, 7, now);
	assert_int_equal(written(&a, a.down, now, b, 1000), 1);
	tunnel_free(a.t);
}

static void
voice_is_acknowledged_after_20_ms_or_eight_batches_and_a_question_at_once(void **state)
{
	const struct frame_header none = { 0 };
	const uint64_t now = CLOCK_S;
	struct seen b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	tunnel_tick(a.t, now);
	written(&a, a.down, now, b, 8);
	hear_preamble(&a, a.up, 2);
	hear_ack(&a, 1, 1, now);
	tunnel_tick(a.t, now);
	hear_media(&a, a.up, 0, now);
	assert_int_equal(tunnel_deadline(a.t), now + 20 * CLOCK_MS);
	for (uint32_t i = 1; i < 7; i++)
		hear_media(&a, a.up, i, now + i);
	assert_int_equal(tunnel_deadline(a.t), now + 20 * CLOCK_MS);
	hear_media(&a, a.up, 7, now + 7);
	assert_int_equal(tunnel_deadline(a.t), now + 7);
	tunnel_flush(a.t, now + 7);
	assert_int_equal(written(&a, a.down, now + 7, b, 8), 1);
	assert_int_equal(b[0].h.acks_n, 1);
	assert_int_equal(b[0].h.acks[0].serial, 2);
	assert_int_equal(b[0].h.acks[0].batches_n, 9);
	assert_false(b[0].h.has_reliable);
	/* Said once, it is not said again. */
	tunnel_tick(a.t, now + CLOCK_S);
	assert_int_equal(written(&a, a.down, now + CLOCK_S, b, 8), 0);
	assert_int_equal(hear(&a, a.up, &none, PING_FRAME, sizeof(PING_FRAME) - 1, now + CLOCK_S),
	    0);
	tunnel_flush(a.t, now + CLOCK_S);
	assert_int_equal(written(&a, a.down, now + CLOCK_S, b, 8), 1);
	assert_int_equal(b[0].pongs_n, 1);
	assert_int_equal(b[0].h.acks[0].batches_n, 10);
	tunnel_free(a.t);
}

static void
acknowledgements_of_many_streams_go_eight_to_a_batch_and_none_is_forgotten(void **state)
{
	struct tunnel_stream *s;
	struct seen b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	written(&a, a.down, CLOCK_S, b, 8);
	hear_preamble(&a, a.up, 2);
	hear_media(&a, a.up, 0, CLOCK_S);
	for (uint32_t i = 1; i < 9; i++) {
		s = accepted(&a, TUNNEL_UP, 2 + i);
		hear_preamble(&a, s, 2 + i);
		hear_media(&a, s, i, CLOCK_S);
	}
	tunnel_flush(a.t, CLOCK_S);
	assert_int_equal(written(&a, a.down, CLOCK_S, b, 8), 1);
	assert_int_equal(b[0].h.acks_n, 8);
	tunnel_flush(a.t, CLOCK_S);
	assert_int_equal(written(&a, a.down, CLOCK_S, b, 8), 1);
	assert_int_equal(b[0].h.acks_n, 1);
	tunnel_flush(a.t, CLOCK_S);
	assert_int_equal(written(&a, a.down, CLOCK_S, b, 8), 0);
	tunnel_free(a.t);
}

static void
what_was_acknowledged_on_a_lost_stream_is_acknowledged_again_on_another(void **state)
{
	const struct frame_header none = { 0 };
	struct tunnel_stream *second;
	struct seen b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	written(&a, a.down, CLOCK_S, b, 8);
	hear_preamble(&a, a.up, 2);
	assert_int_equal(hear(&a, a.up, &none, RELIABLE_1, sizeof(RELIABLE_1) - 1, CLOCK_S), 0);
	tunnel_tick(a.t, CLOCK_S + 20 * CLOCK_MS);
	assert_int_equal(written(&a, a.down, CLOCK_S + 20 * CLOCK_MS, b, 8), 1);
	assert_int_equal(b[0].h.acks[0].batches_n, 1);
	assert_int_equal(b[0].h.reliable_next, 2);
	second = accepted(&a, TUNNEL_DOWN, 3);
	assert_int_equal(written(&a, second, CLOCK_S + 20 * CLOCK_MS, b, 8), 1);
	assert_int_equal(b[0].h.acks_n, 0);
	tunnel_stream_gone(a.t, a.down, TUNNEL_WHY_CUT, CLOCK_S + 30 * CLOCK_MS);
	tunnel_flush(a.t, CLOCK_S + 30 * CLOCK_MS);
	assert_int_equal(written(&a, second, CLOCK_S + 30 * CLOCK_MS, b, 8), 1);
	assert_int_equal(b[0].h.acks_n, 1);
	assert_int_equal(b[0].h.acks[0].batches_n, 1);
	assert_true(b[0].h.has_reliable);
	assert_int_equal(b[0].h.reliable_next, 2);
	tunnel_free(a.t);
}

/* The sender repeats because our word for it was lost: it must be given again. */
static void
a_reliable_frame_that_comes_again_is_acknowledged_again(void **state)
{
	const struct frame_header none = { 0 };
	uint64_t now = CLOCK_S;
	struct seen b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	written(&a, a.down, now, b, 8);
	hear_preamble(&a, a.up, 2);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(hear(&a, a.up, &none, RELIABLE_1, sizeof(RELIABLE_1) - 1, now), 0);
		now += 20 * CLOCK_MS;
		tunnel_tick(a.t, now);
		assert_int_equal(written(&a, a.down, now, b, 8), 1);
		assert_true(b[0].h.has_reliable);
		assert_int_equal(b[0].h.reliable_next, 2);
		assert_int_equal(tunnel_stats(a.t)->reliable_duplicate, i);
	}
	assert_int_equal(tunnel_stats(a.t)->reliable_received, 1);
	/* And no more than again: a batch of voice need not carry it. */
	send_voice(&a, 1, now);
	assert_int_equal(written(&a, a.down, now, b, 8), 1);
	assert_false(b[0].h.has_reliable);
	tunnel_free(a.t);
}

static void
a_flood_of_sip_leaves_room_for_control_and_breaks_nothing(void **state)
{
	struct alone a;
	int n = 0;

	(void)state;
	alone_new(&a);
	while (tunnel_send(a.t, CONTROL_SIP, "OPTIONS", 7, CLOCK_S) == 0)
		n++;
	assert_int_equal(n, 4096);
	assert_int_equal(tunnel_send(a.t, CONTROL_SIP, "OPTIONS", 7, CLOCK_S), ERR_FULL);
	assert_int_equal(tunnel_stats(a.t)->reliable_refused, 2);
	for (; n < 8192; n++)
		assert_int_equal(tunnel_send(a.t, CONTROL_LEG_CLOSE, "x", 1, CLOCK_S), 0);
	tunnel_tick(a.t, CLOCK_S);
	assert_int_equal(a.broken_n, 0);
	assert_int_equal(tunnel_send(a.t, CONTROL_LEG_CLOSE, "x", 1, CLOCK_S), ERR_FULL);
	tunnel_tick(a.t, CLOCK_S);
	assert_int_equal(a.broken_n, 1);
	tunnel_free(a.t);
}

static void
media_is_delivered_once_in_any_order_and_not_from_long_ago(void **state)
{
	static const struct {
		uint32_t number;
		bool fresh;
	} steps[] = {
		{ 0xfffffe, true },
		{ 1, true },
		{ 0xffffff, true },
		{ 0, true },
		{ 0xffffff, false },
		{ 0xfffffe, false },
		{ 0xfffffd, true }, /* before the first that came, but never seen */
		{ 65536, true },
		{ 65536 - 65535, false },
		{ 2, true },
		{ 2, false },
		{ 100000, true },
		{ 65536, false },
		{ 50000, true },
		{ 200000, true },
		{ 100, false }, /* never seen, but too far below to tell */
		{ 200000 - 65535, true },
		{ 200000 - 65536, false },
	};
	unsigned expected = 0;
	struct alone a;

	(void)state;
	alone_new(&a);
	hear_preamble(&a, a.up, 2);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		hear_media(&a, a.up, steps[i].number, CLOCK_S);
		expected += steps[i].fresh;
		if (a.media_n != expected)
			fail_msg("step %zu, number %u", i, steps[i].number);
	}
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
	static const uint8_t good[] = { 0, 5, 0x03, 1, 1, 1, 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t out[4096];
		struct alone a;

		alone_new(&a);
		assert_true(tunnel_output(a.t, a.down, out, sizeof(out), 1) > 0);
		assert_int_equal(tunnel_input(a.t, a.up, preamble, sizeof(preamble), 2), 0);
		assert_int_equal(tunnel_input(a.t, a.up, good, sizeof(good), 2), 0);
		assert_int_equal(tunnel_input(a.t, a.up, cases[i].bytes, cases[i].n, 2),
		    ERR_MALFORMED);
		tunnel_free(a.t);
	}
}

/* Ticks as the daemon would, from `from` to `to`, and gives the time of the first abort, or 0. */
static uint64_t
tick_until_abort(struct alone *a, uint64_t from, uint64_t to)
{
	uint64_t now = from;

	while (now <= to && a->aborted_n == 0) {
		tunnel_tick(a->t, now);
		tunnel_flush(a->t, now);
		if (a->aborted_n != 0)
			return now;
		now = tunnel_deadline(a->t) > now ? tunnel_deadline(a->t) : now + 1000;
	}
	return 0;
}

static void
a_machine_that_stood_still_does_not_blame_its_streams(void **state)
{
	struct alone a;

	(void)state;
	/* A machine that is awake finds a silent stream at the dead-man's time... */
	alone_new(&a);
	assert_in_range(tick_until_abort(&a, CLOCK_S, 20 * CLOCK_S), 5 * CLOCK_S, 6 * CLOCK_S);
	tunnel_free(a.t);
	/* ... one that slept reads what waits for it first, but not for ever. */
	alone_new(&a);
	assert_int_equal(tick_until_abort(&a, CLOCK_S, 2 * CLOCK_S), 0);
	assert_in_range(tick_until_abort(&a, 30 * CLOCK_S, 50 * CLOCK_S), 31 * CLOCK_S,
	    32 * CLOCK_S);
	tunnel_free(a.t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_good_once_and_only_with_its_mac),
		cmocka_unit_test(
		    voice_older_than_its_age_is_dropped_when_it_is_written_and_not_before),
		cmocka_unit_test(voice_for_which_there_is_no_room_is_refused_and_counted),
		cmocka_unit_test(one_or_two_calls_leave_at_once),
		cmocka_unit_test(frames_of_many_calls_wait_5_ms_for_company),
		cmocka_unit_test(a_batch_has_the_age_of_its_first_frame),
		cmocka_unit_test(gathered_batches_are_at_most_1400_bytes),
		cmocka_unit_test(voice_given_to_a_stream_that_is_lost_goes_to_another_one),
		cmocka_unit_test(a_stream_that_was_not_heard_from_is_not_trusted_with_voice),
		cmocka_unit_test(
		    neither_late_acknowledgements_nor_mere_acknowledgements_make_a_stream_wait),
		cmocka_unit_test(what_is_outstanding_is_not_underestimated_when_a_lot_is),
		cmocka_unit_test(
		    voice_is_acknowledged_after_20_ms_or_eight_batches_and_a_question_at_once),
		cmocka_unit_test(
		    acknowledgements_of_many_streams_go_eight_to_a_batch_and_none_is_forgotten),
		cmocka_unit_test(
		    what_was_acknowledged_on_a_lost_stream_is_acknowledged_again_on_another),
		cmocka_unit_test(a_reliable_frame_that_comes_again_is_acknowledged_again),
		cmocka_unit_test(a_flood_of_sip_leaves_room_for_control_and_breaks_nothing),
		cmocka_unit_test(media_is_delivered_once_in_any_order_and_not_from_long_ago),
		cmocka_unit_test(input_is_the_same_however_it_is_cut),
		cmocka_unit_test(input_that_is_no_stream_is_malformed),
		cmocka_unit_test(acknowledging_what_was_never_sent_is_malformed),
		cmocka_unit_test(a_machine_that_stood_still_does_not_blame_its_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
