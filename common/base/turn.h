/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_BASE_TURN_H
#define VOFW_BASE_TURN_H

#include "base/timers.h"

struct event_base;

/*
 * The end of a turn of the event loop: whatever handlers gave to be sent in one turn leaves
 * together, after the last of them, and the loop is woken for the next of the timers. A handler
 * that did anything says turn_soon; `on_end` is then called once, in the same turn.
 */
struct turn;

struct turn *turn_new(struct event_base *base, struct timers *timers, void (*on_end)(void *arg),
    void *arg);
void turn_free(struct turn *t); /* NULL is fine */
void turn_soon(struct turn *t);

#endif
