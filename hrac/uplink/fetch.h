/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_FETCH_H
#define VOFW_HRAC_UPLINK_FETCH_H

#include <stddef.h>
#include <stdint.h>

/*
 * Gets one small file by http or https, directly and never through a proxy: the PAC file, which
 * tells the proxy. Follows a few redirections. One thread, on the given event base.
 */
#define UPLINK_FETCH_TIME_MS 4000

struct uplink_fetch;
struct event_base;

/*
 * It is over, and the fetch ends on return. body is NULL when there is none, and `cause` tells why
 * in plain words; both borrowed until return.
 */
typedef void uplink_fetch_cb(void *arg, const uint8_t *body, size_t n, const char *cause);

/*
 * `ca` as in uplink.h, NULL = the system's store; a file of more than `max` bytes is refused. The
 * strings are copied. NULL, logged, when libcurl does not start. The callback comes from the loop.
 */
struct uplink_fetch *uplink_fetch_start(struct event_base *base, const char *url, const char *ca,
    size_t max, uplink_fetch_cb *cb, void *arg);

void uplink_fetch_cancel(struct uplink_fetch *f); /* without the callback; NULL is fine */

#endif
