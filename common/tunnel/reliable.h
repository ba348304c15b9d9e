/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_RELIABLE_H
#define VOFW_TUNNEL_RELIABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "tunnel/frame.h"

/*
 * Exactly once and in order, over streams that come and go (docs/PROTOCOL.md, "Reliable frames").
 * A payload is cut into fragments of at most FRAME_FRAGMENT_MAX bytes, numbered from 1 without a
 * gap; the sender keeps each until the receiver has said that it waits for a later one. Pure.
 */

#define RELIABLE_WINDOW 1024 /* the sender is never further ahead than this many fragments */
#define RELIABLE_RETRY_CAP_US 2000000ULL

/* -- The sender -- */

struct reliable_fragment { /* read by the caller, written only here */
	TAILQ_ENTRY(reliable_fragment) next;
	uint64_t number;
	uint64_t queued_us;
	uint64_t sent_us;
	uint32_t serial;      /* the stream that it was given to; 0 = to be sent */
	uint32_t last_serial; /* likewise, and stays; 0 = never sent */
	uint8_t retries;
	uint8_t bits, kind; /* as in struct frame */
	uint16_t len;
	uint8_t data[];
};

struct reliable_tx {
	TAILQ_HEAD(reliable_list, reliable_fragment) list; /* by number; not acknowledged */
	struct reliable_fragment *fresh; /* the first that was never sent; NULL = none */
	uint64_t next_number;            /* of the next fragment queued */
	size_t n, bytes;                 /* in the list */
	size_t n_max, bytes_max;
	size_t lost_n; /* before `fresh`, to be sent again */
};

void reliable_tx_init(struct reliable_tx *tx, size_t n_max, size_t bytes_max);
void reliable_tx_free(struct reliable_tx *tx);

/* Queues a copy. ERR_TOO_BIG; ERR_FULL, and nothing is queued, beyond the caps. */
int reliable_tx_push(struct reliable_tx *tx, uint8_t kind, const void *data, size_t n,
    uint64_t now_us);

/* Whether half of the fragments or bytes wait that may. */
bool reliable_tx_half_full(const struct reliable_tx *tx);

/* The next one to be sent behind `after` (NULL: the first); NULL = none, or the window is full. */
struct reliable_fragment *reliable_tx_next(const struct reliable_tx *tx,
    const struct reliable_fragment *after);

/* `f`, given by reliable_tx_next, was given to the stream `serial`. */
void reliable_tx_sent(struct reliable_tx *tx, struct reliable_fragment *f, uint32_t serial,
    uint64_t now_us);

/* The receiver waits for number `next`. ERR_MALFORMED when that was never sent. */
int reliable_tx_ack(struct reliable_tx *tx, uint64_t next);

/* What the stream `serial` had is to be sent again. */
void reliable_tx_lost(struct reliable_tx *tx, uint32_t serial);

/* What was not acknowledged in time (`timeout_us`, doubled at each retry) is to be sent again. */
void reliable_tx_retry(struct reliable_tx *tx, uint64_t timeout_us, uint64_t now_us);

/* When reliable_tx_retry will find the oldest one overdue; CLOCK_NEVER. */
uint64_t reliable_tx_retry_us(const struct reliable_tx *tx, uint64_t timeout_us);

/* When the oldest one was queued; CLOCK_NEVER. */
uint64_t reliable_tx_oldest_us(const struct reliable_tx *tx);

/* -- The receiver -- */

struct reliable_rx {
	uint64_t next;                               /* the number waited for */
	struct reliable_held *held[RELIABLE_WINDOW]; /* ahead of `next`; slot = number % WINDOW */
	struct buf partial; /* a payload whose last fragment has not come */
	bool assembling;
	uint8_t kind;               /* of `partial` */
	struct reliable_held *lent; /* what the last reliable_rx_next gave out */
};

void reliable_rx_init(struct reliable_rx *rx);
void reliable_rx_free(struct reliable_rx *rx);

/*
 * A fragment came: keeps a copy. ERR_EXISTS when it was here before; ERR_MALFORMED when it is
 * further ahead than the window.
 */
int reliable_rx_put(struct reliable_rx *rx, const struct frame *f);

/*
 * The next whole payload in order, borrowed until the next call. ERR_NOT_FOUND when there is none;
 * ERR_MALFORMED when the fragments make no sense: then the session is of no more use.
 */
int reliable_rx_next(struct reliable_rx *rx, uint8_t *kind, const uint8_t **data, size_t *n);

#endif
