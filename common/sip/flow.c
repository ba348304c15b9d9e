/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/flow.h"

const char *
sip_proto_str(enum sip_proto proto)
{
	static const char *const names[] = { "UDP", "TCP", "TLS" };

	return names[proto];
}

const char *
sip_proto_param(enum sip_proto proto)
{
	static const char *const names[] = { "udp", "tcp", "tls" };

	return names[proto];
}

bool
sip_proto_reliable(enum sip_proto proto)
{
	return proto != SIP_UDP;
}

bool
sip_flow_equal(const struct sip_flow *a, const struct sip_flow *b)
{
	return a->face == b->face && a->proto == b->proto && a->listener == b->listener &&
	    a->conn == b->conn && addr_equal(&a->peer, &b->peer);
}
