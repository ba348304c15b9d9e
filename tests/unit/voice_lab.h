/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_VOICE_LAB_H
#define VOFW_TESTS_VOICE_LAB_H

#include "tests/support/sim.h"
#include "tests/support/sim_voice.h"
#include "tests/support/sim_watch.h"

/* Two tunnels with calls over a simulated line, and an observer; what the tests of voice begin with. */
struct lab {
	struct sim *s;
	struct sim_voice *v;
	struct sim_watch *w;
};

/* `cfg` may be NULL: the defaults. The calls begin after two seconds. */
struct lab lab_new(const struct sim_cfg *cfg, const struct line_set *line, unsigned calls);
void lab_free(struct lab *l);

/* Judges `seconds` of voice from now on. */
struct sim_voice_report lab_hear(struct lab *l, unsigned seconds);

/* A whole run: 12 s to get used to the line, then `seconds` that count. */
struct sim_voice_report lab_heard(const struct sim_cfg *cfg, const struct line_set *line,
    unsigned calls, unsigned seconds);

/* The same as plain UDP. */
struct sim_voice_report lab_heard_udp(const struct line_set *line, unsigned calls,
    unsigned seconds);

/* LAB_LINE(80) is a clean line of that round trip in ms; LAB_LINE(80, .loss_pct = 2) another one. */
#define LAB_LINE(...) (&(const struct line_set){ .on = 1, LAB_LINE_(__VA_ARGS__, .reorder = 0) })
#define LAB_LINE_(rtt_ms, ...) .delay_ms = (rtt_ms) / 2.0, __VA_ARGS__

/* What a direction's writer knows of it. */
struct tunnel_way lab_way(const struct lab *l, enum tunnel_dir dir);
struct tunnel_line lab_line(const struct lab *l, int side);

#endif
