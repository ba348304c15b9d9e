/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "tunnel/datagram.h"
#include "tunnel/frame.h"
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
on_state(void *arg, enum tunnel_state state)
{
	(void)arg, (void)state;
}

static void
on_datagram(void *arg, const uint8_t *data, size_t n)
{
	uint32_t id;

	(void)arg;
	if (!datagram_peek(data, n, &id) || id != 5)
		abort();
}

static void
on_wanted(void *arg, enum tunnel_dir dir)
{
	(void)arg, (void)dir;
}

/*
 * The first byte: which end reads (bit 0), whether there is a call (1), and whether the input is what
 * a stranger sends (2) or what the peer sealed, so that what is below the seal is reached. Then
 * datagrams, each behind a byte with its length and one with the time that passes before.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct tunnel_handlers h = { .on_media = on_data,
		.on_state = on_state,
		.on_wanted = on_wanted,
		.on_datagram = on_datagram };
	static const uint8_t voice[172];
	const struct tunnel_grant grant = { .session = 5ULL << 32, .cipher = CIPHER_AES_256_GCM };
	unsigned first = n > 0 ? data[0] : 0, turns;
	enum tunnel_role role = first & 1 ? TUNNEL_SERVER : TUNNEL_CLIENT;
	struct datagram_end *peer = datagram_end_new(&grant, !role, 0);
	uint64_t now = 1000 * CLOCK_S;
	struct addr from = { .u.in4 = { .sin_family = AF_INET, .sin_port = 7 } };
	struct tunnel_cfg cfg;
	struct tunnel *t;

	tunnel_cfg_default(role, &cfg);
	t = tunnel_new(&cfg, &h, NULL, &grant, now);
	tunnel_set_busy(t, first & 2, now);
	if (tunnel_datagrams_start(t, now) != 0)
		abort();
	for (size_t i = 1; i + 1 < n;) {
		uint8_t buf[DATAGRAM_MAX] = { 0 };
		size_t take = data[i] * 4u, len;

		now += data[i + 1] * data[i + 1] * 20ULL;
		i += 2;
		take = take > n - i ? n - i : take;
		if (first & 4) {
			memcpy(buf, data + i, take);
			len = take;
		} else {
			memcpy(buf + DATAGRAM_HEADER_LEN, data + i, take);
			(void)datagram_seal(peer, buf, take, &len);
		}
		i += take;
		if (tunnel_datagram_input(t, buf, len, &from, now) == ERR_AUTH && !(first & 4))
			abort();
		(void)tunnel_send_media(t, 6, voice, sizeof(voice), now);
		tunnel_flush(t, now);
		for (turns = 0; tunnel_deadline(t) <= now; turns++) {
			if (turns > 12)
				abort();
			tunnel_tick(t, now);
		}
	}
	tunnel_free(t);
	datagram_end_free(peer);
	return 0;
}
