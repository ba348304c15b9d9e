/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "base/err.h"
#include "tunnel/crypto.h"
#include "tunnel/impl.h"

/*
 * The keys of a session, which outlives them: what is sealed by which, and when it is time for
 * another.
 */

#define ASK_AGAIN_US (30 * CLOCK_S)
#define BEFORE_US (60 * CLOCK_S) /* a request may be that long on its way */

static uint64_t
passed(const struct tunnel *t)
{
	return t->stats.bytes_sent + t->stats.bytes_received;
}

void
rekey_init(struct tunnel *t, uint64_t now_us)
{
	t->rekey.since_us = now_us;
	t->rekey.bytes = passed(t);
	t->rekey.ask_us = 0;
}

struct cipher *
rekey_cipher(const struct tunnel_grant *grant, const struct tunnel_stream *s)
{
	return cipher_derive(grant->cipher, grant->key,
	    &(struct cipher_use){ "vofw2 batches", (uint8_t)s->dir, grant->session, s->serial });
}

/* The key granted, made one with the key in use; `out` alone holds it. */
static void
mix(const struct tunnel *t, const struct tunnel_grant *grant, struct tunnel_grant *out)
{
	static const char label[] = "vofw2 rekey";
	uint8_t info_mem[CRYPTO_INFO_MAX];
	struct wire_write info = wire_writer(info_mem, sizeof(info_mem));

	*out = *grant;
	wire_put_bytes(&info, label, sizeof(label));
	wire_put_u64(&info, grant->session);
	crypto_hkdf((struct crypto_text){ grant->key, sizeof(grant->key) },
	    (struct crypto_text){ t->grant.key, sizeof(t->grant.key) },
	    (struct crypto_text){ info_mem, info.used }, out->key);
}

/* From now on `next` is the key. */
static void
use(struct tunnel *t, struct tunnel_grant *next, uint64_t now_us)
{
	t->grant = *next;
	crypto_wipe(next, sizeof(*next));
	tunnel_datagrams_rekey(t, t->grant.key, t->grant.cipher);
	rekey_init(t, now_us);
	t->stats.rekeys++;
	t->changed = true;
}

/* Those that end with their first burst are over soon enough. */
static void
outdate(struct tunnel_stream *s)
{
	if (s->bounded)
		return;
	s->aged |= !s->due;
	s->due = true;
}

int
tunnel_rekey(struct tunnel *t, const struct tunnel_grant *grant, uint64_t now_us)
{
	struct tunnel_grant next;

	if (grant->session != t->grant.session || grant->purpose != HANDSHAKE_REKEY)
		return ERR_AUTH;
	if (t->cfg.role == TUNNEL_SERVER) {
		mix(t, grant, &t->rekey.next);
		return 0;
	}
	mix(t, grant, &next);
	use(t, &next, now_us);
	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++)
		for (size_t i = 0; i < t->streams_n[dir]; i++)
			outdate(t->streams[dir][i]);
	return 0;
}

/* The client has the next key, too: it used it. */
static void
confirm(struct tunnel *t, uint64_t now_us)
{
	t->rekey.before = t->grant;
	t->rekey.before_us = now_us + BEFORE_US;
	use(t, &t->rekey.next, now_us);
}

const struct tunnel_grant *
rekey_find(struct tunnel *t, const struct tunnel_request *r, uint64_t now_us)
{
	if (request_genuine(&t->grant, r))
		return &t->grant;
	if (t->rekey.next.session != 0 && request_genuine(&t->rekey.next, r)) {
		confirm(t, now_us);
		return &t->grant;
	}
	if (t->rekey.before.session != 0 && request_genuine(&t->rekey.before, r))
		return &t->rekey.before;
	return NULL;
}

bool
tunnel_probe_genuine(const struct tunnel *t, const struct probe_request *r)
{
	return request_probe_genuine(&t->grant, r) ||
	    (t->rekey.next.session != 0 && request_probe_genuine(&t->rekey.next, r)) ||
	    (t->rekey.before.session != 0 && request_probe_genuine(&t->rekey.before, r));
}

/*
 * Client: the peer uses the key, too, for it took a stream under it. One that ends with its first burst is
 * over by the time that it is heard of.
 */
static bool
proven(const struct tunnel *t)
{
	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++) {
		if (t->polls[dir].answered_us >= t->rekey.since_us)
			return true;
		for (size_t i = 0; i < t->streams_n[dir]; i++)
			if (t->streams[dir][i]->phase == STREAM_LIVE &&
			    t->streams[dir][i]->opened_us >= t->rekey.since_us)
				return true;
	}
	return false;
}

/* When the client is to ask for another key. */
static uint64_t
wanted_us(const struct tunnel *t)
{
	const struct tunnel_rekey *k = &t->rekey;
	uint64_t due = CLOCK_NEVER;

	if (t->h.on_rekey == NULL || t->grant.cipher == CIPHER_NONE ||
	    t->state != TUNNEL_UP_STATE || !proven(t))
		return CLOCK_NEVER;
	if (t->cfg.rekey_age_us != 0)
		due = k->since_us + t->cfg.rekey_age_us;
	if (t->cfg.rekey_bytes != 0 && passed(t) - k->bytes >= t->cfg.rekey_bytes)
		due = 0;
	return due == CLOCK_NEVER || due > k->ask_us ? due : k->ask_us;
}

uint64_t
rekey_due_us(const struct tunnel *t)
{
	if (t->cfg.role == TUNNEL_CLIENT)
		return wanted_us(t);
	return t->rekey.before.session != 0 ? t->rekey.before_us : CLOCK_NEVER;
}

void
rekey_run(struct tunnel *t, uint64_t now_us)
{
	if (rekey_due_us(t) > now_us)
		return;
	if (t->cfg.role == TUNNEL_CLIENT) {
		t->rekey.ask_us = now_us + ASK_AGAIN_US;
		t->h.on_rekey(t->arg);
	} else {
		crypto_wipe(&t->rekey.before, sizeof(t->rekey.before));
	}
}
