/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sip/auth.h"
#include "sip/crypto.h"
#include "sip/msg.h"

#define URI "sip:example.com"

/* A phone that answers challenges. */
struct phone {
	const char *user, *password, *qop, *uri;
	enum sip_digest alg;
	unsigned count;
};

static const struct phone alice = { "alice", "wonderland", "auth", URI, SIP_DIGEST_MD5, 1 };

static struct auth *
new_auth(void)
{
	struct auth *a = auth_new("example.com");

	auth_user_put(a, "alice", "wonderland");
	return a;
}

static void
get_nonce(struct auth *a, uint64_t now_s, char nonce[static 128])
{
	char challenge[AUTH_CHALLENGE_MAX];

	auth_challenge(a, 1, false, now_s, challenge);
	assert_int_equal(sscanf(challenge, "Digest realm=\"example.com\", nonce=\"%127[^\"]\"",
			     nonce),
	    1);
}

static void
answer(const struct phone *p, const char *nonce, char *out, size_t cap)
{
	char text[1024], ha1[SIP_DIGEST_HEX_MAX], ha2[SIP_DIGEST_HEX_MAX], r[SIP_DIGEST_HEX_MAX];
	int n;

	n = snprintf(text, sizeof(text), "%s:example.com:%s", p->user, p->password);
	sip_digest_hex(p->alg, text, (size_t)n, ha1);
	n = snprintf(text, sizeof(text), "REGISTER:%s", p->uri);
	sip_digest_hex(p->alg, text, (size_t)n, ha2);
	if (p->qop != NULL)
		n = snprintf(text, sizeof(text), "%s:%s:%08x:c0ffee:auth:%s", ha1, nonce, p->count,
		    ha2);
	else
		n = snprintf(text, sizeof(text), "%s:%s:%s", ha1, nonce, ha2);
	sip_digest_hex(p->alg, text, (size_t)n, r);
	n = snprintf(out, cap,
	    "Digest username=\"%s\", realm=\"example.com\", nonce=\"%s\", uri=\"%s\", "
	    "response=\"%s\", algorithm=%s",
	    p->user, nonce, p->uri, r, p->alg == SIP_DIGEST_MD5 ? "MD5" : "SHA-256");
	if (p->qop != NULL)
		snprintf(out + n, cap - (size_t)n, ", qop=%s, nc=%08x, cnonce=\"c0ffee\"", p->qop,
		    p->count);
}

static bool
uri_fits(void *arg, const char *uri)
{
	(void)arg;
	return strcmp(uri, URI) == 0;
}

static enum auth_result
check(struct auth *a, const char *header, uint64_t now_s)
{
	osip_list_t list;
	osip_authorization_t *c;
	struct auth_request req = { "REGISTER", &list, uri_fits, NULL, now_s };
	char user[AUTH_USER_MAX];
	enum auth_result result;

	osip_list_init(&list);
	osip_authorization_init(&c);
	assert_int_equal(osip_authorization_parse(c, header), 0);
	osip_list_add(&list, c, -1);
	result = auth_check(a, &req, user);
	if (result == AUTH_GOOD)
		assert_string_equal(user, "alice");
	osip_list_special_free(&list, (void (*)(void *))osip_authorization_free);
	return result;
}

static enum auth_result
check_phone(struct auth *a, const struct phone *p, const char *nonce, uint64_t now_s)
{
	char header[1024];

	answer(p, nonce, header, sizeof(header));
	return check(a, header, now_s);
}

static void
the_right_password_is_good_with_md5_sha256_and_without_qop(void **state)
{
	struct auth *a = new_auth();
	struct phone p = alice;
	char nonce[128];

	(void)state;
	get_nonce(a, 1000, nonce);
	assert_int_equal(check_phone(a, &p, nonce, 1000), AUTH_GOOD);
	p.alg = SIP_DIGEST_SHA256;
	p.count = 2;
	assert_int_equal(check_phone(a, &p, nonce, 1000), AUTH_GOOD);
	p.qop = NULL;
	get_nonce(a, 1000, nonce);
	assert_int_equal(check_phone(a, &p, nonce, 1000), AUTH_GOOD);
	auth_free(a);
}

static void
the_example_of_rfc_7616_gives_its_digests(void **state)
{
	char hex[SIP_DIGEST_HEX_MAX];

	(void)state;
	assert_string_equal(sip_digest_hex(SIP_DIGEST_MD5, "GET:/dir/index.html", 19, hex),
	    "39aff3a2bab6126f332b942af96d3366");
	assert_string_equal(sip_digest_hex(SIP_DIGEST_SHA256, "GET:/dir/index.html", 19, hex),
	    "9a3fdae9a622fe8de177c24fa9c070f2b181ec85e15dcbdc32e10c82ad450b04");
}

static void
a_wrong_password_an_unknown_user_and_another_uri_are_wrong(void **state)
{
	struct auth *a = new_auth();
	struct phone p = alice;
	char nonce[128];

	(void)state;
	get_nonce(a, 1000, nonce);
	p.password = "wonderlanD";
	assert_int_equal(check_phone(a, &p, nonce, 1000), AUTH_WRONG);
	p = alice;
	p.user = "mallory";
	assert_int_equal(check_phone(a, &p, nonce, 1000), AUTH_WRONG);
	p.password = "";
	assert_int_equal(check_phone(a, &p, nonce, 1000), AUTH_WRONG);
	p = alice;
	p.uri = "sip:other.example";
	assert_int_equal(check_phone(a, &p, nonce, 1000), AUTH_WRONG);
	p = alice;
	p.qop = "auth-int";
	assert_int_equal(check_phone(a, &p, nonce, 1000), AUTH_WRONG);
	p = alice;
	assert_int_equal(check_phone(a, &p, nonce, 1000), AUTH_GOOD);
	auth_free(a);
}

static void
a_replayed_count_is_stale_and_a_higher_one_is_good(void **state)
{
	struct auth *a = new_auth();
	struct phone p = alice;
	char nonce[128];

	(void)state;
	get_nonce(a, 1000, nonce);
	p.count = 5;
	assert_int_equal(check_phone(a, &p, nonce, 1000), AUTH_GOOD);
	assert_int_equal(check_phone(a, &p, nonce, 1000), AUTH_STALE);
	p.count = 4;
	assert_int_equal(check_phone(a, &p, nonce, 1000), AUTH_STALE);
	p.count = 6;
	assert_int_equal(check_phone(a, &p, nonce, 1000), AUTH_GOOD);
	p.qop = NULL;
	get_nonce(a, 1001, nonce);
	assert_int_equal(check_phone(a, &p, nonce, 1001), AUTH_GOOD);
	assert_int_equal(check_phone(a, &p, nonce, 1001), AUTH_STALE);
	auth_free(a);
}

static void
an_old_nonce_is_stale_and_a_forged_or_foreign_one_never_good(void **state)
{
	struct auth *a = new_auth(), *other = new_auth();
	char nonce[128];

	(void)state;
	get_nonce(a, 1000, nonce);
	assert_int_equal(check_phone(a, &alice, nonce, 1000 + AUTH_NONCE_LIFE_S + 1), AUTH_STALE);
	nonce[3] = nonce[3] == '0' ? '1' : '0';
	assert_int_equal(check_phone(a, &alice, nonce, 1000), AUTH_STALE);
	get_nonce(other, 1000, nonce);
	assert_int_equal(check_phone(a, &alice, nonce, 1000), AUTH_STALE);
	assert_int_equal(check_phone(a, &alice, "made-up", 1000), AUTH_STALE);
	auth_free(a);
	auth_free(other);
}

static void
forgetting_old_nonces_at_the_cap_does_not_make_them_good_again(void **state)
{
	struct auth *a = new_auth();
	char first[128], nonce[128];

	(void)state;
	get_nonce(a, 1000, first);
	assert_int_equal(check_phone(a, &alice, first, 1000), AUTH_GOOD);
	for (unsigned i = 0; i < AUTH_NONCES_MAX; i++) {
		get_nonce(a, 1001, nonce);
		assert_int_equal(check_phone(a, &alice, nonce, 1001), AUTH_GOOD);
	}
	assert_int_equal(check_phone(a, &alice, first, 1001), AUTH_STALE);
	auth_free(a);
}

static void
credentials_of_another_realm_are_none_and_not_ours(void **state)
{
	struct auth *a = new_auth();
	osip_authorization_t *c;

	(void)state;
	assert_int_equal(check(a,
			     "Digest username=\"alice\", realm=\"other\", nonce=\"n\", "
			     "uri=\"sip:x\", response=\"r\"",
			     1000),
	    AUTH_NONE);
	osip_authorization_init(&c);
	osip_authorization_parse(c, "Digest username=\"alice\", realm=\"example.com\"");
	assert_true(auth_is_ours(a, c));
	assert_int_equal(check(a, "Digest username=\"alice\", realm=\"example.com\"", 1000),
	    AUTH_WRONG);
	osip_authorization_free(c);
	auth_free(a);
}

static void
sha256_is_offered_before_md5_and_stale_is_told(void **state)
{
	struct auth *a = new_auth();
	char challenge[AUTH_CHALLENGE_MAX];

	(void)state;
	auth_challenge(a, 0, false, 1, challenge);
	assert_non_null(strstr(challenge, "algorithm=SHA-256"));
	assert_non_null(strstr(challenge, "qop=\"auth\""));
	assert_null(strstr(challenge, "stale"));
	auth_challenge(a, 1, true, 1, challenge);
	assert_non_null(strstr(challenge, "algorithm=MD5"));
	assert_non_null(strstr(challenge, "stale=true"));
	auth_free(a);
}

static void
a_digest_that_is_not_offered_is_not_taken(void **state)
{
	struct auth *a = new_auth();
	char challenge[AUTH_CHALLENGE_MAX], nonce[128];

	(void)state;
	get_nonce(a, 1000, nonce);
	auth_offer(a, false, true);
	assert_false(auth_challenge(a, 1, false, 1000, challenge));
	assert_true(auth_challenge(a, 0, false, 1000, challenge));
	assert_int_equal(check_phone(a, &alice, nonce, 1000), AUTH_WRONG);
	auth_offer(a, true, false);
	assert_false(auth_challenge(a, 0, false, 1000, challenge));
	assert_int_equal(check_phone(a, &alice, nonce, 1000), AUTH_GOOD);
	auth_free(a);
}

static void
a_changed_password_counts_at_once(void **state)
{
	struct auth *a = new_auth();
	char nonce[128];

	(void)state;
	get_nonce(a, 1000, nonce);
	auth_user_put(a, "alice", "looking-glass");
	assert_int_equal(check_phone(a, &alice, nonce, 1000), AUTH_WRONG);
	auth_users_clear(a);
	assert_false(auth_user_known(a, "alice"));
	auth_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_right_password_is_good_with_md5_sha256_and_without_qop),
		cmocka_unit_test(the_example_of_rfc_7616_gives_its_digests),
		cmocka_unit_test(a_wrong_password_an_unknown_user_and_another_uri_are_wrong),
		cmocka_unit_test(a_replayed_count_is_stale_and_a_higher_one_is_good),
		cmocka_unit_test(an_old_nonce_is_stale_and_a_forged_or_foreign_one_never_good),
		cmocka_unit_test(forgetting_old_nonces_at_the_cap_does_not_make_them_good_again),
		cmocka_unit_test(credentials_of_another_realm_are_none_and_not_ours),
		cmocka_unit_test(sha256_is_offered_before_md5_and_stale_is_told),
		cmocka_unit_test(a_digest_that_is_not_offered_is_not_taken),
		cmocka_unit_test(a_changed_password_counts_at_once),
	};

	sip_msg_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
