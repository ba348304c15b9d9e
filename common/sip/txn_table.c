/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/mem.h"
#include "sip/txn.h"

static struct txn_source
source_of(const struct sip_flow *from)
{
	struct txn_source s = { .key.face = from->face };

	if (addr_is_v6(&from->peer))
		memcpy(s.key.host, &from->peer.u.in6.sin6_addr, 16);
	else
		memcpy(s.key.host, &from->peer.u.in4.sin_addr, 4);
	return s;
}

static struct txn_source *
source_find(struct sip_layer *l, const struct sip_flow *from)
{
	struct txn_source wanted = source_of(from), *s;

	HASH_FIND(hh, l->sources, &wanted.key, sizeof(wanted.key), s);
	return s;
}

static void
source_add(struct sip_layer *l, struct txn *t)
{
	t->source = source_find(l, &t->flow);
	if (t->source == NULL) {
		t->source = mem_zalloc(sizeof(*t->source));
		*t->source = source_of(&t->flow);
		HASH_ADD(hh, l->sources, key, sizeof(t->source->key), t->source);
	}
	t->source->txns_n++;
}

static void
source_del(struct sip_layer *l, struct txn *t)
{
	if (--t->source->txns_n > 0)
		return;
	HASH_DEL(l->sources, t->source);
	mem_free(t->source);
}

bool
txn_source_is_full(struct sip_layer *l, const struct sip_flow *from)
{
	const struct txn_source *s = source_find(l, from);

	return txn_table_is_full(l) || (s != NULL && s->txns_n >= (l->txns_max + 1) / 2);
}

void
txn_add(struct sip_layer *l, struct txn *t, char *key, struct sip_msg *req)
{
	t->layer = l;
	t->id = ++l->last_id;
	t->key = key;
	t->req = req;
	t->in_table = true;
	HASH_ADD_KEYPTR(hh_key, l->by_key, t->key, strlen(t->key), t);
	HASH_ADD(hh_id, l->by_id, id, sizeof(t->id), t);
	if (t->role == TXN_CLIENT) {
		l->n.sip_client_txns++;
	} else {
		l->n.sip_server_txns++;
		source_add(l, t);
	}
}

struct txn *
txn_find(struct sip_layer *l, const char *key)
{
	struct txn *t;

	HASH_FIND(hh_key, l->by_key, key, strlen(key), t);
	return t;
}

struct txn *
txn_find_id(struct sip_layer *l, uint64_t id)
{
	struct txn *t;

	HASH_FIND(hh_id, l->by_id, &id, sizeof(id), t);
	return t;
}

static void
txn_del(struct txn *t)
{
	struct sip_layer *l = t->layer;

	HASH_DELETE(hh_key, l->by_key, t);
	HASH_DELETE(hh_id, l->by_id, t);
	t->in_table = false;
	if (t->role == TXN_CLIENT) {
		l->n.sip_client_txns--;
	} else {
		l->n.sip_server_txns--;
		source_del(l, t);
	}
}

bool
txn_table_is_full(const struct sip_layer *l)
{
	return l->n.sip_client_txns + l->n.sip_server_txns >= l->txns_max;
}

void
txn_end(struct txn *t, uint64_t now_us)
{
	struct sip_layer *l = t->layer;

	if (!t->in_table)
		return;
	txn_del(t);
	timer_clear(l->timers, &t->repeat);
	timer_clear(l->timers, &t->end);
	timer_clear(l->timers, &t->failure);
	t->next_ended = l->ended;
	l->ended = t;
	timer_set(l->timers, &l->reaper, now_us);
}

void
txn_reap(void *layer, uint64_t now_us)
{
	struct sip_layer *l = layer;
	struct txn *t = l->ended, *next;

	(void)now_us;
	l->ended = NULL; /* what ends during the callbacks waits for the next turn */
	for (; t != NULL; t = next) {
		next = t->next_ended;
		if (t->role == TXN_CLIENT)
			txn_client_destroy((struct sip_client_txn *)t);
		else
			txn_server_destroy((struct sip_server_txn *)t);
	}
}

int
txn_set_sent(struct txn *t, struct sip_msg *m)
{
	char *bytes;
	size_t n;
	int err = sip_msg_encode(m, &bytes, &n);

	sip_msg_free(m);
	if (err != 0)
		return err;
	mem_free(t->sent);
	t->sent = bytes;
	t->sent_len = n;
	return 0;
}

void
txn_send(struct txn *t, const struct sip_flow *to)
{
	t->layer->h.send(t->layer->arg, to, t->id, t->sent, t->sent_len);
}

void
txn_send_again(struct txn *t, const struct sip_flow *to)
{
	t->layer->n.sip_repetitions_sent++;
	txn_send(t, to);
}
