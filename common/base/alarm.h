/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_BASE_ALARM_H
#define VOFW_BASE_ALARM_H

#include <stdint.h>

struct event_base;

/*
 * One deadline that is kept to some tens of microseconds, where libevent's timers are rounded up to
 * whole milliseconds. It may be moved as often as one likes: only a move to an earlier time costs a
 * system call, a later one is seen to when the earlier has passed. Runs on the event base's thread.
 */
struct alarm;
typedef void alarm_cb(void *arg, uint64_t now_us);

/* `base` is borrowed while the object lives. NULL when the system has no descriptor left. */
struct alarm *alarm_new(struct event_base *base, alarm_cb *cb, void *arg);
void alarm_free(struct alarm *a); /* NULL is fine; not from its callback */

/*
 * The callback is called once, at the monotonic time due_us or as soon after it as the loop comes to
 * it, with the time of then; never from inside alarm_set. Replaces what was set before; CLOCK_NEVER
 * = not at all. The callback may set it again.
 */
void alarm_set(struct alarm *a, uint64_t due_us);

#endif
