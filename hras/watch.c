/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What HRAS looks at every second: how phones hear, told to the agents, and the samples of the trend. */
#include "base/clock.h"
#include "base/mem.h"
#include "hras/outside.h"

#define PARTS TREND_INTERVAL_S /* each second so much of the legs is told: no heap of messages */

struct telling {
	struct hras *h;
	uint32_t face;
	struct control_heard legs;
};

static void
send_heard(struct telling *t)
{
	if (t->legs.n > 0 && t->h->faces.face[t->face - 1]->up)
		faces_send_heard(t->h, t->face, &t->legs);
	t->legs.n = 0;
}

static void
on_heard(void *arg, uint32_t face, uint32_t leg, const struct heard *heard)
{
	struct telling *t = arg;

	if (face != t->face || t->legs.n == CONTROL_HEARD_MAX)
		send_heard(t);
	t->face = face;
	t->legs.leg[t->legs.n].leg = leg;
	t->legs.leg[t->legs.n++].heard = *heard;
}

static void
tell_heard(struct hras *h)
{
	struct telling t = { .h = h };

	vcit_each_heard(h->vcit, h->seconds % PARTS, PARTS, on_heard, &t);
	send_heard(&t);
}

static struct trend_way
way(const struct gateway_facts *f, enum tunnel_dir dir)
{
	const struct tunnel_way *line = &f->line.way[dir];
	struct trend_way w = { .loss_level = line->level, .redundancy = line->redundancy };

	if (f->stats == NULL)
		return w;
	w.bytes = dir == TUNNEL_DOWN ? f->stats->bytes_sent : f->stats->bytes_received;
	w.batches = dir == TUNNEL_DOWN ? f->stats->batches_sent : f->stats->batches_received;
	w.datagrams = dir == TUNNEL_DOWN ? f->stats->datagrams_sent : f->stats->datagrams_received;
	w.packets = dir == TUNNEL_DOWN ? f->stats->media_sent : f->stats->media_received;
	return w;
}

static struct trend_tunnel
trend_tunnel(struct hras *h, const char *name)
{
	const struct gateway_agent *a = gateway_agent_find(h->gateway, name);
	struct gateway_facts f = { .agent = name, .state = TUNNEL_DOWN_STATE };

	if (a != NULL)
		gateway_agent_facts(a, &f);
	return (struct trend_tunnel){ .agent = name,
		.session = f.session,
		.up = f.state == TUNNEL_UP_STATE,
		.connections = tunnel_line_pairs(&f.line),
		.rtt_us = f.srtt_us,
		.min_rtt_us = f.line.min_rtt_us,
		.way = { [TREND_UP] = way(&f, TUNNEL_UP), [TREND_DOWN] = way(&f, TUNNEL_DOWN) } };
}

static void
sample(struct hras *h, uint64_t now_us)
{
	size_t n = h->conf->agents_n;
	struct trend_tunnel *tunnels = mem_calloc(n + 1, sizeof(*tunnels));
	struct trend_now now = { .now_us = now_us,
		.calls = (unsigned)vcit_calls_n(h->vcit),
		.heard_inside = vcit_take_heard(h->vcit),
		.tunnels = tunnels,
		.tunnels_n = n };

	for (size_t i = 0; i < n; i++)
		tunnels[i] = trend_tunnel(h, h->conf->agents[i].name);
	media_sample(h->media, &now.heard_outside);
	trend_sample(h->trend, &now);
	mem_free(tunnels);
}

static void
look_at_tunnels(struct hras *h)
{
	struct gateway_facts f;

	for (size_t i = 0; i < h->faces.n; i++) {
		struct face *face = h->faces.face[i];

		face->up = false;
		face->round_trip_us = 0;
		if (face->agent == NULL)
			continue;
		gateway_agent_facts(face->agent, &f);
		face->up = f.state == TUNNEL_UP_STATE;
		/* The least: a listener's buffer begins with the fastest packets. */
		face->round_trip_us = f.line.min_rtt_us != 0 ? f.line.min_rtt_us : f.srtt_us;
	}
}

static void
on_second(void *arg, uint64_t now_us)
{
	struct hras *h = arg;

	look_at_tunnels(h);
	if (++h->seconds % TREND_INTERVAL_S == 0)
		sample(h, now_us);
	tell_heard(h);
	timer_set(h->timers, &h->second, now_us + CLOCK_S);
}

uint64_t
hras_round_trip_us(void *arg, uint32_t face)
{
	const struct hras *h = arg;

	return face >= 1 && face <= h->faces.n ? h->faces.face[face - 1]->round_trip_us : 0;
}

void
hras_watch_start(struct hras *h)
{
	h->trend = trend_new(clock_us());
	timer_init(&h->second, on_second, h);
	timer_set(h->timers, &h->second, clock_us() + CLOCK_S);
}

void
hras_watch_stop(struct hras *h)
{
	if (timer_is_set(&h->second))
		timer_clear(h->timers, &h->second);
	trend_free(h->trend);
}
