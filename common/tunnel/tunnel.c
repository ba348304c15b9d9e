/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/tunnel.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tunnel/control.h"
#include "tunnel/impl.h"

void
tunnel_cfg_default(enum tunnel_role role, struct tunnel_cfg *cfg)
{
	*cfg = (struct tunnel_cfg){
		.role = role,
		.connections_max = 192,
		.media_max_age_us = 150 * CLOCK_MS,
		.rotate_bytes = 64ULL << 20,
		.rotate_age_us = 600 * CLOCK_S,
		.heartbeat_busy_us = 500 * CLOCK_MS,
		.heartbeat_idle_us = 4100 * CLOCK_MS,
		.dead_us = 4900 * CLOCK_MS,
		.rekey_bytes = 16ULL << 30,
		.rekey_age_us = 3600 * CLOCK_S,
		.reliable_max = 8192,
		.reliable_bytes_max = 8 << 20,
		.seed = 1,
	};
}

/* A large number even from a small seed: 2^64 by the golden ratio spreads it. */
static uint32_t
salt_of(const struct tunnel_cfg *cfg)
{
	return (uint32_t)(cfg->seed * 0x9e3779b97f4a7c15 >> 32);
}

struct tunnel *
tunnel_new(const struct tunnel_cfg *cfg, const struct tunnel_handlers *h, void *arg,
    const struct tunnel_grant *grant, uint64_t now_us)
{
	struct tunnel *t = mem_zalloc(sizeof(*t));

	t->cfg = *cfg;
	t->h = *h;
	t->arg = arg;
	t->grant = *grant;
	t->writes = cfg->role == TUNNEL_CLIENT ? TUNNEL_UP : TUNNEL_DOWN;
	t->next_serial = 1;
	STAILQ_INIT(&t->closed);
	STAILQ_INIT(&t->pool);
	STAILQ_INIT(&t->kept);
	reliable_tx_init(&t->tx, cfg->reliable_max, cfg->reliable_bytes_max);
	reliable_rx_init(&t->rx);
	t->meter = meter_new();
	t->recover = recover_new(salt_of(cfg));
	t->seen = mem_zalloc(SEEN_N / 8);
	t->ack_us = CLOCK_NEVER;
	t->state = TUNNEL_CONNECTING;
	t->alive_us[TUNNEL_UP] = t->alive_us[TUNNEL_DOWN] = now_us;
	t->heard_us[TUNNEL_UP] = t->heard_us[TUNNEL_DOWN] = now_us;
	t->busy_since_us = t->asked_us = CLOCK_NEVER;
	t->pinged_us = now_us;
	guard_init(&t->guard, 0, now_us);
	t->slow_us = CLOCK_NEVER;
	t->changed = true;
	rekey_init(t, now_us);
	return t;
}

static void
free_batches(struct batch_queue *q)
{
	struct batch *b;

	while ((b = STAILQ_FIRST(q)) != NULL) {
		STAILQ_REMOVE_HEAD(q, next);
		mem_free(b);
	}
}

void
tunnel_free(struct tunnel *t)
{
	if (t == NULL)
		return;
	for (size_t dir = 0; dir < 2; dir++)
		while (t->streams_n[dir] > 0)
			stream_release(t, t->streams[dir][0]);
	if (t->gathering != NULL)
		batch_free(t, t->gathering);
	free_batches(&t->closed);
	free_batches(&t->pool);
	free_batches(&t->kept);
	reliable_tx_free(&t->tx);
	reliable_rx_free(&t->rx);
	recover_free(t->recover);
	meter_free(t->meter);
	datapath_free(t);
	mem_free(t->seen);
	mem_wipe_free(t, sizeof(*t));
}

const struct tunnel_grant *
tunnel_grant(const struct tunnel *t)
{
	return &t->grant;
}

int
tunnel_send(struct tunnel *t, uint8_t type, const void *data, size_t n, uint64_t now_us)
{
	int err;

	if (type >= KIND_RESERVED)
		return ERR_UNSUPPORTED;
	if (type == CONTROL_SIP && reliable_tx_half_full(&t->tx)) {
		t->stats.reliable_refused++;
		return ERR_FULL;
	}
	err = reliable_tx_push(&t->tx, type, data, n, now_us);
	/* A frame that was refused is missing at the peer: what it says next makes no sense. */
	if (err == ERR_FULL)
		t->broken = t->changed = true;
	duty_soon(t, now_us + DUTY_US);
	return err;
}

void
tunnel_flush(struct tunnel *t, uint64_t now_us)
{
	output_flush(t, now_us);
}

void
tunnel_tick(struct tunnel *t, uint64_t now_us)
{
	if (t->changed || t->slow_us <= now_us)
		duty_run(t, now_us);
	output_flush(t, now_us);
}

uint64_t
tunnel_deadline(const struct tunnel *t)
{
	uint64_t urgent_us = output_due_us(t);

	if (t->changed)
		return 0;
	return urgent_us < t->slow_us ? urgent_us : t->slow_us;
}

void
tunnel_set_busy(struct tunnel *t, bool busy, uint64_t now_us)
{
	t->busy = busy;
	duty_busy_changed(t, now_us);
}

void
tunnel_set_bandwidth_max(struct tunnel *t, uint64_t bps)
{
	t->cfg.bandwidth_max_bps = bps;
}

const struct tunnel_stats *
tunnel_stats(const struct tunnel *t)
{
	return &t->stats;
}

const char *
tunnel_state_str(enum tunnel_state state)
{
	static const char *const names[] = { "connecting", "up", "down" };

	return names[state];
}

enum tunnel_state
tunnel_state(const struct tunnel *t)
{
	return t->state;
}

uint64_t
tunnel_srtt_us(const struct tunnel *t)
{
	return t->srtt_us;
}

unsigned
tunnel_streams_n(const struct tunnel *t, enum tunnel_dir dir)
{
	unsigned n = 0;

	for (size_t i = 0; i < t->streams_n[dir]; i++)
		n += t->streams[dir][i]->phase == STREAM_LIVE && !t->streams[dir][i]->bounded;
	return n + poll_streams_n(t, dir);
}

const char *
tunnel_redundancy_str(enum tunnel_redundancy redundancy)
{
	static const char *const names[TUNNEL_REDUNDANCY_N] = { "none", "resend", "repeat 1",
		"repeat 2", "parity 1", "parity 2", "distant" };

	return names[redundancy];
}

void
tunnel_line(const struct tunnel *t, uint64_t now_us, struct tunnel_line *out)
{
	enum tunnel_dir reads = t->writes == TUNNEL_UP ? TUNNEL_DOWN : TUNNEL_UP;
	unsigned peers = t->report >> REPORT_REDUNDANCY_SHIFT;

	uint64_t srtt_us = output_srtt_us(t), min_us = guard_min_us(&t->guard);

	/* The minimum is of whole windows and the smoothed one may still be on its way down. */
	*out = (struct tunnel_line){ .srtt_us = srtt_us,
		.min_rtt_us = min_us < srtt_us ? min_us : srtt_us,
		.guarded = !guard_spare(&t->guard, now_us) };
	out->way[t->writes] = (struct tunnel_way){ .level = input_reported_level(t),
		.runs = t->report & REPORT_RUNS,
		.congested = guard_congested(&t->guard, now_us),
		.redundancy = redundancy_now(t, now_us) };
	out->way[reads] = (struct tunnel_way){ .level = meter_level(t->meter, now_us),
		.runs = meter_runs(t->meter, now_us),
		.loss = meter_loss(t->meter, now_us),
		.congested = t->report & REPORT_CONGESTED,
		.redundancy = peers < TUNNEL_REDUNDANCY_N ? peers : TUNNEL_REDUNDANCY_NONE };
	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++) {
		out->way[dir].bounded = t->polls[dir].on;
		out->way[dir].streams = tunnel_streams_n(t, dir);
		out->way[dir].streams_wanted = demand_wanted(t, dir);
	}
}

unsigned
tunnel_line_pairs(const struct tunnel_line *line)
{
	const struct tunnel_way *up = &line->way[TUNNEL_UP], *down = &line->way[TUNNEL_DOWN];

	if (up->bounded || (!down->bounded && down->streams < up->streams))
		return down->streams;
	return up->streams;
}
