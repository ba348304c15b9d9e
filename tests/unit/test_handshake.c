/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tunnel/handshake.h"

#define NOW (1000 * CLOCK_S)

struct body {
	uint8_t p[HANDSHAKE_BODY_MAX];
	size_t n;
};

struct ends {
	struct handshake client;
	struct handshake_server *server;
	struct tunnel_grant client_grant, server_grant;
	struct body hello, challenge, response, welcome;
	bool granted;
};

static const char *
secret_of(void *arg, const char *agent)
{
	(void)arg;
	return strcmp(agent, "office") == 0 ? "correct horse" : NULL;
}

static void
ends_new(struct ends *e, const char *agent, const char *secret)
{
	memset(e, 0, sizeof(*e));
	assert_int_equal(handshake_init(&e->client, agent, secret, 77), 0);
	e->server = handshake_server_new(secret_of, NULL);
}

static void
ends_free(struct ends *e)
{
	handshake_server_free(e->server);
}

/* From a block of just that size, so that the sanitizer sees a read past the end. */
static int
server_input(struct ends *e, const struct body *in, struct body *out, uint64_t now_us)
{
	uint8_t *copy = mem_dup(in->p, in->n);
	int err;

	copy = mem_realloc(copy, in->n);
	err = handshake_server_input(e->server, now_us, copy, in->n, out->p, &out->n, &e->granted,
	    &e->server_grant);
	mem_free(copy);
	return err;
}

static int
respond(struct ends *e)
{
	return handshake_respond(&e->client, e->challenge.p, e->challenge.n, e->response.p,
	    &e->response.n);
}

/* As far as the RESPONSE, which is not yet given to the server. */
static void
up_to_response(struct ends *e)
{
	handshake_hello(&e->client, e->hello.p, &e->hello.n);
	assert_int_equal(server_input(e, &e->hello, &e->challenge, NOW), 0);
	assert_false(e->granted);
	assert_int_equal(respond(e), 0);
}

static void
both_ends_agree_on_a_session(void **state)
{
	struct tunnel_grant first;
	struct ends e;

	(void)state;
	ends_new(&e, "office", "correct horse");
	for (int i = 0; i < 2; i++) {
		up_to_response(&e);
		assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), 0);
		assert_true(e.granted);
		assert_int_equal(handshake_finish(&e.client, e.welcome.p, e.welcome.n,
				     &e.client_grant),
		    0);
		assert_memory_equal(&e.client_grant, &e.server_grant, sizeof(e.client_grant));
		assert_string_equal(e.client_grant.agent, "office");
		assert_int_equal(e.client_grant.instance, 77);
		assert_int_equal(e.client_grant.boot, handshake_server_boot(e.server));
		assert_true(e.client_grant.session != 0);
		if (i == 0)
			first = e.client_grant;
	}
	assert_true(first.session != e.client_grant.session);
	assert_memory_not_equal(first.key, e.client_grant.key, sizeof(first.key));
	ends_free(&e);
}

static bool
holds(const struct body *b, const char *s)
{
	return memmem(b->p, b->n, s, strlen(s)) != NULL;
}

static void
the_secret_is_in_no_body(void **state)
{
	struct ends e;

	(void)state;
	ends_new(&e, "office", "correct horse");
	up_to_response(&e);
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), 0);
	assert_true(holds(&e.hello, "office"));
	assert_false(holds(&e.hello, "correct") || holds(&e.challenge, "correct") ||
	    holds(&e.response, "correct") || holds(&e.welcome, "correct"));
	ends_free(&e);
}

static void
a_wrong_secret_and_an_unknown_agent_look_the_same(void **state)
{
	struct ends wrong, unknown;

	(void)state;
	ends_new(&wrong, "office", "incorrect horse");
	ends_new(&unknown, "nobody", "correct horse");
	up_to_response(&wrong);
	up_to_response(&unknown);
	assert_int_equal(wrong.challenge.n, unknown.challenge.n);
	assert_int_equal(server_input(&wrong, &wrong.response, &wrong.welcome, NOW), ERR_AUTH);
	assert_int_equal(server_input(&unknown, &unknown.response, &unknown.welcome, NOW),
	    ERR_AUTH);
	assert_false(wrong.granted || unknown.granted);
	assert_string_equal(wrong.server_grant.agent, "office");
	assert_string_equal(unknown.server_grant.agent, "nobody");
	ends_free(&wrong);
	ends_free(&unknown);
}

static void
a_server_that_does_not_know_the_secret_is_not_believed(void **state)
{
	struct ends e;

	(void)state;
	ends_new(&e, "office", "correct horse");
	up_to_response(&e);
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), 0);
	for (size_t i = 0; i < e.welcome.n * 8; i++) {
		struct tunnel_grant g = { .session = 42 };
		int err;

		e.welcome.p[i / 8] ^= (uint8_t)(1 << i % 8);
		err = handshake_finish(&e.client, e.welcome.p, e.welcome.n, &g);
		assert_true(err == ERR_AUTH || err == ERR_MALFORMED);
		assert_int_equal(g.session, 42);
		e.welcome.p[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	ends_free(&e);
}

static void
a_response_with_any_bit_changed_is_refused_and_the_true_one_still_good(void **state)
{
	struct ends e;

	(void)state;
	ends_new(&e, "office", "correct horse");
	up_to_response(&e);
	for (size_t i = 0; i < e.response.n * 8; i++) {
		int err;

		e.response.p[i / 8] ^= (uint8_t)(1 << i % 8);
		err = server_input(&e, &e.response, &e.welcome, NOW);
		assert_true(err == ERR_AUTH || err == ERR_MALFORMED);
		assert_false(e.granted);
		e.response.p[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), 0);
	ends_free(&e);
}

static void
a_recorded_exchange_is_worth_nothing(void **state)
{
	struct ends e, other;

	(void)state;
	ends_new(&e, "office", "correct horse");
	up_to_response(&e);
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), 0);
	for (int i = 0; i < 30; i++)
		assert_int_equal(server_input(&e, &e.response, &e.welcome,
				     NOW + (uint64_t)i * CLOCK_S),
		    ERR_AUTH);
	/* Another process of HRAS has another cookie key. */
	ends_new(&other, "office", "correct horse");
	up_to_response(&other);
	assert_int_equal(server_input(&other, &e.response, &e.welcome, NOW), ERR_AUTH);
	/* And to a client with a fresh nonce the old WELCOME is none. */
	handshake_hello(&e.client, e.hello.p, &e.hello.n);
	assert_int_equal(respond(&e), 0);
	assert_int_equal(handshake_finish(&e.client, e.welcome.p, e.welcome.n, &e.client_grant),
	    ERR_AUTH);
	ends_free(&e);
	ends_free(&other);
}

static void
a_cookie_is_good_for_20_s(void **state)
{
	const uint64_t age = HANDSHAKE_COOKIE_S * CLOCK_S;
	struct ends e;

	(void)state;
	ends_new(&e, "office", "correct horse");
	up_to_response(&e);
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW + age + 1), ERR_AUTH);
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW + age), 0);
	ends_free(&e);
}

static void
more_sessions_than_cookies_are_remembered_must_wait(void **state)
{
	struct ends e;

	(void)state;
	ends_new(&e, "office", "correct horse");
	for (int i = 0; i < 1024; i++) {
		up_to_response(&e);
		assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), 0);
	}
	up_to_response(&e);
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), ERR_FULL);
	assert_int_equal(server_input(&e, &e.response, &e.welcome,
			     NOW + HANDSHAKE_COOKIE_S * CLOCK_S),
	    ERR_FULL);
	handshake_hello(&e.client, e.hello.p, &e.hello.n);
	assert_int_equal(server_input(&e, &e.hello, &e.challenge, NOW + 21 * CLOCK_S), 0);
	assert_int_equal(respond(&e), 0);
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW + 21 * CLOCK_S), 0);
	ends_free(&e);
}

static void
bodies_that_are_cut_or_longer_are_malformed(void **state)
{
	struct body b, out;
	struct ends e;

	(void)state;
	ends_new(&e, "office", "correct horse");
	up_to_response(&e);
	for (size_t i = 0; i < e.hello.n; i++) {
		b = e.hello;
		b.n = i;
		assert_int_equal(server_input(&e, &b, &out, NOW), ERR_MALFORMED);
	}
	for (size_t i = 0; i < e.response.n; i++) {
		b = e.response;
		b.n = i;
		assert_int_equal(server_input(&e, &b, &out, NOW), ERR_MALFORMED);
	}
	for (int i = 0; i < 2; i++) {
		b = i == 0 ? e.hello : e.response;
		b.p[b.n++] = 0;
		assert_int_equal(server_input(&e, &b, &out, NOW), ERR_MALFORMED);
	}
	for (size_t i = 0; i < e.challenge.n; i++) {
		b = e.challenge;
		assert_int_equal(handshake_respond(&e.client, b.p, i, out.p, &out.n),
		    ERR_MALFORMED);
	}
	assert_int_equal(handshake_respond(&e.client, e.hello.p, e.hello.n, out.p, &out.n),
	    ERR_MALFORMED);
	ends_free(&e);
}

static void
agents_with_names_that_are_none_are_malformed(void **state)
{
	static const char *const names[] = { "", "a b", "a/b", "a\n", "\xc3\xa4" };
	struct ends e;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ends_new(&e, names[i], "correct horse");
		handshake_hello(&e.client, e.hello.p, &e.hello.n);
		assert_int_equal(server_input(&e, &e.hello, &e.challenge, NOW), ERR_MALFORMED);
		ends_free(&e);
	}
}

static void
names_and_secrets_that_are_too_long_are_refused(void **state)
{
	struct handshake h;
	char s[300];

	(void)state;
	memset(s, 'x', sizeof(s));
	s[256] = '\0';
	assert_int_equal(handshake_init(&h, "a", s, 1), ERR_TOO_BIG);
	s[255] = '\0';
	assert_int_equal(handshake_init(&h, "a", s, 1), 0);
	s[65] = '\0';
	assert_int_equal(handshake_init(&h, s, "a", 1), ERR_TOO_BIG);
	s[64] = '\0';
	assert_int_equal(handshake_init(&h, s, "a", 1), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_agree_on_a_session),
		cmocka_unit_test(the_secret_is_in_no_body),
		cmocka_unit_test(a_wrong_secret_and_an_unknown_agent_look_the_same),
		cmocka_unit_test(a_server_that_does_not_know_the_secret_is_not_believed),
		cmocka_unit_test(
		    a_response_with_any_bit_changed_is_refused_and_the_true_one_still_good),
		cmocka_unit_test(a_recorded_exchange_is_worth_nothing),
		cmocka_unit_test(a_cookie_is_good_for_20_s),
		cmocka_unit_test(more_sessions_than_cookies_are_remembered_must_wait),
		cmocka_unit_test(bodies_that_are_cut_or_longer_are_malformed),
		cmocka_unit_test(agents_with_names_that_are_none_are_malformed),
		cmocka_unit_test(names_and_secrets_that_are_too_long_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
