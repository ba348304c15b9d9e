/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What HRAC looks at every second: how its phones hear, told to HRAS, and the samples of the trend. */
#include <string.h>

#include "base/clock.h"
#include "hrac/inside.h"

#define PARTS TREND_INTERVAL_S /* each second so much of the legs is told: no heap of messages */

static void
send_heard(struct hrac *h, struct control *c)
{
	if (c->u.heard.n > 0)
		hrac_send_control(h, c);
	c->u.heard.n = 0;
}

struct telling {
	struct hrac *h;
	struct control c;
};

static void
on_heard(void *arg, uint32_t leg, const struct heard *heard)
{
	struct telling *t = arg;
	struct control_heard *legs = &t->c.u.heard;

	legs->leg[legs->n].leg = leg;
	legs->leg[legs->n++].heard = *heard;
	if (legs->n == CONTROL_HEARD_MAX)
		send_heard(t->h, &t->c);
}

static void
tell_heard(struct hrac *h)
{
	struct telling t = { h, { .type = CONTROL_HEARD } };

	taught_each_heard(h->taught, h->seconds % PARTS, PARTS, on_heard, &t);
	send_heard(h, &t.c);
}

int
hrac_take_heard(struct hrac *h, const struct control_heard *legs)
{
	for (size_t i = 0; i < legs->n; i++)
		taught_heard(h->taught, legs->leg[i].leg, &legs->leg[i].heard);
	return 0;
}

static struct trend_way
way(const struct uplink_facts *f, enum tunnel_dir dir)
{
	const struct tunnel_way *line = &f->line.way[dir];
	struct trend_way w = { .loss_level = line->level, .redundancy = line->redundancy };

	if (f->stats == NULL)
		return w;
	w.bytes = dir == TUNNEL_UP ? f->stats->bytes_sent : f->stats->bytes_received;
	w.batches = dir == TUNNEL_UP ? f->stats->batches_sent : f->stats->batches_received;
	w.datagrams = dir == TUNNEL_UP ? f->stats->datagrams_sent : f->stats->datagrams_received;
	w.packets = dir == TUNNEL_UP ? f->stats->media_sent : f->stats->media_received;
	return w;
}

static void
sample(struct hrac *h, const struct uplink_facts *f, uint64_t now_us)
{
	const struct trend_tunnel tunnel = { .agent = h->conf->tunnel.agent,
		.session = f->session,
		.up = f->state == TUNNEL_UP_STATE,
		.connections = tunnel_line_pairs(&f->line),
		.rtt_us = f->srtt_us,
		.min_rtt_us = f->line.min_rtt_us,
		.way = { [TREND_UP] = way(f, TUNNEL_UP), [TREND_DOWN] = way(f, TUNNEL_DOWN) } };
	struct trend_now now = { .now_us = now_us,
		.calls = (unsigned)taught_calls_n(h->taught),
		.heard_outside = taught_take_heard(h->taught),
		.tunnels = &tunnel,
		.tunnels_n = 1 };

	media_sample(h->media, &now.heard_inside);
	trend_sample(h->trend, &now);
}

static void
on_second(void *arg, uint64_t now_us)
{
	struct hrac *h = arg;
	struct uplink_facts f;

	uplink_facts(h->uplink, &f);
	/* The least: a listener's buffer begins with the fastest packets. */
	h->round_trip_us = f.line.min_rtt_us != 0 ? f.line.min_rtt_us : f.srtt_us;
	if (++h->seconds % TREND_INTERVAL_S == 0)
		sample(h, &f, now_us);
	if (f.state == TUNNEL_UP_STATE)
		tell_heard(h);
	timer_set(h->timers, &h->second, now_us + CLOCK_S);
}

uint64_t
hrac_round_trip_us(void *arg, uint32_t face)
{
	const struct hrac *h = arg;

	(void)face;
	return h->round_trip_us;
}

void
hrac_watch_start(struct hrac *h)
{
	h->trend = trend_new(clock_us());
	timer_init(&h->second, on_second, h);
	timer_set(h->timers, &h->second, clock_us() + CLOCK_S);
}

void
hrac_watch_stop(struct hrac *h)
{
	if (timer_is_set(&h->second))
		timer_clear(h->timers, &h->second);
	trend_free(h->trend);
}
