/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "tunnel/tunnel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
on_data(void *arg, uint32_t channel, const uint8_t *data, size_t n)
{
	(void)arg, (void)channel;
	if (n > 0 && data[0] + data[n - 1] > 510)
		abort();
}

static void
on_reliable(void *arg, uint8_t type, const uint8_t *data, size_t n)
{
	on_data(arg, type, data, n);
	/* An answer to each, so that acknowledgements may refer to something. */
	(void)tunnel_send(*(struct tunnel **)arg, 1, data, n, CLOCK_S);
}

static void
on_stream(void *arg, struct tunnel_stream *s)
{
	(void)arg, (void)s;
}

static void
on_abort(void *arg, struct tunnel_stream *s, enum tunnel_why why)
{
	(void)arg, (void)s, (void)why;
}

static void
on_wanted(void *arg, enum tunnel_dir dir)
{
	(void)arg, (void)dir;
}

static void
on_state(void *arg, enum tunnel_state state)
{
	(void)arg, (void)state;
}

static void
on_broken(void *arg)
{
	(void)arg;
}

/* The two ends of a session with one pair, of which one end is played by the input. */
static void
open_pair(struct tunnel *client, struct tunnel *server, struct tunnel_stream *s[2][2])
{
	char path[TUNNEL_PATH_MAX];
	struct tunnel_request r;

	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++)
		if (tunnel_stream_open(client, dir, NULL, CLOCK_S, path, &s[0][dir]) < 0 ||
		    tunnel_request_parse(path, &r) < 0 ||
		    tunnel_stream_accept(server, &r, NULL, CLOCK_S, &s[1][dir]) < 0)
			abort();
}

/*
 * The first byte: which end reads (bit 0) and in how large pieces. The preamble of the stream comes
 * first, the input follows; after each piece a little time passes and what is owed is written.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const uint8_t preamble[2][8] = { { 'V', 'F', 1, 0, 0, 0, 0, 1 },
		{ 'V', 'F', 1, 1, 0, 0, 0, 2 } };
	struct tunnel_handlers h = { .on_reliable = on_reliable,
		.on_media = on_data,
		.on_wake = on_stream,
		.on_abort = on_abort,
		.on_wanted = on_wanted,
		.on_state = on_state,
		.on_broken = on_broken };
	struct tunnel_grant grant = { .session = 1 };
	struct tunnel *t[2];
	struct tunnel_stream *s[2][2];
	size_t reader = n > 0 && (data[0] & 1) ? 1 : 0, piece = n > 0 ? data[0] / 2 + 1u : 1;
	enum tunnel_dir in = reader == 1 ? TUNNEL_UP : TUNNEL_DOWN;
	enum tunnel_dir out = reader == 1 ? TUNNEL_DOWN : TUNNEL_UP;
	uint64_t now = CLOCK_S;
	uint8_t bytes[2048];
	int err;

	for (int side = 0; side < 2; side++) {
		struct tunnel_cfg cfg;

		tunnel_cfg_default((enum tunnel_role)side, &cfg);
		t[side] = tunnel_new(&cfg, &h, &t[side], &grant, now);
	}
	open_pair(t[0], t[1], s);
	err = tunnel_input(t[reader], s[reader][in], preamble[in], sizeof(preamble[in]), now);
	for (size_t i = 1; i < n && err == 0; i += piece, now += 5 * CLOCK_MS) {
		size_t take = n - i < piece ? n - i : piece;

		err = tunnel_input(t[reader], s[reader][in], data + i, take, now);
		tunnel_tick(t[reader], now);
		(void)tunnel_output(t[reader], s[reader][out], bytes, sizeof(bytes), now);
		if (tunnel_deadline(t[reader]) == 0)
			tunnel_tick(t[reader], now);
	}
	if (err != 0 && err != ERR_MALFORMED)
		abort();
	tunnel_free(t[0]);
	tunnel_free(t[1]);
	return 0;
}
