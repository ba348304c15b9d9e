/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/sim.h"
#include "tests/support/sim_voice.h"

/*
 * What a listener hears through the tunnel, beside plain UDP, on simulated lines under a fake clock:
 * hundreds of times faster than the bench on a machine, and always the same for the same seed.
 */

#define WARM_US (12 * CLOCK_S)
#define STEP_US (100 * CLOCK_MS)
#define LIST_MAX 16

enum mode { MODE_UDP, MODE_TUNNEL };

struct options {
	double calls[LIST_MAX], rtt[LIST_MAX], loss[LIST_MAX];
	size_t calls_n, rtt_n, loss_n;
	const char *scenarios; /* comma-separated names; NULL = the table and all scenarios */
	unsigned seconds;      /* 0 = by the number of calls */
	unsigned connections;  /* 0 = the tunnel's default */
	unsigned proxy_max;
	uint64_t seed;
	bool table, bbr, tls, trace;
};

struct cell {
	const char *name;
	unsigned calls;
	struct line_set line;                           /* both ways; on is set */
	void (*step)(struct sim *s, uint64_t since_us); /* every STEP_US after the warming up */
	unsigned seconds;
	double black_ms; /* so long nothing passes; three times, 30 s apart */
	bool dropped;    /* instead all connections vanish, and new ones pass */
};

struct result {
	struct sim_voice_report r;
	double streams, recovery_ms, over; /* mean; worst; streams opened in all */
	struct tunnel_line line;
};

/* -- One run -- */

static void
print_way(const struct tunnel_way *w)
{
	printf("  L%u%s %-8s %2u/%-2u%s", w->level, w->runs ? "r" : " ",
	    tunnel_redundancy_str(w->redundancy), w->streams, w->streams_wanted,
	    w->congested ? " congested" : "");
}

static void
trace(struct sim *s, const struct sim_voice *v, const struct cell *c, uint64_t since_us)
{
	struct tunnel_line client, server;
	uint64_t now = sim_now_us(s);

	tunnel_line(s->end[SIM_CLIENT].t, sim_now_us(s), &client);
	tunnel_line(s->end[SIM_SERVER].t, sim_now_us(s), &server);
	printf(
	    "%7.1f s  rtt %3.0f loss %.1f  late %5.2f %%  srtt %5.1f %5.1f min %5.1f %5.1f%s%s  up",
	    (double)since_us / 1e6, 2 * s->line.set[0].delay_ms, s->line.set[0].loss_pct,
	    100 * sim_voice_late(v, now - 1500 * CLOCK_MS, now - 500 * CLOCK_MS),
	    (double)client.srtt_us / 1e3, (double)server.srtt_us / 1e3,
	    (double)client.min_rtt_us / 1e3, (double)server.min_rtt_us / 1e3,
	    client.guarded ? " guarded" : "", server.guarded ? " GUARDED" : "");
	print_way(&client.way[TUNNEL_UP]);
	printf("  down");
	print_way(&server.way[TUNNEL_DOWN]);
	printf("\n");
	(void)c;
}

static void
run_steps(const struct options *o, const struct cell *c, enum mode mode, struct sim *s,
    struct sim_voice *v, struct result *out)
{
	unsigned steps_n = c->seconds * 10;

	for (unsigned i = 0; i < steps_n; i++) {
		if (c->step != NULL)
			c->step(s, i * STEP_US);
		sim_run(s, STEP_US);
		out->streams += tunnel_streams_n(s->end[0].t, TUNNEL_UP) / (double)steps_n;
		if (o->trace && mode == MODE_TUNNEL && i % 10 == 9)
			trace(s, v, c, (i + 1) * STEP_US);
	}
}

/* Three of them, 30 s apart; the slowest recovery counts. */
static void
run_black(const struct options *o, const struct cell *c, enum mode mode, struct sim *s,
    struct sim_voice *v, struct result *out)
{
	for (int i = 0; i < 3; i++) {
		uint64_t end, took;

		sim_run(s, 1234567 + o->seed * 7919); /* not in step with anything */
		end = sim_now_us(s) + (uint64_t)(c->black_ms * 1e3);
		if (c->dropped)
			sim_swallow_all(s);
		else
			sim_black(s, end - sim_now_us(s));
		for (unsigned k = 0; k < 300; k++) {
			sim_run(s, STEP_US);
			if (o->trace && mode == MODE_TUNNEL && k % 5 == 4)
				trace(s, v, c, (k + 1) * STEP_US);
		}
		took = sim_voice_recovery_us(v, end);
		if (took == CLOCK_NEVER || (double)took / 1e3 > out->recovery_ms)
			out->recovery_ms = (double)took / 1e3;
		out->streams += tunnel_streams_n(s->end[0].t, TUNNEL_UP) / 3.0;
	}
}

static struct result
run(const struct options *o, const struct cell *c, enum mode mode)
{
	struct result out = { 0 };
	struct sim_cfg cfg;
	struct sim_voice *v;
	struct sim *s;

	sim_cfg_default(&cfg);
	cfg.seed = o->seed;
	cfg.bbr = o->bbr;
	cfg.tls = o->tls;
	cfg.proxy_max = o->proxy_max;
	for (int side = 0; side < 2 && o->connections != 0; side++)
		cfg.end[side].connections_max = o->connections;
	s = sim_new(&cfg);
	s->line.set[0] = s->line.set[1] = c->line;
	sim_run(s, 2 * CLOCK_S);
	v = sim_voice_new(s, c->calls, mode == MODE_UDP);
	sim_run(s, WARM_US);
	sim_voice_begin(v);
	(c->black_ms > 0 || c->dropped ? run_black : run_steps)(o, c, mode, s, v, &out);
	sim_voice_end(v);
	sim_voice_report(v, 2, &out.r);
	tunnel_line(s->end[SIM_CLIENT].t, sim_now_us(s), &out.line);
	out.over = s->opened_n;
	sim_free(s);
	sim_voice_free(v);
	return out;
}

/* -- The table -- */

static void
print_header(void)
{
	printf("%-9s %5s %4s %5s | %28s | %48s | %s\n", "", "", "", "",
	    "UDP late60 late100   MOS   B", "tunnel late60 late100    lost    p99   MOS     B",
	    "dMOS streams opened");
}

static void
run_cell(const struct options *o, const struct cell *c)
{
	struct result u = run(o, c, MODE_UDP), t = run(o, c, MODE_TUNNEL);

	printf(
	    "%-9s %5u %4.0f %4.1f%% | %9.2f %7.2f %6.2f %4.0f | %12.2f %7.2f %7.2f %6.1f %6.2f %5.0f | "
	    "%+.2f %5.1f %5.0f  %s",
	    c->name, c->calls, 2 * c->line.delay_ms, c->line.loss_pct, 100 * u.r.late60,
	    100 * u.r.late100, u.r.mos, u.r.bytes, 100 * t.r.late60, 100 * t.r.late100,
	    100 * t.r.lost, t.r.p99_ms, t.r.mos, t.r.bytes, t.r.mos - u.r.mos, t.streams, t.over,
	    tunnel_redundancy_str(t.line.way[TUNNEL_UP].redundancy));
	if (c->black_ms > 0 || c->dropped)
		printf("  voice again after %.0f ms (UDP %.0f)", t.recovery_ms, u.recovery_ms);
	printf("\n");
	fflush(stdout);
}

static unsigned
seconds_for(const struct options *o, unsigned calls)
{
	if (o->seconds != 0)
		return o->seconds;
	return calls <= 5 ? 200 : calls <= 50 ? 40 : 8;
}

static void
run_table(const struct options *o)
{
	for (size_t i = 0; i < o->calls_n; i++)
		for (size_t j = 0; j < o->rtt_n; j++)
			for (size_t k = 0; k < o->loss_n; k++)
				run_cell(o,
				    &(struct cell){ .name = "random",
					.calls = (unsigned)o->calls[i],
					.line = { .on = 1,
					    .delay_ms = o->rtt[j] / 2,
					    .loss_pct = o->loss[k] },
					.seconds = seconds_for(o, (unsigned)o->calls[i]) });
}

/* -- Scenarios -- */

static void
step_flap(struct sim *s, uint64_t since_us)
{
	sim_set_loss(s, since_us / (4 * CLOCK_S) % 2 == 0 ? 0 : 5);
}

static void
step_rtt(struct sim *s, uint64_t since_us)
{
	sim_set_rtt(s, since_us / (8 * CLOCK_S) % 2 == 0 ? 20 : 160);
}

/* Those of the quality bench, and some harder ones. */
#define LINE(...) .line = { .on = 1, __VA_ARGS__ }
#define NARROW_KBIT 1720
static const struct cell scenarios[] = {
	{ .name = "burst20", LINE(.delay_ms = 40, .burst_ms = 20, .burst_every_ms = 2000) },
	{ .name = "burst60", LINE(.delay_ms = 40, .burst_ms = 60, .burst_every_ms = 2000) },
	{ .name = "burst120", LINE(.delay_ms = 40, .burst_ms = 120, .burst_every_ms = 2000) },
	{ .name = "narrow",
	    LINE(.delay_ms = 40, .loss_pct = 1, .rate_kbit = NARROW_KBIT, .queue_ms = 100) },
	{ .name = "narrow1",
	    .calls = 1,
	    LINE(.delay_ms = 40, .loss_pct = 1, .rate_kbit = 100, .queue_ms = 100) },
	{ .name = "deep",
	    LINE(.delay_ms = 20, .loss_pct = 1, .rate_kbit = NARROW_KBIT, .queue_ms = 500) },
	{ .name = "black40", LINE(.delay_ms = 20), .black_ms = 3000 },
	{ .name = "black80", LINE(.delay_ms = 40), .black_ms = 3000 },
	{ .name = "cut600", LINE(.delay_ms = 40), .black_ms = 600 },
	{ .name = "cut1000", LINE(.delay_ms = 40), .black_ms = 1000 },
	{ .name = "cut1500", LINE(.delay_ms = 40), .black_ms = 1500 },
	{ .name = "dropped", LINE(.delay_ms = 40), .dropped = true },
	{ .name = "flap", LINE(.delay_ms = 40), .step = step_flap },
	{ .name = "rttstep", LINE(.delay_ms = 10), .step = step_rtt },
	{ .name = "rttloss", LINE(.delay_ms = 10, .loss_pct = 1), .step = step_rtt },
	{ .name = "jitter", LINE(.delay_ms = 40, .jitter_ms = 30) },
	{ .name = "jitloss", LINE(.delay_ms = 40, .loss_pct = 1, .jitter_ms = 30) },
};
#undef LINE

static bool
named(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; p != NULL;
	     p = strchr(p, ',') == NULL ? NULL : strchr(p, ',') + 1)
		if (strncmp(p, name, n) == 0 && (p[n] == ',' || p[n] == '\0'))
			return true;
	return false;
}

static void
run_scenarios(const struct options *o)
{
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		struct cell c = scenarios[i];

		if (o->scenarios != NULL && !named(o->scenarios, c.name))
			continue;
		if (c.calls == 0)
			c.calls = o->calls_n == 1 ? (unsigned)o->calls[0] : 20;
		if (o->rtt_n == 1)
			c.line.delay_ms = o->rtt[0] / 2;
		c.seconds = o->seconds != 0 ? o->seconds : 120;
		run_cell(o, &c);
	}
}

/* -- Options -- */

static void
usage(FILE *f)
{
	fprintf(f,
	    "usage: sim [options]\n"
	    "  --calls LIST     of the table (1,20,200); one number: of the scenarios too (20)\n"
	    "  --rtt LIST       ms (20,80,160)\n"
	    "  --loss LIST      percent (0,0.5,1,2,5)\n"
	    "  --only LIST      table, and names of scenarios\n"
	    "  --seconds N      simulated, of each cell\n"
	    "  --connections N  at most; the tunnel's default\n"
	    "  --proxy-max N    requests that a proxy lets through at a time\n"
	    "  --seed N  --bbr  --tls\n"
	    "  --trace          a line for each simulated second\n");
}

static size_t
list(const char *text, double out[LIST_MAX])
{
	size_t n = 0;
	char *end;

	for (; n < LIST_MAX && *text != '\0'; text = *end == ',' ? end + 1 : end) {
		out[n++] = strtod(text, &end);
		if (end == text) {
			usage(stderr);
			exit(2);
		}
	}
	return n;
}

static void
parse(int argc, char **argv, struct options *o)
{
	static const struct option names[] = { { "calls", 1, NULL, 'c' }, { "rtt", 1, NULL, 'r' },
		{ "loss", 1, NULL, 'l' }, { "only", 1, NULL, 'o' }, { "seconds", 1, NULL, 's' },
		{ "connections", 1, NULL, 'n' }, { "proxy-max", 1, NULL, 'p' },
		{ "seed", 1, NULL, 'S' }, { "bbr", 0, NULL, 'b' }, { "tls", 0, NULL, 't' },
		{ "trace", 0, NULL, 'T' }, { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1)
		switch (c) {
		case 'c':
			o->calls_n = list(optarg, o->calls);
			break;
		case 'r':
			o->rtt_n = list(optarg, o->rtt);
			break;
		case 'l':
			o->loss_n = list(optarg, o->loss);
			break;
		case 'o':
			o->scenarios = optarg;
			break;
		case 's':
			o->seconds = (unsigned)atoi(optarg);
			break;
		case 'n':
			o->connections = (unsigned)atoi(optarg);
			break;
		case 'p':
			o->proxy_max = (unsigned)atoi(optarg);
			break;
		case 'S':
			o->seed = strtoull(optarg, NULL, 10);
			break;
		case 'b':
			o->bbr = true;
			break;
		case 't':
			o->tls = true;
			break;
		case 'T':
			o->trace = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
}

int
main(int argc, char **argv)
{
	struct options o = { .calls = { 1, 20, 200 },
		.rtt = { 20, 80, 160 },
		.loss = { 0, 0.5, 1, 2, 5 },
		.calls_n = 3,
		.rtt_n = 3,
		.loss_n = 5,
		.seed = 1 };

	parse(argc, argv, &o);
	print_header();
	if (o.scenarios == NULL || named(o.scenarios, "table"))
		run_table(&o);
	run_scenarios(&o);
	return 0;
}
