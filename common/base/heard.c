/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/heard.h"

/* A loss is taken back when the packet comes after all. */
static uint32_t
grown(uint32_t now, uint32_t last)
{
	return (int32_t)(now - last) > 0 ? now - last : 0;
}

void
heard_add(struct heard_sum *sum, const struct heard *now, const struct heard *last)
{
	static const struct heard none;

	if (grown(last->packets, now->packets) > 0)
		last = &none; /* its agent has started over */
	sum->packets += now->packets - last->packets;
	if (now->mos == 0)
		return;
	sum->audio += now->packets - last->packets;
	sum->lost += grown(now->lost, last->lost);
	sum->late += grown(now->late, last->late);
	sum->runs += grown(now->runs, last->runs);
	sum->run_missed += grown(now->run_missed, last->run_missed);
	if (now->mos_recent == 0)
		return;
	sum->streams++;
	sum->mos_sum += now->mos_recent;
	if (sum->mos_worst == 0 || now->mos_recent < sum->mos_worst)
		sum->mos_worst = now->mos_recent;
}
