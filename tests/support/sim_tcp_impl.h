/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_SIM_TCP_IMPL_H
#define VOFW_TESTS_SIM_TCP_IMPL_H

#include "tests/support/sim_tcp.h"

/* What sim_tcp.c (life, events, the receiver) and sim_tcp_sender.c share and nobody else sees. */

#define RING_N 256 /* segments outstanding, at most; a power of two */

struct tcp_segment {
	uint8_t *data;
	size_t len, overhead;
	bool end;
	bool received;               /* by the receiver */
	bool sacked, lost, repeated; /* as the sender knows */
	uint64_t sent_us;            /* the last time */
};

enum tcp_timer { TIMER_NONE, TIMER_PROBE, TIMER_RTO };
enum tcp_state { TCP_OPEN, TCP_RECOVERY, TCP_LOSS };

struct sim_tcp {
	struct sim_tcp_cfg cfg;
	struct sim_tcp_handlers h;
	void *arg;
	struct sim_clock *clock;
	struct sim_tcp_facts facts;
	bool closed;
	bool swallowed;    /* what is sent from now on is lost */
	unsigned events_n; /* that refer to it */
	struct tcp_segment ring[RING_N];
	uint32_t una, nxt, rcv; /* first unacknowledged, next to send, next to deliver */

	/* The sender. */
	uint8_t *unsent;
	size_t unsent_len, unsent_cap, unsent_overhead;
	bool ending; /* the last of `unsent` is the end */
	bool end_sent;
	bool no_room; /* on_room is owed */
	double cwnd, ssthresh;
	enum tcp_state state;
	uint32_t high; /* the episode of losses is over when all before is acknowledged */
	uint64_t srtt_us, var_us, min_rtt_us, sent_us;
	uint64_t progress_us; /* since when what is outstanding waits */
	unsigned backoff, max_out;
	uint64_t rack_us, rack_rtt_us; /* sending time and round trip of the last delivered ... */
	uint32_t rack_i;               /* ... and which it was */
	uint64_t rack_due_us;          /* when the next segment may be called lost */
	bool probing;
	enum tcp_timer timer;
	uint64_t timer_us, rto_at_us;
	uint64_t timer_event_us; /* the earliest event that looks at the timers */

	/* The receiver. */
	uint64_t last_arrival_us, last_ack_arrival_us;
	unsigned quick_n, unacked_n;
	uint64_t delack_us;
};

struct tcp_segment *tcp_segment(struct sim_tcp *c, uint32_t i);

/* sim_tcp.c: fn(c, a, b) at that time; each such function begins with tcp_gone, true = return. */
void tcp_at(struct sim_tcp *c, uint64_t at_us, sim_fn fn, uint64_t a, uint64_t b);
bool tcp_gone(struct sim_tcp *c);
void tcp_look_at(struct sim_tcp *c, uint64_t at_us); /* tcp_run_timers is called by then */
void tcp_on_segment(void *obj, uint64_t i, uint64_t b);
void tcp_send_ack(struct sim_tcp *c);

/* sim_tcp_sender.c */
void tcp_sender_init(struct sim_tcp *c);
void tcp_on_ack(void *obj, uint64_t cum, uint64_t bits);
void tcp_run_timers(struct sim_tcp *c);
void tcp_transmit(struct sim_tcp *c);
void tcp_after_idle(struct sim_tcp *c);

#endif
