/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/sched.h"

#include "base/clock.h"

enum rank { RANK_IDLE, RANK_WAITING, RANK_OPENING, RANK_LATE };

static enum rank
rank_of(const struct sched_path *p, uint64_t now_us)
{
	if (p->heard_us == 0)
		return RANK_OPENING;
	if (p->outstanding == 0)
		return RANK_IDLE;
	return p->waiting_us != CLOCK_NEVER && now_us - p->waiting_us > SCHED_LATE_US ?
	    RANK_LATE :
	    RANK_WAITING;
}

static bool
better(const struct sched_path *a, const struct sched_path *b, uint64_t now_us)
{
	enum rank ra = rank_of(a, now_us), rb = rank_of(b, now_us);

	if (ra != rb)
		return ra < rb;
	if (a->outstanding != b->outstanding)
		return a->outstanding < b->outstanding;
	if (a->heard_us != b->heard_us)
		return a->heard_us > b->heard_us;
	return a->used_us < b->used_us;
}

size_t
sched_choose(struct sched_path *const *paths, size_t n, size_t avoid, uint64_t now_us)
{
	size_t best = SCHED_NONE;

	for (size_t i = 0; i < n; i++)
		if (paths[i]->open && i != avoid &&
		    (best == SCHED_NONE || better(paths[i], paths[best], now_us)))
			best = i;
	if (best == SCHED_NONE && avoid < n && paths[avoid]->open)
		best = avoid;
	return best;
}
