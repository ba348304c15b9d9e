/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The certificates of the gateway's https listeners: HRAS's own, and those of its agents. */
#include "hras/gateway/tls.h"
#include "tests/support/http_pair_assert.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/tls_ca.h"

#define DAY_S 86400

struct fixture {
	struct http_pair pair;
	struct tls_ca ca, other;
};

static int
setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));
	struct gateway_config *c = &f->pair.gateway_config;

	tls_ca_make(&f->ca);
	tls_ca_make(&f->other);
	http_pair_init(&f->pair);
	c->tls.certificate = f->ca.server.certificate;
	c->tls.key = f->ca.server.key;
	c->listen[0].tls = true;
	f->pair.uplink_config.ca = f->ca.file;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	http_pair_free(&f->pair);
	tls_ca_free(&f->ca);
	tls_ca_free(&f->other);
	mem_free(f);
	return 0;
}

/* -- Reading -- */

static void
files_that_cannot_be_used_are_named_with_the_reason(void **state)
{
	struct fixture *f = *state;
	const struct tls_ca_pair *good = &f->ca.server;
	const struct {
		struct gateway_tls_files files;
		const char *file, *words;
	} cases[] = {
		{ { "/nonexistent", good->key, NULL }, "/nonexistent: ", "No such file" },
		{ { good->certificate, "/nonexistent", NULL }, "/nonexistent: ", "No such file" },
		{ { "/dev/null", good->key, NULL }, "/dev/null: ", "" },
		{ { good->key, good->key, NULL }, good->key, "certificate" },
		{ { good->certificate, good->certificate, NULL }, good->certificate, "" },
		{ { good->certificate, f->other.server.key, NULL }, f->other.server.key,
		    "do not match" },
		{ { good->certificate, good->key, "/nonexistent" }, "/nonexistent: ", "No such" },
		{ { good->certificate, good->key, good->key }, good->key, "no certificate" },
	};
	char wrong[GATEWAY_TLS_WRONG_MAX];
	struct gateway_tls *t = NULL;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(gateway_tls_new(&cases[i].files, &t, wrong) < 0);
		assert_null(t);
		if (strncmp(wrong, cases[i].file, strlen(cases[i].file)) != 0 ||
		    strstr(wrong, cases[i].words) == NULL)
			fail_msg("%zu: \"%s\"", i, wrong);
	}
}

static void
the_end_of_the_certificate_is_warned_of_once_a_day_for_14_days(void **state)
{
	struct fixture *f = *state;
	const struct gateway_tls_files files = { f->ca.server.certificate, f->ca.server.key, NULL };
	char wrong[GATEWAY_TLS_WRONG_MAX];
	struct gateway_tls *t;
	uint64_t end_s;
	unsigned warned_n = logged_n("ends within"), ended_n = logged_n("has ended");

	assert_int_equal(gateway_tls_new(&files, &t, wrong), 0);
	end_s = gateway_tls_expires_s(t);
	assert_in_range(end_s, clock_wall_s() + DAY_S - 60, clock_wall_s() + DAY_S);
	gateway_tls_watch(t, end_s - 14 * DAY_S - 1);
	assert_int_equal(logged_n("ends within"), warned_n);
	for (uint64_t now_s = end_s - 14 * DAY_S; now_s < end_s; now_s += 3600)
		gateway_tls_watch(t, now_s);
	assert_int_equal(logged_n("ends within") - warned_n, 14);
	assert_true(logged_n("ends within 14 days (renew it, then SIGHUP)") > 0);
	assert_true(logged_n("ends within 1 day (renew it, then SIGHUP)") > 0);
	assert_int_equal(logged_n("has ended"), ended_n);
	gateway_tls_watch(t, end_s);
	gateway_tls_watch(t, end_s + 30 * DAY_S);
	assert_int_equal(logged_n("has ended") - ended_n, 1);
	gateway_tls_free(t);
}

/* -- A new certificate -- */

/* A browser: what it is shown, and whether its connection lives. */
struct browser {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
};

static bool
has_shaken_hands(void *arg)
{
	struct browser *b = arg;

	return SSL_do_handshake(b->ssl) == 1;
}

static void
browser_begin(struct browser *b, struct http_pair *p)
{
	const struct addr *to = &p->gateway_config.listen[0].addr;

	b->ctx = SSL_CTX_new(TLS_client_method());
	b->ssl = SSL_new(b->ctx);
	b->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	connect(b->fd, &to->u.sa, addr_len(to));
	SSL_set_fd(b->ssl, b->fd);
	SSL_set_connect_state(b->ssl);
}

static void
browser_open(struct browser *b, struct http_pair *p)
{
	browser_begin(b, p);
	assert_true(http_pair_wait(p, has_shaken_hands, b, SOON_MS));
}

static void
browser_close(struct browser *b)
{
	SSL_shutdown(b->ssl); /* else OpenSSL would forget the ticket */
	SSL_free(b->ssl);
	SSL_CTX_free(b->ctx);
	close(b->fd);
}

/* The common name that it was shown. */
static void
assert_shown(const struct browser *b, const char *common_name)
{
	X509 *x = SSL_get1_peer_certificate(b->ssl);
	char name[64] = "";

	X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, name, sizeof(name));
	X509_free(x);
	assert_string_equal(name, common_name);
}

static bool
got_an_answer(void *arg)
{
	struct browser *b = arg;
	char buf[64];

	return SSL_read(b->ssl, buf, sizeof(buf)) > 0;
}

static void
assert_alive(struct browser *b, struct http_pair *p)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

	assert_int_equal(SSL_write(b->ssl, request, sizeof(request) - 1), sizeof(request) - 1);
	assert_true(http_pair_wait(p, got_an_answer, b, SOON_MS));
}

static void
a_new_certificate_is_for_new_connections_and_the_old_ones_live(void **state)
{
	struct fixture *f = *state;
	struct http_pair *p = &f->pair;
	struct tls_ca_pair renewed, again;
	struct browser before, after;
	uint64_t failures;

	http_pair_start_gateway(p);
	http_pair_start_uplink(p);
	assert_up(p);
	failures = http_pair_metric(uplink_metrics(p->uplink), "uplink_failures");
	browser_open(&before, p);
	assert_shown(&before, "VoFW test server");
	tls_ca_sign(&f->ca, "renewed", NULL, 40 * DAY_S, &renewed);
	tls_ca_sign(&f->ca, "again", NULL, 50 * DAY_S, &again);
	p->gateway_config.tls.certificate = renewed.certificate;
	p->gateway_config.tls.key = renewed.key;
	assert_int_equal(gateway_reload(p->gateway, &p->gateway_config), 0);
	browser_open(&after, p);
	assert_shown(&after, "renewed");
	assert_alive(&before, p);
	browser_close(&before);
	http_pair_sleep(p, 50); /* the first one is forgotten now */
	p->gateway_config.tls.certificate = again.certificate;
	p->gateway_config.tls.key = again.key;
	assert_int_equal(gateway_reload(p->gateway, &p->gateway_config), 0);
	assert_alive(&after, p);
	browser_close(&after);
	assert_true(gateway_certificate_expires_s(p->gateway) > clock_wall_s() + 49 * DAY_S);
	assert_int_equal(http_pair_metric(gateway_metrics(p->gateway), "certificate_expires"),
	    gateway_certificate_expires_s(p->gateway));
	http_pair_send(p, 100);
	assert_all_come(p, SOON_MS);
	assert_int_equal(p->agent_sessions_n, 1);
	assert_int_equal(http_pair_metric(uplink_metrics(p->uplink), "uplink_failures"), failures);
	tls_ca_pair_free(&renewed);
	tls_ca_pair_free(&again);
}

/* Opens a connection by the ticket of the one before, if there is one; whether that did. */
static bool
takes_up_again(struct http_pair *p, SSL_SESSION **ticket)
{
	struct browser b;
	bool again;

	browser_begin(&b, p);
	if (*ticket != NULL)
		SSL_set_session(b.ssl, *ticket);
	assert_true(http_pair_wait(p, has_shaken_hands, &b, SOON_MS));
	assert_alive(&b, p); /* the ticket came before the answer */
	again = SSL_session_reused(b.ssl) == 1;
	SSL_SESSION_free(*ticket);
	*ticket = SSL_get1_session(b.ssl);
	browser_close(&b);
	return again;
}

static void
a_session_is_taken_up_again_until_the_certificate_is_another(void **state)
{
	struct fixture *f = *state;
	struct http_pair *p = &f->pair;
	SSL_SESSION *ticket = NULL;

	http_pair_start_gateway(p);
	assert_false(takes_up_again(p, &ticket));
	assert_true(takes_up_again(p, &ticket));
	assert_true(takes_up_again(p, &ticket));
	assert_int_equal(gateway_reload(p->gateway, &p->gateway_config), 0);
	assert_false(takes_up_again(p, &ticket));
	assert_true(takes_up_again(p, &ticket));
	SSL_SESSION_free(ticket);
}

static void
a_new_certificate_that_is_broken_leaves_the_old_one(void **state)
{
	struct fixture *f = *state;
	struct http_pair *p = &f->pair;
	unsigned logged = logged_n("the certificate in use stays");
	struct browser b;

	http_pair_start_gateway(p);
	p->gateway_config.tls.key = f->other.server.key;
	assert_true(gateway_reload(p->gateway, &p->gateway_config) < 0);
	assert_int_equal(logged_n("the certificate in use stays"), logged + 1);
	browser_open(&b, p);
	assert_shown(&b, "VoFW test server");
	browser_close(&b);
}

/* -- Addresses that come and go -- */

static int
connect_errno(const struct addr *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), err;

	err = connect(fd, &to->u.sa, addr_len(to)) == 0 ? 0 : errno;
	close(fd);
	return err;
}

static void
an_address_that_goes_takes_nobody_new_and_keeps_whom_it_has(void **state)
{
	struct fixture *f = *state;
	struct http_pair *p = &f->pair;
	struct gateway_config *c = &p->gateway_config;
	struct addr first, second;
	uint64_t requests;

	close(bound_socket(&second)); /* a free port */
	c->listen[0].tls = false;
	http_pair_start_gateway(p);
	first = c->listen[0].addr;
	http_pair_start_uplink(p);
	assert_up(p);
	c->listen[0] = (struct gateway_listen){ second, true };
	assert_int_equal(gateway_reload(p->gateway, c), 0);
	assert_int_equal(connect_errno(&first), ECONNREFUSED);
	assert_int_equal(connect_errno(&second), 0);
	http_pair_send(p, 100);
	http_pair_sleep(p, 1200); /* what lives is not tidied away */
	http_pair_send(p, 100);
	assert_all_come(p, SOON_MS);
	assert_int_equal(p->agent_sessions_n, 1);
	requests = http_pair_metric(gateway_metrics(p->gateway), "gateway_requests");
	http_pair_stop_uplink(p);
	http_pair_sleep(p, 1200); /* its listener is freed, and what it counted is not lost */
	assert_true(http_pair_metric(gateway_metrics(p->gateway), "gateway_requests") >= requests);
	http_pair_forget(p);
	http_pair_start_uplink(p); /* to the second, by https */
	assert_up(p);
	http_pair_send(p, 100);
	assert_all_come(p, SOON_MS);
}

static void
an_address_may_change_from_http_to_https_and_back(void **state)
{
	struct fixture *f = *state;
	struct http_pair *p = &f->pair;
	struct gateway_config *c = &p->gateway_config;

	c->listen[0].tls = false;
	http_pair_start_gateway(p);
	for (int i = 0; i < 20; i++) { /* more often than there is room for, were none freed */
		c->listen[0].tls = i % 2 == 0;
		assert_int_equal(gateway_reload(p->gateway, c), 0);
		http_pair_sleep(p, i % 10 == 9 ? 1100 : 10);
	}
	http_pair_start_uplink(p);
	assert_up(p);
}

static void
an_address_that_cannot_be_listened_on_leaves_the_others(void **state)
{
	struct fixture *f = *state;
	struct http_pair *p = &f->pair;
	struct gateway_config *c = &p->gateway_config;
	int fd;

	http_pair_start_gateway(p);
	fd = bound_socket(&c->listen[1].addr);
	c->listen_n = 2;
	assert_true(gateway_reload(p->gateway, c) < 0);
	http_pair_start_uplink(p);
	assert_up(p);
	close(fd);
	assert_int_equal(gateway_reload(p->gateway, c), 0);
	assert_int_equal(connect_errno(&c->listen[1].addr), 0);
}

/* -- Certificates of agents -- */

struct comer {
	const char *common_name, *dns_name;
	bool stranger; /* signed by another authority */
	long lives_s;
};

/* The uplink of "office" with such a certificate; NULL = none. */
static void
come(struct fixture *f, const struct comer *c, struct tls_ca_pair *pair)
{
	struct uplink_config *config = &f->pair.uplink_config;

	f->pair.gateway_config.tls.client_ca = f->ca.file; /* unless it runs: from its reload on */
	if (f->pair.gateway == NULL)
		http_pair_start_gateway(&f->pair);
	config->client_certificate = config->client_key = NULL;
	if (c != NULL) {
		tls_ca_sign(c->stranger ? &f->other : &f->ca, c->common_name, c->dns_name,
		    c->lives_s, pair);
		config->client_certificate = pair->certificate;
		config->client_key = pair->key;
	}
	http_pair_start_uplink(&f->pair);
}

static void
an_agent_comes_in_by_the_common_name_or_a_dns_name_of_its_certificate(void **state)
{
	static const struct comer comers[] = { { "office", NULL, false, DAY_S },
		{ "office", "elsewhere", false, DAY_S }, { "somebody", "office", false, DAY_S } };
	struct fixture *f = *state;
	struct tls_ca_pair pair;

	for (size_t i = 0; i < sizeof(comers) / sizeof(comers[0]); i++) {
		come(f, &comers[i], &pair);
		assert_up(&f->pair);
		http_pair_send(&f->pair, 20);
		assert_all_come(&f->pair, SOON_MS);
		http_pair_stop_uplink(&f->pair);
		http_pair_forget(&f->pair);
		tls_ca_pair_free(&pair);
	}
}

static void
who_has_no_good_certificate_is_refused_in_the_handshake_and_both_ends_say_why(void **state)
{
	static const struct {
		struct comer comer;
		const char *here, *there;
	} cases[] = {
		{ { "office", NULL, true, DAY_S },
		    "whose certificate is of office: tunnel.client_ca did not sign it",
		    "HRAS does not know who signed the certificate of tunnel.client_certificate" },
		{ { "office", NULL, false, -60 }, "whose certificate is of office: it has ended",
		    "the certificate of tunnel.client_certificate has ended, says HRAS" },
		{ { NULL, NULL, false, 0 }, "it showed none (tunnel.client_ca is set here",
		    "HRAS wants a certificate of this agent (tunnel.client_certificate)" },
	};
	struct fixture *f = *state;
	struct tls_ca_pair pair;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool has = cases[i].comer.common_name != NULL;

		http_pair_sleep(&f->pair, 1100); /* the log tells one a second */
		come(f, has ? &cases[i].comer : NULL, &pair);
		assert_true(http_pair_wait(&f->pair, has_error, &f->pair, SOON_MS));
		assert_error(&f->pair, cases[i].there);
		if (logged_n(cases[i].here) == 0)
			fail_msg("\"%s\" is not in the log", cases[i].here);
		http_pair_stop_uplink(&f->pair);
		if (has)
			tls_ca_pair_free(&pair);
	}
	assert_int_equal(f->pair.agent_sessions_n, 0);
	assert_true(http_pair_metric(gateway_metrics(f->pair.gateway),
			"gateway_certificates_refused") >= 3);
	assert_int_equal(http_pair_metric(gateway_metrics(f->pair.gateway), "gateway_handshakes"),
	    0);
}

static void
a_certificate_of_another_agent_opens_no_session(void **state)
{
	static const struct comer comers[] = { { "branch", "Office", false, DAY_S },
		{ "office2", "office.example", false, DAY_S } };
	struct fixture *f = *state;
	struct tls_ca_pair pair;

	for (size_t i = 0; i < sizeof(comers) / sizeof(comers[0]); i++) {
		come(f, &comers[i], &pair);
		assert_true(http_pair_wait(&f->pair, was_refused, &f->pair, SOON_MS));
		http_pair_stop_uplink(&f->pair);
		tls_ca_pair_free(&pair);
	}
	assert_int_equal(f->pair.agent_sessions_n, 0);
	assert_true(logged_n("refused agent \"office\" from 127.0.0.1: its certificate has another "
			     "name") > 0);
}

static bool
is_back(void *arg)
{
	struct fixture *f = arg;

	return f->pair.agent_sessions_n == 2 && http_pair_is_up(&f->pair);
}

static void
who_is_in_has_to_show_the_certificate_that_is_asked_for_from_now_on(void **state)
{
	static const struct comer comer = { "office", NULL, false, DAY_S };
	struct fixture *f = *state;
	struct http_pair *p = &f->pair;
	struct tls_ca_pair pair;

	http_pair_start_gateway(p); /* which asks for none */
	come(f, &comer, &pair);
	assert_up(p);
	assert_int_equal(gateway_reload(p->gateway, &p->gateway_config), 0);
	assert_true(http_pair_wait(p, is_back, f, SOON_MS));
	http_pair_forget(p);
	http_pair_send(p, 20);
	assert_all_come(p, SOON_MS);
	assert_int_equal(p->agent_gone_n, 0);
	assert_int_equal(gateway_reload(p->gateway, &p->gateway_config), 0);
	http_pair_sleep(p, 300);
	assert_int_equal(p->agent_sessions_n, 2); /* what is asked for is the same */
	p->gateway_config.tls.client_ca = f->other.file;
	assert_int_equal(gateway_reload(p->gateway, &p->gateway_config), 0);
	assert_true(http_pair_wait(p, has_error, p, SOON_MS));
	http_pair_sleep(p, 1000);
	assert_false(http_pair_is_up(p));
	assert_int_equal(p->agent_sessions_n, 2);
	tls_ca_pair_free(&pair);
}

static void
who_came_by_http_is_out_when_certificates_are_asked_for(void **state)
{
	struct fixture *f = *state;
	struct http_pair *p = &f->pair;
	struct gateway_config *c = &p->gateway_config;

	c->listen[0].tls = false;
	http_pair_start_gateway(p);
	http_pair_start_uplink(p);
	assert_up(p);
	assert_int_equal(gateway_certificate_expires_s(p->gateway), 0);
	c->listen[0].tls = true;
	c->tls.client_ca = f->ca.file;
	assert_int_equal(gateway_reload(p->gateway, c), 0);
	assert_true(gateway_certificate_expires_s(p->gateway) > 0);
	assert_true(http_pair_wait(p, has_error, p, SOON_MS));
	http_pair_sleep(p, 1000);
	assert_false(http_pair_is_up(p));
	assert_int_equal(p->agent_sessions_n, 1);
	c->listen[0].tls = false;
	c->tls.client_ca = NULL;
	assert_int_equal(gateway_reload(p->gateway, c), 0);
	assert_int_equal(gateway_certificate_expires_s(p->gateway), 0);
}

int
main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(files_that_cannot_be_used_are_named_with_the_reason),
		TEST(the_end_of_the_certificate_is_warned_of_once_a_day_for_14_days),
		TEST(a_new_certificate_is_for_new_connections_and_the_old_ones_live),
		TEST(a_session_is_taken_up_again_until_the_certificate_is_another),
		TEST(a_new_certificate_that_is_broken_leaves_the_old_one),
		TEST(an_address_that_goes_takes_nobody_new_and_keeps_whom_it_has),
		TEST(an_address_may_change_from_http_to_https_and_back),
		TEST(an_address_that_cannot_be_listened_on_leaves_the_others),
		TEST(an_agent_comes_in_by_the_common_name_or_a_dns_name_of_its_certificate),
		TEST(who_has_no_good_certificate_is_refused_in_the_handshake_and_both_ends_say_why),
		TEST(a_certificate_of_another_agent_opens_no_session),
		TEST(who_is_in_has_to_show_the_certificate_that_is_asked_for_from_now_on),
		TEST(who_came_by_http_is_out_when_certificates_are_asked_for),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("gateway tls", tests, NULL, NULL);
}
