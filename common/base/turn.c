/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/turn.h"

#include <event2/event.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/mem.h"

struct turn {
	struct timers *timers;
	struct event *end;  /* active: libevent runs it after all that is active already */
	struct event *wake; /* the earliest of the timers */
	bool due;           /* `end` is active */
	uint64_t armed_us;  /* what `wake` waits for; CLOCK_NEVER = nothing */
	void (*on_end)(void *arg);
	void *arg;
};

static void
arm(struct turn *t)
{
	uint64_t now_us, next_us = timers_next_us(t->timers), wait_us;
	struct timeval tv;

	if (next_us == t->armed_us)
		return;
	t->armed_us = next_us;
	if (next_us == CLOCK_NEVER) {
		event_del(t->wake);
		return;
	}
	now_us = clock_us();
	wait_us = next_us > now_us ? next_us - now_us : 0;
	tv = (struct timeval){ (time_t)(wait_us / CLOCK_S), (suseconds_t)(wait_us % CLOCK_S) };
	event_add(t->wake, &tv);
}

static void
on_end(evutil_socket_t fd, short what, void *arg)
{
	struct turn *t = arg;

	(void)fd, (void)what;
	t->due = false;
	t->on_end(t->arg);
	arm(t);
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct turn *t = arg;

	(void)fd, (void)what;
	t->armed_us = CLOCK_NEVER;
	timers_run(t->timers, clock_us());
	turn_soon(t);
}

struct turn *
turn_new(struct event_base *base, struct timers *timers, void (*cb)(void *arg), void *arg)
{
	struct turn *t = mem_zalloc(sizeof(*t));

	t->timers = timers;
	t->armed_us = CLOCK_NEVER;
	t->on_end = cb;
	t->arg = arg;
	t->end = event_new(base, -1, 0, on_end, t);
	t->wake = event_new(base, -1, 0, on_wake, t);
	return t;
}

void
turn_free(struct turn *t)
{
	if (t == NULL)
		return;
	event_free(t->end);
	event_free(t->wake);
	mem_free(t);
}

void
turn_soon(struct turn *t)
{
	if (t->due)
		return;
	t->due = true;
	event_active(t->end, EV_TIMEOUT, 0);
}
