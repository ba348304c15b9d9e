/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/support/tcp_forwarder.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/listener.h>
#include <string.h>
#include <sys/queue.h>

#include "base/mem.h"

/* Bytes on their way, held back. */
struct parcel {
	TAILQ_ENTRY(parcel) link;
	struct side *side; /* that it goes to */
	struct event due;
	struct evbuffer *bytes;
};
TAILQ_HEAD(parcels, parcel);

struct side {
	struct pair *pair;
	struct side *other;
	struct bufferevent *bev;
	struct parcels parcels;
};

struct pair {
	TAILQ_ENTRY(pair) link;
	struct tcp_forwarder *forwarder;
	struct side near, far; /* who connected, the target */
	bool ending;           /* one end is closed, what is under way still arrives */
	bool begun, swallowed;
};
TAILQ_HEAD(pairs, pair);

struct tcp_forwarder {
	struct event_base *base;
	struct evconnlistener *listener;
	struct addr target;
	struct pairs pairs;
	size_t open_n;
	uint64_t accepted_n, bytes;
	unsigned delay_ms;
	unsigned collect_ms[2]; /* down, up */
	bool black_hole, garble;
	const char *swallow;
};

static void
parcel_free(struct parcel *p)
{
	TAILQ_REMOVE(&p->side->parcels, p, link);
	event_del(&p->due);
	evbuffer_free(p->bytes);
	mem_free(p);
}

static void
side_free(struct side *s)
{
	struct parcel *p;

	while ((p = TAILQ_FIRST(&s->parcels)) != NULL)
		parcel_free(p);
	bufferevent_free(s->bev);
}

static void
pair_free(struct pair *p)
{
	TAILQ_REMOVE(&p->forwarder->pairs, p, link);
	p->forwarder->open_n--;
	side_free(&p->near);
	side_free(&p->far);
	mem_free(p);
}

static void
reset(struct bufferevent *bev)
{
	struct linger now = { 1, 0 };

	setsockopt(bufferevent_getfd(bev), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void
pair_cut(struct pair *p)
{
	reset(p->near.bev);
	reset(p->far.bev);
	pair_free(p);
}

static bool
is_empty(const struct side *s)
{
	return TAILQ_EMPTY(&s->parcels) && evbuffer_get_length(bufferevent_get_output(s->bev)) == 0;
}

static void
end_if_drained(struct pair *p)
{
	if (p->ending && is_empty(&p->near) && is_empty(&p->far))
		pair_free(p);
}

static void
on_due(evutil_socket_t fd, short what, void *arg)
{
	struct side *s = ((struct parcel *)arg)->side;
	struct parcel *p;

	(void)fd;
	(void)what;
	/* Timers of one moment fire in any order; bytes must not. */
	do {
		p = TAILQ_FIRST(&s->parcels);
		bufferevent_write_buffer(s->bev, p->bytes);
		parcel_free(p);
	} while (p != arg);
}

/* Spoils the beginning of what an HTTP chunk carries, not its framing. */
static void
garble(struct tcp_forwarder *f, struct evbuffer *in)
{
	struct evbuffer_ptr at = evbuffer_search(in, "\r\n", 2, NULL);
	size_t n = evbuffer_get_length(in);
	unsigned char *bytes = evbuffer_pullup(in, -1);

	if (at.pos < 0 || n < (size_t)at.pos + 8)
		return;
	memset(bytes + at.pos + 2, 0xff, 4);
	f->garble = false;
}

/* True when what came of a connection's first end is to be lost. */
static bool
swallow(struct pair *p, struct evbuffer *in)
{
	const char *beginning = p->forwarder->swallow;
	size_t n = beginning == NULL ? 0 : strlen(beginning);

	if (!p->begun) {
		p->begun = true;
		p->swallowed = n > 0 && evbuffer_get_length(in) >= n &&
		    memcmp(evbuffer_pullup(in, (ssize_t)n), beginning, n) == 0;
	}
	return p->swallowed;
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct side *s = arg;
	struct tcp_forwarder *f = s->pair->forwarder;
	struct evbuffer *in = bufferevent_get_input(bev);
	unsigned collect_ms = f->collect_ms[s == &s->pair->near];
	unsigned wait_ms = f->delay_ms + collect_ms;
	struct timeval tv = { wait_ms / 1000, wait_ms % 1000 * 1000 };
	struct parcel *p;

	if (s == &s->pair->near && swallow(s->pair, in)) {
		evbuffer_drain(in, evbuffer_get_length(in));
		return;
	}
	f->bytes += evbuffer_get_length(in);
	if (f->garble && s == &s->pair->far)
		garble(f, in);
	if (wait_ms == 0 && TAILQ_EMPTY(&s->other->parcels)) {
		bufferevent_write_buffer(s->other->bev, in);
		return;
	}
	p = TAILQ_LAST(&s->other->parcels, parcels);
	if (collect_ms > 0 && p != NULL) {
		evbuffer_add_buffer(p->bytes, in);
		return;
	}
	p = mem_zalloc(sizeof(*p));
	p->side = s->other;
	p->bytes = evbuffer_new();
	evbuffer_add_buffer(p->bytes, in);
	TAILQ_INSERT_TAIL(&s->other->parcels, p, link);
	evtimer_assign(&p->due, f->base, on_due, p);
	evtimer_add(&p->due, &tv);
}

static void
on_write(struct bufferevent *bev, void *arg)
{
	struct side *s = arg;

	(void)bev;
	end_if_drained(s->pair);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct side *s = arg;
	struct pair *p = s->pair;

	(void)bev;
	if (what & BEV_EVENT_ERROR) {
		pair_cut(p);
	} else if (what & BEV_EVENT_EOF) {
		p->ending = true;
		end_if_drained(p);
	}
}

static void
side_init(struct pair *p, struct side *s, struct side *other, evutil_socket_t fd)
{
	struct tcp_forwarder *f = p->forwarder;

	s->pair = p;
	s->other = other;
	TAILQ_INIT(&s->parcels);
	s->bev = bufferevent_socket_new(f->base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(s->bev, on_read, on_write, on_event, s);
}

static void
hold(struct pair *p, bool on)
{
	if (on) {
		bufferevent_disable(p->near.bev, EV_READ | EV_WRITE);
		bufferevent_disable(p->far.bev, EV_READ | EV_WRITE);
	} else {
		bufferevent_enable(p->near.bev, EV_READ | EV_WRITE);
		bufferevent_enable(p->far.bev, EV_READ | EV_WRITE);
	}
}

static void
on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
	struct tcp_forwarder *f = arg;
	struct pair *p = mem_zalloc(sizeof(*p));

	(void)l;
	(void)sa;
	(void)len;
	p->forwarder = f;
	TAILQ_INSERT_TAIL(&f->pairs, p, link);
	f->open_n++;
	f->accepted_n++;
	side_init(p, &p->near, &p->far, fd);
	side_init(p, &p->far, &p->near, -1);
	bufferevent_socket_connect(p->far.bev, &f->target.u.sa, (int)addr_len(&f->target));
	hold(p, f->black_hole);
}

struct tcp_forwarder *
tcp_forwarder_new(struct event_base *base, const struct addr *target)
{
	struct tcp_forwarder *f = mem_zalloc(sizeof(*f));
	struct sockaddr_in in4 = { .sin_family = AF_INET };

	in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->base = base;
	f->target = *target;
	TAILQ_INIT(&f->pairs);
	f->listener = evconnlistener_new_bind(base, on_accept, f,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 128, (struct sockaddr *)&in4, sizeof(in4));
	return f;
}

void
tcp_forwarder_free(struct tcp_forwarder *f)
{
	tcp_forwarder_cut_all(f);
	evconnlistener_free(f->listener);
	mem_free(f);
}

uint16_t
tcp_forwarder_port(const struct tcp_forwarder *f)
{
	struct sockaddr_in in4;
	socklen_t len = sizeof(in4);

	getsockname(evconnlistener_get_fd(f->listener), (struct sockaddr *)&in4, &len);
	return ntohs(in4.sin_port);
}

void
tcp_forwarder_set_target(struct tcp_forwarder *f, const struct addr *target)
{
	f->target = *target;
}

void
tcp_forwarder_cut_all(struct tcp_forwarder *f)
{
	struct pair *p;

	while ((p = TAILQ_FIRST(&f->pairs)) != NULL)
		pair_cut(p);
}

void
tcp_forwarder_cut_eldest(struct tcp_forwarder *f)
{
	if (!TAILQ_EMPTY(&f->pairs))
		pair_cut(TAILQ_FIRST(&f->pairs));
}

void
tcp_forwarder_black_hole(struct tcp_forwarder *f, bool on)
{
	struct pair *p;

	f->black_hole = on;
	TAILQ_FOREACH(p, &f->pairs, link)
		hold(p, on);
}

void
tcp_forwarder_delay(struct tcp_forwarder *f, unsigned ms)
{
	f->delay_ms = ms;
}

void
tcp_forwarder_collect(struct tcp_forwarder *f, bool up, unsigned ms)
{
	f->collect_ms[up] = ms;
}

void
tcp_forwarder_swallow(struct tcp_forwarder *f, const char *beginning)
{
	f->swallow = beginning;
}

void
tcp_forwarder_garble(struct tcp_forwarder *f)
{
	f->garble = true;
}

size_t
tcp_forwarder_open_n(const struct tcp_forwarder *f)
{
	return f->open_n;
}

uint64_t
tcp_forwarder_accepted_n(const struct tcp_forwarder *f)
{
	return f->accepted_n;
}

uint64_t
tcp_forwarder_bytes(const struct tcp_forwarder *f)
{
	return f->bytes;
}
