/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/support/sim_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* -- Events -- */

void
sim_clock_init(struct sim_clock *c, uint64_t seed)
{
	*c = (struct sim_clock){ .now_us = CLOCK_S, .random = seed };
}

void
sim_clock_free(struct sim_clock *c)
{
	mem_free(c->heap);
}

uint64_t
sim_random(struct sim_clock *c, uint64_t n)
{
	uint64_t z = c->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (z ^ z >> 31) % n;
}

double
sim_uniform(struct sim_clock *c)
{
	return (double)sim_random(c, 1ULL << 53) / (double)(1ULL << 53);
}

static bool
before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void
sim_at(struct sim_clock *c, uint64_t at_us, sim_fn fn, void *obj, uint64_t a, uint64_t b)
{
	struct sim_event e = { at_us < c->now_us ? c->now_us : at_us, c->order++, fn, obj, a, b };
	size_t i = c->n++;

	if (c->n > c->cap) {
		c->cap = c->cap == 0 ? 1024 : 2 * c->cap;
		c->heap = mem_realloc(c->heap, c->cap * sizeof(e));
	}
	for (; i > 0 && before(&e, &c->heap[(i - 1) / 2]); i = (i - 1) / 2)
		c->heap[i] = c->heap[(i - 1) / 2];
	c->heap[i] = e;
}

uint64_t
sim_next_us(const struct sim_clock *c)
{
	return c->n == 0 ? CLOCK_NEVER : c->heap[0].at_us;
}

void
sim_step(struct sim_clock *c)
{
	struct sim_event top = c->heap[0], last = c->heap[--c->n];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < c->n) {
		child += child + 1 < c->n && before(&c->heap[child + 1], &c->heap[child]);
		if (!before(&c->heap[child], &last))
			break;
		c->heap[i] = c->heap[child];
		i = child;
	}
	c->heap[i] = last;
	c->now_us = top.at_us;
	top.fn(top.obj, top.a, top.b);
}

/* -- The line -- */

void
sim_line_init(struct sim_line *l, struct sim_clock *c)
{
	l->clock = c;
	for (int way = 0; way < 2; way++) {
		line_init(&l->way[way], sim_random(c, UINT64_MAX));
		l->set[way] = l->way[way].set;
		l->facts[way] = (struct sim_way_facts){ 0 };
	}
}

uint64_t
sim_line_pass(struct sim_line *l, int way, size_t len)
{
	struct sim_way_facts *f = &l->facts[way];
	struct line *line = &l->way[way];
	int64_t now_ns = (int64_t)l->clock->now_us * 1000, at_ns;
	const char *error = NULL;

	if (memcmp(&l->set[way], &line->set, sizeof(line->set)) != 0)
		error = line_change(line, &l->set[way], now_ns);
	if (error != NULL) {
		fprintf(stderr, "sim_line: %s\n", error);
		abort();
	}
	f->packets++;
	f->bytes += len;
	switch (line_offer(line, len, now_ns, &at_ns)) {
	case LINE_PASSES:
		return (uint64_t)at_ns / 1000;
	case LINE_QUEUE:
		f->dropped++;
		break;
	case LINE_LOST:
	case LINE_BURST:
	case LINE_OFF:
		f->lost++;
		break;
	}
	return CLOCK_NEVER;
}
