/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "log/log.h"
#include "sip/crypto.h"
#include "sip_world.h"

static const struct world_cfg outside_asks = { .auth = SIP_AUTH_OUTSIDE, .direct = true };
static const struct world_cfg all_ask = { .auth = SIP_AUTH_ALL, .direct = true };
static const struct world_cfg nobody_asks = { .auth = SIP_AUTH_NONE, .direct = true };

struct login {
	const char *user, *password, *method, *uri;
	enum sip_digest alg;
	unsigned count;
};

/* The nonce of the challenge for `alg` in a 401 or 407. */
static void
get_nonce(const struct sent *challenge, enum sip_digest alg, char nonce[static 128])
{
	const char *name = alg == SIP_DIGEST_MD5 ? "algorithm=MD5" : "algorithm=SHA-256";
	const char *line = challenge->text, *end, *p;

	for (; (line = strstr(line, "uthenticate: Digest")) != NULL; line = end) {
		end = strstr(line, "\r\n");
		p = strstr(line, name);
		if (p == NULL || p > end)
			continue;
		p = strstr(line, "nonce=\"");
		assert_non_null(p);
		assert_int_equal(sscanf(p, "nonce=\"%127[^\"]\"", nonce), 1);
		return;
	}
	fail_msg("no challenge of %s in\n%s", name, challenge->text);
}

static void
digest_of(const struct login *l, const char *nonce, char out[static SIP_DIGEST_HEX_MAX])
{
	char text[1024], ha1[SIP_DIGEST_HEX_MAX], ha2[SIP_DIGEST_HEX_MAX];
	int n;

	n = snprintf(text, sizeof(text), "%s:example.com:%s", l->user, l->password);
	sip_digest_hex(l->alg, text, (size_t)n, ha1);
	n = snprintf(text, sizeof(text), "%s:%s", l->method, l->uri);
	sip_digest_hex(l->alg, text, (size_t)n, ha2);
	n = snprintf(text, sizeof(text), "%s:%s:%08x:c0ffee:auth:%s", ha1, nonce, l->count, ha2);
	sip_digest_hex(l->alg, text, (size_t)n, out);
}

static void
put_login(struct phone *p, const struct login *l, const char *nonce, bool proxy)
{
	char response[SIP_DIGEST_HEX_MAX];

	digest_of(l, nonce, response);
	snprintf(p->extra, sizeof(p->extra),
	    "%s: Digest username=\"%s\", realm=\"example.com\", nonce=\"%s\", uri=\"%s\", "
	    "response=\"%s\", algorithm=%s, qop=auth, nc=%08x, cnonce=\"c0ffee\"\n",
	    proxy ? "Proxy-Authorization" : "Authorization", l->user, nonce, l->uri, response,
	    l->alg == SIP_DIGEST_MD5 ? "MD5" : "SHA-256", l->count);
}

static const struct login alice_registers = { "alice", "wonderland", "REGISTER", "sip:example.com",
	SIP_DIGEST_MD5, 1 };

static void
challenged(struct phone *p, enum sip_digest alg, char nonce[static 128])
{
	struct sent *s;

	phone_register(p, 3600);
	s = world_expect(p->w, "401", p->flow.face);
	get_nonce(s, alg, nonce);
	sent_free(s);
}

/* Registers with `l` and expects `status`. */
static void
try_login(struct phone *p, const struct login *l, const char *nonce, const char *status)
{
	put_login(p, l, nonce, false);
	phone_register(p, 3600);
	world_expect_dropped(p->w, status, p->flow.face);
}

static void
a_user_outside_registers_with_md5_or_sha256(void **state)
{
	struct world *w = world_new(&outside_asks);
	struct phone alice;
	struct login l = alice_registers;
	char nonce[128];

	(void)state;
	phone_init(&alice, w, OUTSIDE, "alice", "198.51.100.7:5060");
	challenged(&alice, SIP_DIGEST_MD5, nonce);
	try_login(&alice, &l, nonce, "200");
	challenged(&alice, SIP_DIGEST_SHA256, nonce);
	l.alg = SIP_DIGEST_SHA256;
	try_login(&alice, &l, nonce, "200");
	assert_int_equal(location_n(w->location), 1);
	world_free(w);
}

static void
a_wrong_password_is_asked_again_and_counted(void **state)
{
	struct world *w = world_new(&outside_asks);
	struct phone alice;
	struct login l = alice_registers;
	char nonce[128];

	(void)state;
	phone_init(&alice, w, OUTSIDE, "alice", "198.51.100.7:5060");
	challenged(&alice, SIP_DIGEST_MD5, nonce);
	l.password = "guess";
	try_login(&alice, &l, nonce, "401");
	l.user = "nobody";
	try_login(&alice, &l, nonce, "401");
	assert_int_equal(world_metric(w, "sip_auth_failures"), 2);
	assert_int_equal(location_n(w->location), 0);
	world_free(w);
}

static void
a_replayed_register_is_told_to_be_stale(void **state)
{
	struct world *w = world_new(&outside_asks);
	struct phone alice;
	char nonce[128];
	struct sent *s;

	(void)state;
	phone_init(&alice, w, OUTSIDE, "alice", "198.51.100.7:5060");
	challenged(&alice, SIP_DIGEST_MD5, nonce);
	try_login(&alice, &alice_registers, nonce, "200");
	put_login(&alice, &alice_registers, nonce, false);
	phone_register(&alice, 0);
	s = world_expect(w, "401", OUTSIDE);
	assert_non_null(strstr(s->text, "stale=true"));
	assert_int_equal(location_n(w->location), 1);
	sent_free(s);
	world_free(w);
}

static void
nobody_registers_the_address_of_another(void **state)
{
	struct world *w = world_new(&outside_asks);
	struct phone mallory;
	char nonce[128];

	(void)state;
	phone_init(&mallory, w, OUTSIDE, "bob", "198.51.100.7:5060");
	challenged(&mallory, SIP_DIGEST_MD5, nonce);
	try_login(&mallory, &alice_registers, nonce, "403");
	assert_int_equal(location_n(w->location), 0);
	world_free(w);
}

static void
inside_needs_no_password_unless_all_do(void **state)
{
	struct world *w = world_new(&outside_asks);
	struct phone alice;

	(void)state;
	phone_init(&alice, w, OFFICE, "alice", "192.168.1.20:5060");
	phone_register(&alice, 3600);
	world_expect_dropped(w, "200", OFFICE);
	world_free(w);
	w = world_new(&all_ask);
	phone_init(&alice, w, OFFICE, "alice", "192.168.1.20:5060");
	phone_register(&alice, 3600);
	world_expect_dropped(w, "401", OFFICE);
	world_free(w);
	w = world_new(&nobody_asks);
	phone_init(&alice, w, OUTSIDE, "alice", "198.51.100.7:5060");
	phone_register(&alice, 3600);
	world_expect_dropped(w, "200", OUTSIDE);
	world_free(w);
}

/* An inside phone that can be called. */
static void
bob_is_in(struct world *w, struct phone *bob)
{
	phone_init(bob, w, OFFICE, "bob", "192.168.1.21:5060");
	phone_registered(bob);
}

static void
a_stranger_may_call_our_users_but_nobody_else_through_us(void **state)
{
	struct world *w = world_new(&outside_asks);
	struct phone stranger, bob;

	(void)state;
	bob_is_in(w, &bob);
	phone_init(&stranger, w, OUTSIDE, "stranger", "198.51.100.7:5060");
	strcpy(stranger.domain, "elsewhere.example");
	phone_invite(&stranger, "sip:bob@example.com");
	world_expect_dropped(w, "100", OUTSIDE);
	world_expect_dropped(w, "INVITE", OFFICE);
	phone_invite(&stranger, "sip:carol@198.51.100.99");
	world_expect_dropped(w, "403", OUTSIDE);
	phone_request(&stranger, "MESSAGE", "sip:x@third.example", "sip:x@third.example");
	world_expect_dropped(w, "403", OUTSIDE);
	assert_int_equal(world_metric(w, "sip_foreign_refused"), 2);
	world_free(w);
}

static void
nobody_is_an_open_relay_even_without_passwords(void **state)
{
	struct world *w = world_new(&nobody_asks);
	struct phone stranger;

	(void)state;
	phone_init(&stranger, w, OUTSIDE, "alice", "198.51.100.7:5060");
	phone_invite(&stranger, "sip:carol@198.51.100.99");
	world_expect_dropped(w, "403", OUTSIDE);
	phone_invite(&stranger, "sip:carol@10.0.0.99");
	world_expect_dropped(w, "403", OUTSIDE);
	world_free(w);
}

static void
who_speaks_in_the_name_of_our_user_proves_it_and_the_proof_goes_no_further(void **state)
{
	struct world *w = world_new(&outside_asks);
	struct phone alice, bob;
	struct login l = { "alice", "wonderland", "INVITE", "sip:bob@example.com",
		SIP_DIGEST_SHA256, 1 };
	char nonce[128];
	struct sent *s;

	(void)state;
	bob_is_in(w, &bob);
	phone_init(&alice, w, OUTSIDE, "alice", "198.51.100.7:5060");
	phone_invite(&alice, "sip:bob@example.com");
	s = world_expect(w, "407", OUTSIDE);
	get_nonce(s, SIP_DIGEST_SHA256, nonce);
	sent_free(s);
	put_login(&alice, &l, nonce, true);
	phone_invite(&alice, "sip:bob@example.com");
	world_expect_dropped(w, "100", OUTSIDE);
	s = world_expect(w, "INVITE", OFFICE);
	assert_null(strstr(s->text, "Proxy-Authorization"));
	sent_free(s);
	world_free(w);
}

static void
one_user_does_not_call_in_the_name_of_another(void **state)
{
	struct world *w = world_new(&outside_asks);
	struct phone mallory, bob;
	struct login l = { "alice", "wonderland", "INVITE", "sip:bob@example.com", SIP_DIGEST_MD5,
		1 };
	char nonce[128];
	struct sent *s;

	(void)state;
	bob_is_in(w, &bob);
	phone_init(&mallory, w, OUTSIDE, "olga", "198.51.100.7:5060");
	phone_invite(&mallory, "sip:bob@example.com");
	s = world_expect(w, "407", OUTSIDE);
	get_nonce(s, SIP_DIGEST_MD5, nonce);
	sent_free(s);
	put_login(&mallory, &l, nonce, true);
	phone_invite(&mallory, "sip:bob@example.com");
	world_expect_dropped(w, "403", OUTSIDE);
	world_free(w);
}

static void
our_users_call_foreign_places_from_outside_once_they_proved_themselves(void **state)
{
	struct world *w = world_new(&outside_asks);
	struct phone alice;
	struct login l = { "alice", "wonderland", "INVITE", "sip:carol@198.51.100.99",
		SIP_DIGEST_MD5, 1 };
	char nonce[128];
	struct sent *s;

	(void)state;
	phone_init(&alice, w, OUTSIDE, "alice", "198.51.100.7:5060");
	phone_invite(&alice, l.uri);
	s = world_expect(w, "407", OUTSIDE);
	get_nonce(s, SIP_DIGEST_MD5, nonce);
	sent_free(s);
	put_login(&alice, &l, nonce, true);
	phone_invite(&alice, l.uri);
	world_expect_dropped(w, "100", OUTSIDE);
	world_expect_dropped(w, "INVITE", OUTSIDE);
	world_free(w);
}

static void
a_request_in_a_dialog_by_our_token_is_not_asked_again(void **state)
{
	struct world *w = world_new(&outside_asks);
	struct phone olga, bob;
	struct dialog db, dolga;
	struct sent *invite;

	(void)state;
	bob_is_in(w, &bob);
	phone_init(&olga, w, OUTSIDE, "olga", "198.51.100.7:5060");
	world_reload(w, &nobody_asks);
	phone_registered(&olga);
	world_reload(w, &outside_asks);
	phone_invite(&bob, "sip:olga@example.com");
	world_expect_dropped(w, "100", OFFICE);
	invite = world_expect(w, "INVITE", OUTSIDE);
	dialog_of_callee(&dolga, &olga, invite);
	phone_answer(&olga, invite, 200);
	sent_free(invite);
	invite = world_expect(w, "200", OFFICE);
	dialog_of_caller(&db, &bob, invite);
	sent_free(invite);
	dialog_request(&dolga, &olga, "BYE");
	world_expect_dropped(w, "BYE", OFFICE);
	/* The same token outside a dialog is no licence to speak as olga. */
	phone_request(&olga, "MESSAGE", dolga.target, "sip:bob@example.com");
	world_expect_dropped(w, "407", OUTSIDE);
	dialog_clear(&db);
	dialog_clear(&dolga);
	world_free(w);
}

static void
a_forged_token_is_404_and_counted(void **state)
{
	struct world *w = world_new(&outside_asks);
	struct phone stranger;

	(void)state;
	phone_init(&stranger, w, OUTSIDE, "stranger", "198.51.100.7:5060");
	strcpy(stranger.domain, "elsewhere.example");
	phone_invite(&stranger, "sip:vofw-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@203.0.113.10");
	world_expect_dropped(w, "404", OUTSIDE);
	assert_int_equal(world_metric(w, "sip_forged_tokens"), 1);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_user_outside_registers_with_md5_or_sha256),
		cmocka_unit_test(a_wrong_password_is_asked_again_and_counted),
		cmocka_unit_test(a_replayed_register_is_told_to_be_stale),
		cmocka_unit_test(nobody_registers_the_address_of_another),
		cmocka_unit_test(inside_needs_no_password_unless_all_do),
		cmocka_unit_test(a_stranger_may_call_our_users_but_nobody_else_through_us),
		cmocka_unit_test(nobody_is_an_open_relay_even_without_passwords),
		cmocka_unit_test(
		    who_speaks_in_the_name_of_our_user_proves_it_and_the_proof_goes_no_further),
		cmocka_unit_test(one_user_does_not_call_in_the_name_of_another),
		cmocka_unit_test(
		    our_users_call_foreign_places_from_outside_once_they_proved_themselves),
		cmocka_unit_test(a_request_in_a_dialog_by_our_token_is_not_asked_again),
		cmocka_unit_test(a_forged_token_is_404_and_counted),
	};

	sip_msg_init();
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
