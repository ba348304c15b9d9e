/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "status/worst.h"

#include <stdint.h>

#define UNKNOWN (WORST_MOS_MAX + 1)

static unsigned
rank(unsigned mos)
{
	return mos == 0 || mos > WORST_MOS_MAX ? UNKNOWN : mos;
}

unsigned
worst_of(unsigned mos, const struct heard *h)
{
	unsigned recent = h->mos_recent != 0 ? h->mos_recent : h->mos;

	return mos == 0 || (recent != 0 && recent < mos) ? recent : mos;
}

void
worst_init(struct worst *w, size_t max)
{
	*w = (struct worst){ .max = max == 0 ? SIZE_MAX : max };
}

void
worst_note(struct worst *w, unsigned mos)
{
	w->of_rank[rank(mos)]++;
	w->calls_n++;
}

static void
choose(struct worst *w)
{
	w->chosen = true;
	w->left = w->max;
	while (w->below < UNKNOWN && w->of_rank[w->below] <= w->left)
		w->left -= w->of_rank[w->below++];
}

bool
worst_take(struct worst *w, unsigned mos)
{
	if (!w->chosen)
		choose(w);
	if (rank(mos) != w->below)
		return rank(mos) < w->below;
	if (w->left == 0)
		return false;
	w->left--;
	return true;
}
