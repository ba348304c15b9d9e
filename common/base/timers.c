/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/timers.h"

#include "base/clock.h"
#include "base/mem.h"

/*
 * A binary heap, 1-based: the parent of slot i is i/2. `slot` in each timer is kept true. What a
 * callback sets for a time that is due already stands in `later` until the run is over, with
 * slot = LATER + its place; in the heap it would come up again at once and keep the others waiting.
 */
struct timers {
	struct timer **heap;
	size_t n, cap;
	struct timer **later; /* NULL where one was cleared */
	size_t later_n, later_cap;
	bool running;
	uint64_t run_us;
};

#define LATER (SIZE_MAX / 2)

struct timers *
timers_new(void)
{
	return mem_zalloc(sizeof(struct timers));
}

void
timers_free(struct timers *t)
{
	if (t == NULL)
		return;
	for (size_t i = 1; i <= t->n; i++)
		t->heap[i]->slot = 0;
	mem_free(t->heap);
	mem_free(t->later);
	mem_free(t);
}

void
timer_init(struct timer *timer, timer_cb *cb, void *arg)
{
	*timer = (struct timer){ .cb = cb, .arg = arg };
}

bool
timer_is_set(const struct timer *timer)
{
	return timer->slot != 0;
}

static void
place(struct timers *t, struct timer *timer, size_t slot)
{
	t->heap[slot] = timer;
	timer->slot = slot;
}

static void
sift_up(struct timers *t, struct timer *timer, size_t slot)
{
	while (slot > 1 && t->heap[slot / 2]->due_us > timer->due_us) {
		place(t, t->heap[slot / 2], slot);
		slot /= 2;
	}
	place(t, timer, slot);
}

static void
sift_down(struct timers *t, struct timer *timer, size_t slot)
{
	size_t child;

	while ((child = slot * 2) <= t->n) {
		if (child < t->n && t->heap[child + 1]->due_us < t->heap[child]->due_us)
			child++;
		if (t->heap[child]->due_us >= timer->due_us)
			break;
		place(t, t->heap[child], slot);
		slot = child;
	}
	place(t, timer, slot);
}

void
timer_clear(struct timers *t, struct timer *timer)
{
	size_t slot = timer->slot;
	struct timer *last;

	if (slot == 0)
		return;
	timer->slot = 0;
	if (slot >= LATER) {
		t->later[slot - LATER] = NULL;
		return;
	}
	last = t->heap[t->n--];
	if (last == timer)
		return;
	if (slot > 1 && t->heap[slot / 2]->due_us > last->due_us)
		sift_up(t, last, slot);
	else
		sift_down(t, last, slot);
}

static void
insert(struct timers *t, struct timer *timer)
{
	if (t->n + 1 >= t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->heap = mem_realloc(t->heap, t->cap * sizeof(*t->heap));
	}
	t->n++;
	sift_up(t, timer, t->n);
}

static void
insert_later(struct timers *t, struct timer *timer)
{
	if (t->later_n == t->later_cap) {
		t->later_cap = t->later_cap ? t->later_cap * 2 : 16;
		t->later = mem_realloc(t->later, t->later_cap * sizeof(struct timer *));
	}
	timer->slot = LATER + t->later_n;
	t->later[t->later_n++] = timer;
}

void
timer_set(struct timers *t, struct timer *timer, uint64_t due_us)
{
	timer_clear(t, timer);
	timer->due_us = due_us;
	if (t->running && due_us <= t->run_us)
		insert_later(t, timer);
	else
		insert(t, timer);
}

uint64_t
timers_next_us(const struct timers *t)
{
	if (t->later_n > 0)
		return t->run_us;
	return t->n ? t->heap[1]->due_us : CLOCK_NEVER;
}

void
timers_run(struct timers *t, uint64_t now_us)
{
	struct timer *timer;

	t->running = true;
	t->run_us = now_us;
	while (t->n > 0 && t->heap[1]->due_us <= now_us) {
		timer = t->heap[1];
		timer_clear(t, timer);
		timer->cb(timer->arg, now_us);
	}
	t->running = false;
	for (size_t i = 0; i < t->later_n; i++)
		if (t->later[i] != NULL)
			insert(t, t->later[i]);
	t->later_n = 0;
}
