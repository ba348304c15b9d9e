/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink/probe.h"

#include <stdio.h>

#include "base/mem.h"

#define LIMIT_MS 2500
#define LIMIT_AGAIN_MS 1500

static const struct probe_plan echo = { .count = 5, .size = 24, .interval_ms = 100 };

/* What is under way: one for each direction, and the small request. */
struct part {
	struct uplink_probe *probe;
	struct uplink_body *body; /* NULL = it is over */
	bool again;               /* this is the second time */
};

struct uplink_probe {
	struct uplink_body_way way;
	uplink_probe_cb *cb;
	void *arg;
	struct part dir[2], small;
	struct uplink_probe_result result;
};

static void
settle(struct uplink_probe *p)
{
	if (p->dir[TUNNEL_UP].body != NULL || p->dir[TUNNEL_DOWN].body != NULL ||
	    p->small.body != NULL)
		return;
	p->cb(p->arg, &p->result); /* p may be gone */
}

static void
on_small(void *arg, const struct uplink_body_result *r)
{
	struct uplink_probe *p = arg;

	p->small.body = NULL;
	if (r->cause[0] == '\0')
		p->result.rtt_us = r->answer_us;
	else
		snprintf(p->result.cause, sizeof(p->result.cause), "%s", r->cause);
	settle(p);
}

static void on_dir(void *arg, const struct uplink_body_result *r);

static void
start_dir(struct part *part, enum tunnel_dir dir, bool again)
{
	struct uplink_body_cfg cfg = {
		.dir = dir, .plan = echo, .limit_ms = again ? LIMIT_AGAIN_MS : LIMIT_MS
	};

	part->again = again;
	part->body = uplink_body_start(&part->probe->way, &cfg, on_dir, part);
}

static void
on_dir(void *arg, const struct uplink_body_result *r)
{
	struct part *part = arg;
	struct uplink_probe *p = part->probe;
	struct probe_verdict v = { .streams = false };
	bool up = r->dir == TUNNEL_UP;

	part->body = NULL;
	if (r->late)
		v.held_us = r->over_us;
	else if (r->cause[0] != '\0')
		snprintf(p->result.why, sizeof(p->result.why), "%s", r->cause);
	else
		v = probe_judge(r->plan, r->sent_us, r->came_us, r->n);
	*(up ? &p->result.up_streams : &p->result.down_streams) = v.streams;
	*(up ? &p->result.up_held_ms : &p->result.down_held_ms) = v.held_us / 1000;
	if (!v.streams && !r->late && !part->again)
		start_dir(part, r->dir, true);
	settle(p);
}

struct uplink_probe *
uplink_probe_start(const struct uplink_body_way *way, uplink_probe_cb *cb, void *arg)
{
	struct uplink_body_cfg small = { .dir = TUNNEL_UP, .whole = true, .limit_ms = LIMIT_MS };
	struct uplink_probe *p = mem_zalloc(sizeof(*p));

	p->way = *way;
	p->cb = cb;
	p->arg = arg;
	p->dir[TUNNEL_UP].probe = p->dir[TUNNEL_DOWN].probe = p;
	p->small.body = uplink_body_start(&p->way, &small, on_small, p);
	start_dir(&p->dir[TUNNEL_UP], TUNNEL_UP, false);
	start_dir(&p->dir[TUNNEL_DOWN], TUNNEL_DOWN, false);
	return p;
}

void
uplink_probe_free(struct uplink_probe *p)
{
	if (p == NULL)
		return;
	uplink_body_free(p->dir[TUNNEL_UP].body);
	uplink_body_free(p->dir[TUNNEL_DOWN].body);
	uplink_body_free(p->small.body);
	mem_free(p);
}
