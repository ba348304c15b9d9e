/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_LINE_H
#define VOFW_HRAC_LINE_H

#include <stdint.h>

#include "config/config.h"
#include "tunnel/control.h"

/*
 * The line that the tunnel runs over, as HRAC sees it: how much passes, and what it may carry by the
 * configuration of both ends. HRAS alone lets calls in or refuses them; HRAC tells it its own cap
 * (docs/PROTOCOL.md, "Control", BANDWIDTH) and measures for the status page. Part of the wiring: the
 * state is in the struct hrac.
 */
struct hrac;

void line_init(struct hrac *h);  /* measures once a second from now on */
void line_begin(struct hrac *h); /* a session was agreed upon, and HRAC has introduced itself */
int line_heard(struct hrac *h, const struct control_bandwidth *b); /* HRAS told its cap; 0 */
void line_reload(struct hrac *h, const struct config_hrac *old);   /* h->conf is the new one */

/* What caps the tunnel, kbit/s each way, by what was configured at both ends; 0 = nothing. */
uint32_t line_bandwidth_max(const struct hrac *h);

#endif
