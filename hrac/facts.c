/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What HRAC shows on its status page. */
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "hrac/inside.h"
#include "status/shape.h"
#include "status/worst.h"
#include "vcit/vcit.h"

static uint64_t
age_s(uint64_t since_wall_s)
{
	uint64_t now = clock_wall_s();

	return since_wall_s != 0 && now > since_wall_s ? now - since_wall_s : 0;
}

static struct shape_way
way(const struct uplink_facts *f, enum tunnel_dir dir, struct trend_cost cost)
{
	const struct tunnel_way *w = &f->line.way[dir];

	return (struct shape_way){ w->level, w->loss, w->runs, w->congested,
		tunnel_redundancy_str(w->redundancy), w->redundancy, w->streams, w->streams_wanted,
		cost.body_bytes, cost.wire_bytes };
}

static struct shape_datagrams
datagrams_of(const struct uplink_facts *f)
{
	const struct tunnel_datagrams *d = &f->datagrams;

	return (struct shape_datagrams){ .state = d->state,
		.peer = f->datagrams_to,
		.mapped = d->mapped,
		.up_loss = d->loss[TUNNEL_UP],
		.down_loss = d->loss[TUNNEL_DOWN],
		.rtt_us = d->rtt_us,
		.left_n = d->left_n,
		.why = d->why,
		.keep_us = d->keep_us };
}

static json_t *
tunnel(struct hrac *h)
{
	const char *agent = h->conf->tunnel.agent;
	struct shape_datagrams datagrams;
	struct shape_refused refused[UPLINK_REFUSED_MAX];
	struct shape_cause causes[UPLINK_CAUSES_MAX];
	struct uplink_facts f;

	uplink_facts(h->uplink, &f);
	datagrams = datagrams_of(&f);
	for (size_t i = 0; i < f.refused_n; i++)
		refused[i] = (struct shape_refused){ f.refused[i].route, f.refused[i].why,
			f.refused[i].wall_s };
	for (size_t i = 0; i < f.causes_n; i++)
		causes[i] = (struct shape_cause){ f.causes[i].cause, f.causes[i].n };
	return shape_tunnel(&(struct shape_tunnel){ .agent = agent,
	    .state = tunnel_state_str(f.state),
	    .transport = f.transport,
	    .cipher = f.cipher,
	    .rung = f.rung,
	    .route = f.route,
	    .refused = refused,
	    .refused_n = f.refused_n,
	    .causes = causes,
	    .causes_n = f.causes_n,
	    .peer = f.peer,
	    .connections = tunnel_line_pairs(&f.line),
	    .rtt_us = f.srtt_us,
	    .min_rtt_us = f.line.min_rtt_us,
	    .guarded = f.line.guarded,
	    .up = way(&f, TUNNEL_UP, trend_cost(h->trend, agent, 0, TREND_UP)),
	    .down = way(&f, TUNNEL_DOWN, trend_cost(h->trend, agent, 0, TREND_DOWN)),
	    .datagrams = f.datagrams.state != NULL && strcmp(f.datagrams.state, "off") != 0 ?
		&datagrams :
		NULL,
	    .since_s = age_s(f.since_wall_s),
	    .bytes_sent = f.bytes_sent,
	    .bytes_received = f.bytes_received,
	    .reconnects = f.reconnects,
	    .last_error = f.last_error,
	    .last_error_wall_s = f.last_error_wall_s });
}

/* HRAS alone knows how many calls there is room for, and refuses. */
static json_t *
tunnel_with_room(struct hrac *h)
{
	json_t *row = tunnel(h);

	json_object_set_new(row, "room",
	    shape_room(&(struct shape_room){ .calls = taught_calls_n(h->taught),
		.bandwidth_max_kbit = line_bandwidth_max(h),
		.up_kbit = h->room.kbit[TUNNEL_UP],
		.down_kbit = h->room.kbit[TUNNEL_DOWN] }));
	return row;
}

static json_t *
on_status(void *arg)
{
	struct hrac *h = arg;

	return json_pack("{s:s, s:s, s:I, s:[o], s:i, s:i, s:o}", "role", "hrac", "version",
	    PACKAGE_VERSION, "uptime_s", (json_int_t)((clock_us() - h->started_us) / CLOCK_S),
	    "tunnels", tunnel_with_room(h), "calls", (int)taught_calls_n(h->taught),
	    "registrations", 0, "heard", trend_heard_json(h->trend));
}

static struct shape_direction
direction(const struct media_stats *s, const struct heard *heard)
{
	return (struct shape_direction){ s->packets, s->lost, s->late_dropped, s->jitter_ms, s->mos,
		*heard };
}

static json_t *
stream(const struct taught_leg *l)
{
	struct media_stats near, far;
	struct heard here;

	media_leg_stats(l->socket, &near);
	media_leg_stats(l->tunnel, &far);
	here = media_heard(&far); /* our phone hears what the tunnel brings */
	return shape_stream(&(struct shape_stream){ .kind = media_kind_str(l->kind),
	    .inside = near.remote,
	    .outside = l->far,
	    .from_inside = direction(&near, &l->heard_of),
	    .from_outside = direction(&far, &here) });
}

struct listing {
	struct hrac *h;
	json_t *array;
	struct worst worst;
};

static unsigned
mos_of(struct hrac *h, const struct taught_call *c)
{
	const struct taught_leg *legs[TAUGHT_STREAMS_MAX];
	size_t n = taught_legs(h->taught, c->number, legs, TAUGHT_STREAMS_MAX);
	struct media_stats s;
	struct heard here;
	unsigned mos = 0;

	for (size_t i = 0; i < n; i++) {
		media_leg_stats(legs[i]->tunnel, &s);
		here = media_heard(&s);
		mos = worst_of(worst_of(mos, &legs[i]->heard_of), &here);
	}
	return mos;
}

static void
on_note(void *arg, const struct taught_call *c)
{
	struct listing *list = arg;

	worst_note(&list->worst, mos_of(list->h, c));
}

static void
on_call(void *arg, const struct taught_call *c)
{
	struct listing *list = arg;
	const struct taught_leg *legs[TAUGHT_STREAMS_MAX];
	size_t n = taught_legs(list->h->taught, c->number, legs, TAUGHT_STREAMS_MAX);
	json_t *streams;

	if (!worst_take(&list->worst, mos_of(list->h, c)))
		return;
	streams = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(streams, stream(legs[i]));
	json_array_append_new(list->array,
	    shape_call(&(struct shape_call){ .call_id = c->call_id,
		.from = c->from,
		.to = c->to,
		.state = vcit_state_str((enum vcit_state)c->state),
		.since_wall_s = c->since_wall_s,
		.now_wall_s = clock_wall_s(),
		.streams = streams }));
}

static json_t *
on_calls(void *arg, size_t max)
{
	struct listing list = { .h = arg, .array = json_array() };

	worst_init(&list.worst, max);
	taught_each_call(list.h->taught, on_note, &list);
	taught_each_call(list.h->taught, on_call, &list);
	return json_pack("{s:o}", "calls", list.array);
}

/* The registrar is HRAS's; HRAC keeps none. */
static json_t *
on_registrations(void *arg, size_t max)
{
	(void)arg;
	(void)max;
	return json_pack("{s:[]}", "registrations");
}

static bool
on_healthy(void *arg)
{
	struct hrac *h = arg;
	struct uplink_facts f;

	uplink_facts(h->uplink, &f);
	return f.state == TUNNEL_UP_STATE;
}

static const struct metric control_metrics[] = {
	METRIC(struct hrac, control_malformed, METRIC_COUNTER,
	    "Control messages of HRAS that could not be understood."),
	METRIC(struct hrac, legs_refused, METRIC_COUNTER,
	    "Media legs of HRAS on ports that are not of media.ports."),
	{ 0 },
};

static struct metric_set
own_metrics(const struct hrac *h)
{
	return (struct metric_set){ control_metrics, h };
}

static size_t
on_metrics(void *arg, struct metric_set *out, size_t cap)
{
	struct hrac *h = arg;
	const struct metric_set sets[] = { uplink_metrics(h->uplink),
		sip_transport_metrics(h->transport), media_metrics(h->media),
		outage_metrics(h->outage), own_metrics(h) };
	size_t n = 0;

	for (; n < sizeof(sets) / sizeof(sets[0]) && n < cap; n++)
		out[n] = sets[n];
	return n;
}

static json_t *
on_history(void *arg)
{
	struct hrac *h = arg;
	json_t *root = trend_json(h->trend), *names = json_array();

	for (unsigned i = 0; i < TUNNEL_REDUNDANCY_N; i++)
		json_array_append_new(names, json_string(tunnel_redundancy_str(i)));
	json_object_set_new(root, "redundancy", names);
	return root;
}

const struct status_source hrac_facts = { on_status, on_calls, on_registrations, on_healthy,
	on_metrics, on_history };
