/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "hrac/doctor/facts.h"
#include "media/media.h"
#include "tunnel/tunnel.h"
#include "vcit/room.h"

#define PLAYOUT_MS 80.0 /* packets of 20 ms, and a phone that plays 60 ms behind the fastest */
#define HEADROOM 0.8    /* of the throughput may be voice: what is all taken, queues */
#define CALLS_MAX 1000

/* -- Which route -- */

static bool
streams(const struct doctor_route *r)
{
	return r->way[TUNNEL_UP].body == DOCTOR_STREAMS &&
	    r->way[TUNNEL_DOWN].body == DOCTOR_STREAMS;
}

static bool
may_be_used(const struct doctor_facts *f, const struct doctor_route *r)
{
	bool direct = r->proxy[0] == '\0';

	if (r->stop != DOCTOR_STOP_NOWHERE)
		return false;
	switch (f->transport) {
	case CONFIG_BY_UDP:
	case CONFIG_BY_STREAM:
		return direct && streams(r);
	case CONFIG_BY_PROXY:
		return !direct && streams(r);
	default:
		return true;
	}
}

/* The first that streams both ways, or else the first that gets through at all. */
static size_t
best_of(const struct doctor_facts *f)
{
	for (size_t i = 0; i < f->route_n; i++) {
		if (may_be_used(f, &f->route[i]) && streams(&f->route[i]))
			return i;
	}
	for (size_t i = 0; i < f->route_n; i++) {
		if (may_be_used(f, &f->route[i]))
			return i;
	}
	return DOCTOR_NONE;
}

static bool
udp_is_good(const struct doctor_facts *f)
{
	return (f->transport == CONFIG_AUTO || f->transport == CONFIG_BY_UDP) && f->udp.came > 0 &&
	    f->udp.came * 20 >= f->udp.sent * 19;
}

static const char *
rung_of(const struct doctor_facts *f, const struct doctor_route *r)
{
	if (udp_is_good(f))
		return "udp";
	if (f->transport == CONFIG_BY_POLL || !streams(r))
		return "poll";
	return r->proxy[0] == '\0' ? "stream" : "proxy";
}

/* -- What it carries -- */

static double
loss_of(const struct doctor_facts *f, const struct doctor_route *r)
{
	const struct doctor_way *up = &r->way[TUNNEL_UP], *down = &r->way[TUNNEL_DOWN];
	uint32_t segments = up->segments + down->segments, again = up->again + down->again;

	if (f->rung != NULL && strcmp(f->rung, "udp") == 0)
		return 1 - (double)f->udp.came / f->udp.sent;
	return segments == 0 ? 0 : (double)again / segments;
}

/* A fifth stays free, but a single call may have it all. The administrator's cap is for calls alone. */
static unsigned
calls_in(uint32_t kbit, uint32_t cap_kbit)
{
	double room = kbit * HEADROOM;

	if (cap_kbit != 0 && cap_kbit < room)
		room = cap_kbit;
	if (room < ROOM_CALL_KBIT)
		return kbit >= ROOM_CALL_KBIT;
	return room / ROOM_CALL_KBIT > CALLS_MAX ? CALLS_MAX : (unsigned)(room / ROOM_CALL_KBIT);
}

static void
judge_calls(struct doctor_facts *f, const struct doctor_route *r)
{
	uint32_t up = r->way[TUNNEL_UP].kbit, down = r->way[TUNNEL_DOWN].kbit;
	double delay_ms = r->rtt_median_us / 2e3;

	f->kbit = up < down ? up : down;
	f->calls = calls_in(f->kbit, f->cap_kbit);
	f->works = f->kbit == 0 || f->calls > 0;
	if (strcmp(f->rung, "udp") == 0)
		delay_ms = f->udp.rtt_median_us / 2e3;
	/* What is polled waits for the next answer to begin: half a round trip on average. */
	if (strcmp(f->rung, "poll") == 0)
		delay_ms *= 2;
	if (r->rtt_median_us > 0)
		f->mos = media_mos(delay_ms + PLAYOUT_MS, loss_of(f, r));
}

void
doctor_judge(struct doctor_facts *f)
{
	f->best = best_of(f);
	f->works = false;
	f->rung = NULL;
	f->kbit = f->calls = 0;
	f->mos = 0;
	if (f->best == DOCTOR_NONE)
		return;
	f->rung = rung_of(f, &f->route[f->best]);
	judge_calls(f, &f->route[f->best]);
}

/* -- Advice -- */

static bool
wants_user(const struct doctor_route *r)
{
	return r->stop == DOCTOR_STOP_PROXY && r->look.schemes[0] != '\0' &&
	    (r->look.connect_status == 0 || r->look.connect_status == 407);
}

/*
 * A route that came as far as any did: what stops it is what stands in the way. Of those that a proxy
 * refuses, one for which it only wants to know who we are.
 */
static const struct doctor_route *
furthest(const struct doctor_facts *f)
{
	const struct doctor_route *best = NULL;

	for (size_t i = 0; i < f->route_n; i++) {
		const struct doctor_route *r = &f->route[i];

		if (best == NULL || r->stop > best->stop ||
		    (r->stop == best->stop && wants_user(r) && !wants_user(best)))
			best = r;
	}
	return best;
}

static void
advise_connect(const struct doctor_facts *f, const struct doctor_route *r, char *out)
{
	if (r->proxy[0] != '\0')
		snprintf(out, DOCTOR_TEXT_MAX,
		    "The web proxy %.120s cannot be reached: see that its address is right "
		    "(tunnel.proxy), and that it runs.",
		    r->proxy);
	else if (f->proxy_from[0] != '\0')
		snprintf(out, DOCTOR_TEXT_MAX,
		    "Ask the network's owner to let TCP out to %.120s, or for the address of the "
		    "web proxy (tunnel.proxy).",
		    r->url);
	else
		snprintf(out, DOCTOR_TEXT_MAX,
		    "Ask the network's owner to let TCP out to %.120s; if there is a web proxy, "
		    "put its address in tunnel.proxy.",
		    r->url);
}

static void
advise_proxy(const struct doctor_route *r, char *out)
{
	const struct uplink_look *l = &r->look;
	long status = l->connect_status != 0 ? l->connect_status : l->status;

	if (status >= 500)
		snprintf(out, DOCTOR_TEXT_MAX,
		    "The web proxy %.100s does not reach %.100s (it says %ld): see that HRAS runs and "
		    "lets the proxy in.",
		    r->proxy, r->url, status);
	else if (wants_user(r))
		snprintf(out, DOCTOR_TEXT_MAX,
		    "The web proxy %.100s wants to know who we are (%s): put a user and password "
		    "that are good there in tunnel.proxy_user and tunnel.proxy_password.",
		    r->proxy, l->schemes);
	else if (l->connect_status != 0)
		snprintf(out, DOCTOR_TEXT_MAX,
		    "Ask the owner of the web proxy %.100s to allow CONNECT to %.100s (it says "
		    "%ld).",
		    r->proxy, r->url, l->connect_status);
	else
		snprintf(out, DOCTOR_TEXT_MAX,
		    "Ask the owner of the web proxy %.100s to allow %.100s (it says %ld).",
		    r->proxy, r->url, status);
}

static void
advise_tls(const struct doctor_route *r, char *out)
{
	if (r->look.tls.seen && !r->look.tls.trusted)
		snprintf(out, DOCTOR_TEXT_MAX,
		    "The certificate is signed by \"%.100s\", whom we do not trust: if that is your "
		    "own, or your network opens TLS on the way, put the CA's certificate in "
		    "tunnel.ca.",
		    r->look.tls.issuer);
	else if (r->look.tls.seen)
		snprintf(out, DOCTOR_TEXT_MAX,
		    "The certificate is of \"%.100s\", which is not the host in tunnel.url: use the "
		    "name that it is for.",
		    r->look.tls.subject);
	else
		snprintf(out, DOCTOR_TEXT_MAX,
		    "TLS with %.120s does not come about: see that HRAS speaks https there, or use "
		    "http:// too; the tunnel is sealed by itself.",
		    r->url);
}

static void
advise_bodies(const struct doctor_facts *f, const struct doctor_route *r, char *out)
{
	if (r->stop == DOCTOR_STOP_NOWHERE)
		snprintf(out, DOCTOR_TEXT_MAX,
		    "A way is there, but tunnel.transport forbids it: set it to auto.");
	else
		snprintf(out, DOCTOR_TEXT_MAX,
		    "Something on the way to %.120s changes or swallows what is sent: ask the "
		    "network's owner to exempt it from scanning.",
		    r->url);
	(void)f;
}

static void
advise_trouble(const struct doctor_facts *f, char *out)
{
	const struct doctor_route *r = furthest(f);

	switch (r == NULL ? DOCTOR_STOP_NAME : r->stop) {
	case DOCTOR_STOP_NAME:
		snprintf(out, DOCTOR_TEXT_MAX,
		    "No name server of this network knows %.100s: use the address of HRAS in tunnel.url, "
		    "or name the web proxy (tunnel.proxy), which may know it.",
		    f->host_n > 0 ? f->host[0].name : "HRAS");
		break;
	case DOCTOR_STOP_CONNECT:
		advise_connect(f, r, out);
		break;
	case DOCTOR_STOP_PROXY:
		advise_proxy(r, out);
		break;
	case DOCTOR_STOP_TLS:
		advise_tls(r, out);
		break;
	case DOCTOR_STOP_ANSWER:
		snprintf(out, DOCTOR_TEXT_MAX,
		    "What answers at %.120s is not HRAS: see that HRAS runs there, that tunnel.url is "
		    "right, and that no login page is in the way.",
		    r->url);
		break;
	case DOCTOR_STOP_SECRET:
		snprintf(out, DOCTOR_TEXT_MAX,
		    "See that tunnel.agent (\"%s\") and tunnel.secret are the same as in an agent "
		    "section of hras.conf.",
		    f->agent);
		break;
	default:
		advise_bodies(f, r, out);
	}
}

/* It works: what would make it better. */
static void
advise_better(const struct doctor_facts *f, const struct doctor_route *r, char *out)
{
	int n = snprintf(out, DOCTOR_TEXT_MAX, "Calls will %swork, by %s%s. ",
	    f->works ? "" : "hardly ", f->rung,
	    r->proxy[0] == '\0' ? "" : " through the web proxy");
	size_t cap = DOCTOR_TEXT_MAX - (size_t)n;
	uint32_t up = r->way[TUNNEL_UP].idle_cut_s, down = r->way[TUNNEL_DOWN].idle_cut_s;

	out += n;
	if (!f->works)
		snprintf(out, cap, "The line is too slow for even one of G.711.");
	else if (strcmp(f->rung, "poll") == 0 && f->transport != CONFIG_BY_POLL)
		snprintf(out, cap,
		    "They will sound better when the network's owner exempts %.100s from scanning and "
		    "buffering.",
		    r->url);
	else if ((up != 0 && up <= 5) || (down != 0 && down <= 5))
		snprintf(out, cap,
		    "Ask the network's owner to keep silent connections for 30 s and more.");
	else if (f->udp.offered && f->udp.sent > 0 && f->udp.came == 0)
		snprintf(out, cap,
		    "They sound best when the network's owner also lets UDP out to port %u of HRAS.",
		    addr_port(&f->udp.to));
	else
		snprintf(out, cap, "Nothing needs to be done.");
}

void
doctor_advise(const struct doctor_facts *f, char out[static DOCTOR_TEXT_MAX])
{
	if (f->best == DOCTOR_NONE)
		advise_trouble(f, out);
	else
		advise_better(f, &f->route[f->best], out);
}
