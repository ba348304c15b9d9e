/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_SDP_H
#define VOFW_SIP_SDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/buf.h"

/*
 * Session descriptions (RFC 4566, 8866): reads the media addresses and writes them anew, line by
 * line, so that everything it does not know stays as it was. Pure.
 */
#define SDP_MAX 32768
#define SDP_STREAMS_MAX 32

enum sdp_kind { SDP_AUDIO, SDP_VIDEO, SDP_IMAGE, SDP_APPLICATION, SDP_TEXT, SDP_OTHER };
enum sdp_direction { SDP_SENDRECV, SDP_SENDONLY, SDP_RECVONLY, SDP_INACTIVE };

struct sdp_stream {
	enum sdp_kind kind;
	uint16_t port; /* 0 = refused or removed */
	bool udp;      /* its transport runs over UDP (RTP/..., udptl, UDP/TLS/...) */
	bool rtp;      /* ... and is RTP of some profile */
	/* c= and the port. Not set when the port is 0, or c= is a name, 0.0.0.0 or a multicast group:
	 * the phone's place is then only known by latching to it. */
	struct addr rtp_addr;
	/* a=rtcp (RFC 3605), else port + 1; not set likewise. What holds if the two sides do not
	 * agree on mux; with mux RTCP goes to rtp_addr. */
	struct addr rtcp_addr;
	bool mux;                     /* a=rtcp-mux (RFC 5761) */
	enum sdp_direction direction; /* the stream's, else the session's; SENDRECV by default */
	bool zero_address;            /* c= 0.0.0.0: the old form of hold */
	uint32_t clock_rate; /* of the first payload type (static table or a=rtpmap); 8000 */
};

struct sdp {
	struct sdp_stream stream[SDP_STREAMS_MAX];
	size_t n;
};

/*
 * Reads the n bytes at `in` (borrowed until return). Lenient where phones are careless: lines may
 * end in LF alone, the last one in nothing, words may be parted by several spaces. ERR_MALFORMED:
 * no SDP (RFC 4566 §5: v=, o= or an m= unreadable, no c= for an active stream); ERR_TOO_BIG beyond
 * SDP_MAX or SDP_STREAMS_MAX.
 */
int sdp_parse(const char *in, size_t n, struct sdp *out);

struct sdp_rewrite {
	struct addr address; /* the agent's, of either family, port ignored: for o= and every c= */
	struct {
		uint16_t rtp, rtcp; /* both 0 for a stream that is refused or off */
	} port[SDP_STREAMS_MAX];
	size_t n; /* must be the number of streams that sdp_parse found */
};

/*
 * Appends `in` (n bytes, borrowed until return) to `out` with the phone's addresses replaced by the
 * agent's: o=, every c= (0.0.0.0 stays zero: it means hold), the ports of m= (a count behind it,
 * "5004/2", falls away: one pair is relayed), a=rtcp (added where RTCP is not on the next port).
 * Lines that would lead media around the relay are taken out: a=candidate, a=remote-candidates,
 * a=ice-*, a=end-of-candidates, a=alt, a=altc, a=ccap, a=source-filter. Everything else keeps its
 * text and order, except that the phone's own addresses are replaced wherever they stand (s=,
 * cname); lines end in CRLF. ERR_MALFORMED as sdp_parse or when rw->n is wrong; ERR_TOO_BIG;
 * ERR_FULL, and nothing is appended, when `out` is.
 */
int sdp_rewrite(const char *in, size_t n, const struct sdp_rewrite *rw, struct buf *out);

#endif
