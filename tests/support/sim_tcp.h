/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_SIM_TCP_H
#define VOFW_TESTS_SIM_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/sim_line.h"

/*
 * One direction of one simulated TCP connection: bytes in, the same bytes in order out, at the times
 * at which Linux would deliver them over a sim_line. Modelled: segments of 1448 bytes, SACK, RACK
 * with its reordering window, the tail loss probe, the retransmission timer with its back-off,
 * initial window 10, slow start and the cut by 0.7 of CUBIC, delayed acknowledgements (40 ms, not for
 * the first 16 segments). Not modelled: pacing, F-RTO, undo, flow control. Segments and
 * acknowledgements are packets of the line, which may lose them.
 */

#define SIM_TCP_MSS 1448
#define SIM_TCP_HEADERS 52 /* IPv4 and TCP with timestamps */

struct sim_tcp;

struct sim_tcp_handlers { /* they do not close the connection */
	/* The next bytes in order; `end`: they are the last ones. Borrowed until return. */
	void (*on_data)(void *arg, const uint8_t *data, size_t n, bool end);
	/* Less than SIM_TCP_LOWAT bytes wait to be sent, after it was more. */
	void (*on_room)(void *arg);
	/* Nothing was acknowledged for user_timeout_us: the connection is over. */
	void (*on_dead)(void *arg);
};

#define SIM_TCP_LOWAT 16384

struct sim_tcp_cfg {
	struct sim_line *line;
	int way;                  /* of the data; acknowledgements go the other one */
	uint64_t rtt_us;          /* the first sample, of the handshake */
	bool bbr;                 /* losses do not make the window smaller */
	uint64_t user_timeout_us; /* TCP_USER_TIMEOUT; 0 = none */
};

struct sim_tcp *sim_tcp_new(const struct sim_tcp_cfg *cfg, const struct sim_tcp_handlers *h,
    void *arg);

/* Copies. `overhead` bytes more go with them on the wire (chunk, TLS record). end: nothing follows. */
void sim_tcp_write(struct sim_tcp *c, const uint8_t *data, size_t n, size_t overhead, bool end);

size_t sim_tcp_unsent(const struct sim_tcp *c); /* bytes that wait for the window */

/* Whatever it sends from now on is lost, both ways; what is on the line already arrives. */
void sim_tcp_swallow(struct sim_tcp *c);

/* No handler is called any more; it frees itself when the last of its packets is gone. */
void sim_tcp_close(struct sim_tcp *c);

/* An event, of whatever kind, that will never run: if it is of a connection that knows it now. */
void sim_tcp_drop(const struct sim_event *e);

struct sim_tcp_facts {
	uint64_t segments, repeated; /* of them */
	uint64_t probes, timeouts;
	uint64_t srtt_us;
	double cwnd;
	unsigned outstanding;
};
void sim_tcp_facts(const struct sim_tcp *c, struct sim_tcp_facts *out);

#endif
