/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hrac/doctor/facts.h"
#include "tunnel/tunnel.h"

/* Where the lines go. */
struct teller {
	const struct doctor_facts *f;
	doctor_line_cb *cb;
	void *arg;
};

const char *
doctor_verdict_str(enum doctor_verdict v)
{
	static const char *const words[] = {
		[DOCTOR_OK] = "OK", [DOCTOR_UNSURE] = "??", [DOCTOR_NO] = "NO"
	};

	return words[v];
}

static void say(const struct teller *t, enum doctor_verdict v, const char *topic, const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));

static void
say(const struct teller *t, enum doctor_verdict v, const char *topic, const char *fmt, ...)
{
	struct doctor_line line = { .verdict = v, .topic = topic };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line.text, sizeof(line.text), fmt, ap);
	va_end(ap);
	t->cb(t->arg, &line);
}

/* -- Names and ports -- */

static void
tell_name(const struct teller *t, const struct doctor_host *h)
{
	char list[200] = "", text[ADDR_HOST_MAX];
	size_t used = 0;

	if (h->literal)
		return;
	if (h->trouble[0] != '\0') {
		say(t, DOCTOR_NO, "name", "%s is not resolved after %.1f s: %s", h->name,
		    h->name_us / 1e6, h->trouble);
		return;
	}
	for (size_t i = 0; i < h->address_n && used < sizeof(list) - ADDR_HOST_MAX; i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
		    i > 0 ? ", " : "", addr_host(&h->address[i].addr, text));
	say(t, DOCTOR_OK, "name", "%s is %s (%.0f ms)", h->name, list, h->name_us / 1e3);
}

static void
tell_doors(const struct teller *t, const struct doctor_host *h)
{
	static const char *const words[] = {
		[DOCTOR_OPEN] = "answers",
		[DOCTOR_REFUSED] = "refuses: nothing listens there, or a firewall rejects it",
		[DOCTOR_SILENT] = "does not answer: timed out, as when a firewall drops it",
		[DOCTOR_UNREACHABLE] = "is unreachable: there is no way to it from here",
	};
	char text[ADDR_STR_MAX];

	for (size_t i = 0; i < h->address_n; i++) {
		const struct doctor_address *a = &h->address[i];

		say(t, a->door == DOCTOR_OPEN ? DOCTOR_OK : DOCTOR_NO, "tcp", "%s%s %s (%.0f ms)",
		    h->proxy ? "the web proxy " : "", addr_str(&a->addr, text), words[a->door],
		    a->us / 1e3);
	}
}

/* -- A route -- */

static void
tell_proxy(const struct teller *t, const struct doctor_route *r)
{
	const struct uplink_look *l = &r->look;
	bool refused = r->stop == DOCTOR_STOP_PROXY;

	if (r->proxy[0] == '\0' || r->stop < DOCTOR_STOP_PROXY)
		return;
	say(t, DOCTOR_OK, "proxy", "the web proxy answers, and asks %s%s",
	    l->schemes[0] == '\0' ? "for no user" : "who we are: ", l->schemes);
	if (refused)
		say(t, DOCTOR_NO, r->https ? "connect" : "proxy", "%s", r->trouble);
	else if (l->connect_status != 0)
		say(t, DOCTOR_OK, "connect", "it lets us through by CONNECT (%ld)",
		    l->connect_status);
}

static void
tell_tls(const struct teller *t, const struct doctor_route *r)
{
	static const char *const opened[] = {
		[DOCTOR_OPENED_UNKNOWN] = "",
		[DOCTOR_OPENED_NO] = "; it is HRAS's own",
		[DOCTOR_OPENED_YES] =
		    "; it is NOT the one that HRAS shows: TLS is opened on the way",
	};
	const struct uplink_look_tls *tls = &r->look.tls;
	bool failed = r->stop == DOCTOR_STOP_TLS;

	if (!r->https || r->stop < DOCTOR_STOP_TLS)
		return;
	if (tls->seen)
		say(t,
		    failed                             ? DOCTOR_NO :
			r->opened == DOCTOR_OPENED_YES ? DOCTOR_UNSURE :
							 DOCTOR_OK,
		    "tls", "%s, %s; the certificate is of \"%s\", signed by \"%s\"%s%s",
		    tls->version, tls->cipher, tls->subject, tls->issuer,
		    tls->trusted ? ", whom we trust" : ", NOT trusted", opened[r->opened]);
	if (failed)
		say(t, DOCTOR_NO, "tls", "%s", r->trouble);
}

static const char *
dir_words(int dir)
{
	return dir == TUNNEL_UP ? "what we send" : "what HRAS sends";
}

static void
tell_body(const struct teller *t, const struct doctor_route *r, int dir)
{
	const struct doctor_way *w = &r->way[dir];
	const char *topic = dir == TUNNEL_UP ? "post" : "get";

	if (w->body == DOCTOR_STREAMS)
		say(t, DOCTOR_OK, topic, "%s arrives at once (%u ms late at most)", dir_words(dir),
		    w->held_ms);
	else if (w->body == DOCTOR_HELD && w->why[0] != '\0')
		say(t, DOCTOR_UNSURE, topic, "%s does not stream: %s; it will be polled",
		    dir_words(dir), w->why);
	else if (w->body == DOCTOR_HELD)
		say(t, DOCTOR_UNSURE, topic, "%s is held back for %u ms%s: it will be polled",
		    dir_words(dir), w->held_ms,
		    w->whole ? " or more, until all of it is there" : "");
}

static void
tell_idle(const struct teller *t, const struct doctor_route *r, int dir)
{
	const struct doctor_way *w = &r->way[dir];
	const char *which = dir == TUNNEL_UP ? "POST" : "GET";

	if (w->idle_cut_s != 0)
		say(t, w->idle_cut_s <= 5 ? DOCTOR_NO : DOCTOR_UNSURE, "idle",
		    "a silent %s is cut after %u s at most (%u s did no harm)", which,
		    w->idle_cut_s, w->idle_ok_s);
	else if (w->idle_ok_s != 0)
		say(t, DOCTOR_OK, "idle", "a silent %s lives for %u s and more", which,
		    w->idle_ok_s);
}

static void
tell_line(const struct teller *t, const struct doctor_route *r)
{
	const struct doctor_way *up = &r->way[TUNNEL_UP], *down = &r->way[TUNNEL_DOWN];

	if (r->rtt_median_us != 0)
		say(t, r->rtt_median_us > 400000 ? DOCTOR_UNSURE : DOCTOR_OK, "rtt",
		    "a round trip takes %.1f ms, %.1f ms at best", r->rtt_median_us / 1e3,
		    r->rtt_min_us / 1e3);
	if (up->segments + down->segments != 0)
		say(t,
		    (up->again + down->again) * 50 > up->segments + down->segments ? DOCTOR_UNSURE :
										     DOCTOR_OK,
		    "loss", "TCP repeated %u of %u segments up and %u of %u down%s", up->again,
		    up->segments, down->again, down->segments,
		    r->proxy[0] == '\0' ? "" : " (to and from the proxy only)");
	if (up->kbit != 0 && down->kbit != 0)
		say(t, DOCTOR_OK, "speed", "%s%.1f Mbit/s up, %s%.1f Mbit/s down",
		    up->kbit_least ? "at least " : "", up->kbit / 1e3,
		    down->kbit_least ? "at least " : "", down->kbit / 1e3);
}

static void
tell_route(const struct teller *t, const struct doctor_route *r)
{
	say(t, DOCTOR_OK, NULL, "%s, %s%s", r->url, r->proxy[0] == '\0' ? "directly" : "through ",
	    r->proxy);
	if (r->stop == DOCTOR_STOP_NAME || r->stop == DOCTOR_STOP_CONNECT)
		say(t, DOCTOR_NO, "tcp", "%s", r->trouble);
	tell_proxy(t, r);
	tell_tls(t, r);
	if (r->stop == DOCTOR_STOP_ANSWER)
		say(t, DOCTOR_NO, "hras", "%s%s%s", r->trouble,
		    r->look.answered[0] == '\0' ? "" : "; it calls itself ", r->look.answered);
	if (r->stop == DOCTOR_STOP_SECRET)
		say(t, DOCTOR_NO, "secret", "%s", r->trouble);
	else if (r->stop > DOCTOR_STOP_SECRET)
		say(t, DOCTOR_OK, "secret", "HRAS knows agent \"%s\", and we know HRAS",
		    t->f->agent);
	if (r->stop == DOCTOR_STOP_BODIES)
		say(t, DOCTOR_NO, "body", "%s", r->trouble);
	for (int dir = TUNNEL_DOWN; dir >= TUNNEL_UP; dir--)
		tell_body(t, r, dir);
	for (int dir = TUNNEL_DOWN; dir >= TUNNEL_UP; dir--)
		tell_idle(t, r, dir);
	tell_line(t, r);
}

/* -- UDP -- */

/* What can be said of the NAT with one HRAS to look from. */
static const char *
nat_words(const struct doctor_udp *u)
{
	if (addr_equal(&u->mapped, &u->local))
		return "there is no NAT on the way";
	if (addr_port(&u->mapped) == addr_port(&u->local))
		return u->steady ? "a NAT that keeps our ports" :
				   "a NAT that kept this port of ours, but shows several addresses";
	return u->steady ? "a NAT that gives us other ports" :
			   "a NAT that gives us other ports, and several addresses";
}

static void
tell_udp(const struct teller *t)
{
	const struct doctor_udp *u = &t->f->udp;
	char to[ADDR_STR_MAX], mapped[ADDR_STR_MAX];

	if (!u->offered || u->sent == 0)
		return;
	addr_str(&u->to, to);
	if (u->came == 0) {
		say(t, DOCTOR_UNSURE, "udp", "no datagram comes back from %s%s%s", to,
		    u->trouble[0] == '\0' ? "" : ": ", u->trouble);
		return;
	}
	say(t, DOCTOR_OK, "udp", "datagrams pass to %s and back, in %.1f ms", to,
	    u->rtt_median_us / 1e3);
	say(t, u->came * 20 < u->sent * 19 ? DOCTOR_UNSURE : DOCTOR_OK, "loss",
	    "%u of %u datagrams were lost", u->sent - u->came, u->sent);
	say(t, DOCTOR_OK, "nat", "HRAS sees us as %s: %s", addr_str(&u->mapped, mapped),
	    nat_words(u));
}

/* -- All -- */

static const char *
quality_words(double mos)
{
	if (mos >= 4.0)
		return "good";
	if (mos >= 3.6)
		return "fair";
	return mos >= 3.1 ? "poor" : "bad";
}

static void
tell_calls(const struct teller *t)
{
	const struct doctor_facts *f = t->f;
	const struct doctor_route *r;

	say(t, DOCTOR_OK, NULL, "Calls");
	if (f->best == DOCTOR_NONE) {
		say(t, DOCTOR_NO, "calls", "nothing gets through that could carry a call");
		return;
	}
	r = &f->route[f->best];
	say(t, DOCTOR_OK, "rung", "%s: %s%s%s", f->rung, r->url,
	    r->proxy[0] == '\0' ? "" : " through ", r->proxy);
	if (f->kbit == 0 || f->mos == 0)
		return;
	say(t,
	    !f->works        ? DOCTOR_NO :
		f->mos < 3.1 ? DOCTOR_UNSURE :
			       DOCTOR_OK,
	    "calls", "%s%u calls of G.711 at a time, of %s quality (MOS %.1f)",
	    r->way[TUNNEL_UP].kbit_least && r->way[TUNNEL_DOWN].kbit_least ? "at least " : "about ",
	    f->calls, quality_words(f->mos), f->mos);
}

void
doctor_tell(const struct doctor_facts *f, doctor_line_cb *cb, void *arg)
{
	const struct teller t = { f, cb, arg };

	say(&t, DOCTOR_OK, NULL, "Names and ports");
	for (size_t i = 0; i < f->host_n; i++) {
		tell_name(&t, &f->host[i]);
		tell_doors(&t, &f->host[i]);
	}
	if (f->proxy_from[0] != '\0')
		say(&t, DOCTOR_OK, "proxy", "%s", f->proxy_from);
	for (size_t i = 0; i < f->route_n; i++)
		tell_route(&t, &f->route[i]);
	if (f->udp.offered && f->udp.sent > 0)
		say(&t, DOCTOR_OK, NULL, "UDP");
	tell_udp(&t);
	tell_calls(&t);
}
