/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "log/log.h"

/* The edge: a clock that stands still until it is moved. */
static uint64_t now_us = 5 * CLOCK_S;

uint64_t
clock_us(void)
{
	return now_us;
}

uint64_t
clock_wall_s(void)
{
	return 1767225600;
}

static FILE *captured;
static int real_stderr;

/* From here on stderr is a file. */
static void
capture_begin(void)
{
	captured = tmpfile();
	assert_non_null(captured);
	real_stderr = dup(STDERR_FILENO);
	dup2(fileno(captured), STDERR_FILENO);
}

static const char *
capture_end(void)
{
	static char text[8192];
	size_t n;

	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	rewind(captured);
	n = fread(text, 1, sizeof(text) - 1, captured);
	text[n] = '\0';
	fclose(captured);
	return text;
}

static int
setup(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	log_set_level(LOG_INFO);
	return 0;
}

static void
log_line_has_time_level_component_and_text(void **state)
{
	const char *line;
	int year, ms;
	char rest[64];

	(void)state;
	capture_begin();
	log_warn("sip", "%d of %s", 7, "us");
	line = capture_end();
	assert_int_equal(sscanf(line, "%d-%*d-%*dT%*d:%*d:%*d.%dZ %63[^\n]", &year, &ms, rest), 3);
	assert_true(year >= 2024);
	assert_string_equal(rest, "warn sip: 7 of us");
	assert_int_equal(line[strlen(line) - 1], '\n');
}

static void
log_line_for_the_journal_has_a_priority_and_no_time(void **state)
{
	char stream[64];
	struct stat st;

	(void)state;
	capture_begin();
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_error("tunnel", "gone");
	log_info("tunnel", "back");
	assert_string_equal(capture_end(), "<3>error tunnel: gone\n<6>info tunnel: back\n");
}

static void
log_line_does_not_trust_a_journal_that_reads_another_stream(void **state)
{
	(void)state;
	setenv("JOURNAL_STREAM", "1:1", 1);
	capture_begin();
	log_error("tunnel", "gone");
	assert_non_null(strstr(capture_end(), "Z error tunnel: gone\n"));
}

static void
log_line_cannot_be_forged_by_hostile_text(void **state)
{
	const char *text;

	(void)state;
	capture_begin();
	log_info("sip", "From: %s", "a\r\n2026-01-01 error sip: forged\x1b[31m\xff\x7f\t");
	text = capture_end();
	assert_non_null(strstr(text,
	    "From: a\\x0d\\x0a2026-01-01 error sip: forged\\x1b[31m\\xff\\x7f\\x09\n"));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void
log_line_is_cut_at_one_kilobyte_whatever_the_text(void **state)
{
	char plain[5000], binary[5000];
	const char *text;

	(void)state;
	memset(plain, 'x', sizeof(plain) - 1);
	memset(binary, '\1', sizeof(binary) - 1);
	plain[sizeof(plain) - 1] = binary[sizeof(binary) - 1] = '\0';
	capture_begin();
	log_info("a", "%s", plain);
	text = capture_end();
	assert_in_range(strlen(text), 1000, 1100);
	assert_string_equal(text + strlen(text) - 5, "x...\n");
	capture_begin();
	log_info("a", "%s", binary);
	text = capture_end();
	assert_in_range(strlen(text), 1000, 1100);
	assert_string_equal(text + strlen(text) - 8, "\\x01...\n");
}

static void
log_level_keeps_the_less_important_out(void **state)
{
	const char *text;

	(void)state;
	log_set_level(LOG_WARN);
	capture_begin();
	log_info("a", "hidden");
	log_debug("a", "hidden");
	log_warn("a", "seen");
	log_set_level(LOG_DEBUG);
	log_debug("a", "seen as well");
	text = capture_end();
	assert_null(strstr(text, "hidden"));
	assert_non_null(strstr(text, "warn a: seen\n"));
	assert_non_null(strstr(text, "debug a: seen as well\n"));
}

static void
log_level_parse_knows_four_names(void **state)
{
	enum log_level level = LOG_WARN;

	(void)state;
	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_DEBUG);
	assert_int_equal(log_level_parse("error", &level), 0);
	assert_int_equal(level, LOG_ERROR);
	assert_int_equal(log_level_parse("Error", &level), ERR_MALFORMED);
	assert_int_equal(log_level_parse("", &level), ERR_MALFORMED);
	assert_int_equal(level, LOG_ERROR);
}

static void
limited_warning_comes_once_a_second_and_counts_the_rest(void **state)
{
	struct log_limit limit = { 0 };
	const char *text, *second;

	(void)state;
	capture_begin();
	for (int i = 0; i < 5; i++)
		log_warn_limited(&limit, "media", "packet %d", i);
	now_us += CLOCK_S - 1;
	log_warn_limited(&limit, "media", "packet %d", 5);
	now_us += 1;
	log_warn_limited(&limit, "media", "packet %d", 6);
	now_us += CLOCK_S;
	log_warn_limited(&limit, "media", "packet %d", 7);
	text = capture_end();
	assert_non_null(strstr(text, "packet 0\n"));
	assert_null(strstr(text, "packet 5"));
	second = strstr(text, "packet 6 (5 more like this were left out)\n");
	assert_non_null(second);
	assert_non_null(strstr(second, "packet 7\n"));
}

static void
limited_warning_tells_the_count_also_behind_a_long_text(void **state)
{
	struct log_limit limit = { 0 };
	char longest[2000];

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	capture_begin();
	log_warn_limited(&limit, "media", "first");
	log_warn_limited(&limit, "media", "second");
	now_us += CLOCK_S;
	log_warn_limited(&limit, "media", "%s", longest);
	assert_non_null(strstr(capture_end(), "x (1 more like this were left out)\n"));
}

struct seen {
	size_t n;
	int first, last;
	uint64_t wall_s;
	enum log_level level;
	char text[64];
};

static void
on_line(void *arg, uint64_t wall_s, enum log_level level, const char *component, const char *text)
{
	struct seen *s = arg;

	assert_string_equal(component, "ring");
	s->last = atoi(text);
	if (s->n++ == 0)
		s->first = s->last;
	s->wall_s = wall_s;
	s->level = level;
	snprintf(s->text, sizeof(s->text), "%s", text);
}

static void
recent_lines_are_the_last_hundred_oldest_first(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	capture_begin();
	for (int i = 0; i < LOG_RECENT_N + 50; i++)
		log_info("ring", "%d", i);
	log_recent(on_line, &seen);
	capture_end();
	assert_int_equal(seen.n, LOG_RECENT_N);
	assert_int_equal(seen.first, 50);
	assert_int_equal(seen.last, LOG_RECENT_N + 49);
	assert_int_equal(seen.wall_s, 1767225600);
}

static void
recent_lines_are_kept_when_not_printed_but_never_those_of_debug(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	log_set_level(LOG_ERROR);
	capture_begin();
	log_info("ring", "7 info\n");
	log_set_level(LOG_DEBUG);
	log_debug("ring", "8 debug");
	log_recent(on_line, &seen);
	capture_end();
	assert_string_equal(seen.text, "7 info\\x0a");
	assert_int_equal(seen.level, LOG_INFO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(log_line_has_time_level_component_and_text, setup),
		cmocka_unit_test_setup(log_line_for_the_journal_has_a_priority_and_no_time, setup),
		cmocka_unit_test_setup(log_line_does_not_trust_a_journal_that_reads_another_stream,
		    setup),
		cmocka_unit_test_setup(log_line_cannot_be_forged_by_hostile_text, setup),
		cmocka_unit_test_setup(log_line_is_cut_at_one_kilobyte_whatever_the_text, setup),
		cmocka_unit_test_setup(log_level_keeps_the_less_important_out, setup),
		cmocka_unit_test_setup(log_level_parse_knows_four_names, setup),
		cmocka_unit_test_setup(limited_warning_comes_once_a_second_and_counts_the_rest,
		    setup),
		cmocka_unit_test_setup(limited_warning_tells_the_count_also_behind_a_long_text,
		    setup),
		cmocka_unit_test_setup(recent_lines_are_the_last_hundred_oldest_first, setup),
		cmocka_unit_test_setup(
		    recent_lines_are_kept_when_not_printed_but_never_those_of_debug, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
