/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/recover.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tunnel/parity.h"

#define KEPT_N 512 /* batches; a power of two */
#define GROUPS_N 64
#define MEDIA_N_MAX 255
#define NOBODY (-1)

struct kept {
	uint32_t base;
	uint8_t media_n; /* 0: nothing is here */
	uint16_t len;
	int16_t next; /* of the same hash */
	uint8_t body[FRAME_BODY_FILL];
};

struct table {
	uint32_t base, span; /* media numbers of all its batches */
	unsigned batches_n;
	uint8_t media_n[FRAME_GROUP_MAX];
	uint16_t lacks; /* a bit for each batch */
};

struct group {
	bool waits; /* else the place is free */
	uint64_t order;
	struct table table;
	size_t sum_len[PARITY_ROWS]; /* 0: did not come */
	uint8_t sum[PARITY_ROWS][PARITY_BLOCK_MAX];
};

struct store {
	uint32_t factor;
	int16_t heads[KEPT_N];
	unsigned oldest; /* of the kept, to be overwritten next */
	struct kept kept[KEPT_N];
	uint64_t order;
	unsigned groups_n; /* that wait */
	struct group groups[GROUPS_N];
	/* The last group that was solved, and what of it was not given out. */
	struct table solved;
	struct parity_rebuilt rebuilt[PARITY_ROWS];
	size_t rebuilt_n, given_n;
};

struct recover {
	bool expects;
	uint32_t factor; /* of the hash */
	struct store *store;
	struct recover_stats stats;
};

struct recover *
recover_new(uint32_t salt)
{
	struct recover *r = mem_zalloc(sizeof(*r));

	r->factor = salt | 1;
	return r;
}

void
recover_free(struct recover *r)
{
	mem_free(r->store);
	mem_free(r);
}

void
recover_expect(struct recover *r, bool on)
{
	if (!on) {
		mem_free(r->store);
		r->store = NULL;
	}
	r->expects = on;
}

bool
recover_expects(const struct recover *r)
{
	return r->expects;
}

const struct recover_stats *
recover_stats(const struct recover *r)
{
	return &r->stats;
}

static struct store *
open_store(struct recover *r)
{
	struct store *s = r->store;

	if (s != NULL)
		return s;
	/* The bodies and sums are written before they are read; only the tables are cleared. */
	s = mem_alloc(sizeof(*s));
	s->factor = r->factor;
	for (size_t i = 0; i < KEPT_N; i++) {
		s->heads[i] = NOBODY;
		s->kept[i].media_n = 0;
	}
	for (size_t i = 0; i < GROUPS_N; i++)
		s->groups[i].waits = false;
	s->oldest = s->groups_n = 0;
	s->order = 0;
	s->rebuilt_n = s->given_n = 0;
	r->store = s;
	return s;
}

/* -- Batches -- */

static int16_t *
head_of(struct store *s, uint32_t base)
{
	/* Multiply and shift: by a factor that is not known no two numbers are likely to fall together. */
	return &s->heads[(base * s->factor) >> 23 & (KEPT_N - 1)];
}

static struct kept *
find_kept(struct store *s, uint32_t base)
{
	for (int16_t i = *head_of(s, base); i != NOBODY; i = s->kept[i].next)
		if (s->kept[i].base == base)
			return &s->kept[i];
	return NULL;
}

static void
unlink_kept(struct store *s, const struct kept *k)
{
	int16_t *link = head_of(s, k->base);

	while (&s->kept[*link] != k)
		link = &s->kept[*link].next;
	*link = k->next;
}

static struct kept *
place_for(struct store *s, uint32_t base)
{
	struct kept *k = find_kept(s, base);
	int16_t *head;

	if (k != NULL)
		return k;
	k = &s->kept[s->oldest];
	if (k->media_n != 0)
		unlink_kept(s, k);
	head = head_of(s, base);
	k->next = *head;
	*head = (int16_t)s->oldest;
	s->oldest = (s->oldest + 1) % KEPT_N;
	return k;
}

static void
forget(struct store *s, struct group *g)
{
	g->waits = false;
	s->groups_n--;
}

/* Which batch of the group begins with that number; batches_n: none. */
static unsigned
index_of(const struct table *t, uint32_t base)
{
	uint32_t first = t->base;
	unsigned i;

	for (i = 0; i < t->batches_n && first != base; i++)
		first = (first + t->media_n[i]) & FRAME_MEDIA_MASK;
	return i;
}

static void
tell_group(struct recover *r, struct group *g, uint32_t base, size_t media_n)
{
	struct table *t = &g->table;
	unsigned i = index_of(t, base);

	if (i < t->batches_n && t->media_n[i] == media_n) {
		t->lacks &= (uint16_t) ~(1u << i);
		if (t->lacks != 0)
			return;
	} else {
		/* Cut in another way than the table says: one of the two is false. */
		r->stats.malformed++;
	}
	forget(r->store, g);
}

static void
tell_groups(struct recover *r, uint32_t base, size_t media_n)
{
	struct store *s = r->store;

	if (s->groups_n == 0)
		return;
	for (size_t i = 0; i < GROUPS_N; i++) {
		struct group *g = &s->groups[i];

		if (g->waits && ((base - g->table.base) & FRAME_MEDIA_MASK) < g->table.span)
			tell_group(r, g, base, media_n);
	}
}

void
recover_batch(struct recover *r, uint32_t base, size_t media_n, const uint8_t *body, size_t len)
{
	struct kept *k;

	if (!r->expects || len > FRAME_BODY_FILL || media_n == 0 || media_n > MEDIA_N_MAX)
		return;
	base &= FRAME_MEDIA_MASK;
	k = place_for(open_store(r), base);
	k->base = base;
	k->media_n = (uint8_t)media_n;
	k->len = (uint16_t)len;
	if (len != 0)
		memcpy(k->body, body, len);
	tell_groups(r, base, media_n);
}

/* -- Sums -- */

static struct group *
find_group(struct store *s, const struct frame_parity *p)
{
	for (size_t i = 0; i < GROUPS_N; i++) {
		struct group *g = &s->groups[i];

		if (g->waits && g->table.base == p->base && g->table.batches_n == p->batches_n)
			return g;
	}
	return NULL;
}

/* A free place, or that of the group that waits for the longest time. */
static struct group *
place_for_group(struct recover *r)
{
	struct store *s = r->store;
	struct group *g = &s->groups[0];

	for (size_t i = 0; i < GROUPS_N && g->waits; i++)
		if (!s->groups[i].waits || s->groups[i].order < g->order)
			g = &s->groups[i];
	if (g->waits) {
		r->stats.given_up++;
		forget(s, g);
	}
	return g;
}

/* Fills in the table and what lacks by now. ERR_MALFORMED: the batches are cut in another way. */
static int
read_table(struct store *s, const struct frame_parity *p, struct table *t)
{
	uint32_t first = p->base;

	*t = (struct table){ .base = p->base, .batches_n = p->batches_n };
	memcpy(t->media_n, p->media_n, p->batches_n);
	for (unsigned i = 0; i < p->batches_n; i++) {
		const struct kept *k = find_kept(s, first);

		if (k == NULL)
			t->lacks |= (uint16_t)(1u << i);
		else if (k->media_n != p->media_n[i])
			return ERR_MALFORMED;
		first = (first + p->media_n[i]) & FRAME_MEDIA_MASK;
		t->span += p->media_n[i];
	}
	return 0;
}

static void
keep_sum(struct group *g, const struct frame_parity *p)
{
	g->sum_len[p->row] = p->sum_len;
	memcpy(g->sum[p->row], p->sum, p->sum_len);
}

static void
add_group(struct recover *r, const struct frame_parity *p)
{
	struct store *s = r->store;
	struct table table;
	struct group *g;

	if (read_table(s, p, &table) < 0) {
		r->stats.malformed++;
		return;
	}
	if (table.lacks == 0) {
		r->stats.unneeded++;
		return;
	}
	g = place_for_group(r);
	g->waits = true;
	g->order = s->order++;
	g->table = table;
	g->sum_len[0] = g->sum_len[1] = 0;
	s->groups_n++;
	keep_sum(g, p);
}

void
recover_parity(struct recover *r, const struct frame_parity *p)
{
	struct group *g;

	r->expects = true;
	if (p->sum_len > PARITY_BLOCK_MAX) {
		r->stats.malformed++;
		return;
	}
	g = find_group(open_store(r), p);
	if (g == NULL) {
		add_group(r, p);
	} else if (memcmp(g->table.media_n, p->media_n, p->batches_n) != 0) {
		r->stats.malformed++;
	} else if (g->sum_len[p->row] == 0) {
		keep_sum(g, p);
	}
}

/* -- Rebuilding -- */

static bool
is_ready(const struct group *g)
{
	int sums_n = (g->sum_len[0] != 0) + (g->sum_len[1] != 0);

	return g->waits && __builtin_popcount(g->table.lacks) <= sums_n;
}

static void
gather(struct store *s, const struct group *g, struct parity_group *out)
{
	const struct table *t = &g->table;
	uint32_t first = t->base;

	*out = (struct parity_group){ .batches_n = t->batches_n };
	for (unsigned i = 0; i < t->batches_n; i++) {
		const struct kept *k = find_kept(s, first);

		/* What came may be pushed out by now; then too much lacks, and the solver says so. */
		if ((t->lacks & 1u << i) == 0 && k != NULL)
			out->body[i] = (struct parity_block){ k->body, k->len };
		first = (first + t->media_n[i]) & FRAME_MEDIA_MASK;
	}
	for (unsigned row = 0; row < PARITY_ROWS; row++)
		if (g->sum_len[row] != 0)
			out->sum[row] = (struct parity_block){ g->sum[row], g->sum_len[row] };
}

static uint32_t
base_of(const struct table *t, unsigned batch)
{
	uint32_t base = t->base;

	for (unsigned i = 0; i < batch; i++)
		base += t->media_n[i];
	return base & FRAME_MEDIA_MASK;
}

/* Solves a group that is ready. What is rebuilt counts as come, for other groups too. */
static void
solve(struct recover *r, struct group *g)
{
	struct store *s = r->store;
	struct parity_group there;
	int err;

	s->solved = g->table;
	forget(s, g);
	gather(s, g, &there);
	s->given_n = s->rebuilt_n = 0;
	err = parity_solve(&there, s->rebuilt, &s->rebuilt_n);
	if (err == ERR_MALFORMED)
		r->stats.malformed++;
	else if (err < 0)
		r->stats.given_up++;
	for (size_t i = 0; i < s->rebuilt_n; i++) {
		const struct parity_rebuilt *b = &s->rebuilt[i];

		r->stats.rebuilt++;
		recover_batch(r, base_of(&s->solved, b->i), s->solved.media_n[b->i], b->body,
		    b->len);
	}
}

static void
solve_next(struct recover *r)
{
	struct store *s = r->store;

	for (size_t i = 0; i < GROUPS_N && s->groups_n > 0 && s->given_n == s->rebuilt_n; i++)
		if (is_ready(&s->groups[i]))
			solve(r, &s->groups[i]);
}

int
recover_next(struct recover *r, uint32_t *base, size_t *media_n, const uint8_t **body, size_t *len)
{
	struct store *s = r->store;
	const struct parity_rebuilt *b;

	if (s == NULL)
		return ERR_NOT_FOUND;
	if (s->given_n == s->rebuilt_n)
		solve_next(r);
	if (s->given_n == s->rebuilt_n)
		return ERR_NOT_FOUND;
	b = &s->rebuilt[s->given_n++];
	*base = base_of(&s->solved, b->i);
	*media_n = s->solved.media_n[b->i];
	*body = b->body;
	*len = b->len;
	return 0;
}
