/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_SIM_H
#define VOFW_TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/sim_line.h"
#include "tests/support/sim_tcp.h"
#include "tunnel/tunnel.h"

/*
 * Two tunnels joined by simulated TCP connections over one simulated line, under a fake clock. It
 * plays both HTTP layers: one connection for each stream, with its handshake, its request and its
 * end; bounded ones use a connection that rests, if there is one, whose congestion window begins anew.
 * Time passes only in sim_run. The line may be changed between two runs.
 *
 * Aborts when the tunnels break their own rules (malformed bytes, reliable frames out of order).
 */

enum sim_side { SIM_CLIENT, SIM_SERVER };

struct sim_cfg {
	uint64_t seed;
	bool bbr;
	bool tls;           /* one more round trip at the start, 22 bytes more for each write */
	unsigned proxy_max; /* requests that a proxy lets through at a time; 0 = any number */
	bool proxy_hangs;   /* it keeps those beyond waiting, else it answers 503 */
	bool bounded[2];    /* by direction: streams end with each burst */
	bool holds[2];      /* by direction: what is not bounded never comes out of the proxy */
	bool datagrams;     /* the tunnels have a way for them, over the same line */
	struct tunnel_cfg end[2];
};

void sim_cfg_default(struct sim_cfg *cfg); /* and the tunnels' defaults */

#define SIM_RELIABLE_MAX 20000

struct sim_end {
	struct tunnel *t;
	uint32_t reliable_sent, reliable_got;        /* got: from the other side */
	uint32_t reliable_took_us[SIM_RELIABLE_MAX]; /* of those got */
	unsigned wanted, broken, aborted_dead;
	enum tunnel_state state;
	bool touched;                               /* to be flushed, and asked for its deadline */
	uint64_t deadline_us;                       /* as it was told last */
	uint64_t batches_n, datagrams_n, doubled_n; /* of sim_by_datagram's last call */
};

typedef void (*sim_media_fn)(void *arg, int side, uint32_t channel, const uint8_t *data, size_t n);

/* What an observer of the bodies is told; borrowed until return. */
struct sim_hooks {
	/* The writer of a stream gave these bytes to its connection: whole batches. `unsent` bytes
	 * wait there for the window: then the batches may have waited before. */
	void (*on_write)(void *arg, enum tunnel_dir dir, uint32_t serial, const uint8_t *data,
	    size_t n, size_t unsent);
	/* Its reader is about to get these, cut anywhere. */
	void (*on_read)(void *arg, enum tunnel_dir dir, uint32_t serial, const uint8_t *data,
	    size_t n);
	/* Its writer knows that it is over; then, both ends do. */
	void (*on_gone)(void *arg, enum tunnel_dir dir, uint32_t serial);
	void (*on_over)(void *arg, enum tunnel_dir dir, uint32_t serial);
};

struct sim {
	struct sim_cfg cfg;
	struct sim_clock clock;
	struct sim_line line;
	struct sim_end end[2];
	struct sim_stream *streams; /* that there ever were; the newest first */
	struct sim_stream *pumps;   /* whose writers may have bytes */
	unsigned opened_n, held_n;  /* requests that were begun; that the proxy holds now */
	unsigned idle_n;            /* connections that rest between two bounded streams */
	bool refuse;                /* new requests are answered with an error */
	/* Of datagrams, besides what the line does with all packets. */
	bool udp_blocked;
	double udp_loss_pct[2]; /* of what the client sends, and the server */
	struct addr udp_from;   /* the client's address, as the server sees it */
	uint64_t udp_n[2];      /* by side: datagrams handed to the line */
	struct sim_datagram *flying;
	sim_media_fn on_media; /* may be NULL */
	void *media_arg;
	const struct sim_hooks *hooks; /* may be NULL */
	void *hooks_arg;
};

/* A line of 20 ms each way without limits; change s->line before the first run. */
struct sim *sim_new(const struct sim_cfg *cfg);
void sim_free(struct sim *s);
uint64_t sim_now_us(const struct sim *s);

/* Lets `us` microseconds pass. */
void sim_run(struct sim *s, uint64_t us);

/* A reliable frame of n >= 12 bytes from `side`; what tunnel_send said. It leaves in sim_run. */
int sim_send(struct sim *s, int side, size_t n);

void sim_busy(struct sim *s, bool busy); /* both ends know of a call, or of none */

/* Share of the voice that left `side` by datagrams alone since the last call, 0..1. */
double sim_by_datagram(struct sim *s, int side);

/* Cuts every connection that there is: both ends learn of it within 100 ms. */
void sim_cut_all(struct sim *s);

/* A firewall forgets every connection that there is: their packets vanish, new ones are let through. */
void sim_swallow_all(struct sim *s);

/* Both ways; what else the line can do is in s->line.set. */
void sim_set_rtt(struct sim *s, double rtt_ms);
void sim_set_loss(struct sim *s, double percent);
void sim_black(struct sim *s, uint64_t us); /* nothing passes for so long from now on */

#endif
