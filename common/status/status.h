/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_STATUS_STATUS_H
#define VOFW_STATUS_STATUS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "base/metric.h"

struct event_base;

/*
 * The status page, JSON and metrics of an agent over HTTP (libmicrohttpd on the agent's own loop):
 * / (the page), /api/status, /api/calls, /api/registrations, /api/events, /api/history, /metrics,
 * /healthz.
 * Read-only: GET and HEAD. It knows nothing of tunnels and calls: the wiring gives it JSON.
 * Connections are capped at 64 and idle ones closed after 15 s.
 */
struct status;

struct status_source {
	/* New references; the shapes of hrac(8), "Status". */
	json_t *(*status)(void *arg); /* without "counters": added by the module */
	/* At most `max` (0 = all): of the calls those that are heard worst. */
	json_t *(*calls)(void *arg, size_t max);
	json_t *(*registrations)(void *arg, size_t max);
	bool (*healthy)(void *arg); /* the tunnel is up */
	/* Fills at most cap sets; their counters are in /metrics and in /api/status. */
	size_t (*metrics)(void *arg, struct metric_set *out, size_t cap);
	json_t *(*history)(void *arg); /* of the last 15 minutes */
};

/* ERR_IN_USE, ERR_IO (logged with address and reason). */
int status_new(struct event_base *base, const struct addr *listen, const struct status_source *src,
    void *arg, struct status **out);
void status_free(struct status *s);

#endif
