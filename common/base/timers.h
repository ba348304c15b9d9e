/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_BASE_TIMERS_H
#define VOFW_BASE_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Many deadlines in one heap, so that a module can be run under a fake clock and a daemon needs a
 * single event for all of them. A `struct timer` is a member of the object it belongs to; set and
 * clear are O(log n). Not thread-safe.
 */
struct timer;
typedef void timer_cb(void *arg, uint64_t now_us);

struct timer {
	uint64_t due_us;
	size_t slot; /* 1-based place in the heap; 0 = not set */
	timer_cb *cb;
	void *arg;
};

struct timers;

struct timers *timers_new(void);
void timers_free(struct timers *t); /* timers still set are forgotten, not run */

/* Prepares a timer; it is not set. */
void timer_init(struct timer *timer, timer_cb *cb, void *arg);

/* (Re)arms `timer` (borrowed until it ran or was cleared) for the monotonic time due_us. */
void timer_set(struct timers *t, struct timer *timer, uint64_t due_us);
void timer_clear(struct timers *t, struct timer *timer); /* fine when not set */
bool timer_is_set(const struct timer *timer);

/* The earliest deadline; CLOCK_NEVER when none is set. */
uint64_t timers_next_us(const struct timers *t);

/* Runs the callbacks of all timers due at now_us, each cleared before its call; a callback may set
 * and clear any timer and free its own object. One set for now_us or before during the run waits
 * for the next run. */
void timers_run(struct timers *t, uint64_t now_us);

#endif
