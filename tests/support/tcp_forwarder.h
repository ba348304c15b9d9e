/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_TCP_FORWARDER_H
#define VOFW_TESTS_TCP_FORWARDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

/*
 * A bad network for tests, in the process of the test and on its event base: it listens on a free
 * port of the loopback and passes every connection on to `target`, until it is told to cut them, to
 * swallow what they carry, or to make it late.
 */
struct tcp_forwarder;
struct event_base;

struct tcp_forwarder *tcp_forwarder_new(struct event_base *base, const struct addr *target);
void tcp_forwarder_free(struct tcp_forwarder *f); /* cuts all */
uint16_t tcp_forwarder_port(const struct tcp_forwarder *f);
void tcp_forwarder_set_target(struct tcp_forwarder *f, const struct addr *target); /* new ones */

void tcp_forwarder_cut_all(struct tcp_forwarder *f);             /* each end gets a reset */
void tcp_forwarder_cut_eldest(struct tcp_forwarder *f);          /* likewise, one connection */
void tcp_forwarder_black_hole(struct tcp_forwarder *f, bool on); /* accepts, passes nothing on */
void tcp_forwarder_delay(struct tcp_forwarder *f, unsigned ms);  /* each way, from now on */
/* What goes up (down) waits so long and leaves with all that came meanwhile, from now on. */
void tcp_forwarder_collect(struct tcp_forwarder *f, bool up, unsigned ms);
/* Requests that begin so (borrowed) never arrive, though taken, from now on; NULL: all do. */
void tcp_forwarder_swallow(struct tcp_forwarder *f, const char *beginning);
void tcp_forwarder_garble(struct tcp_forwarder *f); /* the next HTTP chunk down */

size_t tcp_forwarder_open_n(const struct tcp_forwarder *f);       /* connections now */
uint64_t tcp_forwarder_accepted_n(const struct tcp_forwarder *f); /* connections ever */
uint64_t tcp_forwarder_bytes(const struct tcp_forwarder *f);      /* passed on, both ways */

#endif
