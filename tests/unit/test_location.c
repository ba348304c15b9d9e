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
#include "sip/location.h"

#define ALICE "alice@example.com"

static char dir[] = "/tmp/vofw-location-XXXXXX";
static char file[sizeof(dir) + 16];

static int
make_dir(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(file, sizeof(file), "%s/hras.db", dir);
	return 0;
}

static int
remove_files(void **state)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	char name[sizeof(file) + 4];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", file, suffixes[i]);
		unlink(name);
	}
	return 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static struct binding
a_binding(const char *contact, uint64_t expires_wall_s)
{
	struct binding b = { .aor = (char *)(uintptr_t)ALICE,
		.contact = (char *)(uintptr_t)contact,
		.agent = (char *)(uintptr_t) "office",
		.call_id = (char *)(uintptr_t) "c1",
		.cseq = 7,
		.q = 1000,
		.expires_wall_s = expires_wall_s };

	b.flow = (struct sip_flow){ .face = 2, .proto = SIP_TCP, .listener = 1, .conn = 9 };
	assert_int_equal(addr_parse("192.168.1.20:5062", 0, &b.flow.peer), 0);
	return b;
}

static int
put(struct location *l, const char *contact, uint64_t expires_wall_s)
{
	struct binding b = a_binding(contact, expires_wall_s);

	return location_put(l, &b, 100);
}

static void
bindings_are_found_best_q_first_and_replaced_by_the_same_contact(void **state)
{
	const struct binding *found[LOCATION_CONTACTS_MAX];
	struct binding low = a_binding("sip:a@192.0.2.1", 200);
	struct location *l;

	(void)state;
	assert_int_equal(location_open(NULL, 100, &l), 0);
	low.q = 100;
	assert_int_equal(location_put(l, &low, 100), 0);
	assert_int_equal(put(l, "sip:a@192.0.2.2", 200), 0);
	assert_int_equal(put(l, "sip:a@192.0.2.2", 300), 0);
	assert_int_equal(location_n(l), 2);
	assert_int_equal(location_find(l, ALICE, 150, found, 10), 2);
	assert_string_equal(found[0]->contact, "sip:a@192.0.2.2");
	assert_int_equal(found[0]->expires_wall_s, 300);
	assert_int_equal(location_find(l, ALICE, 150, found, 1), 1);
	assert_string_equal(found[0]->contact, "sip:a@192.0.2.2");
	assert_int_equal(location_find(l, "bob@example.com", 150, found, 10), 0);
	location_close(l);
}

static void
a_binding_is_gone_when_its_time_is_over(void **state)
{
	const struct binding *found[LOCATION_CONTACTS_MAX];
	struct location *l;

	(void)state;
	assert_int_equal(location_open(NULL, 100, &l), 0);
	put(l, "sip:a@192.0.2.1", 200);
	put(l, "sip:a@192.0.2.2", 300);
	assert_int_equal(location_find(l, ALICE, 200, found, 10), 1);
	location_expire(l, 199);
	assert_int_equal(location_n(l), 2);
	location_expire(l, 200);
	assert_int_equal(location_n(l), 1);
	location_expire(l, 1000);
	assert_int_equal(location_n(l), 0);
	assert_int_equal(location_find(l, ALICE, 0, found, 10), 0);
	location_close(l);
}

static void
a_renewed_binding_expires_at_its_new_time(void **state)
{
	struct location *l;

	(void)state;
	assert_int_equal(location_open(NULL, 100, &l), 0);
	put(l, "sip:a@192.0.2.1", 200);
	put(l, "sip:a@192.0.2.1", 400);
	location_expire(l, 399);
	assert_int_equal(location_n(l), 1);
	location_expire(l, 400);
	assert_int_equal(location_n(l), 0);
	location_close(l);
}

static void
both_caps_are_errors_and_an_expired_binding_makes_room(void **state)
{
	struct location *l;
	struct binding b = a_binding("sip:b@192.0.2.1", 200);
	char contact[32];

	(void)state;
	assert_int_equal(location_open(NULL, LOCATION_CONTACTS_MAX + 1, &l), 0);
	for (int i = 0; i < LOCATION_CONTACTS_MAX; i++) {
		snprintf(contact, sizeof(contact), "sip:a@192.0.2.%d", i);
		assert_int_equal(put(l, contact, 150), 0);
	}
	assert_int_equal(put(l, "sip:a@198.51.100.1", 200), ERR_FULL);
	b.aor = (char *)(uintptr_t) "bob@example.com";
	assert_int_equal(location_put(l, &b, 100), 0);
	b.aor = (char *)(uintptr_t) "carol@example.com";
	assert_int_equal(location_put(l, &b, 100), ERR_FULL);
	assert_int_equal(location_put(l, &b, 150), 0);
	location_close(l);
}

static void
an_instance_has_one_binding_whatever_its_contact(void **state)
{
	const struct binding *found[LOCATION_CONTACTS_MAX];
	struct binding b = a_binding("sip:a@192.168.1.20:40001;transport=tcp", 200);
	struct location *l;

	(void)state;
	assert_int_equal(location_open(file, 100, &l), 0);
	b.expires_wall_s = clock_wall_s() + 1000;
	b.instance = (char *)(uintptr_t) "\"<urn:uuid:1>\"";
	assert_int_equal(location_put(l, &b, 100), 0);
	b.contact = (char *)(uintptr_t) "sip:a@192.168.1.20:40002;transport=tcp";
	assert_int_equal(location_put(l, &b, 100), 0);
	assert_int_equal(location_find(l, ALICE, 100, found, 10), 1);
	assert_string_equal(found[0]->contact, b.contact);
	location_close(l);
	assert_int_equal(location_open(file, 100, &l), 0);
	assert_int_equal(location_n(l), 1);
	location_close(l);
}

static void
bindings_are_removed_one_by_one_and_all_at_once(void **state)
{
	struct location *l;

	(void)state;
	assert_int_equal(location_open(NULL, 100, &l), 0);
	put(l, "sip:a@192.0.2.1", 200);
	put(l, "sip:a@192.0.2.2", 200);
	put(l, "sip:a@192.0.2.3", 200);
	assert_int_equal(location_remove(l, ALICE, "sip:a@192.0.2.2"), 0);
	assert_int_equal(location_remove(l, ALICE, "sip:a@192.0.2.2"), ERR_NOT_FOUND);
	assert_int_equal(location_n(l), 2);
	location_remove_all(l, ALICE);
	assert_int_equal(location_n(l), 0);
	location_remove_all(l, ALICE);
	location_close(l);
}

static void
bindings_and_key_survive_a_restart(void **state)
{
	const struct binding *found[LOCATION_CONTACTS_MAX];
	uint64_t later = clock_wall_s() + 1000;
	uint8_t key[32], again[32];
	struct location *l;
	struct binding b = a_binding("sip:alice@192.168.1.20:5062", later);

	(void)state;
	assert_int_equal(location_open(file, 100, &l), 0);
	location_key(l, key);
	b.user_agent = (char *)(uintptr_t) "phone's \"agent\"";
	b.q = 500;
	assert_int_equal(location_put(l, &b, 100), 0);
	assert_int_equal(put(l, "sip:gone@192.0.2.1", later), 0);
	assert_int_equal(location_remove(l, ALICE, "sip:gone@192.0.2.1"), 0);
	assert_int_equal(put(l, "sip:late@192.0.2.1", 200), 0);
	location_close(l);

	assert_int_equal(location_open(file, 100, &l), 0);
	location_key(l, again);
	assert_memory_equal(key, again, sizeof(key));
	assert_int_equal(location_n(l), 1);
	assert_int_equal(location_find(l, ALICE, 100, found, 10), 1);
	assert_string_equal(found[0]->contact, b.contact);
	assert_string_equal(found[0]->agent, "office");
	assert_string_equal(found[0]->call_id, "c1");
	assert_string_equal(found[0]->user_agent, b.user_agent);
	assert_null(found[0]->instance);
	assert_int_equal(found[0]->cseq, 7);
	assert_int_equal(found[0]->q, 500);
	assert_int_equal(found[0]->expires_wall_s, later);
	assert_int_equal(found[0]->flow.proto, SIP_TCP);
	assert_int_equal(found[0]->flow.listener, 1);
	assert_int_equal(found[0]->flow.conn, 0);
	assert_true(addr_equal(&found[0]->flow.peer, &b.flow.peer));
	location_close(l);
}

static void
the_file_is_for_its_owner_alone(void **state)
{
	struct location *l;
	struct stat st;

	(void)state;
	assert_int_equal(location_open(file, 100, &l), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	location_close(l);
}

static void
write_garbage(void)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		assert_true(fputs("this is no database ", f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static enum log_level last_level;
static char last_line[1024];

static void
on_line(void *arg, uint64_t wall_s, enum log_level level, const char *component, const char *text)
{
	(void)arg;
	(void)wall_s;
	(void)component;
	last_level = level;
	snprintf(last_line, sizeof(last_line), "%s", text);
}

static void
a_file_that_is_no_database_is_an_error_that_names_it(void **state)
{
	struct location *l;

	(void)state;
	write_garbage();
	assert_int_equal(location_open(file, 100, &l), ERR_IO);
	log_recent(on_line, NULL);
	assert_int_equal(last_level, LOG_ERROR);
	assert_non_null(strstr(last_line, file));
	assert_non_null(strstr(last_line, "not a database"));
}

static void
a_file_that_cannot_be_made_is_an_error_that_names_it(void **state)
{
	struct location *l;

	(void)state;
	assert_int_equal(location_open("/nonexistent/hras.db", 100, &l), ERR_IO);
	log_recent(on_line, NULL);
	assert_non_null(strstr(last_line, "/nonexistent/hras.db"));
}

static void
ten_thousand_bindings_are_written_and_read_back(void **state)
{
	struct location *l;
	char aor[32];
	struct binding b = a_binding("sip:x@192.0.2.1", clock_wall_s() + 1000);

	(void)state;
	assert_int_equal(location_open(file, 10000, &l), 0);
	b.aor = aor;
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 10000; i++) {
			snprintf(aor, sizeof(aor), "user%d@example.com", i);
			assert_int_equal(location_put(l, &b, 100), 0);
		}
	location_close(l);
	assert_int_equal(location_open(file, 10000, &l), 0);
	assert_int_equal(location_n(l), 10000);
	location_close(l);
}

#define with_file(f) cmocka_unit_test_setup_teardown(f, NULL, remove_files)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bindings_are_found_best_q_first_and_replaced_by_the_same_contact),
		cmocka_unit_test(a_binding_is_gone_when_its_time_is_over),
		cmocka_unit_test(a_renewed_binding_expires_at_its_new_time),
		cmocka_unit_test(both_caps_are_errors_and_an_expired_binding_makes_room),
		with_file(an_instance_has_one_binding_whatever_its_contact),
		cmocka_unit_test(bindings_are_removed_one_by_one_and_all_at_once),
		with_file(bindings_and_key_survive_a_restart),
		with_file(the_file_is_for_its_owner_alone),
		with_file(a_file_that_is_no_database_is_an_error_that_names_it),
		cmocka_unit_test(a_file_that_cannot_be_made_is_an_error_that_names_it),
		with_file(ten_thousand_bindings_are_written_and_read_back),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
