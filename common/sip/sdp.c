/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/sdp.h"

#include <string.h>

#include "base/err.h"
#include "sip/sdp_text.h"

struct parser {
	struct sdp sdp;
	bool version, origin;
	bool session_placed, placed; /* a c= was seen: the session's, the stream's own */
	struct sdp_place session_place, place;
	enum sdp_direction session_direction;
	struct span payload_type; /* the first of the stream */
	uint16_t rtcp_port;       /* of a=rtcp; 0 = none */
	struct sdp_place rtcp_place;
};

static bool
read_direction(struct span attribute, enum sdp_direction *out)
{
	static const char *const name[] = { [SDP_SENDRECV] = "sendrecv",
		[SDP_SENDONLY] = "sendonly",
		[SDP_RECVONLY] = "recvonly",
		[SDP_INACTIVE] = "inactive" };

	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
		if (span_is(span_before(attribute, ' '), name[i])) {
			*out = (enum sdp_direction)i;
			return true;
		}
	}
	return false;
}

static struct sdp_stream *
current(struct parser *p)
{
	return p->sdp.n == 0 ? NULL : &p->sdp.stream[p->sdp.n - 1];
}

static enum sdp_kind
kind_of(struct span s)
{
	static const char *const name[] = { [SDP_AUDIO] = "audio",
		[SDP_VIDEO] = "video",
		[SDP_IMAGE] = "image",
		[SDP_APPLICATION] = "application",
		[SDP_TEXT] = "text" };

	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++)
		if (span_is(s, name[i]))
			return (enum sdp_kind)i;
	return SDP_OTHER;
}

/* The clock of the static payload types (RFC 3551, tables 4 and 5); the dynamic ones say theirs. */
static uint32_t
static_clock_rate(struct span payload_type, enum sdp_kind kind)
{
	uint32_t pt;

	if (span_number(payload_type, 127, &pt) == 0) {
		switch (pt) {
		case 6:
			return 16000;
		case 10:
		case 11:
			return 44100;
		case 14:
			return 90000;
		case 16:
			return 11025;
		case 17:
			return 22050;
		}
	}
	return kind == SDP_VIDEO ? 90000 : 8000;
}

/* Where packets can be sent to; a name is not resolved, and a group is nobody's phone. */
static bool
is_reachable(const struct addr *a)
{
	if (!addr_is_set(a) || addr_is_any(a))
		return false;
	if (addr_is_v6(a))
		return !IN6_IS_ADDR_MULTICAST(&a->u.in6.sin6_addr);
	return ntohl(a->u.in4.sin_addr.s_addr) >> 28 < 14;
}

static struct addr
at_port(const struct addr *host, uint16_t port)
{
	struct addr a = { .u.sa.sa_family = AF_UNSPEC };

	if (port != 0 && is_reachable(host)) {
		a = *host;
		addr_set_port(&a, port);
	}
	return a;
}

/* The stream's lines are over: its addresses are known. */
static int
end_stream(struct parser *p)
{
	struct sdp_stream *s = current(p);
	const struct sdp_place *place = p->placed ? &p->place : &p->session_place;
	uint16_t rtcp_port;

	if (s == NULL || s->port == 0)
		return 0;
	if (!p->placed && !p->session_placed)
		return ERR_MALFORMED;
	s->zero_address = addr_is_any(&place->addr);
	s->rtp_addr = at_port(&place->addr, s->port);
	rtcp_port = p->rtcp_port != 0 ? p->rtcp_port : (uint16_t)(s->port + 1);
	s->rtcp_addr = at_port(&place->addr, rtcp_port);
	/* With the voice on hold or nowhere, a place for RTCP alone is not believed either. */
	if (addr_is_set(&s->rtcp_addr) && p->rtcp_place.host.n > 0)
		s->rtcp_addr = at_port(&p->rtcp_place.addr, rtcp_port);
	return 0;
}

static int
begin_stream(struct parser *p, struct span value)
{
	struct sdp_stream *s;
	struct sdp_media_line m;
	int err = end_stream(p);

	if (err < 0)
		return err;
	if (!p->origin || sdp_read_media(value, &m) < 0)
		return ERR_MALFORMED;
	if (p->sdp.n == SDP_STREAMS_MAX)
		return ERR_TOO_BIG;
	p->sdp.n++;
	p->placed = false;
	p->rtcp_port = 0;
	p->rtcp_place = (struct sdp_place){ .host = { NULL, 0 } };
	p->payload_type = span_cut_word(&m.formats);

	s = current(p);
	*s = (struct sdp_stream){
		.kind = kind_of(m.kind), .port = m.port, .direction = p->session_direction
	};
	s->rtp = span_starts(m.proto, "RTP/") || span_starts(m.proto, "UDP/TLS/RTP/");
	s->udp = s->rtp || span_is(m.proto, "udp") || span_is(m.proto, "udptl") ||
	    span_starts(m.proto, "UDP/") || span_is(m.proto, "DTLS/SCTP");
	s->clock_rate = static_clock_rate(p->payload_type, s->kind);
	return 0;
}

/* rtpmap:<payload type> <name>/<clock rate>[/<channels>] */
static void
on_rtpmap(struct parser *p, struct span value)
{
	struct span pt = span_cut_word(&value), rate = span_cut_word(&value),
		    name = span_before(rate, '/');
	uint32_t hz;

	if (pt.n != p->payload_type.n || memcmp(pt.p, p->payload_type.p, pt.n) != 0)
		return;
	if (name.n == rate.n)
		return;
	span_skip(&rate, name.n + 1);
	if (span_number(span_before(rate, '/'), 10000000, &hz) == 0 && hz >= 1000)
		current(p)->clock_rate = hz;
}

static void
on_attribute(struct parser *p, struct span value)
{
	struct sdp_stream *s = current(p);

	if (read_direction(value, s == NULL ? &p->session_direction : &s->direction) || s == NULL)
		return;
	if (span_is(span_before(value, ' '), "rtcp-mux"))
		s->mux = true;
	else if (span_starts(value, "rtcp:") && p->rtcp_port == 0)
		(void)sdp_read_rtcp(value, &p->rtcp_port, &p->rtcp_place);
	else if (span_starts(value, "rtpmap:")) {
		span_skip(&value, strlen("rtpmap:"));
		on_rtpmap(p, value);
	}
}

static int
on_connection(struct parser *p, struct span value)
{
	if (current(p) == NULL) {
		p->session_placed = true;
		return sdp_read_place(value, &p->session_place);
	}
	/* Further ones are layers of a multicast (RFC 4566 §5.7); the first one counts. */
	if (p->placed)
		return 0;
	p->placed = true;
	return sdp_read_place(value, &p->place);
}

static int
on_line(struct parser *p, const struct sdp_line *l)
{
	struct span head;
	struct sdp_place place;

	if (!p->version && l->type != 'v')
		return ERR_MALFORMED;
	switch (l->type) {
	case 'v':
		if (p->version || !span_is(span_before(l->value, ' '), "0"))
			return ERR_MALFORMED;
		p->version = true;
		return 0;
	case 'o':
		if (p->origin)
			return ERR_MALFORMED;
		p->origin = true;
		return sdp_read_origin(l->value, &head, &place);
	case 'c':
		return on_connection(p, l->value);
	case 'm':
		return begin_stream(p, l->value);
	case 'a':
		on_attribute(p, l->value);
		return 0;
	default:
		return 0;
	}
}

int
sdp_parse(const char *in, size_t n, struct sdp *out)
{
	struct parser p = { .session_direction = SDP_SENDRECV };
	struct span text = { in, n };
	struct sdp_line l;
	int err;

	if (n > SDP_MAX)
		return ERR_TOO_BIG;
	while ((err = sdp_cut_line(&text, &l)) == 0) {
		err = on_line(&p, &l);
		if (err < 0)
			return err;
	}
	if (err != ERR_NOT_FOUND || !p.origin)
		return ERR_MALFORMED;
	err = end_stream(&p);
	if (err < 0)
		return err;
	*out = p.sdp;
	return 0;
}
