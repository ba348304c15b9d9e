/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "media/ports.h"

#include "base/err.h"
#include "base/mem.h"

/*
 * Every pair is a node, named by its index, of one of three rings or of none (taken). A ring's ends
 * meet in a node of its own behind those of the pairs. Both resting rings are in order of time, for
 * what is added at the tail is never due before what is there.
 */
enum ring { RING_FREE, RING_LINGERING, RING_AVOIDED, RING_N };
enum state { PAIR_FREE, PAIR_RESTING, PAIR_TAKEN };

struct node {
	uint32_t prev, next;
	uint64_t due_us; /* of a resting pair: when it is free */
	enum state state;
};

struct media_ports {
	uint16_t first; /* port of pair 0 */
	uint32_t n;     /* pairs */
	uint64_t linger_us;
	size_t free_n;
	struct node *node; /* n + RING_N */
};

static void
ring_append(struct media_ports *p, enum ring ring, uint32_t i)
{
	uint32_t end = p->n + ring, last = p->node[end].prev;

	p->node[i].prev = last;
	p->node[i].next = end;
	p->node[last].next = i;
	p->node[end].prev = i;
}

static void
ring_remove(struct media_ports *p, uint32_t i)
{
	const struct node *node = &p->node[i];

	p->node[node->prev].next = node->next;
	p->node[node->next].prev = node->prev;
}

static uint32_t
ring_first(const struct media_ports *p, enum ring ring)
{
	return p->node[p->n + ring].next; /* n or more when empty */
}

struct media_ports *
media_ports_new(uint16_t min, uint16_t max, uint64_t linger_us)
{
	struct media_ports *p = mem_zalloc(sizeof(*p));
	uint32_t first = min + (min & 1U);

	p->first = (uint16_t)first;
	p->n = first < max ? (max - first + 1) / 2 : 0;
	p->linger_us = linger_us;
	p->free_n = p->n;
	p->node = mem_calloc(p->n + RING_N, sizeof(*p->node));
	for (uint32_t ring = 0; ring < RING_N; ring++)
		p->node[p->n + ring].prev = p->node[p->n + ring].next = p->n + ring;
	for (uint32_t i = 0; i < p->n; i++)
		ring_append(p, RING_FREE, i);
	return p;
}

void
media_ports_free(struct media_ports *p)
{
	if (p == NULL)
		return;
	mem_free(p->node);
	mem_free(p);
}

static void
release_due(struct media_ports *p, enum ring ring, uint64_t now_us)
{
	uint32_t i;

	while ((i = ring_first(p, ring)) < p->n && p->node[i].due_us <= now_us) {
		ring_remove(p, i);
		p->node[i].state = PAIR_FREE;
		ring_append(p, RING_FREE, i);
		p->free_n++;
	}
}

static void
release(struct media_ports *p, uint64_t now_us)
{
	release_due(p, RING_LINGERING, now_us);
	release_due(p, RING_AVOIDED, now_us);
}

static void
take(struct media_ports *p, uint32_t i)
{
	ring_remove(p, i);
	if (p->node[i].state == PAIR_FREE)
		p->free_n--;
	p->node[i].state = PAIR_TAKEN;
}

static int
find(const struct media_ports *p, uint16_t port, uint32_t *i)
{
	if (port < p->first || ((port - p->first) & 1) != 0 || (port - p->first) / 2U >= p->n)
		return ERR_NOT_FOUND;
	*i = (port - p->first) / 2U;
	return 0;
}

int
media_ports_take(struct media_ports *p, uint64_t now_us, uint16_t *port)
{
	uint32_t i;

	release(p, now_us);
	i = ring_first(p, RING_FREE);
	if (i >= p->n)
		return ERR_FULL;
	take(p, i);
	*port = (uint16_t)(p->first + 2 * i);
	return 0;
}

int
media_ports_take_this(struct media_ports *p, uint16_t port)
{
	uint32_t i;
	int err = find(p, port, &i);

	if (err < 0)
		return err;
	if (p->node[i].state == PAIR_TAKEN)
		return ERR_IN_USE;
	take(p, i);
	return 0;
}

static void
rest(struct media_ports *p, uint16_t port, enum ring ring, uint64_t due_us)
{
	uint32_t i;

	if (find(p, port, &i) < 0 || p->node[i].state != PAIR_TAKEN)
		return;
	p->node[i].state = PAIR_RESTING;
	p->node[i].due_us = due_us;
	ring_append(p, ring, i);
}

void
media_ports_give(struct media_ports *p, uint16_t port, uint64_t now_us)
{
	rest(p, port, RING_LINGERING, now_us + p->linger_us);
	release(p, now_us);
}

void
media_ports_avoid(struct media_ports *p, uint16_t port, uint64_t now_us, uint64_t rest_us)
{
	rest(p, port, RING_AVOIDED, now_us + rest_us);
	release(p, now_us);
}

size_t
media_ports_free_n(const struct media_ports *p)
{
	return p->free_n;
}

size_t
media_ports_total_n(const struct media_ports *p)
{
	return p->n;
}
