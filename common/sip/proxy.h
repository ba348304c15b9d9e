/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_PROXY_H
#define VOFW_SIP_PROXY_H

#include "sip/server.h"

/* The proxy of RFC 3261 §16. */

/* A request that is no CANCEL; ACK to a 2xx has no transaction. */
void proxy_request(const struct arrival *a);
/* §16.10: the CANCEL in `a`, which is for `invite` and answered already. */
void proxy_cancel(const struct arrival *a, struct sip_server_txn *invite);
/* Forgets all that is under way, after the transaction layer is gone. */
void proxy_free(struct sip_server *s);

#endif
