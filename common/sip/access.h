/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_ACCESS_H
#define VOFW_SIP_ACCESS_H

#include "sip/route.h"

/*
 * Who may do what (RFC 3261 §22, §26.3.1). Trusted faces (inside unless auth is `all`; all with
 * `none`) need no password. From the others our users prove themselves before they register or
 * speak in our users' names, and nobody but them is relayed to foreign places. Calls to our users
 * come from anybody. A token of ours in a dialog needs no further proof.
 */

/* False when the request was answered here: 401, 403 or 407. */
bool access_register(const struct arrival *a, const char *aor);
bool access_request(const struct arrival *a, const struct route *r);

#endif
