/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_TLS_CA_H
#define VOFW_TESTS_TLS_CA_H

/* A certification authority that lives as long as a test, and one server certificate by it. */
struct tls_ca {
	char file[64];     /* the authority's certificate, PEM, for those who shall trust it */
	char *certificate; /* of a server at 127.0.0.1, PEM text */
	char *key;         /* its private key, PEM text */
};

void tls_ca_make(struct tls_ca *ca);
void tls_ca_free(struct tls_ca *ca); /* removes the file, too */

#endif
