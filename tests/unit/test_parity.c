/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "tunnel/parity.h"

enum { SAME, RANDOM, EMPTY_AND_LONGEST, SHAPES };

static unsigned seed = 1;
static struct parity_sum sum;
static uint8_t *body[FRAME_GROUP_MAX]; /* each a block of just its size */
static size_t body_len[FRAME_GROUP_MAX];
static unsigned group_n;

static unsigned
below(unsigned n)
{
	return (unsigned)rand_r(&seed) / 7 % n;
}

static size_t
random_len(int shape, unsigned i)
{
	switch (shape) {
	case SAME:
		return 182;
	case EMPTY_AND_LONGEST:
		return i % 2 == 0 ? FRAME_BODY_FILL : 0;
	default:
		return below(FRAME_BODY_FILL + 1);
	}
}

static void
make_group(unsigned n, int shape, unsigned rows_n)
{
	uint32_t next = below(FRAME_MEDIA_MASK + 1);

	parity_start(&sum, rows_n);
	for (unsigned i = 0; i < n; i++) {
		size_t media_n = 1 + below(255);

		mem_free(body[i]);
		body_len[i] = random_len(shape, i);
		body[i] = mem_alloc(body_len[i]);
		for (size_t k = 0; k < body_len[i]; k++)
			body[i][k] = (uint8_t)below(256);
		assert_int_equal(parity_add(&sum, next, media_n, body[i], body_len[i]), 0);
		next = (next + (uint32_t)media_n) & FRAME_MEDIA_MASK;
	}
	group_n = n;
}

static int
free_bodies(void **state)
{
	(void)state;
	for (size_t i = 0; i < FRAME_GROUP_MAX; i++)
		mem_free(body[i]);
	return 0;
}

/* The group as a receiver has it, all there; the sums are copies of just their size. */
static void
receive_group(struct parity_group *g, uint8_t *sums[PARITY_ROWS])
{
	*g = (struct parity_group){ .batches_n = group_n };
	for (unsigned i = 0; i < group_n; i++)
		g->body[i] = (struct parity_block){ body[i], body_len[i] };
	for (unsigned row = 0; row < PARITY_ROWS; row++) {
		struct frame f;

		sums[row] = NULL;
		if (row >= sum.rows_n)
			continue;
		parity_frame(&sum, row, &f);
		sums[row] = mem_alloc(f.parity.sum_len);
		memcpy(sums[row], f.parity.sum, f.parity.sum_len);
		g->sum[row] = (struct parity_block){ sums[row], f.parity.sum_len };
	}
}

/* Loses item i: a batch, or behind these a sum. */
static void
lose(struct parity_group *g, unsigned i)
{
	if (i < group_n)
		g->body[i].data = NULL;
	else
		g->sum[i - group_n].data = NULL;
}

static void
assert_rebuilt(const struct parity_group *g)
{
	struct parity_rebuilt out[PARITY_ROWS];
	size_t n = 99, k = 0;

	assert_int_equal(parity_solve(g, out, &n), 0);
	for (unsigned i = 0; i < group_n; i++) {
		if (g->body[i].data != NULL)
			continue;
		assert_true(k < n);
		assert_int_equal(out[k].i, i);
		assert_int_equal(out[k].len, body_len[i]);
		assert_memory_equal(out[k].body, body[i], body_len[i]);
		k++;
	}
	assert_int_equal(k, n);
}

static void
lose_two_of_all(unsigned rows_n)
{
	unsigned items_n = group_n + rows_n;

	for (unsigned a = 0; a < items_n; a++)
		for (unsigned b = a; b < items_n; b++) {
			struct parity_group g;
			uint8_t *sums[PARITY_ROWS];

			receive_group(&g, sums);
			lose(&g, a);
			lose(&g, b);
			assert_rebuilt(&g);
			mem_free(sums[0]);
			mem_free(sums[1]);
		}
}

static void
any_two_losses_of_batches_and_sums_are_made_good(void **state)
{
	(void)state;
	for (unsigned n = FRAME_GROUP_MIN; n <= FRAME_GROUP_MAX; n++)
		for (int shape = 0; shape < SHAPES; shape++) {
			make_group(n, shape, 2);
			lose_two_of_all(2);
		}
}

static void
any_one_loss_is_made_good_by_one_sum(void **state)
{
	(void)state;
	for (unsigned n = FRAME_GROUP_MIN; n <= FRAME_GROUP_MAX; n++)
		for (unsigned i = 0; i <= n; i++) {
			struct parity_group g;
			uint8_t *sums[PARITY_ROWS];

			make_group(n, RANDOM, 1);
			receive_group(&g, sums);
			lose(&g, i);
			assert_rebuilt(&g);
			mem_free(sums[0]);
		}
}

static void
assert_incomplete(unsigned a, unsigned b, unsigned c)
{
	struct parity_rebuilt out[PARITY_ROWS];
	uint8_t *sums[PARITY_ROWS];
	struct parity_group g;
	size_t n = 99;

	receive_group(&g, sums);
	lose(&g, a);
	lose(&g, b);
	lose(&g, c);
	assert_int_equal(parity_solve(&g, out, &n), ERR_INCOMPLETE);
	assert_int_equal(n, 99);
	mem_free(sums[0]);
	mem_free(sums[1]);
}

/* At least one of the three is a batch; with both sums lost, one batch is enough. */
static void
three_losses_are_refused(void **state)
{
	(void)state;
	for (unsigned n = FRAME_GROUP_MIN; n <= FRAME_GROUP_MAX; n++) {
		make_group(n, RANDOM, 2);
		for (unsigned a = 0; a < n + 2; a++)
			for (unsigned b = a + 1; b < n + 2; b++)
				for (unsigned c = b + 1; c < n + 2; c++)
					assert_incomplete(a, b, c);
	}
}

/* The product in the field as it is defined, bit by bit. */
static uint8_t
plain_product(unsigned a, unsigned b)
{
	unsigned r = 0;

	for (; b != 0; b >>= 1) {
		if (b & 1)
			r ^= a;
		a <<= 1;
		if (a & 0x100)
			a ^= 0x11d;
	}
	return (uint8_t)r;
}

static uint8_t
byte_of_block(unsigned i, size_t k)
{
	if (k < 2)
		return (uint8_t)(k == 0 ? body_len[i] >> 8 : body_len[i]);
	return k - 2 < body_len[i] ? body[i][k - 2] : 0;
}

static void
the_sums_are_those_of_the_definition(void **state)
{
	(void)state;
	make_group(FRAME_GROUP_MAX, RANDOM, 2);
	for (size_t k = 0; k < sum.len; k++) {
		uint8_t p = 0, q = 0, weight = 1;

		for (unsigned i = 0; i < group_n; i++) {
			p ^= byte_of_block(i, k);
			q ^= plain_product(weight, byte_of_block(i, k));
			weight = plain_product(weight, 2);
		}
		assert_int_equal(sum.row[0][k], p);
		assert_int_equal(sum.row[1][k], q);
	}
}

static void
frames_of_a_group_tell_its_table(void **state)
{
	struct frame f;

	(void)state;
	parity_start(&sum, 2);
	assert_int_equal(parity_add(&sum, 0xfffffe, 3, (const uint8_t *)"abc", 3), 0);
	assert_int_equal(sum.next, 1);
	assert_int_equal(parity_add(&sum, 1, 255, (const uint8_t *)"de", 2), 0);
	parity_frame(&sum, 1, &f);
	assert_int_equal(f.type, FRAME_PARITY);
	assert_int_equal(f.parity.base, 0xfffffe);
	assert_int_equal(f.parity.row, 1);
	assert_int_equal(f.parity.batches_n, 2);
	assert_int_equal(f.parity.media_n[0], 3);
	assert_int_equal(f.parity.media_n[1], 255);
	assert_int_equal(f.parity.sum_len, 5);
	assert_ptr_equal(f.parity.sum, sum.row[1]);
}

static void
what_cannot_be_in_the_group_leaves_it_as_it_was(void **state)
{
	static const uint8_t data[FRAME_BODY_FILL + 1] = { 1, 2, 3 };
	struct parity_sum before;

	(void)state;
	parity_start(&sum, 2);
	assert_int_equal(parity_add(&sum, 7, 1, data, 0), 0);
	before = sum;
	assert_int_equal(parity_add(&sum, 8, 1, data, sizeof(data)), ERR_UNSUPPORTED);
	assert_int_equal(parity_add(&sum, 8, 0, data, 5), ERR_UNSUPPORTED);
	assert_int_equal(parity_add(&sum, 8, 256, data, 5), ERR_UNSUPPORTED);
	assert_int_equal(parity_add(&sum, 9, 1, data, 5), ERR_STATE);
	assert_memory_equal(&sum, &before, sizeof(sum));
	for (uint32_t i = 8; i < 7 + FRAME_GROUP_MAX; i++)
		assert_int_equal(parity_add(&sum, i, 1, data, 5), 0);
	assert_int_equal(parity_add(&sum, 7 + FRAME_GROUP_MAX, 1, data, 5), ERR_FULL);
}

static int
solve_err(const struct parity_group *g)
{
	struct parity_rebuilt out[PARITY_ROWS];
	size_t n;

	return parity_solve(g, out, &n);
}

static void
sums_that_do_not_belong_to_the_bodies_are_malformed(void **state)
{
	static const uint8_t length_only[2] = { 0, 5 }, one[] = { 0, 0, 'x' },
			     long_one[] = { 0, 9, 'a', 'b' }, padded[] = { 0, 1, 'a', 'b' };
	struct parity_group g = { .batches_n = 2, .body = { { one, sizeof(one) } } };

	(void)state;
	g.sum[0] = (struct parity_block){ length_only, 2 };
	assert_int_equal(solve_err(&g), ERR_MALFORMED); /* the body that came is longer */
	g.body[0].len = 0;
	g.sum[0] = (struct parity_block){ long_one, sizeof(long_one) };
	assert_int_equal(solve_err(&g), ERR_MALFORMED); /* the rebuilt one would be longer */
	g.sum[0] = (struct parity_block){ padded, sizeof(padded) };
	assert_int_equal(solve_err(&g), ERR_MALFORMED); /* and this one shorter than its content */
	g.sum[0] = (struct parity_block){ one, 1 };
	assert_int_equal(solve_err(&g), ERR_MALFORMED);
	g.sum[0] = (struct parity_block){ one, PARITY_BLOCK_MAX + 1 };
	assert_int_equal(solve_err(&g), ERR_MALFORMED);
	g.sum[0] = (struct parity_block){ one, sizeof(one) - 1 };
	g.sum[1] = (struct parity_block){ one, sizeof(one) };
	g.body[0].data = NULL;
	assert_int_equal(solve_err(&g), ERR_MALFORMED); /* two sums of different lengths */
	g.sum[1].len--;
	assert_int_equal(solve_err(&g), 0);
}

/* Most garbage has a length that cannot be; the rest is at least within its bounds. */
static void
garbage_never_leaves_its_bounds(void **state)
{
	unsigned malformed_n = 0;

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		struct parity_rebuilt out[PARITY_ROWS];
		uint8_t *sums[PARITY_ROWS];
		struct parity_group g;
		size_t n;
		int err;

		if (round % 50 == 0)
			make_group(2 + below(15), RANDOM, 2);
		receive_group(&g, sums);
		for (unsigned row = 0; row < 2; row++) {
			sums[row][below((unsigned)g.sum[row].len)] ^= (uint8_t)(1 + below(255));
			sums[row][below(2)] ^= (uint8_t)below(256);
		}
		lose(&g, below(group_n));
		lose(&g, below(group_n + 2));
		err = parity_solve(&g, out, &n);
		assert_true(err == 0 || err == ERR_MALFORMED);
		malformed_n += err != 0;
		for (size_t i = 0; err == 0 && i < n; i++)
			assert_true(out[i].len <= FRAME_BODY_FILL);
		mem_free(sums[0]);
		mem_free(sums[1]);
	}
	assert_in_range(malformed_n, 1500, 2000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_two_losses_of_batches_and_sums_are_made_good),
		cmocka_unit_test(any_one_loss_is_made_good_by_one_sum),
		cmocka_unit_test(three_losses_are_refused),
		cmocka_unit_test(the_sums_are_those_of_the_definition),
		cmocka_unit_test(frames_of_a_group_tell_its_table),
		cmocka_unit_test(what_cannot_be_in_the_group_leaves_it_as_it_was),
		cmocka_unit_test(sums_that_do_not_belong_to_the_bodies_are_malformed),
		cmocka_unit_test(garbage_never_leaves_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, free_bodies);
}
