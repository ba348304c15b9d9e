/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <event2/event.h>
#include <stdlib.h>

#include "base/clock.h"
#include "hrac/doctor/impl.h"

/*
 * The silences that are tried, s. HRAS allows a visit 32 probes at a time: both directions of all of
 * these, and some more.
 */
static const uint32_t short_idles[] = { 2, 5, 10 };
static const uint32_t long_idles[] = { 5, 10, 20, 30, 45, 60, 90, 120 };

/* Longer than the echo probe: a collector may let go after a second or two. */
static const struct probe_plan held = { .count = 41, .size = 24, .interval_ms = 100 };

#define HELD_WHOLE_MS 3900
#define HELD_LIMIT_MS 8000
#define IDLE_SPARE_MS 3000 /* for the last chunk, behind the silence */
#define PINGS 10
#define PING_LIMIT_MS 4000
#define RUSH_MS 1500 /* of throughput, each way */
#define RUSH_LIMIT_MS 6000
#define RUSH_CALM_US 500000 /* all came in less: the line was hardly filled */

/* -- Silence -- */

struct idle {
	struct doctor_visit *visit;
	uint32_t silence_s;
};

static void
note_cut(struct doctor_way *w, uint32_t after_s)
{
	if (w->idle_cut_s == 0 || after_s < w->idle_cut_s)
		w->idle_cut_s = after_s;
}

static void
on_idle(void *arg, const struct uplink_body_result *r)
{
	struct idle *i = arg;
	struct doctor_way *w = &i->visit->facts->way[r->dir];
	uint32_t silent_s = (uint32_t)((r->over_us - r->last_us + CLOCK_S - 1) / CLOCK_S);

	i->visit->doctor->pending--;
	if (r->cause[0] == '\0') {
		if (i->silence_s > w->idle_ok_s)
			w->idle_ok_s = i->silence_s;
	} else if (r->last_us != 0) {
		/* Told of its end while it was silent, or found dead behind the silence. */
		note_cut(w, !r->late && silent_s < i->silence_s ? silent_s : i->silence_s);
	}
}

static void
start_idle(struct idle *i, enum tunnel_dir dir)
{
	struct uplink_body_cfg cfg = { .dir = dir,
		.plan = { 2, PROBE_SIZE_MIN, i->silence_s * 1000 },
		.limit_ms = i->silence_s * 1000 + IDLE_SPARE_MS };
	struct uplink_body_way way = doctor_way_of(i->visit);

	if (i->visit->facts->way[dir].why[0] != '\0')
		return; /* no long body is let through at all */
	i->visit->doctor->pending++;
	(void)uplink_body_start(&way, &cfg, on_idle, i);
}

static void
start_idles(struct doctor_visit *v, struct idle *idles)
{
	bool is_long = v->doctor->options->is_long;
	const uint32_t *list = is_long ? long_idles : short_idles;
	size_t n = is_long ? sizeof(long_idles) / sizeof(long_idles[0]) :
			     sizeof(short_idles) / sizeof(short_idles[0]);

	for (size_t i = 0; i < n; i++) {
		idles[i] = (struct idle){ v, list[i] };
		start_idle(&idles[i], TUNNEL_UP);
		start_idle(&idles[i], TUNNEL_DOWN);
	}
}

/* -- For how long what is held back is held back -- */

static void
on_held(void *arg, const struct uplink_body_result *r)
{
	struct doctor_visit *v = arg;
	struct doctor_way *w = &v->facts->way[r->dir];

	v->doctor->pending--;
	if (r->cause[0] != '\0' && !r->late)
		return;
	w->held_ms =
	    (r->late ? r->over_us : probe_judge(r->plan, r->sent_us, r->came_us, r->n).held_us) /
	    1000;
	w->whole = w->held_ms >= HELD_WHOLE_MS;
}

static void
start_held(struct doctor_visit *v, enum tunnel_dir dir)
{
	struct uplink_body_cfg cfg = { .dir = dir, .plan = held, .limit_ms = HELD_LIMIT_MS };
	struct uplink_body_way way = doctor_way_of(v);

	if (v->facts->way[dir].body != DOCTOR_HELD || v->facts->way[dir].why[0] != '\0')
		return;
	v->doctor->pending++;
	(void)uplink_body_start(&way, &cfg, on_held, v);
}

/* -- One after the other: while these run, the silent ones go on -- */

struct turn {
	struct doctor_visit *visit;
	bool over;
	unsigned n;
	uint32_t us[PINGS];
};

static void
await(struct turn *t)
{
	while (!t->over)
		event_base_loop(t->visit->doctor->base, EVLOOP_ONCE);
	t->over = false;
}

static void
on_ping(void *arg, const struct uplink_body_result *r)
{
	struct turn *t = arg;

	t->over = true;
	if (r->cause[0] == '\0' && r->answer_us != 0)
		t->us[t->n++] = r->answer_us;
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void
measure_round_trip(struct doctor_visit *v)
{
	struct uplink_body_cfg ping = {
		.dir = TUNNEL_UP, .whole = true, .limit_ms = PING_LIMIT_MS
	};
	struct uplink_body_way way = doctor_way_of(v);
	struct turn t = { .visit = v };

	for (unsigned i = 0; i < PINGS; i++) {
		(void)uplink_body_start(&way, &ping, on_ping, &t);
		await(&t);
	}
	if (t.n == 0)
		return;
	qsort(t.us, t.n, sizeof(t.us[0]), compare);
	v->facts->rtt_min_us = t.us[0];
	v->facts->rtt_median_us = t.us[t.n / 2];
}

static void
on_rush(void *arg, const struct uplink_body_result *r)
{
	struct turn *t = arg;
	struct doctor_way *w = &t->visit->facts->way[r->dir];
	uint32_t end_us = r->dir == TUNNEL_UP ? r->over_us : r->last_us;
	uint32_t begin_us = r->asked_us + t->visit->facts->rtt_min_us;
	uint64_t bits = (uint64_t)r->n * r->plan->size * 8;

	t->over = true;
	w->segments += r->segments.sent;
	w->again += r->segments.again;
	/* Down it is ended by us; up HRAS has told how much came. */
	if (r->n == 0 || (r->dir == TUNNEL_UP && r->cause[0] != '\0'))
		return;
	if (end_us < begin_us + 1000)
		end_us = begin_us + 1000; /* faster than this cannot be measured so */
	w->kbit = (uint32_t)(bits * 1000 / (end_us - begin_us));
	w->kbit_least = r->n == r->plan->count && end_us - begin_us < RUSH_CALM_US;
}

static void
measure_throughput(struct doctor_visit *v, enum tunnel_dir dir, uint32_t count)
{
	struct uplink_body_cfg cfg = { .dir = dir,
		.plan = { count, PROBE_SIZE_MAX, 0 },
		.limit_ms = dir == TUNNEL_UP ? RUSH_LIMIT_MS : RUSH_MS,
		.enough_ms = RUSH_MS };
	struct uplink_body_way way = doctor_way_of(v);
	struct turn t = { .visit = v };

	(void)uplink_body_start(&way, &cfg, on_rush, &t);
	await(&t);
}

/* First to where HTTP reached HRAS: what HRAS knows of its own address may be private. */
static void
start_datagrams(struct doctor_visit *v)
{
	struct addr to = v->about.datagrams[0], there;

	if (v->about.datagrams_n == 0)
		return;
	if (v->facts->proxy[0] == '\0' && addr_parse(v->facts->look.peer, 0, &there) == 0) {
		addr_set_port(&there, addr_port(&to));
		to = there;
	}
	doctor_udp_start(v, &to);
}

void
doctor_line_measure(struct doctor_visit *v)
{
	struct idle idles[DOCTOR_IDLES_MAX];

	start_datagrams(v);
	start_held(v, TUNNEL_UP);
	start_held(v, TUNNEL_DOWN);
	start_idles(v, idles);
	measure_round_trip(v);
	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++) {
		measure_throughput(v, dir, PROBE_COUNT_MAX);
		/* A proxy may take no body so long. */
		if (v->facts->way[dir].kbit == 0)
			measure_throughput(v, dir, PROBE_COUNT_MAX / 16);
	}
	doctor_wait(v->doctor);
}
