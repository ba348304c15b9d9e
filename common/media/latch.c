/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "media/latch.h"

static int
rank_of(const struct latch *l, const struct addr *a)
{
	if (!addr_is_set(a))
		return 0;
	if (!addr_same_host(a, &l->signalled))
		return 1;
	return addr_port(a) == addr_port(&l->signalled) ? 3 : 2;
}

void
latch_signal(struct latch *l, const struct addr *where, bool anew, uint64_t now_us)
{
	if (anew && !addr_equal(where, &l->signalled))
		l->source = (struct addr){ .u.sa.sa_family = AF_UNSPEC };
	if (anew)
		l->open_until_us = addr_is_set(&l->source) ? now_us + LATCH_WINDOW_US : 0;
	l->signalled = *where;
}

static bool
may_replace(const struct latch *l, const struct addr *from, uint64_t now_us)
{
	uint64_t silent_us = now_us - l->heard_us;
	int rank = rank_of(l, &l->source);

	if (rank_of(l, from) > rank)
		return true;
	if (addr_same_host(from, &l->source))
		return silent_us >= LATCH_REBIND_US;
	return rank == 1 && now_us < l->open_until_us && silent_us >= LATCH_MOVE_US;
}

enum latch_verdict
latch_packet(struct latch *l, const struct addr *from, bool valid, uint64_t now_us)
{
	enum latch_verdict verdict = LATCH_ACCEPTED;

	if (!addr_equal(from, &l->source)) {
		if (!valid || !may_replace(l, from, now_us))
			return LATCH_FOREIGN;
		l->source = *from;
		verdict = LATCH_LEARNT;
	}
	l->heard_us = now_us;
	return verdict;
}

const struct addr *
latch_target(const struct latch *l)
{
	return addr_is_set(&l->source) ? &l->source : &l->signalled;
}
