/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_MEDIA_PORTS_H
#define VOFW_MEDIA_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Which pairs of ports (even RTP, odd RTCP) of one agent's range are taken. Ports that come back
 * rest for a while, so that late packets of the last call cannot reach the next; the one that
 * rested longest is given first. Everything is O(1) in the size of the range. Pure.
 */
struct media_ports;

/*
 * The pairs within min..max (both included), none of them taken; a range without a pair is allowed
 * and always full. `linger_us` is how long a port rests after it was given back.
 */
struct media_ports *media_ports_new(uint16_t min, uint16_t max, uint64_t linger_us);
void media_ports_free(struct media_ports *p);

/* An even port, or ERR_FULL when all are taken or resting. */
int media_ports_take(struct media_ports *p, uint64_t now_us, uint16_t *port);

/* A certain one, resting or not (teaching after a restart). ERR_IN_USE; ERR_NOT_FOUND when it is
 * odd or not of the range. */
int media_ports_take_this(struct media_ports *p, uint16_t port);

/* A taken port comes back and rests for the linger. Any other port: does nothing. */
void media_ports_give(struct media_ports *p, uint16_t port, uint64_t now_us);

/* A taken port turned out to be held by another program: rests for rest_us instead. Ports so
 * avoided come back in the order of the calls, a later one never before an earlier one. */
void media_ports_avoid(struct media_ports *p, uint16_t port, uint64_t now_us, uint64_t rest_us);

/* Pairs that can be taken, as of the last take, give or avoid. */
size_t media_ports_free_n(const struct media_ports *p);
size_t media_ports_total_n(const struct media_ports *p);

#endif
