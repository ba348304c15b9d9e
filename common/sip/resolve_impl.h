/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_RESOLVE_IMPL_H
#define VOFW_SIP_RESOLVE_IMPL_H

#include <ares.h>
#include <event2/event.h>
#include <sys/queue.h>
#include <uthash.h>

#include "base/err.h"
#include "sip/resolve.h"

/*
 * What the files of the resolver share: resolve.c (who asks, the cache), resolve_steps.c (the
 * procedure of RFC 3263 §4 and the order of RFC 2782), resolve_dns.c (c-ares on the event loop).
 * Nobody else includes it.
 */
#define RESOLVE_NAME_MAX 254
#define RESOLVE_HOSTS_MAX 8 /* SRV targets looked at */
#define RESOLVE_HOST_ADDRS_MAX 4
#define RESOLVE_JOBS_MAX 4 /* SRV names looked up */

/* A host that may serve, from SRV or the URI itself. */
struct resolve_host {
	char name[RESOLVE_NAME_MAX];
	uint16_t port;
	enum sip_proto proto;
	unsigned rank; /* of its transport: NAPTR's order, or our own */
	unsigned priority, weight;
	struct addr addrs[RESOLVE_HOST_ADDRS_MAX];
	size_t addrs_n;
};

struct resolve_answer {
	struct resolve_host hosts[RESOLVE_HOSTS_MAX];
	size_t hosts_n;
};

struct resolve_job { /* a SRV name to be asked for */
	char name[RESOLVE_NAME_MAX];
	enum sip_proto proto;
	unsigned rank;
};

/* One question to the DNS under way; outlives its entry when that was given up. */
struct resolve_op {
	struct resolve_entry *entry; /* NULL: nobody wants to know any more */
};

struct sip_query { /* one who waits for an entry */
	TAILQ_ENTRY(sip_query) next;
	struct resolve_entry *entry;
	sip_resolve_cb *cb;
	void *arg;
};
TAILQ_HEAD(resolve_queries, sip_query);

/* What is known, or being asked, of one key. */
struct resolve_entry {
	struct sip_resolver *r;
	char *key; /* in the table */
	char host[RESOLVE_NAME_MAX];
	uint16_t port;
	bool has_transport;
	enum sip_proto proto;
	bool ready;
	bool calling; /* those who waited: it must not go away meanwhile */
	int err;      /* when ready */
	uint64_t expires_us;
	struct resolve_answer answer;
	struct resolve_queries waiting;
	/* While it is not ready: */
	struct resolve_op *op;
	struct event *deadline;
	struct resolve_job jobs[RESOLVE_JOBS_MAX];
	size_t jobs_n, job, host_i;
	bool timed_out; /* some question was */
	unsigned ttl_s; /* the least one seen */
	UT_hash_handle hh;
};

struct resolve_socket {
	LIST_ENTRY(resolve_socket) next;
	struct sip_resolver *r;
	ares_socket_t fd;
	struct event *event;
};

struct sip_resolver {
	struct event_base *base;
	ares_channel channel;
	struct event *timeout;
	LIST_HEAD(, resolve_socket) sockets;
	struct resolve_entry *entries;
	bool closing;
};

/* -- resolve.c -- */

/* The end of a look-up: e is ready, all who wait are called. */
void resolve_finish(struct resolve_entry *e, int err);

/* -- resolve_steps.c -- */

void resolve_start(struct resolve_entry *e);
/* The targets of an answer, in an order of RFC 2782: another one each time. */
void resolve_order(const struct resolve_answer *a, struct sip_targets *out);

/* -- resolve_dns.c -- */

int resolve_dns_open(struct sip_resolver *r, char *const *servers, size_t servers_n);
void resolve_dns_close(struct sip_resolver *r);
/* Asks; the answer comes to `cb` of c-ares with a struct resolve_op, perhaps at once. */
void resolve_dns_query(struct resolve_entry *e, const char *name, int type, ares_callback cb);
void resolve_dns_addresses(struct resolve_entry *e, const char *name, ares_addrinfo_callback cb);
/* In those callbacks, first: the entry that asked, or NULL when there is nothing to be done. */
struct resolve_entry *resolve_dns_answered(void *op, int status);
/* The least TTL in an answer; UINT_MAX when there is none. */
unsigned resolve_dns_ttl_s(const unsigned char *answer, int n);

#endif
