/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "media/leg.h"

#include <errno.h>
#include <netinet/ip.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "log/log.h"

#define DSCP_EF 46   /* RFC 3246, 4594: telephony */
#define DSCP_AF41 34 /* RFC 4594: multimedia conferencing */

/*
 * A talker's socket has one packet when it becomes ready, and the next call for it would be in vain.
 * Cameras send a picture as a burst: read on, so that it does not cost a turn of the loop a packet.
 * (Tried: recvmmsg and sendmmsg cost a third more than recvfrom and sendto for one packet, and no
 * less for five.)
 */
#define BURST_MAX 32

/* A phone that is not where it says: its RTCP will be beside its voice (RFC 3550 §11). */
static void
expect_rtcp_beside(struct media_leg *leg, uint64_t now_us)
{
	const struct latch *rtp = &leg->path[0].latch;
	struct addr beside = rtp->source;

	if (!addr_is_set(&beside) || addr_same_host(&beside, &rtp->signalled) ||
	    addr_port(&beside) == UINT16_MAX)
		return;
	addr_set_port(&beside, (uint16_t)(addr_port(&beside) + 1));
	latch_signal(&leg->path[1].latch, &beside, false, now_us);
}

static void
on_source_learnt(struct media_path *path)
{
	struct media *m = path->leg->media;
	const struct latch *l = &path->latch;

	m->count.media_learnt++;
	if (!path->rtcp)
		expect_rtcp_beside(path->leg, l->heard_us);
	if (m->h.on_source != NULL && !addr_equal(&l->source, &l->signalled))
		m->h.on_source(m->arg, path->leg, path->rtcp, &l->source);
}

static void
blot_out(const struct addr *host, uint8_t *packet, size_t n)
{
	char text[ADDR_HOST_MAX];
	size_t text_n = strlen(addr_host(host, text));
	uint8_t *at = packet;

	/* "::1" could stand in SRTCP's cipher text by chance. */
	if (!addr_is_set(host) || text_n < 6)
		return;
	while ((at = memmem(at, n - (size_t)(at - packet), text, text_n)) != NULL)
		memset(at, 'x', text_n);
}

/*
 * A phone's CNAME is by tradition user@address (RFC 3550 §6.5.1): its own address is nobody's
 * business on the other side. It stays as long and as unique as it was. RTCP comes every few
 * seconds, so the search costs nothing.
 */
static void
hide_phone(const struct media_path *path, uint8_t *packet, size_t n)
{
	blot_out(&path->latch.source, packet, n);
	if (!addr_same_host(&path->latch.source, &path->latch.signalled))
		blot_out(&path->latch.signalled, packet, n);
}

static void
on_packet(struct media_path *path, const struct addr *from, size_t n, uint64_t now_us)
{
	struct media_leg *leg = path->leg;
	struct media_count *count = &leg->media->count;
	uint8_t *packet = leg->media->packet;
	enum rtp_kind kind = leg->cfg.rtp ? rtp_kind(packet, n) : RTP_KIND_RTP;
	bool rtcp = path->rtcp || (leg->mux && kind == RTP_KIND_RTCP);

	switch (latch_packet(&path->latch, from, kind != RTP_KIND_OTHER, now_us)) {
	case LATCH_FOREIGN:
		leg->foreign_dropped++;
		count->media_foreign_dropped++;
		return;
	case LATCH_LEARNT:
		on_source_learnt(path);
		break;
	case LATCH_ACCEPTED:
		break;
	}
	if (n > MEDIA_PACKET_MAX) {
		count->media_oversize_dropped++;
		return;
	}
	count->media_phone_received++;
	if (kind == RTP_KIND_RTCP)
		hide_phone(path, packet, n);
	media_leg_received(leg, rtcp, packet, n, now_us);
}

size_t
media_path_read(struct media_path *path, uint64_t now_us)
{
	struct media *m = path->leg->media;
	size_t burst = path->leg->cfg.kind == MEDIA_VIDEO ? BURST_MAX : 1, i;

	__builtin_prefetch(path->leg->partner);
	media_leg_fetch(path->leg); /* while the system reads */
	for (i = 0; i < burst; i++) {
		struct addr from = { .u.sa.sa_family = AF_UNSPEC };
		socklen_t from_len = sizeof(from);
		ssize_t n =
		    recvfrom(path->fd, m->packet, sizeof(m->packet), 0, &from.u.sa, &from_len);

		/* Nothing there any more, or a late ICMP error for what we sent: neither matters. */
		if (n < 0)
			break;
		on_packet(path, &from, (size_t)n, now_us);
	}
	return i;
}

void
media_path_send(struct media_path *path, const uint8_t *data, size_t n)
{
	const struct addr *to = latch_target(&path->latch);
	struct media_count *count = &path->leg->media->count;

	if (!addr_is_set(to)) {
		count->media_unaddressed_dropped++;
		return;
	}
	if (sendto(path->fd, data, n, 0, &to->u.sa, addr_len(to)) >= 0)
		count->media_phone_sent++;
	else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
		count->media_send_full++;
	else
		count->media_send_failed++;
}

/* -- Opening and closing -- */

static void
mark(int fd, bool v6, enum media_kind kind)
{
	int tos = 0;

	switch (kind) {
	case MEDIA_AUDIO:
	case MEDIA_IMAGE: /* fax is as impatient as voice */
		tos = DSCP_EF << 2;
		break;
	case MEDIA_VIDEO:
		tos = DSCP_AF41 << 2;
		break;
	default:
		return;
	}
	/* Refused where the system does not let us mark: the voice goes unmarked. */
	if (v6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	else
		(void)setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
}

static int
error_of(int system_error)
{
	switch (system_error) {
	case EADDRINUSE:
		return ERR_IN_USE;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return ERR_FULL;
	default:
		return ERR_IO;
	}
}

static int
open_socket(const struct addr *at, enum media_kind kind, int *out)
{
	int one = 1, err;
	int fd = socket(at->u.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return error_of(errno);
	if (addr_is_v6(at))
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, &at->u.sa, addr_len(at)) < 0) {
		err = error_of(errno);
		close(fd);
		return err;
	}
	mark(fd, addr_is_v6(at), kind);
	*out = fd;
	return 0;
}

int
media_address_check(const struct addr *address)
{
	char host[ADDR_HOST_MAX];
	struct addr any = *address;
	int fd, err;

	addr_set_port(&any, 0);
	err = open_socket(&any, MEDIA_OTHER, &fd);
	if (err < 0) {
		log_error("media", "media.address %s cannot be used: %s", addr_host(address, host),
		    strerror(errno));
		return err;
	}
	close(fd);
	return 0;
}

static int
path_open(struct media_leg *leg, bool rtcp, uint16_t port)
{
	struct media_path *path = &leg->path[rtcp];
	struct addr at = leg->media->cfg.address;
	int err;

	path->leg = leg;
	path->rtcp = rtcp;
	path->fd = -1;
	addr_set_port(&at, port);
	err = open_socket(&at, leg->cfg.kind, &path->fd);
	if (err < 0)
		return err;
	err = media_watch_add(leg->media->watch, path->fd, path);
	if (err < 0) {
		close(path->fd);
		path->fd = -1;
	}
	return err;
}

static void
path_close(struct media_path *path)
{
	if (path->fd < 0)
		return;
	media_watch_remove(path->leg->media->watch, path->fd);
	close(path->fd);
	path->fd = -1;
}

int
media_paths_open(struct media_leg *leg, uint16_t port)
{
	int err = path_open(leg, false, port);

	if (err < 0)
		return err;
	err = path_open(leg, true, (uint16_t)(port + 1));
	if (err < 0)
		path_close(&leg->path[0]);
	return err;
}

void
media_paths_close(struct media_leg *leg)
{
	path_close(&leg->path[0]);
	path_close(&leg->path[1]);
}

/* -- Addresses -- */

static void
path_signal(struct media_path *path, const struct addr *where, bool latch, uint64_t now_us)
{
	static const struct addr unset;
	const struct media_cfg *cfg = &path->leg->media->cfg;
	bool same_family = addr_is_v6(where) == addr_is_v6(&cfg->address);
	struct addr own = cfg->address;

	/* A call that came back to us: not every NAT sends back what goes out to its own address. */
	if (addr_is_set(&cfg->told) && addr_same_host(&cfg->told, where)) {
		addr_set_port(&own, addr_port(where));
		where = &own;
	}
	latch_signal(&path->latch, same_family && addr_port(where) != 0 ? where : &unset, latch,
	    now_us);
}

void
media_leg_remote(struct media_leg *leg, const struct addr *rtp, const struct addr *rtcp, bool mux,
    bool latch)
{
	uint64_t now_us = clock_us();

	if (leg->type != LEG_SOCKET)
		return;
	leg->mux = mux;
	path_signal(&leg->path[0], rtp, latch, now_us);
	path_signal(&leg->path[1], rtcp, latch, now_us);
	expect_rtcp_beside(leg, now_us);
}
