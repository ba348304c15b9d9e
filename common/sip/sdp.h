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
	uint16_t port;           /* 0 = refused or removed */
	bool udp;                /* its transport runs over UDP (RTP/..., udptl, UDP/TLS/...) */
	bool rtp;                /* ... and is RTP of some profile */
	struct addr rtp_addr;    /* c= and the port; not set when port is 0, c= is a name or 0.0.0.0 */
	struct addr rtcp_addr;   /* a=rtcp (RFC 3605), else port + 1; not set likewise; = rtp with mux */
	bool mux;                /* a=rtcp-mux */
	enum sdp_direction direction; /* the stream's, else the session's; SENDRECV by default */
	bool zero_address;       /* c= 0.0.0.0: the old form of hold */
	uint32_t clock_rate;     /* of the first payload type (static table or a=rtpmap); 8000 */
};

struct sdp {
	struct sdp_stream stream[SDP_STREAMS_MAX];
	size_t n;
};

/* ERR_MALFORMED: no SDP (RFC 4566 §5: v=, o=, m= unreadable, no c= for an active stream ...);
 * ERR_TOO_BIG beyond the caps. */
int sdp_parse(const char *in, size_t n, struct sdp *out);

struct sdp_rewrite {
	struct addr address;      /* port 0; the agent's: for o=, c= (session's and streams'); both families */
	struct {
		uint16_t rtp, rtcp; /* 0 for a stream that is refused (its port stays 0) */
	} port[SDP_STREAMS_MAX];  /* one for each stream of the parsed SDP */
	size_t n;
};

/*
 * Writes `in` (parsed fine before) to `out` with the addresses replaced: o=, every c= (0.0.0.0
 * stays, it means hold), m= ports, a=rtcp; a=candidate, a=remote-candidates, a=ice-* and
 * a=end-of-candidates are taken out (they would go around the relay). Everything else is kept.
 * ERR_MALFORMED, ERR_FULL.
 */
int sdp_rewrite(const char *in, size_t n, const struct sdp_rewrite *rw, struct buf *out);

#endif
