/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/nameser.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "log/log.h"
#include "sip/resolve_impl.h"

#define DNS_TIMEOUT_MS 1500 /* of the first try; c-ares doubles it for the second */
#define DNS_TRIES 2
#define DNS_PORT 53

/* -- c-ares on the event loop -- */

static void
arm(struct sip_resolver *r)
{
	struct timeval tv, *left = ares_timeout(r->channel, NULL, &tv);

	if (left == NULL)
		event_del(r->timeout);
	else
		event_add(r->timeout, left);
}

static void
on_timeout(int fd, short what, void *arg)
{
	struct sip_resolver *r = arg;

	(void)fd;
	(void)what;
	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(r);
}

static void
on_socket(int fd, short what, void *arg)
{
	struct sip_resolver *r = arg;

	ares_process_fd(r->channel, (what & EV_READ) != 0 ? fd : ARES_SOCKET_BAD,
	    (what & EV_WRITE) != 0 ? fd : ARES_SOCKET_BAD);
	arm(r);
}

static void
on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct sip_resolver *r = arg;
	struct resolve_socket *s;
	short what = (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));

	LIST_FOREACH(s, &r->sockets, next)
		if (s->fd == fd)
			break;
	if (s != NULL) {
		event_free(s->event);
	} else if (what != 0) {
		s = mem_zalloc(sizeof(*s));
		s->fd = fd;
		LIST_INSERT_HEAD(&r->sockets, s, next);
	}
	if (what != 0) {
		s->event = event_new(r->base, fd, (short)(what | EV_PERSIST), on_socket, r);
		event_add(s->event, NULL);
	} else if (s != NULL) {
		LIST_REMOVE(s, next);
		mem_free(s);
	}
}

static int
set_servers(struct sip_resolver *r, char *const *servers, size_t n)
{
	char name[ADDR_STR_MAX];
	struct addr a;
	struct buf csv;
	int err = 0;

	buf_init(&csv, 4096);
	for (size_t i = 0; i < n && err == 0; i++) {
		err = addr_parse(servers[i], DNS_PORT, &a);
		if (err == 0)
			err = buf_printf(&csv, "%s%s", i == 0 ? "" : ",", addr_str(&a, name));
	}
	if (err == 0)
		err = buf_append(&csv, "", 1);
	if (err == 0 &&
	    ares_set_servers_ports_csv(r->channel, (const char *)buf_data(&csv)) != ARES_SUCCESS)
		err = ERR_MALFORMED;
	buf_free(&csv);
	return err;
}

int
resolve_dns_open(struct sip_resolver *r, char *const *servers, size_t servers_n)
{
	struct ares_options o = { .timeout = DNS_TIMEOUT_MS,
		.tries = DNS_TRIES,
		.ndomains = 0, /* a SIP URI's host is a full name: nothing is to be hung on it */
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = r };
	int err;

	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return ERR_IO;
	if (ares_init_options(&r->channel, &o,
		ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_DOMAINS | ARES_OPT_SOCK_STATE_CB) !=
	    ARES_SUCCESS) {
		ares_library_cleanup();
		return ERR_IO;
	}
	r->timeout = evtimer_new(r->base, on_timeout, r);
	err = servers_n > 0 ? set_servers(r, servers, servers_n) : 0;
	if (err != 0)
		resolve_dns_close(r);
	return err;
}

void
resolve_dns_close(struct sip_resolver *r)
{
	ares_destroy(r->channel); /* calls back for everything under way, and closes its sockets */
	ares_library_cleanup();
	event_free(r->timeout);
}

/* -- Questions and answers -- */

static struct resolve_op *
op_new(struct resolve_entry *e)
{
	struct resolve_op *op = mem_zalloc(sizeof(*op));

	op->entry = e;
	e->op = op;
	return op;
}

void
resolve_dns_query(struct resolve_entry *e, const char *name, int type, ares_callback cb)
{
	struct sip_resolver *r = e->r;

	ares_query(r->channel, name, ns_c_in, type, cb, op_new(e));
	arm(r);
}

void
resolve_dns_addresses(struct resolve_entry *e, const char *name, ares_addrinfo_callback cb)
{
	/* Unsorted: c-ares would probe the routes with sockets of its own. */
	static const struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT,
		.ai_family = AF_UNSPEC };
	struct sip_resolver *r = e->r;

	ares_getaddrinfo(r->channel, name, NULL, &hints, cb, op_new(e));
	arm(r);
}

struct resolve_entry *
resolve_dns_answered(void *arg, int status)
{
	struct resolve_op *op = arg;
	struct resolve_entry *e = op->entry;

	mem_free(op);
	if (e == NULL)
		return NULL;
	e->op = NULL;
	if (status == ARES_EDESTRUCTION || e->r->closing)
		return NULL;
	if (status == ARES_ETIMEOUT || status == ARES_ECONNREFUSED)
		e->timed_out = true;
	return e;
}

/* Behind the name at p; NULL when it does not end within the message. */
static const unsigned char *
skip_name(const unsigned char *p, const unsigned char *answer, int n)
{
	char *name;
	long len;

	if (ares_expand_name(p, answer, n, &name, &len) != ARES_SUCCESS)
		return NULL;
	ares_free_string(name);
	return p + len;
}

unsigned
resolve_dns_ttl_s(const unsigned char *answer, int n)
{
	struct wire_read r = wire_reader(answer, (size_t)n);
	const unsigned char *p = answer + NS_HFIXEDSZ;
	unsigned least = UINT_MAX, questions, answers;

	wire_get_u32(&r); /* id and flags */
	questions = wire_get_u16(&r);
	answers = wire_get_u16(&r);
	for (unsigned i = 0; i < questions + answers && !r.bad; i++) {
		unsigned ttl;

		p = skip_name(p, answer, n);
		if (p == NULL)
			return least;
		r = wire_reader(p, (size_t)(answer + n - p));
		wire_get_u32(&r); /* type and class */
		if (i >= questions) {
			ttl = wire_get_u32(&r);
			wire_get_bytes(&r, wire_get_u16(&r));
			if (!r.bad && ttl < least)
				least = ttl;
		}
		p = r.p;
	}
	return least;
}
