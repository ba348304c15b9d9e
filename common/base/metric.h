/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_BASE_METRIC_H
#define VOFW_BASE_METRIC_H

#include <stddef.h>
#include <stdint.h>

/*
 * How a module tells its counters to the status page: a struct of uint64_t fields that only the
 * module writes, and a table that names them. A name is snake_case without prefix or unit prefix
 * ("sip_requests_received"); /metrics adds "vofw_" in front and "_total" to counters, and
 * /api/status shows the same names under `counters`.
 */
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

struct metric {
	const char *name;
	const char *help; /* one sentence */
	enum metric_kind kind;
	size_t offset; /* of the uint64_t in the module's struct */
};

/* Ends with an entry whose name is NULL. */
/* clang-format off */
#define METRIC(type, field, metric_kind_, text) { #field, text, metric_kind_, offsetof(type, field) }
/* clang-format on */

struct metric_set {
	const struct metric *table; /* borrowed for ever */
	const void *values;         /* the module's struct, borrowed while registered */
};

static inline uint64_t
metric_value(const struct metric_set *s, const struct metric *m)
{
	return *(const uint64_t *)((const char *)s->values + m->offset);
}

#endif
