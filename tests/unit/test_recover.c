/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "tunnel/parity.h"
#include "tunnel/recover.h"

#define FLOW_N 20000 /* batches */

/* A flow of batches, each with a body of its own that its number makes. */
struct sent {
	uint32_t base;
	unsigned media_n;
	unsigned came_n, rebuilt_n;
};

static struct sent flow[FLOW_N];
static struct recover *r;
static struct parity_sum sum;
static unsigned seed;

static unsigned
below(unsigned n)
{
	return (unsigned)rand_r(&seed) / 7 % n;
}

static int
setup(void **state)
{
	(void)state;
	seed = 1;
	r = recover_new(2654435761u);
	recover_expect(r, true);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	recover_free(r);
	return 0;
}

static void
make_flow(uint32_t base, unsigned media_max)
{
	for (size_t i = 0; i < FLOW_N; i++) {
		flow[i] = (struct sent){ .base = base & FRAME_MEDIA_MASK,
			.media_n = 1 + below(media_max) };
		base += flow[i].media_n;
	}
}

static size_t
body_of(size_t i, uint8_t out[FRAME_BODY_FILL])
{
	size_t len = 3 + (i * 7919) % (FRAME_BODY_FILL - 2);

	for (size_t k = 0; k < len; k++)
		out[k] = (uint8_t)(i * 31 + k * (1 + i % 5));
	return len;
}

static void
arrive(size_t i)
{
	uint8_t body[FRAME_BODY_FILL];
	size_t len = body_of(i, body);

	flow[i].came_n++;
	recover_batch(r, flow[i].base, flow[i].media_n, body, len);
}

/* The sums over the batches from the i-th on. */
static void
add_up(size_t i, unsigned batches_n, unsigned rows_n)
{
	uint8_t body[FRAME_BODY_FILL];

	parity_start(&sum, rows_n);
	for (size_t k = i; k < i + batches_n; k++) {
		size_t len = body_of(k, body);

		assert_int_equal(parity_add(&sum, flow[k].base, flow[k].media_n, body, len), 0);
	}
}

static void
arrive_sum(unsigned row)
{
	struct frame f;

	parity_frame(&sum, row, &f);
	recover_parity(r, &f.parity);
}

static size_t
find_sent(uint32_t base, size_t from)
{
	for (size_t i = from; i < FLOW_N; i++)
		if (flow[i].base == base)
			return i;
	fail_msg("%u was never sent", base);
	return 0;
}

/* Takes all that was rebuilt; each is what was sent, and comes once. Returns how many. */
static unsigned
take_rebuilt(size_t from)
{
	const uint8_t *body;
	size_t media_n, len;
	unsigned n = 0;
	uint32_t base;

	while (recover_next(r, &base, &media_n, &body, &len) == 0) {
		size_t i = find_sent(base, from);
		uint8_t expected[FRAME_BODY_FILL];

		assert_int_equal(media_n, flow[i].media_n);
		assert_int_equal(len, body_of(i, expected));
		assert_memory_equal(body, expected, len);
		assert_int_equal(flow[i].rebuilt_n, 0);
		flow[i].rebuilt_n++;
		n++;
	}
	return n;
}

static void
a_batch_that_lacks_is_rebuilt_whatever_comes_last(void **state)
{
	(void)state;
	for (unsigned last = 0; last < 6; last++) { /* a batch, or the sum, which is item 5 */
		size_t lost = (last + 1) % 5;

		/* The numbers wrap behind the first batch. */
		make_flow(FRAME_MEDIA_MASK, 1);
		recover_expect(r, false);
		recover_expect(r, true);
		add_up(0, 5, 1);
		for (unsigned item = 0; item < 6; item++) {
			unsigned k = (last + 1 + item) % 6;

			assert_int_equal(take_rebuilt(0), 0);
			if (k == 5)
				arrive_sum(0);
			else if (k != lost)
				arrive(k);
			else
				continue;
		}
		assert_int_equal(take_rebuilt(0), 1);
		assert_int_equal(flow[lost].rebuilt_n, 1);
	}
	assert_int_equal(recover_stats(r)->rebuilt, 6);
}

static void
two_batches_wait_for_both_sums(void **state)
{
	(void)state;
	make_flow(1000, 20);
	add_up(0, 6, 2);
	arrive(0);
	arrive(2);
	arrive_sum(1);
	arrive(3);
	arrive(5);
	assert_int_equal(take_rebuilt(0), 0);
	arrive_sum(0);
	assert_int_equal(take_rebuilt(0), 2);
	/* All once more, and the lost ones late: nothing is rebuilt again. */
	for (size_t i = 0; i < 6; i++)
		arrive(i);
	arrive_sum(0);
	arrive_sum(1);
	assert_int_equal(take_rebuilt(0), 0);
	assert_int_equal(recover_stats(r)->unneeded, 2);
}

static void
a_repeated_sum_is_no_second_one(void **state)
{
	(void)state;
	make_flow(1000, 20);
	add_up(0, 4, 2);
	arrive(0);
	arrive(1);
	arrive_sum(0);
	arrive_sum(0);
	assert_int_equal(take_rebuilt(0), 0);
	arrive_sum(1);
	assert_int_equal(take_rebuilt(0), 2);
}

static void
what_is_rebuilt_helps_another_group(void **state)
{
	(void)state;
	make_flow(1000, 20);
	/* Two lack of the second group, and one of these is in the first one too. */
	add_up(2, 4, 1);
	arrive_sum(0);
	add_up(0, 4, 1);
	arrive_sum(0);
	arrive(0);
	arrive(1);
	arrive(2);
	arrive(4);
	assert_int_equal(take_rebuilt(0), 2);
}

static void
nothing_is_kept_before_it_is_expected(void **state)
{
	(void)state;
	recover_expect(r, false);
	make_flow(1000, 20);
	arrive(0);
	assert_false(recover_expects(r));
	add_up(0, 2, 1);
	arrive_sum(0);
	assert_true(recover_expects(r));
	assert_int_equal(take_rebuilt(0), 0); /* neither is there */
	arrive(0);
	assert_int_equal(take_rebuilt(0), 1);
	arrive_sum(0);
	recover_expect(r, false);
	assert_int_equal(take_rebuilt(0), 0);
}

static void
groups_that_contradict_the_batches_are_dropped(void **state)
{
	struct frame f;

	(void)state;
	make_flow(1000, 1);
	add_up(0, 4, 2);
	parity_frame(&sum, 0, &f);
	arrive(0);
	/* Another table for a group that waits. */
	recover_parity(r, &f.parity);
	f.parity.row = 1;
	f.parity.media_n[2] = 9;
	recover_parity(r, &f.parity);
	assert_int_equal(recover_stats(r)->malformed, 1);
	/* A batch that is longer than its table says, and one that begins within another. */
	recover_batch(r, flow[1].base, 2, (const uint8_t *)"x", 1);
	assert_int_equal(recover_stats(r)->malformed, 2);
	f.parity.media_n[0] = 7;
	recover_parity(r, &f.parity);
	assert_int_equal(recover_stats(r)->malformed, 3);
	f.parity.base = flow[100].base;
	recover_parity(r, &f.parity);
	recover_batch(r, f.parity.base + 3, 1, (const uint8_t *)"x", 1);
	assert_int_equal(recover_stats(r)->malformed, 4);
	assert_int_equal(take_rebuilt(0), 0);
	/* A sum longer than that of any body that may be in a group. */
	f.parity.sum_len = PARITY_BLOCK_MAX + 1;
	recover_parity(r, &f.parity);
	assert_int_equal(recover_stats(r)->malformed, 5);
	/* And one that does not fit what came. */
	add_up(200, 2, 1);
	sum.row[0][0] ^= 0x80;
	arrive(200);
	arrive_sum(0);
	assert_int_equal(take_rebuilt(0), 0);
	assert_int_equal(recover_stats(r)->malformed, 6);
	assert_int_equal(recover_stats(r)->rebuilt, 0);
}

static void
a_lost_batch_that_came_wrong_first_is_taken_as_it_came_last(void **state)
{
	uint8_t wrong[FRAME_BODY_FILL] = { 0 };

	(void)state;
	make_flow(1000, 1);
	recover_batch(r, flow[0].base, 1, wrong, sizeof(wrong));
	arrive(0);
	add_up(0, 2, 1);
	arrive_sum(0);
	assert_int_equal(take_rebuilt(0), 1);
}

static void
the_oldest_group_makes_room(void **state)
{
	(void)state;
	make_flow(1000, 3);
	for (size_t g = 0; g <= 64; g++) {
		add_up(g * 2, 2, 1);
		arrive_sum(0);
	}
	assert_int_equal(recover_stats(r)->given_up, 1);
	arrive(0);
	assert_int_equal(take_rebuilt(0), 0);
	for (size_t g = 1; g <= 64; g++)
		arrive(g * 2);
	assert_int_equal(take_rebuilt(0), 64);
	/* Whole groups do not push out those that wait. */
	for (size_t g = 100; g < 164; g++) {
		add_up(g * 2, 2, 1);
		arrive_sum(0);
	}
	for (size_t g = 10; g < 20; g++) {
		add_up(g * 2, 2, 1);
		arrive_sum(0);
	}
	assert_int_equal(recover_stats(r)->given_up, 1);
}

static void
batches_pushed_out_cannot_be_used(void **state)
{
	(void)state;
	make_flow(1000, 3);
	add_up(0, 3, 1);
	arrive(0);
	arrive_sum(0);
	for (size_t i = 10; i < 522; i++)
		arrive(i);
	arrive(1);
	assert_int_equal(take_rebuilt(0), 0);
	assert_int_equal(recover_stats(r)->given_up, 1);
}

/* -- Random loss, against what was sent and lost -- */

#define WINDOW 40 /* items that change places */

struct item {
	bool lost, is_sum;
	size_t at; /* batch, or the first of the group */
	unsigned batches_n, rows_n, row;
	uint64_t due;
};

static struct item items[FLOW_N * 2];

static int
by_due(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return (x->due > y->due) - (x->due < y->due);
}

/* Sends the flow in groups; returns how many lost batches can be rebuilt. */
static unsigned
send_flow(unsigned rows_n, unsigned permille, size_t *items_n)
{
	unsigned rebuildable = 0;
	size_t n = 0;

	for (size_t at = 0; at + FRAME_GROUP_MAX <= FLOW_N;) {
		unsigned batches_n = 2 + below(FRAME_GROUP_MAX - 1), lost_n = 0, sums_n = 0;

		for (unsigned k = 0; k < batches_n + rows_n; k++) {
			struct item *i = &items[n];

			*i = (struct item){ .at = at,
				.batches_n = batches_n,
				.rows_n = rows_n,
				.lost = below(1000) < permille,
				.due = n + below(WINDOW) };
			i->is_sum = k >= batches_n;
			i->row = i->is_sum ? k - batches_n : 0;
			i->at += i->is_sum ? 0 : k;
			lost_n += !i->is_sum && i->lost;
			sums_n += i->is_sum && !i->lost;
			n++;
		}
		rebuildable += lost_n <= sums_n ? lost_n : 0;
		at += batches_n;
	}
	qsort(items, n, sizeof(items[0]), by_due);
	*items_n = n;
	return rebuildable;
}

static void
random_loss(unsigned rows_n, unsigned permille)
{
	unsigned expected, n = 0;
	size_t items_n;

	make_flow(FRAME_MEDIA_MASK - 5000, 8);
	expected = send_flow(rows_n, permille, &items_n);
	for (size_t k = 0; k < items_n; k++) {
		struct item *i = &items[k];

		if (i->lost)
			continue;
		if (i->is_sum) {
			add_up(i->at, i->batches_n, i->rows_n);
			arrive_sum(i->row);
		} else {
			arrive(i->at);
		}
		n += take_rebuilt(i->at > 200 ? i->at - 200 : 0);
	}
	/* What came late, after it was rebuilt, adds to those that had to be. */
	for (size_t i = 0; i < FLOW_N; i++)
		if (flow[i].rebuilt_n > 0 && flow[i].came_n > 0)
			n--;
	assert_int_equal(n, expected);
	assert_int_equal(recover_stats(r)->malformed, 0);
}

static void
all_that_can_be_is_rebuilt_at_any_loss(void **state)
{
	static const unsigned permille[] = { 0, 5, 20, 50, 150, 400 };

	(void)state;
	for (unsigned rows_n = 1; rows_n <= 2; rows_n++)
		for (size_t i = 0; i < sizeof(permille) / sizeof(permille[0]); i++) {
			recover_free(r);
			r = recover_new(2654435761u);
			recover_expect(r, true);
			random_loss(rows_n, permille[i]);
		}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_batch_that_lacks_is_rebuilt_whatever_comes_last),
		TEST(two_batches_wait_for_both_sums),
		TEST(a_repeated_sum_is_no_second_one),
		TEST(what_is_rebuilt_helps_another_group),
		TEST(nothing_is_kept_before_it_is_expected),
		TEST(groups_that_contradict_the_batches_are_dropped),
		TEST(a_lost_batch_that_came_wrong_first_is_taken_as_it_came_last),
		TEST(the_oldest_group_makes_room),
		TEST(batches_pushed_out_cannot_be_used),
		TEST(all_that_can_be_is_rebuilt_at_any_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
