/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_DIALOG_H
#define VOFW_SIP_DIALOG_H

#include "sip/server.h"

/* Ends a dialog that began with a 2xx which cannot be relayed: ACK, and if `bye` BYE, to the sender
 * of r->in, in its own terms. */
void dialog_kill(struct sip_server *s, const struct sip_relay *r, bool bye, uint64_t now_us);

#endif
