/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What HRAS shows on its status page. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "hras/outside.h"
#include "status/shape.h"
#include "status/worst.h"

static uint64_t
age_s(uint64_t since_wall_s)
{
	uint64_t now = clock_wall_s();

	return since_wall_s != 0 && now > since_wall_s ? now - since_wall_s : 0;
}

static struct shape_way
way(const struct gateway_facts *f, enum tunnel_dir dir, struct trend_cost cost)
{
	const struct tunnel_way *w = &f->line.way[dir];

	return (struct shape_way){ w->level, w->loss, w->runs, w->congested,
		tunnel_redundancy_str(w->redundancy), w->redundancy, w->streams, w->streams_wanted,
		cost.body_bytes, cost.wire_bytes };
}

#define TRANSPORT_MAX 64

static const char *
transport_text(const struct gateway_facts *f, char out[static TRANSPORT_MAX])
{
	static const char *const polled[2][2] = { { "", ", polled down" },
		{ ", polled up", ", polled" } };
	const struct tunnel_way *way = f->line.way;

	if (f->transport == NULL)
		return NULL;
	snprintf(out, TRANSPORT_MAX, "%s%s%s", f->datagrams.good ? "udp + " : "", f->transport,
	    polled[way[TUNNEL_UP].bounded][way[TUNNEL_DOWN].bounded]);
	return out;
}

static struct shape_datagrams
datagrams_of(const struct gateway_facts *f)
{
	const struct tunnel_datagrams *d = &f->datagrams;

	return (struct shape_datagrams){ .state = d->state,
		.peer = f->datagrams_from,
		.up_loss = d->loss[TUNNEL_UP],
		.down_loss = d->loss[TUNNEL_DOWN],
		.rtt_us = d->rtt_us,
		.left_n = d->left_n,
		.why = d->why,
		.keep_us = d->keep_us };
}

static json_t *
tunnel(const struct hras *h, size_t place, const struct gateway_facts *f)
{
	struct trend_cost up = trend_cost(h->trend, f->agent, place, TREND_UP);
	struct trend_cost down = trend_cost(h->trend, f->agent, place, TREND_DOWN);
	struct shape_datagrams datagrams = datagrams_of(f);
	char peer[ADDR_STR_MAX], transport[TRANSPORT_MAX];

	return shape_tunnel(&(struct shape_tunnel){ .agent = f->agent,
	    .state = tunnel_state_str(f->state),
	    .transport = transport_text(f, transport),
	    .cipher = f->cipher,
	    .peer = addr_is_set(&f->peer) ? addr_str(&f->peer, peer) : NULL,
	    .connections = tunnel_line_pairs(&f->line),
	    .rtt_us = f->srtt_us,
	    .min_rtt_us = f->line.min_rtt_us,
	    .guarded = f->line.guarded,
	    .up = way(f, TUNNEL_UP, up),
	    .down = way(f, TUNNEL_DOWN, down),
	    .datagrams = f->datagrams.state != NULL && strcmp(f->datagrams.state, "off") != 0 ?
		&datagrams :
		NULL,
	    .since_s = age_s(f->since_wall_s),
	    .bytes_sent = f->bytes_sent,
	    .bytes_received = f->bytes_received,
	    .reconnects = f->reconnects,
	    .last_error = f->last_error,
	    .last_error_wall_s = f->last_error_wall_s });
}

static json_t *
forwarded_for(const struct gateway_facts *f)
{
	char host[ADDR_HOST_MAX];

	return addr_is_set(&f->forwarded) ? json_string(addr_host(&f->forwarded, host)) :
					    json_null();
}

/* What its tunnel has for calls; null while the agent is not there. */
static json_t *
room(struct hras *h, const struct gateway_agent *a)
{
	const struct face *face = a != NULL ? gateway_agent_user(a) : NULL;
	struct vcit_room r;

	if (face == NULL || !vcit_room_view(h->vcit, face->number, &r))
		return json_null();
	return shape_room(&(struct shape_room){ .calls = r.calls,
	    .calls_max = r.calls_max,
	    .bandwidth_max_kbit = r.cap_kbit,
	    .up_kbit = r.kbit[TUNNEL_UP],
	    .down_kbit = r.kbit[TUNNEL_DOWN],
	    .refused = r.refused });
}

/* Every agent of the configuration has a row, also the one that never came. */
static json_t *
tunnels(struct hras *h)
{
	json_t *array = json_array(), *row;

	for (size_t i = 0; i < h->conf->agents_n; i++) {
		const char *name = h->conf->agents[i].name;
		const struct gateway_agent *a = gateway_agent_find(h->gateway, name);
		struct gateway_facts f = { .agent = name, .state = TUNNEL_DOWN_STATE };

		if (a != NULL)
			gateway_agent_facts(a, &f);
		row = tunnel(h, i, &f);
		json_object_set_new(row, "forwarded_for", forwarded_for(&f));
		json_object_set_new(row, "room", room(h, a));
		json_array_append_new(array, row);
	}
	return array;
}

static json_t *
certificate_expires(const struct hras *h)
{
	uint64_t end_s = gateway_certificate_expires_s(h->gateway);

	return end_s == 0 ? json_null() : json_integer((json_int_t)end_s);
}

static json_t *
on_status(void *arg)
{
	struct hras *h = arg;

	return json_pack("{s:s, s:s, s:I, s:o, s:i, s:i, s:o, s:o}", "role", "hras", "version",
	    PACKAGE_VERSION, "uptime_s", (json_int_t)((clock_us() - h->started_us) / CLOCK_S),
	    "tunnels", tunnels(h), "calls", (int)vcit_calls_n(h->vcit), "registrations",
	    (int)location_n(h->location), "heard", trend_heard_json(h->trend),
	    "certificate_expires", certificate_expires(h));
}

static struct shape_direction
direction(const struct media_stats *s, const struct heard *heard)
{
	return (struct shape_direction){ s->packets, s->lost, s->late_dropped, s->jitter_ms, s->mos,
		*heard };
}

struct listing {
	json_t *array;
	size_t max; /* of registrations; 0 = all */
	struct worst worst;
};

static unsigned
mos_of(const struct vcit_call_view *c)
{
	unsigned mos = 0;

	for (size_t i = 0; i < c->streams_n; i++)
		mos = worst_of(worst_of(mos, &c->streams[i].heard_of_inside),
		    &c->streams[i].heard_of_outside);
	return mos;
}

static void
on_note(void *arg, const struct vcit_call_view *c)
{
	struct listing *list = arg;

	worst_note(&list->worst, mos_of(c));
}

static void
on_call(void *arg, const struct vcit_call_view *c)
{
	struct listing *list = arg;
	json_t *streams;

	if (!worst_take(&list->worst, mos_of(c)))
		return;
	streams = json_array();
	for (size_t i = 0; i < c->streams_n; i++) {
		const struct vcit_stream_view *s = &c->streams[i];

		json_array_append_new(streams,
		    shape_stream(&(struct shape_stream){ .kind = media_kind_str(s->kind),
			.inside = s->inside,
			.outside = s->outside,
			.from_inside = direction(&s->from_inside, &s->heard_of_inside),
			.from_outside = direction(&s->from_outside, &s->heard_of_outside) }));
	}
	json_array_append_new(list->array,
	    shape_call(&(struct shape_call){ .call_id = c->call_id,
		.from = c->from,
		.to = c->to,
		.state = vcit_state_str(c->state),
		.caller_agent = c->caller_agent,
		.callee_agent = c->callee_agent,
		.since_wall_s = c->since_wall_s,
		.now_wall_s = clock_wall_s(),
		.streams = streams }));
}

static json_t *
on_calls(void *arg, size_t max)
{
	struct listing list = { .array = json_array() };
	struct hras *h = arg;

	worst_init(&list.worst, max);
	vcit_each(h->vcit, on_note, &list);
	vcit_each(h->vcit, on_call, &list);
	return json_pack("{s:o}", "calls", list.array);
}

static void
on_binding(void *arg, const struct binding *b)
{
	struct listing *list = arg;
	uint64_t now = clock_steady_s();
	char source[ADDR_STR_MAX];

	if (list->max != 0 && json_array_size(list->array) == list->max)
		return;
	json_array_append_new(list->array,
	    json_pack("{s:o, s:o, s:o, s:s, s:s, s:I, s:o}", "aor", shape_text(b->aor), "contact",
		shape_text(b->contact), "agent", shape_text(b->agent), "source",
		addr_str(&b->flow.peer, source), "transport", sip_proto_param(b->flow.proto),
		"expires_s", (json_int_t)(b->expires_wall_s > now ? b->expires_wall_s - now : 0),
		"user_agent", shape_text(b->user_agent)));
}

static json_t *
on_registrations(void *arg, size_t max)
{
	struct listing list = { .array = json_array(), .max = max };
	struct hras *h = arg;

	location_each(h->location, on_binding, &list);
	return json_pack("{s:o}", "registrations", list.array);
}

/* Healthy = every agent that is configured is here; with several, the page tells which is not. */
static bool
on_healthy(void *arg)
{
	struct hras *h = arg;

	for (size_t i = 0; i < h->conf->agents_n; i++) {
		const struct gateway_agent *a =
		    gateway_agent_find(h->gateway, h->conf->agents[i].name);
		struct gateway_facts f;

		if (a == NULL)
			return false;
		gateway_agent_facts(a, &f);
		if (f.state != TUNNEL_UP_STATE)
			return false;
	}
	return h->conf->agents_n > 0;
}

static size_t
on_metrics(void *arg, struct metric_set *out, size_t cap)
{
	struct hras *h = arg;
	const struct metric_set sets[] = { gateway_metrics(h->gateway),
		sip_transport_metrics(h->transport), media_metrics(h->media), vcit_metrics(h->vcit),
		faces_metrics(&h->faces) };
	size_t n = 0;

	for (; n < sizeof(sets) / sizeof(sets[0]) && n < cap; n++)
		out[n] = sets[n];
	return n + sip_server_metrics(h->server, out + n, cap - n);
}

static json_t *
on_history(void *arg)
{
	struct hras *h = arg;
	json_t *root = trend_json(h->trend), *names = json_array();

	for (unsigned i = 0; i < TUNNEL_REDUNDANCY_N; i++)
		json_array_append_new(names, json_string(tunnel_redundancy_str(i)));
	json_object_set_new(root, "redundancy", names);
	return root;
}

const struct status_source hras_facts = { on_status, on_calls, on_registrations, on_healthy,
	on_metrics, on_history };
