/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_LOG_LOG_H
#define VOFW_LOG_LOG_H

#include <stddef.h>
#include <stdint.h>

/*
 * The log: lines on stderr ("2026-01-31T12:00:00.123Z info sip: ..."; without the time when
 * journald reads, JOURNAL_STREAM). error = an operator must act; warn = a peer misbehaves; info =
 * the life of calls, tunnels and bindings; debug = messages. Every line is escaped as a whole:
 * control and non-ASCII bytes come out as \xNN, and lines are cut at 1 KB. One thread only.
 */
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
enum log_level log_level(void);
int log_level_parse(const char *s, enum log_level *out); /* "error" ... "debug" */

#define log_error(component, ...) log_line(LOG_ERROR, component, __VA_ARGS__)
#define log_warn(component, ...) log_line(LOG_WARN, component, __VA_ARGS__)
#define log_info(component, ...) log_line(LOG_INFO, component, __VA_ARGS__)
#define log_debug(component, ...)                                    \
	do {                                                         \
		if (log_level() >= LOG_DEBUG)                        \
			log_line(LOG_DEBUG, component, __VA_ARGS__); \
	} while (0)

void log_line(enum log_level level, const char *component, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * A warning that the network can cause at will: at most one line a second for each `struct
 * log_limit` (static in the caller, zero at first), and the next line tells how many were left out.
 */
struct log_limit {
	uint64_t next_us;
	unsigned suppressed;
};
void log_warn_limited(struct log_limit *l, const char *component, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The last LOG_RECENT_N lines of level info or more important, oldest first, for the status page.
 * `text` is escaped already and borrowed until return.
 */
#define LOG_RECENT_N 100
typedef void log_recent_cb(void *arg, uint64_t wall_s, enum log_level level, const char *component,
    const char *text);
void log_recent(log_recent_cb *cb, void *arg);

#endif
