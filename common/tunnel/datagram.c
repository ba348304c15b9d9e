/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/datagram.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "tunnel/control.h"
#include "tunnel/frame.h"

#define VERSION 0x40 /* and in its lowest bit which of two keys */
#define EPOCH 0x01

struct datagram_end {
	enum tunnel_dir writes;
	uint64_t session;
	struct cipher *out[2], *in[2]; /* by the epoch; those of the last one or none */
	unsigned epoch;                /* of what we seal */
	unsigned latest;               /* of the key that was given last */
	uint64_t sent;                 /* number of the last that was sealed */
	uint64_t top, came_n;          /* the highest that came; how many did */
	uint64_t seen[DATAGRAM_WINDOW / 64];
};

uint32_t
datagram_id(uint64_t session)
{
	return (uint32_t)(session >> 32);
}

static struct cipher *
derive(const struct datagram_end *e, enum cipher_kind kind, const uint8_t *key, enum tunnel_dir dir)
{
	return cipher_derive(kind, key,
	    &(struct cipher_use){
		.label = "vofw2 datagrams", .dir = (uint8_t)dir, .session = e->session });
}

static void
take_key(struct datagram_end *e, enum cipher_kind kind, const uint8_t *key)
{
	cipher_free(e->out[e->latest]);
	cipher_free(e->in[e->latest]);
	e->out[e->latest] = derive(e, kind, key, e->writes);
	e->in[e->latest] = derive(e, kind, key, e->writes == TUNNEL_UP ? TUNNEL_DOWN : TUNNEL_UP);
}

struct datagram_end *
datagram_end_new(const struct tunnel_grant *grant, enum tunnel_role role, uint64_t rekeyed)
{
	struct datagram_end *e = mem_zalloc(sizeof(*e));

	e->writes = role == TUNNEL_CLIENT ? TUNNEL_UP : TUNNEL_DOWN;
	e->session = grant->session;
	e->epoch = e->latest = rekeyed % 2;
	take_key(e, grant->cipher, grant->key);
	return e;
}

void
datagram_end_free(struct datagram_end *e)
{
	if (e == NULL)
		return;
	for (size_t i = 0; i < 2; i++) {
		cipher_free(e->out[i]);
		cipher_free(e->in[i]);
	}
	mem_free(e);
}

void
datagram_end_rekey(struct datagram_end *e, enum cipher_kind kind,
    const uint8_t key[static CIPHER_KEY_LEN])
{
	e->latest ^= EPOCH;
	take_key(e, kind, key);
	if (e->writes == TUNNEL_DOWN)
		e->epoch = e->latest;
}

bool
datagram_peek(const uint8_t *in, size_t n, uint32_t *id)
{
	struct wire_read r = wire_reader(in, n);

	if (n <= DATAGRAM_HEADER_LEN || n > DATAGRAM_MAX || (wire_get_u8(&r) & ~EPOCH) != VERSION)
		return false;
	*id = wire_get_u32(&r);
	return true;
}

uint64_t
datagram_seal(struct datagram_end *e, uint8_t *buf, size_t n, size_t *len)
{
	struct wire_write w = wire_writer(buf, DATAGRAM_HEADER_LEN);
	struct cipher *c = e->out[e->epoch];

	e->sent++;
	wire_put_u8(&w, (uint8_t)(VERSION | e->epoch));
	wire_put_u32(&w, datagram_id(e->session));
	wire_put_u32(&w, (uint32_t)e->sent);
	cipher_seal(c, &(struct cipher_message){ e->sent, buf, DATAGRAM_HEADER_LEN },
	    buf + DATAGRAM_HEADER_LEN, n);
	*len = DATAGRAM_HEADER_LEN + n + cipher_tag_len(c);
	return e->sent;
}

/* -- What comes -- */

/* The number with these low bits that is nearest to the next one. */
static uint64_t
whole_number(const struct datagram_end *e, uint32_t low)
{
	uint64_t next = e->top + 1;
	int32_t ahead = (int32_t)(low - (uint32_t)next);

	if (ahead < 0 && next < (uint64_t) - (int64_t)ahead)
		return low;
	return next + (uint64_t)(int64_t)ahead;
}

static uint64_t *
word_of(struct datagram_end *e, uint64_t number)
{
	return &e->seen[number % DATAGRAM_WINDOW / 64];
}

static bool
is_seen(struct datagram_end *e, uint64_t number)
{
	if (number == 0 || number + DATAGRAM_WINDOW <= e->top)
		return true;
	return number <= e->top && (*word_of(e, number) >> number % 64 & 1) != 0;
}

static void
see(struct datagram_end *e, uint64_t number)
{
	if (number > e->top + DATAGRAM_WINDOW)
		memset(e->seen, 0, sizeof(e->seen));
	else
		for (uint64_t i = e->top + 1; i <= number; i++)
			*word_of(e, i) &= ~(1ULL << i % 64);
	*word_of(e, number) |= 1ULL << number % 64;
	if (number > e->top)
		e->top = number;
	e->came_n++;
}

int
datagram_open(struct datagram_end *e, uint8_t *in, size_t n, struct datagram *out)
{
	struct wire_read r = wire_reader(in, n);
	uint8_t *text = in + DATAGRAM_HEADER_LEN;
	unsigned epoch;
	uint64_t number;
	uint32_t id;

	if (!datagram_peek(in, n, &id) || id != datagram_id(e->session))
		return ERR_MALFORMED;
	epoch = wire_get_u8(&r) & EPOCH;
	(void)wire_get_u32(&r);
	/* There was no other key yet; no key is not one that opens everything. */
	if (e->in[epoch] == NULL)
		return ERR_AUTH;
	number = whole_number(e, wire_get_u32(&r));
	if (is_seen(e, number))
		return ERR_EXISTS;
	n -= DATAGRAM_HEADER_LEN;
	if (n < CIPHER_TAG_LEN ||
	    !cipher_open(e->in[epoch], &(struct cipher_message){ number, in, DATAGRAM_HEADER_LEN },
		text, n, text))
		return ERR_AUTH;
	if (epoch == e->latest)
		e->epoch = epoch;
	*out = (struct datagram){ .number = number,
		.newest = number > e->top,
		.batch = text,
		.batch_len = n - cipher_tag_len(e->in[epoch]) };
	see(e, number);
	return 0;
}

void
datagram_came(const struct datagram_end *e, uint64_t *through, uint64_t *missing)
{
	*through = e->top;
	*missing = e->top - e->came_n;
}

/* -- A look at the way -- */

static size_t
write_one(struct datagram_end *e, const struct frame *f, size_t body_max, uint8_t *out)
{
	uint8_t body[FRAME_BODY_MAX], head[FRAME_HEADER_MAX];
	struct wire_write w = wire_writer(body, sizeof(body));
	struct frame_header h = { .has_datagrams = e->top != 0 };
	size_t n, len;

	datagram_came(e, &h.through, &h.missing);
	frame_put(&w, f);
	/* The datagram itself tells how long it is. */
	n = frame_header_put(&h, w.used, head) - FRAME_LENGTH_FIELD;
	if (w.bad || n + w.used > body_max)
		return 0;
	memcpy(out + DATAGRAM_HEADER_LEN, head + FRAME_LENGTH_FIELD, n);
	memcpy(out + DATAGRAM_HEADER_LEN + n, body, w.used);
	datagram_seal(e, out, n + w.used, &len);
	return len;
}

size_t
datagram_ask(struct datagram_end *e, size_t n, uint8_t *out)
{
	static const uint8_t nothing[DATAGRAM_BATCH_MAX];
	struct frame f = { .type = FRAME_PROBE, .data = nothing, .data_len = n };

	return write_one(e, &f, DATAGRAM_BATCH_MAX, out);
}

/* Opens `in` and finds its frame of this type. */
static int
open_one(struct datagram_end *e, uint8_t *in, size_t n, enum frame_type type,
    struct frame_header *h, struct frame *f, struct datagram *d)
{
	struct wire_read body;
	int err = datagram_open(e, in, n, d);

	if (err < 0)
		return err;
	err = frame_content_get(d->batch, d->batch_len, h, &body);
	while (err == 0 && (err = frame_next(&body, f)) == 0)
		if (f->type == type)
			return 0;
	return err;
}

int
datagram_answer(struct datagram_end *e, uint8_t *in, size_t n, const struct addr *from,
    uint8_t *out, size_t *len)
{
	uint8_t mem[DATAGRAM_PROBE_LEN];
	struct wire_write w = wire_writer(mem, sizeof(mem));
	struct frame_header h;
	struct datagram d;
	struct frame f;
	int err = open_one(e, in, n, FRAME_PROBE, &h, &f, &d);

	*len = 0;
	if (err < 0)
		return err == ERR_NOT_FOUND ? 0 : err;
	control_put_addr(&w, from);
	f = (struct frame){ .type = FRAME_ANSWER, .data = mem, .data_len = w.used };
	*len = write_one(e, &f, d.batch_len, out);
	return 0;
}

int
datagram_said(struct datagram_end *e, uint8_t *in, size_t n, struct datagram_said *out)
{
	struct wire_read r;
	struct frame_header h;
	struct datagram d;
	struct frame f;
	int err = open_one(e, in, n, FRAME_ANSWER, &h, &f, &d);

	if (err < 0)
		return err == ERR_NOT_FOUND ? ERR_MALFORMED : err;
	r = wire_reader(f.data, f.data_len);
	out->mapped = control_get_addr(&r);
	out->through = h.through;
	out->missing = h.missing;
	return r.bad || r.left != 0 ? ERR_MALFORMED : 0;
}
