/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_PROBE_H
#define VOFW_HRAC_UPLINK_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "hrac/uplink/body.h"
#include "hrac/uplink/http.h"

/*
 * The echo probe: does a route let bodies stream, in each direction apart, or does something on the
 * way collect them? Five small chunks go each way, 100 ms apart, both ways at a time. A direction
 * that seems to collect, or is cut, is asked once more, since a line that lost the first segments
 * looks alike; beside them goes a small request, which passes where whole bodies do.
 * Takes half a second and some round trips, a second where something collects, 4 s at most. Nothing
 * of the running session is disturbed.
 */
struct uplink_probe;

struct uplink_probe_result {
	bool down_streams, up_streams;
	/* How long what was sent was held back, at most; the probe itself is no longer than 400 ms. */
	uint32_t down_held_ms, up_held_ms;
	uint32_t rtt_us; /* of a small request and its answer; 0 = not measured */
	/* Why a direction does not stream, where it is not that bodies are held back: the proxy takes none
	 * of unknown length, say; "" = there is no such reason. */
	char why[UPLINK_HTTP_CAUSE_MAX];
	char cause[UPLINK_HTTP_CAUSE_MAX]; /* not even a small request passes; "" = it does */
};

/* Called once, not inside libcurl; may free the probe, and the owner has to at some time. */
typedef void uplink_probe_cb(void *arg, const struct uplink_probe_result *r);

/* All of `way` is borrowed while the probe lives; `*way` itself is copied. Takes a turn to begin. */
struct uplink_probe *uplink_probe_start(const struct uplink_body_way *way, uplink_probe_cb *cb,
    void *arg);
void uplink_probe_free(struct uplink_probe *p); /* NULL is fine; cancels one that is under way */

#endif
