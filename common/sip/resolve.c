/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/resolve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "log/log.h"
#include "sip/resolve_impl.h"

#define SIP_PORT 5060
#define ENTRIES_MAX 4096
#define TTL_MAX_S 300
#define TTL_MIN_S 1 /* a TTL of 0 still serves those who ask in the same moment */
#define FAILED_TTL_S 10
#define LOOKUP_S 8 /* for the whole procedure; a client of SIP gives up after 32 */

/* -- The table -- */

static struct resolve_entry *
entry_find(struct sip_resolver *r, const char *key)
{
	struct resolve_entry *e;

	HASH_FIND(hh, r->entries, key, strlen(key), e);
	return e;
}

static void
entry_add(struct sip_resolver *r, struct resolve_entry *e)
{
	HASH_ADD_KEYPTR(hh, r->entries, e->key, strlen(e->key), e);
}

static void
entry_del(struct resolve_entry *e)
{
	HASH_DEL(e->r->entries, e);
	if (e->op != NULL)
		e->op->entry = NULL;
	if (e->deadline != NULL)
		event_free(e->deadline);
	mem_free(e->key);
	mem_free(e);
}

/* The oldest that is ready. uthash keeps the order of insertion; those under way are the
 * youngest, so that the first one nearly always is it. */
static bool
make_room(struct sip_resolver *r)
{
	if (HASH_COUNT(r->entries) < ENTRIES_MAX)
		return true;
	for (struct resolve_entry *e = r->entries; e != NULL; e = e->hh.next) {
		if (e->ready && !e->calling) {
			entry_del(e);
			return true;
		}
	}
	return false;
}

/* -- The resolver -- */

int
sip_resolver_new(struct event_base *base, char *const *servers, size_t servers_n,
    struct sip_resolver **out)
{
	struct sip_resolver *r = mem_zalloc(sizeof(*r));
	int err;

	r->base = base;
	LIST_INIT(&r->sockets);
	err = resolve_dns_open(r, servers, servers_n);
	if (err != 0) {
		mem_free(r);
		return err;
	}
	*out = r;
	return 0;
}

void
sip_resolver_free(struct sip_resolver *r)
{
	struct sip_query *q;

	if (r == NULL)
		return;
	r->closing = true;
	resolve_dns_close(r);
	while (r->entries != NULL) {
		struct resolve_entry *e = r->entries;

		while ((q = TAILQ_FIRST(&e->waiting)) != NULL) {
			TAILQ_REMOVE(&e->waiting, q, next);
			mem_free(q);
		}
		entry_del(e);
	}
	mem_free(r);
}

/* -- Answers -- */

static void
call(const struct resolve_entry *e, sip_resolve_cb *cb, void *arg)
{
	struct sip_targets targets = { .n = 0 };

	if (e->err == 0)
		resolve_order(&e->answer, &targets);
	cb(arg, e->err, &targets);
}

void
resolve_finish(struct resolve_entry *e, int err)
{
	unsigned ttl_s = e->ttl_s < TTL_MAX_S ? e->ttl_s : TTL_MAX_S;
	struct sip_query *q;

	if (ttl_s < TTL_MIN_S)
		ttl_s = TTL_MIN_S;
	e->ready = true;
	e->err = err;
	e->expires_us = clock_us() + (err == 0 ? ttl_s : FAILED_TTL_S) * CLOCK_S;
	event_free(e->deadline);
	e->deadline = NULL;
	/* While one is called, others may be cancelled or may ask again. */
	e->calling = true;
	while ((q = TAILQ_FIRST(&e->waiting)) != NULL) {
		sip_resolve_cb *cb = q->cb;
		void *arg = q->arg;

		TAILQ_REMOVE(&e->waiting, q, next);
		mem_free(q);
		call(e, cb, arg);
	}
	e->calling = false;
}

static void
on_deadline(int fd, short what, void *arg)
{
	struct resolve_entry *e = arg;

	(void)fd;
	(void)what;
	if (e->op != NULL)
		e->op->entry = NULL;
	e->op = NULL;
	resolve_finish(e, ERR_TIMEOUT);
}

/* -- Questions -- */

static void
answer_literal(const struct addr *host, uint16_t port, enum sip_proto proto, sip_resolve_cb *cb,
    void *arg)
{
	struct sip_targets targets = { .n = 1 };

	targets.target[0].proto = proto;
	targets.target[0].addr = *host;
	addr_set_port(&targets.target[0].addr, port != 0 ? port : SIP_PORT);
	cb(arg, 0, &targets);
}

/* §4.1: TLS is not spoken yet, so that nothing is found for it. */
static bool
parse_transport(const struct sip_resolve_key *key, enum sip_proto *out)
{
	*out = SIP_UDP;
	if (key->sips)
		return false;
	if (key->transport == NULL || strcasecmp(key->transport, "udp") == 0)
		return true;
	*out = SIP_TCP;
	return strcasecmp(key->transport, "tcp") == 0;
}

static struct resolve_entry *
entry_new(struct sip_resolver *r, const struct sip_resolve_key *key, enum sip_proto proto)
{
	struct resolve_entry *e = mem_zalloc(sizeof(*e));
	size_t n = strlen(key->host);

	e->r = r;
	e->port = key->port;
	e->proto = proto;
	e->has_transport = key->transport != NULL;
	if (n > 0 && key->host[n - 1] == '.')
		n--;
	for (size_t i = 0; i < n; i++)
		e->host[i] =
		    (char)(key->host[i] | (key->host[i] >= 'A' && key->host[i] <= 'Z') << 5);
	e->key = mem_printf("%s %u %s", e->host, e->port,
	    e->has_transport ? sip_proto_param(proto) : "-");
	TAILQ_INIT(&e->waiting);
	return e;
}

/* The entry for the key: known, under way or new; NULL when the table is full of those under way. */
static struct resolve_entry *
find_or_add(struct sip_resolver *r, const struct sip_resolve_key *key, enum sip_proto proto,
    bool *is_new)
{
	struct resolve_entry *asked = entry_new(r, key, proto), *e = entry_find(r, asked->key);

	*is_new = false;
	if (e != NULL && e->ready && !e->calling && e->expires_us <= clock_us()) {
		entry_del(e);
		e = NULL;
	}
	if (e == NULL && make_room(r)) {
		entry_add(r, asked);
		*is_new = true;
		return asked;
	}
	mem_free(asked->key);
	mem_free(asked);
	return e;
}

static void
begin(struct resolve_entry *e)
{
	struct timeval tv = { LOOKUP_S, 0 };

	e->deadline = evtimer_new(e->r->base, on_deadline, e);
	event_add(e->deadline, &tv);
	resolve_start(e);
}

static void
fail(sip_resolve_cb *cb, void *arg, int err)
{
	static const struct sip_targets none;

	cb(arg, err, &none);
}

void
sip_resolve(struct sip_resolver *r, const struct sip_resolve_key *key, sip_resolve_cb *cb,
    void *arg, struct sip_query **out)
{
	struct resolve_entry *e;
	struct sip_query *q;
	enum sip_proto proto;
	struct addr literal;
	bool is_new;

	if (out != NULL)
		*out = NULL;
	if (!parse_transport(key, &proto) || strlen(key->host) >= RESOLVE_NAME_MAX ||
	    key->host[0] == '\0' || key->host[0] == '.') {
		fail(cb, arg, ERR_NOT_FOUND);
		return;
	}
	if (addr_parse_host(key->host, strlen(key->host), 0, &literal) == 0) {
		answer_literal(&literal, key->port, proto, cb, arg);
		return;
	}
	e = find_or_add(r, key, proto, &is_new);
	if (e == NULL) {
		fail(cb, arg, ERR_NOT_FOUND);
		return;
	}
	if (e->ready) {
		call(e, cb, arg);
		return;
	}
	q = mem_zalloc(sizeof(*q));
	q->entry = e;
	q->cb = cb;
	q->arg = arg;
	TAILQ_INSERT_TAIL(&e->waiting, q, next);
	if (out != NULL)
		*out = q;
	if (is_new)
		begin(e);
}

void
sip_resolve_cancel(struct sip_query *q)
{
	TAILQ_REMOVE(&q->entry->waiting, q, next);
	mem_free(q);
}
