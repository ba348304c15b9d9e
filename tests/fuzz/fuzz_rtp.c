/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/mem.h"
#include "media/rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A conversation out of one input: each packet is a length byte and its bytes, taken by turns from
 * either phone. Whatever is said, the counters stay sane. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct rtp_counter c;
	struct rtcp_watch watch[2] = { { .next = 0 }, { .next = 0 } };
	uint64_t now_us = 1;
	unsigned side = 0;

	rtp_counter_init(&c, n > 0 && data[0] % 2 != 0 ? 90000 : 8000);
	while (n > 1) {
		size_t len = data[0] < n - 1 ? data[0] : n - 1;
		uint8_t *packet = mem_dup(data + 1, len);

		(void)rtp_kind(packet, len);
		rtp_counter_packet(&c, packet, len, now_us);
		rtcp_watch_packet(&watch[side], &watch[!side], packet, len, now_us);
		mem_free(packet);
		data += 1 + len;
		n -= 1 + len;
		now_us += 1 + len * 1000;
		side = !side;
	}
	if (rtp_counter_lost(&c) > c.packets * 65536 || rtp_counter_jitter_ms(&c) < 0 ||
	    rtp_counter_jitter_ms(&c) > 3000 || watch[0].round_trip_us > now_us)
		abort();
	return 0;
}
