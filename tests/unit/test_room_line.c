/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Admission by the tunnel's own word on the line: real tunnels over a simulated one. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/support/sim.h"
#include "tests/support/sim_voice.h"
#include "vcit/room.h"

struct office {
	struct sim *s;
	struct sim_voice *v;
	struct room room;
	struct room_load load;
	unsigned seconds, refused, congested_n;
};

static void
sample(struct office *o)
{
	const struct tunnel *t = o->s->end[SIM_SERVER].t;
	const struct tunnel_stats *stats = tunnel_stats(t);
	struct tunnel_line line;
	struct room_sample s = { .session = tunnel_grant(t)->session,
		.bytes = { stats->bytes_received, stats->bytes_sent },
		.batches = { stats->batches_received, stats->batches_sent } };

	tunnel_line(t, sim_now_us(o->s), &line);
	for (int dir = 0; dir < 2; dir++)
		s.congested[dir] = line.way[dir].congested;
	o->congested_n += s.congested[0] || s.congested[1];
	room_sample(&o->room, &s, &o->load, sim_now_us(o->s));
}

static void
office_open(struct office *o, const struct line_set *line)
{
	struct sim_cfg cfg;

	*o = (struct office){ .seconds = 0 };
	sim_cfg_default(&cfg);
	o->s = sim_new(&cfg);
	o->s->line.set[0] = o->s->line.set[1] = *line;
	o->v = sim_voice_new(o->s, 0, false);
	room_init(&o->room, true);
	sim_busy(o->s, true);
	sim_run(o->s, 2 * CLOCK_S);
	sample(o);
}

static void
office_close(struct office *o)
{
	sim_free(o->s);
	sim_voice_free(o->v);
}

static void
pass(struct office *o, unsigned seconds, unsigned call_every, unsigned end_every)
{
	while (seconds-- > 0) {
		o->seconds++;
		if (end_every != 0 && o->seconds % end_every == 0 && o->load.up > 0)
			o->load.up--;
		if (o->seconds % call_every == 0) {
			if (room_ask(&o->room, &o->load, 1) == ROOM_YES)
				o->load.up++;
			else
				o->refused++;
		}
		sim_voice_calls(o->v, (unsigned)o->load.up);
		for (int i = 0; i < 4; i++) {
			sim_run(o->s, CLOCK_S / 4);
			sample(o);
		}
	}
}

/* 860 kbit/s: some ten calls of G.711. They come every other second; now and then one ends. */
static void
a_narrow_line_is_filled_and_not_overfilled(void **state)
{
	const struct line_set line = {
		.on = true, .delay_ms = 40, .rate_kbit = 860, .queue_ms = 100
	};
	struct office o;
	uint64_t begin_us;
	double late;

	(void)state;
	office_open(&o, &line);
	pass(&o, 40, 2, 0);
	pass(&o, 80, 2, 10);
	begin_us = sim_now_us(o.s);
	pass(&o, 60, 2, 10);
	late = sim_voice_late(o.v, begin_us, sim_now_us(o.s) - 2 * CLOCK_S);
	assert_in_range(o.room.ceiling, 8, 11);
	assert_in_range(o.load.up, 8, 11);
	assert_true(late < 0.3); /* a call too many is tried in that time, in vain */
	office_close(&o);
}

static void
without_admission_all_of_them_sound_bad(void **state)
{
	const struct line_set line = {
		.on = true, .delay_ms = 40, .rate_kbit = 860, .queue_ms = 100
	};
	struct office o;
	double late;

	(void)state;
	office_open(&o, &line);
	room_init(&o.room, false);
	pass(&o, 40, 2, 0);
	late = sim_voice_late(o.v, sim_now_us(o.s) - 12 * CLOCK_S, sim_now_us(o.s) - 2 * CLOCK_S);
	assert_int_equal(o.load.up, 20);
	assert_true(o.congested_n > 0);
	assert_true(late > 0.9);
	office_close(&o);
}

static void
loss_and_jitter_refuse_nobody(void **state)
{
	static const struct line_set lines[] = {
		{ .on = true, .delay_ms = 10, .loss_pct = 5 },
		{ .on = true, .delay_ms = 80, .loss_pct = 2 },
		{ .on = true, .delay_ms = 40, .jitter_ms = 30 },
		{ .on = true, .delay_ms = 40, .burst_ms = 60, .burst_every_ms = 2000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct office o;

		office_open(&o, &lines[i]);
		pass(&o, 20, 2, 0);
		pass(&o, 20, 40, 0);
		assert_int_equal(o.refused, 0);
		assert_int_equal(o.room.ceiling, 0);
		office_close(&o);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_narrow_line_is_filled_and_not_overfilled),
		cmocka_unit_test(without_admission_all_of_them_sound_bad),
		cmocka_unit_test(loss_and_jitter_refuse_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
