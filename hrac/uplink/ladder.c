/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink/ladder.h"

#include <string.h>

#include "base/clock.h"
#include "tunnel/tunnel.h"

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void
ladder_init(struct ladder *l, uint64_t seed)
{
	memset(l, 0, sizeof(*l));
	l->in_use = LADDER_NONE;
	l->grace_us = CLOCK_NEVER;
	l->seed = seed;
}

bool
ladder_insert(struct ladder *l, size_t at, unsigned hras, uint64_t now_us)
{
	if (l->n == LADDER_MAX)
		return false;
	memmove(&l->rung[at + 1], &l->rung[at], (l->n - at) * sizeof(l->rung[0]));
	l->rung[at] = (struct ladder_rung){
		.hras = hras, .fresh = true, .since_us = now_us, .due_us = now_us
	};
	if (l->in_use != LADDER_NONE && l->in_use >= at)
		l->in_use++;
	l->n++;
	return true;
}

bool
ladder_better(const struct ladder *l, size_t a, size_t b)
{
	if (l->rung[a].held != l->rung[b].held)
		return l->rung[b].held;
	return a < b;
}

void
ladder_climb(struct ladder *l, uint64_t from_us, bool hurry)
{
	uint64_t due_us = from_us, step_us = hurry ? LADDER_HURRY_US : LADDER_STAGGER_US;
	const struct ladder_rung *last = NULL;

	l->climbing = true;
	l->grace_us = CLOCK_NEVER;
	for (size_t i = 0; i < l->n; i++) {
		struct ladder_rung *r = &l->rung[i];

		if (r->absent)
			continue;
		if (last != NULL)
			due_us += r->hras == last->hras ? step_us : LADDER_NEXT_HRAS_US;
		last = r;
		r->failures_n = 0;
		r->fresh = r->state != LADDER_ASKED;
		if (r->state == LADDER_ASKED)
			continue;
		r->state = LADDER_WAITS;
		r->since_us = from_us;
		r->due_us = later(due_us, r->least_us);
	}
}

static bool
may_be_asked(const struct ladder *l, size_t i, bool calm)
{
	const struct ladder_rung *r = &l->rung[i];

	if (r->state != LADDER_WAITS || r->absent)
		return false;
	if (l->climbing)
		return true;
	/* What held bodies back may not do so for ever. */
	return l->in_use != LADDER_NONE && (i < l->in_use || ladder_better(l, i, l->in_use)) &&
	    (calm || r->hras == l->rung[l->in_use].hras);
}

size_t
ladder_next(const struct ladder *l, bool calm, uint64_t now_us)
{
	for (size_t i = 0; i < l->n; i++)
		if (may_be_asked(l, i, calm) && l->rung[i].due_us <= now_us)
			return i;
	return LADDER_NONE;
}

static void
enter(struct ladder_rung *r, enum ladder_state state, uint64_t now_us)
{
	r->state = state;
	r->since_us = now_us;
}

void
ladder_asked(struct ladder *l, size_t i, uint64_t now_us)
{
	enter(&l->rung[i], LADDER_ASKED, now_us);
	l->rung[i].fresh = false;
}

void
ladder_answered(struct ladder *l, size_t i, uint64_t now_us)
{
	struct ladder_rung *r = &l->rung[i];
	uint64_t grace_us = LADDER_GRACE_US + (now_us - r->since_us);

	r->failures_n = 0;
	enter(r, LADDER_ANSWERS, now_us);
	if (grace_us > LADDER_GRACE_MAX_US)
		grace_us = LADDER_GRACE_MAX_US;
	if (l->climbing && l->grace_us == CLOCK_NEVER)
		l->grace_us = now_us + grace_us;
}

/* 15 s, 30 s, 1 min ... 5 min, a tenth more or less, so that a hundred offices do not ask at once. */
static uint64_t
better_wait_us(struct ladder *l, unsigned failures_n)
{
	uint64_t us = LADDER_BETTER_MIN_US;

	while (failures_n-- > 1 && us < LADDER_BETTER_MAX_US)
		us *= 2;
	if (us > LADDER_BETTER_MAX_US)
		us = LADDER_BETTER_MAX_US;
	return us - us / 10 + tunnel_backoff_us(0, us / 5, us / 5, &l->seed);
}

static bool
any_answers(const struct ladder *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->rung[i].state == LADDER_ANSWERS)
			return true;
	return false;
}

/* One of an order has failed: those behind it move up by what the next one still had to wait. */
static void
move_up(struct ladder *l, size_t i, uint64_t now_us)
{
	uint64_t gain_us = 0;

	for (size_t k = i + 1; k < l->n; k++) {
		struct ladder_rung *r = &l->rung[k];

		if (!r->fresh || r->state != LADDER_WAITS)
			continue;
		if (gain_us == 0 && r->due_us > now_us)
			gain_us = r->due_us - now_us;
		r->due_us -= gain_us < r->due_us ? gain_us : r->due_us;
	}
}

void
ladder_failed(struct ladder *l, size_t i, uint64_t least_us, uint64_t now_us)
{
	struct ladder_rung *r = &l->rung[i];
	uint64_t wait_us;

	r->failures_n++;
	r->fresh = false;
	enter(r, LADDER_WAITS, now_us);
	/* The next answer is a first one again. */
	if (!any_answers(l))
		l->grace_us = CLOCK_NEVER;
	wait_us = l->climbing ?
	    tunnel_backoff_us(r->failures_n, LADDER_RETRY_BASE_US, LADDER_RETRY_CAP_US, &l->seed) :
	    better_wait_us(l, r->failures_n);
	r->least_us = now_us + least_us;
	r->due_us = now_us + (wait_us > least_us ? wait_us : least_us);
	if (l->climbing)
		move_up(l, i, now_us);
}

bool
ladder_again(struct ladder *l, size_t i, uint64_t now_us)
{
	struct ladder_rung *r = &l->rung[i];

	if (r->state == LADDER_WAITS)
		return false;
	enter(r, LADDER_WAITS, now_us);
	r->due_us = now_us;
	l->grace_us = CLOCK_NEVER;
	return true;
}

/* Worth waiting for while the grace lasts. */
static bool
may_answer(const struct ladder_rung *r)
{
	return !r->barred && (r->state == LADDER_ASKED || (r->state == LADDER_WAITS && r->fresh));
}

size_t
ladder_winner(const struct ladder *l, uint64_t now_us)
{
	size_t best = LADDER_NONE;

	if (!l->climbing)
		return LADDER_NONE;
	for (size_t i = 0; i < l->n; i++)
		if (l->rung[i].state == LADDER_ANSWERS && !l->rung[i].barred &&
		    (best == LADDER_NONE || ladder_better(l, i, best)))
			best = i;
	for (size_t i = 0; i < l->n && best != LADDER_NONE && now_us < l->grace_us; i++)
		if (may_answer(&l->rung[i]) && ladder_better(l, i, best))
			return LADDER_NONE;
	return best;
}

void
ladder_end_grace(struct ladder *l, uint64_t now_us)
{
	if (l->grace_us <= now_us)
		l->grace_us = 0;
}

void
ladder_settle(struct ladder *l, size_t i, uint64_t now_us)
{
	l->climbing = false;
	l->in_use = i;
	l->grace_us = CLOCK_NEVER;
	for (size_t k = 0; k < l->n; k++) {
		struct ladder_rung *r = &l->rung[k];

		/* A better one may still answer, only late. */
		if (r->state == LADDER_ASKED && ladder_better(l, k, i))
			continue;
		if (r->failures_n == 0 && k != i)
			r->failures_n = 1;
		enter(r, LADDER_WAITS, now_us);
		r->due_us = k == i ? CLOCK_NEVER : now_us + better_wait_us(l, r->failures_n);
	}
}

void
ladder_refresh(struct ladder *l, uint64_t now_us)
{
	for (size_t i = 0; i < l->n; i++) {
		l->rung[i].failures_n = 0;
		l->rung[i].held &= i == l->in_use;
		if (l->rung[i].state == LADDER_WAITS && l->rung[i].due_us > now_us)
			l->rung[i].due_us = later(now_us, l->rung[i].least_us);
	}
}

bool
ladder_all_failed(const struct ladder *l)
{
	bool any = false;

	for (size_t i = 0; i < l->n; i++) {
		if (!l->rung[i].absent && l->rung[i].failures_n == 0)
			return false;
		any |= !l->rung[i].absent;
	}
	return any && l->climbing;
}

uint64_t
ladder_due_us(const struct ladder *l, bool calm)
{
	uint64_t due_us = l->climbing && l->grace_us != 0 ? l->grace_us : CLOCK_NEVER;

	for (size_t i = 0; i < l->n; i++)
		if (may_be_asked(l, i, calm) && l->rung[i].due_us < due_us)
			due_us = l->rung[i].due_us;
	return due_us;
}
