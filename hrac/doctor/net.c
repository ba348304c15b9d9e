/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "hrac/doctor/impl.h"

#define NAME_S 5
#define CONNECT_MS 4000

/* -- Names: as the system resolves them, each by a thread, since that blocks -- */

struct question {
	pthread_t thread;
	char name[DOCTOR_NAME_MAX];
	struct addrinfo *answer;
	int err;
	uint64_t begin_us, end_us;
};

static void *
ask(void *arg)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct question *q = arg;

	q->err = getaddrinfo(q->name, NULL, &hints, &q->answer);
	q->end_us = clock_us();
	return NULL;
}

static struct question *
question_new(const char *name)
{
	struct question *q = mem_zalloc(sizeof(*q));

	snprintf(q->name, sizeof(q->name), "%s", name);
	q->begin_us = clock_us();
	if (pthread_create(&q->thread, NULL, ask, q) == 0)
		return q;
	mem_free(q);
	return NULL;
}

static void
take_answer(struct doctor_host *h, const struct question *q)
{
	h->name_us = (uint32_t)(q->end_us - q->begin_us);
	if (q->err != 0) {
		snprintf(h->trouble, sizeof(h->trouble), "%s", gai_strerror(q->err));
		return;
	}
	for (const struct addrinfo *i = q->answer; i != NULL; i = i->ai_next) {
		struct doctor_address *a = &h->address[h->address_n];

		if (h->address_n == DOCTOR_ADDRESSES_MAX)
			break;
		addr_from_sockaddr(i->ai_addr, &a->addr);
		addr_set_port(&a->addr, h->port);
		h->address_n++;
	}
}

static void
await_answer(struct doctor_host *h, struct question *q, const struct timespec *until)
{
	if (q == NULL) {
		snprintf(h->trouble, sizeof(h->trouble), "no thread can be made to ask");
		return;
	}
	if (pthread_timedjoin_np(q->thread, NULL, until) != 0) {
		/* It cannot be called back; what it holds stays its own. */
		pthread_detach(q->thread);
		h->name_us = (uint32_t)(clock_us() - q->begin_us);
		snprintf(h->trouble, sizeof(h->trouble), "no name server answers");
		return;
	}
	take_answer(h, q);
	if (q->answer != NULL)
		freeaddrinfo(q->answer);
	mem_free(q);
}

static void
resolve(struct doctor_host *hosts, size_t n)
{
	struct question *questions[DOCTOR_HOSTS_MAX] = { NULL };
	struct timespec until;

	for (size_t i = 0; i < n; i++) {
		struct doctor_host *h = &hosts[i];

		if (addr_parse_host(h->name, strlen(h->name), h->port, &h->address[0].addr) == 0) {
			h->literal = true;
			h->address_n = 1;
		} else {
			questions[i] = question_new(h->name);
		}
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += NAME_S;
	for (size_t i = 0; i < n; i++) {
		if (!hosts[i].literal)
			await_answer(&hosts[i], questions[i], &until);
	}
}

/* -- TCP: all addresses at a time -- */

#define KNOCKS_MAX (DOCTOR_HOSTS_MAX * DOCTOR_ADDRESSES_MAX)

struct knocks {
	struct pollfd fds[KNOCKS_MAX];
	struct doctor_address *address[KNOCKS_MAX];
	size_t n;
	uint64_t begin_us;
};

static void
decide(struct knocks *k, size_t i, int err)
{
	struct doctor_address *a = k->address[i];

	a->us = (uint32_t)(clock_us() - k->begin_us);
	if (err == 0)
		a->door = DOCTOR_OPEN;
	else if (err == ECONNREFUSED || err == ECONNRESET)
		a->door = DOCTOR_REFUSED;
	else
		a->door = err == ETIMEDOUT ? DOCTOR_SILENT : DOCTOR_UNREACHABLE;
	if (k->fds[i].fd >= 0)
		close(k->fds[i].fd);
	k->fds[i].fd = -1;
}

static void
knock(struct knocks *k, struct doctor_address *a)
{
	size_t i = k->n++;
	int fd = socket(a->addr.u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	k->fds[i] = (struct pollfd){ .fd = fd, .events = POLLOUT };
	k->address[i] = a;
	if (fd < 0)
		decide(k, i, errno);
	else if (connect(fd, &a->addr.u.sa, addr_len(&a->addr)) == 0)
		decide(k, i, 0);
	else if (errno != EINPROGRESS)
		decide(k, i, errno);
}

static void
hear(struct knocks *k)
{
	socklen_t len = sizeof(int);
	int err = 0;

	for (size_t i = 0; i < k->n; i++) {
		if (k->fds[i].fd < 0 || k->fds[i].revents == 0)
			continue;
		if (getsockopt(k->fds[i].fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
			err = errno;
		decide(k, i, err);
	}
}

static size_t
open_n(const struct knocks *k)
{
	size_t n = 0;

	for (size_t i = 0; i < k->n; i++)
		n += k->fds[i].fd >= 0;
	return n;
}

static void
knock_at_all(struct doctor_host *hosts, size_t n)
{
	struct knocks k = { .begin_us = clock_us() };

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < hosts[i].address_n; j++)
			knock(&k, &hosts[i].address[j]);
	while (open_n(&k) > 0) {
		uint64_t spent_ms = (clock_us() - k.begin_us) / CLOCK_MS;

		if (spent_ms >= CONNECT_MS)
			break;
		if (poll(k.fds, k.n, (int)(CONNECT_MS - spent_ms)) > 0)
			hear(&k);
	}
	for (size_t i = 0; i < k.n; i++) {
		if (k.fds[i].fd >= 0)
			decide(&k, i, ETIMEDOUT);
	}
}

void
doctor_net_look(struct doctor_host *hosts, size_t n)
{
	resolve(hosts, n);
	knock_at_all(hosts, n);
}
