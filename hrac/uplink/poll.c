/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink/poll.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>

#include "base/mem.h"

#define RESTING_MAX 128L /* connections of bounded streams, between two of them */

/* A socket of libcurl's. What it waits for is changed by uplink_poll_apply. */
struct sock {
	LIST_ENTRY(sock) link, changed_link; /* the latter while `changed` */
	struct event readable, writable;
	bool want_read, want_write, waits_read, waits_write, changed;
};
LIST_HEAD(socks, sock);

struct uplink_poll {
	struct event_base *base;
	uplink_poll_cb *on_turn;
	void *arg;
	CURLM *multi;
	struct socks socks, changed;
	struct event timer;
	long timeout_ms; /* what libcurl asks for; -1 = nothing */
	bool timeout_changed;
	bool inside; /* libcurl */
};

void
uplink_poll_act(struct uplink_poll *p, curl_socket_t fd, int bits)
{
	int running;

	p->inside = true;
	curl_multi_socket_action(p->multi, fd, bits, &running);
	p->inside = false;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct uplink_poll *p = arg;

	(void)what;
	uplink_poll_act(p, fd, CURL_CSELECT_IN);
	p->on_turn(p->arg);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct uplink_poll *p = arg;

	(void)what;
	uplink_poll_act(p, fd, CURL_CSELECT_OUT);
	p->on_turn(p->arg);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct uplink_poll *p = arg;

	(void)fd;
	(void)what;
	uplink_poll_act(p, CURL_SOCKET_TIMEOUT, 0);
	p->on_turn(p->arg);
}

static int
on_curl_timeout(CURLM *multi, long timeout_ms, void *arg)
{
	struct uplink_poll *p = arg;

	(void)multi;
	p->timeout_ms = timeout_ms;
	p->timeout_changed = true;
	return 0;
}

static void
sock_free(struct sock *s)
{
	if (s->changed)
		LIST_REMOVE(s, changed_link);
	event_del(&s->readable);
	event_del(&s->writable);
	LIST_REMOVE(s, link);
	mem_free(s);
}

static struct sock *
sock_new(struct uplink_poll *p, curl_socket_t fd)
{
	struct sock *s = mem_zalloc(sizeof(*s));

	event_assign(&s->readable, p->base, fd, EV_READ | EV_PERSIST, on_readable, p);
	event_assign(&s->writable, p->base, fd, EV_WRITE | EV_PERSIST, on_writable, p);
	LIST_INSERT_HEAD(&p->socks, s, link);
	curl_multi_assign(p->multi, fd, s);
	return s;
}

static int
on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *sock)
{
	struct uplink_poll *p = arg;
	struct sock *s = sock;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		/* At once: libcurl closes the descriptor, and its number may come back. */
		if (s != NULL)
			sock_free(s);
		return 0;
	}
	if (s == NULL)
		s = sock_new(p, fd);
	s->want_read = (what & CURL_POLL_IN) != 0;
	s->want_write = (what & CURL_POLL_OUT) != 0;
	if (!s->changed)
		LIST_INSERT_HEAD(&p->changed, s, changed_link);
	s->changed = true;
	return 0;
}

static void
wait_for(struct event *ev, bool want, bool *waits)
{
	if (want == *waits)
		return;
	*waits = want;
	if (want)
		event_add(ev, NULL);
	else
		event_del(ev);
}

void
uplink_poll_apply(struct uplink_poll *p)
{
	struct timeval tv;
	struct sock *s;

	while ((s = LIST_FIRST(&p->changed)) != NULL) {
		LIST_REMOVE(s, changed_link);
		s->changed = false;
		wait_for(&s->readable, s->want_read, &s->waits_read);
		wait_for(&s->writable, s->want_write, &s->waits_write);
	}
	if (!p->timeout_changed)
		return;
	p->timeout_changed = false;
	if (p->timeout_ms < 0) {
		event_del(&p->timer);
		return;
	}
	tv.tv_sec = p->timeout_ms / 1000;
	tv.tv_usec = p->timeout_ms % 1000 * 1000;
	event_add(&p->timer, &tv);
}

CURLM *
uplink_poll_multi(struct uplink_poll *p)
{
	return p->multi;
}

bool
uplink_poll_is_inside(const struct uplink_poll *p)
{
	return p->inside;
}

struct uplink_poll *
uplink_poll_new(struct event_base *base, uplink_poll_cb *on_turn, void *arg)
{
	struct uplink_poll *p;
	CURLM *multi;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return NULL;
	multi = curl_multi_init();
	if (multi == NULL) {
		curl_global_cleanup();
		return NULL;
	}
	p = mem_zalloc(sizeof(*p));
	p->base = base;
	p->on_turn = on_turn;
	p->arg = arg;
	p->multi = multi;
	LIST_INIT(&p->socks);
	LIST_INIT(&p->changed);
	evtimer_assign(&p->timer, base, on_timer, p);
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, p);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_curl_timeout);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, p);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, RESTING_MAX);
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	return p;
}

void
uplink_poll_free(struct uplink_poll *p)
{
	struct sock *s;

	if (p == NULL)
		return;
	curl_multi_cleanup(p->multi);
	while ((s = LIST_FIRST(&p->socks)) != NULL)
		sock_free(s);
	event_del(&p->timer);
	mem_free(p);
	curl_global_cleanup();
}
