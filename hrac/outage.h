/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_OUTAGE_H
#define VOFW_HRAC_OUTAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"
#include "base/timers.h"
#include "hrac/taught.h"
#include "sip/flow.h"

/*
 * What HRAC says to its phones while HRAS cannot be reached: 503 with Retry-After to every request,
 * at once, and, when the tunnel is gone for good, the last will of each call: the BYE that HRAS
 * left with us for that phone, repeated until it is answered (timer E of RFC 3261 §17.1.2.2).
 */
struct outage;

/* Puts a message on the LAN. */
typedef void outage_send_cb(void *arg, const struct sip_flow *to, const char *data, size_t n);

struct outage *outage_new(struct timers *timers, outage_send_cb *send, void *arg);
void outage_free(struct outage *o);

/* A message from a phone that cannot be passed on (borrowed): answers a request. */
void outage_refuse(struct outage *o, const struct sip_flow *from, const char *data, size_t n);

/* Sends the will of a call, if it has one, or of each call; copies what it needs. */
void outage_execute_will(struct outage *o, const struct taught_call *c, uint64_t now_us);
void outage_execute_wills(struct outage *o, const struct taught *t, uint64_t now_us);

/* A message came from the LAN: true when it was the answer to a will, which is then done with. */
bool outage_take_answer(struct outage *o, const char *data, size_t n);

struct metric_set outage_metrics(const struct outage *o);

#endif
