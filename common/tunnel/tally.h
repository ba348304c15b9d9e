/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_TALLY_H
#define VOFW_TUNNEL_TALLY_H

#include "base/metric.h"
#include "tunnel/tunnel.h"

/*
 * Counters that outlive a session: the stats of ended tunnels and of living ones, summed, and the
 * lines that name them in the metric table of whoever holds the sum.
 */
static inline void
tunnel_tally_add(struct tunnel_stats *sum, const struct tunnel_stats *s)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)s;
	size_t i;

	_Static_assert(sizeof(*s) % sizeof(*to) == 0, "nothing but uint64_t");
	for (i = 0; i < sizeof(*s) / sizeof(*to); i++)
		to[i] += from[i];
}

/* clang-format off */
#define TUNNEL_TALLY_LINE(type, m, field, text) \
	{ "tunnel_" #field, text, METRIC_COUNTER, offsetof(type, m.field) }
#define TUNNEL_TALLY_ENDED(type, m, name_, why, text) \
	{ "tunnel_streams_" name_, text, METRIC_COUNTER, offsetof(type, m.streams_ended[why]) }

/* The lines of a metric table, for the member `m` (struct tunnel_stats) of `type`. */
#define TUNNEL_TALLY(type, m) \
	TUNNEL_TALLY_LINE(type, m, bytes_sent, "Bytes of HTTP bodies sent."), \
	TUNNEL_TALLY_LINE(type, m, bytes_received, "Bytes of HTTP bodies received."), \
	TUNNEL_TALLY_LINE(type, m, batches_sent, "Batches of frames sent."), \
	TUNNEL_TALLY_LINE(type, m, batches_received, "Batches of frames received."), \
	TUNNEL_TALLY_LINE(type, m, reliable_sent, "Reliable frames (SIP, control) sent."), \
	TUNNEL_TALLY_LINE(type, m, reliable_resent, "Reliable frames sent once more after a loss."), \
	TUNNEL_TALLY_LINE(type, m, reliable_received, "Reliable frames received and delivered."), \
	TUNNEL_TALLY_LINE(type, m, reliable_duplicate, "Reliable frames received again."), \
	TUNNEL_TALLY_LINE(type, m, reliable_refused, "SIP messages refused with too many waiting."), \
	TUNNEL_TALLY_LINE(type, m, media_sent, "Media frames sent."), \
	TUNNEL_TALLY_LINE(type, m, media_received, "Media frames received and delivered."), \
	TUNNEL_TALLY_LINE(type, m, media_duplicate, "Media frames received again."), \
	TUNNEL_TALLY_LINE(type, m, media_late_dropped, "Media frames too old to be sent."), \
	TUNNEL_TALLY_LINE(type, m, media_down_dropped, "Media frames dropped while no stream was up."), \
	TUNNEL_TALLY_LINE(type, m, media_full_dropped, "Media frames dropped with too many waiting."), \
	TUNNEL_TALLY_LINE(type, m, media_congested_dropped, "Media frames dropped since the line holds no more."), \
	TUNNEL_TALLY_LINE(type, m, media_resent, "Media frames sent again in a batch of their own."), \
	TUNNEL_TALLY_LINE(type, m, media_repeated, "Media frames sent again beside the next ones."), \
	TUNNEL_TALLY_LINE(type, m, parity_sent, "Sums over groups of batches sent."), \
	TUNNEL_TALLY_LINE(type, m, media_missed, "Media frames that did not come in time by themselves."), \
	TUNNEL_TALLY_LINE(type, m, media_rebuilt, "Media frames that redundancy brought."), \
	TUNNEL_TALLY_LINE(type, m, media_stale_dropped, "Media frames received too late to be of use."), \
	TUNNEL_TALLY_LINE(type, m, media_by_datagram, "Media frames sent in datagrams."), \
	TUNNEL_TALLY_LINE(type, m, media_doubled, "Media frames sent by a stream, too, while datagrams were in doubt."), \
	TUNNEL_TALLY_LINE(type, m, datagrams_sent, "Datagrams sent."), \
	TUNNEL_TALLY_LINE(type, m, datagrams_received, "Datagrams received, authentic and new."), \
	TUNNEL_TALLY_LINE(type, m, datagram_bytes_sent, "Bytes of datagrams sent."), \
	TUNNEL_TALLY_LINE(type, m, datagram_bytes_received, "Bytes of datagrams received."), \
	TUNNEL_TALLY_LINE(type, m, datagrams_forged, "Datagrams received that were not authentic."), \
	TUNNEL_TALLY_LINE(type, m, datagrams_replayed, "Datagrams received again, or too late."), \
	TUNNEL_TALLY_LINE(type, m, datagrams_left_loss, "Times that voice left datagrams for streams because of losses."), \
	TUNNEL_TALLY_LINE(type, m, datagrams_left_silent, "Times that voice left datagrams for streams because nothing came through."), \
	TUNNEL_TALLY_LINE(type, m, datagrams_returned, "Times that voice returned to datagrams."), \
	TUNNEL_TALLY_LINE(type, m, streams_opened, "HTTP streams opened."), \
	TUNNEL_TALLY_LINE(type, m, streams_bounded, "HTTP streams opened for one burst (polling)."), \
	TUNNEL_TALLY_LINE(type, m, streams_rotated, "HTTP streams replaced because of bytes or age."), \
	TUNNEL_TALLY_ENDED(type, m, "ended", TUNNEL_WHY_ORDERLY, "HTTP streams ended in order."), \
	TUNNEL_TALLY_ENDED(type, m, "cut", TUNNEL_WHY_CUT, "HTTP streams cut under us."), \
	TUNNEL_TALLY_ENDED(type, m, "dead", TUNNEL_WHY_DEAD, "HTTP streams given up as silent."), \
	TUNNEL_TALLY_ENDED(type, m, "malformed", TUNNEL_WHY_MALFORMED, "HTTP streams that carried what is no frame."), \
	TUNNEL_TALLY_ENDED(type, m, "unsealed", TUNNEL_WHY_UNSEALED, "HTTP streams that carried what was not sealed for them."), \
	TUNNEL_TALLY_ENDED(type, m, "refused", TUNNEL_WHY_REFUSED, "HTTP streams refused."), \
	TUNNEL_TALLY_LINE(type, m, malformed, "Malformed frames received."), \
	TUNNEL_TALLY_LINE(type, m, rekeys, "Keys of the session replaced by newer ones.")
/* clang-format on */

#endif
