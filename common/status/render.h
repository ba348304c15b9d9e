/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_STATUS_RENDER_H
#define VOFW_STATUS_RENDER_H

#include <jansson.h>
#include <stddef.h>

#include "base/metric.h"

/* Turns counters, events and the status into JSON and Prometheus text. Pure but for the log. */

#define STATUS_SETS_MAX 32

/* {"sip_requests_received": 12, ...}: the values of all sets; equal names are added up. */
json_t *render_counters(const struct metric_set *sets, size_t n);

/* {"events": [{"time", "level", "component", "text"} ...]}, the newest first. */
json_t *render_events(void);

/*
 * Prometheus text format 0.0.4 of the counters and of the status's own figures (vofw_up, uptime,
 * calls, registrations, what is heard, and for each tunnel its state, connections, round trip and
 * what each direction is like). Newly
 * allocated by malloc (the HTTP library frees it).
 */
char *render_prometheus(const json_t *status, const struct metric_set *sets, size_t n, size_t *len);

#endif
