/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/voice_lab.h"

#include "base/clock.h"

#define WARM_US (12 * CLOCK_S)

struct lab
lab_new(const struct sim_cfg *cfg, const struct line_set *line, unsigned calls)
{
	struct sim_cfg defaults;
	struct lab l;

	sim_cfg_default(&defaults);
	l.s = sim_new(cfg != NULL ? cfg : &defaults);
	l.s->line.set[0] = l.s->line.set[1] = *line;
	l.w = sim_watch_new(l.s);
	sim_run(l.s, 2 * CLOCK_S);
	l.v = sim_voice_new(l.s, calls, false);
	return l;
}

void
lab_free(struct lab *l)
{
	sim_free(l->s);
	sim_voice_free(l->v);
	sim_watch_free(l->w);
}

struct sim_voice_report
lab_hear(struct lab *l, unsigned seconds)
{
	struct sim_voice_report r;

	sim_voice_begin(l->v);
	sim_run(l->s, seconds * CLOCK_S);
	sim_voice_end(l->v);
	sim_voice_report(l->v, 2, &r);
	return r;
}

struct sim_voice_report
lab_heard(const struct sim_cfg *cfg, const struct line_set *line, unsigned calls, unsigned seconds)
{
	struct lab l = lab_new(cfg, line, calls);
	struct sim_voice_report r;

	sim_run(l.s, WARM_US);
	r = lab_hear(&l, seconds);
	lab_free(&l);
	return r;
}

struct sim_voice_report
lab_heard_udp(const struct line_set *line, unsigned calls, unsigned seconds)
{
	struct sim_voice_report r;
	struct sim_cfg cfg;
	struct lab l;

	sim_cfg_default(&cfg);
	l.s = sim_new(&cfg);
	l.s->line.set[0] = l.s->line.set[1] = *line;
	l.v = sim_voice_new(l.s, calls, true);
	l.w = sim_watch_new(l.s);
	r = lab_hear(&l, seconds);
	lab_free(&l);
	return r;
}

struct tunnel_line
lab_line(const struct lab *l, int side)
{
	struct tunnel_line line;

	tunnel_line(l->s->end[side].t, sim_now_us(l->s), &line);
	return line;
}

struct tunnel_way
lab_way(const struct lab *l, enum tunnel_dir dir)
{
	return lab_line(l, dir == TUNNEL_UP ? SIM_CLIENT : SIM_SERVER).way[dir];
}
