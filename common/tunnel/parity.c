/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/parity.h"

#include <string.h>

#include "base/err.h"

#define POLYNOMIAL 0x1d /* of the field, without x^8 */
#define MEDIA_N_MAX 255

enum { P, Q };

/* -- The field -- */

/* Bytes that are reckoned with together; the compiler makes of it what the machine has. */
#define LANES 16
typedef uint8_t lanes __attribute__((vector_size(LANES)));
typedef int8_t signs __attribute__((vector_size(LANES)));

static inline lanes
load(const uint8_t *p)
{
	lanes v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline lanes
twice(lanes v)
{
	lanes overflow = (lanes)((signs)v < 0);

	return (v + v) ^ (overflow & POLYNOMIAL);
}

/* At most seven doublings, for any c. */
static inline lanes
times(lanes v, unsigned c)
{
	lanes sum = { 0 };

	for (;; v = twice(v)) {
		if (c & 1)
			sum ^= v;
		c >>= 1;
		if (c == 0)
			return sum;
	}
}

/* acc += c * in, byte by byte. */
static void
add_times(uint8_t *acc, const uint8_t *in, size_t n, unsigned c)
{
	lanes v = { 0 };

	for (; n >= LANES; n -= LANES, acc += LANES, in += LANES) {
		v = load(acc) ^ times(load(in), c);
		memcpy(acc, &v, LANES);
	}
	if (n == 0)
		return;
	v = (lanes){ 0 };
	memcpy(&v, in, n);
	v = times(v, c);
	for (size_t i = 0; i < n; i++)
		acc[i] ^= v[i];
}

static unsigned
product(unsigned a, unsigned b)
{
	return times((lanes){ (uint8_t)a }, b)[0];
}

static unsigned
power(unsigned a, unsigned n)
{
	unsigned p = 1;

	for (; n > 0; n--)
		p = product(p, a);
	return p;
}

/* g^i */
static unsigned
weight(unsigned i)
{
	return power(2, i);
}

/* The field has 255 elements besides 0, so that a^255 is 1. */
static unsigned
inverse(unsigned a)
{
	return power(a, 254);
}

/* -- The sender -- */

void
parity_start(struct parity_sum *s, unsigned rows_n)
{
	s->rows_n = rows_n;
	s->batches_n = 0;
	s->len = FRAME_LENGTH_LEN;
	memset(s->row, 0, rows_n * sizeof(s->row[0]));
}

static void
add_block(uint8_t *row, unsigned c, const uint8_t *body, size_t len)
{
	uint8_t length[FRAME_LENGTH_LEN] = { (uint8_t)(len >> 8), (uint8_t)len };

	add_times(row, length, sizeof(length), c);
	add_times(row + sizeof(length), body, len, c);
}

int
parity_add(struct parity_sum *s, uint32_t base, size_t media_n, const uint8_t *body, size_t len)
{
	if (len > FRAME_BODY_FILL || media_n == 0 || media_n > MEDIA_N_MAX)
		return ERR_UNSUPPORTED;
	base &= FRAME_MEDIA_MASK;
	if (s->batches_n == 0)
		s->base = s->next = base;
	if (s->next != base)
		return ERR_STATE;
	if (s->batches_n == FRAME_GROUP_MAX)
		return ERR_FULL;
	add_block(s->row[P], 1, body, len);
	if (s->rows_n > 1)
		add_block(s->row[Q], weight(s->batches_n), body, len);
	if (s->len < FRAME_LENGTH_LEN + len)
		s->len = FRAME_LENGTH_LEN + len;
	s->media_n[s->batches_n++] = (uint8_t)media_n;
	s->next = (base + (uint32_t)media_n) & FRAME_MEDIA_MASK;
	return 0;
}

void
parity_frame(const struct parity_sum *s, unsigned row, struct frame *out)
{
	*out = (struct frame){ .type = FRAME_PARITY,
		.parity = { .base = s->base,
		    .row = (uint8_t)row,
		    .batches_n = (uint8_t)s->batches_n,
		    .sum = s->row[row],
		    .sum_len = s->len } };
	memcpy(out->parity.media_n, s->media_n, s->batches_n);
}

/* -- The receiver -- */

struct lack {
	unsigned n;
	unsigned i[PARITY_ROWS];
};

static int
find_lack(const struct parity_group *g, struct lack *lack)
{
	unsigned sums_n = (g->sum[P].data != NULL) + (g->sum[Q].data != NULL);

	lack->n = 0;
	for (unsigned i = 0; i < g->batches_n; i++) {
		if (g->body[i].data != NULL)
			continue;
		if (lack->n == sums_n)
			return ERR_INCOMPLETE;
		lack->i[lack->n++] = i;
	}
	return 0;
}

/* Takes what came off a sum, so that only what lacks is left in it. */
static int
reduce(const struct parity_group *g, unsigned row, uint8_t rest[PARITY_BLOCK_MAX])
{
	const struct parity_block *sum = &g->sum[row];

	if (sum->len < FRAME_LENGTH_LEN || sum->len > PARITY_BLOCK_MAX)
		return ERR_MALFORMED;
	memcpy(rest, sum->data, sum->len);
	for (unsigned i = 0; i < g->batches_n; i++) {
		const struct parity_block *b = &g->body[i];

		if (b->data == NULL)
			continue;
		if (b->len > sum->len - FRAME_LENGTH_LEN)
			return ERR_MALFORMED;
		add_block(rest, row == P ? 1 : weight(i), b->data, b->len);
	}
	return 0;
}

static void
scale(uint8_t *p, size_t n, unsigned c)
{
	/* c + 1 and not c: the old content stays in the sum. */
	uint8_t copy[PARITY_BLOCK_MAX];

	memcpy(copy, p, n);
	add_times(p, copy, n, c ^ 1);
}

static int
check_block(struct parity_rebuilt *b, unsigned i, size_t block_len)
{
	size_t len = (size_t)b->mem[0] << 8 | b->mem[1];

	if (len > block_len - FRAME_LENGTH_LEN)
		return ERR_MALFORMED;
	for (size_t k = FRAME_LENGTH_LEN + len; k < block_len; k++)
		if (b->mem[k] != 0)
			return ERR_MALFORMED;
	b->i = i;
	b->len = len;
	b->body = b->mem + FRAME_LENGTH_LEN;
	return 0;
}

static int
solve_one(const struct parity_group *g, unsigned i, struct parity_rebuilt *out)
{
	unsigned row = g->sum[P].data != NULL ? P : Q;
	int err = reduce(g, row, out->mem);

	if (err < 0)
		return err;
	if (row == Q)
		scale(out->mem, g->sum[Q].len, inverse(weight(i)));
	return check_block(out, i, g->sum[row].len);
}

/* With p = x + y and q = g^i x + g^k y: x = (q + g^k p) / (g^i + g^k), y = p + x. */
static int
solve_two(const struct parity_group *g, const unsigned i[2], struct parity_rebuilt out[2])
{
	uint8_t *x = out[0].mem, *y = out[1].mem; /* at first q and p */
	size_t len = g->sum[P].len;
	int err;

	if (g->sum[Q].len != len)
		return ERR_MALFORMED;
	err = reduce(g, Q, x);
	if (err == 0)
		err = reduce(g, P, y);
	if (err < 0)
		return err;
	add_times(x, y, len, weight(i[1]));
	scale(x, len, inverse(weight(i[0]) ^ weight(i[1])));
	add_times(y, x, len, 1);
	err = check_block(&out[0], i[0], len);
	return err < 0 ? err : check_block(&out[1], i[1], len);
}

int
parity_solve(const struct parity_group *g, struct parity_rebuilt out[PARITY_ROWS],
    size_t *rebuilt_n)
{
	struct lack lack;
	int err = find_lack(g, &lack);

	if (err == 0 && lack.n == 1)
		err = solve_one(g, lack.i[0], &out[0]);
	if (err == 0 && lack.n == 2)
		err = solve_two(g, lack.i, out);
	if (err == 0)
		*rebuilt_n = lack.n;
	return err;
}
