/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_MEDIA_PORTS_H
#define VOFW_MEDIA_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Which pairs of ports (even RTP, odd RTCP) of one agent's range are taken. Ports that come back
 * rest for a while, so that late packets of the last call cannot reach the next; the one that
 * rested longest is given first. O(1). Pure.
 */
struct media_ports;

struct media_ports *media_ports_new(uint16_t min, uint16_t max, uint64_t linger_us);
void media_ports_free(struct media_ports *p);

/* An even port, or ERR_FULL when all are taken or resting. */
int media_ports_take(struct media_ports *p, uint64_t now_us, uint16_t *port);
/* A certain one (teaching after a restart). ERR_IN_USE, ERR_NOT_FOUND (not of the range). */
int media_ports_take_this(struct media_ports *p, uint16_t port);
void media_ports_give(struct media_ports *p, uint16_t port, uint64_t now_us);
/* Taken by another program: rests for rest_us instead of the linger. */
void media_ports_avoid(struct media_ports *p, uint16_t port, uint64_t now_us, uint64_t rest_us);
size_t media_ports_free_n(const struct media_ports *p);
size_t media_ports_total_n(const struct media_ports *p);

#endif
