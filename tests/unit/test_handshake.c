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
	enum handshake_step step;
};

static const char *
secret_of(void *arg, const char *agent)
{
	(void)arg;
	return strcmp(agent, "office") == 0 ? "correct horse" : NULL;
}

static void
ends_new_sealing(struct ends *e, const char *agent, const char *secret, bool client, bool server)
{
	memset(e, 0, sizeof(*e));
	assert_int_equal(handshake_init(&e->client, agent, secret, 77, client), 0);
	e->server = handshake_server_new(secret_of, NULL, server);
}

static void
ends_new(struct ends *e, const char *agent, const char *secret)
{
	ends_new_sealing(e, agent, secret, true, true);
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
	e->step = HANDSHAKE_CHALLENGED;
	err = handshake_server_input(e->server, now_us, copy, in->n, out->p, &out->n, &e->step,
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

static void
hello(struct ends *e)
{
	handshake_hello(&e->client, HANDSHAKE_SESSION, 0, e->hello.p, &e->hello.n);
}

static int
finish(struct ends *e)
{
	return handshake_finish(&e->client, e->welcome.p, e->welcome.n, &e->client_grant);
}

/* As far as the RESPONSE, which is not yet given to the server. */
static void
up_to_response_for(struct ends *e, enum handshake_purpose purpose, uint64_t session)
{
	handshake_hello(&e->client, purpose, session, e->hello.p, &e->hello.n);
	assert_int_equal(server_input(e, &e->hello, &e->challenge, NOW), 0);
	assert_int_equal(e->step, HANDSHAKE_CHALLENGED);
	assert_int_equal(respond(e), 0);
}

static void
up_to_response(struct ends *e)
{
	up_to_response_for(e, HANDSHAKE_SESSION, 0);
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
		assert_int_equal(e.step, HANDSHAKE_GRANTED);
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
	assert_int_equal(wrong.step, HANDSHAKE_CHALLENGED);
	assert_int_equal(unknown.step, HANDSHAKE_CHALLENGED);
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
		assert_true(err == ERR_AUTH || err == ERR_MALFORMED || err == ERR_UNSUPPORTED);
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
		assert_true(err == ERR_AUTH || err == ERR_MALFORMED || err == ERR_UNSUPPORTED);
		assert_int_equal(e.step, HANDSHAKE_CHALLENGED);
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
	hello(&e);
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
	hello(&e);
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
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), 0);
	for (size_t i = 0; i < e.welcome.n; i++)
		assert_int_equal(handshake_finish(&e.client, e.welcome.p, i, &e.client_grant),
		    ERR_MALFORMED);
	ends_free(&e);
}

/* -- Ciphers and purposes -- */

static void
what_both_seal_by_is_agreed_upon(void **state)
{
	static const struct {
		bool client, server;
		enum handshake_step step;
	} cases[] = {
		{ true, true, HANDSHAKE_GRANTED },
		{ true, false, HANDSHAKE_GRANTED },
		{ false, false, HANDSHAKE_GRANTED },
		{ false, true, HANDSHAKE_UNSEALED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ends e;

		ends_new_sealing(&e, "office", "correct horse", cases[i].client, cases[i].server);
		up_to_response(&e);
		assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), 0);
		assert_int_equal(e.step, cases[i].step);
		if (cases[i].step == HANDSHAKE_GRANTED) {
			assert_int_equal(finish(&e), 0);
			assert_int_equal(e.client_grant.cipher == CIPHER_NONE, !cases[i].client);
			assert_int_equal(e.client_grant.cipher, e.server_grant.cipher);
		} else {
			/* It is HRAS that says so, and not somebody on the way. */
			assert_string_equal(e.server_grant.agent, "office");
			assert_int_equal(finish(&e), ERR_UNSUPPORTED);
			assert_int_equal(e.client.peer_version, 0);
			e.welcome.p[e.welcome.n - 1] ^= 1;
			assert_int_equal(finish(&e), ERR_AUTH);
		}
		ends_free(&e);
	}
}

static void
an_end_without_aes_in_its_processor_gets_chacha20(void **state)
{
	struct ends e;

	(void)state;
	ends_new(&e, "office", "correct horse");
	e.client.ciphers |= 0x80;
	up_to_response(&e);
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), 0);
	assert_int_equal(finish(&e), 0);
	assert_int_equal(e.client_grant.cipher, CIPHER_CHACHA20_POLY1305);
	/* With no choice left there is none. */
	e.client.ciphers = 0x80 | CIPHER_AES_256_GCM;
	up_to_response(&e);
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), 0);
	assert_int_equal(finish(&e), 0);
	assert_int_equal(e.client_grant.cipher, CIPHER_AES_256_GCM);
	ends_free(&e);
}

static void
a_visit_gets_a_name_of_its_own_and_a_new_key_the_name_of_its_session(void **state)
{
	struct ends e;
	uint64_t session;

	(void)state;
	ends_new(&e, "office", "correct horse");
	up_to_response_for(&e, HANDSHAKE_VISIT, 0);
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), 0);
	assert_int_equal(finish(&e), 0);
	assert_memory_equal(&e.client_grant, &e.server_grant, sizeof(e.client_grant));
	assert_int_equal(e.server_grant.purpose, HANDSHAKE_VISIT);
	session = e.client_grant.session;
	up_to_response_for(&e, HANDSHAKE_REKEY, session);
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), 0);
	assert_int_equal(finish(&e), 0);
	assert_memory_equal(&e.client_grant, &e.server_grant, sizeof(e.client_grant));
	assert_int_equal(e.server_grant.purpose, HANDSHAKE_REKEY);
	assert_int_equal(e.server_grant.session, session);
	ends_free(&e);
}

static void
purposes_and_ciphers_that_are_none_are_malformed(void **state)
{
	static const struct {
		enum handshake_purpose purpose;
		uint64_t session;
		uint8_t ciphers;
		int err;
	} cases[] = {
		{ HANDSHAKE_SESSION, 0, 0, 0 },
		{ HANDSHAKE_SESSION, 0, 0x87, 0 },
		{ HANDSHAKE_SESSION, 0, 8, ERR_MALFORMED },
		{ HANDSHAKE_SESSION, 7, 1, ERR_MALFORMED },
		{ HANDSHAKE_VISIT, 7, 1, ERR_MALFORMED },
		{ HANDSHAKE_REKEY, 7, 1, 0 },
		{ HANDSHAKE_REKEY, 0, 1, ERR_MALFORMED },
		{ HANDSHAKE_REKEY + 1, 0, 1, ERR_MALFORMED },
	};
	struct ends e;

	(void)state;
	ends_new(&e, "office", "correct horse");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		e.client.ciphers = cases[i].ciphers;
		handshake_hello(&e.client, cases[i].purpose, cases[i].session, e.hello.p,
		    &e.hello.n);
		assert_int_equal(server_input(&e, &e.hello, &e.challenge, NOW), cases[i].err);
	}
	ends_free(&e);
}

/* -- Who listens, and who changes -- */

/* Where in a HELLO and a RESPONSE of "office" the ciphers and the public key stand. */
#define CIPHERS_AT (6 + 1 + 6 + 8 + 1 + 8)
#define PUB_C_AT (CIPHERS_AT + 1)

static void
nobody_in_between_can_make_the_offer_weaker(void **state)
{
	struct ends e;
	size_t n;

	(void)state;
	ends_new_sealing(&e, "office", "correct horse", true, false);
	hello(&e);
	e.hello.p[CIPHERS_AT] = CIPHER_NONE;
	assert_int_equal(server_input(&e, &e.hello, &e.challenge, NOW), 0);
	assert_int_equal(respond(&e), 0);
	/* HRAC repeats what it offered, for which the cookie was not made, ... */
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), ERR_AUTH);
	/* ... and with the offer changed there as well the proof is wrong. */
	n = e.response.n;
	e.response.p[CIPHERS_AT] = CIPHER_NONE;
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), ERR_AUTH);
	assert_int_equal(n, e.response.n);
	ends_free(&e);
}

/*
 * A listener who knows the secret has all that goes by, and yet neither the proofs nor the key follow
 * from it: both ends' private keys are gone, and without either there is no dh.
 */
static void
what_was_secret_of_an_opening_is_wiped(void **state)
{
	static const uint8_t nothing[32];
	struct ends e;

	(void)state;
	ends_new(&e, "office", "correct horse");
	up_to_response(&e);
	assert_memory_not_equal(e.client.private_c, nothing, 32);
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), 0);
	assert_int_equal(finish(&e), 0);
	assert_memory_equal(e.client.private_c, nothing, 32);
	assert_memory_equal(e.client.dh, nothing, 32);
	ends_free(&e);
}

static void
public_keys_that_make_the_shared_secret_zero_are_refused(void **state)
{
	/* Points of order 1, 2 and 8. */
	static const uint8_t points[3][32] = { { 0 }, { 1 },
		{ 0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1,
		    0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62,
		    0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00 } };
	struct body out;
	struct ends e;

	(void)state;
	ends_new(&e, "office", "correct horse");
	for (size_t i = 0; i < 3; i++) {
		up_to_response(&e);
		memcpy(e.challenge.p + e.challenge.n - 32, points[i], 32);
		assert_int_equal(handshake_respond(&e.client, e.challenge.p, e.challenge.n, out.p,
				     &out.n),
		    ERR_MALFORMED);
		hello(&e);
		memcpy(e.client.pub_c, points[i], 32);
		memcpy(e.hello.p + PUB_C_AT, points[i], 32);
		assert_int_equal(server_input(&e, &e.hello, &e.challenge, NOW), 0);
		assert_int_equal(respond(&e), 0);
		assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW), ERR_MALFORMED);
	}
	ends_free(&e);
}

/* -- HRAS's keys -- */

static void
hras_draws_a_key_a_minute_and_takes_the_one_before_as_long_as_cookies_live(void **state)
{
	const uint64_t minute = HANDSHAKE_KEYPAIR_S * CLOCK_S;
	uint8_t first[32];
	struct ends e;

	(void)state;
	ends_new(&e, "office", "correct horse");
	hello(&e);
	assert_int_equal(server_input(&e, &e.hello, &e.challenge, NOW), 0);
	memcpy(first, e.challenge.p + e.challenge.n - 32, 32);
	hello(&e);
	assert_int_equal(server_input(&e, &e.hello, &e.challenge, NOW + minute - 1), 0);
	assert_memory_equal(first, e.challenge.p + e.challenge.n - 32, 32);
	assert_int_equal(respond(&e), 0);
	for (uint64_t at = minute; at < minute + 19 * CLOCK_S; at += CLOCK_S)
		handshake_server_tidy(e.server, NOW + at);
	assert_int_equal(server_input(&e, &e.response, &e.welcome, NOW + minute + 19 * CLOCK_S), 0);
	assert_int_equal(finish(&e), 0);
	hello(&e);
	assert_int_equal(server_input(&e, &e.hello, &e.challenge, NOW + minute + 19 * CLOCK_S), 0);
	assert_memory_not_equal(first, e.challenge.p + e.challenge.n - 32, 32);
	ends_free(&e);
}

static void
after_a_long_silence_an_opening_works(void **state)
{
	struct ends e;

	(void)state;
	ends_new(&e, "office", "correct horse");
	for (uint64_t at = 0; at < 4; at++) {
		uint64_t now_us = NOW + at * 75 * CLOCK_S;

		hello(&e);
		assert_int_equal(server_input(&e, &e.hello, &e.challenge, now_us), 0);
		assert_int_equal(respond(&e), 0);
		if (at % 2 == 1)
			handshake_server_tidy(e.server, now_us + CLOCK_S);
		assert_int_equal(server_input(&e, &e.response, &e.welcome, now_us + CLOCK_S), 0);
		assert_int_equal(finish(&e), 0);
	}
	ends_free(&e);
}

/* -- Versions -- */

static void
another_version_is_told_by_its_number(void **state)
{
	struct body out;
	struct ends e;

	(void)state;
	ends_new(&e, "office", "correct horse");
	up_to_response(&e);
	e.hello.p[4] = 1;
	assert_int_equal(server_input(&e, &e.hello, &out, NOW), ERR_UNSUPPORTED);
	assert_int_equal(out.p[0], 1);
	e.challenge.p[4] = 3;
	assert_int_equal(handshake_respond(&e.client, e.challenge.p, e.challenge.n, out.p, &out.n),
	    ERR_UNSUPPORTED);
	assert_int_equal(e.client.peer_version, 3);
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
		hello(&e);
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
	assert_int_equal(handshake_init(&h, "a", s, 1, true), ERR_TOO_BIG);
	s[255] = '\0';
	assert_int_equal(handshake_init(&h, "a", s, 1, true), 0);
	s[65] = '\0';
	assert_int_equal(handshake_init(&h, s, "a", 1, true), ERR_TOO_BIG);
	s[64] = '\0';
	assert_int_equal(handshake_init(&h, s, "a", 1, true), 0);
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
		cmocka_unit_test(what_both_seal_by_is_agreed_upon),
		cmocka_unit_test(an_end_without_aes_in_its_processor_gets_chacha20),
		cmocka_unit_test(
		    a_visit_gets_a_name_of_its_own_and_a_new_key_the_name_of_its_session),
		cmocka_unit_test(purposes_and_ciphers_that_are_none_are_malformed),
		cmocka_unit_test(nobody_in_between_can_make_the_offer_weaker),
		cmocka_unit_test(what_was_secret_of_an_opening_is_wiped),
		cmocka_unit_test(public_keys_that_make_the_shared_secret_zero_are_refused),
		cmocka_unit_test(
		    hras_draws_a_key_a_minute_and_takes_the_one_before_as_long_as_cookies_live),
		cmocka_unit_test(after_a_long_silence_an_opening_works),
		cmocka_unit_test(another_version_is_told_by_its_number),
		cmocka_unit_test(agents_with_names_that_are_none_are_malformed),
		cmocka_unit_test(names_and_secrets_that_are_too_long_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
