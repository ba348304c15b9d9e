/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/frame.h"

#include <string.h>

#include "base/err.h"

#define MAGIC 0x5646 /* "VF" */
#define VERSION 1

enum {
	FLAG_ACKS = 1 << 0,
	FLAG_RELIABLE = 1 << 1,
	FLAG_MEDIA = 1 << 2,
	FLAG_BUSY = 1 << 3,
	FLAG_REPORT = 1 << 4,
	FLAG_DATAGRAMS = 1 << 5,
	FLAGS = FLAG_ACKS | FLAG_RELIABLE | FLAG_MEDIA | FLAG_BUSY | FLAG_REPORT | FLAG_DATAGRAMS,
};

#define REPORT_RESERVED 0x80

void
frame_preamble_put(enum tunnel_dir dir, uint32_t serial, uint8_t out[FRAME_PREAMBLE_LEN])
{
	struct wire_write w = wire_writer(out, FRAME_PREAMBLE_LEN);

	wire_put_u16(&w, MAGIC);
	wire_put_u8(&w, VERSION);
	wire_put_u8(&w, (uint8_t)dir);
	wire_put_u32(&w, serial);
}

int
frame_preamble_check(enum tunnel_dir dir, uint32_t serial, const uint8_t in[FRAME_PREAMBLE_LEN])
{
	uint8_t expected[FRAME_PREAMBLE_LEN];

	frame_preamble_put(dir, serial, expected);
	return memcmp(in, expected, sizeof(expected)) == 0 ? 0 : ERR_MALFORMED;
}

static uint8_t
flags_of(const struct frame_header *h)
{
	return (uint8_t)((h->acks_n != 0 ? FLAG_ACKS : 0) | (h->has_reliable ? FLAG_RELIABLE : 0) |
	    (h->has_media ? FLAG_MEDIA : 0) | (h->busy ? FLAG_BUSY : 0) |
	    (h->report != 0 ? FLAG_REPORT : 0) | (h->has_datagrams ? FLAG_DATAGRAMS : 0));
}

static void
put_u24(struct wire_write *w, uint32_t v)
{
	wire_put_u8(w, (uint8_t)(v >> 16));
	wire_put_u16(w, (uint16_t)v);
}

size_t
frame_header_put(const struct frame_header *h, size_t body_len, uint8_t out[FRAME_HEADER_MAX])
{
	struct wire_write w = wire_writer(out, FRAME_HEADER_MAX);

	wire_put_u16(&w, 0);
	wire_put_u8(&w, flags_of(h));
	if (h->acks_n != 0) {
		wire_put_u8(&w, (uint8_t)h->acks_n);
		for (size_t i = 0; i < h->acks_n; i++) {
			wire_put_varint(&w, h->acks[i].serial);
			wire_put_varint(&w, h->acks[i].batches_n);
		}
	}
	if (h->has_reliable)
		wire_put_varint(&w, h->reliable_next);
	if (h->has_media)
		put_u24(&w, h->media_base);
	if (h->report != 0)
		wire_put_u8(&w, h->report);
	if (h->has_datagrams) {
		wire_put_varint(&w, h->through);
		wire_put_varint(&w, h->missing);
	}
	/* The length is known only now. */
	body_len += w.used - FRAME_LENGTH_FIELD;
	out[0] = (uint8_t)(body_len >> 8);
	out[1] = (uint8_t)body_len;
	return w.used;
}

static void
get_acks(struct wire_read *r, struct frame_header *h)
{
	h->acks_n = wire_get_u8(r);
	if (h->acks_n == 0 || h->acks_n > FRAME_ACKS_MAX) {
		r->bad = true;
		return;
	}
	for (size_t i = 0; i < h->acks_n; i++) {
		uint64_t serial = wire_get_varint(r);

		h->acks[i].serial = (uint32_t)serial;
		h->acks[i].batches_n = wire_get_varint(r);
		if (serial > UINT32_MAX)
			r->bad = true;
	}
}

static uint32_t
get_u24(struct wire_read *r)
{
	uint32_t high = wire_get_u8(r);

	return high << 16 | wire_get_u16(r);
}

static void
get_datagrams(struct wire_read *r, struct frame_header *h)
{
	h->through = wire_get_varint(r);
	h->missing = wire_get_varint(r);
	if (h->missing > h->through)
		r->bad = true;
}

static int
header_get(struct wire_read *r, struct frame_header *h)
{
	uint8_t flags = wire_get_u8(r);

	h->busy = flags & FLAG_BUSY;
	h->has_reliable = flags & FLAG_RELIABLE;
	h->has_media = flags & FLAG_MEDIA;
	h->acks_n = 0;
	if (flags & FLAG_ACKS)
		get_acks(r, h);
	if (h->has_reliable)
		h->reliable_next = wire_get_varint(r);
	if (h->has_media)
		h->media_base = get_u24(r);
	h->report = 0;
	if (flags & FLAG_REPORT)
		h->report = wire_get_u8(r);
	h->has_datagrams = flags & FLAG_DATAGRAMS;
	if (h->has_datagrams)
		get_datagrams(r, h);
	if ((h->report & REPORT_RESERVED) != 0)
		return ERR_MALFORMED;
	return r->bad || (flags & ~FLAGS) != 0 ? ERR_MALFORMED : 0;
}

int
frame_batch_split(const uint8_t *in, size_t n, size_t *batch_len)
{
	size_t len;

	if (n < FRAME_LENGTH_FIELD)
		return ERR_INCOMPLETE;
	len = (size_t)in[0] << 8 | in[1];
	if (len == 0 || len > FRAME_BATCH_MAX - FRAME_LENGTH_FIELD)
		return ERR_MALFORMED;
	if (n < FRAME_LENGTH_FIELD + len)
		return ERR_INCOMPLETE;
	*batch_len = FRAME_LENGTH_FIELD + len;
	return 0;
}

int
frame_content_get(const uint8_t *in, size_t n, struct frame_header *header, struct wire_read *body)
{
	*body = wire_reader(in, n);
	return header_get(body, header);
}

int
frame_batch_get(const uint8_t *in, size_t n, struct frame_header *header, struct wire_read *body,
    size_t *batch_len)
{
	size_t len;
	int err;

	err = frame_batch_split(in, n, &len);
	if (err < 0)
		return err;
	*batch_len = len;
	return frame_content_get(in + FRAME_LENGTH_FIELD, len - FRAME_LENGTH_FIELD, header, body);
}

static void
get_rest(struct wire_read *r, struct frame *f)
{
	f->data_len = r->left;
	f->data = wire_get_bytes(r, r->left);
}

static void
get_media(struct wire_read *r, struct frame *f)
{
	uint64_t channel = wire_get_varint(r);

	f->channel = (uint32_t)channel;
	if (channel > UINT32_MAX)
		r->bad = true;
	get_rest(r, f);
}

static void
get_repeat(struct wire_read *r, struct frame *f)
{
	f->back = wire_get_u8(r);
	if (f->back == 0)
		r->bad = true;
	get_media(r, f);
}

static void
get_parity(struct wire_read *r, struct frame_parity *p)
{
	p->base = get_u24(r);
	p->row = wire_get_u8(r);
	p->batches_n = wire_get_u8(r);
	if (p->row > 1 || p->batches_n < FRAME_GROUP_MIN || p->batches_n > FRAME_GROUP_MAX) {
		r->bad = true;
		return;
	}
	for (size_t i = 0; i < p->batches_n; i++) {
		p->media_n[i] = wire_get_u8(r);
		if (p->media_n[i] == 0)
			r->bad = true;
	}
	p->sum_len = r->left;
	p->sum = wire_get_bytes(r, r->left);
	if (p->sum_len < FRAME_LENGTH_LEN || p->sum_len > FRAME_SUM_MAX)
		r->bad = true;
}

static void
get_reliable(struct wire_read *r, struct frame *f)
{
	f->number = wire_get_varint(r);
	f->bits = wire_get_u8(r);
	if ((f->bits & ~(FRAME_FIRST | FRAME_LAST)) != 0)
		r->bad = true;
	f->kind = f->bits & FRAME_FIRST ? wire_get_u8(r) : 0;
	get_rest(r, f);
	if (f->data_len > FRAME_FRAGMENT_MAX)
		r->bad = true;
}

static void
get_ping(struct wire_read *r, struct frame *f)
{
	uint64_t srtt_us;

	f->stamp = wire_get_u32(r);
	srtt_us = wire_get_varint(r);
	f->srtt_us = (uint32_t)srtt_us;
	if (srtt_us > UINT32_MAX)
		r->bad = true;
}

static int
get_payload(struct wire_read *r, struct frame *f)
{
	switch (f->type) {
	case FRAME_MEDIA:
		get_media(r, f);
		break;
	case FRAME_RELIABLE:
		get_reliable(r, f);
		break;
	case FRAME_PING:
		get_ping(r, f);
		break;
	case FRAME_PONG:
		f->stamp = wire_get_u32(r);
		break;
	case FRAME_END:
		break;
	case FRAME_PARITY:
		get_parity(r, &f->parity);
		break;
	case FRAME_REPEAT:
		get_repeat(r, f);
		break;
	case FRAME_PROBE:
	case FRAME_ANSWER:
		get_rest(r, f);
		break;
	default:
		return ERR_MALFORMED;
	}
	return r->bad || r->left != 0 ? ERR_MALFORMED : 0;
}

int
frame_next(struct wire_read *body, struct frame *out)
{
	while (body->left != 0) {
		uint8_t type = wire_get_u8(body);
		uint64_t len = wire_get_varint(body);
		const uint8_t *p;
		struct wire_read r;

		if (body->bad || len > body->left)
			return ERR_MALFORMED;
		p = wire_get_bytes(body, (size_t)len);
		if (type >= FRAME_EXTENSION)
			continue;
		r = wire_reader(p, (size_t)len);
		out->type = (enum frame_type)type;
		return get_payload(&r, out);
	}
	return ERR_NOT_FOUND;
}

size_t
frame_media_len(uint32_t channel, size_t n)
{
	size_t payload = wire_varint_len(channel) + n;

	return 1 + wire_varint_len(payload) + payload;
}

static uint8_t *
put_varint(uint8_t *p, uint32_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

size_t
frame_media_put(uint32_t channel, const void *data, size_t n, uint8_t *out)
{
	uint8_t *p = out;

	*p++ = FRAME_MEDIA;
	p = put_varint(p, (uint32_t)(wire_varint_len(channel) + n));
	p = put_varint(p, channel);
	memcpy(p, data, n);
	return (size_t)(p - out) + n;
}

size_t
frame_repeat_len(uint32_t channel, size_t n)
{
	size_t payload = 1 + wire_varint_len(channel) + n;

	return 1 + wire_varint_len(payload) + payload;
}

size_t
frame_repeat_put(uint8_t back, uint32_t channel, const void *data, size_t n, uint8_t *out)
{
	uint8_t *p = out;

	*p++ = FRAME_REPEAT;
	p = put_varint(p, (uint32_t)(1 + wire_varint_len(channel) + n));
	*p++ = back;
	p = put_varint(p, channel);
	memcpy(p, data, n);
	return (size_t)(p - out) + n;
}

static void
put_parity(struct wire_write *w, const struct frame_parity *p)
{
	put_u24(w, p->base);
	wire_put_u8(w, p->row);
	wire_put_u8(w, p->batches_n);
	wire_put_bytes(w, p->media_n, p->batches_n);
	wire_put_bytes(w, p->sum, p->sum_len);
}

static void
put_payload(struct wire_write *w, const struct frame *f)
{
	switch (f->type) {
	case FRAME_RELIABLE:
		wire_put_varint(w, f->number);
		wire_put_u8(w, f->bits);
		if (f->bits & FRAME_FIRST)
			wire_put_u8(w, f->kind);
		wire_put_bytes(w, f->data, f->data_len);
		break;
	case FRAME_PING:
		wire_put_u32(w, f->stamp);
		wire_put_varint(w, f->srtt_us);
		break;
	case FRAME_PONG:
		wire_put_u32(w, f->stamp);
		break;
	case FRAME_PARITY:
		put_parity(w, &f->parity);
		break;
	case FRAME_REPEAT:
		wire_put_u8(w, f->back);
		/* fall through */
	case FRAME_MEDIA:
		wire_put_varint(w, f->channel);
		wire_put_bytes(w, f->data, f->data_len);
		break;
	case FRAME_PROBE:
	case FRAME_ANSWER:
		wire_put_bytes(w, f->data, f->data_len);
		break;
	case FRAME_END:
	case FRAME_EXTENSION:
		break;
	}
}

void
frame_put(struct wire_write *w, const struct frame *f)
{
	uint8_t mem[FRAME_BODY_MAX];
	struct wire_write payload = wire_writer(mem, sizeof(mem));

	put_payload(&payload, f);
	if (payload.bad) {
		w->bad = true;
		return;
	}
	wire_put_u8(w, (uint8_t)f->type);
	wire_put_varint(w, payload.used);
	wire_put_bytes(w, mem, payload.used);
}
