/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAS_GATEWAY_TLS_H
#define VOFW_HRAS_GATEWAY_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

/*
 * TLS of the gateway's https listeners: the certificate that HRAS shows, when it ends, and whose
 * certificates are let in; private to the gateway, and the only user of GnuTLS. libmicrohttpd shakes
 * hands and carries the records, by the credentials that each of its sessions is given here as it
 * begins. Credentials loaded later are for the sessions that begin after that; those under way keep
 * theirs. A peer may take up a session again (RFC 8446 section 2.2), without certificates and for less
 * work, as long as the credentials are the same.
 *
 * With `client_ca` a session whose peer shows no certificate of that authority ends in its
 * handshake, with an alert for the peer and a line in the log, before any byte of HTTP is read.
 */
struct gateway_tls;
struct gateway_tls_session;

#define GATEWAY_TLS_WRONG_MAX 512
#define GATEWAY_TLS_WARN_DAYS 14

struct gateway_tls_files {             /* names of PEM files */
	const char *certificate, *key; /* the chain, the first one HRAS's own; its private key */
	const char *client_ca; /* who must have signed the peers' certificates; NULL = none need */
};

/* ERR_MALFORMED, with what is wrong and with which file, when they cannot be used. */
int gateway_tls_new(const struct gateway_tls_files *files, struct gateway_tls **out,
    char wrong[static GATEWAY_TLS_WRONG_MAX]);
void gateway_tls_free(struct gateway_tls *t); /* when no session is left; NULL is fine */

/* Reads the files, which may be others, again. On error everything stays as it was. */
int gateway_tls_load(struct gateway_tls *t, const struct gateway_tls_files *files,
    char wrong[static GATEWAY_TLS_WRONG_MAX]);

uint64_t gateway_tls_expires_s(const struct gateway_tls *t); /* when the first of the chain ends */
/* Whether peers must show certificates, and the SHA-256 of the file that says whose are good. */
bool gateway_tls_asks(const struct gateway_tls *t, uint8_t authority[static 32]);
uint64_t gateway_tls_refused(const struct gateway_tls *t); /* handshakes, for the certificate */

/* Warns in the log when the end is GATEWAY_TLS_WARN_DAYS near: once for each day that is left. */
void gateway_tls_watch(struct gateway_tls *t, uint64_t now_wall_s);

/*
 * `session` (gnutls_session_t) of a connection from `peer` is about to shake hands. The result,
 * never NULL, is to be ended after GnuTLS's own.
 */
struct gateway_tls_session *gateway_tls_begin(struct gateway_tls *t, void *session,
    const struct addr *peer);
void gateway_tls_end(struct gateway_tls_session *s); /* NULL is fine */

/* SHA-256 of the certificate that it shows; false when there is none. */
bool gateway_tls_fingerprint(const struct gateway_tls_session *s, uint8_t out[static 32]);

/*
 * Whether its peer may be `agent`: its certificate has that common name, or that DNS name among the
 * alternative ones, letter by letter; always, when none was asked for.
 */
bool gateway_tls_may_be(const struct gateway_tls_session *s, const char *agent);

#endif
