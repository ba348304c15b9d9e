/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "sip/seal.h"

static const uint8_t key[32] = "0123456789abcdef0123456789abcde";

static struct seal_uri
example(const char *peer)
{
	struct seal_uri u = { .agent = "office", .uri = "sip:alice@192.168.1.20:5062;ob" };

	u.flow = (struct sip_flow){ .proto = SIP_TCP, .listener = 3, .conn = 70000 };
	if (peer != NULL)
		assert_int_equal(addr_parse(peer, 0, &u.flow.peer), 0);
	return u;
}

static void
round_trip(struct seal *s, const char *peer)
{
	struct seal_uri in = example(peer), out;
	char token[SEAL_TOKEN_MAX];

	assert_int_equal(seal_uri(s, &in, token, sizeof(token)), 0);
	assert_true(seal_marked(token));
	assert_int_equal(seal_uri_open(s, token, &out), 0);
	assert_string_equal(out.agent, in.agent);
	assert_string_equal(out.uri, in.uri);
	assert_true(sip_flow_equal(&out.flow, &in.flow));
}

static void
a_sealed_uri_opens_as_what_it_was(void **state)
{
	struct seal *s = seal_new(key);

	(void)state;
	round_trip(s, "192.168.1.20:5062");
	round_trip(s, "[2001:db8::1]:5060");
	round_trip(s, "[fe80::1%1]:5060");
	round_trip(s, NULL);
	seal_free(s);
}

static void
the_same_content_gives_the_same_token_also_after_a_restart(void **state)
{
	struct seal *a = seal_new(key), *b = seal_new(key);
	struct seal_uri u = example("192.168.1.20:5062");
	char one[SEAL_TOKEN_MAX], two[SEAL_TOKEN_MAX];

	(void)state;
	assert_int_equal(seal_uri(a, &u, one, sizeof(one)), 0);
	assert_int_equal(seal_uri(b, &u, two, sizeof(two)), 0);
	assert_string_equal(one, two);
	u.agent[0] = 'O';
	assert_int_equal(seal_uri(b, &u, two, sizeof(two)), 0);
	assert_string_not_equal(one, two);
	seal_free(a);
	seal_free(b);
}

static void
a_token_tells_nothing_and_fits_into_a_user_part(void **state)
{
	struct seal *s = seal_new(key);
	struct seal_uri u = example("192.168.1.20:5062");
	char token[SEAL_TOKEN_MAX];

	(void)state;
	assert_int_equal(seal_uri(s, &u, token, sizeof(token)), 0);
	assert_null(strstr(token, "alice"));
	assert_null(strstr(token, "192"));
	assert_int_equal(strspn(token,
			     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "0123456789-_"),
	    strlen(token));
	assert_true(strlen(token) < 128);
	seal_free(s);
}

static void
a_token_changed_or_cut_anywhere_does_not_open(void **state)
{
	struct seal *s = seal_new(key);
	struct seal_uri u = example("192.168.1.20:5062"), out;
	char token[SEAL_TOKEN_MAX], bad[SEAL_TOKEN_MAX];

	(void)state;
	assert_int_equal(seal_uri(s, &u, token, sizeof(token)), 0);
	for (size_t i = 0; token[i] != '\0'; i++) {
		strcpy(bad, token);
		bad[i] = bad[i] == 'A' ? 'B' : 'A';
		assert_int_equal(seal_uri_open(s, bad, &out), ERR_AUTH);
		strcpy(bad, token);
		bad[i] = '\0';
		assert_int_equal(seal_uri_open(s, bad, &out), ERR_AUTH);
	}
	strcat(token, "A");
	assert_int_equal(seal_uri_open(s, token, &out), ERR_AUTH);
	seal_free(s);
}

static void
a_token_of_another_key_does_not_open(void **state)
{
	uint8_t other_key[32];
	struct seal *s = seal_new(key), *other;
	struct seal_uri u = example("192.168.1.20:5062"), out;
	char token[SEAL_TOKEN_MAX];

	(void)state;
	memcpy(other_key, key, sizeof(key));
	other_key[31] ^= 1;
	other = seal_new(other_key);
	assert_int_equal(seal_uri(other, &u, token, sizeof(token)), 0);
	assert_int_equal(seal_uri_open(s, token, &out), ERR_AUTH);
	seal_free(s);
	seal_free(other);
}

static void
a_call_id_opens_with_its_agent_and_never_as_a_uri(void **state)
{
	struct seal *s = seal_new(key);
	char token[SEAL_TOKEN_MAX], agent[SEAL_AGENT_MAX], id[SEAL_CALL_ID_MAX];
	struct seal_uri out;

	(void)state;
	assert_int_equal(seal_call_id(s, "office", "a84b4c76@192.168.1.20", token, sizeof(token)),
	    0);
	assert_int_equal(seal_uri_open(s, token, &out), ERR_AUTH);
	assert_int_equal(seal_call_id_open(s, token, agent, id), 0);
	assert_string_equal(agent, "office");
	assert_string_equal(id, "a84b4c76@192.168.1.20");
	seal_free(s);
}

static void
the_longest_uri_fits_and_a_short_buffer_is_refused(void **state)
{
	struct seal *s = seal_new(key);
	struct seal_uri u = example("[2001:db8:1:2:3:4:5:6]:65535"), out;
	char token[SEAL_TOKEN_MAX], call_id[SEAL_CALL_ID_MAX + 1];

	(void)state;
	memset(u.uri, 'u', sizeof(u.uri) - 1);
	u.uri[sizeof(u.uri) - 1] = '\0';
	memset(u.agent, 'a', sizeof(u.agent) - 1);
	u.agent[sizeof(u.agent) - 1] = '\0';
	assert_int_equal(seal_uri(s, &u, token, sizeof(token)), 0);
	assert_int_equal(seal_uri_open(s, token, &out), 0);
	assert_string_equal(out.uri, u.uri);
	assert_int_equal(seal_uri(s, &u, token, 100), ERR_TOO_BIG);
	memset(call_id, 'c', sizeof(call_id) - 1);
	call_id[sizeof(call_id) - 1] = '\0';
	assert_int_equal(seal_call_id(s, "office", call_id, token, sizeof(token)), ERR_TOO_BIG);
	seal_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sealed_uri_opens_as_what_it_was),
		cmocka_unit_test(the_same_content_gives_the_same_token_also_after_a_restart),
		cmocka_unit_test(a_token_tells_nothing_and_fits_into_a_user_part),
		cmocka_unit_test(a_token_changed_or_cut_anywhere_does_not_open),
		cmocka_unit_test(a_token_of_another_key_does_not_open),
		cmocka_unit_test(a_call_id_opens_with_its_agent_and_never_as_a_uri),
		cmocka_unit_test(the_longest_uri_fits_and_a_short_buffer_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
