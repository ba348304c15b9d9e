/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "log/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

#define TEXT_MAX 1024
#define COMPONENT_MAX 16

struct line {
	uint64_t wall_s;
	enum log_level level;
	char component[COMPONENT_MAX];
	char text[TEXT_MAX]; /* escaped */
};

static const char *const level_names[] = { "error", "warn", "info", "debug" };

static enum log_level threshold = LOG_INFO;
static struct line ring[LOG_RECENT_N];
static size_t ring_n; /* lines ever put in */

void
log_set_level(enum log_level level)
{
	threshold = level;
}

enum log_level
log_level(void)
{
	return threshold;
}

int
log_level_parse(const char *s, enum log_level *out)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(s, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return 0;
		}
	}
	return ERR_MALFORMED;
}

/* systemd names the stream it reads by device and inode; the variable alone may be inherited. */
static bool
journal_reads_stderr(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat st;
	char ours[64];

	if (stream == NULL || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, ours) == 0;
}

/* Writes the escaped form of s, cut with "..." so that it fits n bytes with its NUL. */
static void
escape(char *out, size_t n, const char *s)
{
	static const char hex[] = "0123456789abcdef";
	static const char cut[] = "...";
	size_t used = 0;

	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;
		bool plain = c >= 0x20 && c < 0x7f;

		if (used + (plain ? 1 : 4) + sizeof(cut) > n) {
			memcpy(out + used, cut, sizeof(cut));
			return;
		}
		if (plain) {
			out[used++] = (char)c;
		} else {
			out[used++] = '\\';
			out[used++] = 'x';
			out[used++] = hex[c >> 4];
			out[used++] = hex[c & 15];
		}
	}
	out[used] = '\0';
}

/* One write a line, so that lines of several processes on one terminal do not mix. */
static void
write_line(const struct line *l)
{
	static const char priority[] = { '3', '4', '6', '7' }; /* of syslog, for journald */
	char out[TEXT_MAX + 96];
	struct timespec now;
	struct tm utc;
	size_t n;

	if (journal_reads_stderr()) {
		n = (size_t)snprintf(out, sizeof(out), "<%c>", priority[l->level]);
	} else {
		clock_gettime(CLOCK_REALTIME, &now);
		gmtime_r(&now.tv_sec, &utc);
		n = strftime(out, sizeof(out), "%Y-%m-%dT%H:%M:%S", &utc);
		n += (size_t)snprintf(out + n, sizeof(out) - n, ".%03ldZ ", now.tv_nsec / 1000000);
	}
	n += (size_t)snprintf(out + n, sizeof(out) - n, "%s %s: %s\n", level_names[l->level],
	    l->component, l->text);
	while (write(STDERR_FILENO, out, n) < 0 && errno == EINTR)
		;
}

/*
 * The ring takes lines of level info also when they are not printed: the status page tells the
 * life of calls whatever the operator wants to see in his journal.
 */
static void __attribute__((format(printf, 3, 0)))
log_vline(enum log_level level, const char *component, const char *fmt, va_list ap)
{
	static struct line scratch;
	char raw[TEXT_MAX];
	struct line *l;
	int saved_errno = errno;

	if (level > LOG_INFO && level > threshold)
		return;
	l = level <= LOG_INFO ? &ring[ring_n++ % LOG_RECENT_N] : &scratch;
	l->wall_s = clock_wall_s();
	l->level = level;
	snprintf(l->component, sizeof(l->component), "%s", component);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	escape(l->text, sizeof(l->text), raw);
	if (level <= threshold)
		write_line(l);
	errno = saved_errno;
}

void
log_line(enum log_level level, const char *component, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vline(level, component, fmt, ap);
	va_end(ap);
}

void
log_warn_limited(struct log_limit *l, const char *component, const char *fmt, ...)
{
	uint64_t now_us = clock_us();
	char raw[TEXT_MAX - 64]; /* leaves room for the count */
	va_list ap;

	if (now_us < l->next_us) {
		l->suppressed++;
		return;
	}
	va_start(ap, fmt);
	if (l->suppressed == 0) {
		log_vline(LOG_WARN, component, fmt, ap);
	} else {
		vsnprintf(raw, sizeof(raw), fmt, ap);
		log_line(LOG_WARN, component, "%s (%u more like this were left out)", raw,
		    l->suppressed);
	}
	va_end(ap);
	l->next_us = now_us + CLOCK_S;
	l->suppressed = 0;
}

void
log_recent(log_recent_cb *cb, void *arg)
{
	size_t first = ring_n > LOG_RECENT_N ? ring_n - LOG_RECENT_N : 0;

	for (size_t i = first; i < ring_n; i++) {
		const struct line *l = &ring[i % LOG_RECENT_N];

		cb(arg, l->wall_s, l->level, l->component, l->text);
	}
}
