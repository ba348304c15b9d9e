/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/sched.h"

static bool
better(const struct sched_path *a, const struct sched_path *b)
{
	bool a_idle = a->outstanding == 0, b_idle = b->outstanding == 0;

	if (a_idle != b_idle)
		return a_idle;
	if (!a_idle && a->outstanding != b->outstanding)
		return a->outstanding < b->outstanding;
	if (a->heard_us != b->heard_us)
		return a->heard_us > b->heard_us;
	return a->used_us < b->used_us;
}

size_t
sched_choose(struct sched_path *const *paths, size_t n, size_t avoid)
{
	size_t best = SCHED_NONE;

	for (size_t i = 0; i < n; i++)
		if (paths[i]->open && i != avoid &&
		    (best == SCHED_NONE || better(paths[i], paths[best])))
			best = i;
	if (best == SCHED_NONE && avoid < n && paths[avoid]->open)
		best = avoid;
	return best;
}
