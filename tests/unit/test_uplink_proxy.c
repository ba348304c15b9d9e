/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "hrac/uplink/proxy.h"

#define START 1000000
#define ALL (CURLAUTH_BASIC | CURLAUTH_DIGEST | CURLAUTH_NTLM | CURLAUTH_NEGOTIATE)

struct fixture {
	struct uplink_proxies table;
	struct uplink_proxy *p;
	uint64_t now;
};

static void
begin(struct fixture *f, const char *user)
{
	uplink_proxies_init(&f->table, user, user == NULL ? NULL : "secret", NULL);
	f->p = uplink_proxy_get(&f->table, "http://p:1");
	f->now = START;
}

/* A request asks, and its knock is answered; one more is made when that is the verdict. */
static enum uplink_proxy_verdict
knock(struct fixture *f, bool refused, long offered)
{
	struct uplink_proxy_answer a = { .reached = true, .refused = refused, .offered = offered };
	enum uplink_proxy_verdict verdict;

	if (f->p->state != UPLINK_PROXY_KNOCKED)
		assert_int_equal(uplink_proxy_ask(f->p, f->now), UPLINK_PROXY_KNOCK);
	a.tried = f->p->scheme;
	verdict = uplink_proxy_learn(f->p, &a, f->now);
	if (verdict == UPLINK_PROXY_KNOCK)
		uplink_proxy_knock(f->p);
	return verdict;
}

static void
one_request_knocks_and_the_others_wait_for_it(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, NULL);
	assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_KNOCK);
	assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_WAIT);
	assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_WAIT);
	assert_int_equal(knock(&f, false, 0), UPLINK_PROXY_GO);
	assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_GO);
	assert_int_equal(f.p->scheme, 0);
	uplink_proxies_free(&f.table);
}

static void
a_proxy_that_is_not_reached_is_knocked_at_again(void **state)
{
	const struct uplink_proxy_answer none = { 0 };
	struct fixture f;

	(void)state;
	begin(&f, "alice");
	assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_KNOCK);
	assert_int_equal(uplink_proxy_learn(f.p, &none, f.now), UPLINK_PROXY_WAIT);
	assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_KNOCK);
	uplink_proxies_free(&f.table);
}

static void
of_two_knocks_the_first_that_passes_settles_it(void **state)
{
	const struct uplink_proxy_answer none = { 0 }, good = { .reached = true },
					 bad = { .reached = true,
						 .refused = true,
						 .offered = CURLAUTH_BASIC };
	struct fixture f;

	(void)state;
	begin(&f, "alice");
	assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_KNOCK);
	uplink_proxy_knock(f.p); /* the first hangs */
	assert_int_equal(uplink_proxy_learn(f.p, &good, f.now), UPLINK_PROXY_GO);
	assert_int_equal(uplink_proxy_learn(f.p, &none, f.now), UPLINK_PROXY_WAIT);
	assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_GO);
	uplink_proxies_free(&f.table);

	begin(&f, "alice");
	assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_KNOCK);
	uplink_proxy_knock(f.p);
	assert_int_equal(uplink_proxy_learn(f.p, &none, f.now), UPLINK_PROXY_WAIT);
	assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_WAIT);
	assert_int_equal(uplink_proxy_learn(f.p, &bad, f.now), UPLINK_PROXY_NO);
	assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_NO);
	uplink_proxies_free(&f.table);
}

static void
the_best_scheme_that_we_can_serve_is_chosen(void **state)
{
	static const struct {
		const char *user;
		long offered, scheme;
	} cases[] = {
		{ "alice", ALL, CURLAUTH_DIGEST },
		{ "alice", CURLAUTH_NEGOTIATE | CURLAUTH_NTLM | CURLAUTH_BASIC, CURLAUTH_NTLM },
		{ "alice", CURLAUTH_BASIC, CURLAUTH_BASIC },
	};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&f, cases[i].user);
		assert_int_equal(knock(&f, false, cases[i].offered), UPLINK_PROXY_GO);
		assert_int_equal(f.p->scheme, cases[i].scheme);
		uplink_proxies_free(&f.table);
	}
}

static void
a_ticket_is_tried_where_it_is_all_we_can_give(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, NULL);
	assert_int_equal(knock(&f, true, ALL), UPLINK_PROXY_KNOCK);
	assert_int_equal(f.p->scheme, CURLAUTH_NEGOTIATE);
	assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_WAIT);
	assert_int_equal(knock(&f, false, 0), UPLINK_PROXY_GO);
	uplink_proxies_free(&f.table);

	begin(&f, "alice"); /* whose password is good for nothing here */
	assert_int_equal(knock(&f, true, CURLAUTH_NEGOTIATE), UPLINK_PROXY_KNOCK);
	assert_int_equal(f.p->scheme, CURLAUTH_NEGOTIATE);
	/* No ticket: there is no account to lock, and one may come at any time. */
	assert_int_equal(knock(&f, true, CURLAUTH_NEGOTIATE), UPLINK_PROXY_NO);
	assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_KNOCK);
	uplink_proxies_free(&f.table);
}

static void
a_proxy_that_wants_what_we_have_not_may_be_asked_again(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, NULL);
	assert_int_equal(knock(&f, true, CURLAUTH_BASIC), UPLINK_PROXY_NO);
	assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_KNOCK);
	uplink_proxies_free(&f.table);
}

static void
a_wrong_password_is_tried_ever_more_seldom(void **state)
{
	static const unsigned waits_s[] = { 30, 60, 120, 240, 480, 600, 600 };
	struct fixture f;

	(void)state;
	begin(&f, "alice");
	for (size_t i = 0; i < sizeof(waits_s) / sizeof(waits_s[0]); i++) {
		assert_int_equal(knock(&f, true, CURLAUTH_NTLM | CURLAUTH_NEGOTIATE),
		    UPLINK_PROXY_NO);
		f.now += waits_s[i] * CLOCK_S - 1;
		assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_NO);
		f.now++;
	}
	assert_int_equal(knock(&f, false, CURLAUTH_NTLM), UPLINK_PROXY_GO);
	/* And from the beginning, after it was good. */
	uplink_proxy_note(f.p,
	    &(struct uplink_proxy_answer){
		.reached = true, .refused = true, .offered = CURLAUTH_NTLM },
	    f.now);
	assert_int_equal(uplink_proxy_ask(f.p, f.now + 30 * CLOCK_S - 1), UPLINK_PROXY_NO);
	assert_int_equal(uplink_proxy_ask(f.p, f.now + 30 * CLOCK_S), UPLINK_PROXY_KNOCK);
	uplink_proxies_free(&f.table);
}

static void
a_proxy_that_asks_for_another_scheme_than_before_is_learned_anew(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "alice");
	assert_int_equal(knock(&f, false, CURLAUTH_BASIC), UPLINK_PROXY_GO);
	uplink_proxy_note(f.p,
	    &(struct uplink_proxy_answer){
		.reached = true, .refused = true, .offered = CURLAUTH_DIGEST },
	    f.now);
	assert_int_equal(knock(&f, false, CURLAUTH_DIGEST), UPLINK_PROXY_GO);
	assert_int_equal(f.p->scheme, CURLAUTH_DIGEST);
	/* What ends otherwise than by 407 changes nothing. */
	uplink_proxy_note(f.p, &(struct uplink_proxy_answer){ .reached = true }, f.now);
	uplink_proxy_note(f.p, &(struct uplink_proxy_answer){ 0 }, f.now);
	assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_GO);
	uplink_proxies_free(&f.table);
}

static void
each_proxy_is_known_by_itself(void **state)
{
	struct uplink_proxy *other;
	struct fixture f;

	(void)state;
	begin(&f, "alice");
	other = uplink_proxy_get(&f.table, "http://q:1");
	assert_ptr_not_equal(other, f.p);
	assert_ptr_equal(uplink_proxy_get(&f.table, "http://p:1"), f.p);
	assert_int_equal(knock(&f, true, CURLAUTH_BASIC), UPLINK_PROXY_NO);
	uplink_proxy_identify(other, "bob", NULL);
	assert_string_equal(other->user, "bob");
	assert_null(other->password);
	assert_string_equal(f.p->user, "alice");
	assert_int_equal(uplink_proxy_ask(other, f.now), UPLINK_PROXY_KNOCK);
	uplink_proxies_free(&f.table);
}

static void
another_password_is_tried_at_once_and_the_same_is_not(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "alice");
	assert_int_equal(knock(&f, true, CURLAUTH_BASIC), UPLINK_PROXY_NO);
	uplink_proxy_identify(f.p, "alice", "secret");
	assert_int_equal(uplink_proxy_ask(f.p, f.now), UPLINK_PROXY_NO);
	uplink_proxy_identify(f.p, "alice", "another");
	assert_int_equal(knock(&f, false, CURLAUTH_BASIC), UPLINK_PROXY_GO);
	uplink_proxies_free(&f.table);
}

static void
the_table_has_an_end(void **state)
{
	struct fixture f;
	char name[32];

	(void)state;
	begin(&f, NULL);
	for (unsigned i = 0; i < 3 * UPLINK_PROXIES_MAX; i++) {
		snprintf(name, sizeof(name), "http://h%u:1", i);
		assert_string_equal(uplink_proxy_get(&f.table, name)->name, name);
	}
	assert_int_equal(f.table.n, UPLINK_PROXIES_MAX);
	uplink_proxies_free(&f.table);
}

static void
schemes_are_told_in_words_and_kerberos_in_its_own(void **state)
{
	static const char said[] = "gss_init_sec_context() failed: No credentials cache found\r\n";
	char text[UPLINK_PROXY_SCHEMES_MAX];
	struct fixture f;

	(void)state;
	assert_string_equal(uplink_proxy_schemes(0, text), "nothing");
	assert_string_equal(uplink_proxy_schemes(ALL, text), "Negotiate, Digest, NTLM, Basic");
	assert_string_equal(uplink_proxy_schemes(CURLAUTH_BASIC, text), "Basic");
	begin(&f, NULL);
	uplink_proxy_overhear(f.p, "Connected to proxy", 18);
	assert_string_equal(f.p->ticket_trouble, "");
	uplink_proxy_overhear(f.p, said, strlen(said));
	assert_string_equal(f.p->ticket_trouble, "No credentials cache found");
	assert_int_equal(knock(&f, false, 0), UPLINK_PROXY_GO);
	assert_string_equal(f.p->ticket_trouble, "");
	uplink_proxies_free(&f.table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_request_knocks_and_the_others_wait_for_it),
		cmocka_unit_test(a_proxy_that_is_not_reached_is_knocked_at_again),
		cmocka_unit_test(of_two_knocks_the_first_that_passes_settles_it),
		cmocka_unit_test(the_best_scheme_that_we_can_serve_is_chosen),
		cmocka_unit_test(a_ticket_is_tried_where_it_is_all_we_can_give),
		cmocka_unit_test(a_proxy_that_wants_what_we_have_not_may_be_asked_again),
		cmocka_unit_test(a_wrong_password_is_tried_ever_more_seldom),
		cmocka_unit_test(a_proxy_that_asks_for_another_scheme_than_before_is_learned_anew),
		cmocka_unit_test(each_proxy_is_known_by_itself),
		cmocka_unit_test(another_password_is_tried_at_once_and_the_same_is_not),
		cmocka_unit_test(the_table_has_an_end),
		cmocka_unit_test(schemes_are_told_in_words_and_kerberos_in_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
