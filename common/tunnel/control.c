/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/control.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * The wire's numbers of address families: 4 and 6 as everybody calls them, 7 for an IPv6 address
 * with its scope, without which a link-local address means nothing to HRAC.
 */
enum { FAMILY_NONE = 0, FAMILY_V4 = 4, FAMILY_V6 = 6, FAMILY_V6_SCOPED = 7 };

#define LEG_MAX (UINT32_MAX / 2) /* leg*2+1 is a channel number */
#define BUSY_MAX 4096            /* a bit for each even port there can be */
#define MOS_MAX 500              /* hundredths */

enum {
	LEG_MUX = 1 << 0,
	LEG_LATCH = 1 << 1,
	LEG_RTP = 1 << 2,
	LEG_FLAGS = LEG_MUX | LEG_LATCH | LEG_RTP,
};

/* -- Decoding: a value outside its range sets the reader's sticky flag -- */

static uint64_t
get_uint(struct wire_read *r, uint64_t max)
{
	uint64_t v = wire_get_varint(r);

	if (v > max)
		r->bad = true;
	return r->bad ? 0 : v;
}

static bool
get_bool(struct wire_read *r)
{
	uint8_t v = wire_get_u8(r);

	if (v > 1)
		r->bad = true;
	return v == 1;
}

static struct control_bytes
get_rest(struct wire_read *r)
{
	struct control_bytes b = { .n = r->bad ? 0 : r->left };

	b.p = wire_get_bytes(r, b.n);
	return b;
}

static struct control_bytes
get_string(struct wire_read *r, size_t max)
{
	size_t n = (size_t)get_uint(r, max);
	const uint8_t *p = wire_get_bytes(r, n);

	return p == NULL ? (struct control_bytes){ 0 } : (struct control_bytes){ p, n };
}

static void
get_v4(struct wire_read *r, struct addr *out)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	const uint8_t *host = wire_get_bytes(r, sizeof(in4.sin_addr));

	if (host == NULL)
		return;
	memcpy(&in4.sin_addr, host, sizeof(in4.sin_addr));
	addr_from_sockaddr((const struct sockaddr *)&in4, out);
}

static void
get_v6(struct wire_read *r, bool scoped, struct addr *out)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	const uint8_t *host = wire_get_bytes(r, sizeof(in6.sin6_addr));

	if (host == NULL)
		return;
	memcpy(&in6.sin6_addr, host, sizeof(in6.sin6_addr));
	in6.sin6_scope_id = scoped ? wire_get_u32(r) : 0;
	/* An IPv4 address has one form here, so that two equal ones compare as equal. */
	if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) || (scoped && in6.sin6_scope_id == 0))
		r->bad = true;
	else
		addr_from_sockaddr((const struct sockaddr *)&in6, out);
}

struct addr
control_get_addr(struct wire_read *r)
{
	struct addr a = { 0 };
	uint8_t family = wire_get_u8(r);

	switch (family) {
	case FAMILY_NONE:
		return a;
	case FAMILY_V4:
		get_v4(r, &a);
		break;
	case FAMILY_V6:
	case FAMILY_V6_SCOPED:
		get_v6(r, family == FAMILY_V6_SCOPED, &a);
		break;
	default:
		r->bad = true;
	}
	if (!r->bad)
		addr_set_port(&a, wire_get_u16(r));
	return a;
}

/* An address that must be there. */
static struct addr
get_set_addr(struct wire_read *r)
{
	struct addr a = control_get_addr(r);

	if (!addr_is_set(&a))
		r->bad = true;
	return a;
}

static int
get_err(struct wire_read *r)
{
	return -(int)get_uint(r, INT8_MAX);
}

static void
get_agent(struct wire_read *r, struct control_agent *a)
{
	a->version = get_string(r, CONTROL_NAME_MAX);
	a->sip_n = (size_t)get_uint(r, CONTROL_LISTEN_MAX);
	for (size_t i = 0; i < a->sip_n; i++) {
		a->sip[i].proto = (enum control_proto)get_uint(r, CONTROL_TLS);
		a->sip[i].addr = get_set_addr(r);
	}
	a->media = get_set_addr(r);
	a->port_min = wire_get_u16(r);
	a->port_max = wire_get_u16(r);
	if (a->port_min > a->port_max)
		r->bad = true;
	a->busy = get_string(r, BUSY_MAX);
}

static void
get_sip(struct wire_read *r, struct control_sip *s)
{
	s->proto = (enum control_proto)get_uint(r, CONTROL_TLS);
	s->listener = (uint8_t)get_uint(r, CONTROL_LISTEN_MAX - 1);
	s->conn = wire_get_varint(r);
	s->peer = get_set_addr(r);
	s->tag = wire_get_varint(r);
	s->message = get_rest(r);
	if (s->message.n == 0)
		r->bad = true;
}

static void
get_call(struct wire_read *r, struct control_call *c)
{
	c->call = (uint32_t)get_uint(r, UINT32_MAX);
	c->call_id = get_string(r, CONTROL_NAME_MAX);
	c->from = get_string(r, CONTROL_NAME_MAX);
	c->to = get_string(r, CONTROL_NAME_MAX);
	c->state = wire_get_u8(r);
	c->since_wall_s = wire_get_varint(r);
	if (get_bool(r))
		get_sip(r, &c->will);
}

static void
get_leg(struct wire_read *r, struct control_leg *l)
{
	uint8_t flags;

	l->leg = (uint32_t)get_uint(r, LEG_MAX);
	l->call = (uint32_t)get_uint(r, UINT32_MAX);
	l->stream = wire_get_u8(r);
	l->kind = wire_get_u8(r);
	l->port = wire_get_u16(r);
	l->rtp = control_get_addr(r);
	l->rtcp = control_get_addr(r);
	l->far = control_get_addr(r);
	flags = wire_get_u8(r);
	l->mux = flags & LEG_MUX;
	l->latch = flags & LEG_LATCH;
	l->is_rtp = flags & LEG_RTP;
	l->clock_rate = (uint32_t)get_uint(r, UINT32_MAX);
	if (l->port == 0 || l->port % 2 != 0 || (flags & ~LEG_FLAGS) != 0)
		r->bad = true;
}

static void
get_heard(struct wire_read *r, struct heard *h)
{
	h->packets = (uint32_t)get_uint(r, UINT32_MAX);
	h->lost = (uint32_t)get_uint(r, UINT32_MAX);
	h->late = (uint32_t)get_uint(r, UINT32_MAX);
	h->runs = (uint32_t)get_uint(r, UINT32_MAX);
	h->run_missed = (uint32_t)get_uint(r, UINT32_MAX);
	h->run_longest = (uint32_t)get_uint(r, UINT32_MAX);
	h->jitter_us = (uint32_t)get_uint(r, UINT32_MAX);
	h->delay_us = (uint32_t)get_uint(r, UINT32_MAX);
	h->mos = (uint16_t)get_uint(r, MOS_MAX);
	h->mos_recent = (uint16_t)get_uint(r, MOS_MAX);
}

static void
get_heard_legs(struct wire_read *r, struct control_heard *h)
{
	while (!r->bad && r->left > 0 && h->n < CONTROL_HEARD_MAX) {
		h->leg[h->n].leg = (uint32_t)get_uint(r, LEG_MAX);
		get_heard(r, &h->leg[h->n++].heard);
	}
	if (h->n == 0)
		r->bad = true;
}

static void
get_payload(struct wire_read *r, struct control *c)
{
	switch (c->type) {
	case CONTROL_AGENT:
		get_agent(r, &c->u.agent);
		break;
	case CONTROL_SIP:
		get_sip(r, &c->u.sip);
		break;
	case CONTROL_SIP_FAILED:
		c->u.sip_failed.tag = wire_get_varint(r);
		c->u.sip_failed.conn = wire_get_varint(r);
		c->u.sip_failed.peer = control_get_addr(r);
		c->u.sip_failed.err = get_err(r);
		break;
	case CONTROL_SIP_CLOSED:
		c->u.sip_closed.conn = wire_get_varint(r);
		break;
	case CONTROL_SYNC:
		c->u.sync.begin = get_bool(r);
		c->u.sync.grace_s = (uint32_t)get_uint(r, UINT32_MAX);
		break;
	case CONTROL_CALL:
		get_call(r, &c->u.call);
		break;
	case CONTROL_CALL_END:
		c->u.call_end.call = (uint32_t)get_uint(r, UINT32_MAX);
		break;
	case CONTROL_LEG:
		get_leg(r, &c->u.leg);
		break;
	case CONTROL_LEG_CLOSE:
		c->u.leg_close.leg = (uint32_t)get_uint(r, LEG_MAX);
		break;
	case CONTROL_LEG_FAILED:
		c->u.leg_failed.leg = (uint32_t)get_uint(r, LEG_MAX);
		c->u.leg_failed.port = wire_get_u16(r);
		c->u.leg_failed.err = get_err(r);
		break;
	case CONTROL_LEG_SOURCE:
		c->u.leg_source.leg = (uint32_t)get_uint(r, LEG_MAX);
		c->u.leg_source.rtcp = get_bool(r);
		c->u.leg_source.source = get_set_addr(r);
		break;
	case CONTROL_HEARD:
		get_heard_legs(r, &c->u.heard);
		break;
	case CONTROL_BANDWIDTH:
		c->u.bandwidth.max_kbit = (uint32_t)get_uint(r, UINT32_MAX);
		break;
	case CONTROL_DATAGRAMS:
		c->u.datagrams.address = get_set_addr(r);
		if (addr_port(&c->u.datagrams.address) == 0)
			r->bad = true;
		break;
	}
}

int
control_decode(uint8_t type, const uint8_t *in, size_t n, struct control *out)
{
	struct wire_read r = wire_reader(in, n);
	struct control c = { .type = (enum control_type)type };

	if (type < CONTROL_AGENT || type > CONTROL_DATAGRAMS)
		return ERR_UNSUPPORTED;
	if (n > CONTROL_MAX)
		return ERR_MALFORMED;
	get_payload(&r, &c);
	if (r.bad || r.left != 0)
		return ERR_MALFORMED;
	*out = c;
	return 0;
}

/* -- Encoding -- */

static void
put_bytes(struct wire_write *w, struct control_bytes b)
{
	wire_put_bytes(w, b.p, b.n);
}

static void
put_string(struct wire_write *w, struct control_bytes b)
{
	wire_put_varint(w, b.n);
	put_bytes(w, b);
}

/* Names are for people: one that is too long is cut, not refused. */
static void
put_name(struct wire_write *w, struct control_bytes b)
{
	if (b.n > CONTROL_NAME_MAX)
		b.n = CONTROL_NAME_MAX;
	put_string(w, b);
}

void
control_put_addr(struct wire_write *w, const struct addr *a)
{
	uint32_t scope;

	if (!addr_is_set(a)) {
		wire_put_u8(w, FAMILY_NONE);
		return;
	}
	if (addr_is_v6(a)) {
		scope = a->u.in6.sin6_scope_id;
		wire_put_u8(w, scope != 0 ? FAMILY_V6_SCOPED : FAMILY_V6);
		wire_put_bytes(w, &a->u.in6.sin6_addr, sizeof(a->u.in6.sin6_addr));
		if (scope != 0)
			wire_put_u32(w, scope);
	} else {
		wire_put_u8(w, FAMILY_V4);
		wire_put_bytes(w, &a->u.in4.sin_addr, sizeof(a->u.in4.sin_addr));
	}
	wire_put_u16(w, addr_port(a));
}

static void
put_err(struct wire_write *w, int err)
{
	wire_put_varint(w, err < 0 && err >= -INT8_MAX ? (uint64_t)-err : 0);
}

static void
put_agent(struct wire_write *w, const struct control_agent *a)
{
	put_name(w, a->version);
	wire_put_varint(w, a->sip_n);
	for (size_t i = 0; i < a->sip_n && i < CONTROL_LISTEN_MAX; i++) {
		wire_put_varint(w, a->sip[i].proto);
		control_put_addr(w, &a->sip[i].addr);
	}
	control_put_addr(w, &a->media);
	wire_put_u16(w, a->port_min);
	wire_put_u16(w, a->port_max);
	put_string(w, a->busy);
}

static void
put_sip(struct wire_write *w, const struct control_sip *s)
{
	wire_put_varint(w, s->proto);
	wire_put_varint(w, s->listener);
	wire_put_varint(w, s->conn);
	control_put_addr(w, &s->peer);
	wire_put_varint(w, s->tag);
	put_bytes(w, s->message);
}

static void
put_call(struct wire_write *w, const struct control_call *c)
{
	wire_put_varint(w, c->call);
	put_name(w, c->call_id);
	put_name(w, c->from);
	put_name(w, c->to);
	wire_put_u8(w, c->state);
	wire_put_varint(w, c->since_wall_s);
	wire_put_u8(w, c->will.message.n != 0);
	if (c->will.message.n != 0)
		put_sip(w, &c->will);
}

static void
put_leg(struct wire_write *w, const struct control_leg *l)
{
	wire_put_varint(w, l->leg);
	wire_put_varint(w, l->call);
	wire_put_u8(w, l->stream);
	wire_put_u8(w, l->kind);
	wire_put_u16(w, l->port);
	control_put_addr(w, &l->rtp);
	control_put_addr(w, &l->rtcp);
	control_put_addr(w, &l->far);
	wire_put_u8(w,
	    (uint8_t)((l->mux ? LEG_MUX : 0) | (l->latch ? LEG_LATCH : 0) |
		(l->is_rtp ? LEG_RTP : 0)));
	wire_put_varint(w, l->clock_rate);
}

static void
put_heard_legs(struct wire_write *w, const struct control_heard *legs)
{
	for (size_t i = 0; i < legs->n && i < CONTROL_HEARD_MAX; i++) {
		const struct heard *h = &legs->leg[i].heard;

		wire_put_varint(w, legs->leg[i].leg);
		wire_put_varint(w, h->packets);
		wire_put_varint(w, h->lost);
		wire_put_varint(w, h->late);
		wire_put_varint(w, h->runs);
		wire_put_varint(w, h->run_missed);
		wire_put_varint(w, h->run_longest);
		wire_put_varint(w, h->jitter_us);
		wire_put_varint(w, h->delay_us);
		wire_put_varint(w, h->mos);
		wire_put_varint(w, h->mos_recent);
	}
}

static void
put_payload(struct wire_write *w, const struct control *c)
{
	switch (c->type) {
	case CONTROL_AGENT:
		put_agent(w, &c->u.agent);
		break;
	case CONTROL_SIP:
		put_sip(w, &c->u.sip);
		break;
	case CONTROL_SIP_FAILED:
		wire_put_varint(w, c->u.sip_failed.tag);
		wire_put_varint(w, c->u.sip_failed.conn);
		control_put_addr(w, &c->u.sip_failed.peer);
		put_err(w, c->u.sip_failed.err);
		break;
	case CONTROL_SIP_CLOSED:
		wire_put_varint(w, c->u.sip_closed.conn);
		break;
	case CONTROL_SYNC:
		wire_put_u8(w, c->u.sync.begin);
		wire_put_varint(w, c->u.sync.grace_s);
		break;
	case CONTROL_CALL:
		put_call(w, &c->u.call);
		break;
	case CONTROL_CALL_END:
		wire_put_varint(w, c->u.call_end.call);
		break;
	case CONTROL_LEG:
		put_leg(w, &c->u.leg);
		break;
	case CONTROL_LEG_CLOSE:
		wire_put_varint(w, c->u.leg_close.leg);
		break;
	case CONTROL_LEG_FAILED:
		wire_put_varint(w, c->u.leg_failed.leg);
		wire_put_u16(w, c->u.leg_failed.port);
		put_err(w, c->u.leg_failed.err);
		break;
	case CONTROL_LEG_SOURCE:
		wire_put_varint(w, c->u.leg_source.leg);
		wire_put_u8(w, c->u.leg_source.rtcp);
		control_put_addr(w, &c->u.leg_source.source);
		break;
	case CONTROL_HEARD:
		put_heard_legs(w, &c->u.heard);
		break;
	case CONTROL_BANDWIDTH:
		wire_put_varint(w, c->u.bandwidth.max_kbit);
		break;
	case CONTROL_DATAGRAMS:
		control_put_addr(w, &c->u.datagrams.address);
		break;
	}
}

int
control_encode(const struct control *c, uint8_t *out, size_t cap, size_t *out_len)
{
	struct wire_write w = wire_writer(out, cap < CONTROL_MAX ? cap : CONTROL_MAX);

	put_payload(&w, c);
	if (w.bad)
		return ERR_TOO_BIG;
	*out_len = w.used;
	return 0;
}
