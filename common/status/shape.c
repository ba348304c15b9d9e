/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "status/shape.h"

#include <math.h>
#include <stddef.h>

#include "base/mem.h"

/* Figures for people and dashboards: more digits say nothing. */
static json_t *
rounded(double v, double unit)
{
	return json_real(isfinite(v) ? round(v / unit) * unit : 0);
}

static json_t *
integer(uint64_t v)
{
	return json_integer((json_int_t)v);
}

json_t *
shape_text(const char *s)
{
	json_t *j;
	char *ascii;

	if (s == NULL)
		return json_null();
	if ((j = json_string(s)) != NULL)
		return j;
	ascii = mem_strdup(s);
	for (char *c = ascii; *c != '\0'; c++)
		if ((unsigned char)*c > 0x7f)
			*c = '?';
	j = json_string(ascii);
	mem_free(ascii);
	return j;
}

static json_t *
known(double v, double unit)
{
	return v > 0 ? rounded(v, unit) : json_null();
}

static json_t *
shape_way(const struct shape_way *w)
{
	return json_pack("{s:i, s:o, s:b, s:s, s:i, s:b, s:i, s:i, s:o, s:o}", "loss_level",
	    (int)w->loss_level, "loss", rounded(w->loss, 0.0001), "runs", w->loss_runs,
	    "redundancy", w->redundancy, "redundancy_level", (int)w->redundancy_level, "congested",
	    w->congested, "connections", (int)w->connections, "connections_wanted",
	    (int)w->connections_wanted, "bytes_per_packet", known(w->wire_bytes, 0.1),
	    "body_bytes_per_packet", known(w->body_bytes, 0.1));
}

/* The smoothed one is of questions, the least of voice, which waits a little for its acknowledgement. */
static uint64_t
least_rtt_us(const struct shape_tunnel *t)
{
	return t->rtt_us != 0 && t->rtt_us < t->min_rtt_us ? t->rtt_us : t->min_rtt_us;
}

static json_t *
address(const struct addr *a)
{
	char text[ADDR_STR_MAX];

	return addr_is_set(a) ? json_string(addr_str(a, text)) : json_null();
}

static json_t *
datagrams(const struct shape_datagrams *d)
{
	if (d == NULL)
		return json_null();
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o}", "state", d->state, "peer",
	    address(&d->peer), "mapped", address(&d->mapped), "up_loss",
	    rounded(d->up_loss, 0.0001), "down_loss", rounded(d->down_loss, 0.0001), "rtt_ms",
	    known((double)d->rtt_us / 1000, 0.01), "left", integer(d->left_n), "left_why", d->why,
	    "keep_s", known((double)d->keep_us / 1000000, 0.1));
}

static json_t *
refused(const struct shape_tunnel *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->refused_n; i++)
		json_array_append_new(list,
		    json_pack("{s:o, s:o, s:o}", "route", shape_text(t->refused[i].route), "why",
			shape_text(t->refused[i].why), "at", integer(t->refused[i].wall_s)));
	return list;
}

static json_t *
causes(const struct shape_tunnel *t)
{
	json_t *map = json_object();

	for (size_t i = 0; i < t->causes_n; i++)
		json_object_set_new(map, t->causes[i].name, integer(t->causes[i].n));
	return map;
}

json_t *
shape_tunnel(const struct shape_tunnel *t)
{
	json_t *srtt = rounded((double)t->rtt_us / 1000, 0.01);
	json_t *j = json_pack("{s:o, s:s, s:o, s:o, s:i, s:O, s:o, s:o, s:o, s:o, s:o, s:o}",
	    "agent", shape_text(t->agent), "state", t->state, "transport", shape_text(t->transport),
	    "peer", shape_text(t->peer), "connections", (int)t->connections, "rtt_ms", srtt,
	    "since_s", integer(t->since_s), "bytes_sent", integer(t->bytes_sent), "bytes_received",
	    integer(t->bytes_received), "reconnects", integer(t->reconnects), "last_error",
	    shape_text(t->last_error ? t->last_error : ""), "last_error_at",
	    integer(t->last_error_wall_s));

	json_object_set_new(j, "rung", shape_text(t->rung));
	json_object_set_new(j, "route", shape_text(t->route));
	json_object_set_new(j, "refused", refused(t));
	json_object_set_new(j, "reconnect_causes", causes(t));
	json_object_set_new(j, "srtt_ms", srtt);
	json_object_set_new(j, "min_rtt_ms", rounded((double)least_rtt_us(t) / 1000, 0.01));
	json_object_set_new(j, "cipher", t->cipher == NULL ? json_null() : json_string(t->cipher));
	json_object_set_new(j, "guarded", json_boolean(t->guarded));
	json_object_set_new(j, "up", shape_way(&t->up));
	json_object_set_new(j, "down", shape_way(&t->down));
	json_object_set_new(j, "datagrams", datagrams(t->datagrams));
	return j;
}

static json_t *
mos(unsigned hundredths)
{
	return rounded(hundredths / 100.0, 0.01);
}

static json_t *
heard(const struct heard *h)
{
	double burst = h->runs > 0 ? (double)h->run_missed / h->runs : 0;

	if (h->packets == 0)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "packets",
	    integer(h->packets), "lost", integer(h->lost), "late", integer(h->late), "jitter_ms",
	    rounded(h->jitter_us / 1000.0, 0.01), "delay_ms", rounded(h->delay_us / 1000.0, 0.01),
	    "bursts", integer(h->runs), "burst_mean", rounded(burst, 0.01), "burst_longest",
	    integer(h->run_longest), "mos", mos(h->mos), "mos_recent", mos(h->mos_recent));
}

/* MOS is the listener's business: what came here counts only while nothing is heard of him. */
static json_t *
direction(const struct shape_direction *d)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "packets", integer(d->packets), "lost",
	    integer(d->lost), "late_dropped", integer(d->late_dropped), "jitter_ms",
	    rounded(d->jitter_ms, 0.01), "mos",
	    d->heard.packets > 0 ? mos(d->heard.mos) : rounded(d->mos, 0.01), "heard",
	    heard(&d->heard));
}

static json_t *
host(const struct addr *a)
{
	char buf[ADDR_HOST_MAX];

	return addr_is_set(a) ? json_string(addr_host(a, buf)) : json_null();
}

static json_t *
port(const struct addr *a)
{
	return json_integer(addr_is_set(a) ? addr_port(a) : 0);
}

json_t *
shape_stream(const struct shape_stream *s)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "kind", s->kind, "iip",
	    host(&s->inside), "iport", port(&s->inside), "oip", host(&s->outside), "oport",
	    port(&s->outside), "from_inside", direction(&s->from_inside), "from_outside",
	    direction(&s->from_outside));
}

json_t *
shape_call(const struct shape_call *c)
{
	uint64_t age = c->now_wall_s > c->since_wall_s ? c->now_wall_s - c->since_wall_s : 0;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "call_id",
	    shape_text(c->call_id), "from", shape_text(c->from), "to", shape_text(c->to), "state",
	    shape_text(c->state), "caller_agent", shape_text(c->caller_agent), "callee_agent",
	    shape_text(c->callee_agent), "since", integer(c->since_wall_s), "duration_s",
	    integer(age), "streams", c->streams);
}

static json_t *
maximum(uint64_t v)
{
	return v == 0 ? json_null() : integer(v);
}

json_t *
shape_room(const struct shape_room *r)
{
	return json_pack("{s:o, s:o, s:o, s:{s:o, s:o}, s:o}", "calls", integer(r->calls),
	    "calls_max", maximum(r->calls_max), "bandwidth_max_kbit",
	    maximum(r->bandwidth_max_kbit), "bandwidth_kbit", "up", rounded(r->up_kbit, 0.1),
	    "down", rounded(r->down_kbit, 0.1), "refused", integer(r->refused));
}
