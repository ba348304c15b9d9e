/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/inet.h>
#include <event2/event.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "sip/resolve.h"
#include "sip/resolve_impl.h"

/* A name server of our own on loopback, with one zone, on the same event loop. */
enum { A = 1, AAAA = 28, SRV = 33, NAPTR = 35 };

static const struct {
	const char *name;
	uint16_t type;
	unsigned n1, n2;  /* SRV: priority, weight; NAPTR: order, preference */
	uint16_t port;    /* SRV */
	const char *text; /* address; target; NAPTR: service */
	const char *next; /* NAPTR: replacement */
} zone[] = {
	{ "plain.test", A, 0, 0, 0, "192.0.2.1", NULL },
	{ "both.test", AAAA, 0, 0, 0, "2001:db8::1", NULL },
	{ "both.test", A, 0, 0, 0, "192.0.2.1", NULL },
	{ "both.test", A, 0, 0, 0, "192.0.2.2", NULL },
	{ "_sip._udp.srv.test", SRV, 20, 0, 5070, "back.test", NULL },
	{ "_sip._udp.srv.test", SRV, 10, 0, 5060, "main.test", NULL },
	{ "_sip._tcp.srv.test", SRV, 5, 0, 5080, "main.test", NULL },
	{ "main.test", A, 0, 0, 0, "192.0.2.10", NULL },
	{ "back.test", A, 0, 0, 0, "192.0.2.20", NULL },
	{ "naptr.test", NAPTR, 50, 60, 0, "SIPS+D2T", "_sips._tcp.naptr.test" },
	{ "naptr.test", NAPTR, 90, 10, 0, "SIP+D2U", "_sip._udp.else.test" },
	{ "naptr.test", NAPTR, 90, 5, 0, "SIP+D2T", "_sip._tcp.else.test" },
	{ "naptr.test", NAPTR, 10, 5, 0, "E2U+sip", "" },
	{ "_sip._udp.else.test", SRV, 0, 0, 5061, "back.test", NULL },
	{ "_sip._tcp.else.test", SRV, 0, 0, 5062, "main.test", NULL },
	{ "_sip._udp.not.test", SRV, 0, 0, 5060, "", NULL }, /* the root: not here */
	{ "not.test", A, 0, 0, 0, "192.0.2.30", NULL },
	{ "_sip._udp.weight.test", SRV, 1, 75, 5060, "main.test", NULL },
	{ "_sip._udp.weight.test", SRV, 1, 25, 5060, "back.test", NULL },
	{ "_sip._udp.zero.test", SRV, 1, 1, 5060, "main.test", NULL },
	{ "_sip._udp.zero.test", SRV, 1, 0, 5060, "back.test", NULL },
	{ "order.test", NAPTR, 20, 1, 0, "SIP+D2U", "_sip._udp.else.test" },
	{ "order.test", NAPTR, 10, 2, 0, "sip+d2t", "_sip._tcp.else.test" },
	{ "late.test", A, 0, 0, 0, "192.0.2.40", NULL },
	{ "_sip._udp.lost.test", SRV, 1, 0, 5060, "nowhere.test", NULL },
	{ "_sip._udp.lost.test", SRV, 2, 0, 5060, "main.test", NULL },
};

struct world {
	struct event_base *base;
	struct event *readable;
	int fd;
	char server[ADDR_STR_MAX];
	struct sip_resolver *r;
	bool late; /* no answers yet for late.test */
	unsigned questions_n;
	unsigned type_n[64]; /* questions of each type */
	/* What the callback was told. */
	unsigned calls_n;
	int err;
	struct sip_targets targets;
	struct sip_query *to_cancel;
};

static void
put_name(struct wire_write *w, const char *name)
{
	while (*name != '\0') {
		size_t n = strcspn(name, ".");

		wire_put_u8(w, (uint8_t)n);
		wire_put_bytes(w, name, n);
		name += n + (name[n] == '.');
	}
	wire_put_u8(w, 0);
}

static void
put_text(struct wire_write *w, const char *s)
{
	wire_put_u8(w, (uint8_t)strlen(s));
	wire_put_bytes(w, s, strlen(s));
}

static void
put_data(struct wire_write *w, size_t i)
{
	uint8_t raw[16];

	switch (zone[i].type) {
	case A:
	case AAAA:
		inet_pton(zone[i].type == A ? AF_INET : AF_INET6, zone[i].text, raw);
		wire_put_bytes(w, raw, zone[i].type == A ? 4 : 16);
		break;
	case SRV:
		wire_put_u16(w, (uint16_t)zone[i].n1);
		wire_put_u16(w, (uint16_t)zone[i].n2);
		wire_put_u16(w, zone[i].port);
		put_name(w, zone[i].text);
		break;
	default:
		wire_put_u16(w, (uint16_t)zone[i].n1);
		wire_put_u16(w, (uint16_t)zone[i].n2);
		put_text(w, "s");
		put_text(w, zone[i].text);
		put_text(w, "");
		put_name(w, zone[i].next);
		break;
	}
}

static void
put_record(struct wire_write *w, size_t i)
{
	uint8_t data[512];
	struct wire_write d = wire_writer(data, sizeof(data));

	put_data(&d, i);
	wire_put_u16(w, 0xc00c); /* the name asked for */
	wire_put_u16(w, zone[i].type);
	wire_put_u16(w, 1);
	wire_put_u32(w, 60);
	wire_put_u16(w, (uint16_t)d.used);
	wire_put_bytes(w, data, d.used);
}

/* The name in a question, as text; returns its length on the wire. */
static size_t
get_name(const uint8_t *p, char *out)
{
	size_t at = 0;

	while (p[at] != 0) {
		memcpy(out, p + at + 1, p[at]);
		out += p[at];
		*out++ = '.';
		at += p[at] + 1U;
	}
	out[-1] = '\0';
	return at + 1;
}

static bool
name_exists(const char *name)
{
	for (size_t i = 0; i < sizeof(zone) / sizeof(zone[0]); i++)
		if (strcasecmp(zone[i].name, name) == 0)
			return true;
	return false;
}

static void
on_question(int fd, short what, void *arg)
{
	struct world *w = arg;
	uint8_t q[512], a[2048];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(fd, q, sizeof(q), 0, (struct sockaddr *)&from, &from_len);
	struct wire_write out = wire_writer(a, sizeof(a));
	char name[300];
	size_t name_len;
	unsigned found = 0;
	uint16_t type;

	(void)what;
	assert_true(n > 12);
	name_len = get_name(q + 12, name);
	type = (uint16_t)(q[12 + name_len] << 8 | q[13 + name_len]);
	w->questions_n++;
	w->type_n[type % 64]++;
	if (strncmp(name, "silent", 6) == 0 || (w->late && strcmp(name, "late.test") == 0))
		return;
	for (size_t i = 0; i < sizeof(zone) / sizeof(zone[0]); i++)
		found += zone[i].type == type && strcasecmp(zone[i].name, name) == 0;
	wire_put_bytes(&out, q, 2);
	wire_put_u16(&out, name_exists(name) ? 0x8180 : 0x8183);
	wire_put_u16(&out, 1);
	wire_put_u16(&out, (uint16_t)found);
	wire_put_u32(&out, 0);
	wire_put_bytes(&out, q + 12, name_len + 4);
	for (size_t i = 0; i < sizeof(zone) / sizeof(zone[0]); i++)
		if (zone[i].type == type && strcasecmp(zone[i].name, name) == 0)
			put_record(&out, i);
	assert_false(out.bad);
	assert_true(sendto(fd, a, out.used, 0, (struct sockaddr *)&from, from_len) > 0);
}

static int
set_up(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr a;
	char *server = w->server;

	w->base = event_base_new();
	assert_int_equal(addr_parse("127.0.0.1:0", 0, &a), 0);
	w->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(w->fd, &a.u.sa, addr_len(&a)), 0);
	assert_int_equal(getsockname(w->fd, (struct sockaddr *)&ss, &len), 0);
	addr_from_sockaddr((struct sockaddr *)&ss, &a);
	addr_str(&a, w->server);
	w->readable = event_new(w->base, w->fd, EV_READ | EV_PERSIST, on_question, w);
	event_add(w->readable, NULL);
	assert_int_equal(sip_resolver_new(w->base, &server, 1, &w->r), 0);
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	sip_resolver_free(w->r);
	event_free(w->readable);
	close(w->fd);
	event_base_free(w->base);
	mem_free(w);
	return 0;
}

static void
on_resolved(void *arg, int err, const struct sip_targets *targets)
{
	struct world *w = arg;

	w->calls_n++;
	w->err = err;
	w->targets = *targets;
	if (w->to_cancel != NULL)
		sip_resolve_cancel(w->to_cancel);
	w->to_cancel = NULL;
}

#define WAIT(w, condition)                                                     \
	do {                                                                   \
		uint64_t end_us_ = clock_us() + 12 * CLOCK_S;                  \
                                                                               \
		while (!(condition)) {                                         \
			if (clock_us() > end_us_)                              \
				fail_msg("never became true: %s", #condition); \
			event_base_loop((w)->base, EVLOOP_ONCE);               \
		}                                                              \
	} while (0)

/* Looks up and waits; the targets as text: "udp:192.0.2.1:5060 tcp:...". */
static const char *
resolve(struct world *w, const char *host, uint16_t port, const char *transport)
{
	static char text[SIP_TARGETS_MAX * 100];
	struct sip_resolve_key key = { .host = host, .port = port, .transport = transport };
	unsigned before = w->calls_n;
	char buf[ADDR_STR_MAX], *p = text;

	sip_resolve(w->r, &key, on_resolved, w, NULL);
	WAIT(w, w->calls_n == before + 1);
	*p = '\0';
	for (size_t i = 0; i < w->targets.n; i++)
		p += sprintf(p, "%s%s:%s", i == 0 ? "" : " ",
		    sip_proto_param(w->targets.target[i].proto),
		    addr_str(&w->targets.target[i].addr, buf));
	return text;
}

static void
literal_address_is_answered_at_once(void **state)
{
	struct world *w = *state;
	struct sip_resolve_key key = { .host = "192.0.2.7" };
	struct sip_query *q = (struct sip_query *)w;

	sip_resolve(w->r, &key, on_resolved, w, &q);
	assert_int_equal(w->calls_n, 1);
	assert_null(q);
	assert_string_equal(resolve(w, "192.0.2.7", 0, NULL), "udp:192.0.2.7:5060");
	assert_string_equal(resolve(w, "192.0.2.7", 5070, "TCP"), "tcp:192.0.2.7:5070");
	assert_string_equal(resolve(w, "[2001:db8::7]", 0, NULL), "udp:[2001:db8::7]:5060");
	assert_string_equal(resolve(w, "2001:db8::7", 0, "udp"), "udp:[2001:db8::7]:5060");
	assert_int_equal(w->questions_n, 0);
}

static void
port_in_the_uri_needs_no_naptr_and_no_srv(void **state)
{
	struct world *w = *state;

	assert_string_equal(resolve(w, "srv.test", 0, NULL),
	    "udp:192.0.2.10:5060 udp:192.0.2.20:5070 tcp:192.0.2.10:5080");
	assert_string_equal(resolve(w, "plain.test", 5099, NULL), "udp:192.0.2.1:5099");
	assert_string_equal(resolve(w, "plain.test", 5099, "tcp"), "tcp:192.0.2.1:5099");
	assert_int_equal(w->type_n[NAPTR], 1);
	assert_int_equal(w->type_n[SRV], 2);
}

static void
transport_in_the_uri_asks_for_its_srv_alone(void **state)
{
	struct world *w = *state;

	assert_string_equal(resolve(w, "srv.test", 0, "tcp"), "tcp:192.0.2.10:5080");
	assert_int_equal(w->type_n[NAPTR], 0);
	assert_int_equal(w->type_n[SRV], 1);
	assert_string_equal(resolve(w, "srv.test", 0, "udp"),
	    "udp:192.0.2.10:5060 udp:192.0.2.20:5070");
}

static void
naptr_decides_on_the_transport_where_there_is_one(void **state)
{
	struct world *w = *state;

	assert_string_equal(resolve(w, "naptr.test", 0, NULL),
	    "tcp:192.0.2.10:5062 udp:192.0.2.20:5061");
	assert_string_equal(resolve(w, "order.test", 0, NULL),
	    "tcp:192.0.2.10:5062 udp:192.0.2.20:5061");
}

static void
host_without_srv_is_asked_itself_at_the_default_port(void **state)
{
	struct world *w = *state;

	assert_string_equal(resolve(w, "plain.test", 0, NULL), "udp:192.0.2.1:5060");
	assert_string_equal(resolve(w, "plain.test", 0, "tcp"), "tcp:192.0.2.1:5060");
	assert_string_equal(resolve(w, "not.test", 0, NULL), "udp:192.0.2.30:5060");
}

static void
both_families_are_given_ipv4_first(void **state)
{
	struct world *w = *state;
	const char *text = resolve(w, "both.test", 0, NULL);

	assert_int_equal(w->targets.n, 3);
	assert_non_null(strstr(text, "udp:192.0.2.1:5060"));
	assert_non_null(strstr(text, "udp:192.0.2.2:5060"));
	assert_string_equal(text + strlen(text) - strlen("udp:[2001:db8::1]:5060"),
	    "udp:[2001:db8::1]:5060");
}

static void
srv_target_without_address_is_passed_over(void **state)
{
	assert_string_equal(resolve(*state, "lost.test", 0, "udp"), "udp:192.0.2.10:5060");
}

static void
weights_of_srv_share_the_calls_out(void **state)
{
	struct world *w = *state;
	unsigned main_n = 0, questions_n;

	resolve(w, "weight.test", 0, "udp");
	questions_n = w->questions_n;
	for (int i = 0; i < 1000; i++) {
		main_n += strncmp(resolve(w, "weight.test", 0, "udp"), "udp:192.0.2.10", 14) == 0;
		assert_int_equal(w->targets.n, 2);
		assert_false(addr_equal(&w->targets.target[0].addr, &w->targets.target[1].addr));
	}
	/* 3 of 4, six standard deviations to either side. */
	assert_in_range(main_n, 750 - 84, 750 + 84);
	assert_int_equal(w->questions_n, questions_n);
}

/* RFC 2782: it stands first in the sum and has the number 0 for itself. */
static void
srv_without_weight_has_its_turn_too(void **state)
{
	struct world *w = *state;
	unsigned zero_n = 0;

	for (int i = 0; i < 200; i++)
		zero_n += strncmp(resolve(w, "zero.test", 0, "udp"), "udp:192.0.2.20", 14) == 0;
	assert_in_range(zero_n, 1, 199);
}

static void
name_that_is_not_there_is_not_found_and_remembered(void **state)
{
	struct world *w = *state;
	unsigned questions_n;

	assert_string_equal(resolve(w, "nobody.test", 0, NULL), "");
	assert_int_equal(w->err, ERR_NOT_FOUND);
	questions_n = w->questions_n;
	resolve(w, "NOBODY.test.", 0, NULL);
	assert_int_equal(w->err, ERR_NOT_FOUND);
	assert_int_equal(w->questions_n, questions_n);
}

static void
what_cannot_be_resolved_is_not_found_at_once(void **state)
{
	struct world *w = *state;
	struct sip_resolve_key key = { .host = "plain.test", .sips = true };
	char longest[400];

	sip_resolve(w->r, &key, on_resolved, w, NULL);
	assert_int_equal(w->calls_n, 1);
	assert_int_equal(w->err, ERR_NOT_FOUND);
	resolve(w, "plain.test", 0, "tls");
	assert_int_equal(w->err, ERR_NOT_FOUND);
	resolve(w, "plain.test", 0, "sctp");
	assert_int_equal(w->err, ERR_NOT_FOUND);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	resolve(w, longest, 0, NULL);
	assert_int_equal(w->err, ERR_NOT_FOUND);
	longest[200] = '\0'; /* a label of more than 63 */
	resolve(w, longest, 0, NULL);
	assert_int_equal(w->err, ERR_NOT_FOUND);
	resolve(w, "", 0, NULL);
	assert_int_equal(w->err, ERR_NOT_FOUND);
	resolve(w, "a..b", 0, NULL);
	assert_int_equal(w->err, ERR_NOT_FOUND);
	assert_int_equal(w->questions_n, 0);
}

static void
server_that_is_silent_ends_in_a_timeout(void **state)
{
	struct world *w = *state;

	resolve(w, "silent.test", 5060, NULL);
	assert_int_equal(w->err, ERR_TIMEOUT);
}

static void
those_who_ask_the_same_share_one_look_up(void **state)
{
	struct world *w = *state;
	struct sip_resolve_key key = { .host = "plain.test", .port = 5060 };

	for (int i = 0; i < 10; i++)
		sip_resolve(w->r, &key, on_resolved, w, NULL);
	WAIT(w, w->calls_n == 10);
	assert_int_equal(w->questions_n, 2); /* A and AAAA */
}

static void
cancelled_query_is_never_called(void **state)
{
	struct world *w = *state;
	struct sip_resolve_key key = { .host = "plain.test", .port = 5060 };
	struct sip_query *q;

	sip_resolve(w->r, &key, on_resolved, w, &q);
	sip_resolve_cancel(q);
	sip_resolve(w->r, &key, on_resolved, w, NULL);
	sip_resolve(w->r, &key, on_resolved, w, &w->to_cancel); /* by the callback before it */
	WAIT(w, w->calls_n == 1);
	resolve(w, "srv.test", 0, NULL);
	assert_int_equal(w->calls_n, 2);
}

static void
freeing_drops_what_is_under_way(void **state)
{
	struct world *w = *state;
	struct sip_resolve_key key = { .host = "srv.test" };

	sip_resolve(w->r, &key, on_resolved, w, NULL);
	key.host = "silent.test";
	sip_resolve(w->r, &key, on_resolved, w, NULL);
	event_base_loop(w->base, EVLOOP_ONCE);
	sip_resolver_free(w->r);
	w->r = NULL;
	assert_int_equal(w->calls_n, 0);
}

static void
cache_at_its_cap_forgets_the_oldest(void **state)
{
	struct world *w = *state;
	char name[32];

	for (unsigned i = 0; i < 4097; i++) {
		sprintf(name, "n%u.test", i);
		resolve(w, name, 5060, NULL);
	}
	w->questions_n = 0;
	resolve(w, "n4096.test", 5060, NULL);
	assert_int_equal(w->questions_n, 0);
	resolve(w, "n0.test", 5060, NULL);
	assert_int_equal(w->questions_n, 2);
}

static void
on_resolved_asks_more(void *arg, int err, const struct sip_targets *targets)
{
	struct world *w = arg;
	struct sip_resolve_key key = { .host = "one.more.test", .port = 5060 };

	on_resolved(arg, err, targets);
	sip_resolve(w->r, &key, on_resolved, w, NULL);
}

/* The oldest entry is the one whose callbacks are running while room is made for another. */
static void
cache_at_its_cap_keeps_an_entry_while_it_calls(void **state)
{
	struct world *w = *state;
	struct sip_resolve_key key = { .host = "late.test", .port = 5060 };
	char name[32];

	w->late = true;
	sip_resolve(w->r, &key, on_resolved_asks_more, w, NULL);
	sip_resolve(w->r, &key, on_resolved, w, NULL);
	for (unsigned i = 0; i < 4095; i++) {
		sprintf(name, "n..%u.test", i); /* no name at all: answered at once */
		resolve(w, name, 5060, NULL);
	}
	w->calls_n = 0;
	w->late = false;
	WAIT(w, w->calls_n == 3);
}

static void
least_ttl_of_an_answer_counts_wherever_it_is_cut(void **state)
{
	static const uint8_t head[] = { 0, 1, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0, 1, 'a', 0, 0, 1,
		0, 1 };
	static const uint32_t ttl_s[] = { 60, 30 };
	uint8_t answer[100];
	struct wire_write w = wire_writer(answer, sizeof(answer));

	(void)state;
	wire_put_bytes(&w, head, sizeof(head));
	for (size_t i = 0; i < 2; i++) {
		wire_put_u16(&w, 0xc00c);
		wire_put_u32(&w, 0x00010001);
		wire_put_u32(&w, ttl_s[i]);
		wire_put_u16(&w, 4);
		wire_put_u32(&w, 0x7f000001);
	}
	assert_int_equal(resolve_dns_ttl_s(answer, (int)w.used), 30);
	for (size_t cut = 0; cut < w.used; cut++) {
		uint8_t *copy = malloc(cut);

		memcpy(copy, answer, cut);
		assert_int_equal(resolve_dns_ttl_s(copy, (int)cut),
		    cut < w.used - 16 ? UINT_MAX : 60);
		free(copy);
	}
}

static void
localhost_comes_from_the_hosts_file(void **state)
{
	struct world *w = *state;

	assert_non_null(strstr(resolve(w, "localhost", 5060, NULL), "udp:127.0.0.1:5060"));
	assert_int_equal(w->questions_n, 0);
}

static void
bad_server_is_refused(void **state)
{
	struct world *w = *state;
	char bad[] = "not an address";
	char *server = bad;
	struct sip_resolver *r = NULL;

	assert_int_equal(sip_resolver_new(w->base, &server, 1, &r), ERR_MALFORMED);
	assert_null(r);
	assert_int_equal(sip_resolver_new(w->base, NULL, 0, &r), 0);
	sip_resolver_free(r);
	sip_resolver_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(literal_address_is_answered_at_once),
		TEST(port_in_the_uri_needs_no_naptr_and_no_srv),
		TEST(transport_in_the_uri_asks_for_its_srv_alone),
		TEST(naptr_decides_on_the_transport_where_there_is_one),
		TEST(host_without_srv_is_asked_itself_at_the_default_port),
		TEST(both_families_are_given_ipv4_first),
		TEST(srv_target_without_address_is_passed_over),
		TEST(weights_of_srv_share_the_calls_out),
		TEST(srv_without_weight_has_its_turn_too),
		TEST(name_that_is_not_there_is_not_found_and_remembered),
		TEST(what_cannot_be_resolved_is_not_found_at_once),
		TEST(server_that_is_silent_ends_in_a_timeout),
		TEST(those_who_ask_the_same_share_one_look_up),
		TEST(cancelled_query_is_never_called),
		TEST(freeing_drops_what_is_under_way),
		TEST(cache_at_its_cap_forgets_the_oldest),
		TEST(cache_at_its_cap_keeps_an_entry_while_it_calls),
		TEST(least_ttl_of_an_answer_counts_wherever_it_is_cut),
		TEST(localhost_comes_from_the_hosts_file),
		TEST(bad_server_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
