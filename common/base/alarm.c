/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/alarm.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

struct alarm {
	int fd;
	struct event rings;
	uint64_t due_us; /* as set */
	uint64_t
	    armed_us; /* what the descriptor waits for; not later than due_us, or CLOCK_NEVER */
	alarm_cb *cb;
	void *arg;
};

static void
arm(struct alarm *a)
{
	/* Zero would disarm it. */
	uint64_t due_us = a->due_us == 0 ? 1 : a->due_us;
	struct itimerspec once = { .it_value = { (time_t)(due_us / CLOCK_S),
				       (long)(due_us % CLOCK_S * 1000) } };

	if (a->due_us >= a->armed_us)
		return;
	a->armed_us = a->due_us;
	timerfd_settime(a->fd, TFD_TIMER_ABSTIME, &once, NULL);
}

static void
on_rings(evutil_socket_t fd, short what, void *arg)
{
	struct alarm *a = arg;
	uint64_t now_us = clock_us();

	(void)fd, (void)what;
	if (now_us < a->armed_us)
		return; /* rung before it was moved to an earlier time: that rings as well */
	a->armed_us = CLOCK_NEVER;
	if (now_us < a->due_us) {
		arm(a);
		return;
	}
	a->due_us = CLOCK_NEVER;
	a->cb(a->arg, now_us);
}

struct alarm *
alarm_new(struct event_base *base, alarm_cb *cb, void *arg)
{
	struct alarm *a = mem_zalloc(sizeof(*a));

	a->due_us = a->armed_us = CLOCK_NEVER;
	a->cb = cb;
	a->arg = arg;
	a->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	/* By edges it need not be read. */
	event_assign(&a->rings, base, a->fd, EV_READ | EV_ET | EV_PERSIST, on_rings, a);
	if (a->fd < 0 || event_add(&a->rings, NULL) < 0) {
		alarm_free(a);
		return NULL;
	}
	return a;
}

void
alarm_free(struct alarm *a)
{
	if (a == NULL)
		return;
	event_del(&a->rings);
	if (a->fd >= 0)
		close(a->fd);
	mem_free(a);
}

void
alarm_set(struct alarm *a, uint64_t due_us)
{
	a->due_us = due_us;
	arm(a);
}
