/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/reliable.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

/* -- The sender -- */

void
reliable_tx_init(struct reliable_tx *tx, size_t n_max, size_t bytes_max)
{
	*tx = (struct reliable_tx){ .next_number = 1, .n_max = n_max, .bytes_max = bytes_max };
	TAILQ_INIT(&tx->list);
}

static void
drop_first(struct reliable_tx *tx)
{
	struct reliable_fragment *f = TAILQ_FIRST(&tx->list);

	if (f == tx->fresh)
		tx->fresh = TAILQ_NEXT(f, next);
	else if (f->serial == 0)
		tx->lost_n--;
	TAILQ_REMOVE(&tx->list, f, next);
	tx->n--;
	tx->bytes -= f->len;
	mem_free(f);
}

void
reliable_tx_free(struct reliable_tx *tx)
{
	while (!TAILQ_EMPTY(&tx->list))
		drop_first(tx);
}

static void
push_fragment(struct reliable_tx *tx, const struct reliable_fragment *model, const uint8_t *data)
{
	struct reliable_fragment *f = mem_alloc(sizeof(*f) + model->len);

	*f = *model;
	f->number = tx->next_number++;
	if (f->len != 0)
		memcpy(f->data, data, f->len);
	TAILQ_INSERT_TAIL(&tx->list, f, next);
	if (tx->fresh == NULL)
		tx->fresh = f;
	tx->n++;
	tx->bytes += f->len;
}

int
reliable_tx_push(struct reliable_tx *tx, uint8_t kind, const void *data, size_t n, uint64_t now_us)
{
	size_t fragments_n = n == 0 ? 1 : (n + FRAME_FRAGMENT_MAX - 1) / FRAME_FRAGMENT_MAX;
	struct reliable_fragment f = { .queued_us = now_us, .kind = kind };

	if (n > TUNNEL_RELIABLE_MAX)
		return ERR_TOO_BIG;
	if (tx->n + fragments_n > tx->n_max || tx->bytes + n > tx->bytes_max)
		return ERR_FULL;
	for (size_t i = 0; i < fragments_n; i++) {
		size_t off = i * FRAME_FRAGMENT_MAX;

		f.len = (uint16_t)(n - off < FRAME_FRAGMENT_MAX ? n - off : FRAME_FRAGMENT_MAX);
		f.bits =
		    (uint8_t)((i == 0 ? FRAME_FIRST : 0) | (i + 1 == fragments_n ? FRAME_LAST : 0));
		push_fragment(tx, &f, n == 0 ? NULL : (const uint8_t *)data + off);
	}
	return 0;
}

bool
reliable_tx_half_full(const struct reliable_tx *tx)
{
	return tx->n >= tx->n_max / 2 || tx->bytes >= tx->bytes_max / 2;
}

struct reliable_fragment *
reliable_tx_next(const struct reliable_tx *tx, const struct reliable_fragment *after)
{
	struct reliable_fragment *f;
	uint64_t end;

	if (TAILQ_EMPTY(&tx->list))
		return NULL;
	end = TAILQ_FIRST(&tx->list)->number + RELIABLE_WINDOW;
	if (tx->lost_n == 0)
		f = tx->fresh;
	else
		f = after == NULL ? TAILQ_FIRST(&tx->list) : TAILQ_NEXT(after, next);
	while (f != NULL && f->serial != 0)
		f = TAILQ_NEXT(f, next);
	return f != NULL && f->number < end ? f : NULL;
}

void
reliable_tx_sent(struct reliable_tx *tx, struct reliable_fragment *f, uint32_t serial,
    uint64_t now_us)
{
	if (f == tx->fresh)
		tx->fresh = TAILQ_NEXT(f, next);
	else
		tx->lost_n--;
	f->serial = serial;
	f->sent_us = now_us;
	f->last_serial = serial;
}

int
reliable_tx_ack(struct reliable_tx *tx, uint64_t next)
{
	uint64_t unsent = tx->fresh != NULL ? tx->fresh->number : tx->next_number;

	if (next == 0 || next > unsent)
		return ERR_MALFORMED;
	while (!TAILQ_EMPTY(&tx->list) && TAILQ_FIRST(&tx->list)->number < next)
		drop_first(tx);
	return 0;
}

static void
lose(struct reliable_tx *tx, struct reliable_fragment *f)
{
	f->serial = 0;
	if (f->retries < UINT8_MAX)
		f->retries++;
	tx->lost_n++;
}

void
reliable_tx_lost(struct reliable_tx *tx, uint32_t serial)
{
	struct reliable_fragment *f;

	for (f = TAILQ_FIRST(&tx->list); f != tx->fresh; f = TAILQ_NEXT(f, next))
		if (f->serial == serial)
			lose(tx, f);
}

static uint64_t
overdue_us(const struct reliable_fragment *f, uint64_t timeout_us)
{
	uint64_t wait = timeout_us;

	for (unsigned i = 0; i < f->retries && wait < RELIABLE_RETRY_CAP_US; i++)
		wait *= 2;
	/* A round trip that is longer than the cap is no reason to repeat all the time. */
	if (wait > RELIABLE_RETRY_CAP_US)
		wait = timeout_us > RELIABLE_RETRY_CAP_US ? timeout_us : RELIABLE_RETRY_CAP_US;
	return f->sent_us + wait;
}

void
reliable_tx_retry(struct reliable_tx *tx, uint64_t timeout_us, uint64_t now_us)
{
	struct reliable_fragment *f;

	for (f = TAILQ_FIRST(&tx->list); f != tx->fresh; f = TAILQ_NEXT(f, next))
		if (f->serial != 0 && overdue_us(f, timeout_us) <= now_us)
			lose(tx, f);
}

uint64_t
reliable_tx_retry_us(const struct reliable_tx *tx, uint64_t timeout_us)
{
	const struct reliable_fragment *f = TAILQ_FIRST(&tx->list);

	return f == NULL || f->serial == 0 ? CLOCK_NEVER : overdue_us(f, timeout_us);
}

uint64_t
reliable_tx_oldest_us(const struct reliable_tx *tx)
{
	const struct reliable_fragment *f = TAILQ_FIRST(&tx->list);

	return f == NULL ? CLOCK_NEVER : f->queued_us;
}

/* -- The receiver -- */

struct reliable_held {
	uint8_t bits, kind;
	uint16_t len;
	uint8_t data[];
};

void
reliable_rx_init(struct reliable_rx *rx)
{
	memset(rx, 0, sizeof(*rx));
	rx->next = 1;
	buf_init(&rx->partial, TUNNEL_RELIABLE_MAX);
}

void
reliable_rx_free(struct reliable_rx *rx)
{
	for (size_t i = 0; i < RELIABLE_WINDOW; i++)
		mem_free(rx->held[i]);
	mem_free(rx->lent);
	buf_free(&rx->partial);
}

int
reliable_rx_put(struct reliable_rx *rx, const struct frame *f)
{
	struct reliable_held **slot = &rx->held[f->number % RELIABLE_WINDOW], *h;

	if (f->number < rx->next)
		return ERR_EXISTS;
	if (f->number - rx->next >= RELIABLE_WINDOW)
		return ERR_MALFORMED;
	if (*slot != NULL)
		return ERR_EXISTS;
	h = mem_alloc(sizeof(*h) + f->data_len);
	h->bits = f->bits;
	h->kind = f->kind;
	h->len = (uint16_t)f->data_len;
	if (h->len != 0)
		memcpy(h->data, f->data, h->len);
	*slot = h;
	return 0;
}

/* Takes a fragment that is not a whole payload by itself. */
static int
assemble(struct reliable_rx *rx, const struct reliable_held *h)
{
	bool first = h->bits & FRAME_FIRST;

	if (first == rx->assembling)
		return ERR_MALFORMED;
	if (first) {
		buf_consume(&rx->partial, buf_len(&rx->partial));
		rx->kind = h->kind;
		rx->assembling = true;
	}
	return buf_append(&rx->partial, h->data, h->len) == 0 ? 0 : ERR_MALFORMED;
}

int
reliable_rx_next(struct reliable_rx *rx, uint8_t *kind, const uint8_t **data, size_t *n)
{
	struct reliable_held **slot;

	while (*(slot = &rx->held[rx->next % RELIABLE_WINDOW]) != NULL) {
		mem_free(rx->lent);
		rx->lent = *slot;
		*slot = NULL;
		rx->next++;
		if (rx->lent->bits == (FRAME_FIRST | FRAME_LAST) && !rx->assembling) {
			*kind = rx->lent->kind;
			*data = rx->lent->data;
			*n = rx->lent->len;
			return 0;
		}
		if (assemble(rx, rx->lent) < 0)
			return ERR_MALFORMED;
		if (rx->lent->bits & FRAME_LAST) {
			rx->assembling = false;
			*kind = rx->kind;
			*data = buf_data(&rx->partial);
			*n = buf_len(&rx->partial);
			return 0;
		}
	}
	return ERR_NOT_FOUND;
}
