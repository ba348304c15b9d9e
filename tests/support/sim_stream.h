/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_SIM_STREAM_H
#define VOFW_TESTS_SIM_STREAM_H

#include "tests/support/sim.h"

/*
 * The HTTP requests of a simulation, each a stream of the tunnels and a TCP connection: handshake,
 * request, body, end. Only for sim.c.
 */
struct sim_stream;

#define must(cond) ((cond) ? (void)0 : sim_broken_rule(#cond, __FILE__, __LINE__))
_Noreturn void sim_broken_rule(const char *what, const char *file, int line);

void sim_stream_open(struct sim *s, enum tunnel_dir dir); /* the client begins a connection */
void sim_stream_wake(struct sim_stream *p);               /* its writer has bytes */

/* `side` is done with it: it is gone there on the next turn, and the other side will learn it. */
void sim_stream_over(struct sim_stream *p, int side, enum tunnel_why why);

void sim_stream_pump_all(struct sim *s); /* moves bytes from the writers to the connections */
void sim_stream_free_all(struct sim *s);

#endif
