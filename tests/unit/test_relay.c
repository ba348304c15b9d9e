/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <event2/event.h>
#include <netinet/ip.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "media/media.h"

/*
 * The relay with real sockets on loopback; phones and the tunnel are played here. Loopback delivers
 * before sendto returns, so what is not there after one round of the loop never comes.
 */
#define FACE 3
#define LEG 77

struct seen {
	unsigned packets_n, sources_n, turns_n;
	uint32_t face, channel;
	uint8_t data[MEDIA_PACKET_MAX];
	size_t n;
	struct media_leg *source_leg;
	struct addr source;
	bool source_rtcp;
};

static struct event_base *base;
static struct media *media;
static struct seen seen;
static const struct addr unset;

static void
on_tunnel(void *arg, uint32_t face, uint32_t channel, const uint8_t *data, size_t n)
{
	struct seen *s = arg;

	s->packets_n++;
	s->face = face;
	s->channel = channel;
	s->n = n;
	memcpy(s->data, data, n);
}

static void
on_source(void *arg, struct media_leg *leg, bool rtcp, const struct addr *source)
{
	struct seen *s = arg;

	s->sources_n++;
	s->source_leg = leg;
	s->source_rtcp = rtcp;
	s->source = *source;
}

static void
on_turn(void *arg)
{
	struct seen *s = arg;

	s->turns_n++;
}

static const struct media_handlers handlers = { on_tunnel, on_source, on_turn, NULL };

static void
start_at(const char *host)
{
	struct media_cfg cfg;

	memset(&cfg, 0, sizeof(cfg));
	assert_int_equal(addr_parse(host, 0, &cfg.address), 0);
	base = event_base_new();
	memset(&seen, 0, sizeof(seen));
	media = media_new(base, &cfg, &handlers, &seen);
}

static int
start(void **state)
{
	(void)state;
	start_at("127.0.0.1");
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	media_free(media);
	event_base_free(base);
	return 0;
}

static void
run(void)
{
	/* Once for what is ready, once more for what a burst left. */
	for (int i = 0; i < 3; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static uint64_t
metric(const char *name)
{
	struct metric_set set = media_metrics(media);

	for (const struct metric *m = set.table; m->name != NULL; m++)
		if (strcmp(m->name, name) == 0)
			return metric_value(&set, m);
	fail_msg("no metric %s", name);
	return 0;
}

/* -- Phones -- */

struct phone {
	int fd;
	struct addr addr;
};

static struct phone
phone_at(const char *host)
{
	struct phone p;
	socklen_t len = sizeof(p.addr);

	memset(&p, 0, sizeof(p));
	assert_int_equal(addr_parse(host, 0, &p.addr), 0);
	p.fd = socket(p.addr.u.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_true(p.fd >= 0);
	assert_int_equal(bind(p.fd, &p.addr.u.sa, addr_len(&p.addr)), 0);
	assert_int_equal(getsockname(p.fd, &p.addr.u.sa, &len), 0);
	return p;
}

static struct phone
phone(void)
{
	return phone_at("127.0.0.1");
}

static void
says_bytes(const struct phone *p, const char *host, unsigned port, const void *data, size_t n)
{
	struct addr to;

	assert_int_equal(addr_parse(host, (uint16_t)port, &to), 0);
	assert_int_equal(sendto(p->fd, data, n, 0, &to.u.sa, addr_len(&to)), (ssize_t)n);
}

static const uint8_t rtp[20] = { 0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 9, 'v', 'o', 'i', 'c', 'e' };
static const uint8_t rtcp[8] = { 0x80, 201, 0, 1, 0, 0, 0, 9 };

static void
says(const struct phone *p, unsigned port)
{
	says_bytes(p, "127.0.0.1", port, rtp, sizeof(rtp));
	run();
}

static void
says_rtcp(const struct phone *p, unsigned port)
{
	says_bytes(p, "127.0.0.1", port, rtcp, sizeof(rtcp));
	run();
}

/* Whether a packet is there; *from is its source port. */
static bool
hears(const struct phone *p, uint16_t *from)
{
	uint8_t buf[MEDIA_PACKET_MAX];
	struct addr a;
	socklen_t len = sizeof(a);

	if (recvfrom(p->fd, buf, sizeof(buf), 0, &a.u.sa, &len) < 0)
		return false;
	if (from != NULL)
		*from = addr_port(&a);
	return true;
}

/* -- Legs -- */

static struct media_leg_cfg voice = { .kind = MEDIA_AUDIO, .clock_rate = 8000, .rtp = true };
static struct media_leg_cfg fax = { .kind = MEDIA_IMAGE, .rtp = false };

/* A leg on whatever pair of ports is free. */
static struct media_leg *
leg_of(const struct media_leg_cfg *cfg, uint16_t *port)
{
	static uint16_t next;
	struct media_leg *leg;
	int err;

	if (next == 0)
		next = (uint16_t)(20000 + getpid() % 5000 * 2);
	for (int tries = 0; tries < 1000; tries++) {
		next = (uint16_t)(next < 32000 ? next + 2 : 20000);
		err = media_leg_open(media, cfg, next, &leg);
		if (err == 0) {
			*port = next;
			return leg;
		}
		assert_int_equal(err, ERR_IN_USE);
	}
	fail_msg("no free port");
	return NULL;
}

static struct media_leg *
tunnel_leg(uint32_t number)
{
	struct media_leg *leg;

	assert_int_equal(media_leg_tunnel(media, &voice, FACE, number, &leg), 0);
	return leg;
}

/* A socket leg joined to tunnel leg LEG. */
static struct media_leg *
joined_leg(const struct media_leg_cfg *cfg, uint16_t *port)
{
	struct media_leg *leg = leg_of(cfg, port);

	media_join(leg, tunnel_leg(LEG));
	return leg;
}

static void
from_tunnel(uint32_t channel)
{
	const uint8_t *data = channel % 2 != 0 ? rtcp : rtp;

	media_from_tunnel(media, FACE, channel, data, channel % 2 != 0 ? sizeof(rtcp) : sizeof(rtp),
	    1000000);
}

static struct media_stats
stats(const struct media_leg *leg)
{
	struct media_stats s;

	media_leg_stats(leg, &s);
	return s;
}

static void
assert_addr(struct addr is, const struct addr *want)
{
	char a[ADDR_STR_MAX], b[ADDR_STR_MAX];

	assert_string_equal(addr_str(&is, a), addr_str(want, b));
}

/* -- Tests -- */

static void
voice_of_a_phone_goes_into_the_tunnel_on_its_leg_s_channel(void **state)
{
	struct phone p = phone();
	uint16_t port;

	(void)state;
	(void)joined_leg(&voice, &port);
	says(&p, port);
	assert_int_equal(seen.packets_n, 1);
	assert_int_equal(seen.face, FACE);
	assert_int_equal(seen.channel, 2 * LEG);
	assert_int_equal(seen.n, sizeof(rtp));
	assert_memory_equal(seen.data, rtp, sizeof(rtp));
	says_rtcp(&p, port + 1U);
	assert_int_equal(seen.channel, 2 * LEG + 1);
	close(p.fd);
}

static void
turn_ends_once_after_all_sockets_that_were_ready(void **state)
{
	struct phone p = phone();
	uint16_t port[3];

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		media_join(leg_of(&voice, &port[i]), tunnel_leg(i));
	for (int i = 0; i < 3; i++)
		says_bytes(&p, "127.0.0.1", port[i], rtp, sizeof(rtp));
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(seen.packets_n, 3);
	assert_int_equal(seen.turns_n, 1);
	run();
	assert_int_equal(seen.turns_n, 1);
	close(p.fd);
}

static void
voice_from_the_tunnel_goes_where_sdp_said_from_the_leg_s_port(void **state)
{
	struct phone p = phone(), p_rtcp = phone();
	uint16_t port, from;

	(void)state;
	media_leg_remote(joined_leg(&voice, &port), &p.addr, &p_rtcp.addr, false, true);
	from_tunnel(2 * LEG);
	assert_true(hears(&p, &from));
	assert_int_equal(from, port);
	assert_false(hears(&p_rtcp, NULL));
	from_tunnel(2 * LEG + 1);
	assert_true(hears(&p_rtcp, &from));
	assert_int_equal(from, port + 1);
	close(p.fd);
	close(p_rtcp.fd);
}

static void
what_is_meant_for_the_address_that_phones_are_told_stays_on_this_host(void **state)
{
	struct media_cfg cfg = { 0 };
	struct phone p = phone();
	struct addr told;
	uint16_t port, from;

	(void)state;
	media_free(media);
	assert_int_equal(addr_parse("127.0.0.1", 0, &cfg.address), 0);
	assert_int_equal(addr_parse("203.0.113.10", 0, &cfg.told), 0);
	media = media_new(base, &cfg, &handlers, &seen);
	told = cfg.told;
	addr_set_port(&told, addr_port(&p.addr));
	media_leg_remote(joined_leg(&voice, &port), &told, &unset, false, true);
	from_tunnel(2 * LEG);
	assert_true(hears(&p, &from));
	assert_int_equal(from, port);
	close(p.fd);
}

static void
nothing_is_sent_before_an_address_is_known(void **state)
{
	struct addr v6;
	uint16_t port;
	struct media_leg *leg = joined_leg(&voice, &port);

	(void)state;
	assert_int_equal(addr_parse("[::1]:5000", 0, &v6), 0);
	from_tunnel(2 * LEG);
	media_leg_remote(leg, &unset, &unset, false, true);
	from_tunnel(2 * LEG);
	media_leg_remote(leg, &v6, &v6, false, true); /* not of the agent's family */
	from_tunnel(2 * LEG);
	assert_int_equal(metric("media_unaddressed_dropped"), 3);
	assert_int_equal(metric("media_phone_sent"), 0);
}

static void
packets_of_unknown_channels_are_counted_and_dropped(void **state)
{
	uint8_t long_packet[MEDIA_PACKET_MAX + 1] = { 0x80 };
	uint16_t port;

	(void)state;
	(void)joined_leg(&voice, &port);
	from_tunnel(2 * LEG + 2);
	media_from_tunnel(media, FACE + 1, 2 * LEG, rtp, sizeof(rtp), 1);
	assert_int_equal(metric("media_unknown_dropped"), 2);
	media_from_tunnel(media, FACE, 2 * LEG, long_packet, sizeof(long_packet), 1);
	assert_int_equal(metric("media_oversize_dropped"), 1);
	assert_int_equal(metric("media_unjoined_dropped"), 0);
}

static void
stranger_is_dropped_and_counted_once_the_phone_was_heard(void **state)
{
	struct phone p = phone(), stranger = phone_at("127.0.0.9");
	uint16_t port;
	struct media_leg *leg = joined_leg(&voice, &port);

	(void)state;
	media_leg_remote(leg, &p.addr, &unset, false, true);
	says(&p, port);
	says(&stranger, port);
	assert_int_equal(seen.packets_n, 1);
	assert_int_equal(stats(leg).foreign_dropped, 1);
	from_tunnel(2 * LEG);
	assert_true(hears(&p, NULL));
	assert_false(hears(&stranger, NULL));
	assert_int_equal(seen.sources_n, 0); /* the phone is where SDP said */
	close(p.fd);
	close(stranger.fd);
}

static void
voice_goes_back_to_where_the_phone_s_really_comes_from(void **state)
{
	struct phone p = phone_at("127.0.0.2");
	struct addr sdp, beside;
	uint16_t port;
	struct media_leg *leg = joined_leg(&voice, &port);

	(void)state;
	assert_int_equal(addr_parse("127.0.0.5:4000", 0, &sdp), 0);
	media_leg_remote(leg, &sdp, &unset, false, true);
	says(&p, port);
	from_tunnel(2 * LEG);
	assert_true(hears(&p, NULL));
	assert_int_equal(seen.sources_n, 1);
	assert_ptr_equal(seen.source_leg, leg);
	assert_false(seen.source_rtcp);
	assert_true(addr_equal(&seen.source, &p.addr));
	assert_addr(stats(leg).remote, &p.addr);

	/* Its RTCP is looked for beside its voice, also after the same SDP came again. */
	beside = p.addr;
	addr_set_port(&beside, (uint16_t)(addr_port(&p.addr) + 1));
	assert_addr(stats(leg).remote_rtcp, &beside);
	media_leg_remote(leg, &sdp, &unset, false, false);
	assert_addr(stats(leg).remote_rtcp, &beside);
	close(p.fd);
}

static void
noise_is_not_taken_for_a_phone_but_stun_and_dtls_are(void **state)
{
	static const uint8_t stun[20] = { 0, 1 }, dtls[13] = { 22, 0xfe };
	struct phone noise = phone_at("127.0.0.2"), p = phone_at("127.0.0.3");
	uint16_t port[2];

	(void)state;
	(void)joined_leg(&voice, &port[0]);
	(void)leg_of(&voice, &port[1]);
	says_bytes(&noise, "127.0.0.1", port[0], "hello, hello, hello", 20);
	says_bytes(&noise, "127.0.0.1", port[0], "", 0);
	run();
	assert_int_equal(metric("media_foreign_dropped"), 2);
	says_bytes(&p, "127.0.0.1", port[0], stun, sizeof(stun));
	says_bytes(&p, "127.0.0.1", port[1], dtls, sizeof(dtls));
	run();
	assert_int_equal(metric("media_learnt"), 2);
	assert_int_equal(seen.packets_n, 1);
	assert_int_equal(seen.n, sizeof(stun));
	close(noise.fd);
	close(p.fd);
}

static void
fax_may_look_like_anything(void **state)
{
	struct phone p = phone();
	uint16_t port;
	struct media_leg *leg = joined_leg(&fax, &port);

	(void)state;
	says_bytes(&p, "127.0.0.1", port, "T.38", 4);
	run();
	assert_int_equal(seen.packets_n, 1);
	assert_int_equal(stats(leg).packets, 1);
	assert_int_equal(stats(leg).bytes, 4);
	assert_true(stats(leg).mos == 0);
	close(p.fd);
}

static void
rtcp_of_a_phone_with_mux_is_told_from_its_voice(void **state)
{
	struct phone p = phone();
	uint16_t port, from;
	struct media_leg *leg = joined_leg(&voice, &port);

	(void)state;
	media_leg_remote(leg, &p.addr, &unset, true, true);
	says(&p, port);
	assert_int_equal(seen.channel, 2 * LEG);
	says_rtcp(&p, port);
	assert_int_equal(seen.channel, 2 * LEG + 1);
	assert_int_equal(stats(leg).packets, 1);
	assert_int_equal(stats(leg).rtcp_packets, 1);
	from_tunnel(2 * LEG + 1);
	assert_true(hears(&p, &from));
	assert_int_equal(from, port);
	close(p.fd);
}

static void
rtcp_does_not_tell_the_phone_s_address(void **state)
{
	static const char report[] = "\x81\xca\0\6\0\0\0\1\1\x11"
				     "bob@127.0.0.2 127.0.0.5\0\0\0";
	static const char hidden[] = "\x81\xca\0\6\0\0\0\1\1\x11"
				     "bob@xxxxxxxxx xxxxxxxxx\0\0\0";
	struct phone p = phone_at("127.0.0.2");
	struct addr sdp;
	uint16_t port;

	(void)state;
	assert_int_equal(addr_parse("127.0.0.5:4000", 0, &sdp), 0);
	media_leg_remote(joined_leg(&voice, &port), &sdp, &sdp, false, true);
	says_bytes(&p, "127.0.0.1", port + 1U, report, sizeof(report));
	run();
	assert_int_equal(seen.n, sizeof(hidden));
	assert_memory_equal(seen.data, hidden, sizeof(hidden));
	/* Voice is passed as it is. */
	says_bytes(&p, "127.0.0.1", port,
	    "\x80\0\0\1\0\0\0\0\0\0\0\1"
	    "127.0.0.2",
	    21);
	run();
	assert_memory_equal(seen.data + 12, "127.0.0.2", 9);
	close(p.fd);
}

static void
rtcp_changes_ports_between_a_phone_with_mux_and_one_without(void **state)
{
	struct phone with = phone(), rtp_without = phone(), rtcp_without = phone();
	uint16_t port_with, port_without, from;
	struct media_leg *a = leg_of(&voice, &port_with), *b = leg_of(&voice, &port_without);

	(void)state;
	media_join(a, b);
	media_leg_remote(a, &with.addr, &unset, true, true);
	media_leg_remote(b, &rtp_without.addr, &rtcp_without.addr, false, true);
	says_rtcp(&with, port_with);
	assert_true(hears(&rtcp_without, &from));
	assert_int_equal(from, port_without + 1);
	assert_false(hears(&rtp_without, NULL));
	says_rtcp(&rtcp_without, port_without + 1U);
	assert_true(hears(&with, &from));
	assert_int_equal(from, port_with);
	close(with.fd);
	close(rtp_without.fd);
	close(rtcp_without.fd);
}

static void
two_phones_of_one_agent_are_relayed_without_the_tunnel(void **state)
{
	struct phone alice = phone(), bob = phone();
	uint16_t port_a, port_b, from;
	struct media_leg *a = leg_of(&voice, &port_a), *b = leg_of(&voice, &port_b);

	(void)state;
	media_join(a, b);
	media_leg_remote(a, &alice.addr, &unset, false, true);
	media_leg_remote(b, &bob.addr, &unset, false, true);
	says(&alice, port_a);
	assert_true(hears(&bob, &from));
	assert_int_equal(from, port_b);
	assert_int_equal(seen.packets_n, 0);
	assert_int_equal(seen.turns_n, 0);
	close(alice.fd);
	close(bob.fd);
}

static void
voice_passes_from_one_tunnel_into_another(void **state)
{
	struct media_leg *there;

	(void)state;
	assert_int_equal(media_leg_tunnel(media, &voice, FACE + 1, 5, &there), 0);
	media_join(tunnel_leg(LEG), there);
	from_tunnel(2 * LEG + 1);
	assert_int_equal(seen.face, FACE + 1);
	assert_int_equal(seen.channel, 11);
	run();
	assert_int_equal(seen.turns_n, 1);
}

static void
leg_left_alone_drops_and_counts(void **state)
{
	struct phone p = phone();
	struct media_leg *leg, *other = tunnel_leg(LEG);
	uint16_t port;

	(void)state;
	leg = leg_of(&voice, &port);
	media_join(leg, other);
	media_leg_close(other);
	says(&p, port);
	from_tunnel(2 * LEG);
	assert_int_equal(seen.packets_n, 0);
	assert_int_equal(metric("media_unjoined_dropped"), 1);
	assert_int_equal(metric("media_unknown_dropped"), 1);
	media_unjoin(leg);
	close(p.fd);
}

static void
open_says_when_either_port_is_taken_and_keeps_nothing(void **state)
{
	struct addr at;
	struct media_leg *leg;
	uint16_t port;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)state;
	media_leg_close(leg_of(&voice, &port));
	assert_int_equal(addr_parse("127.0.0.1", (uint16_t)(port + 1), &at), 0);
	assert_int_equal(bind(fd, &at.u.sa, addr_len(&at)), 0);
	assert_int_equal(media_leg_open(media, &voice, port, &leg), ERR_IN_USE);
	close(fd);
	assert_int_equal(media_leg_open(media, &voice, port, &leg), 0);
	assert_int_equal(media_leg_open(media, &voice, port, &leg), ERR_IN_USE);
	assert_int_equal(media_legs_n(media), 1);
}

static void
open_says_when_the_address_is_not_ours(void **state)
{
	struct media_leg *leg;

	(void)state;
	media_free(media);
	event_base_free(base);
	start_at("192.0.2.1");
	assert_int_equal(media_leg_open(media, &voice, 20000, &leg), ERR_IO);
}

static void
channels_are_unique_and_capped(void **state)
{
	struct media_leg *leg;
	uint32_t i;

	(void)state;
	for (i = 0; i < MEDIA_LEGS_MAX; i++)
		(void)tunnel_leg(i);
	assert_int_equal(media_leg_tunnel(media, &voice, FACE, i, &leg), ERR_FULL);
	assert_int_equal(media_leg_open(media, &voice, 20000, &leg), ERR_FULL);
	assert_int_equal(media_legs_n(media), MEDIA_LEGS_MAX);
	media_free(media);
	media = NULL;
}

static void
channel_numbers_end_at_two_to_the_31(void **state)
{
	struct media_leg *leg;

	(void)state;
	(void)tunnel_leg(UINT32_MAX / 2);
	from_tunnel(UINT32_MAX);
	assert_int_equal(metric("media_unjoined_dropped"), 1);
	assert_int_equal(media_leg_tunnel(media, &voice, FACE, UINT32_MAX / 2, &leg), ERR_EXISTS);
	assert_int_equal(media_leg_tunnel(media, &voice, FACE, 1U << 31, &leg), ERR_TOO_BIG);
}

static void
burst_of_a_picture_is_read_in_one_turn(void **state)
{
	static const struct media_leg_cfg camera = { MEDIA_VIDEO, 90000, true, NULL };
	struct phone p = phone();
	uint16_t port;

	(void)state;
	(void)joined_leg(&camera, &port);
	for (int i = 0; i < 20; i++)
		says_bytes(&p, "127.0.0.1", port, rtp, sizeof(rtp));
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(seen.packets_n, 20);
	assert_int_equal(seen.turns_n, 1);
	close(p.fd);
}

static void
packet_that_is_too_long_is_dropped(void **state)
{
	static const uint8_t big[MEDIA_PACKET_MAX + 100] = { 0x80 };
	struct phone p = phone();
	uint16_t port;

	(void)state;
	(void)joined_leg(&voice, &port);
	says_bytes(&p, "127.0.0.1", port, big, MEDIA_PACKET_MAX);
	says_bytes(&p, "127.0.0.1", port, big, sizeof(big));
	run();
	assert_int_equal(seen.packets_n, 1);
	assert_int_equal(seen.n, MEDIA_PACKET_MAX);
	assert_int_equal(metric("media_oversize_dropped"), 1);
	close(p.fd);
}

static void
phone_that_hung_up_does_not_disturb(void **state)
{
	struct phone gone = phone(), p = phone();
	uint16_t port;
	struct media_leg *leg = joined_leg(&voice, &port);

	(void)state;
	media_leg_remote(leg, &gone.addr, &unset, false, true);
	close(gone.fd);
	for (int i = 0; i < 5; i++) { /* the system answers with ICMP "port unreachable" */
		from_tunnel(2 * LEG);
		run();
	}
	media_leg_remote(leg, &p.addr, &unset, false, true);
	says(&p, port);
	from_tunnel(2 * LEG);
	assert_true(hears(&p, NULL));
	assert_int_equal(seen.packets_n, 1);
	close(p.fd);
}

static int
tos_heard(const struct phone *p)
{
	uint8_t buf[64], control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	struct cmsghdr *c;

	if (recvmsg(p->fd, &msg, 0) < 0)
		return -1;
	c = CMSG_FIRSTHDR(&msg);
	return c != NULL && c->cmsg_type == IP_TOS ? *CMSG_DATA(c) : -1;
}

static void
voice_and_fax_leave_marked_ef_and_pictures_af41(void **state)
{
	static const struct {
		struct media_leg_cfg cfg;
		int dscp;
	} want[] = { { { MEDIA_AUDIO, 0, true, NULL }, 46 },
		{ { MEDIA_IMAGE, 0, false, NULL }, 46 }, { { MEDIA_VIDEO, 0, true, NULL }, 34 },
		{ { MEDIA_OTHER, 0, false, NULL }, 0 } };
	struct phone p = phone();
	int one = 1;

	(void)state;
	assert_int_equal(setsockopt(p.fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one)), 0);
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
		uint16_t port;
		struct media_leg *leg = leg_of(&want[i].cfg, &port), *tunnel = tunnel_leg(LEG);

		media_join(leg, tunnel);
		media_leg_remote(leg, &p.addr, &p.addr, false, true);
		for (uint32_t channel = 2 * LEG; channel <= 2 * LEG + 1; channel++) {
			from_tunnel(channel);
			assert_int_equal(tos_heard(&p), want[i].dscp << 2);
		}
		media_leg_close(leg);
		media_leg_close(tunnel);
	}
	close(p.fd);
}

static void
ipv6_is_relayed_likewise(void **state)
{
	struct phone p;
	uint16_t port;
	struct media_leg *leg;

	(void)state;
	media_free(media);
	event_base_free(base);
	start_at("::1");
	p = phone_at("::1");
	leg = joined_leg(&voice, &port);
	media_leg_remote(leg, &p.addr, &unset, false, true);
	says_bytes(&p, "::1", port, rtp, sizeof(rtp));
	run();
	assert_int_equal(seen.packets_n, 1);
	from_tunnel(2 * LEG);
	assert_true(hears(&p, NULL));
	close(p.fd);
}

static void
stats_tell_loss_jitter_and_quality_of_each_direction(void **state)
{
	uint8_t p[172] = { 0x80, 0 };
	uint16_t port;
	struct media_leg *in = joined_leg(&voice, &port), *out;
	struct media_stats s;

	(void)state;
	media_leg_close(in);
	out = tunnel_leg(LEG + 1);
	for (unsigned i = 0; i < 1000; i++) {
		p[2] = (uint8_t)(i >> 8);
		p[3] = (uint8_t)i;
		if (i % 10 != 5) /* every tenth is lost */
			media_from_tunnel(media, FACE, 2 * (LEG + 1), p, sizeof(p),
			    1000000 + i * 20000);
	}
	s = stats(out);
	assert_int_equal(s.packets, 900);
	assert_int_equal(s.bytes, 900 * 172);
	assert_int_equal(s.lost, 100);
	assert_int_equal(s.last_us, 1000000 + 999 * 20000);
	assert_true(s.mos > 3 && s.mos < 3.6);
	assert_true(stats(tunnel_leg(LEG + 2)).mos == 0);
}

static void
delay_is_half_of_both_round_trips(void **state)
{
	/* A sender report of NTP time 0001.0000 and a report that it came, from the other side. */
	static const uint8_t sr[28] = { 0x80, 200, 0, 6, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0 };
	static const uint8_t rr[32] = { 0x81, 201, 0, 7, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0 };
	struct media_leg *a = tunnel_leg(1), *b = tunnel_leg(2);

	(void)state;
	media_join(a, b);
	media_from_tunnel(media, FACE, 3, sr, sizeof(sr), 1000000);
	media_from_tunnel(media, FACE, 5, rr, sizeof(rr), 1080000);
	media_from_tunnel(media, FACE, 5, sr, sizeof(sr), 2000000);
	media_from_tunnel(media, FACE, 3, rr, sizeof(rr), 2020000);
	assert_true(stats(a).delay_ms == 50);
	assert_true(stats(b).delay_ms == 50);
	assert_int_equal(stats(a).rtcp_packets, 2);
}

static void
late_packets_are_counted_for_the_phone_that_sent_them(void **state)
{
	uint16_t port;
	struct media_leg *leg = joined_leg(&voice, &port);

	(void)state;
	media_late(media, FACE, 2 * LEG);
	media_late(media, FACE, 2 * LEG + 9);
	assert_int_equal(stats(leg).late_dropped, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(voice_of_a_phone_goes_into_the_tunnel_on_its_leg_s_channel),
		TEST(turn_ends_once_after_all_sockets_that_were_ready),
		TEST(voice_from_the_tunnel_goes_where_sdp_said_from_the_leg_s_port),
		TEST(what_is_meant_for_the_address_that_phones_are_told_stays_on_this_host),
		TEST(nothing_is_sent_before_an_address_is_known),
		TEST(packets_of_unknown_channels_are_counted_and_dropped),
		TEST(stranger_is_dropped_and_counted_once_the_phone_was_heard),
		TEST(voice_goes_back_to_where_the_phone_s_really_comes_from),
		TEST(noise_is_not_taken_for_a_phone_but_stun_and_dtls_are),
		TEST(fax_may_look_like_anything),
		TEST(rtcp_of_a_phone_with_mux_is_told_from_its_voice),
		TEST(rtcp_does_not_tell_the_phone_s_address),
		TEST(rtcp_changes_ports_between_a_phone_with_mux_and_one_without),
		TEST(two_phones_of_one_agent_are_relayed_without_the_tunnel),
		TEST(voice_passes_from_one_tunnel_into_another),
		TEST(leg_left_alone_drops_and_counts),
		TEST(open_says_when_either_port_is_taken_and_keeps_nothing),
		TEST(open_says_when_the_address_is_not_ours),
		TEST(channels_are_unique_and_capped),
		TEST(channel_numbers_end_at_two_to_the_31),
		TEST(burst_of_a_picture_is_read_in_one_turn),
		TEST(packet_that_is_too_long_is_dropped),
		TEST(phone_that_hung_up_does_not_disturb),
		TEST(voice_and_fax_leave_marked_ef_and_pictures_af41),
		TEST(ipv6_is_relayed_likewise),
		TEST(stats_tell_loss_jitter_and_quality_of_each_direction),
		TEST(delay_is_half_of_both_round_trips),
		TEST(late_packets_are_counted_for_the_phone_that_sent_them),
	};

	return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
