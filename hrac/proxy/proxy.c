/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/proxy/proxy.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "hrac/proxy/pac.h"
#include "hrac/uplink/fetch.h"
#include "log/log.h"

#define COMPONENT "proxy"
#define FETCH_AGAIN_US (3600 * CLOCK_S)
#define TOLD_MAX 512

enum source { NONE, FIXED, ENVIRONMENT, PAC_FILE, PAC_WEB };

struct proxy_question {
	TAILQ_ENTRY(proxy_question) link;
	struct proxy *proxy;
	char *url;
	proxy_found_cb *cb;
	void *arg;
};
TAILQ_HEAD(questions, proxy_question);

struct proxy {
	struct event_base *base;
	enum source source;
	char *where; /* the proxy, the file, the URL; may have a login */
	char *name;  /* the same as people are told, without a login */
	char *user, *password, *ca, *pac_program;
	struct questions questions; /* the first is being answered */
	struct event next;          /* answers the first */
	struct uplink_fetch *fetch;
	struct pac_job *job;
	struct buf script;   /* what was fetched last, empty = nothing */
	uint64_t fetched_us; /* when that was tried last */
	bool stale;          /* it is to be fetched before the next answer */
	char told[TOLD_MAX]; /* the complaint that stands, "" = none */
};

/* -- Answering -- */

static void
answer_next(struct proxy *p)
{
	static const struct timeval now = { 0, 0 };

	if (!TAILQ_EMPTY(&p->questions) && p->fetch == NULL && p->job == NULL)
		event_add(&p->next, &now);
}

static void
question_free(struct proxy_question *q)
{
	TAILQ_REMOVE(&q->proxy->questions, q, link);
	mem_free(q->url);
	mem_free(q);
}

/* Ends the first question with what is in `ways`, which is taken over. */
static void
give(struct proxy *p, struct proxy_ways *ways)
{
	struct proxy_question *q = TAILQ_FIRST(&p->questions);
	proxy_found_cb *cb = q->cb;
	void *arg = q->arg;

	if (ways->n == 0)
		proxy_ways_add(ways, NULL, NULL, NULL);
	for (size_t i = 0; i < ways->n; i++) {
		struct proxy_way *way = &ways->way[i];

		if (way->proxy == NULL || way->user != NULL || p->user == NULL)
			continue;
		way->user = mem_strdup(p->user);
		way->password = mem_strdup(p->password);
	}
	question_free(q);
	answer_next(p);
	cb(arg, ways);
	proxy_ways_free(ways);
}

/* Says what is wrong when that is another thing than before, and sends the question directly. */
static void
give_up(struct proxy *p, const char *what, const char *why)
{
	struct proxy_ways ways = { 0 };
	char text[TOLD_MAX];

	snprintf(text, sizeof(text), "%s%s%s; trying without a proxy", what,
	    why[0] == '\0' ? "" : ": ", why);
	if (strcmp(text, p->told) != 0) {
		memcpy(p->told, text, sizeof(text));
		log_warn(COMPONENT, "%s", text);
	}
	give(p, &ways);
}

static void
answer_from_environment(struct proxy *p, const char *url)
{
	struct proxy_ways ways = { 0 };
	const char *variable = NULL;
	char text[64];

	if (proxy_ways_add_environment(&ways, url, getenv, &variable) == 0) {
		give(p, &ways);
		return;
	}
	snprintf(text, sizeof(text), "%s in the environment is no address of a proxy", variable);
	give_up(p, text, "");
}

/* -- PAC -- */

static void
on_pac(void *arg, const char *answer, const char *cause)
{
	struct proxy_ways ways = { 0 };
	struct proxy *p = arg;
	unsigned passed_over;
	char what[TOLD_MAX];

	p->job = NULL;
	snprintf(what, sizeof(what), "the PAC file %s", p->name);
	if (answer == NULL) {
		give_up(p, what, cause);
		return;
	}
	passed_over = proxy_ways_add_pac(&ways, answer);
	if (ways.n == 0) {
		snprintf(what, sizeof(what), "the PAC file %s gives \"%.100s\", which names no way",
		    p->name, answer);
		give_up(p, what, "");
		return;
	}
	if (passed_over > 0)
		log_debug(COMPONENT, "of \"%s\" %u entries are not understood", answer,
		    passed_over);
	p->told[0] = '\0';
	give(p, &ways);
}

static void
evaluate(struct proxy *p)
{
	struct proxy_question *q = TAILQ_FIRST(&p->questions);
	char host[PROXY_HOST_MAX], *url;
	const char *path;
	unsigned port;

	if (!proxy_url_host(q->url, host, &port)) {
		give_up(p, q->url, "it has no host");
		return;
	}
	/* Like browsers, that keep the path to themselves. */
	path = strchr(strstr(q->url, "://") + 3, '/');
	url =
	    mem_printf("%.*s/", path == NULL ? (int)strlen(q->url) : (int)(path - q->url), q->url);
	p->job = pac_evaluate(p->base, p->pac_program, (const char *)buf_data(&p->script),
	    buf_len(&p->script), url, host, on_pac, p);
	mem_free(url);
	if (p->job == NULL)
		give_up(p, "a process for the PAC file cannot be made", strerror(errno));
}

static void
answer_from_file(struct proxy *p)
{
	char what[TOLD_MAX];
	uint8_t *room;
	ssize_t n;
	int fd;

	snprintf(what, sizeof(what), "the PAC file %s cannot be read", p->name);
	buf_free(&p->script);
	fd = open(p->where, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		give_up(p, what, strerror(errno));
		return;
	}
	do {
		errno = EFBIG;
		if (buf_reserve(&p->script, 16384, &room) < 0)
			n = -1;
		else if ((n = read(fd, room, 16384)) > 0)
			buf_commit(&p->script, (size_t)n);
	} while (n > 0);
	if (n < 0)
		give_up(p, what, strerror(errno));
	else
		evaluate(p);
	close(fd);
}

static void
on_fetched(void *arg, const uint8_t *body, size_t n, const char *cause)
{
	struct proxy *p = arg;
	char what[TOLD_MAX];

	p->fetch = NULL;
	p->fetched_us = clock_us();
	if (body != NULL) {
		buf_free(&p->script);
		if (buf_append(&p->script, body, n) == 0)
			p->stale = false;
	}
	if (TAILQ_EMPTY(&p->questions))
		return;
	/* One that was good an hour ago and cannot be had now is better than none. */
	if (body != NULL || (!p->stale && buf_len(&p->script) > 0)) {
		evaluate(p);
		return;
	}
	snprintf(what, sizeof(what), "the PAC file %s cannot be had", p->name);
	give_up(p, what, cause);
}

static void
answer_from_web(struct proxy *p)
{
	if (!p->stale && buf_len(&p->script) > 0 && clock_us() - p->fetched_us < FETCH_AGAIN_US) {
		evaluate(p);
		return;
	}
	p->fetch = uplink_fetch_start(p->base, p->where, p->ca, PAC_SCRIPT_MAX, on_fetched, p);
	if (p->fetch == NULL)
		give_up(p, "the PAC file cannot be fetched", "");
}

/* -- The interface -- */

static void
on_next(evutil_socket_t fd, short what, void *arg)
{
	struct proxy *p = arg;
	struct proxy_question *q = TAILQ_FIRST(&p->questions);
	struct proxy_ways ways = { 0 };

	(void)fd;
	(void)what;
	if (q == NULL || p->fetch != NULL || p->job != NULL)
		return;
	switch (p->source) {
	case NONE:
		give(p, &ways);
		break;
	case FIXED:
		(void)proxy_ways_add_url(&ways, p->where);
		give(p, &ways);
		break;
	case ENVIRONMENT:
		answer_from_environment(p, q->url);
		break;
	case PAC_FILE:
		answer_from_file(p);
		break;
	case PAC_WEB:
		answer_from_web(p);
		break;
	}
}

static int
parse_option(const char *option, enum source *source, const char **where)
{
	struct proxy_ways ways = { 0 };
	int err;

	*where = "";
	if (option == NULL || strcasecmp(option, "environment") == 0) {
		*source = ENVIRONMENT;
	} else if (strcasecmp(option, "none") == 0) {
		*source = NONE;
	} else if (strncasecmp(option, "pac:", 4) == 0) {
		*where = option + 4;
		*source = **where == '/' ? PAC_FILE : PAC_WEB;
	} else {
		*where = option;
		*source = FIXED;
		err = proxy_ways_add_url(&ways, option);
		proxy_ways_free(&ways);
		return err;
	}
	return 0;
}

/* "http://user:password@host/x" as "http://host/x"; owned by the caller. */
static char *
without_login(const char *where)
{
	const char *host = strstr(where, "://");
	size_t scheme_n, login_n;

	if (*where == '/' || host == NULL)
		return mem_strdup(where);
	host += 3;
	scheme_n = (size_t)(host - where);
	/* The last one before the path: a password may have one, too. */
	for (login_n = strcspn(host, "/?#"); login_n > 0 && host[login_n - 1] != '@'; login_n--)
		;
	return mem_printf("%.*s%s", (int)scheme_n, where, host + login_n);
}

int
proxy_new(struct event_base *base, const struct proxy_config *config, struct proxy **out)
{
	enum source source;
	const char *where;
	struct proxy *p;

	if (parse_option(config->option, &source, &where) < 0) {
		log_error(COMPONENT, "tunnel.proxy cannot be understood");
		return ERR_MALFORMED;
	}
	p = mem_zalloc(sizeof(*p));
	p->base = base;
	p->source = source;
	p->where = mem_strdup(where);
	p->name = without_login(where);
	p->user = mem_strdup(config->user);
	p->password = mem_strdup(config->password);
	p->ca = mem_strdup(config->ca);
	p->pac_program =
	    mem_strdup(config->pac_program == NULL ? PAC_PROGRAM_SELF : config->pac_program);
	TAILQ_INIT(&p->questions);
	buf_init(&p->script, PAC_SCRIPT_MAX);
	evtimer_assign(&p->next, base, on_next, p);
	*out = p;
	return 0;
}

void
proxy_finder_free(struct proxy *p)
{
	struct proxy_question *q;

	if (p == NULL)
		return;
	while ((q = TAILQ_FIRST(&p->questions)) != NULL)
		question_free(q);
	event_del(&p->next);
	uplink_fetch_cancel(p->fetch);
	pac_cancel(p->job);
	buf_free(&p->script);
	mem_wipe_free(p->where, strlen(p->where));
	mem_free(p->name);
	mem_free(p->user);
	if (p->password != NULL)
		mem_wipe_free(p->password, strlen(p->password));
	mem_free(p->ca);
	mem_free(p->pac_program);
	mem_free(p);
}

struct proxy_question *
proxy_find(struct proxy *p, const char *url, proxy_found_cb *cb, void *arg)
{
	struct proxy_question *q = mem_zalloc(sizeof(*q));

	q->proxy = p;
	q->url = mem_strdup(url);
	q->cb = cb;
	q->arg = arg;
	TAILQ_INSERT_TAIL(&p->questions, q, link);
	answer_next(p);
	return q;
}

void
proxy_find_cancel(struct proxy_question *q)
{
	struct proxy *p = q->proxy;
	bool first = q == TAILQ_FIRST(&p->questions);

	question_free(q);
	if (first && p->job != NULL) { /* it was asked for this one */
		pac_cancel(p->job);
		p->job = NULL;
	}
	answer_next(p);
}

void
proxy_network_changed(struct proxy *p)
{
	p->stale = true;
}
