/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The uplink's way to the gateway through a real HTTP proxy, started by the test for itself. */
#include "tests/support/http_pair_assert.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/tls_ca.h"

#define SQUID "/usr/sbin/squid"

struct squid {
	pid_t pid;
	char dir[32];
	uint16_t open_port, closed_port; /* the latter wants a user and a password */
	char *open_url, *closed_url;
};

static struct squid basic, digest; /* by the way that the password is asked for */

static const char basic_auth[] = "auth_param basic program /bin/sh helper\n"
				 "auth_param basic realm vofw\n";
static const char basic_helper[] =
    "while read line; do\n"
    "case $line in 'alice wonderland') echo OK;; *) echo ERR;; esac\n"
    "done\n";
static const char digest_auth[] = "auth_param digest program /bin/sh helper\n"
				  "auth_param digest realm vofw\n";
/* MD5 of alice:vofw:wonderland */
static const char digest_helper[] =
    "while read line; do\n"
    "case $line in '\"alice\":\"vofw\"') echo 'OK ha1=\"3423331cfaee2c52fb5fd3db862ada23\"';;"
    " *) echo ERR;; esac\n"
    "done\n";

static uint16_t
free_port(void)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	socklen_t len = sizeof(in4);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&in4, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in4, &len), 0);
	close(fd);
	return ntohs(in4.sin_port);
}

static void
write_file(const struct squid *s, const char *name, const char *text)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	chmod(path, 0644); /* squid leaves root behind */
}

static void
write_conf(const struct squid *s, const char *auth)
{
	char *text = mem_printf("http_port 127.0.0.1:%u name=open\n"
				"http_port 127.0.0.1:%u name=closed\n"
				"%s"
				"acl open myportname open\n"
				"acl known proxy_auth REQUIRED\n"
				"acl CONNECT method CONNECT\n"
				"acl forbidden port 9999\n"
				"http_access deny CONNECT forbidden\n"
				"http_access allow open\n"
				"http_access allow known\n"
				"http_access deny all\n"
				"pid_filename none\n"
				"access_log none\n"
				"cache_log /dev/null\n"
				"cache deny all\n"
				"cache_mem 1 MB\n"
				"netdb_filename none\n"
				"coredump_dir none\n"
				"visible_hostname proxy.test\n"
				"max_filedescriptors 512\n"
				"shutdown_lifetime 0 seconds\n"
				"pinger_enable off\n",
	    s->open_port, s->closed_port, auth);

	write_file(s, "squid.conf", text);
	mem_free(text);
}

static bool
accepts(const struct squid *s)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = htons(s->closed_port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), err;

	in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	err = connect(fd, (struct sockaddr *)&in4, sizeof(in4));
	close(fd);
	return err == 0;
}

static void
squid_run(const struct squid *s)
{
	int null = open("/dev/null", O_RDWR);
	char service[32];

	/* Its shared memory has names of its own, next to those of other squids of this machine. */
	snprintf(service, sizeof(service), "vofw%d", getpid());
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	if (chdir(s->dir) == 0) /* where it finds its helper */
		execl(SQUID, "squid", "-N", "-n", service, "-f", "squid.conf", (char *)NULL);
	_exit(127);
}

static void
squid_start(struct squid *s, const char *auth, const char *helper)
{
	memset(s, 0, sizeof(*s));
	strcpy(s->dir, "/tmp/vofw-test-squid-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	chmod(s->dir, 0755);
	s->open_port = free_port();
	do {
		s->closed_port = free_port();
	} while (s->closed_port == s->open_port);
	s->open_url = mem_printf("http://127.0.0.1:%u", s->open_port);
	s->closed_url = mem_printf("http://127.0.0.1:%u", s->closed_port);
	write_conf(s, auth);
	write_file(s, "helper", helper);
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0)
		squid_run(s);
}

static void
squid_await(const struct squid *s)
{
	unsigned i;

	for (i = 0; i < 1000 && !accepts(s); i++) {
		assert_int_equal(waitpid(s->pid, NULL, WNOHANG), 0);
		usleep(20000);
	}
	assert_true(accepts(s));
}

static void
squid_remove(struct squid *s)
{
	static const char *const names[] = { "squid.conf", "helper" };
	char path[64];
	size_t i;

	assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", s->dir, names[i]);
		unlink(path);
	}
	rmdir(s->dir);
	mem_free(s->open_url);
	mem_free(s->closed_url);
}

static int
start_squids(void **state)
{
	(void)state;
	squid_start(&basic, basic_auth, basic_helper);
	squid_start(&digest, digest_auth, digest_helper);
	squid_await(&basic);
	squid_await(&digest);
	return 0;
}

static int
stop_squids(void **state)
{
	(void)state;
	kill(basic.pid, SIGINT); /* at once, but in order: it has shared memory to remove */
	kill(digest.pid, SIGINT);
	squid_remove(&basic);
	squid_remove(&digest);
	return 0;
}

/* All pairs come up, and what is sent arrives. */
static void
assert_works(struct http_pair *p)
{
	unsigned i;

	assert_true(http_pair_wait(p, http_pair_is_up, p, SOON_MS));
	uplink_set_busy(p->uplink, true);
	assert_true(http_pair_wait(p, four_pairs, p, SOON_MS));
	for (i = 0; i < 100; i++) {
		http_pair_send(p, 5);
		http_pair_send_media(p, 10);
		http_pair_sleep(p, 5);
	}
	assert_true(http_pair_wait(p, http_pair_all_came, p, SOON_MS));
	http_pair_sleep(p, 200);
	assert_int_equal(p->up.wrong_n, 0);
	assert_int_equal(p->down.wrong_n, 0);
	assert_int_equal(p->up.media_n, p->up_media_sent);
	assert_int_equal(p->down.media_n, p->down_media_sent);
	assert_int_equal(p->agent_sessions_n, 1);
	assert_int_equal(http_pair_metric(uplink_metrics(p->uplink), "tunnel_streams_cut"), 0);
	assert_int_equal(http_pair_metric(uplink_metrics(p->uplink), "tunnel_streams_refused"), 0);
}

static void
start(struct http_pair *p, const char *proxy)
{
	http_pair_init(p);
	http_pair_start_gateway(p);
	p->uplink_config.proxy = proxy;
}

static void
through_a_proxy_all_works_and_both_ends_know_of_it(void **state)
{
	struct uplink_facts u;
	struct gateway_facts g;
	struct http_pair p;

	(void)state;
	start(&p, basic.open_url);
	http_pair_start_uplink(&p);
	assert_works(&p);
	uplink_facts(p.uplink, &u);
	gateway_agent_facts(p.agent, &g);
	assert_string_equal(u.transport, "http via proxy");
	assert_string_equal(g.transport, "http via proxy");
	http_pair_free(&p);
}

static void
through_a_proxy_that_wants_a_password(void **state)
{
	struct http_pair p;

	(void)state;
	start(&p, basic.closed_url);
	p.uplink_config.proxy_user = "alice";
	p.uplink_config.proxy_password = "wonderland";
	http_pair_start_uplink(&p);
	assert_works(&p);
	http_pair_free(&p);
}

static void
through_a_proxy_that_wants_a_digest_of_the_password(void **state)
{
	struct http_pair p;

	(void)state;
	start(&p, digest.closed_url);
	p.uplink_config.proxy_user = "alice";
	p.uplink_config.proxy_password = "wonderland";
	http_pair_start_uplink(&p);
	assert_works(&p);
	http_pair_free(&p);
}

static void
through_a_proxy_to_https(void **state)
{
	struct http_pair p;
	struct tls_ca ca;

	(void)state;
	tls_ca_make(&ca);
	http_pair_init(&p);
	p.gateway_config.tls.certificate = ca.server.certificate;
	p.gateway_config.tls.key = ca.server.key;
	p.gateway_config.listen[0].tls = true;
	http_pair_start_gateway(&p);
	p.uplink_config.ca = ca.file;
	p.uplink_config.proxy = basic.closed_url;
	p.uplink_config.proxy_user = "alice";
	p.uplink_config.proxy_password = "wonderland";
	http_pair_start_uplink(&p);
	assert_works(&p);
	http_pair_free(&p);
	tls_ca_free(&ca);
}

static void
assert_cause(struct http_pair *p, const char *words)
{
	http_pair_start_uplink(p);
	http_pair_wait(p, has_error, p, SOON_MS);
	assert_error(p, words);
	http_pair_stop_uplink(p);
}

static void
a_place_forbidden_to_everybody_says_nothing_of_who_may_pass(void **state)
{
	char *url, text[ADDR_STR_MAX];
	struct http_pair p;

	(void)state;
	start(&p, basic.closed_url);
	p.uplink_config.proxy_user = "alice";
	p.uplink_config.proxy_password = "wonderland";
	url = mem_printf("http://%s/", addr_str(&p.gateway_config.listen[0].addr, text));
	p.uplink_config.urls[0] = "https://127.0.0.1:9999/";
	p.uplink_config.urls[1] = url;
	http_pair_start_uplink(&p);
	assert_works(&p);
	http_pair_free(&p);
	mem_free(url);
}

static void
what_the_proxy_refuses_is_named(void **state)
{
	struct http_pair p;

	(void)state;
	start(&p, basic.closed_url);
	assert_cause(&p, "the proxy wants a user and a password (HTTP 407; ");
	p.uplink_config.urls[0] = "https://127.0.0.1:9/";
	assert_cause(&p, "the proxy wants a user and a password (HTTP 407; ");
	p.uplink_config.proxy_user = "alice";
	p.uplink_config.proxy_password = "mad hatter";
	assert_cause(&p, "the proxy refuses our user or password (HTTP 407; ");
	p.uplink_config.urls[0] = NULL;
	assert_cause(&p, "the proxy refuses our user or password (HTTP 407; ");
	p.uplink_config.proxy_password = "wonderland";
	p.uplink_config.urls[0] = "http://127.0.0.1:9/";
	assert_cause(&p, "the proxy cannot reach HRAS (HTTP 503)");
	p.uplink_config.urls[0] = "https://127.0.0.1:9/";
	assert_cause(&p, "the proxy cannot reach HRAS (HTTP 503)");
	http_pair_free(&p);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(through_a_proxy_all_works_and_both_ends_know_of_it),
		cmocka_unit_test(through_a_proxy_that_wants_a_password),
		cmocka_unit_test(through_a_proxy_that_wants_a_digest_of_the_password),
		cmocka_unit_test(through_a_proxy_to_https),
		cmocka_unit_test(a_place_forbidden_to_everybody_says_nothing_of_who_may_pass),
		cmocka_unit_test(what_the_proxy_refuses_is_named),
	};

	if (access(SQUID, X_OK) != 0) {
		printf("%s is not there; on Debian: apt-get install squid\n", SQUID);
		return 77;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("uplink through squid", tests, start_squids,
	    stop_squids);
}
