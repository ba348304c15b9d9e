/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/support/sim_line.h"

#include <math.h>
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
	*l = (struct sim_line){ .clock = c };
}

static bool
in_burst(struct sim_line *l)
{
	uint64_t now = l->clock->now_us;

	if (l->burst_pause_us == 0) {
		l->burst_at_us = l->burst_end_us = 0;
		return false;
	}
	while (now >= l->burst_end_us) {
		double wait = -log(1 - sim_uniform(l->clock)) * (double)l->burst_pause_us;
		uint64_t from = l->burst_end_us == 0 ? now : l->burst_end_us;

		l->burst_at_us = from + (uint64_t)wait;
		l->burst_end_us = l->burst_at_us + l->burst_us;
	}
	return now >= l->burst_at_us;
}

static bool
lost(struct sim_line *l, const struct sim_way *w)
{
	bool burst = in_burst(l), unlucky = sim_uniform(l->clock) < w->loss;

	return burst || unlucky || l->clock->now_us < w->black_until_us;
}

/* When the bottleneck has sent it; CLOCK_NEVER: the queue is full. */
static uint64_t
queue(struct sim_line *l, int way, size_t len)
{
	const struct sim_way *w = &l->way[way];
	uint64_t now = l->clock->now_us, start;

	if (w->rate_bps == 0)
		return now;
	start = l->free_us[way] > now ? l->free_us[way] : now;
	if (w->queue_len != 0 && (start - now) * w->rate_bps / 8000000 + len > w->queue_len)
		return CLOCK_NEVER;
	l->free_us[way] = start + len * 8000000 / w->rate_bps;
	return l->free_us[way];
}

uint64_t
sim_line_pass(struct sim_line *l, int way, size_t len)
{
	const struct sim_way *w = &l->way[way];
	struct sim_way_facts *f = &l->facts[way];
	uint64_t out_us = queue(l, way, len);

	f->packets++;
	f->bytes += len;
	if (out_us == CLOCK_NEVER) {
		f->dropped++;
		return CLOCK_NEVER;
	}
	if (lost(l, w)) {
		f->lost++;
		return CLOCK_NEVER;
	}
	return out_us + w->delay_us +
	    (w->jitter_us == 0 ? 0 : sim_random(l->clock, w->jitter_us + 1));
}
