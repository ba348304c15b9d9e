/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <string.h>

#include "hrac/doctor/facts.h"
#include "status/shape.h"
#include "tunnel/tunnel.h"

/* The schema is told in hrac(8). null stands for what is not known. */

static json_t *
text_or_null(const char *s)
{
	return s == NULL || s[0] == '\0' ? json_null() : shape_text(s);
}

static json_t *
ms(uint32_t us)
{
	return us == 0 ? json_null() : json_real(round(us / 10.0) / 100);
}

static json_t *
number_or_null(uint64_t v)
{
	return v == 0 ? json_null() : json_integer((json_int_t)v);
}

static json_t *
address(const struct addr *a)
{
	char text[ADDR_STR_MAX];

	return addr_is_set(a) ? shape_text(addr_str(a, text)) : json_null();
}

/* -- Hosts -- */

static json_t *
host(const struct doctor_host *h)
{
	static const char *const doors[] = { [DOCTOR_OPEN] = "open",
		[DOCTOR_REFUSED] = "refused",
		[DOCTOR_SILENT] = "silent",
		[DOCTOR_UNREACHABLE] = "unreachable" };
	json_t *list = json_array();

	for (size_t i = 0; i < h->address_n; i++)
		json_array_append_new(list,
		    json_pack("{s:o, s:s, s:o}", "address", address(&h->address[i].addr), "tcp",
			doors[h->address[i].door], "ms", ms(h->address[i].us)));
	return json_pack("{s:o, s:i, s:b, s:b, s:o, s:o, s:o}", "name", shape_text(h->name), "port",
	    h->port, "proxy", h->proxy, "resolved", h->trouble[0] == '\0', "error",
	    text_or_null(h->trouble), "ms", ms(h->name_us), "addresses", list);
}

/* -- Routes -- */

static json_t *
tls(const struct doctor_route *r)
{
	const struct uplink_look_tls *t = &r->look.tls;

	if (!r->https || !t->seen)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:b, s:o, s:o}", "version", shape_text(t->version),
	    "cipher", shape_text(t->cipher), "subject", shape_text(t->subject), "issuer",
	    shape_text(t->issuer), "trusted", t->trusted, "error", text_or_null(t->why),
	    "intercepted",
	    r->opened == DOCTOR_OPENED_UNKNOWN ? json_null() :
						 json_boolean(r->opened == DOCTOR_OPENED_YES));
}

static json_t *
way(const struct doctor_way *w)
{
	static const char *const bodies[] = {
		[DOCTOR_STREAMS] = "streams", [DOCTOR_HELD] = "held"
	};

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "body",
	    w->body == DOCTOR_UNKNOWN ? json_null() : json_string(bodies[w->body]), "held_ms",
	    w->body == DOCTOR_UNKNOWN ? json_null() : json_integer(w->held_ms), "idle_ok_s",
	    number_or_null(w->idle_ok_s), "idle_cut_s", number_or_null(w->idle_cut_s), "kbit",
	    number_or_null(w->kbit), "segments", number_or_null(w->segments), "error",
	    text_or_null(w->why), "retransmitted",
	    w->segments == 0 ? json_null() : json_integer(w->again));
}

static json_t *
route(const struct doctor_route *r)
{
	static const char *const stops[] = { [DOCTOR_STOP_NAME] = "name",
		[DOCTOR_STOP_CONNECT] = "tcp",
		[DOCTOR_STOP_PROXY] = "proxy",
		[DOCTOR_STOP_TLS] = "tls",
		[DOCTOR_STOP_ANSWER] = "hras",
		[DOCTOR_STOP_SECRET] = "secret",
		[DOCTOR_STOP_BODIES] = "body" };
	bool works = r->stop == DOCTOR_STOP_NOWHERE;

	return json_pack("{s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "url",
	    shape_text(r->url), "proxy", text_or_null(r->proxy), "works", works, "stopped_at",
	    works ? json_null() : json_string(stops[r->stop]), "error", text_or_null(r->trouble),
	    "connect_ms", ms(r->look.connect_us), "connect_status",
	    number_or_null((uint64_t)r->look.connect_status), "proxy_schemes",
	    text_or_null(r->look.schemes), "tls", tls(r), "up", way(&r->way[TUNNEL_UP]), "down",
	    way(&r->way[TUNNEL_DOWN]), "rtt_ms", ms(r->rtt_median_us), "rtt_min_ms",
	    ms(r->rtt_min_us));
}

/* -- All -- */

static json_t *
udp(const struct doctor_udp *u)
{
	if (!u->offered || u->sent == 0)
		return json_null();
	return json_pack("{s:o, s:b, s:i, s:i, s:o, s:o, s:b, s:b, s:o, s:o}", "address",
	    address(&u->to), "possible", u->came > 0, "sent", (int)u->sent, "answered",
	    (int)u->came, "mapped", address(&u->mapped), "local", address(&u->local), "nat",
	    u->came > 0 && !addr_equal(&u->mapped, &u->local), "port_kept",
	    u->came > 0 && addr_port(&u->mapped) == addr_port(&u->local), "rtt_ms",
	    ms(u->rtt_median_us), "error", text_or_null(u->trouble));
}

static void
append_line(void *arg, const struct doctor_line *line)
{
	if (line->topic != NULL)
		json_array_append_new(arg,
		    json_pack("{s:s, s:s, s:o}", "verdict", doctor_verdict_str(line->verdict),
			"topic", line->topic, "text", shape_text(line->text)));
}

char *
doctor_json(const struct doctor_facts *f)
{
	json_t *hosts = json_array(), *routes = json_array(), *lines = json_array(), *all;
	char advice[DOCTOR_TEXT_MAX], *out;

	for (size_t i = 0; i < f->host_n; i++)
		json_array_append_new(hosts, host(&f->host[i]));
	for (size_t i = 0; i < f->route_n; i++)
		json_array_append_new(routes, route(&f->route[i]));
	doctor_tell(f, append_line, lines);
	doctor_advise(f, advice);
	all = json_pack("{s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "ok",
	    f->works, "version", PACKAGE_VERSION, "agent", shape_text(f->agent), "advice",
	    shape_text(advice), "rung", text_or_null(f->rung), "route",
	    f->best == DOCTOR_NONE ? json_null() : json_integer((json_int_t)f->best), "calls",
	    f->kbit == 0 ? json_null() : json_integer(f->calls), "mos",
	    f->mos == 0 ? json_null() : json_real(round(f->mos * 100) / 100), "hosts", hosts,
	    "routes", routes, "udp", udp(&f->udp), "lines", lines);
	out = json_dumps(all, JSON_INDENT(2));
	json_decref(all);
	return out;
}
