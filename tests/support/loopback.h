/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_LOOPBACK_H
#define VOFW_TESTS_LOOPBACK_H

#include <stdbool.h>

#include "base/addr.h"

/* What tests of whole daemons on the loopback need: a file, a port, and to wait for a state. */
struct event_base;

/* A temporary file with this text; its name, owned by the caller until loopback_file_free. */
char *loopback_file(const char *text);
void loopback_file_free(char *name); /* removes it */

/* A UDP socket on a port of 127.0.0.1 that was free; *out is its address. */
int loopback_udp(struct addr *out);

/* Loops until cond(arg) or 10 s are over; gives the last cond. */
typedef bool loopback_cond(void *arg);
bool loopback_wait(struct event_base *base, loopback_cond *cond, void *arg);

#endif
