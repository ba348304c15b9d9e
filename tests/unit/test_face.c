/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "sip/face.h"

static struct addr
addr_of(const char *s)
{
	struct addr a;

	assert_int_equal(addr_parse(s, 5060, &a), 0);
	return a;
}

static size_t
three_listeners(struct sip_listener out[3])
{
	out[0] = (struct sip_listener){ SIP_UDP, addr_of("192.168.1.5:5060") };
	out[1] = (struct sip_listener){ SIP_UDP, addr_of("[fd00::5]:5060") };
	out[2] = (struct sip_listener){ SIP_TCP, addr_of("192.168.1.5:5070") };
	return 3;
}

static void
a_face_is_found_by_number_and_by_name(void **state)
{
	struct faces *f = faces_new();
	struct sip_listener l[3];
	size_t n = three_listeners(l);

	(void)state;
	faces_put(f, 1, "office", l, n);
	faces_put(f, 2, "branch", l, n);
	assert_string_equal(faces_find(f, 2)->name, "branch");
	assert_int_equal(faces_named(f, "office")->number, 1);
	assert_null(faces_find(f, 3));
	assert_null(faces_named(f, "Office"));
	faces_free(f);
}

static void
a_name_that_moves_to_another_number_is_one_face(void **state)
{
	struct faces *f = faces_new();
	struct sip_listener l[3];
	size_t n = three_listeners(l);

	(void)state;
	faces_put(f, 1, "office", l, n);
	faces_put(f, 7, "office", l, n);
	assert_null(faces_find(f, 1));
	assert_int_equal(faces_named(f, "office")->number, 7);
	faces_put(f, 7, "branch", l, n);
	assert_null(faces_named(f, "office"));
	faces_free(f);
}

static void
a_face_that_is_down_is_still_known_and_comes_back(void **state)
{
	struct faces *f = faces_new();
	struct sip_listener l[3];
	size_t n = three_listeners(l);

	(void)state;
	faces_put(f, 1, "office", l, n);
	faces_down(f, 1);
	faces_down(f, 99);
	assert_false(faces_find(f, 1)->up);
	faces_put(f, 1, "office", l, 1);
	assert_true(faces_find(f, 1)->up);
	assert_int_equal(faces_find(f, 1)->listen_n, 1);
	faces_free(f);
}

static void
the_listener_fits_protocol_and_family_or_there_is_none(void **state)
{
	struct faces *f = faces_new();
	struct sip_listener l[3];
	const struct face *face = faces_put(f, 4, "office", l, three_listeners(l));
	struct sip_flow flow = {
		.proto = SIP_UDP, .listener = 2, .peer = addr_of("[fd00::9]:5060")
	};

	(void)state;
	assert_int_equal(face_choose(face, &flow), 0);
	assert_int_equal(flow.listener, 1);
	assert_int_equal(flow.face, 4);
	flow.proto = SIP_TCP;
	assert_null(face_listener(face, &flow));
	assert_int_equal(face_choose(face, &flow), ERR_UNSUPPORTED);
	flow.peer = addr_of("192.168.1.9");
	assert_int_equal(face_choose(face, &flow), 0);
	assert_int_equal(flow.listener, 2);
	flow.listener = 200;
	assert_ptr_equal(face_listener(face, &flow), &face->listen[2]);
	faces_free(f);
}

static void
an_address_is_ours_with_a_port_of_ours_or_without_any(void **state)
{
	struct faces *f = faces_new();
	struct sip_listener l[3];
	const struct face *face = faces_put(f, 1, "office", l, three_listeners(l));
	struct addr a = addr_of("192.168.1.5:9");

	(void)state;
	assert_true(face_owns(face, "192.168.1.5", 0));
	assert_true(face_owns(face, "192.168.1.5", 5070));
	assert_false(face_owns(face, "192.168.1.5", 5080));
	assert_true(face_owns(face, "fd00:0::5", 5060));
	assert_false(face_owns(face, "192.168.1.6", 0));
	assert_false(face_owns(face, "office", 0));
	assert_true(face_owns_addr(face, &a));
	faces_free(f);
}

static void
what_others_are_told_and_what_is_bound_are_both_ours(void **state)
{
	struct faces *f = faces_new();
	struct sip_listener l[3];
	const struct face *face = faces_put(f, 0, "", l, three_listeners(l));
	const struct addr bound[] = { addr_of("10.0.0.5:5060"), { .u.sa.sa_family = AF_UNSPEC },
		addr_of("10.0.0.5:5070") };
	struct addr told = addr_of("192.168.1.5:1");

	(void)state;
	assert_false(face_owns_addr(face, &bound[0]));
	faces_set_bound(f, 0, bound, 3);
	assert_true(face_owns_addr(face, &bound[0]));
	assert_true(face_owns(face, "10.0.0.5", 5070));
	assert_false(face_owns(face, "10.0.0.5", 5080));
	assert_true(face_owns(face, "192.168.1.5", 5070));
	assert_true(face_owns(face, "fd00::5", 0));
	assert_true(face_tells_addr(face, &told));
	assert_false(face_tells_addr(face, &bound[0]));
	faces_free(f);
}

static void
more_faces_than_the_cap_are_refused(void **state)
{
	struct faces *f = faces_new();
	struct sip_listener l[3];
	size_t n = three_listeners(l);
	char name[16];

	(void)state;
	for (uint32_t i = 0; i < FACES_MAX; i++) {
		snprintf(name, sizeof(name), "agent%u", i);
		assert_non_null(faces_put(f, i, name, l, n));
	}
	assert_null(faces_put(f, FACES_MAX, "one more", l, n));
	assert_non_null(faces_put(f, 5, "agent5", l, n));
	faces_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_face_is_found_by_number_and_by_name),
		cmocka_unit_test(a_name_that_moves_to_another_number_is_one_face),
		cmocka_unit_test(a_face_that_is_down_is_still_known_and_comes_back),
		cmocka_unit_test(the_listener_fits_protocol_and_family_or_there_is_none),
		cmocka_unit_test(an_address_is_ours_with_a_port_of_ours_or_without_any),
		cmocka_unit_test(what_others_are_told_and_what_is_bound_are_both_ours),
		cmocka_unit_test(more_faces_than_the_cap_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
