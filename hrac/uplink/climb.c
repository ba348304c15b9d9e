/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/err.h"
#include "hrac/uplink/impl.h"
#include "tunnel/crypto.h"

/*
 * The climb: routes are asked by HELLOs, of which HRAS remembers nothing, so that all of them may be
 * asked at a time; the ladder says which and when, and which of those that answer is taken. That one
 * gets the RESPONSE, or the streams of the session that there is.
 */
#define ADDRESS_STAGGER_US (250 * CLOCK_MS) /* RFC 8305, section 8 */
#define PATH "vofw/1/open"

/* -- One way is asked -- */

void
uplink_climb_quiet(struct uplink_way *w)
{
	for (size_t i = 0; i < w->hellos_n; i++) {
		if (w->hellos[i].request != NULL)
			uplink_http_close(w->hellos[i].request);
		w->hellos[i].request = NULL;
	}
	w->open_n = 0;
	uplink_lookup_cancel(w->lookup);
	w->lookup = NULL;
}

void
uplink_climb_failed(struct uplink *u, struct uplink_way *w, const char *why, uint64_t least_us)
{
	uplink_climb_quiet(w);
	uplink_route_failed(w->route, why, clock_wall_s());
	ladder_failed(&u->ladder, w->number, least_us, clock_us());
	u->climb_us = 0;
	u->more = true;
}

static void
take_challenge(struct uplink *u, struct uplink_hello *hello, const struct uplink_http_result *r)
{
	struct uplink_way *w = hello->way;

	w->challenge_len = r->body_len < sizeof(w->challenge) ? r->body_len : sizeof(w->challenge);
	memcpy(w->challenge, r->body, w->challenge_len);
	w->route->address = hello->address;
	uplink_climb_quiet(w);
	ladder_answered(&u->ladder, w->number, clock_us());
	u->climb_us = 0;
	u->more = true;
	if (!u->ladder.climbing)
		uplink_way_answers(u, w);
	else if (u->tunnel != NULL && !u->opening)
		uplink_way_offers(u, w);
}

static void
on_hello_done(void *arg, void *user, const struct uplink_http_result *r)
{
	struct uplink *u = arg;
	struct uplink_hello *hello = user;
	struct uplink_way *w = hello->way;

	hello->request = NULL;
	w->open_n--;
	u->climb_us = 0;
	u->more = true;
	w->turned_away &= r->cause[0] != '\0' && r->from_hras;
	if (r->cause[0] == '\0') {
		take_challenge(u, hello, r);
	} else if (!uplink_session_turned_away(u, w, r)) {
		snprintf(w->why, sizeof(w->why), "%s", r->cause);
		u->counters.uplink_failures++;
		uplink_note_trouble(u, r->cause);
	}
}

static const struct uplink_http_handlers hello_handlers = { .on_done = on_hello_done };

/* One HELLO does for all ways, and is another one when nothing of it is on its way any more. */
static void
make_hello(struct uplink *u)
{
	for (size_t i = 0; i < u->ladder.n; i++)
		if (u->ways[i]->open_n > 0 || u->ladder.rung[i].state == LADDER_ANSWERS)
			return;
	if (u->responding == NULL)
		handshake_hello(&u->handshake, HANDSHAKE_SESSION, 0, u->hello, &u->hello_len);
}

static void
say_hello(struct uplink_way *w, const struct addr *address)
{
	static const struct addr any;
	struct uplink_hello *hello = &w->hellos[w->hellos_n++];
	struct uplink *u = w->uplink;

	make_hello(u);
	hello->way = w;
	hello->address = address == NULL ? any : *address;
	hello->request =
	    uplink_http_exchange(u->http, w->route, PATH, u->hello, u->hello_len, hello);
	uplink_http_handle(hello->request, &hello_handlers, u);
	uplink_http_connect_to(hello->request, &hello->address);
	w->open_n++;
	w->next_us = clock_us() + ADDRESS_STAGGER_US;
}

static bool
is_known(const struct uplink_way *w, const struct addr *a)
{
	for (size_t i = 0; i < w->addresses_n; i++)
		if (addr_equal(&w->addresses[i], a))
			return true;
	return false;
}

static void
on_addresses(void *arg, const struct addr *addresses, size_t n)
{
	struct uplink_way *w = arg;

	w->lookup = NULL;
	uplink_enter(w->uplink);
	for (size_t i = 0; i < n; i++)
		if (!is_known(w, &addresses[i]))
			w->addresses[w->addresses_n++] = addresses[i];
	/* It may have ways to know a name that c-ares has not, and has words for why it does not. */
	if (n == 0 && w->addresses_n == 0)
		say_hello(w, NULL);
	w->uplink->climb_us = 0;
	w->uplink->more = true;
	uplink_leave(w->uplink);
}

static void
way_ask(struct uplink_way *w, uint64_t now_us)
{
	struct uplink *u = w->uplink;

	ladder_asked(&u->ladder, w->number, now_us);
	u->counters.uplink_handshakes++;
	w->addresses_n = w->tried_n = w->hellos_n = w->open_n = 0;
	w->why[0] = '\0';
	if (w->route->literal) {
		say_hello(w, NULL);
		return;
	}
	/* Where it was last is worth a try, whatever the name servers say, or do not say. */
	if (addr_is_set(&w->route->address))
		w->addresses[w->addresses_n++] = w->route->address;
	w->lookup = uplink_lookup_start(u->base, w->route->host, w->route->port, on_addresses, w);
}

static void
way_step(struct uplink_way *w, uint64_t now_us)
{
	struct uplink *u = w->uplink;

	while (w->tried_n < w->addresses_n && (w->open_n == 0 || w->next_us <= now_us))
		say_hello(w, &w->addresses[w->tried_n++]);
	if (w->open_n == 0 && w->lookup == NULL)
		uplink_climb_failed(u, w, w->why, 0);
}

/* -- All of them -- */

static void
ask_again(struct uplink *u)
{
	for (size_t i = 0; i < u->ladder.n; i++)
		if (ladder_again(&u->ladder, i, clock_us()))
			uplink_climb_quiet(u->ways[i]);
	u->climb_us = 0;
	u->more = true;
}

/* What others answered to the same HELLO is of no use any more: all but those that failed are asked
 * again by another one. */
static void
start_over(struct uplink *u)
{
	handshake_forget(&u->handshake);
	ask_again(u);
}

void
uplink_climb_begin(struct uplink *u, uint64_t wait_us, bool hurry)
{
	/* What is still asked was asked by a HELLO whose key the last session has used up. */
	if (u->opening)
		start_over(u);
	u->climbed_us = clock_us() + wait_us;
	uplink_routes_find(u);
	ladder_climb(&u->ladder, u->climbed_us, hurry);
	u->climb_us = 0;
	u->more = true;
}

void
uplink_climb_refresh(struct uplink *u)
{
	if (u->responding == NULL)
		ask_again(u);
	ladder_refresh(&u->ladder, clock_us());
}

static void
on_response_done(void *arg, void *user, const struct uplink_http_result *r)
{
	struct uplink *u = arg;
	struct uplink_way *w = user;
	struct tunnel_grant grant;
	int err;

	u->responding = NULL;
	u->climb_us = 0;
	u->more = true;
	if (r->cause[0] != '\0') {
		if (!uplink_session_turned_away(u, w, r)) {
			u->counters.uplink_failures++;
			uplink_note_trouble(u, r->cause);
			uplink_climb_failed(u, w, r->cause, 0);
		}
		start_over(u);
		return;
	}
	err = handshake_finish(&u->handshake, r->body, r->body_len, &grant);
	if (err != 0) {
		uplink_session_misunderstood(u, w, err);
		start_over(u);
		return;
	}
	uplink_climb_settle(u, w);
	uplink_session_adopt(u, &grant);
	uplink_way_begin(u, w);
	crypto_wipe(&grant, sizeof(grant));
}

static void
respond(struct uplink *u, struct uplink_way *w)
{
	static const struct uplink_http_handlers handlers = { .on_done = on_response_done };
	uint8_t body[HANDSHAKE_BODY_MAX];
	size_t n;
	int err;

	err = handshake_respond(&u->handshake, w->challenge, w->challenge_len, body, &n);
	if (err != 0) {
		uplink_session_misunderstood(u, w, err);
		start_over(u);
		return;
	}
	u->responding = uplink_http_exchange(u->http, w->route, PATH, body, n, w);
	uplink_http_handle(u->responding, &handlers, u);
}

void
uplink_climb_settle(struct uplink *u, struct uplink_way *w)
{
	for (size_t i = 0; i < w->number; i++)
		if (!u->ladder.rung[i].absent && u->ladder.rung[i].state != LADDER_ANSWERS &&
		    u->ways[i]->route->why[0] == '\0')
			uplink_route_failed(u->ways[i]->route, "no answer so far", clock_wall_s());
	ladder_settle(&u->ladder, w->number, clock_us());
	for (size_t i = 0; i < u->ladder.n; i++)
		if (u->ladder.rung[i].state == LADDER_WAITS)
			uplink_climb_quiet(u->ways[i]);
	w->route->why[0] = '\0';
	u->round[0] = '\0';
}

/* One line for all of it: what stands in each way. */
static void
say_nothing_gets_through(struct uplink *u)
{
	char text[sizeof(u->round)];
	size_t n = 0;

	if (!ladder_all_failed(&u->ladder) ||
	    (u->state == TUNNEL_UP_STATE && clock_us() - u->climbed_us < 2 * CLOCK_S))
		return;
	for (size_t i = 0; i < u->ladder.n; i++)
		if (u->ways[i]->turned_away)
			return; /* that was said, and is something else */
	for (size_t i = 0; i < u->ladder.n && n < sizeof(text); i++)
		if (!u->ladder.rung[i].absent)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s: %s",
			    n == 0 ? "" : "; ", u->ways[i]->route->name, u->ways[i]->route->why);
	if (strcmp(text, u->round) == 0)
		return;
	memcpy(u->round, text, sizeof(text));
	log_warn("uplink", "nothing gets through to HRAS: %s", text);
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
due_us(const struct uplink *u, bool calm)
{
	uint64_t us = ladder_due_us(&u->ladder, calm);

	/* An answer is waited for, by libcurl: the ladder has nothing to say until then. */
	if (u->responding != NULL)
		us = CLOCK_NEVER;
	for (size_t i = 0; i < u->ladder.n; i++)
		if (u->ways[i]->tried_n < u->ways[i]->addresses_n &&
		    u->ladder.rung[i].state == LADDER_ASKED)
			us = earlier(us, u->ways[i]->next_us);
	return us;
}

void
uplink_climb_run(struct uplink *u, uint64_t now_us)
{
	bool calm = !u->busy;
	size_t i;

	if (now_us < u->climb_us)
		return;
	while (u->responding == NULL && (i = ladder_next(&u->ladder, calm, now_us)) != LADDER_NONE)
		way_ask(u->ways[i], now_us);
	for (i = 0; i < u->ladder.n; i++)
		if (u->ladder.rung[i].state == LADDER_ASKED)
			way_step(u->ways[i], now_us);
	i = u->opening && u->responding == NULL ? ladder_winner(&u->ladder, now_us) : LADDER_NONE;
	if (i != LADDER_NONE)
		respond(u, u->ways[i]);
	ladder_end_grace(&u->ladder, now_us);
	say_nothing_gets_through(u);
	u->climb_us = due_us(u, calm);
	if (u->climb_us <= now_us)
		u->climb_us = now_us + CLOCK_MS;
}
