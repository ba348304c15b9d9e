/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/server.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "log/log.h"
#include "sip/proxy.h"
#include "sip/uri.h"

static const struct metric metrics[] = {
#define COUNTER(field, help) METRIC(struct server_counters, field, METRIC_COUNTER, help)
	COUNTER(sip_invites, "INVITE requests, repetitions left out."),
	COUNTER(sip_acks, "ACK requests to 2xx responses."),
	COUNTER(sip_cancels, "CANCEL requests that met their INVITE."),
	COUNTER(sip_byes, "BYE requests."),
	COUNTER(sip_registers, "REGISTER requests."),
	COUNTER(sip_options, "OPTIONS requests."),
	COUNTER(sip_messages, "MESSAGE requests."),
	COUNTER(sip_other_requests, "Requests of all other methods."),
	COUNTER(sip_answers_1xx, "Provisional responses sent, our own and relayed."),
	COUNTER(sip_answers_2xx, "Success responses sent."),
	COUNTER(sip_answers_3xx, "Redirections sent."),
	COUNTER(sip_answers_4xx, "Request failures sent."),
	COUNTER(sip_answers_5xx, "Server failures sent."),
	COUNTER(sip_answers_6xx, "Global failures sent."),
	COUNTER(sip_malformed, "Messages that were no SIP, dropped."),
	COUNTER(sip_unanswerable, "SIP messages without the fields an answer needs, dropped."),
	COUNTER(sip_branches, "Requests sent on, each branch and next hop by itself."),
	COUNTER(sip_originated, "Requests of our own in dialogs of others."),
	COUNTER(sip_relay_refused, "Messages whose media could not be relayed."),
	COUNTER(sip_face_down, "Branches that ended since the agent's tunnel was down."),
	COUNTER(sip_loops, "Requests refused because they came back to us."),
	COUNTER(sip_forged_tokens, "Requests with a token that was not made by us."),
	COUNTER(sip_swept, "Messages in which inside addresses had to be written over."),
	COUNTER(sip_foreign_refused, "Requests refused so as not to be an open relay."),
	COUNTER(sip_auth_challenges, "Challenges sent."),
	COUNTER(sip_auth_failures, "Wrong passwords and unknown users."),
	COUNTER(sip_auth_stale, "Right answers to nonces that were old or used."),
	COUNTER(sip_registrations_refused, "REGISTER requests refused for what they ask."),
	COUNTER(sip_strays_dropped, "Responses without a transaction, dropped."),
	COUNTER(sip_killed, "Calls ended by ACK and BYE because their 2xx could not be relayed."),
#undef COUNTER
	{ NULL, NULL, 0, 0 },
};

/* -- Whose is it -- */

static bool
is_domain(const struct sip_server *s, const char *host)
{
	for (size_t i = 0; i < s->domains_n; i++)
		if (strcasecmp(s->domains[i], host) == 0)
			return true;
	return false;
}

static bool
is_address(const struct sip_server *s, const struct face *face, const osip_uri_t *uri)
{
	const struct face *outside = faces_find(s->faces, SIP_FACE_OUTSIDE);

	return face_owns(face, uri->host, uri_port(uri)) ||
	    face_owns(outside, uri->host, uri_port(uri));
}

bool
server_is_ours(const struct sip_server *s, const struct face *face, const osip_uri_t *uri)
{
	return uri_is_sip(uri) && (is_domain(s, uri->host) || is_address(s, face, uri));
}

int
server_aor(const struct sip_server *s, const osip_uri_t *uri, char *out, size_t cap)
{
	const char *domain = is_domain(s, uri->host) ? uri->host : s->domains[0];
	int n;

	if (uri->username == NULL || *uri->username == '\0' ||
	    strpbrk(uri->username, " @\r\n") != NULL)
		return ERR_MALFORMED;
	n = snprintf(out, cap, "%s@%s", uri->username, domain);
	if (n < 0 || (size_t)n >= cap)
		return ERR_TOO_BIG;
	for (char *p = strchr(out, '@'); *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return 0;
}

/* -- Answers of our own -- */

struct sip_msg *
server_response(const struct arrival *a, int status, const char *reason)
{
	char tag[17];

	sip_random_hex(tag, 8);
	return sip_msg_response(a->req, status, reason, tag);
}

void
server_send_response(struct sip_server *s, struct sip_server_txn *st, struct sip_msg *resp,
    uint64_t now_us)
{
	uint64_t *const by_class[] = { &s->n.sip_answers_1xx, &s->n.sip_answers_2xx,
		&s->n.sip_answers_3xx, &s->n.sip_answers_4xx, &s->n.sip_answers_5xx,
		&s->n.sip_answers_6xx };
	int status = sip_msg_status(resp), class = status / 100;
	char tag[17];

	if (class >= 1 && class <= 6)
		++*by_class[class - 1];
	if (sip_server_txn_respond(st, resp, now_us) != ERR_TOO_BIG || status < 200)
		return;
	/* What we added made it too long: the transaction must end all the same. */
	sip_random_hex(tag, 8);
	sip_server_txn_respond(st,
	    sip_msg_response(sip_server_txn_request(st), 500, "Response Too Large", tag), now_us);
}

void
server_answer_with(const struct arrival *a, int status, const char *name, const char *value)
{
	struct sip_msg *resp;

	if (a->st == NULL) /* nothing answers an ACK */
		return;
	resp = server_response(a, status, NULL);
	if (name != NULL)
		sip_msg_header_set(resp, name, value);
	server_send_response(a->s, a->st, resp, a->now_us);
}

void
server_answer(const struct arrival *a, int status, const char *reason)
{
	if (a->st != NULL)
		server_send_response(a->s, a->st, server_response(a, status, reason), a->now_us);
}

/* -- What the transaction layer gives -- */

static void
count_request(struct sip_server *s, const struct sip_msg *req)
{
	switch (sip_msg_method(req)) {
	case SIP_INVITE:
		s->n.sip_invites++;
		break;
	case SIP_ACK:
		s->n.sip_acks++;
		break;
	case SIP_CANCEL:
		s->n.sip_cancels++;
		break;
	case SIP_BYE:
		s->n.sip_byes++;
		break;
	case SIP_REGISTER:
		s->n.sip_registers++;
		break;
	case SIP_OPTIONS:
		s->n.sip_options++;
		break;
	case SIP_MESSAGE:
		s->n.sip_messages++;
		break;
	default:
		s->n.sip_other_requests++;
	}
}

static void
on_request(void *arg, struct sip_server_txn *st, const struct sip_msg *req,
    const struct sip_flow *from, struct sip_server_txn *invite)
{
	struct sip_server *s = arg;
	struct arrival a = { s, st, req, from, faces_find(s->faces, from->face), s->now_us };

	count_request(s, req);
	if (invite != NULL)
		proxy_cancel(&a, invite);
	else
		proxy_request(&a);
}

/* RFC 6026 §8.9: a 2xx that belongs to no transaction is not forwarded any more. */
static void
on_stray_response(void *arg, const struct sip_msg *resp, const struct sip_flow *from)
{
	struct sip_server *s = arg;

	(void)resp;
	(void)from;
	s->n.sip_strays_dropped++;
}

/* The start line: the rest may hold credentials. */
static void
log_message(const char *way, const struct sip_flow *flow, const char *data, size_t n)
{
	const char *end = memchr(data, '\r', n);
	char peer[ADDR_STR_MAX];

	if (log_level() >= LOG_DEBUG)
		log_debug("sip", "face %u %s %s %s: %.*s", flow->face, way,
		    sip_proto_str(flow->proto), addr_str(&flow->peer, peer),
		    (int)(end != NULL ? (size_t)(end - data) : n), data);
}

static void
on_send(void *arg, const struct sip_flow *to, uint64_t tag, const char *data, size_t n)
{
	struct sip_server *s = arg;

	log_message("to", to, data, n);
	s->h.send(s->arg, to, tag, data, n);
}

/* -- Life -- */

static void
set_config(struct sip_server *s, const struct sip_server_cfg *cfg)
{
	s->domains = mem_calloc(cfg->domains_n, sizeof(*s->domains));
	s->domains_n = cfg->domains_n;
	for (size_t i = 0; i < cfg->domains_n; i++)
		s->domains[i] = mem_strdup(cfg->domains[i]);
	s->auth_mode = cfg->auth;
	auth_offer(s->auth, cfg->digest != SIP_OFFER_SHA256, cfg->digest != SIP_OFFER_MD5);
	s->internal_direct = cfg->internal_direct;
	for (size_t i = 0; i < cfg->users_n; i++)
		auth_user_put(s->auth, cfg->users[i].name, cfg->users[i].password);
}

static void
clear_config(struct sip_server *s)
{
	for (size_t i = 0; i < s->domains_n; i++)
		mem_free(s->domains[i]);
	mem_free(s->domains);
	auth_users_clear(s->auth);
}

/* Also keeps now_us fresh for whom nobody tells the time. */
static void
on_second(void *arg, uint64_t now_us)
{
	struct sip_server *s = arg;

	s->now_us = now_us;
	location_expire(s->location, clock_steady_s());
	timer_set(s->timers, &s->expiry, now_us + CLOCK_S);
}

struct sip_server *
sip_server_new(const struct sip_server_cfg *cfg, struct timers *timers,
    struct sip_resolver *resolver, struct location *location, const struct sip_server_handlers *h,
    void *arg)
{
	static const struct sip_layer_handlers layer_handlers = { on_send, on_request,
		on_stray_response };
	struct sip_server *s = mem_zalloc(sizeof(*s));

	s->timers = timers;
	s->resolver = resolver;
	s->location = location;
	s->h = *h;
	s->arg = arg;
	s->seal = seal_new(cfg->key);
	s->auth = auth_new(cfg->domains[0]);
	s->faces = faces_new();
	s->layer = sip_layer_new(timers, &layer_handlers, s);
	set_config(s, cfg);
	faces_put(s->faces, SIP_FACE_OUTSIDE, "", cfg->listen, cfg->listen_n);
	faces_set_bound(s->faces, SIP_FACE_OUTSIDE, cfg->bound, cfg->listen_n);
	timer_init(&s->expiry, on_second, s);
	timer_set(timers, &s->expiry, 0);
	return s;
}

void
sip_server_free(struct sip_server *s)
{
	if (s == NULL)
		return;
	timer_clear(s->timers, &s->expiry);
	sip_layer_free(s->layer);
	proxy_free(s);
	clear_config(s);
	auth_free(s->auth);
	seal_free(s->seal);
	faces_free(s->faces);
	mem_free(s);
}

void
sip_server_reload(struct sip_server *s, const struct sip_server_cfg *cfg)
{
	clear_config(s);
	set_config(s, cfg);
	auth_realm_set(s->auth, cfg->domains[0]);
}

void
sip_server_face_up(struct sip_server *s, uint32_t face, const char *name,
    const struct sip_listener *listen, size_t n)
{
	if (faces_put(s->faces, face, name, listen, n) == NULL)
		log_error("sip", "agent %s: more than %d faces", name, FACES_MAX);
}

void
sip_server_face_down(struct sip_server *s, uint32_t face)
{
	faces_down(s->faces, face);
}

/* -- Messages -- */

static void
drop_malformed(struct sip_server *s, const struct sip_flow *from, int err)
{
	static struct log_limit limit;
	char peer[ADDR_STR_MAX];

	s->n.sip_malformed++;
	log_warn_limited(&limit, "sip", "dropped what is no SIP message from %s: %s",
	    addr_str(&from->peer, peer), err_str(err));
}

static void
receive_checked(struct sip_server *s, const struct sip_flow *from, struct sip_msg *m)
{
	const char *why = NULL;
	int status = sip_msg_check(m, &why);

	if (status == 0) {
		sip_layer_receive(s->layer, m, from, s->now_us);
		return;
	}
	if (status < 0)
		s->n.sip_unanswerable++;
	else
		sip_layer_respond_stateless(s->layer, m, from, status, why);
	sip_msg_free(m);
}

void
sip_server_receive(struct sip_server *s, const struct sip_flow *from, const char *data, size_t n,
    uint64_t now_us)
{
	struct sip_msg *m;
	int err;

	s->now_us = now_us;
	log_message("from", from, data, n);
	if (faces_find(s->faces, from->face) == NULL)
		return;
	if ((err = sip_msg_parse(data, n, &m)) != 0)
		drop_malformed(s, from, err);
	else
		receive_checked(s, from, m);
}

void
sip_server_send_failed(struct sip_server *s, const struct sip_failure *f, uint64_t now_us)
{
	s->now_us = now_us;
	sip_layer_send_failed(s->layer, f, now_us);
}

size_t
sip_server_metrics(const struct sip_server *s, struct metric_set *out, size_t cap)
{
	const struct metric_set sets[] = { { metrics, &s->n }, sip_layer_metrics(s->layer),
		location_metrics(s->location) };
	size_t n = 0;

	for (; n < sizeof(sets) / sizeof(sets[0]) && n < cap; n++)
		out[n] = sets[n];
	return n;
}
