/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_MEDIA_LEG_H
#define VOFW_MEDIA_LEG_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/mem.h"
#include "media/latch.h"
#include "media/media.h"
#include "media/rtp.h"
#include "media/watch.h"

/*
 * What relay.c (the legs of an agent, and the way of a packet between them) and leg.c (the two
 * sockets of a leg) share. Private to media/.
 */
struct media_count {
	uint64_t media_legs, media_gap_us;
	uint64_t media_phone_received, media_phone_sent;
	uint64_t media_tunnel_received, media_tunnel_sent;
	uint64_t media_foreign_dropped, media_unjoined_dropped, media_unknown_dropped;
	uint64_t media_unaddressed_dropped, media_oversize_dropped;
	uint64_t media_send_full, media_send_failed;
	uint64_t media_learnt;
};

LIST_HEAD(media_leg_list, media_leg);

#define CHANNEL_BUCKETS_N 16384 /* a power of two */

struct media {
	struct media_cfg cfg;
	struct media_handlers h;
	void *arg;
	struct media_leg_list legs;
	struct media_leg_list by_channel[CHANNEL_BUCKETS_N]; /* tunnel legs by face and number */
	struct media_watch *watch;
	struct event turn; /* runs after all that came by tunnels now and leaves by tunnels */
	bool turn_due;
	bool reading; /* the sockets, after which a turn is over anyway */
	struct media_count count;
	uint8_t packet[MEDIA_PACKET_MAX + 1]; /* one byte more, to see that one is too long */
};

/*
 * A busy agent has more legs than its cache has room: what each packet touches stands in few lines
 * of the cache. The first has what is asked of either kind of leg; the key of a tunnel leg ends it;
 * fd and source of RTP fill the second. Before a packet is waited for, or sent, the lines that come
 * after that are fetched (media_leg_fetch).
 */

/* One UDP socket of a leg. */
struct media_path {
	struct media_leg *leg;
	int fd;
	bool rtcp;
	struct latch latch;
};

enum media_leg_type { LEG_SOCKET, LEG_TUNNEL };

struct leg_channel {
	uint32_t face, number;
};

struct media_leg {
	struct media *media;
	struct media_leg *partner;
	uint64_t last_us;
	enum media_leg_type type;
	bool mux;
	struct media_leg_cfg cfg;
	union {
		struct media_path path[2]; /* of a socket leg: RTP, RTCP */
		struct {                   /* of a tunnel leg */
			struct leg_channel channel;
			LIST_ENTRY(media_leg) bucket;
		};
	};
	_Alignas(MEM_LINE) struct rtp_counter rtp;
	uint64_t bytes, packets; /* of a stream that is no RTP */
	uint64_t rtcp_packets, late_dropped, foreign_dropped;
	struct rtcp_watch rtcp;
	struct heard sampled; /* at the last media_sample */
	LIST_ENTRY(media_leg) entry;
};

_Static_assert(offsetof(struct media_leg, channel) + sizeof(struct leg_channel) <= MEM_LINE &&
	offsetof(struct media_leg, path[0].latch.heard_us) + sizeof(uint64_t) <= 2 * MEM_LINE,
    "what a packet touches first");

/* Asks for what counting a packet of this leg will need; costs nothing. */
static inline void
media_leg_fetch(const struct media_leg *leg)
{
	const char *rtp = (const char *)&leg->rtp;

	__builtin_prefetch(rtp);
	__builtin_prefetch(rtp + MEM_LINE);
	__builtin_prefetch(rtp + 2 * MEM_LINE);
}

/* leg.c */
int media_paths_open(struct media_leg *leg, uint16_t port); /* errors of media_leg_open */
void media_paths_close(struct media_leg *leg);
/* Reads what is there; the number of packets. */
size_t media_path_read(struct media_path *path, uint64_t now_us);
void media_path_send(struct media_path *path, const uint8_t *data, size_t n);

/* heard.c: what the listeners have of it. */
bool media_leg_to_phone(const struct media_leg *leg); /* what comes in leaves by a socket of ours */
/* n packets were sent, of which so many were not heard; 0 for no packets, or no audio. */
double media_leg_mos(const struct media_leg *leg, uint64_t n, uint64_t missed);
double media_leg_delay_ms(const struct media_leg *leg); /* as in media_stats */

/* relay.c: `leg`'s phone sent it. */
void media_leg_received(struct media_leg *leg, bool rtcp, const uint8_t *data, size_t n,
    uint64_t now_us);

#endif
