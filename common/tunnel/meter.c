/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/meter.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tunnel/frame.h"

#define PATIENCE_US (25 * CLOCK_MS) /* a gap that is filled by then is none */
#define BUCKET_US (100 * CLOCK_MS)
#define BUCKETS_N 128  /* 12.8 s; more than the longest window */
#define WINDOW 100     /* buckets that are looked at */
#define LOSS_WINDOW 30 /* of them for the share missed, */
#define RATE_BUSY 10   /* and with frames in them for the flow's rate */
#define LEVEL_1_US (10 * CLOCK_S)
#define LEVEL_2_US (3 * CLOCK_S)
#define LEVEL_2_SHARE 0.015
#define RUN_US (15 * CLOCK_MS) /* of the flow; what a cut of 20 ms takes at the least */
#define RUNS_EXTRA 4           /* batches beyond the first of their gap that are no accident */
#define GAPS_N 512             /* open at a time */
#define FAR 65536
#define FAR_N 32           /* batches far behind in a row: the numbers began anew */
#define START (1ULL << 32) /* positions are counted from here, so that none is negative */

/* Positions are media numbers without the wrap. */
struct gap {
	uint64_t from, to;
	uint64_t before_us, seen_us; /* arrival of what came before it and behind it */
};

struct bucket { /* of 100 ms */
	uint64_t id;
	uint64_t frames; /* numbers that went by */
	uint64_t came_frames, came_batches;
	uint64_t missed, missed_batches;
	uint64_t gaps;
	uint64_t run_missed, run_extra; /* frames in runs; their batches beyond the first */
	uint64_t gap_us, gap_max_us;
};

struct meter {
	bool any;
	uint64_t top; /* position behind the highest that came */
	uint64_t top_us;
	unsigned far_n;
	struct gap gaps[GAPS_N]; /* by position, and so by time too */
	size_t gaps_n;
	struct bucket buckets[BUCKETS_N];
	uint64_t frames, missed, gaps_missed;
	bool missed_any;
	uint64_t missed_us;  /* when something was missed last */
	uint64_t level_2_us; /* level 2 until then */
	/* What follows from the buckets, as long as none changes by a miss or by time. */
	bool judged;
	uint64_t judged_id;
	double loss;
	bool runs;
};

struct meter *
meter_new(void)
{
	return mem_zalloc(sizeof(struct meter));
}

void
meter_free(struct meter *m)
{
	mem_free(m);
}

/* -- Buckets -- */

/* That of a time; NULL when it was so long ago that a newer one took its place. */
static struct bucket *
bucket_at(struct meter *m, uint64_t us)
{
	uint64_t id = us / BUCKET_US + 1; /* a zeroed bucket is none's */
	struct bucket *b = &m->buckets[id % BUCKETS_N];

	if (b->id > id)
		return NULL;
	if (b->id < id)
		*b = (struct bucket){ .id = id };
	return b;
}

/*
 * Adds up the n buckets that end with the one of that id, but no more than busy_max of those with
 * frames; returns how many these were.
 */
static unsigned
sum_up(const struct meter *m, uint64_t last_id, unsigned n, unsigned busy_max, struct bucket *sum)
{
	unsigned busy_n = 0;

	*sum = (struct bucket){ .id = last_id };
	for (uint64_t id = last_id; n > 0 && id > 0 && busy_n < busy_max; n--, id--) {
		const struct bucket *b = &m->buckets[id % BUCKETS_N];

		if (b->id != id)
			continue;
		sum->frames += b->frames;
		sum->came_frames += b->came_frames;
		sum->came_batches += b->came_batches;
		sum->missed += b->missed;
		sum->missed_batches += b->missed_batches;
		sum->gaps += b->gaps;
		sum->run_missed += b->run_missed;
		sum->run_extra += b->run_extra;
		sum->gap_us += b->gap_us;
		if (b->gap_max_us > sum->gap_max_us)
			sum->gap_max_us = b->gap_max_us;
		busy_n += b->frames != 0;
	}
	return busy_n;
}

/* -- Misses -- */

struct extent {           /* of a gap */
	uint64_t us;      /* how much of the flow */
	uint64_t batches; /* about so many, at least one */
	bool run;
};

/* Rounded: batches are not all alike. */
static uint64_t
batches_in(const struct meter *m, uint64_t id, uint64_t frames)
{
	struct bucket s;
	uint64_t n;

	(void)sum_up(m, id, WINDOW, RATE_BUSY, &s);
	if (s.came_frames == 0)
		return 1;
	n = (2 * frames * s.came_batches + s.came_frames) / (2 * s.came_frames);
	return n == 0 ? 1 : n;
}

/*
 * The numbers that are missing, at the rate that the flow had, tell how much of it is missed, and so
 * does the time between the arrivals around the gap. The smaller one counts: a pause stretches the
 * one, a flow that just grew the other. Of a flow that is too young for a rate nothing can be said.
 */
static struct extent
measure(const struct meter *m, const struct gap *g)
{
	uint64_t n = g->to - g->from, id = g->seen_us / BUCKET_US + 1;
	struct extent e = { .us = 0, .batches = batches_in(m, id, n) };
	struct bucket s;
	unsigned busy_n = sum_up(m, id - 1, WINDOW, RATE_BUSY, &s);

	if (busy_n != 0) {
		e.us = n * busy_n * BUCKET_US / s.frames;
		if (g->seen_us - g->before_us < e.us)
			e.us = g->seen_us - g->before_us;
	}
	e.run = e.us >= RUN_US && e.batches >= 2;
	return e;
}

static void
miss(struct meter *m, const struct gap *g)
{
	uint64_t n = g->to - g->from, us = g->seen_us + PATIENCE_US;
	struct extent e = measure(m, g);
	struct bucket *b = bucket_at(m, us);

	m->missed += n;
	m->gaps_missed++;
	m->missed_any = true;
	m->missed_us = us;
	m->judged = false;
	if (b == NULL)
		return;
	b->missed += n;
	b->missed_batches += e.batches;
	b->gaps++;
	b->run_missed += e.run ? n : 0;
	b->run_extra += e.run ? e.batches - 1 : 0;
	b->gap_us += e.us;
	if (e.us > b->gap_max_us)
		b->gap_max_us = e.us;
}

static void
remove_gaps(struct meter *m, size_t i, size_t n)
{
	m->gaps_n -= n;
	memmove(&m->gaps[i], &m->gaps[i + n], (m->gaps_n - i) * sizeof(m->gaps[0]));
}

static void
settle(struct meter *m, uint64_t now_us)
{
	size_t n = 0;

	while (n < m->gaps_n && m->gaps[n].seen_us + PATIENCE_US < now_us)
		miss(m, &m->gaps[n++]);
	if (n > 0)
		remove_gaps(m, 0, n);
}

/* Puts a gap at place i. Too many at a time make the oldest a miss before its time. */
static void
insert_gap(struct meter *m, size_t i, const struct gap *g)
{
	if (m->gaps_n == GAPS_N) {
		miss(m, &m->gaps[0]);
		remove_gaps(m, 0, 1);
		i -= i > 0;
	}
	memmove(&m->gaps[i + 1], &m->gaps[i], (m->gaps_n - i) * sizeof(m->gaps[0]));
	m->gaps[i] = *g;
	m->gaps_n++;
}

/* Takes from..to out of gap i; from < g.to and to > g.from. */
static void
cut(struct meter *m, size_t i, uint64_t from, uint64_t to)
{
	struct gap *g = &m->gaps[i], rest = *g;

	if (from <= g->from && to >= g->to) {
		remove_gaps(m, i, 1);
	} else if (from <= g->from) {
		g->from = to;
	} else {
		g->to = from;
		rest.from = to;
		if (rest.from < rest.to)
			insert_gap(m, i + 1, &rest);
	}
}

static void
fill(struct meter *m, uint64_t from, uint64_t to)
{
	for (size_t i = m->gaps_n; i > 0 && m->gaps[i - 1].to > from; i--)
		if (m->gaps[i - 1].from < to)
			cut(m, i - 1, from, to);
}

/* -- Arrivals -- */

static void
advance(struct meter *m, uint64_t to, uint64_t now_us)
{
	struct bucket *b = bucket_at(m, now_us);

	m->frames += to - m->top;
	if (b != NULL)
		b->frames += to - m->top;
	m->top = to;
	m->top_us = now_us;
}

static void
count_came(struct meter *m, size_t media_n, uint64_t now_us)
{
	struct bucket *b = bucket_at(m, now_us);

	if (b != NULL) {
		b->came_frames += media_n;
		b->came_batches++;
	}
}

static void
begin(struct meter *m, uint32_t base, uint64_t now_us)
{
	m->any = true;
	m->far_n = 0;
	m->gaps_n = 0;
	m->top = START + base;
	m->top_us = now_us;
}

/* How far `base` is above the top, or below it. */
static int64_t
distance(const struct meter *m, uint32_t base)
{
	uint32_t ahead = (base - (uint32_t)m->top) & FRAME_MEDIA_MASK;

	return ahead <= FRAME_MEDIA_MASK / 2 ? (int64_t)ahead :
					       (int64_t)ahead - FRAME_MEDIA_MASK - 1;
}

void
meter_batch(struct meter *m, uint32_t base, size_t media_n, uint64_t now_us)
{
	int64_t ahead;
	uint64_t from, to;

	settle(m, now_us);
	base &= FRAME_MEDIA_MASK;
	ahead = m->any ? distance(m, base) : FAR + 1;
	if (ahead < -FAR && ++m->far_n < FAR_N)
		return;
	if (ahead > FAR || ahead < -FAR) {
		begin(m, base, now_us);
		ahead = 0;
	}
	m->far_n = 0;
	from = m->top + (uint64_t)ahead;
	to = from + media_n;
	if (ahead < 0)
		fill(m, from, to);
	else if (ahead > 0)
		insert_gap(m, m->gaps_n, &(struct gap){ m->top, from, m->top_us, now_us });
	if (to > m->top)
		advance(m, to, now_us);
	count_came(m, media_n, now_us);
}

/* -- Judgement -- */

static void
judge(struct meter *m, uint64_t now_us)
{
	uint64_t id = now_us / BUCKET_US + 1;
	struct bucket s;

	settle(m, now_us);
	if (m->judged && m->judged_id == id)
		return;
	m->judged = true;
	m->judged_id = id;
	(void)sum_up(m, id, LOSS_WINDOW, LOSS_WINDOW, &s);
	m->loss = 0;
	if (s.missed != 0)
		m->loss = s.missed >= s.frames ? 1 : (double)s.missed / (double)s.frames;
	if (m->loss > LEVEL_2_SHARE && s.missed_batches >= 2)
		m->level_2_us = now_us + LEVEL_2_US;
	(void)sum_up(m, id, WINDOW, WINDOW, &s);
	if (m->runs)
		m->runs = 3 * s.run_missed > s.missed;
	else
		m->runs = 2 * s.run_missed > s.missed && s.run_extra >= RUNS_EXTRA;
}

unsigned
meter_level(struct meter *m, uint64_t now_us)
{
	judge(m, now_us);
	if (now_us < m->level_2_us)
		return 2;
	return m->missed_any && now_us < m->missed_us + LEVEL_1_US;
}

bool
meter_runs(struct meter *m, uint64_t now_us)
{
	judge(m, now_us);
	return m->runs;
}

double
meter_loss(struct meter *m, uint64_t now_us)
{
	judge(m, now_us);
	return m->loss;
}

uint64_t
meter_missed(const struct meter *m)
{
	return m->missed;
}

void
meter_facts(struct meter *m, uint64_t now_us, struct meter_facts *out)
{
	struct bucket s;

	settle(m, now_us);
	(void)sum_up(m, now_us / BUCKET_US + 1, WINDOW, WINDOW, &s);
	*out = (struct meter_facts){ .frames = m->frames,
		.missed = m->missed,
		.gaps = m->gaps_missed,
		.run_mean_us = s.gaps != 0 ? s.gap_us / s.gaps : 0,
		.run_longest_us = s.gap_max_us };
}
