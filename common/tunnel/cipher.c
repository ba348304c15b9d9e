/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/cipher.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tunnel/crypto.h"

/* base/err.h stays out of this file: OpenSSL has a type ERR_STATE. */

#define NONCE_LEN 12

/*
 * One context for each way: made when it is first used, keyed once, and given no more than a nonce
 * for each message. A cipher is in fact used in one of the two.
 */
struct cipher {
	const EVP_CIPHER *type;
	EVP_CIPHER_CTX *sealing, *opening;
	uint8_t key[CIPHER_KEY_LEN];
};

const char *
cipher_str(enum cipher_kind kind)
{
	switch (kind) {
	case CIPHER_AES_256_GCM:
		return "AES-256-GCM";
	case CIPHER_CHACHA20_POLY1305:
		return "ChaCha20-Poly1305";
	case CIPHER_NONE:
		break;
	}
	return "none";
}

bool
cipher_aes_is_fast(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
	const unsigned long aes = 1 << 3, pmull = 1 << 4; /* of the kernel's asm/hwcap.h */

	return (getauxval(AT_HWCAP) & (aes | pmull)) == (aes | pmull);
#else
	return false;
#endif
}

/* Fetched once: to look for it by name with each context takes longer than to seal a batch. */
static const EVP_CIPHER *
type_of(enum cipher_kind kind)
{
	static EVP_CIPHER *aes, *chacha;
	EVP_CIPHER **type = kind == CIPHER_AES_256_GCM ? &aes : &chacha;

	if (*type == NULL)
		*type = EVP_CIPHER_fetch(NULL,
		    kind == CIPHER_AES_256_GCM ? "AES-256-GCM" : "ChaCha20-Poly1305", NULL);
	if (*type == NULL)
		abort();
	return *type;
}

struct cipher *
cipher_new(enum cipher_kind kind, const uint8_t key[static CIPHER_KEY_LEN])
{
	struct cipher *c;

	if (kind != CIPHER_AES_256_GCM && kind != CIPHER_CHACHA20_POLY1305)
		return NULL;
	c = mem_zalloc(sizeof(*c));
	c->type = type_of(kind);
	memcpy(c->key, key, CIPHER_KEY_LEN);
	return c;
}

void
cipher_free(struct cipher *c)
{
	if (c == NULL)
		return;
	EVP_CIPHER_CTX_free(c->sealing);
	EVP_CIPHER_CTX_free(c->opening);
	mem_wipe_free(c, sizeof(*c));
}

struct cipher *
cipher_derive(enum cipher_kind kind, const uint8_t key[static CIPHER_KEY_LEN],
    const struct cipher_use *use)
{
	uint8_t info_mem[CRYPTO_INFO_MAX], derived[CRYPTO_KEY_LEN];
	struct wire_write info = wire_writer(info_mem, sizeof(info_mem));
	struct cipher *c;

	wire_put_bytes(&info, use->label, strlen(use->label) + 1);
	wire_put_u8(&info, use->dir);
	wire_put_u64(&info, use->session);
	wire_put_u32(&info, use->serial);
	if (info.bad)
		abort();
	crypto_expand(key, (struct crypto_text){ info_mem, info.used }, derived);
	c = cipher_new(kind, derived);
	crypto_wipe(derived, sizeof(derived));
	return c;
}

size_t
cipher_tag_len(const struct cipher *c)
{
	return c == NULL ? 0 : CIPHER_TAG_LEN;
}

/* Nothing here depends on what a peer sent: a failure is a broken host. */
static void
must(int result)
{
	if (result != 1)
		abort();
}

static EVP_CIPHER_CTX *
keyed(const struct cipher *c, bool seals)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	must(ctx != NULL);
	must(EVP_CipherInit_ex2(ctx, c->type, c->key, NULL, seals, NULL));
	return ctx;
}

static void
begin(EVP_CIPHER_CTX *ctx, const struct cipher_message *m, bool seals)
{
	uint8_t nonce[NONCE_LEN] = { 0 };
	struct wire_write w = wire_writer(nonce + 4, sizeof(nonce) - 4);
	int len;

	wire_put_u64(&w, m->number);
	must(EVP_CipherInit_ex2(ctx, NULL, NULL, nonce, seals, NULL));
	if (m->ad_len > 0)
		must(EVP_CipherUpdate(ctx, NULL, &len, m->ad, (int)m->ad_len));
}

void
cipher_seal(struct cipher *c, const struct cipher_message *m, uint8_t *text, size_t n)
{
	int len;

	if (c == NULL)
		return;
	if (c->sealing == NULL)
		c->sealing = keyed(c, true);
	begin(c->sealing, m, true);
	must(EVP_CipherUpdate(c->sealing, text, &len, text, (int)n));
	must(EVP_CipherFinal_ex(c->sealing, text + len, &len));
	must(EVP_CIPHER_CTX_ctrl(c->sealing, EVP_CTRL_AEAD_GET_TAG, CIPHER_TAG_LEN, text + n));
}

bool
cipher_open(struct cipher *c, const struct cipher_message *m, const uint8_t *in, size_t n,
    uint8_t *out)
{
	uint8_t tag[CIPHER_TAG_LEN];
	int len = 0;

	if (c == NULL) {
		memmove(out, in, n);
		return true;
	}
	if (n < CIPHER_TAG_LEN)
		return false;
	n -= CIPHER_TAG_LEN;
	/* The call that hands it over does not promise to leave it alone. */
	memcpy(tag, in + n, CIPHER_TAG_LEN);
	if (c->opening == NULL)
		c->opening = keyed(c, false);
	begin(c->opening, m, false);
	must(EVP_CIPHER_CTX_ctrl(c->opening, EVP_CTRL_AEAD_SET_TAG, CIPHER_TAG_LEN, tag));
	must(EVP_CipherUpdate(c->opening, out, &len, in, (int)n));
	return EVP_CipherFinal_ex(c->opening, out + len, &len) == 1;
}
