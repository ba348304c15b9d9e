/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "log/log.h"
#include "media/leg.h"

const char *
media_kind_str(enum media_kind kind)
{
	static const char *const name[] = { [MEDIA_AUDIO] = "audio",
		[MEDIA_VIDEO] = "video",
		[MEDIA_IMAGE] = "image",
		[MEDIA_APPLICATION] = "application",
		[MEDIA_TEXT] = "text" };

	return (size_t)kind < sizeof(name) / sizeof(*name) ? name[kind] : "other";
}

/* -- Tunnel legs by channel -- */

/* HRAS counts the legs of an agent up: their numbers spread over the buckets as they are. */
static struct media_leg_list *
channel_bucket(struct media *m, uint32_t face, uint32_t number)
{
	return &m->by_channel[(number ^ face * 0x9e3779b1U) % CHANNEL_BUCKETS_N];
}

static struct media_leg *
channel_find(struct media *m, uint32_t face, uint32_t number)
{
	struct media_leg *leg;

	LIST_FOREACH(leg, channel_bucket(m, face, number), bucket)
		if (leg->channel.number == number && leg->channel.face == face)
			break;
	return leg;
}

static void
channel_add(struct media_leg *leg)
{
	LIST_INSERT_HEAD(channel_bucket(leg->media, leg->channel.face, leg->channel.number), leg,
	    bucket);
}

static void
channel_del(struct media_leg *leg)
{
	LIST_REMOVE(leg, bucket);
}

/* -- The relay -- */

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct media *m = arg;

	(void)fd;
	(void)what;
	m->turn_due = false;
	m->h.on_turn(m->arg);
}

static size_t
on_readable(void *arg, void *path, uint64_t now_us)
{
	struct media *m = arg;

	m->reading = true;
	return media_path_read(path, now_us);
}

static void
on_read(void *arg)
{
	struct media *m = arg;

	m->reading = false;
	m->count.media_gap_us = media_watch_gap_us(m->watch);
	if (m->turn_due)
		on_turn(-1, 0, m);
}

struct media *
media_new(struct event_base *base, const struct media_cfg *cfg, const struct media_handlers *h,
    void *arg)
{
	static const struct media_watch_handlers watch = { on_readable, on_read };
	struct media *m = mem_zalloc(sizeof(*m));

	m->watch = media_watch_new(base, &watch, m);
	if (m->watch == NULL) {
		log_error("media", "no descriptor for the sockets: %s", strerror(errno));
		mem_free(m);
		return NULL;
	}
	m->cfg = *cfg;
	m->h = *h;
	m->arg = arg;
	LIST_INIT(&m->legs);
	event_assign(&m->turn, base, -1, 0, on_turn, m);
	return m;
}

void
media_free(struct media *m)
{
	struct media_leg *leg;

	if (m == NULL)
		return;
	while ((leg = LIST_FIRST(&m->legs)) != NULL)
		media_leg_close(leg);
	event_del(&m->turn);
	media_watch_free(m->watch);
	mem_free(m);
}

/* -- Legs -- */

static struct media_leg *
leg_new(struct media *m, const struct media_leg_cfg *cfg, enum media_leg_type type)
{
	struct media_leg *leg = mem_zalloc_lines(sizeof(*leg));

	leg->media = m;
	leg->type = type;
	leg->cfg = *cfg;
	rtp_counter_init(&leg->rtp, cfg->clock_rate);
	return leg;
}

static void
leg_ready(struct media_leg *leg, struct media_leg **out)
{
	LIST_INSERT_HEAD(&leg->media->legs, leg, entry);
	leg->media->count.media_legs++;
	*out = leg;
}

int
media_leg_open(struct media *m, const struct media_leg_cfg *cfg, uint16_t port,
    struct media_leg **out)
{
	struct media_leg *leg;
	int err;

	if (m->count.media_legs >= MEDIA_LEGS_MAX)
		return ERR_FULL;
	leg = leg_new(m, cfg, LEG_SOCKET);
	err = media_paths_open(leg, port);
	if (err < 0) {
		mem_free(leg);
		return err;
	}
	leg_ready(leg, out);
	return 0;
}

int
media_leg_tunnel(struct media *m, const struct media_leg_cfg *cfg, uint32_t face, uint32_t number,
    struct media_leg **out)
{
	struct media_leg *leg;

	if (number > UINT32_MAX / 2)
		return ERR_TOO_BIG;
	if (m->count.media_legs >= MEDIA_LEGS_MAX)
		return ERR_FULL;
	if (channel_find(m, face, number) != NULL)
		return ERR_EXISTS;
	leg = leg_new(m, cfg, LEG_TUNNEL);
	leg->channel = (struct leg_channel){ face, number };
	channel_add(leg);
	leg_ready(leg, out);
	return 0;
}

void
media_leg_close(struct media_leg *leg)
{
	media_unjoin(leg);
	if (leg->type == LEG_TUNNEL)
		channel_del(leg);
	else
		media_paths_close(leg);
	LIST_REMOVE(leg, entry);
	leg->media->count.media_legs--;
	mem_free(leg);
}

void *
media_leg_user(const struct media_leg *leg)
{
	return leg->cfg.user;
}

void
media_join(struct media_leg *a, struct media_leg *b)
{
	a->partner = b;
	b->partner = a;
}

void
media_unjoin(struct media_leg *leg)
{
	if (leg->partner == NULL)
		return;
	leg->partner->partner = NULL;
	leg->partner = NULL;
}

/* -- The way of a packet -- */

static void
count_received(struct media_leg *leg, bool rtcp, const uint8_t *data, size_t n, uint64_t now_us)
{
	const struct rtcp_watch *other = leg->partner == NULL ? NULL : &leg->partner->rtcp;

	leg->last_us = now_us;
	if (rtcp) {
		leg->rtcp_packets++;
		if (leg->cfg.rtp)
			rtcp_watch_packet(&leg->rtcp, other, data, n, now_us);
	} else if (!leg->cfg.rtp) {
		leg->packets++;
		leg->bytes += n;
	} else if (rtp_kind(data, n) == RTP_KIND_RTP) {
		rtp_counter_packet(&leg->rtp, data, n, now_us);
	}
}

static void
send_by(struct media_leg *leg, bool rtcp, const uint8_t *data, size_t n)
{
	struct media *m = leg->media;

	if (leg->type == LEG_SOCKET) {
		media_path_send(&leg->path[rtcp && !leg->mux], data, n);
		return;
	}
	m->count.media_tunnel_sent++;
	m->h.on_tunnel(m->arg, leg->channel.face, leg->channel.number * 2 + rtcp, data, n);
	if (m->turn_due)
		return;
	m->turn_due = true;
	if (!m->reading)
		event_active(&m->turn, 0, 0);
}

void
media_leg_received(struct media_leg *leg, bool rtcp, const uint8_t *data, size_t n, uint64_t now_us)
{
	media_leg_fetch(leg); /* while it is sent */
	if (leg->partner == NULL)
		leg->media->count.media_unjoined_dropped++;
	else
		send_by(leg->partner, rtcp, data, n);
	count_received(leg, rtcp, data, n, now_us);
}

void
media_from_tunnel(struct media *m, uint32_t face, uint32_t channel, const uint8_t *data, size_t n,
    uint64_t now_us)
{
	struct media_leg *leg = channel_find(m, face, channel / 2);

	m->count.media_tunnel_received++;
	if (leg == NULL) {
		m->count.media_unknown_dropped++;
		return;
	}
	if (n > MEDIA_PACKET_MAX) {
		m->count.media_oversize_dropped++;
		return;
	}
	if (leg->partner != NULL)
		__builtin_prefetch(leg->partner->path);
	media_leg_received(leg, channel % 2 != 0, data, n, now_us);
}

/* -- Facts -- */

void
media_late(struct media *m, uint32_t face, uint32_t channel)
{
	struct media_leg *leg = channel_find(m, face, channel / 2);

	if (leg != NULL && leg->partner != NULL)
		leg->partner->late_dropped++;
}

void
media_leg_stats(const struct media_leg *leg, struct media_stats *out)
{
	const struct playout_tally *tally = &leg->rtp.tally;

	*out = (struct media_stats){
		.packets = leg->packets + leg->rtp.packets,
		.bytes = leg->bytes + leg->rtp.bytes,
		.rtcp_packets = leg->rtcp_packets,
		.to_phone = media_leg_to_phone(leg),
		.lost = rtp_counter_lost(&leg->rtp),
		.late = tally->late,
		.runs = tally->runs,
		.run_missed = tally->run_missed,
		.run_longest = rtp_counter_longest(&leg->rtp),
		.late_dropped = leg->late_dropped,
		.foreign_dropped = leg->foreign_dropped,
		.jitter_ms = rtp_counter_jitter_ms(&leg->rtp),
		.delay_ms = media_leg_delay_ms(leg),
		.mos_recent = (double)leg->sampled.mos_recent / 100,
		.last_us = leg->last_us,
	};
	if (leg->type == LEG_SOCKET) {
		out->remote = *latch_target(&leg->path[0].latch);
		out->remote_rtcp = *latch_target(&leg->path[!leg->mux].latch);
	}
	out->mos = media_leg_mos(leg, leg->rtp.packets + out->lost, out->lost + out->late);
}

/* clang-format off */
static const struct metric metrics[] = {
	METRIC(struct media_count, media_legs, METRIC_GAUGE, "Media legs open."),
	METRIC(struct media_count, media_gap_us, METRIC_GAUGE, "Least time between two looks at the phones' sockets in us, 0 when each packet wakes."),
	METRIC(struct media_count, media_phone_received, METRIC_COUNTER, "Packets received from phones."),
	METRIC(struct media_count, media_phone_sent, METRIC_COUNTER, "Packets sent to phones."),
	METRIC(struct media_count, media_tunnel_received, METRIC_COUNTER, "Packets received from tunnels."),
	METRIC(struct media_count, media_tunnel_sent, METRIC_COUNTER, "Packets handed to tunnels."),
	METRIC(struct media_count, media_foreign_dropped, METRIC_COUNTER, "Packets dropped since they did not come from the phone."),
	METRIC(struct media_count, media_unjoined_dropped, METRIC_COUNTER, "Packets dropped since the other side of the call is not there."),
	METRIC(struct media_count, media_unknown_dropped, METRIC_COUNTER, "Packets from tunnels dropped since their channel is not known."),
	METRIC(struct media_count, media_unaddressed_dropped, METRIC_COUNTER, "Packets dropped since the phone's address is not known yet."),
	METRIC(struct media_count, media_oversize_dropped, METRIC_COUNTER, "Packets dropped since they were too long."),
	METRIC(struct media_count, media_send_full, METRIC_COUNTER, "Packets dropped since the system had no room to send them."),
	METRIC(struct media_count, media_send_failed, METRIC_COUNTER, "Packets that the system refused to send."),
	METRIC(struct media_count, media_learnt, METRIC_COUNTER, "Times the source of a phone's media was learnt."),
	{ NULL, NULL, METRIC_COUNTER, 0 },
};
/* clang-format on */

struct metric_set
media_metrics(const struct media *m)
{
	return (struct metric_set){ metrics, &m->count };
}

size_t
media_legs_n(const struct media *m)
{
	return m->count.media_legs;
}
