/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_BASE_BUF_H
#define VOFW_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A growing byte queue with a cap: bytes are appended at the end and consumed at the front.
 * Amortised O(1) in both; the bytes are contiguous. Not thread-safe.
 */
struct buf {
	uint8_t *mem;
	size_t off, len, cap; /* the content is mem[off .. off+len) */
	size_t max;           /* len never passes this */
};

void buf_init(struct buf *b, size_t max); /* allocates nothing */
void buf_free(struct buf *b);             /* releases the memory; the buf is empty and usable */
const uint8_t *buf_data(const struct buf *b);
size_t buf_len(const struct buf *b);

/* Copies n bytes to the end. ERR_FULL, and nothing is appended, beyond max. */
int buf_append(struct buf *b, const void *p, size_t n);

/* Room for n more bytes at the end, to be filled and then committed. ERR_FULL beyond max. */
int buf_reserve(struct buf *b, size_t n, uint8_t **room);
void buf_commit(struct buf *b, size_t n);  /* n <= the reserved room */
void buf_consume(struct buf *b, size_t n); /* drops n <= len bytes at the front */
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Reading and writing the wire (big endian). Both have a sticky flag: after the first read past
 * the end (write past the room) every further call does nothing and reads give 0, so that a codec
 * checks once at its end. `wire_read` borrows the bytes until return of the codec.
 */
struct wire_read {
	const uint8_t *p;
	size_t left;
	bool bad;
};
struct wire_write {
	uint8_t *p; /* next byte to write */
	size_t left, used;
	bool bad;
};

struct wire_read wire_reader(const void *p, size_t n);
struct wire_write wire_writer(void *p, size_t n);
uint8_t wire_get_u8(struct wire_read *r);
uint16_t wire_get_u16(struct wire_read *r);
uint32_t wire_get_u32(struct wire_read *r);
uint64_t wire_get_u64(struct wire_read *r);
uint64_t wire_get_varint(struct wire_read *r); /* LEB128, at most 10 bytes; longer sets bad */
const uint8_t *wire_get_bytes(struct wire_read *r, size_t n); /* NULL when short */
void wire_put_u8(struct wire_write *w, uint8_t v);
void wire_put_u16(struct wire_write *w, uint16_t v);
void wire_put_u32(struct wire_write *w, uint32_t v);
void wire_put_u64(struct wire_write *w, uint64_t v);
void wire_put_varint(struct wire_write *w, uint64_t v);
void wire_put_bytes(struct wire_write *w, const void *p, size_t n);
size_t wire_varint_len(uint64_t v);

#endif
