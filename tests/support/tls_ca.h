/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_TLS_CA_H
#define VOFW_TESTS_TLS_CA_H

#define TLS_CA_FILE_MAX 64

/* A certificate and its private key, in PEM files. */
struct tls_ca_pair {
	char certificate[TLS_CA_FILE_MAX], key[TLS_CA_FILE_MAX];
};

/* A certification authority that lives as long as a test, and one server certificate by it. */
struct tls_ca {
	char file[TLS_CA_FILE_MAX]; /* its certificate, for those who shall trust it */
	struct tls_ca_pair server;  /* of a server at 127.0.0.1 */
	void *x509, *pkey;          /* OpenSSL's */
};

void tls_ca_make(struct tls_ca *ca);
/* One more by it, until tls_ca_pair_free: of a client with that common name and that DNS name
 * (NULL = none), which ends in so many seconds (negative: has ended). */
void tls_ca_sign(const struct tls_ca *ca, const char *common_name, const char *dns_name,
    long lives_s, struct tls_ca_pair *out);
void tls_ca_pair_free(struct tls_ca_pair *p); /* removes its files */
void tls_ca_free(struct tls_ca *ca);          /* removes all files */

#endif
