/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/timers.h"

struct probe {
	struct timer timer;
	struct timers *timers;
	unsigned runs;
	uint64_t ran_us;
	uint64_t again_us;   /* sets itself for this when not 0 */
	struct probe *other; /* clears, or frees when it is itself */
};

static uint64_t order[64];
static size_t order_n;

static void
on_probe(void *arg, uint64_t now_us)
{
	struct probe *p = arg;

	assert_false(timer_is_set(&p->timer));
	p->runs++;
	p->ran_us = now_us;
	if (order_n < 64)
		order[order_n++] = p->timer.due_us;
	if (p->again_us != 0)
		timer_set(p->timers, &p->timer, p->again_us);
	if (p->other == p)
		mem_free(p);
	else if (p->other != NULL)
		timer_clear(p->timers, &p->other->timer);
}

static void
probe_init(struct probe *p, struct timers *t)
{
	memset(p, 0, sizeof(*p));
	timer_init(&p->timer, on_probe, p);
	p->timers = t;
}

static void
timers_run_what_is_due_in_the_order_of_time(void **state)
{
	struct timers *t = timers_new();
	struct probe p[5];
	static const uint64_t due_us[] = { 50, 10, 40, 30, 20 };

	(void)state;
	order_n = 0;
	assert_int_equal(timers_next_us(t), CLOCK_NEVER);
	for (size_t i = 0; i < 5; i++) {
		probe_init(&p[i], t);
		timer_set(t, &p[i].timer, due_us[i]);
	}
	assert_int_equal(timers_next_us(t), 10);
	timers_run(t, 9);
	assert_int_equal(order_n, 0);
	timers_run(t, 30);
	assert_int_equal(order_n, 3);
	assert_int_equal(timers_next_us(t), 40);
	timers_run(t, 1000);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(order[i], 10 * (i + 1));
	assert_int_equal(p[0].ran_us, 1000);
	assert_int_equal(timers_next_us(t), CLOCK_NEVER);
	timers_free(t);
}

static void
timer_set_again_moves_and_cleared_never_runs(void **state)
{
	struct timers *t = timers_new();
	struct probe a, b;

	(void)state;
	probe_init(&a, t);
	probe_init(&b, t);
	timer_clear(t, &a.timer);
	timer_set(t, &a.timer, 10);
	timer_set(t, &b.timer, 20);
	timer_set(t, &a.timer, 30);
	assert_int_equal(timers_next_us(t), 20);
	timer_clear(t, &b.timer);
	timer_clear(t, &b.timer);
	assert_false(timer_is_set(&b.timer));
	assert_true(timer_is_set(&a.timer));
	timers_run(t, 100);
	assert_int_equal(a.runs, 1);
	assert_int_equal(b.runs, 0);
	timers_free(t);
}

static void
timer_that_sets_itself_for_now_runs_once_a_run(void **state)
{
	struct timers *t = timers_new();
	struct probe p;

	(void)state;
	probe_init(&p, t);
	p.again_us = 5;
	timer_set(t, &p.timer, 5);
	for (unsigned i = 1; i <= 10; i++) {
		timers_run(t, 5);
		assert_int_equal(p.runs, i);
		assert_true(timer_is_set(&p.timer));
	}
	timers_free(t);
}

/* One that keeps coming back must not use up the turns of the others. */
static void
timer_set_for_now_during_a_run_does_not_keep_another_waiting(void **state)
{
	struct timers *t = timers_new();
	struct probe eager, other;

	(void)state;
	probe_init(&eager, t);
	probe_init(&other, t);
	eager.again_us = 5;
	timer_set(t, &eager.timer, 5);
	timer_set(t, &other.timer, 6);
	timers_run(t, 10);
	assert_int_equal(eager.runs, 1);
	assert_int_equal(other.runs, 1);
	timers_free(t);
}

static void
timer_set_for_now_during_a_run_can_still_be_moved_and_cleared(void **state)
{
	struct timers *t = timers_new();
	struct probe eager, cleaner;

	(void)state;
	probe_init(&eager, t);
	probe_init(&cleaner, t);
	eager.again_us = 5;
	cleaner.other = &eager;
	timer_set(t, &eager.timer, 5);
	timer_set(t, &cleaner.timer, 6);
	timers_run(t, 10);
	assert_int_equal(eager.runs, 1);
	assert_false(timer_is_set(&eager.timer));
	assert_int_equal(timers_next_us(t), CLOCK_NEVER);
	timer_set(t, &eager.timer, 5);
	timers_run(t, 10);
	timer_set(t, &eager.timer, 50);
	assert_int_equal(timers_next_us(t), 50);
	timers_free(t);
}

static void
callback_may_clear_another_timer_that_is_due_and_free_its_own_object(void **state)
{
	struct timers *t = timers_new();
	struct probe a, b, *gone = mem_alloc(sizeof(*gone));

	(void)state;
	probe_init(&a, t);
	probe_init(&b, t);
	probe_init(gone, t);
	a.other = &b;
	gone->other = gone;
	timer_set(t, &a.timer, 1);
	timer_set(t, &b.timer, 2);
	timer_set(t, &gone->timer, 3);
	timers_run(t, 10);
	assert_int_equal(a.runs, 1);
	assert_int_equal(b.runs, 0);
	assert_int_equal(timers_next_us(t), CLOCK_NEVER);
	timers_free(t);
}

/* The heap against a plain array, under random sets, clears and runs. */
static void
timers_agree_with_a_plain_list_under_random_use(void **state)
{
	enum { N = 200 };
	struct timers *t = timers_new();
	struct probe p[N];
	uint64_t due_us[N], now_us = 0;
	unsigned runs[N] = { 0 }, seed = 5;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		probe_init(&p[i], t);
		due_us[i] = CLOCK_NEVER;
	}
	for (int round = 0; round < 20000; round++) {
		size_t i = (size_t)rand_r(&seed) % N;
		uint64_t next_us = CLOCK_NEVER;

		if (rand_r(&seed) % 3 == 0) {
			timer_clear(t, &p[i].timer);
			due_us[i] = CLOCK_NEVER;
		} else {
			due_us[i] = now_us + (uint64_t)(rand_r(&seed) % 1000);
			timer_set(t, &p[i].timer, due_us[i]);
		}
		if (rand_r(&seed) % 10 == 0) {
			now_us += (uint64_t)(rand_r(&seed) % 500);
			timers_run(t, now_us);
			for (size_t k = 0; k < N; k++) {
				if (due_us[k] > now_us)
					continue;
				due_us[k] = CLOCK_NEVER;
				runs[k]++;
			}
		}
		for (size_t k = 0; k < N; k++)
			if (due_us[k] < next_us)
				next_us = due_us[k];
		assert_int_equal(timers_next_us(t), next_us);
	}
	for (size_t i = 0; i < N; i++)
		assert_int_equal(p[i].runs, runs[i]);
	timers_free(t);
}

static void
freeing_forgets_what_is_set(void **state)
{
	struct timers *t = timers_new();
	struct probe p;

	(void)state;
	probe_init(&p, t);
	timer_set(t, &p.timer, 1);
	timers_free(t);
	assert_false(timer_is_set(&p.timer));
	assert_int_equal(p.runs, 0);
	timers_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_run_what_is_due_in_the_order_of_time),
		cmocka_unit_test(timer_set_again_moves_and_cleared_never_runs),
		cmocka_unit_test(timer_that_sets_itself_for_now_runs_once_a_run),
		cmocka_unit_test(timer_set_for_now_during_a_run_does_not_keep_another_waiting),
		cmocka_unit_test(timer_set_for_now_during_a_run_can_still_be_moved_and_cleared),
		cmocka_unit_test(
		    callback_may_clear_another_timer_that_is_due_and_free_its_own_object),
		cmocka_unit_test(timers_agree_with_a_plain_list_under_random_use),
		cmocka_unit_test(freeing_forgets_what_is_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
