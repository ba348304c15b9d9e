/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tunnel/frame.h"
#include "tunnel/tunnel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
on_reliable(void *arg, uint8_t type, const uint8_t *data, size_t n)
{
	(void)arg, (void)type, (void)data, (void)n;
	abort();
}

static void
on_media(void *arg, uint32_t channel, const uint8_t *data, size_t n)
{
	(void)arg, (void)channel, (void)data, (void)n;
	abort();
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
on_state(void *arg, enum tunnel_state state)
{
	(void)arg, (void)state;
}

static void
on_broken(void *arg)
{
	(void)arg;
}

/* A stream of the client's, cut in two: how it begins is right, but nothing was sealed for it. */
static void
take(struct tunnel *t, struct tunnel_stream *s, const uint8_t *data, size_t n)
{
	uint8_t preamble[FRAME_PREAMBLE_LEN];
	size_t piece = n > 0 ? data[0] % n : 0;

	frame_preamble_put(TUNNEL_UP, 1, preamble);
	if (tunnel_input(t, s, preamble, sizeof(preamble), CLOCK_S) < 0)
		abort();
	if (tunnel_input(t, s, data, piece, CLOCK_S) == 0)
		(void)tunnel_input(t, s, data + piece, n - piece, CLOCK_S);
	if (tunnel_stats(t)->batches_received != 0)
		abort();
}

/* Whoever has not the key gets nothing delivered, nothing acknowledged, nothing taken for a batch. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct tunnel_handlers h = { .on_reliable = on_reliable,
		.on_media = on_media,
		.on_wake = on_stream,
		.on_abort = on_abort,
		.on_state = on_state,
		.on_broken = on_broken };
	struct tunnel_grant grant = { .session = 1, .key = { 1 } };
	struct tunnel_request r;
	struct tunnel_stream *s;
	struct tunnel_cfg cfg;
	struct tunnel *client, *server;
	char path[TUNNEL_PATH_MAX];

	grant.cipher = n % 2 == 0 ? CIPHER_AES_256_GCM : CIPHER_CHACHA20_POLY1305;
	tunnel_cfg_default(TUNNEL_CLIENT, &cfg);
	client = tunnel_new(&cfg, &h, NULL, &grant, CLOCK_S);
	tunnel_cfg_default(TUNNEL_SERVER, &cfg);
	server = tunnel_new(&cfg, &h, NULL, &grant, CLOCK_S);
	if (tunnel_stream_open(client, TUNNEL_UP, NULL, CLOCK_S, path, &s) < 0 ||
	    tunnel_request_parse(path, &r) < 0 ||
	    tunnel_stream_accept(server, &r, NULL, CLOCK_S, &s) < 0)
		abort();
	take(server, s, data, n);
	tunnel_free(client);
	tunnel_free(server);
	return 0;
}
