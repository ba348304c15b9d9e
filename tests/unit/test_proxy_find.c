/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hrac/proxy/proxy.c: from the option to the ways, with PAC files from disk and from a web server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "base/err.h"
#include "base/mem.h"
#include "hrac/proxy/pac.h"
#include "hrac/proxy/proxy.h"
#include "log/log.h"

#define SCRIPT(answer) "function FindProxyForURL(url, host) { return '" answer "'; }"

struct fixture {
	struct event_base *base;
	struct proxy *proxy;
	struct evconnlistener *listener; /* the web server of the PAC file */
	const char *page;                /* what it answers; NULL = 404 */
	unsigned asked;
	char url[64]; /* "pac:http://127.0.0.1:..." */
	char got[512];
	unsigned answers, awaited;
};

static int
setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));

	unsetenv("http_proxy");
	unsetenv("https_proxy");
	unsetenv("all_proxy");
	unsetenv("no_proxy");
	f->base = event_base_new();
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	proxy_finder_free(f->proxy);
	if (f->listener != NULL)
		evconnlistener_free(f->listener);
	event_base_free(f->base);
	mem_free(f);
	return 0;
}

/* -- The web server -- */

static void
on_request(struct bufferevent *bev, void *arg)
{
	struct fixture *f = arg;
	struct evbuffer *in = bufferevent_get_input(bev), *out = bufferevent_get_output(bev);

	if (evbuffer_search(in, "\r\n\r\n", 4, NULL).pos < 0)
		return;
	f->asked++;
	if (f->page == NULL)
		evbuffer_add_printf(out, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	else
		evbuffer_add_printf(out, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
		    strlen(f->page), f->page);
	evbuffer_drain(in, evbuffer_get_length(in));
}

static void
on_gone(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	(void)arg;
	bufferevent_free(bev);
}

static void
on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
	struct bufferevent *bev =
	    bufferevent_socket_new(evconnlistener_get_base(l), fd, BEV_OPT_CLOSE_ON_FREE);

	(void)sa;
	(void)len;
	bufferevent_setcb(bev, on_request, NULL, on_gone, arg);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static void
serve(struct fixture *f, const char *page)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	socklen_t len = sizeof(in4);

	f->page = page;
	in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->listener = evconnlistener_new_bind(f->base, on_accept, f,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 4, (struct sockaddr *)&in4, sizeof(in4));
	assert_non_null(f->listener);
	getsockname(evconnlistener_get_fd(f->listener), (struct sockaddr *)&in4, &len);
	snprintf(f->url, sizeof(f->url), "pac:http://127.0.0.1:%u/proxy.pac", ntohs(in4.sin_port));
}

/* -- Asking -- */

static void
start(struct fixture *f, const char *option, const char *user, const char *password)
{
	const struct proxy_config config = { .option = option, .user = user, .password = password };

	assert_int_equal(proxy_new(f->base, &config, &f->proxy), 0);
}

/* Each way as "proxy" or "proxy(user:password)". */
static void
on_found(void *arg, const struct proxy_ways *ways)
{
	struct fixture *f = arg;
	size_t n = 0;

	for (size_t i = 0; i < ways->n; i++) {
		const struct proxy_way *w = &ways->way[i];

		n += (size_t)snprintf(f->got + n, sizeof(f->got) - n, "%s%s", i == 0 ? "" : " ",
		    w->proxy == NULL ? "direct" : w->proxy);
		if (w->user != NULL)
			n += (size_t)snprintf(f->got + n, sizeof(f->got) - n, "(%s:%s)", w->user,
			    w->password);
	}
	if (++f->answers == f->awaited)
		event_base_loopbreak(f->base);
}

static void
expect_ways(struct fixture *f, const char *url, const char *expected)
{
	f->awaited = f->answers + 1;
	assert_non_null(proxy_find(f->proxy, url, on_found, f));
	assert_int_equal(f->answers, f->awaited - 1); /* not from inside */
	event_base_dispatch(f->base);
	assert_string_equal(f->got, expected);
}

static void
a_proxy_of_the_configuration_gets_its_credentials(void **state)
{
	start(*state, "http://Proxy:3128", "alice", "wonderland");
	expect_ways(*state, "http://h/", "http://proxy:3128(alice:wonderland)");
}

static void
none_is_direct_whatever_the_environment_says(void **state)
{
	setenv("http_proxy", "http://a:1", 1);
	start(*state, "none", "alice", "wonderland");
	expect_ways(*state, "http://h/", "direct");
}

static void
the_environment_is_asked_for_each_url(void **state)
{
	setenv("http_proxy", "http://bob:builder@a:1", 1);
	setenv("https_proxy", "http://b:2", 1);
	setenv("no_proxy", "inside", 1);
	start(*state, NULL, "alice", "wonderland");
	expect_ways(*state, "http://h/", "http://a:1(bob:builder)");
	expect_ways(*state, "https://h/", "http://b:2(alice:wonderland)");
	expect_ways(*state, "https://www.inside/", "direct");
}

static void
an_environment_that_cannot_be_understood_is_direct(void **state)
{
	setenv("http_proxy", "://", 1);
	start(*state, "environment", NULL, NULL);
	expect_ways(*state, "http://h/", "direct");
}

struct told {
	unsigned named_n, login_n;
};

static void
on_told(void *arg, uint64_t wall_s, enum log_level level, const char *component, const char *text)
{
	struct told *t = arg;

	(void)wall_s, (void)level, (void)component;
	t->named_n += strstr(text, "the PAC file http://127.0.0.1:9/x.pac cannot be had") != NULL;
	t->login_n += strstr(text, "looking-glass") != NULL;
}

static void
a_pac_file_is_told_without_the_login_of_its_address(void **state)
{
	struct told told = { 0 };

	start(*state, "pac:http://alice:looking-glass@127.0.0.1:9/x.pac", NULL, NULL);
	expect_ways(*state, "http://h/", "direct");
	log_recent(on_told, &told);
	assert_int_equal(told.named_n, 1);
	assert_int_equal(told.login_n, 0);
}

static void
a_pac_file_is_read_anew_each_time(void **state)
{
	char path[] = "/tmp/vofw-test-pac-XXXXXX", *option;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	option = mem_printf("pac:%s", path);
	start(*state, option, "u", "p");
	assert_true(write(fd, SCRIPT("PROXY a:1; DIRECT"), strlen(SCRIPT("PROXY a:1; DIRECT"))) >
	    0);
	expect_ways(*state, "http://h/", "http://a:1(u:p) direct");
	assert_int_equal(ftruncate(fd, 0), 0);
	expect_ways(*state, "http://h/", "direct"); /* no script at all */
	assert_int_equal(pwrite(fd, SCRIPT("HTTPS b:2"), strlen(SCRIPT("HTTPS b:2")), 0),
	    strlen(SCRIPT("HTTPS b:2")));
	expect_ways(*state, "https://h/", "https://b:2(u:p)");
	unlink(path);
	expect_ways(*state, "https://h/", "direct"); /* it is not there */
	close(fd);
	mem_free(option);
}

static void
a_pac_file_from_the_web_is_fetched_once_until_the_network_changes(void **state)
{
	struct fixture *f = *state;

	serve(f, SCRIPT("PROXY a:1"));
	start(f, f->url, NULL, NULL);
	expect_ways(f, "http://h/", "http://a:1");
	expect_ways(f, "https://h/", "http://a:1");
	assert_int_equal(f->asked, 1);
	f->page = SCRIPT("PROXY b:2");
	expect_ways(f, "http://h/", "http://a:1");
	proxy_network_changed(f->proxy);
	expect_ways(f, "http://h/", "http://b:2");
	assert_int_equal(f->asked, 2);
}

static void
a_pac_file_that_cannot_be_had_is_direct_and_asked_for_again(void **state)
{
	struct fixture *f = *state;

	serve(f, NULL);
	start(f, f->url, NULL, NULL);
	expect_ways(f, "http://h/", "direct");
	f->page = SCRIPT("PROXY a:1");
	expect_ways(f, "http://h/", "http://a:1");
	f->page = NULL;
	proxy_network_changed(f->proxy); /* what was good elsewhere is not taken */
	expect_ways(f, "http://h/", "direct");
	f->page = "<html>Please log in</html>";
	expect_ways(f, "http://h/", "direct");
	assert_int_equal(f->asked, 4);
}

static void
a_pac_answer_without_a_way_is_direct(void **state)
{
	struct fixture *f = *state;

	serve(f, SCRIPT("QUIC a:1; nonsense"));
	start(f, f->url, NULL, NULL);
	expect_ways(f, "http://h/", "direct");
}

static void
questions_are_answered_one_after_the_other_and_can_be_cancelled(void **state)
{
	struct fixture *f = *state;
	struct proxy_question *q;

	serve(f, SCRIPT("PROXY a:1"));
	start(f, f->url, NULL, NULL);
	q = proxy_find(f->proxy, "http://first/", on_found, f);
	proxy_find(f->proxy, "http://second/", on_found, f);
	event_base_loop(f->base, EVLOOP_ONCE);
	proxy_find_cancel(q);
	f->awaited = 2;
	proxy_find(f->proxy, "http://third/", on_found, f);
	event_base_dispatch(f->base);
	assert_int_equal(f->answers, 2);
	assert_int_equal(f->asked, 1);
	/* One that nobody waits for any more when all is freed. */
	proxy_find(f->proxy, "http://fourth/", on_found, f);
	event_base_loop(f->base, EVLOOP_ONCE);
}

static void
an_option_of_another_kind_is_refused(void **state)
{
	struct fixture *f = *state;
	const struct proxy_config config = { .option = "ftp://h:1" };

	assert_int_equal(proxy_new(f->base, &config, &f->proxy), ERR_MALFORMED);
	assert_null(f->proxy);
}

int
main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_proxy_of_the_configuration_gets_its_credentials),
		TEST(none_is_direct_whatever_the_environment_says),
		TEST(the_environment_is_asked_for_each_url),
		TEST(an_environment_that_cannot_be_understood_is_direct),
		TEST(a_pac_file_is_told_without_the_login_of_its_address),
		TEST(a_pac_file_is_read_anew_each_time),
		TEST(a_pac_file_from_the_web_is_fetched_once_until_the_network_changes),
		TEST(a_pac_file_that_cannot_be_had_is_direct_and_asked_for_again),
		TEST(a_pac_answer_without_a_way_is_direct),
		TEST(questions_are_answered_one_after_the_other_and_can_be_cancelled),
		TEST(an_option_of_another_kind_is_refused),
	};

	if (argc > 0 && strcmp(argv[0], PAC_CHILD_NAME) == 0)
		return pac_child();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
