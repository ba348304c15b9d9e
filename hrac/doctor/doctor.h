/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_DOCTOR_H
#define VOFW_HRAC_DOCTOR_H

#include <stdbool.h>

/*
 * `hrac --doctor`: climbs the ladder rung by rung over a configuration, and prints what stands in the
 * way and what gets through, for the one who runs HRAC to read and to hand on. It opens no socket for
 * phones and only visits HRAS: a running HRAC with the same configuration, and its calls, are not
 * disturbed. It runs a loop of its own, and ends.
 */
struct config_hrac;

struct doctor_options {
	bool json;
	bool is_long; /* takes two minutes, to find what cuts silent connections */
};

/* Prints to stdout. The exit status: 0 when calls will work, 1 when not. */
int doctor_run(const struct config_hrac *config, const struct doctor_options *options);

#endif
