/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_MEDIA_WATCH_H
#define VOFW_MEDIA_WATCH_H

#include <stddef.h>
#include <stdint.h>

struct event_base;

/*
 * Which sockets of the legs can be read. They stand in an epoll set of their own: what is ready is
 * learnt by one system call, all of it is read before anything is sent on, and the loop needs one
 * event for all of them.
 *
 * With few calls each packet wakes the agent. From WATCH_BUSY packets a second on that would cost
 * more than the packets: then the whole loop takes a short nap after each turn, the time between two
 * looks being a gap that grows with the load, for the busier the agent the more its time is worth. A
 * turn that takes as long as the gap is followed by the next at once. Whatever else the loop waits
 * for, the connections of the tunnel first of all, waits for the end of the nap: nobody pays for
 * waking us. Runs on the event base's thread, which alone may sleep.
 */
#define WATCH_BUSY 10000
#define WATCH_RATE_PER_US 180 /* a gap of 1 us for each so many packets a second */
#define WATCH_GAP_MIN_US 60
#define WATCH_GAP_MAX_US 500

struct media_watch;

struct media_watch_handlers {
	/* The socket of `user` can be read. It may not remove sockets. How many packets it had. */
	size_t (*on_readable)(void *arg, void *user, uint64_t now_us);
	/* All that could be read has been read. */
	void (*on_read)(void *arg);
};

/* `base` is borrowed while the object lives. NULL when the system has no descriptor left. */
struct media_watch *media_watch_new(struct event_base *base, const struct media_watch_handlers *h,
    void *arg);
void media_watch_free(struct media_watch *w); /* after all sockets were removed; NULL is fine */

/* ERR_FULL: the system watches too many already. */
int media_watch_add(struct media_watch *w, int fd, void *user);
void media_watch_remove(struct media_watch *w, int fd); /* before it is closed */

/* Between two looks; 0 = each packet wakes. */
unsigned media_watch_gap_us(const struct media_watch *w);

/*
 * The gap that is right for `rate` packets a second; `gap_us` is the present one. It changes by steps
 * and is given up at half the rate that it begins with: a rate that sways changes nothing. Pure.
 */
unsigned media_watch_choose(unsigned gap_us, uint64_t rate);

#endif
