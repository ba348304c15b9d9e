/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "media/rtp.h"

#include <string.h>

/* libortp's headers are not ours to warn about. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <ortp/rtp.h>

#include <ortp/rtcp.h>
#pragma GCC diagnostic pop

#define RTP_VERSION 2
#define MAX_DROPOUT 3000 /* RFC 3550 A.1 */
#define MAX_MISORDER 100
#define NO_SEQ (1U << 16) /* no packet has this number */
#define JUMP_S 2          /* a larger step of the transit time is a new time base, not jitter */
#define ROUND_TRIP_MAX_US 60000000

_Static_assert(sizeof(rtcp_common_header_t) == RTCP_COMMON_HEADER_SIZE, "layout of RTCP");
_Static_assert(sizeof(sender_info_t) == RTCP_SENDER_INFO_SIZE, "layout of RTCP SR");
_Static_assert(sizeof(report_block_t) == RTCP_REPORT_BLOCK_SIZE, "layout of an RTCP report block");

enum rtp_kind
rtp_kind(const uint8_t *p, size_t n)
{
	if (n < 2)
		return RTP_KIND_OTHER;
	if (p[0] >> 6 == RTP_VERSION) {
		/* RFC 5761 §4: payload types 64..95 are left to RTCP, which has no marker bit. */
		if (p[1] >= 192 && p[1] <= 223)
			return n >= 8 ? RTP_KIND_RTCP : RTP_KIND_OTHER;
		return n >= RTP_FIXED_HEADER_SIZE ? RTP_KIND_RTP : RTP_KIND_OTHER;
	}
	if (p[0] <= 3)
		return n >= 20 ? RTP_KIND_STUN : RTP_KIND_OTHER;
	if (p[0] >= 16 && p[0] <= 19)
		return n >= 12 ? RTP_KIND_ZRTP : RTP_KIND_OTHER;
	if (p[0] >= 20 && p[0] <= 63)
		return n >= 13 ? RTP_KIND_DTLS : RTP_KIND_OTHER;
	return RTP_KIND_OTHER;
}

/* -- RTP -- */

void
rtp_counter_init(struct rtp_counter *c, uint32_t clock_rate)
{
	*c = (struct rtp_counter){ .clock_rate = clock_rate == 0 ? 8000 : clock_rate };
	playout_tally_init(&c->tally, c->clock_rate);
}

static uint64_t
source_lost(const struct rtp_source *s)
{
	uint64_t expected = (uint64_t)s->cycles + s->max_seq - s->base_seq + 1;

	/* Duplicates and packets from before the first one make more than was expected. */
	return s->used && expected > s->received ? expected - s->received : 0;
}

static void
source_begin(struct rtp_counter *c, struct rtp_source *s, uint32_t ssrc, uint16_t seq)
{
	c->lost_before += source_lost(s);
	*s = (struct rtp_source){
		.ssrc = ssrc, .used = true, .base_seq = seq, .max_seq = seq, .bad_seq = NO_SEQ
	};
}

static struct rtp_source *
find_source(struct rtp_counter *c, uint32_t ssrc, uint16_t seq)
{
	struct rtp_source *oldest = &c->source[0];

	for (size_t i = 0; i < RTP_SOURCES_MAX; i++) {
		struct rtp_source *s = &c->source[i];

		if (s->used && s->ssrc == ssrc)
			return s;
		if (!s->used || (oldest->used && s->last_us < oldest->last_us))
			oldest = s;
	}
	source_begin(c, oldest, ssrc, seq);
	return oldest;
}

/*
 * RFC 3550 A.1 without its probation, which guards against other traffic on the port: here the
 * source address has been latched before. False for a packet that is perhaps none of the stream.
 */
static bool
count_sequence(struct rtp_counter *c, struct rtp_source *s, uint16_t seq)
{
	uint16_t ahead = (uint16_t)(seq - s->max_seq);

	if (ahead < MAX_DROPOUT) {
		if (seq < s->max_seq)
			s->cycles += 1U << 16;
		s->max_seq = seq;
	} else if (ahead <= UINT16_MAX - MAX_MISORDER) {
		/* Far off: the sender started over if the next one follows on this one. */
		if (seq != s->bad_seq) {
			s->bad_seq = (uint16_t)(seq + 1);
			return false;
		}
		source_begin(c, s, s->ssrc, seq);
	}
	s->received++;
	return true;
}

static uint32_t
in_clock(uint64_t us, uint32_t rate)
{
	return (uint32_t)(us / 1000000 * rate + us % 1000000 * rate / 1000000);
}

/* RFC 3550 A.8. Packets of one frame share a timestamp and leave when they can: only the first tells
 * of the network. */
static void
count_jitter(struct rtp_source *s, uint32_t timestamp, uint32_t rate, uint32_t arrival)
{
	uint32_t transit = arrival - timestamp;
	int64_t d = (int32_t)(transit - s->transit);

	if (s->last_us != 0 && timestamp == s->timestamp)
		return;
	d = d < 0 ? -d : d;
	if (s->last_us != 0 && d < (int64_t)rate * JUMP_S)
		s->jitter += ((double)d - s->jitter) / 16;
	s->transit = transit;
	s->timestamp = timestamp;
}

void
rtp_counter_packet(struct rtp_counter *c, const uint8_t *p, size_t n, uint64_t now_us)
{
	struct rtp_source *s = c->last;
	uint32_t ssrc, timestamp, arrival;
	rtp_header_t h;
	uint16_t seq;
	int ahead;

	if (n < RTP_FIXED_HEADER_SIZE)
		return;
	memcpy(&h, p, RTP_FIXED_HEADER_SIZE);
	ssrc = ntohl(h.ssrc);
	seq = ntohs(h.seq_number);
	c->packets++;
	c->bytes += n;
	if (s == NULL || s->ssrc != ssrc)
		s = c->last = find_source(c, ssrc, seq);
	ahead = (int16_t)(seq - s->max_seq);
	timestamp = ntohl(h.timestamp);
	arrival = in_clock(now_us, c->clock_rate);
	if (count_sequence(c, s, seq)) {
		if (s->last_us == 0)
			playout_begin(&s->playout, timestamp, arrival);
		else
			playout_packet(&s->playout, &c->tally, ahead, timestamp, arrival);
	}
	count_jitter(s, timestamp, c->clock_rate, arrival);
	s->last_us = now_us;
}

uint64_t
rtp_counter_lost(const struct rtp_counter *c)
{
	uint64_t lost = c->lost_before;

	for (size_t i = 0; i < RTP_SOURCES_MAX; i++)
		lost += source_lost(&c->source[i]);
	return lost;
}

double
rtp_counter_jitter_ms(const struct rtp_counter *c)
{
	return c->last == NULL ? 0 : c->last->jitter * 1000 / c->clock_rate;
}

uint32_t
rtp_counter_longest(const struct rtp_counter *c)
{
	return playout_longest(&c->tally, c->last == NULL ? NULL : &c->last->playout);
}

/* -- RTCP -- */

static void
on_sender_report(struct rtcp_watch *own, const uint8_t *p, uint64_t now_us)
{
	sender_info_t info;

	memcpy(&info, p, sizeof(info));
	own->sent[own->next].ntp_middle = (uint32_t)(sender_info_get_ntp_timestamp(&info) >> 16);
	own->sent[own->next].us = now_us;
	own->next = (own->next + 1) % RTCP_REPORTS_MAX;
}

/* It took from the report's passing here until now, less what the phone waited with its answer. */
static void
on_report_block(struct rtcp_watch *own, const struct rtcp_watch *other, const uint8_t *p,
    uint64_t now_us)
{
	report_block_t block;
	uint64_t waited_us, gone_us;
	uint32_t answered;

	memcpy(&block, p, sizeof(block));
	answered = report_block_get_last_SR_time(&block);
	waited_us = (uint64_t)report_block_get_last_SR_delay(&block) * 1000000 >> 16;
	for (size_t i = 0; i < RTCP_REPORTS_MAX; i++) {
		if (answered == 0 || other->sent[i].us == 0 ||
		    other->sent[i].ntp_middle != answered)
			continue;
		gone_us = now_us - other->sent[i].us;
		if (gone_us - waited_us <= ROUND_TRIP_MAX_US && gone_us >= waited_us)
			own->round_trip_us = gone_us - waited_us;
		if (report_block_get_cum_packet_lost(&block) >= 0)
			own->reported_lost = (uint64_t)report_block_get_cum_packet_lost(&block);
		return;
	}
}

/* One packet of a compound, n bytes by its own length field. */
static void
on_rtcp(struct rtcp_watch *own, const struct rtcp_watch *other, const uint8_t *p, size_t n,
    uint64_t now_us)
{
	rtcp_common_header_t h;
	size_t at = RTCP_COMMON_HEADER_SIZE + RTCP_SSRC_FIELD_SIZE;

	memcpy(&h, p, sizeof(h));
	if (rtcp_common_header_get_packet_type(&h) == RTCP_SR) {
		if (n < at + RTCP_SENDER_INFO_SIZE)
			return;
		on_sender_report(own, p + at, now_us);
		at += RTCP_SENDER_INFO_SIZE;
	} else if (rtcp_common_header_get_packet_type(&h) != RTCP_RR) {
		return;
	}
	for (unsigned i = 0; other != NULL && i < rtcp_common_header_get_rc(&h); i++) {
		if (n < at + RTCP_REPORT_BLOCK_SIZE)
			return;
		on_report_block(own, other, p + at, now_us);
		at += RTCP_REPORT_BLOCK_SIZE;
	}
}

void
rtcp_watch_packet(struct rtcp_watch *own, const struct rtcp_watch *other, const uint8_t *p,
    size_t n, uint64_t now_us)
{
	rtcp_common_header_t h;
	size_t len;

	while (n >= sizeof(h)) {
		memcpy(&h, p, sizeof(h));
		len = ((size_t)rtcp_common_header_get_length(&h) + 1) * 4;
		if (rtcp_common_header_get_version(&h) != RTP_VERSION || len > n)
			return;
		on_rtcp(own, other, p, len, now_us);
		p += len;
		n -= len;
	}
}
