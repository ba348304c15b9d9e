/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/tcp.h"

#include <linux/tcp.h> /* of libc's the tcp_info is too short */
#include <netinet/in.h>
#include <sys/socket.h>

#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44 /* since Linux 6.15 */
#endif

void
tcp_for_stream(int fd)
{
	static const struct {
		int name, value;
	} options[] = {
		{ TCP_NODELAY, 1 },
		{ TCP_NOTSENT_LOWAT, 16384 },
		{ TCP_USER_TIMEOUT, 4000 /* ms */ },
		{ TCP_RTO_MAX_MS, 1000 },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		(void)setsockopt(fd, IPPROTO_TCP, options[i].name, &options[i].value,
		    sizeof(options[i].value));
}

void
tcp_delay_acks(int fd, bool delay)
{
	int quick = !delay;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &quick, sizeof(quick));
}

void
tcp_segments(int fd, uint32_t *sent, uint32_t *again)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	*sent = *again = 0;
	/* An older kernel gives less than it was asked for: that stays 0. */
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return;
	*again = info.tcpi_total_retrans;
	*sent = info.tcpi_data_segs_out;
}
