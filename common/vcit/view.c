/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "vcit/row.h"

/* The row that shows what the call is: the one that got furthest. */
static const struct row *
shown_row(const struct call *call)
{
	static const int rank[] = { [VCIT_CALLING] = 0,
		[VCIT_RINGING] = 1,
		[VCIT_ENDING] = 2,
		[VCIT_HELD] = 3,
		[VCIT_UP] = 4 };
	const struct row *row, *best = NULL;

	TAILQ_FOREACH(row, &call->rows, entry)
		if (best == NULL || rank[row->state] > rank[best->state])
			best = row;
	return best;
}

static const char *
agent_of(const struct side *side)
{
	return side->face == NULL || side->face->number == SIP_FACE_OUTSIDE ? NULL :
									      side->face->name;
}

/* Of two phones of the same kind the caller's is shown as the inside one. */
static int
inside_of(const struct row *row)
{
	return agent_of(&row->side[0]) == NULL && agent_of(&row->side[1]) != NULL;
}

static size_t
view_streams(const struct row *row, struct vcit_stream_view view[static VCIT_STREAMS_MAX])
{
	int inside = inside_of(row);
	size_t n = 0;

	for (size_t i = 0; i < VCIT_STREAMS_MAX; i++) {
		const struct leg *in = row->stream[i].leg[inside];
		const struct leg *out = row->stream[i].leg[1 - inside];

		if (in == NULL || out == NULL)
			continue;
		view[n] = (struct vcit_stream_view){ .kind = in->kind,
			.inside = vcit_leg_phone(in),
			.outside = vcit_leg_phone(out) };
		media_leg_stats(in->media, &view[n].from_inside);
		media_leg_stats(out->media, &view[n].from_outside);
		view[n].heard_of_inside = vcit_heard_of(in);
		view[n].heard_of_outside = vcit_heard_of(out);
		n++;
	}
	return n;
}

static void
view_call(const struct call *call, vcit_each_cb *cb, void *arg)
{
	struct vcit_stream_view streams[VCIT_STREAMS_MAX];
	const struct row *row = shown_row(call);
	struct vcit_call_view view = { .call_id = call->call_id,
		.from = call->from,
		.to = call->to,
		.state = VCIT_CALLING,
		.since_wall_s = call->since_wall_s,
		.up_since_wall_s = call->up_wall_s,
		.streams = streams };

	if (row != NULL) {
		view.state = row->state;
		view.caller_agent = agent_of(&row->side[0]);
		view.callee_agent = agent_of(&row->side[1]);
		view.streams_n = view_streams(row, streams);
	}
	cb(arg, &view);
}

void
vcit_each(const struct vcit *v, vcit_each_cb *cb, void *arg)
{
	const struct call *call;

	for (call = v->calls; call != NULL; call = call->hh.next)
		view_call(call, cb, arg);
}

size_t
vcit_calls_n(const struct vcit *v)
{
	return HASH_COUNT(v->calls);
}

#define ENDED(name, cause, text)                                                           \
	{                                                                                  \
		"calls_ended_" name, text, METRIC_COUNTER,                                 \
		    offsetof(struct vcit_counters, calls_ended) + cause * sizeof(uint64_t) \
	}
#define COUNTER(field, text) METRIC(struct vcit_counters, field, METRIC_COUNTER, text)
#define GAUGE(field, text) METRIC(struct vcit_counters, field, METRIC_GAUGE, text)

static const struct metric table[] = {
	GAUGE(calls_active, "Calls being set up or up."),
	COUNTER(calls_started, "Calls let in."),
	COUNTER(calls_answered, "Calls answered through the pair."),
	ENDED("bye", CAUSE_BYE, "Calls ended by one of the phones."),
	ENDED("cancelled", CAUSE_CANCELLED, "Calls given up by the caller before the answer."),
	ENDED("failed", CAUSE_FAILED, "Calls not answered: busy, refused, not found."),
	ENDED("direct", CAUSE_DIRECT, "Calls answered that go on around the pair."),
	ENDED("media_timeout", CAUSE_MEDIA_TIMEOUT, "Calls ended since no media passed."),
	ENDED("agent_gone", CAUSE_AGENT_GONE, "Calls ended since an agent was gone or moved."),
	ENDED("leg_failed", CAUSE_LEG_FAILED, "Calls ended since an agent could not open a port."),
	ENDED("shutdown", CAUSE_SHUTDOWN, "Calls ended since the server stopped."),
	COUNTER(calls_refused_full, "INVITEs refused because the table was at its cap."),
	COUNTER(calls_refused_bandwidth, "Calls refused because bandwidth_max would be passed."),
	COUNTER(calls_refused_congested, "Calls refused because the line was congested just then."),
	COUNTER(calls_refused_ceiling, "Calls refused because the line was congested with more."),
	COUNTER(calls_refused_ports, "Offers refused because no media port was free."),
	COUNTER(calls_refused_sdp, "Messages refused because their SDP was unusable."),
	COUNTER(calls_refused_agent, "INVITEs refused because an agent was unknown."),
	GAUGE(ports_in_use, "Media port pairs in use on all faces."),
	COUNTER(legs_failed, "Media ports that an agent could not open."),
	COUNTER(sdp_refused, "Session descriptions that could not be read or written."),
	COUNTER(sdp_hidden, "Session descriptions outside any session, relayed without addresses."),
	COUNTER(byes_originated, "BYEs sent by the server itself."),
	{ NULL, NULL, METRIC_COUNTER, 0 },
};

struct metric_set
vcit_metrics(const struct vcit *v)
{
	return (struct metric_set){ .table = table, .values = &v->n };
}
