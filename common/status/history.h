/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_STATUS_HISTORY_H
#define VOFW_STATUS_HISTORY_H

#include <jansson.h>
#include <stddef.h>

/*
 * A few figures over the last while: HISTORY_POINTS values of each, the older ones are forgotten.
 * The memory is fixed: 4 bytes a value. Pure; the pace is the caller's.
 */
struct history;

#define HISTORY_POINTS 180

/* n figures of these names (borrowed for ever, as string constants are). */
struct history *history_new(const char *const *names, size_t n);
void history_free(struct history *h);

/* One more value of each figure, in the order of the names; NAN = there is none. */
void history_add(struct history *h, const double *values);

/* {"name": [1.5, null, ...], ...}: the oldest first, two decimals; a new reference. */
json_t *history_json(const struct history *h);

#endif
