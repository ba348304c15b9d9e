/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/support/tls_ca.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

static void
add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

static X509 *
certificate_new(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	static long serial;
	X509 *x = X509_new();
	X509_NAME *subject = X509_get_subject_name(x);

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
	    0);
	X509_set_issuer_name(x, issuer == NULL ? subject : X509_get_subject_name(issuer));
	X509_set_pubkey(x, key);
	if (issuer == NULL) {
		add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE");
		add_extension(x, x, NID_key_usage, "critical,keyCertSign");
	} else {
		add_extension(x, issuer, NID_subject_alt_name, "IP:127.0.0.1");
	}
	X509_sign(x, issuer_key, EVP_sha256());
	return x;
}

static char *
bio_text(BIO *bio)
{
	char *p, *text;
	long n = BIO_get_mem_data(bio, &p);

	text = mem_dup(p, (size_t)n);
	BIO_free(bio);
	return text;
}

static void
write_file(struct tls_ca *ca, X509 *x)
{
	FILE *f;

	strcpy(ca->file, "/tmp/vofw-test-ca-XXXXXX");
	f = fdopen(mkstemp(ca->file), "w");
	PEM_write_X509(f, x);
	fclose(f);
}

void
tls_ca_make(struct tls_ca *ca)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	static unsigned authorities;
	BIO *bio = BIO_new(BIO_s_mem());
	X509 *authority, *server;
	char name[32];

	/* A name of its own: it shall be unknown to those who trust another, not a false one. */
	snprintf(name, sizeof(name), "VoFW test CA %u", ++authorities);
	authority = certificate_new(name, ca_key, NULL, ca_key);
	server = certificate_new("VoFW test server", key, authority, ca_key);
	write_file(ca, authority);
	PEM_write_bio_X509(bio, server);
	ca->certificate = bio_text(bio);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	ca->key = bio_text(bio);
	X509_free(authority);
	X509_free(server);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
}

void
tls_ca_free(struct tls_ca *ca)
{
	unlink(ca->file);
	mem_free(ca->certificate);
	mem_free(ca->key);
}
