/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_AUTH_H
#define VOFW_SIP_AUTH_H

#include <osipparser2/osip_message.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760) against the users of the configuration.
 * A nonce proves by itself that we made it and when; only the counts of nonces that were used well
 * are remembered (AUTH_NONCES_MAX), so that asking costs no memory and no answer counts twice.
 */
struct auth;

#define AUTH_NONCES_MAX 65536
#define AUTH_NONCE_LIFE_S 300
#define AUTH_CHALLENGE_MAX 512 /* longest challenge with its NUL */
#define AUTH_USER_MAX 128

enum auth_result {
	AUTH_GOOD,
	AUTH_NONE,  /* no credentials for our realm: challenge */
	AUTH_STALE, /* right, but the nonce is old or was used with this count: challenge anew */
	AUTH_WRONG, /* unknown user, wrong password, forged nonce or unfit parameters */
};

struct auth_request { /* borrowed until return */
	const char *method;
	const osip_list_t *credentials; /* of osip_authorization_t: the header's values */
	/* Whether the URI that was digested is what is asked for (RFC 7616 §3.4.6). */
	bool (*uri_fits)(void *arg, const char *uri);
	void *arg;
	uint64_t now_s; /* monotonic */
};

/* The key of the nonces is new each time: after a restart, which forgets the counts, all are stale. */
struct auth *auth_new(const char *realm);
void auth_free(struct auth *a);

/* A user; the same name again replaces the password. Copies. */
void auth_user_put(struct auth *a, const char *name, const char *password);
void auth_users_clear(struct auth *a);
void auth_realm_set(struct auth *a, const char *realm);
bool auth_user_known(const struct auth *a, const char *name);

/* Which digests are offered, and accepted; at first both. */
void auth_offer(struct auth *a, bool md5, bool sha256);

/* Checks the credentials; on AUTH_GOOD `user` has the name, on AUTH_WRONG what was claimed. */
enum auth_result auth_check(struct auth *a, const struct auth_request *req,
    char user[static AUTH_USER_MAX]);

/* The values of WWW-Authenticate or Proxy-Authenticate: i = 0 is SHA-256, the better one first
 * (RFC 8760 §2.4), i = 1 is MD5. False, and nothing written, when that one is not offered. */
#define AUTH_CHALLENGES 2
bool auth_challenge(struct auth *a, unsigned i, bool stale, uint64_t now_s,
    char out[static AUTH_CHALLENGE_MAX]);

/* True for credentials that are meant for us (RFC 3261 §22.3: taken out before forwarding). */
bool auth_is_ours(const struct auth *a, const osip_authorization_t *credentials);

#endif
