/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "tunnel/request.h"

static const struct probe_plan echo = { .count = 5, .size = 24, .interval_ms = 100 };
static const struct probe_segments none;

static void
a_plan_has_bounds(void **state)
{
	static const struct {
		struct probe_plan plan;
		bool good;
	} cases[] = {
		{ { 1, PROBE_SIZE_MIN, 0 }, true },
		{ { PROBE_COUNT_MAX, PROBE_SIZE_MAX, 0 }, true },
		{ { 2, 16, PROBE_SPAN_MAX_MS }, true },
		{ { 1, 16, UINT32_MAX }, true }, /* the interval is never waited for */
		{ { 0, 16, 0 }, false },
		{ { PROBE_COUNT_MAX + 1, 16, 0 }, false },
		{ { 1, PROBE_SIZE_MIN - 1, 0 }, false },
		{ { 1, PROBE_SIZE_MAX + 1, 0 }, false },
		{ { 2, 16, PROBE_SPAN_MAX_MS + 1 }, false },
		{ { 256, 16, UINT32_MAX }, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(probe_plan_good(&cases[i].plan), cases[i].good);
}

static void
chunks_are_written_when_they_are_due(void **state)
{
	struct probe_writer w;
	uint8_t out[1024];

	(void)state;
	probe_writer_init(&w, &echo);
	assert_int_equal(probe_write(&w, 0, none, out, sizeof(out)), 24);
	assert_int_equal(probe_write(&w, 99999, none, out, sizeof(out)), 0);
	assert_int_equal(probe_writer_due_us(&w), 100000);
	assert_int_equal(probe_write(&w, 100000, none, out, 10), 10);
	assert_true(probe_writer_due_us(&w) <= 100000); /* the rest of it: now */
	assert_int_equal(probe_write(&w, 100100, none, out, sizeof(out)), 14);
	assert_int_equal(w.sent_us[1], 100000);
	assert_int_equal(probe_write(&w, 410000, none, out, sizeof(out)), 3 * 24);
	assert_true(probe_writer_done(&w));
	assert_int_equal(probe_write(&w, 900000, none, out, sizeof(out)), 0);
}

/* Writes the whole of a plan at its times into out; gives the length. */
static size_t
write_all(const struct probe_plan *plan, uint8_t *out, size_t cap)
{
	struct probe_segments segments = { 0, 0 };
	struct probe_writer w;
	size_t n = 0;

	probe_writer_init(&w, plan);
	while (!probe_writer_done(&w)) {
		segments.sent += 2;
		segments.again++;
		n += probe_write(&w, probe_writer_due_us(&w), segments, out + n, cap - n);
	}
	return n;
}

static void
a_body_is_read_however_it_is_cut(void **state)
{
	uint8_t body[5 * 24];
	struct probe_reader r;

	(void)state;
	assert_int_equal(write_all(&echo, body, sizeof(body)), sizeof(body));
	for (size_t step = 1; step <= sizeof(body); step++) {
		probe_reader_init(&r, &echo);
		for (size_t at = 0; at < sizeof(body); at += step) {
			size_t n = sizeof(body) - at < step ? sizeof(body) - at : step;

			assert_int_equal(probe_read(&r, (uint32_t)at, body + at, n), 0);
		}
		assert_true(probe_reader_done(&r));
		assert_int_equal(r.sent_us[4], 400000);
		assert_int_equal(r.first.sent, 2);
		assert_int_equal(r.last.sent, 10);
		assert_int_equal(r.last.again, 5);
	}
	assert_int_equal(probe_read(&r, 0, body, 1), ERR_MALFORMED); /* more than the plan */
}

static void
a_changed_byte_is_seen_wherever_it_is(void **state)
{
	uint8_t body[5 * 24];
	struct probe_reader r;

	(void)state;
	(void)write_all(&echo, body, sizeof(body));
	for (size_t i = 0; i < sizeof(body); i++) {
		if (i % 24 >= 2 && i % 24 < 14)
			continue; /* the stamp and the segments may be anything */
		body[i] ^= 1;
		probe_reader_init(&r, &echo);
		assert_int_equal(probe_read(&r, 0, body, sizeof(body)), ERR_MALFORMED);
		body[i] ^= 1;
	}
}

static void
the_largest_plan_comes_whole(void **state)
{
	struct probe_plan plan = { PROBE_COUNT_MAX, PROBE_SIZE_MAX, 0 };
	static struct probe_reader r;
	static struct probe_writer w;
	static uint8_t out[40000];
	size_t n, all = 0;

	(void)state;
	probe_writer_init(&w, &plan);
	probe_reader_init(&r, &plan);
	while ((n = probe_write(&w, 7, none, out, sizeof(out))) > 0) {
		assert_int_equal(probe_read(&r, 7, out, n), 0);
		all += n;
	}
	assert_true(probe_writer_done(&w) && probe_reader_done(&r));
	assert_int_equal(all, probe_plan_bytes(&plan));
	assert_int_equal(all, 4 << 20);
}

static void
a_report_tells_what_came_and_when(void **state)
{
	uint8_t body[5 * 24], out[PROBE_REPORT_MAX + 1] = { 0 };
	struct probe_about about = { .tls = true, .fingerprint = { 9, 8, 7 }, .datagrams_n = 2 };
	struct probe_report report;
	struct probe_reader r;
	size_t n;

	(void)state;
	(void)write_all(&echo, body, sizeof(body));
	probe_reader_init(&r, &echo);
	assert_int_equal(probe_read(&r, 1000, body, 24), 0);
	assert_int_equal(probe_read(&r, 2000000, body + 24, 30), 0);
	assert_int_equal(addr_parse("192.0.2.1:443", 0, &about.datagrams[0]), 0);
	assert_int_equal(addr_parse("[::]:4433", 0, &about.datagrams[1]), 0);
	n = probe_report_encode(&r, &about, out);
	assert_int_equal(n, 5 + 2 * 4 + 33 + 1 + 7 + 19);
	assert_int_equal(probe_report_decode(out, n, &report), 0);
	assert_int_equal(report.n, 2);
	assert_int_equal(report.came_us[0], 1000);
	assert_int_equal(report.came_us[1], 2000000);
	assert_true(report.about.tls);
	assert_memory_equal(report.about.fingerprint, about.fingerprint, PROBE_FINGERPRINT_LEN);
	assert_int_equal(report.about.datagrams_n, 2);
	assert_true(addr_equal(&report.about.datagrams[0], &about.datagrams[0]));
	assert_true(addr_equal(&report.about.datagrams[1], &about.datagrams[1]));
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(probe_report_decode(out, cut, &report), ERR_MALFORMED);
	assert_int_equal(probe_report_decode(out, n + 1, &report), ERR_MALFORMED);
	out[2]++; /* another version */
	assert_int_equal(probe_report_decode(out, n, &report), ERR_MALFORMED);
}

static void
a_path_is_good_for_its_own_probe_only(void **state)
{
	struct tunnel_grant grant = { .session = 0x1122334455667788, .key = { 1, 2, 3 } };
	char path[TUNNEL_PATH_MAX], other[TUNNEL_PATH_MAX];
	struct tunnel_request stream;
	struct probe_request r;

	(void)state;
	request_print_probe(&grant, TUNNEL_DOWN, 7, &echo, path);
	assert_int_equal(request_parse_probe(path, &r), 0);
	assert_true(request_probe_genuine(&grant, &r));
	assert_int_equal(r.serial, 7);
	assert_int_equal(r.dir, TUNNEL_DOWN);
	assert_int_equal(r.plan.count, 5);
	assert_int_equal(r.plan.size, 24);
	assert_int_equal(r.plan.interval_ms, 100);
	r.plan.size++;
	assert_false(request_probe_genuine(&grant, &r));
	r.plan.size--;
	r.dir = TUNNEL_UP;
	assert_false(request_probe_genuine(&grant, &r));

	/* A probe is no stream, and a stream no probe, though the key is one. */
	assert_int_equal(tunnel_request_parse(path, &stream), ERR_MALFORMED);
	stream = (struct tunnel_request){ .dir = TUNNEL_DOWN, .serial = 7 };
	request_print(&grant, &stream, other);
	assert_int_equal(request_parse_probe(other, &r), ERR_MALFORMED);
	for (size_t i = 0; i < strlen(path); i++) {
		memcpy(other, path, sizeof(other));
		other[i] = 'G';
		assert_int_equal(request_parse_probe(other, &r), ERR_MALFORMED);
		other[i] = '\0';
		assert_int_equal(request_parse_probe(other, &r), ERR_MALFORMED);
	}
}

/* How long each of five chunks took, ms, and what is to be said about the path. */
static void
what_is_collected_is_told_from_what_is_late(void **state)
{
	static const struct {
		uint32_t took_ms[5];
		bool streams;
		uint32_t held_ms;
	} cases[] = {
		{ { 20, 20, 20, 20, 20 }, true, 0 },
		{ { 20, 60, 20, 85, 20 }, true, 65 },       /* jitter */
		{ { 20, 240, 140, 40, 20 }, true, 220 },    /* a segment was repeated */
		{ { 420, 320, 220, 120, 20 }, false, 400 }, /* the whole */
		{ { 20, 320, 220, 120, 20 }, false, 300 },  /* all but the first */
		{ { 1420, 1320, 1220, 1120, 1020 }, false, 400 },
		{ { 120, 20, 120, 20, 120 }, false, 100 }, /* two by two */
	};
	uint32_t sent_us[5], came_us[5];
	struct probe_verdict v;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (uint32_t j = 0; j < 5; j++) {
			sent_us[j] = j * 100000;
			/* The clocks of the ends begin at other times. */
			came_us[j] = sent_us[j] + cases[i].took_ms[j] * 1000 + 77000;
		}
		v = probe_judge(&echo, sent_us, came_us, 5);
		assert_int_equal(v.streams, cases[i].streams);
		assert_int_equal(v.held_us, cases[i].held_ms * 1000);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_has_bounds),
		cmocka_unit_test(chunks_are_written_when_they_are_due),
		cmocka_unit_test(a_body_is_read_however_it_is_cut),
		cmocka_unit_test(a_changed_byte_is_seen_wherever_it_is),
		cmocka_unit_test(the_largest_plan_comes_whole),
		cmocka_unit_test(a_report_tells_what_came_and_when),
		cmocka_unit_test(a_path_is_good_for_its_own_probe_only),
		cmocka_unit_test(what_is_collected_is_told_from_what_is_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
