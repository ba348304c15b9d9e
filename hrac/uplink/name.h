/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_NAME_H
#define VOFW_HRAC_UPLINK_NAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

/*
 * The addresses of a name, asked anew each time: /etc/hosts and the name servers of
 * /etc/resolv.conf as they are now, by c-ares. libcurl would ask, too, but remembers the answer for a
 * minute and tries the next of several addresses only after seconds. Private to the uplink.
 */
struct uplink_lookup;
struct event_base;

#define UPLINK_ADDRESSES_MAX 8

/* Not from inside uplink_lookup_start. n = 0: there is no answer. The lookup ends with this. */
typedef void uplink_lookup_cb(void *arg, const struct addr *addresses, size_t n);

/*
 * At most UPLINK_ADDRESSES_MAX addresses with this port, families by turns, the system's preferred
 * one (RFC 6724) first; an answer or none within 2.5 s.
 */
struct uplink_lookup *uplink_lookup_start(struct event_base *base, const char *host, uint16_t port,
    uplink_lookup_cb *cb, void *arg);
void uplink_lookup_cancel(struct uplink_lookup *l); /* no callback any more; NULL is fine */

#endif
