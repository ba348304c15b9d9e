/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_MEDIA_RTP_H
#define VOFW_MEDIA_RTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/playout.h"

/*
 * What can be read from RTP and RTCP on their way through: the kind of a packet, what was lost, the
 * jitter, the round trip. It looks and never changes a packet. The layout of the headers is
 * libortp's; lengths and byte order are checked here, for its accessors check nothing. Pure.
 */
enum rtp_kind {
	RTP_KIND_OTHER,
	RTP_KIND_RTP,
	RTP_KIND_RTCP,
	RTP_KIND_STUN,
	RTP_KIND_DTLS,
	RTP_KIND_ZRTP
};

/* What a packet on the port of an RTP stream is, by its first bytes (RFC 7983 §7, 5761 §4). */
enum rtp_kind rtp_kind(const uint8_t *p, size_t n);

/* -- What arrives from one phone (RFC 3550 appendix A) -- */

#define RTP_SOURCES_MAX 4 /* SSRCs followed at a time; the one silent longest gives way */

struct rtp_source {
	uint32_t ssrc;
	bool used;
	uint16_t max_seq;
	uint32_t base_seq, bad_seq, cycles;
	uint64_t received;
	uint32_t timestamp, transit; /* of the last packet, in the stream's clock */
	double jitter;               /* in the stream's clock */
	uint64_t last_us;
	struct playout playout;
};

struct rtp_counter {
	uint32_t clock_rate; /* Hz */
	uint64_t packets, bytes;
	uint64_t lost_before;    /* of sources that gave way or started over */
	struct rtp_source *last; /* of source: the present SSRC; NULL at first */
	struct playout_tally tally;
	struct rtp_source source[RTP_SOURCES_MAX];
};

void rtp_counter_init(struct rtp_counter *c, uint32_t clock_rate); /* 0 = 8000 */
/* A packet of kind RTP, whole as it came, at the monotonic time now_us. */
void rtp_counter_packet(struct rtp_counter *c, const uint8_t *p, size_t n, uint64_t now_us);
uint64_t rtp_counter_lost(const struct rtp_counter *c);    /* over all SSRCs, A.3; never negative */
double rtp_counter_jitter_ms(const struct rtp_counter *c); /* of the present SSRC, A.8; 0 = none */
uint32_t rtp_counter_longest(const struct rtp_counter *c); /* run of missed packets; playout.h */

/* -- RTCP of one phone, for the round trip between us and it (RFC 3550 §6.4.1) -- */

#define RTCP_REPORTS_MAX 4 /* sender reports remembered until they are answered */

struct rtcp_watch {
	struct {
		uint32_t ntp_middle;
		uint64_t us;
	} sent[RTCP_REPORTS_MAX]; /* sender reports of this phone, as they passed */
	unsigned next;
	uint64_t round_trip_us; /* to this phone and back; 0 = not known */
	uint64_t reported_lost; /* what it says it lost of the other phone's packets */
};

/*
 * A compound packet of `own`'s phone, which talks to the phone of `other` (NULL = none). Its sender
 * reports are remembered; its report blocks that answer a report of `other` tell how long a packet
 * takes from here to the phone and back. What does not parse is ignored: SRTCP looks like noise, and
 * noise answers no report.
 */
void rtcp_watch_packet(struct rtcp_watch *own, const struct rtcp_watch *other, const uint8_t *p,
    size_t n, uint64_t now_us);

#endif
