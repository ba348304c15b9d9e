/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink/signer.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>

/* A stranger wrote it. */
static void
make_printable(char *s)
{
	for (; *s != '\0'; s++) {
		if (*s < ' ' || *s > '~' || *s == '"')
			*s = '?';
	}
}

static void
note(struct uplink_signer *s, X509 *leaf)
{
	X509_NAME *issuer = X509_get_issuer_name(leaf);

	if (X509_NAME_get_text_by_NID(issuer, NID_commonName, s->name, sizeof(s->name)) <= 0 &&
	    X509_NAME_get_text_by_NID(issuer, NID_organizationName, s->name, sizeof(s->name)) <= 0)
		snprintf(s->name, sizeof(s->name), "somebody without a name");
	make_printable(s->name);
}

/* It would be good, were its signer trusted. */
static bool
is_of_a_stranger(int error)
{
	switch (error) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return true;
	default:
		return false;
	}
}

/* In the place of OpenSSL's own, which it calls. */
static int
on_verify(X509_STORE_CTX *store, void *arg)
{
	struct uplink_signer *s = arg;
	int good = X509_verify_cert(store);
	X509 *leaf = X509_STORE_CTX_get0_cert(store);

	if (good <= 0 && leaf != NULL && is_of_a_stranger(X509_STORE_CTX_get_error(store)))
		note(s, leaf);
	return good;
}

static CURLcode
on_context(CURL *easy, void *context, void *s)
{
	(void)easy;
	SSL_CTX_set_cert_verify_callback(context, on_verify, s);
	return CURLE_OK;
}

void
uplink_signer_watch(struct uplink_signer *s, CURL *easy)
{
	s->name[0] = '\0';
	curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_context);
	curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, s);
}
