/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_NETWORK_H
#define VOFW_HRAC_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

/*
 * Notices that the ground has moved: an address, a route or an interface of this machine came or
 * went (rtnetlink(7)), or the machine has slept (CLOCK_BOOTTIME went on while CLOCK_MONOTONIC stood).
 * Changes of the wall clock are none of its business. What comes in a burst is told once.
 */
struct network;
struct event_base;

#define NETWORK_SETTLE_MS \
	100 /* a burst is over after that; told after half a second at the latest */

/* `slept`: the machine has; else its network has changed. Not from inside another call. */
typedef void network_cb(void *arg, bool slept);

/* `base` is borrowed while it lives. Without netlink, which is logged, it only notices sleep. */
struct network *network_new(struct event_base *base, network_cb *cb, void *arg);
void network_free(struct network *n); /* NULL is fine */

/* The machine has slept between the two: how far CLOCK_BOOTTIME was before CLOCK_MONOTONIC, us. */
bool network_slept(int64_t ahead_before_us, int64_t ahead_now_us);

/* Whether this machine has that address now (its port does not matter). */
bool network_has(const struct addr *a);

/* From which of its addresses this machine would now go there. False: it knows no way. */
bool network_source(const struct addr *to, struct addr *out);

#endif
