/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_PROXY_H
#define VOFW_SIP_PROXY_H

#include "sip/server.h"

/* The proxy of RFC 3261 §16. */

/* A request that is no CANCEL; ACK to a 2xx has no transaction. */
void proxy_request(const struct arrival *a);
/* §16.10: a CANCEL for `invite`, answered already. */
void proxy_cancel(struct sip_server *s, struct sip_server_txn *invite, uint64_t now_us);
/* Forgets all that is under way, after the transaction layer is gone. */
void proxy_free(struct sip_server *s);

#endif
