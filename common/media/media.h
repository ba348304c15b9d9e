/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_MEDIA_MEDIA_H
#define VOFW_MEDIA_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/heard.h"
#include "base/metric.h"

struct event_base;

/*
 * The relay of voice, the same in both agents. A *leg* is one end of one media stream of one
 * call. A socket leg is a pair of UDP sockets (RTP on an even port, RTCP on the next) facing a
 * phone; a tunnel leg stands for the socket leg of the same number at the other agent of `face`.
 * Legs are joined in pairs: what comes in by one leaves by the other; a packet from the tunnel is
 * found by (face, number), one from a socket by its socket: one lookup a hop, no allocation, and
 * each packet leaves in the call that brought it.
 *
 * A socket leg sends to the address that the phone's SDP named until it has heard the phone, and
 * from then on to the source that it heard (symmetric RTP, RFC 4961, 7362; latch.h tells whom it
 * believes). Packets from anybody else are counted and dropped, and so is what has no partner.
 *
 * Any UDP media passes; RTP and RTCP are read (libortp) for the counters only, and nothing in them is
 * changed but the phone's own address where RTCP tells it as text (CNAME). Where a side has
 * rtcp-mux (RFC 5761), RTCP is told from RTP by its payload type and leaves by the port that the
 * other side wants it on. Voice is marked EF. Runs on the event base's thread.
 */
struct media;
struct media_leg;

enum media_kind {
	MEDIA_AUDIO,
	MEDIA_VIDEO,
	MEDIA_IMAGE,
	MEDIA_APPLICATION,
	MEDIA_TEXT,
	MEDIA_OTHER
};
const char *media_kind_str(enum media_kind kind); /* "audio" ... */

#define MEDIA_LEGS_MAX 65536 /* of one agent; more are ERR_FULL */
#define MEDIA_PACKET_MAX 2048

/* All are called from inside the loop or media_from_tunnel. They may not close legs. */
struct media_handlers {
	/* A packet for the tunnel of `face`; channel = leg number * 2 + (1 for RTCP). Borrowed. */
	void (*on_tunnel)(void *arg, uint32_t face, uint32_t channel, const uint8_t *data,
	    size_t n);
	/* The real source of a socket leg was learnt and differs from what media_leg_remote gave. */
	void (*on_source)(void *arg, struct media_leg *leg, bool rtcp, const struct addr *source);
	/* A turn of reading sockets is over: flush the tunnels that on_tunnel wrote to. */
	void (*on_turn)(void *arg);
	/* How long the tunnel of `face` takes there and back; 0 = not known. For the stats only; may be
	 * NULL. */
	uint64_t (*round_trip_us)(void *arg, uint32_t face);
};

struct media_cfg {
	struct addr address; /* socket legs are bound to it */
	struct addr told;    /* what phones are told instead, behind a NAT; not set = address */
};

/* Can legs be bound to this address at all? ERR_IO when not (logged). */
int media_address_check(const struct addr *address);

/* `base` is borrowed while the object lives. NULL, logged, when the system has no descriptors left. */
struct media *media_new(struct event_base *base, const struct media_cfg *cfg,
    const struct media_handlers *h, void *arg);
void media_free(struct media *m); /* all legs with it */

struct media_leg_cfg {
	enum media_kind kind; /* chooses the DSCP: EF for audio and fax, AF41 for video */
	uint32_t clock_rate;  /* Hz, for jitter; 0 = 8000 */
	bool rtp;             /* RTP, so that counters make sense */
	void *user;
};

/*
 * Opens `port` (even) and port + 1 on the agent's address. It sends nothing before
 * media_leg_remote told where to, or a packet was heard. ERR_IN_USE (either port); ERR_FULL (legs or
 * file descriptors); ERR_IO.
 */
int media_leg_open(struct media *m, const struct media_leg_cfg *cfg, uint16_t port,
    struct media_leg **out);
/* The stand-in for leg `number` (< 2^31) at the agent of `face`. ERR_EXISTS, ERR_FULL, ERR_TOO_BIG. */
int media_leg_tunnel(struct media *m, const struct media_leg_cfg *cfg, uint32_t face,
    uint32_t number, struct media_leg **out);
void media_leg_close(struct media_leg *leg); /* takes over; its partner is left unjoined */
void *media_leg_user(const struct media_leg *leg);

/* Joins two unjoined legs of one relay; their kinds need not differ. */
void media_join(struct media_leg *a, struct media_leg *b);
void media_unjoin(struct media_leg *leg); /* both; fine when not joined */

/*
 * Where the phone's SDP wants its media: `rtp` and `rtcp` may be unset (a host name, or the phone is
 * behind a NAT and only its packets will tell); with mux RTCP goes where RTP goes and `rtcp` is
 * ignored. An address of another family than the agent's is taken for unset. With `latch` the
 * source is learnt anew: at the answer, and when a re-INVITE may have moved the phone. Where it is
 * known that the phone is behind a NAT, its public host with the port of SDP makes a better `rtp`
 * than the private one: sources on that host are preferred. Tunnel legs: does nothing.
 */
void media_leg_remote(struct media_leg *leg, const struct addr *rtp, const struct addr *rtcp,
    bool mux, bool latch);

/*
 * A packet of n bytes (borrowed until return) came through the tunnel of `face` at the monotonic
 * time now_us: it leaves at once by the leg joined to (face, channel / 2). Unknown channels are
 * counted and dropped, and so is what the socket has no room for.
 */
void media_from_tunnel(struct media *m, uint32_t face, uint32_t channel, const uint8_t *data,
    size_t n, uint64_t now_us);

/*
 * One direction of one stream, as received from this leg's phone: what the pair saw arrive. Where
 * `to_phone` it is what the other phone hears, for it leaves by a socket of this agent.
 */
struct media_stats {
	bool to_phone;
	uint64_t packets, bytes; /* without RTCP; of an RTP stream only what is RTP */
	uint64_t rtcp_packets;
	uint64_t lost;             /* RFC 3550 A.3, over all SSRCs seen; never negative */
	uint64_t late;             /* came, but too late to be played (playout.h) */
	uint64_t runs, run_missed; /* of packets lost or late in a row; packets in them */
	uint32_t run_longest;
	uint64_t late_dropped;    /* older than max_age when they could have left (media_late) */
	uint64_t foreign_dropped; /* from a source that is not the phone */
	double jitter_ms;         /* RFC 3550 A.8 */
	double
	    delay_ms; /* phone to phone: half of both round trips that RTCP told or, where that is
			    more, of the tunnel's; 0 = unknown */
	double mos;   /* E-model estimate 1..4.5; 0 = no RTP seen, or no audio */
	double mos_recent;  /* likewise, between the last two media_sample; 0 = nothing came */
	uint64_t last_us;   /* monotonic time of the last packet of any kind; 0 = none */
	struct addr remote; /* where the phone's RTP really comes from, else what SDP said */
	struct addr remote_rtcp;
};
void media_leg_stats(const struct media_leg *leg, struct media_stats *out);

/* The tunnel of `face` dropped a packet of `channel` for its age: counted for the phone that sent
 * it, the one of the leg joined to (face, channel / 2). */
void media_late(struct media *m, uint32_t face, uint32_t channel);

/* The same in short, as the agents tell it each other. */
struct heard media_heard(const struct media_stats *s);

/* What was heard by the phones that this agent serves since the media_sample before. To be called at
 * a steady pace of some seconds; it goes through all legs. */
void media_sample(struct media *m, struct heard_sum *out);

/*
 * E-model (ITU-T G.107 as reduced by Cole and Rosenbluth, G.711 with PLC): delay in ms (mouth to
 * ear), loss as a share 0..1. For the stats the delay is that of the network, 20 ms for a packet to
 * fill and PLAYOUT_MS for the buffer that plays it out; what is lost or late is lost.
 */
double media_mos(double delay_ms, double loss);

struct metric_set media_metrics(const struct media *m);
size_t media_legs_n(const struct media *m);

#endif
