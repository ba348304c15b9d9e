/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/line.h"

#include "base/clock.h"
#include "hrac/inside.h"
#include "log/log.h"

static void
tell(struct hrac *h)
{
	const struct control c = { .type = CONTROL_BANDWIDTH,
		.u.bandwidth = { h->conf->tunnel.bandwidth_max_kbit } };
	uint8_t frame[16];
	size_t n;

	if (control_encode(&c, frame, sizeof(frame), &n) == 0)
		(void)uplink_send(h->uplink, CONTROL_BANDWIDTH, frame, n); /* down: told later */
	turn_soon(h->turn);
}

void
line_begin(struct hrac *h)
{
	h->told_kbit = 0;
	if (h->conf->tunnel.bandwidth_max_kbit != 0)
		tell(h);
}

void
line_reload(struct hrac *h, const struct config_hrac *old)
{
	if (old->tunnel.bandwidth_max_kbit != h->conf->tunnel.bandwidth_max_kbit)
		tell(h);
}

int
line_heard(struct hrac *h, const struct control_bandwidth *b)
{
	h->told_kbit = b->max_kbit;
	if (b->max_kbit != 0)
		log_info("line", "HRAS allows the tunnel %u kbit/s each way", b->max_kbit);
	return 0;
}

uint32_t
line_bandwidth_max(const struct hrac *h)
{
	return config_smaller_cap(h->conf->tunnel.bandwidth_max_kbit, h->told_kbit);
}

/* The engine gives redundancy up before voice to stay below it. */
static void
heed_cap(struct hrac *h)
{
	uplink_set_bandwidth_max(h->uplink, line_bandwidth_max(h));
}

static void
measure(struct hrac *h, uint64_t now_us)
{
	static const struct room_load none;
	const struct tunnel *t = uplink_tunnel(h->uplink);
	struct room_sample s = { .cap_kbit = line_bandwidth_max(h) };
	const struct tunnel_stats *stats;

	if (t != NULL) {
		stats = tunnel_stats(t);
		s.session = tunnel_grant(t)->session;
		room_count(&s, TUNNEL_UP, stats->bytes_sent, stats->batches_sent,
		    stats->datagrams_sent);
		room_count(&s, TUNNEL_DOWN, stats->bytes_received, stats->batches_received,
		    stats->datagrams_received);
	}
	room_sample(&h->room, &s, &none, now_us);
}

static void
on_metering(void *arg, uint64_t now_us)
{
	struct hrac *h = arg;

	heed_cap(h);
	measure(h, now_us);
	timer_set(h->timers, &h->metering, now_us + CLOCK_S);
}

void
line_init(struct hrac *h)
{
	room_init(&h->room, false);
	timer_init(&h->metering, on_metering, h);
	timer_set(h->timers, &h->metering, clock_us() + CLOCK_S);
	turn_soon(h->turn);
}
