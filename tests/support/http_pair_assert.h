/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_HTTP_PAIR_ASSERT_H
#define VOFW_TESTS_HTTP_PAIR_ASSERT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before itself */
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "base/mem.h"
#include "log/log.h"
#include "tests/support/http_pair.h"
#include "tests/support/tcp_forwarder.h"

/* What the tests of uplink and gateway say again and again, in cmocka's words. */
#define SOON_MS 5000

static inline void
start_pair(struct http_pair *p)
{
	http_pair_init(p);
	http_pair_start_gateway(p);
	http_pair_start_uplink(p);
}

/* The uplink goes to the gateway by way of a forwarder. */
static inline struct tcp_forwarder *
start_over_forwarder(struct http_pair *p)
{
	struct tcp_forwarder *f;
	char *url;

	http_pair_init(p);
	http_pair_start_gateway(p);
	f = tcp_forwarder_new(p->base, &p->gateway_config.listen[0].addr);
	url = mem_printf("http://127.0.0.1:%u", tcp_forwarder_port(f));
	p->uplink_config.urls[0] = url;
	http_pair_start_uplink(p);
	p->uplink_config.urls[0] = NULL;
	mem_free(url);
	return f;
}

static inline bool
four_pairs(void *arg)
{
	struct http_pair *p = arg;
	struct uplink_facts u;
	struct gateway_facts g;

	uplink_facts(p->uplink, &u);
	gateway_agent_facts(p->agent, &g);
	return u.up_n == 4 && u.down_n == 4 && g.up_n == 4 && g.down_n == 4;
}

static inline bool
has_error(void *arg)
{
	struct http_pair *p = arg;
	struct uplink_facts u;

	uplink_facts(p->uplink, &u);
	return u.last_error[0] != '\0';
}

static inline void
assert_error(struct http_pair *p, const char *words)
{
	struct uplink_facts u;

	uplink_facts(p->uplink, &u);
	if (strstr(u.last_error, words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, u.last_error);
}

static inline bool
was_refused(void *arg)
{
	struct http_pair *p = arg;

	return http_pair_metric(uplink_metrics(p->uplink), "uplink_refused") > 0;
}

static inline void
assert_up(struct http_pair *p)
{
	assert_true(http_pair_wait(p, http_pair_is_up, p, SOON_MS));
}

static inline void
assert_clean(struct http_pair *p)
{
	assert_int_equal(p->up.wrong_n, 0);
	assert_int_equal(p->down.wrong_n, 0);
}

static inline void
assert_all_come(struct http_pair *p, unsigned ms)
{
	http_pair_wait(p, http_pair_all_came, p, ms);
	assert_int_equal(p->up.reliable_n, p->up_sent);
	assert_int_equal(p->down.reliable_n, p->down_sent);
	assert_clean(p);
}

/* Lines of the log so far, as far as it remembers, with these words. */
struct log_search {
	const char *words;
	unsigned found_n;
};

static inline void
on_log_line(void *arg, uint64_t wall_s, enum log_level level, const char *component,
    const char *text)
{
	struct log_search *s = arg;

	(void)wall_s;
	(void)level;
	(void)component;
	s->found_n += strstr(text, s->words) != NULL;
}

static inline unsigned
logged_n(const char *words)
{
	struct log_search s = { words, 0 };

	log_recent(on_log_line, &s);
	return s.found_n;
}

/* A listening socket of the test's own, on a free port. */
static inline int
bound_socket(struct addr *out)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	socklen_t len = sizeof(in4);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&in4, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in4, &len), 0);
	addr_from_sockaddr((struct sockaddr *)&in4, out);
	return fd;
}

#endif
