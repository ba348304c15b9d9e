/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/nameser.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/mem.h"
#include "sip/resolve_impl.h"

#define SIP_PORT 5060
#define RECORDS_MAX 64 /* of one NAPTR or SRV answer that are looked at */

static void next_srv(struct resolve_entry *e);
static void next_address(struct resolve_entry *e);

static void
saw_ttl(struct resolve_entry *e, unsigned ttl_s)
{
	if (ttl_s < e->ttl_s)
		e->ttl_s = ttl_s;
}

static void
add_host(struct resolve_entry *e, const char *name, const struct resolve_host *like)
{
	struct resolve_host *h;

	if (e->answer.hosts_n == RESOLVE_HOSTS_MAX || strlen(name) >= RESOLVE_NAME_MAX)
		return;
	h = &e->answer.hosts[e->answer.hosts_n++];
	*h = *like;
	snprintf(h->name, sizeof(h->name), "%s", name);
}

static void
add_job(struct resolve_entry *e, enum sip_proto proto, const char *name)
{
	struct resolve_job *j = &e->jobs[e->jobs_n];

	if (e->jobs_n == RESOLVE_JOBS_MAX || strlen(name) >= RESOLVE_NAME_MAX)
		return;
	j->proto = proto;
	j->rank = (unsigned)e->jobs_n;
	snprintf(j->name, sizeof(j->name), "%s", name);
	e->jobs_n++;
}

static void
add_srv_job(struct resolve_entry *e, enum sip_proto proto)
{
	char name[RESOLVE_NAME_MAX + 16];

	snprintf(name, sizeof(name), "_sip._%s.%s", sip_proto_param(proto), e->host);
	add_job(e, proto, name);
}

/* -- §4.1: which transport -- */

static int
compare_naptr(const void *a, const void *b)
{
	const struct ares_naptr_reply *x = *(struct ares_naptr_reply *const *)a;
	const struct ares_naptr_reply *y = *(struct ares_naptr_reply *const *)b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return x->preference < y->preference ? -1 : x->preference > y->preference;
}

static void
add_naptr_jobs(struct resolve_entry *e, struct ares_naptr_reply *list)
{
	const struct ares_naptr_reply *sorted[RECORDS_MAX];
	size_t n = 0;

	for (; list != NULL && n < RECORDS_MAX; list = list->next)
		sorted[n++] = list;
	qsort(sorted, n, sizeof(sorted[0]), compare_naptr);
	for (size_t i = 0; i < n; i++) {
		const struct ares_naptr_reply *r = sorted[i];

		if (strcasecmp((const char *)r->flags, "s") != 0 || *r->replacement == '\0')
			continue;
		if (strcasecmp((const char *)r->service, "SIP+D2U") == 0)
			add_job(e, SIP_UDP, r->replacement);
		else if (strcasecmp((const char *)r->service, "SIP+D2T") == 0)
			add_job(e, SIP_TCP, r->replacement);
	}
}

static void
on_naptr(void *arg, int status, int timeouts, unsigned char *answer, int n)
{
	struct resolve_entry *e = resolve_dns_answered(arg, status);
	struct ares_naptr_reply *list = NULL;

	(void)timeouts;
	if (e == NULL)
		return;
	if (status == ARES_SUCCESS && ares_parse_naptr_reply(answer, n, &list) == ARES_SUCCESS) {
		saw_ttl(e, resolve_dns_ttl_s(answer, n));
		add_naptr_jobs(e, list);
		ares_free_data(list);
	}
	if (e->jobs_n == 0) { /* no NAPTR that we can use: SRV for each transport of ours */
		add_srv_job(e, SIP_UDP);
		add_srv_job(e, SIP_TCP);
	}
	next_srv(e);
}

/* -- §4.2: which hosts and ports -- */

static int
compare_srv(const void *a, const void *b)
{
	const struct ares_srv_reply *x = *(struct ares_srv_reply *const *)a;
	const struct ares_srv_reply *y = *(struct ares_srv_reply *const *)b;

	return x->priority < y->priority ? -1 : x->priority > y->priority;
}

static void
add_srv_hosts(struct resolve_entry *e, const struct resolve_job *job, struct ares_srv_reply *list)
{
	const struct ares_srv_reply *sorted[RECORDS_MAX];
	size_t n = 0;

	for (; list != NULL && n < RECORDS_MAX; list = list->next)
		sorted[n++] = list;
	qsort(sorted, n, sizeof(sorted[0]), compare_srv);
	for (size_t i = 0; i < n; i++) {
		struct resolve_host like = { .port = sorted[i]->port,
			.proto = job->proto,
			.rank = job->rank,
			.priority = sorted[i]->priority,
			.weight = sorted[i]->weight };

		/* RFC 2782: the root as target says that the service is not there. */
		if (*sorted[i]->host != '\0' && strcmp(sorted[i]->host, ".") != 0 && like.port != 0)
			add_host(e, sorted[i]->host, &like);
	}
}

static void
on_srv(void *arg, int status, int timeouts, unsigned char *answer, int n)
{
	struct resolve_entry *e = resolve_dns_answered(arg, status);
	struct ares_srv_reply *list = NULL;

	(void)timeouts;
	if (e == NULL)
		return;
	if (status == ARES_SUCCESS && ares_parse_srv_reply(answer, n, &list) == ARES_SUCCESS) {
		saw_ttl(e, resolve_dns_ttl_s(answer, n));
		add_srv_hosts(e, &e->jobs[e->job], list);
		ares_free_data(list);
	}
	e->job++;
	next_srv(e);
}

static void
next_srv(struct resolve_entry *e)
{
	struct resolve_host itself = { .proto = e->proto, .port = SIP_PORT };

	if (e->job < e->jobs_n) {
		resolve_dns_query(e, e->jobs[e->job].name, ns_t_srv, on_srv);
		return;
	}
	if (e->answer.hosts_n == 0) /* no SRV: the host itself, at the default port */
		add_host(e, e->host, &itself);
	next_address(e);
}

static void
add_addresses(struct resolve_entry *e, const struct ares_addrinfo *info, int family)
{
	struct resolve_host *h = &e->answer.hosts[e->host_i];

	for (const struct ares_addrinfo_node *node = info->nodes; node != NULL;
	     node = node->ai_next) {
		struct addr *a = &h->addrs[h->addrs_n];

		if (node->ai_family != family || h->addrs_n == RESOLVE_HOST_ADDRS_MAX)
			continue;
		addr_from_sockaddr(node->ai_addr, a);
		addr_set_port(a, h->port);
		saw_ttl(e, node->ai_ttl > 0 ? (unsigned)node->ai_ttl : 0);
		h->addrs_n++;
	}
}

static void
on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct resolve_entry *e = resolve_dns_answered(arg, status);

	(void)timeouts;
	if (e != NULL && status == ARES_SUCCESS) {
		add_addresses(e, info, AF_INET);
		add_addresses(e, info, AF_INET6);
	}
	if (info != NULL)
		ares_freeaddrinfo(info);
	if (e == NULL)
		return;
	e->host_i++;
	next_address(e);
}

static void
next_address(struct resolve_entry *e)
{
	size_t found = 0;

	if (e->host_i < e->answer.hosts_n) {
		resolve_dns_addresses(e, e->answer.hosts[e->host_i].name, on_addresses);
		return;
	}
	for (size_t i = 0; i < e->answer.hosts_n; i++)
		found += e->answer.hosts[i].addrs_n;
	if (found > 0)
		resolve_finish(e, 0);
	else
		resolve_finish(e, e->timed_out ? ERR_TIMEOUT : ERR_NOT_FOUND);
}

void
resolve_start(struct resolve_entry *e)
{
	struct resolve_host itself = { .proto = e->proto, .port = e->port };

	e->ttl_s = UINT_MAX;
	if (e->port != 0) { /* an explicit port: no NAPTR, no SRV */
		add_host(e, e->host, &itself);
		next_address(e);
	} else if (e->has_transport) {
		add_srv_job(e, e->proto);
		next_srv(e);
	} else {
		resolve_dns_query(e, e->host, ns_t_naptr, on_naptr);
	}
}

/* -- The order to be tried in -- */

static unsigned
random_below(unsigned n)
{
	unsigned v = 0;

	(void)!getrandom(&v, sizeof(v), GRND_NONBLOCK);
	return v % n;
}

static bool
same_group(const struct resolve_host *a, const struct resolve_host *b)
{
	return a->rank == b->rank && a->priority == b->priority;
}

static bool
is_before(const struct resolve_host *a, const struct resolve_host *b)
{
	if (a->rank != b->rank)
		return a->rank < b->rank;
	if (a->priority != b->priority)
		return a->priority < b->priority;
	return a->weight == 0 && b->weight != 0; /* RFC 2782: those without weight first */
}

/* RFC 2782: of the n hosts of a group, the one whose running sum of weights reaches a random
 * number first. */
static size_t
pick(const struct resolve_host *const *group, size_t n)
{
	unsigned sum = 0, running = 0, at;

	for (size_t i = 0; i < n; i++)
		sum += group[i]->weight;
	at = random_below(sum + 1);
	for (size_t i = 0; i < n; i++) {
		running += group[i]->weight;
		if (running >= at)
			return i;
	}
	return n - 1;
}

static void
add_targets(const struct resolve_host *h, struct sip_targets *out)
{
	for (size_t i = 0; i < h->addrs_n && out->n < SIP_TARGETS_MAX; i++, out->n++) {
		out->target[out->n].proto = h->proto;
		out->target[out->n].addr = h->addrs[i];
	}
}

void
resolve_order(const struct resolve_answer *a, struct sip_targets *out)
{
	const struct resolve_host *left[RESOLVE_HOSTS_MAX];
	size_t n = 0;

	out->n = 0;
	for (; n < a->hosts_n; n++) { /* insertion: stable, and there are few */
		size_t i = n;

		for (; i > 0 && is_before(&a->hosts[n], left[i - 1]); i--)
			left[i] = left[i - 1];
		left[i] = &a->hosts[n];
	}
	for (const struct resolve_host **p = left; n > 0; p++, n--) {
		const struct resolve_host *chosen;
		size_t group_n = 1, i;

		while (group_n < n && same_group(p[0], p[group_n]))
			group_n++;
		i = pick(p, group_n);
		chosen = p[i];
		memmove(p + 1, p, i * sizeof(*p));
		add_targets(chosen, out);
	}
}
