/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define CAP_MIN 256

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void
buf_free(struct buf *b)
{
	mem_free(b->mem);
	buf_init(b, b->max);
}

const uint8_t *
buf_data(const struct buf *b)
{
	return b->len == 0 ? b->mem : b->mem + b->off;
}

size_t
buf_len(const struct buf *b)
{
	return b->len;
}

/*
 * Moving the content to the front is paid for by the bytes consumed since the last move only if
 * these are at least as many; else a block with twice the room needed is taken instead.
 */
static void
make_room(struct buf *b, size_t n)
{
	uint8_t *mem;
	size_t cap;

	if (b->off + b->len + n <= b->cap)
		return;
	if (b->len + n <= b->cap && b->off >= b->len) {
		memmove(b->mem, b->mem + b->off, b->len);
		b->off = 0;
		return;
	}
	cap = 2 * (b->len + n);
	if (cap < CAP_MIN)
		cap = CAP_MIN;
	mem = mem_alloc(cap);
	if (b->len != 0)
		memcpy(mem, b->mem + b->off, b->len);
	mem_free(b->mem);
	b->mem = mem;
	b->cap = cap;
	b->off = 0;
}

int
buf_reserve(struct buf *b, size_t n, uint8_t **room)
{
	if (n > b->max - b->len)
		return ERR_FULL;
	make_room(b, n);
	*room = b->mem == NULL ? NULL : b->mem + b->off + b->len;
	return 0;
}

void
buf_commit(struct buf *b, size_t n)
{
	b->len += n;
}

int
buf_append(struct buf *b, const void *p, size_t n)
{
	uint8_t *room;
	int err = buf_reserve(b, n, &room);

	if (err == 0 && n != 0) {
		memcpy(room, p, n);
		buf_commit(b, n);
	}
	return err;
}

void
buf_consume(struct buf *b, size_t n)
{
	b->len -= n;
	b->off = b->len == 0 ? 0 : b->off + n;
}

int
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	uint8_t *room;
	int n, err;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return ERR_MALFORMED;
	/* vsnprintf also writes a NUL, so the room has a byte that is never committed. */
	if ((size_t)n > b->max - b->len)
		return ERR_FULL;
	make_room(b, (size_t)n + 1);
	room = b->mem + b->off + b->len;
	va_start(ap, fmt);
	err = vsnprintf((char *)room, (size_t)n + 1, fmt, ap);
	va_end(ap);
	if (err != n)
		return ERR_MALFORMED;
	buf_commit(b, (size_t)n);
	return 0;
}

struct wire_read
wire_reader(const void *p, size_t n)
{
	return (struct wire_read){ .p = p, .left = n };
}

struct wire_write
wire_writer(void *p, size_t n)
{
	return (struct wire_write){ .p = p, .left = n };
}

const uint8_t *
wire_get_bytes(struct wire_read *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || n > r->left) {
		r->bad = true;
		return NULL;
	}
	if (n != 0)
		r->p += n;
	r->left -= n;
	return p;
}

static uint64_t
get_be(struct wire_read *r, size_t n)
{
	const uint8_t *p = wire_get_bytes(r, n);
	uint64_t v = 0;

	for (size_t i = 0; p != NULL && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

uint8_t
wire_get_u8(struct wire_read *r)
{
	return (uint8_t)get_be(r, 1);
}

uint16_t
wire_get_u16(struct wire_read *r)
{
	return (uint16_t)get_be(r, 2);
}

uint32_t
wire_get_u32(struct wire_read *r)
{
	return (uint32_t)get_be(r, 4);
}

uint64_t
wire_get_u64(struct wire_read *r)
{
	return get_be(r, 8);
}

uint64_t
wire_get_varint(struct wire_read *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint64_t byte = wire_get_u8(r);

		/* The tenth byte has room for one bit only. */
		if (shift == 63 && byte > 1)
			r->bad = true;
		if (r->bad)
			return 0;
		v |= (byte & 0x7f) << shift;
		if (byte < 0x80)
			break;
	}
	return v;
}

/* The place of n bytes, or NULL with the flag set: a write is whole or not at all. */
static uint8_t *
put_room(struct wire_write *w, size_t n)
{
	uint8_t *p = w->p;

	if (w->bad || n > w->left) {
		w->bad = true;
		return NULL;
	}
	if (n != 0)
		w->p += n;
	w->left -= n;
	w->used += n;
	return p;
}

static void
put_be(struct wire_write *w, uint64_t v, size_t n)
{
	uint8_t *p = put_room(w, n);

	for (; p != NULL && n > 0; n--, v >>= 8)
		p[n - 1] = (uint8_t)v;
}

void
wire_put_u8(struct wire_write *w, uint8_t v)
{
	put_be(w, v, 1);
}

void
wire_put_u16(struct wire_write *w, uint16_t v)
{
	put_be(w, v, 2);
}

void
wire_put_u32(struct wire_write *w, uint32_t v)
{
	put_be(w, v, 4);
}

void
wire_put_u64(struct wire_write *w, uint64_t v)
{
	put_be(w, v, 8);
}

void
wire_put_varint(struct wire_write *w, uint64_t v)
{
	uint8_t *p = put_room(w, wire_varint_len(v));

	if (p == NULL)
		return;
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p = (uint8_t)v;
}

void
wire_put_bytes(struct wire_write *w, const void *p, size_t n)
{
	uint8_t *room = put_room(w, n);

	if (room != NULL && n != 0)
		memcpy(room, p, n);
}

size_t
wire_varint_len(uint64_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}
