/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_MEDIA_MEDIA_H
#define VOFW_MEDIA_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/metric.h"

struct event_base;

/*
 * The relay of voice, the same in both agents. A *leg* is one end of one media stream of one
 * call. A socket leg is a pair of UDP sockets (RTP on an even port, RTCP on the next) facing a
 * phone; a tunnel leg stands for the socket leg of the same number at the other agent of `face`.
 * Legs are joined in pairs: what comes in by one leaves by the other; a packet from the tunnel is
 * found by (face, number), one from a socket by its socket: one lookup a hop, no allocation.
 *
 * A socket leg sends to the address that the phone's SDP named and learns the phone's real source
 * (symmetric RTP, RFC 4961, 7362): within the learning window after latch it accepts the first
 * valid source (the SDP's own is preferred) and from then on only that; packets from anybody else
 * are counted and dropped.
 *
 * Any UDP media passes; RTP and RTCP are read (libortp) for the counters only. Runs on the event
 * base's thread. Voice is marked EF.
 */
struct media;
struct media_leg;

enum media_kind { MEDIA_AUDIO, MEDIA_VIDEO, MEDIA_IMAGE, MEDIA_APPLICATION, MEDIA_TEXT, MEDIA_OTHER };
const char *media_kind_str(enum media_kind kind); /* "audio" ... */

#define MEDIA_LEGS_MAX 65536 /* of one agent; more are ERR_FULL */
#define MEDIA_PACKET_MAX 2048

struct media_handlers {
	/* A packet for the tunnel of `face`; channel = leg number * 2 + (1 for RTCP). Borrowed. */
	void (*on_tunnel)(void *arg, uint32_t face, uint32_t channel, const uint8_t *data, size_t n);
	/* The real source of a socket leg was learnt and differs from what set_remote gave. */
	void (*on_source)(void *arg, struct media_leg *leg, bool rtcp, const struct addr *source);
	/* A turn of reading sockets is over: flush the tunnels that on_tunnel wrote to. */
	void (*on_turn)(void *arg);
};

struct media_cfg {
	struct addr address; /* socket legs are bound to it */
};

struct media *media_new(struct event_base *base, const struct media_cfg *cfg,
    const struct media_handlers *h, void *arg);
void media_free(struct media *m); /* all legs with it */

struct media_leg_cfg {
	enum media_kind kind;
	uint32_t clock_rate; /* Hz, for jitter; 8000 */
	bool rtp;            /* RTP, so that counters make sense */
	void *user;
};

/* Opens `port` (even) and port + 1 on the agent's address. ERR_IN_USE, ERR_FULL, ERR_IO. */
int media_leg_open(struct media *m, const struct media_leg_cfg *cfg, uint16_t port,
    struct media_leg **out);
/* The stand-in for leg `number` at the agent of `face`. ERR_EXISTS, ERR_FULL. */
int media_leg_tunnel(struct media *m, const struct media_leg_cfg *cfg, uint32_t face,
    uint32_t number, struct media_leg **out);
void media_leg_close(struct media_leg *leg); /* takes over; its partner is left unjoined */
void *media_leg_user(const struct media_leg *leg);

/* Joins two unjoined legs. */
void media_join(struct media_leg *a, struct media_leg *b);
void media_unjoin(struct media_leg *leg);

/* Where the phone wants its media (not set = do not send yet), RTCP on the RTP port with mux. With
 * latch the source is learnt anew (a re-INVITE moved the phone). Tunnel legs: does nothing. */
void media_leg_remote(struct media_leg *leg, const struct addr *rtp, const struct addr *rtcp,
    bool mux, bool latch);

/* A packet came through the tunnel of `face` at now_us: to the phone, by the joined leg. Sent when
 * media_flush is called. Unknown channels are counted and dropped. */
void media_from_tunnel(struct media *m, uint32_t face, uint32_t channel, const uint8_t *data,
    size_t n, uint64_t now_us);
/* Sends what media_from_tunnel queued (sendmmsg); at the end of the turn. */
void media_flush(struct media *m);

/* One direction of one stream, as received from this leg's phone: what the pair saw arrive. */
struct media_stats {
	uint64_t packets, bytes;   /* RTP only */
	uint64_t rtcp_packets;
	uint64_t lost;             /* RFC 3550 A.3, over all SSRCs seen; never negative */
	uint64_t late_dropped;     /* older than max_age when they could have left */
	uint64_t foreign_dropped;  /* from a source that is not the phone */
	double jitter_ms;          /* RFC 3550 A.8 */
	double delay_ms;           /* one way, as known (half the round trip by RTCP), 0 = unknown */
	double mos;                /* E-model estimate 1..4.5; 0 = no RTP seen */
	uint64_t last_us;          /* monotonic time of the last packet of any kind; 0 = none */
	struct addr remote;        /* where the phone's RTP really comes from, else what SDP said */
	struct addr remote_rtcp;
};
void media_leg_stats(const struct media_leg *leg, struct media_stats *out);

/* E-model (ITU-T G.107 as reduced by Cole and Rosenbluth, G.711 with PLC): delay in ms (mouth to
 * ear), loss as a share 0..1. */
double media_mos(double delay_ms, double loss);

struct metric_set media_metrics(const struct media *m);
size_t media_legs_n(const struct media *m);

#endif
