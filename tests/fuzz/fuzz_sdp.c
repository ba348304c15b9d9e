/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "sip/sdp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
must(int holds)
{
	if (!holds)
		abort();
}

static void
check_stream(const struct sdp_stream *was, const struct sdp_stream *is,
    const struct sdp_rewrite *rw, size_t i)
{
	must(is->kind == was->kind && is->udp == was->udp && is->rtp == was->rtp);
	must(is->mux == was->mux && is->direction == was->direction);
	must(is->clock_rate == was->clock_rate && is->port == rw->port[i].rtp);
	must(is->port == 0 || is->zero_address == was->zero_address);
	must(!addr_is_set(&is->rtp_addr) || addr_same_host(&is->rtp_addr, &rw->address));
	must(!addr_is_set(&is->rtcp_addr) || addr_same_host(&is->rtcp_addr, &rw->address));
}

/* What parses is rewritten; that means the same at the agent's address; and doing it twice changes
 * nothing more. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct sdp was, is;
	struct sdp_rewrite rw = { .n = 0 };
	struct buf once, twice;

	if (n > 4096 || sdp_parse((const char *)data, n, &was) < 0)
		return 0;
	must(addr_parse("192.0.2.1", 0, &rw.address) == 0);
	for (rw.n = 0; rw.n < was.n; rw.n++) {
		rw.port[rw.n].rtp = was.stream[rw.n].port == 0 ? 0 : (uint16_t)(2000 + 4 * rw.n);
		rw.port[rw.n].rtcp = rw.port[rw.n].rtp == 0 ? 0 : rw.port[rw.n].rtp + 1 + rw.n % 3;
	}
	buf_init(&once, SDP_MAX);
	buf_init(&twice, SDP_MAX);
	must(sdp_rewrite((const char *)data, n, &rw, &once) == 0);
	must(sdp_parse((const char *)buf_data(&once), buf_len(&once), &is) == 0 && is.n == was.n);
	for (size_t i = 0; i < is.n; i++)
		check_stream(&was.stream[i], &is.stream[i], &rw, i);
	must(sdp_rewrite((const char *)buf_data(&once), buf_len(&once), &rw, &twice) == 0);
	must(buf_len(&once) == buf_len(&twice) &&
	    memcmp(buf_data(&once), buf_data(&twice), buf_len(&once)) == 0);
	buf_free(&once);
	buf_free(&twice);
	return 0;
}
