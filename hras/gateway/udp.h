/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAS_GATEWAY_UDP_H
#define VOFW_HRAS_GATEWAY_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/udp.h"

/*
 * The gateway's datagrams (docs/PROTOCOL.md, "Datagrams"); private to the gateway. A datagram is looked
 * up by its id, one lookup in a hash, and given to the tunnel of that agent, which alone knows whether it
 * is authentic. Where the newest authentic one came from is where voice goes. Nothing is ever sent to
 * anybody else.
 */
struct gateway;
struct gateway_agent;

/* Listens on the addresses of the configuration. ERR_IN_USE, ERR_IO, logged. */
int gateway_udp_start(struct gateway *g, const struct addr *listen, size_t n);
void gateway_udp_stop(struct gateway *g);
void gateway_udp_flush(struct gateway *g); /* what was sent in this turn leaves */

/* Where one who came in by our address `local` can send datagrams to; false: nowhere. */
bool gateway_udp_address(const struct gateway *g, const struct addr *local, struct addr *out);

/* The agent has a session, or it ends. */
void gateway_udp_begin(struct gateway_agent *a);
void gateway_udp_end(struct gateway_agent *a);

/* As in struct tunnel_handlers; arg is the agent. */
void gateway_udp_on_datagram(void *agent, const uint8_t *data, size_t n);

#endif
