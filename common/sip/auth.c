/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/random.h>

#define uthash_fatal(msg) abort()
#include <uthash.h>

#include "base/mem.h"
#include "sip/crypto.h"

/* A nonce: 16 hex digits of its second, 16 of chance, 32 of HMAC over both. */
#define NONCE_TIME_LEN 16
#define NONCE_RANDOM_LEN 16
#define NONCE_MAC_LEN 32
#define NONCE_LEN (NONCE_TIME_LEN + NONCE_RANDOM_LEN + NONCE_MAC_LEN)

struct user {
	char *password;
	UT_hash_handle hh;
	char name[];
};

struct nonce { /* one that was used well */
	char text[NONCE_LEN + 1];
	uint64_t time_s;
	uint32_t count; /* the highest seen */
	UT_hash_handle hh;
	TAILQ_ENTRY(nonce) in_order;
};

struct auth {
	uint8_t key[32];
	char *realm;
	bool md5, sha256; /* offered */
	struct user *users;
	struct nonce *nonces;
	TAILQ_HEAD(, nonce) order; /* by first use, the oldest first */
	uint64_t floor_s;          /* nonces up to this second may have been forgotten */
};

/* -- Tables -- */

static struct user *
user_find(const struct auth *a, const char *name)
{
	struct user *u;

	HASH_FIND_STR(a->users, name, u);
	return u;
}

static void
user_add(struct auth *a, struct user *u)
{
	HASH_ADD_STR(a->users, name, u);
}

static void
user_del(struct auth *a, struct user *u)
{
	HASH_DEL(a->users, u);
	mem_wipe_free(u->password, strlen(u->password));
	mem_free(u);
}

static struct nonce *
nonce_find(struct auth *a, const char *text)
{
	struct nonce *n;

	HASH_FIND_STR(a->nonces, text, n);
	return n;
}

static void
nonce_add(struct auth *a, struct nonce *n)
{
	HASH_ADD_STR(a->nonces, text, n);
	TAILQ_INSERT_TAIL(&a->order, n, in_order);
}

static void
nonce_del(struct auth *a, struct nonce *n)
{
	HASH_DEL(a->nonces, n);
	TAILQ_REMOVE(&a->order, n, in_order);
	mem_free(n);
}

/* -- Life -- */

static void
fill_random(void *out, size_t n)
{
	if (getrandom(out, n, 0) != (ssize_t)n)
		abort();
}

struct auth *
auth_new(const char *realm)
{
	struct auth *a = mem_zalloc(sizeof(*a));

	fill_random(a->key, sizeof(a->key));
	a->realm = mem_strdup(realm);
	a->md5 = a->sha256 = true;
	TAILQ_INIT(&a->order);
	return a;
}

void
auth_users_clear(struct auth *a)
{
	struct user *u, *next;

	HASH_ITER(hh, a->users, u, next)
		user_del(a, u);
}

void
auth_free(struct auth *a)
{
	struct nonce *n;

	if (a == NULL)
		return;
	auth_users_clear(a);
	while ((n = TAILQ_FIRST(&a->order)) != NULL)
		nonce_del(a, n);
	mem_free(a->realm);
	mem_wipe_free(a, sizeof(*a));
}

void
auth_user_put(struct auth *a, const char *name, const char *password)
{
	size_t len = strlen(name) + 1;
	struct user *u = user_find(a, name);

	if (u != NULL)
		user_del(a, u);
	u = mem_zalloc(sizeof(*u) + len);
	memcpy(u->name, name, len);
	u->password = mem_strdup(password);
	user_add(a, u);
}

void
auth_realm_set(struct auth *a, const char *realm)
{
	mem_free(a->realm);
	a->realm = mem_strdup(realm);
}

bool
auth_user_known(const struct auth *a, const char *name)
{
	return user_find(a, name) != NULL;
}

/* -- Nonces -- */

static void
nonce_mac(const struct auth *a, const char *text, char out[static NONCE_MAC_LEN + 1])
{
	uint8_t mac[SIP_HMAC_LEN];

	sip_hmac(a->key, text, NONCE_TIME_LEN + NONCE_RANDOM_LEN, mac);
	for (size_t i = 0; i < NONCE_MAC_LEN / 2; i++)
		snprintf(out + 2 * i, 3, "%02x", mac[i]);
}

static void
nonce_make(const struct auth *a, uint64_t now_s, char out[static NONCE_LEN + 1])
{
	uint64_t chance;

	fill_random(&chance, sizeof(chance));
	snprintf(out, NONCE_LEN + 1, "%016llx%016llx", (unsigned long long)now_s,
	    (unsigned long long)chance);
	nonce_mac(a, out, out + NONCE_TIME_LEN + NONCE_RANDOM_LEN);
}

static bool
nonce_ours(const struct auth *a, const char *text, uint64_t *time_s)
{
	char mac[NONCE_MAC_LEN + 1], time_hex[NONCE_TIME_LEN + 1];

	if (strlen(text) != NONCE_LEN)
		return false;
	nonce_mac(a, text, mac);
	if (!sip_equal_const_time(mac, text + NONCE_LEN - NONCE_MAC_LEN, NONCE_MAC_LEN))
		return false;
	memcpy(time_hex, text, NONCE_TIME_LEN);
	time_hex[NONCE_TIME_LEN] = '\0';
	*time_s = strtoull(time_hex, NULL, 16);
	return true;
}

/*
 * RFC 7616 §3.3: each count of a nonce is good once. The table forgets the oldest first; nonces as
 * old as a forgotten one are stale from then on.
 */
static bool
nonce_use(struct auth *a, const char *text, uint64_t time_s, uint32_t count, uint64_t now_s)
{
	struct nonce *n = nonce_find(a, text), *oldest;

	while ((oldest = TAILQ_FIRST(&a->order)) != NULL && oldest != n &&
	    (oldest->time_s + 2 * AUTH_NONCE_LIFE_S < now_s ||
		(n == NULL && HASH_COUNT(a->nonces) >= AUTH_NONCES_MAX))) {
		if (oldest->time_s > a->floor_s)
			a->floor_s = oldest->time_s;
		nonce_del(a, oldest);
	}
	if (time_s > now_s || time_s + AUTH_NONCE_LIFE_S < now_s ||
	    (n == NULL && a->floor_s != 0 && time_s <= a->floor_s))
		return false;
	if (n == NULL) {
		n = mem_zalloc(sizeof(*n));
		memcpy(n->text, text, NONCE_LEN + 1);
		n->time_s = time_s;
		nonce_add(a, n);
	} else if (count <= n->count) {
		return false;
	}
	n->count = count;
	return true;
}

void
auth_offer(struct auth *a, bool md5, bool sha256)
{
	a->md5 = md5;
	a->sha256 = sha256;
}

bool
auth_challenge(struct auth *a, unsigned i, bool stale, uint64_t now_s,
    char out[static AUTH_CHALLENGE_MAX])
{
	char nonce[NONCE_LEN + 1];

	if (i == 0 ? !a->sha256 : !a->md5)
		return false;
	nonce_make(a, now_s, nonce);
	snprintf(out, AUTH_CHALLENGE_MAX,
	    "Digest realm=\"%.255s\", nonce=\"%s\", qop=\"auth\", algorithm=%s%s", a->realm, nonce,
	    i == 0 ? "SHA-256" : "MD5", stale ? ", stale=true" : "");
	return true;
}

/* -- Credentials -- */

/* A quoted-string's content; libosip2 leaves the quotes where they are. */
static bool
unquote(const char *in, char *out, size_t cap)
{
	size_t n = 0;
	bool quoted;

	if (in == NULL)
		return false;
	if ((quoted = *in == '"'))
		in++;
	for (; *in != '\0' && !(quoted && *in == '"'); in++) {
		if (quoted && *in == '\\' && in[1] != '\0')
			in++;
		if (n + 1 >= cap)
			return false;
		out[n++] = *in;
	}
	out[n] = '\0';
	return true;
}

bool
auth_is_ours(const struct auth *a, const osip_authorization_t *c)
{
	char realm[256];

	return c->auth_type != NULL && strcasecmp(c->auth_type, "Digest") == 0 &&
	    unquote(c->realm, realm, sizeof(realm)) && strcmp(realm, a->realm) == 0;
}

struct credentials {
	char user[AUTH_USER_MAX], nonce[NONCE_LEN + 1], uri[512], response[SIP_DIGEST_HEX_MAX],
	    cnonce[256], qop[16], count_hex[9];
	enum sip_digest alg;
	uint32_t count;
};

static bool
read_algorithm(const char *in, enum sip_digest *out)
{
	char name[32];

	if (in == NULL) { /* RFC 7616 §3.4 */
		*out = SIP_DIGEST_MD5;
		return true;
	}
	if (!unquote(in, name, sizeof(name)))
		return false;
	*out = strcasecmp(name, "SHA-256") == 0 ? SIP_DIGEST_SHA256 : SIP_DIGEST_MD5;
	return *out == SIP_DIGEST_SHA256 || strcasecmp(name, "MD5") == 0;
}

/* Without qop (RFC 2069, which RFC 3261 §22.4 wants understood) a nonce is good for one request. */
static bool
read_qop(const osip_authorization_t *in, struct credentials *out)
{
	char *end;

	if (in->message_qop == NULL) {
		out->qop[0] = '\0';
		out->count = UINT32_MAX;
		return true;
	}
	if (!unquote(in->message_qop, out->qop, sizeof(out->qop)) ||
	    strcasecmp(out->qop, "auth") != 0 ||
	    !unquote(in->cnonce, out->cnonce, sizeof(out->cnonce)) ||
	    !unquote(in->nonce_count, out->count_hex, sizeof(out->count_hex)))
		return false;
	out->count = (uint32_t)strtoul(out->count_hex, &end, 16);
	return *end == '\0' && out->count != 0;
}

static bool
read_credentials(const osip_authorization_t *in, struct credentials *out)
{
	return unquote(in->username, out->user, sizeof(out->user)) &&
	    unquote(in->nonce, out->nonce, sizeof(out->nonce)) &&
	    unquote(in->uri, out->uri, sizeof(out->uri)) &&
	    unquote(in->response, out->response, sizeof(out->response)) &&
	    read_algorithm(in->algorithm, &out->alg) && read_qop(in, out);
}

/* RFC 7616 §3.4.1: response = H(H(A1) ":" nonce [":" nc ":" cnonce ":" qop] ":" H(A2)). */
static void
expected_response(const struct auth *a, const struct credentials *c, const char *password,
    const char *method, char out[static SIP_DIGEST_HEX_MAX])
{
	char ha1[SIP_DIGEST_HEX_MAX], ha2[SIP_DIGEST_HEX_MAX];
	char *text = mem_printf("%s:%s:%s", c->user, a->realm, password);

	sip_digest_hex(c->alg, text, strlen(text), ha1);
	mem_wipe_free(text, strlen(text));
	text = mem_printf("%s:%s", method, c->uri);
	sip_digest_hex(c->alg, text, strlen(text), ha2);
	mem_free(text);
	if (c->qop[0] != '\0')
		text = mem_printf("%s:%s:%s:%s:%s:%s", ha1, c->nonce, c->count_hex, c->cnonce,
		    c->qop, ha2);
	else
		text = mem_printf("%s:%s:%s", ha1, c->nonce, ha2);
	sip_digest_hex(c->alg, text, strlen(text), out);
	mem_free(text);
}

/* "alice" or "alice@realm": phones differ in what they call the user name. */
static const struct user *
claimed_user(const struct auth *a, const char *claimed, char name[static AUTH_USER_MAX])
{
	const char *at = strrchr(claimed, '@');
	size_t len = at != NULL && strcasecmp(at + 1, a->realm) == 0 ? (size_t)(at - claimed) :
								       strlen(claimed);

	memcpy(name, claimed, len);
	name[len] = '\0';
	return user_find(a, name);
}

static enum auth_result
check_one(struct auth *a, const osip_authorization_t *in, const struct auth_request *req,
    char *user)
{
	struct credentials c = { 0 };
	char expected[SIP_DIGEST_HEX_MAX];
	const struct user *u;
	uint64_t time_s;
	bool right;

	if (!read_credentials(in, &c) || (c.alg == SIP_DIGEST_MD5 ? !a->md5 : !a->sha256))
		return AUTH_WRONG;
	u = claimed_user(a, c.user, user);
	if (!nonce_ours(a, c.nonce, &time_s))
		return AUTH_STALE; /* of before our key was made anew, or of nobody */
	/* An unknown user costs the same time as a known one. */
	expected_response(a, &c, u != NULL ? u->password : "", req->method, expected);
	right = strlen(c.response) == strlen(expected) &&
	    sip_equal_const_time(c.response, expected, strlen(expected));
	if (u == NULL || !right || !req->uri_fits(req->arg, c.uri))
		return AUTH_WRONG;
	return nonce_use(a, c.nonce, time_s, c.count, req->now_s) ? AUTH_GOOD : AUTH_STALE;
}

enum auth_result
auth_check(struct auth *a, const struct auth_request *req, char user[static AUTH_USER_MAX])
{
	enum auth_result result = AUTH_NONE;
	osip_list_iterator_t it;
	const osip_authorization_t *c;

	user[0] = '\0';
	c = osip_list_get_first(req->credentials, &it);
	for (; result != AUTH_GOOD && osip_list_iterator_has_elem(it); c = osip_list_get_next(&it))
		if (auth_is_ours(a, c))
			result = check_one(a, c, req, user);
	return result;
}
