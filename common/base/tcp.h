/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_BASE_TCP_H
#define VOFW_BASE_TCP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The options of a TCP socket that carries streams of the tunnel, on either end: what is written
 * leaves at once, little waits unsent in the kernel, and a peer that is gone is noticed. Where the
 * kernel can, what it repeats it repeats at least each second: after a black-out the default leaves a
 * connection silent for as long again.
 *
 * Each only betters the delay, the bytes or the time to notice a loss: a refusal is no failure, and
 * is not told. May be called before connect.
 */
void tcp_for_stream(int fd);

/*
 * An endless stream flows in one direction, and by default Linux answers each of its segments with an
 * acknowledgement of its own, since the other direction says nothing. That is 52 bytes for a packet of
 * voice. Delayed acknowledgements take every second segment together; the tunnel has its own, which do
 * not wait. With bounded ones it is the other way round: there are old proxies that send the head of a
 * request or answer in many small pieces, each only when the one before was acknowledged. Until then the
 * next one waits for 40 ms, so the kernel is to acknowledge what comes now at once.
 */
void tcp_delay_acks(int fd, bool delay);

/* How many segments with data the socket has sent, and how many of these were repetitions; 0 and 0
 * where the system does not tell. */
void tcp_segments(int fd, uint32_t *sent, uint32_t *again);

#endif
