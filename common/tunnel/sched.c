/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/sched.h"

#include "base/clock.h"

#define PATIENCE_BLIND_US (400 * CLOCK_MS)
#define STALLED_US (100 * CLOCK_MS)
#define CLEAN_MIN 4
#define CLEAN_MAX 16
#define THIN_MIN 2
#define THIN_SHARE 0.6 /* of the streams: pairs go together */
#define PAIR_US (30 * CLOCK_MS)
#define POLL_BURSTS_PER_S 110 /* gathered for 10 ms, and what does not wait */
#define POLL_SPARE 2.999

enum rank {
	RANK_HALF,
	RANK_IDLE,
	RANK_WAITING,
	RANK_OPENING,
	RANK_DOUBTED,
	RANK_LATE,
	RANK_UNCONNECTED,
	RANK_STALLED
};

uint64_t
sched_patience_us(uint64_t srtt_us)
{
	return srtt_us == 0 ? PATIENCE_BLIND_US : srtt_us + srtt_us / 4 + 15 * CLOCK_MS;
}

static bool
older(uint64_t since_us, uint64_t age_us, uint64_t now_us)
{
	return since_us != CLOCK_NEVER && since_us + age_us < now_us;
}

bool
sched_late(const struct sched_path *p, uint64_t patience_us, uint64_t now_us)
{
	return older(p->oldest_us, patience_us, now_us);
}

bool
sched_stalled(const struct sched_path *p, uint64_t patience_us, uint64_t now_us)
{
	return older(p->oldest_us, 2 * patience_us + STALLED_US, now_us);
}

bool
sched_half(const struct sched_path *p, uint64_t now_us)
{
	return p->half && now_us - p->voice_us <= PAIR_US;
}

static enum rank
rank_of(const struct sched_path *p, const struct sched_ask *ask)
{
	if (!p->connected)
		return RANK_UNCONNECTED;
	if (sched_stalled(p, ask->patience_us, ask->now_us))
		return RANK_STALLED;
	if (p->heard_us == 0)
		return RANK_OPENING;
	if (sched_late(p, ask->patience_us, ask->now_us))
		return RANK_LATE;
	if (p->doubted)
		return RANK_DOUBTED;
	if (ask->together && sched_half(p, ask->now_us))
		return RANK_HALF;
	return p->outstanding == 0 ? RANK_IDLE : RANK_WAITING;
}

/* Of two paths of one rank. */
static bool
better(const struct sched_path *a, const struct sched_path *b, enum rank rank)
{
	if (rank == RANK_UNCONNECTED)
		return a->opened_us > b->opened_us;
	if (rank >= RANK_LATE && a->oldest_us != b->oldest_us)
		return a->oldest_us > b->oldest_us;
	if (a->outstanding != b->outstanding)
		return a->outstanding < b->outstanding;
	if (a->heard_us != b->heard_us)
		return a->heard_us > b->heard_us;
	return a->used_us < b->used_us;
}

size_t
sched_choose(struct sched_path *const *paths, size_t n, const struct sched_ask *ask)
{
	size_t best = SCHED_NONE;
	enum rank best_rank = RANK_STALLED;

	for (size_t i = 0; i < n; i++) {
		enum rank rank;

		if (!paths[i]->open || i == ask->avoid)
			continue;
		rank = rank_of(paths[i], ask);
		if (best == SCHED_NONE || rank < best_rank ||
		    (rank == best_rank && better(paths[i], paths[best], rank))) {
			best = i;
			best_rank = rank;
		}
	}
	if (best == SCHED_NONE && ask->avoid < n && paths[ask->avoid]->open)
		best = ask->avoid;
	return best;
}

static double
at_least(double v, double min)
{
	return v > min ? v : min;
}

unsigned
sched_polls(const struct sched_flow *flow, unsigned max)
{
	double most = flow->level > 0 ? 2 * POLL_BURSTS_PER_S : POLL_BURSTS_PER_S;
	double bursts = flow->batches_per_s < most ? flow->batches_per_s : most;
	double n = 1.2 * bursts * (double)(flow->srtt_us + 20 * CLOCK_MS) / CLOCK_S + POLL_SPARE;

	return n < max ? (unsigned)n : max;
}

unsigned
sched_streams(const struct sched_flow *flow, unsigned max)
{
	double all = 1.2 * flow->batches_per_s * (double)(flow->srtt_us + 20 * CLOCK_MS) / CLOCK_S;
	double n = all;

	if (flow->level == 0) {
		n = n / 8 > CLEAN_MAX ? CLEAN_MAX : n / 8;
		n = flow->thin ? all * THIN_SHARE : at_least(n, CLEAN_MIN);
	}
	n = at_least(n + 0.999, flow->thin ? THIN_MIN : CLEAN_MIN);
	return n < max ? (unsigned)n : max;
}
