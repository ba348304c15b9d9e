/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/support/alone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "tunnel/request.h"

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

const struct tunnel_handlers alone_handlers = { .on_reliable = on_reliable,
	.on_media = on_media,
	.on_wake = on_wake,
	.on_abort = on_abort,
	.on_state = on_state,
	.on_broken = on_broken,
	.on_late = on_late };

void
alone_request(enum tunnel_dir dir, uint32_t serial, struct tunnel_request *out)
{
	*out = (struct tunnel_request){ .dir = dir, .serial = serial };
	alone_request_of(out);
}

void
alone_request_of(struct tunnel_request *r)
{
	struct tunnel_grant grant = { .session = 5 };
	uint32_t serial = r->serial;
	char path[TUNNEL_PATH_MAX];

	request_print(&grant, r, path);
	assert_int_equal(tunnel_request_parse(path, r), 0);
	assert_int_equal(r->serial, serial);
}

struct tunnel_stream *
alone_accepted(struct alone *a, enum tunnel_dir dir, uint32_t serial)
{
	struct tunnel_request r;
	struct tunnel_stream *s;

	alone_request(dir, serial, &r);
	assert_int_equal(tunnel_stream_accept(a->t, &r, NULL, CLOCK_S, &s), 0);
	return s;
}

void
alone_new(struct alone *a)
{
	struct tunnel_grant grant = { .session = 5 };
	struct tunnel_cfg cfg;

	*a = (struct alone){ 0 };
	tunnel_cfg_default(TUNNEL_SERVER, &cfg);
	a->t = tunnel_new(&cfg, &alone_handlers, a, &grant, CLOCK_S);
	a->down = alone_accepted(a, TUNNEL_DOWN, 1);
	a->up = alone_accepted(a, TUNNEL_UP, 2);
}

size_t
alone_written(struct alone *a, struct tunnel_stream *s, uint64_t now, struct alone_batch *out,
    size_t max)
{
	uint8_t bytes[16384];
	size_t n = 0;
	long len;

	while ((len = tunnel_output(a->t, s, bytes, sizeof(bytes), now)) > 0)
		for (long at = memcmp(bytes, "VF\1", 3) == 0 ? FRAME_PREAMBLE_LEN : 0; at < len;
		     n++) {
			struct wire_read body;
			struct frame f;
			int err;

			assert_true(n < max);
			memset(&out[n], 0, sizeof(out[n]));
			assert_int_equal(frame_batch_get(bytes + at, (size_t)(len - at), &out[n].h,
					     &body, &out[n].len),
			    0);
			at += (long)out[n].len;
			while ((err = frame_next(&body, &f)) == 0) {
				out[n].frames_n++;
				out[n].media_n += f.type == FRAME_MEDIA;
				out[n].pings_n += f.type == FRAME_PING;
				out[n].pongs_n += f.type == FRAME_PONG;
				out[n].reliable_n += f.type == FRAME_RELIABLE;
				out[n].ends_n += f.type == FRAME_END;
				out[n].repeats_n += f.type == FRAME_REPEAT;
			}
			assert_int_equal(err, ERR_NOT_FOUND);
		}
	return n;
}

int
alone_hear(struct alone *a, struct tunnel_stream *s, const struct frame_header *h,
    const char *frames, size_t n, uint64_t now)
{
	uint8_t batch[FRAME_BATCH_MAX];
	size_t len = frame_header_put(h, n, batch);

	memcpy(batch + len, frames, n);
	return tunnel_input(a->t, s, batch, len + n, now);
}

void
alone_hear_preamble(struct alone *a, struct tunnel_stream *s, uint32_t serial)
{
	uint8_t bytes[FRAME_PREAMBLE_LEN];

	frame_preamble_put(TUNNEL_UP, serial, bytes);
	assert_int_equal(tunnel_input(a->t, s, bytes, sizeof(bytes), CLOCK_S), 0);
}

void
alone_hear_ack(struct alone *a, uint32_t serial, uint64_t batches_n, uint64_t now)
{
	struct frame_header h = { .acks_n = 1, .acks = { { serial, batches_n } } };

	assert_int_equal(alone_hear(a, a->up, &h, "", 0, now), 0);
}

void
alone_hear_media(struct alone *a, struct tunnel_stream *s, uint32_t number, uint64_t now)
{
	struct frame_header h = { .has_media = true, .media_base = number };

	assert_int_equal(alone_hear(a, s, &h, ALONE_MEDIA, sizeof(ALONE_MEDIA) - 1, now), 0);
}

void
alone_send_voice(struct alone *a, unsigned n, uint64_t now)
{
	uint8_t voice[172] = { 0 };

	while (n-- > 0)
		assert_int_equal(tunnel_send_media(a->t, 1, voice, sizeof(voice), now), 0);
	tunnel_flush(a->t, now);
}

unsigned
alone_media_in(const struct alone_batch *b, size_t n)
{
	unsigned media_n = 0;

	for (size_t i = 0; i < n; i++)
		media_n += b[i].media_n;
	return media_n;
}
