/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/taught.h"

#include <string.h>
#include <uthash.h>

#include "base/err.h"
#include "base/mem.h"
#include "log/log.h"

#define COMPONENT "media"

struct call {
	struct taught_call pub;
	struct leg *legs; /* of this call, by stream; for the status page */
	bool named;       /* since SYNC begin */
	UT_hash_handle hh;
};

struct leg {
	struct taught_leg pub;
	struct leg *next;  /* of the same call */
	struct call *call; /* NULL while its CALL has not come */
	bool named;
	uint32_t told_packets; /* of what its phone hears, when HRAS was told last */
	UT_hash_handle hh;
};

struct taught {
	struct media *media;
	taught_failed_cb *failed;
	void *arg;
	struct call *calls;
	struct leg *legs;
	struct heard_sum heard; /* of our phones, since taught_take_heard */
};

/* -- The tables -- */

static struct call *
call_find(const struct taught *t, uint32_t number)
{
	struct call *c;

	HASH_FIND(hh, t->calls, &number, sizeof(number), c);
	return c;
}

static struct leg *
leg_find(const struct taught *t, uint32_t number)
{
	struct leg *l;

	HASH_FIND(hh, t->legs, &number, sizeof(number), l);
	return l;
}

static void
leg_unlink(struct leg *l)
{
	struct leg **at;

	if (l->call == NULL)
		return;
	for (at = &l->call->legs; *at != l; at = &(*at)->next)
		;
	*at = l->next;
	l->call = NULL;
}

static void
leg_link(struct taught *t, struct leg *l)
{
	struct leg **at;

	if (l->call != NULL && l->call->pub.number == l->pub.call)
		return;
	leg_unlink(l);
	if ((l->call = call_find(t, l->pub.call)) == NULL)
		return;
	for (at = &l->call->legs; *at != NULL && (*at)->pub.stream <= l->pub.stream;
	     at = &(*at)->next)
		;
	l->next = *at;
	*at = l;
}

static void
leg_free(struct taught *t, struct leg *l)
{
	leg_unlink(l);
	HASH_DEL(t->legs, l);
	if (l->pub.socket != NULL)
		media_leg_close(l->pub.socket);
	if (l->pub.tunnel != NULL)
		media_leg_close(l->pub.tunnel);
	mem_free(l);
}

static void
call_clear(struct call *c)
{
	mem_free(c->pub.call_id);
	mem_free(c->pub.from);
	mem_free(c->pub.to);
	mem_free(c->pub.will);
}

static void
call_free(struct taught *t, struct call *c)
{
	while (c->legs != NULL)
		leg_unlink(c->legs);
	HASH_DEL(t->calls, c);
	call_clear(c);
	mem_free(c);
}

struct taught *
taught_new(struct media *media, taught_failed_cb *cb, void *arg)
{
	struct taught *t = mem_zalloc(sizeof(*t));

	t->media = media;
	t->failed = cb;
	t->arg = arg;
	return t;
}

void
taught_clear(struct taught *t)
{
	struct leg *l, *next_leg;
	struct call *c, *next_call;

	HASH_ITER(hh, t->legs, l, next_leg)
		leg_free(t, l);
	HASH_ITER(hh, t->calls, c, next_call)
		call_free(t, c);
}

void
taught_free(struct taught *t)
{
	if (t == NULL)
		return;
	taught_clear(t);
	mem_free(t);
}

/* -- What HRAS says -- */

void
taught_sync(struct taught *t, bool begin)
{
	struct leg *l, *next_leg;
	struct call *c, *next_call;

	HASH_ITER(hh, t->legs, l, next_leg) {
		if (begin)
			l->named = false;
		else if (!l->named)
			leg_free(t, l);
	}
	HASH_ITER(hh, t->calls, c, next_call) {
		if (begin)
			c->named = false;
		else if (!c->named)
			call_free(t, c);
	}
}

static char *
text(const struct control_bytes *b)
{
	return mem_dup(b->p, b->n);
}

static struct sip_flow
will_flow(const struct control_sip *s)
{
	return (struct sip_flow){ .proto = (enum sip_proto)s->proto,
		.listener = s->listener,
		.conn = s->conn,
		.peer = s->peer };
}

int
taught_call(struct taught *t, const struct control_call *m)
{
	struct call *c = call_find(t, m->call);

	if (c == NULL) {
		if (HASH_COUNT(t->calls) >= TAUGHT_CALLS_MAX)
			return ERR_FULL;
		c = mem_zalloc(sizeof(*c));
		c->pub.number = m->call;
		HASH_ADD(hh, t->calls, pub.number, sizeof(c->pub.number), c);
	} else {
		call_clear(c);
	}
	c->named = true;
	c->pub.call_id = text(&m->call_id);
	c->pub.from = text(&m->from);
	c->pub.to = text(&m->to);
	c->pub.state = m->state;
	c->pub.since_wall_s = m->since_wall_s;
	c->pub.will = m->will.message.n ? mem_dup(m->will.message.p, m->will.message.n) : NULL;
	c->pub.will_len = m->will.message.n;
	c->pub.will_flow = will_flow(&m->will);
	return 0;
}

void
taught_call_end(struct taught *t, uint32_t call)
{
	struct call *c = call_find(t, call);

	if (c != NULL)
		call_free(t, c);
}

static int
leg_open(struct taught *t, struct leg *l, const struct control_leg *m)
{
	struct media_leg_cfg cfg = { .kind = (enum media_kind)m->kind,
		.clock_rate = m->clock_rate,
		.rtp = m->is_rtp,
		.user = l };
	int err;

	if ((err = media_leg_open(t->media, &cfg, m->port, &l->pub.socket)) != 0)
		return err;
	if ((err = media_leg_tunnel(t->media, &cfg, 0, m->leg, &l->pub.tunnel)) != 0) {
		media_leg_close(l->pub.socket);
		return err;
	}
	media_join(l->pub.socket, l->pub.tunnel);
	return 0;
}

static struct leg *
leg_new(struct taught *t, const struct control_leg *m)
{
	struct leg *l = mem_zalloc(sizeof(*l));
	int err;

	l->pub.number = m->leg;
	l->pub.port = m->port;
	if ((err = leg_open(t, l, m)) != 0) {
		mem_free(l);
		log_warn(COMPONENT, "port %u cannot be opened: %s", m->port, err_str(err));
		t->failed(t->arg, m->leg, m->port, err);
		return NULL;
	}
	HASH_ADD(hh, t->legs, pub.number, sizeof(l->pub.number), l);
	return l;
}

int
taught_leg(struct taught *t, const struct control_leg *m)
{
	struct leg *l = leg_find(t, m->leg);

	if (l != NULL && l->pub.port != m->port) {
		leg_free(t, l);
		l = NULL;
	}
	if (l == NULL && (l = leg_new(t, m)) == NULL)
		return 0; /* HRAS was told */
	l->named = true;
	l->pub.call = m->call;
	l->pub.stream = m->stream;
	l->pub.kind = (enum media_kind)m->kind;
	l->pub.far = m->far;
	leg_link(t, l);
	media_leg_remote(l->pub.socket, &m->rtp, &m->rtcp, m->mux, m->latch);
	return 0;
}

void
taught_leg_close(struct taught *t, uint32_t leg)
{
	struct leg *l = leg_find(t, leg);

	if (l != NULL)
		leg_free(t, l);
}

/* -- What is heard -- */

void
taught_heard(struct taught *t, uint32_t leg, const struct heard *h)
{
	struct leg *l = leg_find(t, leg);

	if (l == NULL)
		return;
	heard_add(&t->heard, h, &l->pub.heard_of);
	l->pub.heard_of = *h;
}

struct heard_sum
taught_take_heard(struct taught *t)
{
	struct heard_sum sum = t->heard;

	t->heard = (struct heard_sum){ 0 };
	return sum;
}

void
taught_each_heard(struct taught *t, unsigned part, unsigned parts, taught_heard_cb *cb, void *arg)
{
	struct media_stats s;
	struct leg *l, *next;
	struct heard h;

	HASH_ITER(hh, t->legs, l, next) {
		if (l->pub.number % parts != part)
			continue;
		media_leg_stats(l->pub.tunnel, &s);
		h = media_heard(&s);
		if (h.packets == l->told_packets)
			continue;
		l->told_packets = h.packets;
		cb(arg, l->pub.number, &h);
	}
}

/* -- Facts -- */

uint32_t
taught_leg_number(const void *user)
{
	const struct leg *l = user;

	return l->pub.number;
}

size_t
taught_calls_n(const struct taught *t)
{
	return HASH_COUNT(t->calls);
}

size_t
taught_legs_n(const struct taught *t)
{
	return HASH_COUNT(t->legs);
}

void
taught_each_call(const struct taught *t, taught_call_cb *cb, void *arg)
{
	struct call *c, *next;

	HASH_ITER(hh, t->calls, c, next)
		cb(arg, &c->pub);
}

void
taught_each_unnamed(const struct taught *t, taught_call_cb *cb, void *arg)
{
	struct call *c, *next;

	HASH_ITER(hh, t->calls, c, next)
		if (!c->named)
			cb(arg, &c->pub);
}

size_t
taught_legs(const struct taught *t, uint32_t call, const struct taught_leg **out, size_t cap)
{
	const struct call *c = call_find(t, call);
	size_t n = 0;

	for (const struct leg *l = c ? c->legs : NULL; l != NULL && n < cap; l = l->next)
		out[n++] = &l->pub;
	return n;
}
