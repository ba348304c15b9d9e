/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_REGISTRAR_H
#define VOFW_SIP_REGISTRAR_H

#include "sip/server.h"

/* The registrar of RFC 3261 §10.3, over location.h. */

#define REGISTRAR_EXPIRES_MIN_S 60
#define REGISTRAR_EXPIRES_MAX_S 3600
/* Behind a NAT outside, over UDP: the next REGISTER must come before the NAT forgets the phone. */
#define REGISTRAR_EXPIRES_NAT_S 60

/* Answers a REGISTER for one of our domains. */
void registrar_request(const struct arrival *a);

#endif
