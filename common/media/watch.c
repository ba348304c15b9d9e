/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "media/watch.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

#define READY_MAX 512             /* sockets of one look */
#define WINDOW_US (20 * CLOCK_MS) /* the rate is that of so long */

struct media_watch {
	struct media_watch_handlers h;
	void *arg;
	int set;
	struct event ready; /* `set` has readable sockets; pending while gap_us is 0 */
	struct event look;  /* a timer of no time, which comes behind the sockets of its turn ... */
	struct event nap;   /* ... and this behind all that they and the look set going */
	unsigned gap_us;
	uint64_t looked_us; /* the last look */
	uint64_t window_us;
	uint64_t packets_n;                       /* since window_us */
	struct epoll_event events[READY_MAX + 2]; /* two for `fetch` */
};

unsigned
media_watch_choose(unsigned gap_us, uint64_t rate)
{
	uint64_t want = rate / WATCH_RATE_PER_US;

	if (rate < (gap_us == 0 ? WATCH_BUSY : WATCH_BUSY / 2))
		return 0;
	if (want < WATCH_GAP_MIN_US)
		want = WATCH_GAP_MIN_US;
	if (want > WATCH_GAP_MAX_US)
		want = WATCH_GAP_MAX_US;
	return want * 4 > gap_us * 5 || want * 5 < gap_us * 4 ? (unsigned)want : gap_us;
}

static void
set_gap(struct media_watch *w, unsigned gap_us)
{
	if (gap_us == 0 && w->gap_us != 0)
		event_add(&w->ready, NULL);
	else if (gap_us != 0 && w->gap_us == 0)
		event_del(&w->ready);
	w->gap_us = gap_us;
}

static void
measure(struct media_watch *w, uint64_t now_us)
{
	uint64_t passed_us = now_us - w->window_us;

	if (passed_us < WINDOW_US)
		return;
	set_gap(w, media_watch_choose(w->gap_us, w->packets_n * CLOCK_S / passed_us));
	w->window_us = now_us;
	w->packets_n = 0;
}

/* What the socket after the next is to be read with; costs nothing, if there is none neither. */
static void
fetch(const struct epoll_event *e)
{
	const char *user = e->data.ptr;

	__builtin_prefetch(user);
	__builtin_prefetch(user + MEM_LINE);
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	struct media_watch *w = arg;
	int n;

	(void)fd, (void)what;
	w->looked_us = clock_us();
	n = epoll_wait(w->set, w->events, READY_MAX, 0);
	for (int i = 0; i < n; i++) {
		fetch(&w->events[i + 2]);
		w->packets_n += w->h.on_readable(w->arg, w->events[i].data.ptr, w->looked_us);
	}
	w->h.on_read(w->arg);
	measure(w, w->looked_us);
	if (w->gap_us != 0)
		event_active(&w->nap, EV_TIMEOUT, 0);
}

static void
on_nap(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval now;
	struct media_watch *w = arg;
	uint64_t until_us = w->looked_us + w->gap_us;
	struct timespec until = { (time_t)(until_us / CLOCK_S), (long)(until_us % CLOCK_S * 1000) };

	(void)fd, (void)what;
	/* In the past it does not sleep; a signal ends it, and the loop sees to that. */
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	event_add(&w->look, &now);
}

struct media_watch *
media_watch_new(struct event_base *base, const struct media_watch_handlers *h, void *arg)
{
	struct media_watch *w = mem_zalloc(sizeof(*w));

	w->h = *h;
	w->arg = arg;
	w->set = epoll_create1(EPOLL_CLOEXEC);
	event_assign(&w->ready, base, w->set, EV_READ | EV_PERSIST, on_look, w);
	evtimer_assign(&w->look, base, on_look, w);
	evtimer_assign(&w->nap, base, on_nap, w);
	if (w->set < 0 || event_add(&w->ready, NULL) < 0) {
		media_watch_free(w);
		return NULL;
	}
	return w;
}

void
media_watch_free(struct media_watch *w)
{
	if (w == NULL)
		return;
	event_del(&w->ready);
	event_del(&w->look);
	event_del(&w->nap);
	if (w->set >= 0)
		close(w->set);
	mem_free(w);
}

int
media_watch_add(struct media_watch *w, int fd, void *user)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = user };

	return epoll_ctl(w->set, EPOLL_CTL_ADD, fd, &e) < 0 ? ERR_FULL : 0;
}

void
media_watch_remove(struct media_watch *w, int fd)
{
	epoll_ctl(w->set, EPOLL_CTL_DEL, fd, NULL);
}

unsigned
media_watch_gap_us(const struct media_watch *w)
{
	return w->gap_us;
}
