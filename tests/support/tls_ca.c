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

#define DAY_S 86400

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

/* Signed by `ca`; of an authority itself, when that has no certificate yet. */
static X509 *
certificate_new(const struct tls_ca *ca, const char *name, const char *alternative, EVP_PKEY *key,
    long lives_s)
{
	static long serial;
	X509 *x = X509_new();
	X509_NAME *subject = X509_get_subject_name(x);

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), lives_s);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
	    0);
	X509_set_issuer_name(x, ca->x509 == NULL ? subject : X509_get_subject_name(ca->x509));
	X509_set_pubkey(x, key);
	if (ca->x509 == NULL) {
		add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE");
		add_extension(x, x, NID_key_usage, "critical,keyCertSign");
	} else if (alternative != NULL) {
		add_extension(x, ca->x509, NID_subject_alt_name, alternative);
	}
	X509_sign(x, ca->pkey, EVP_sha256());
	return x;
}

static FILE *
file_new(char name[static TLS_CA_FILE_MAX])
{
	strcpy(name, "/tmp/vofw-test-ca-XXXXXX");
	return fdopen(mkstemp(name), "w");
}

static void
sign(const struct tls_ca *ca, const char *name, const char *alternative, long lives_s,
    struct tls_ca_pair *out)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = certificate_new(ca, name, alternative, key, lives_s);
	FILE *f = file_new(out->certificate);

	PEM_write_X509(f, x);
	fclose(f);
	f = file_new(out->key);
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	X509_free(x);
	EVP_PKEY_free(key);
}

void
tls_ca_sign(const struct tls_ca *ca, const char *common_name, const char *dns_name, long lives_s,
    struct tls_ca_pair *out)
{
	char *alternative = dns_name == NULL ? NULL : mem_printf("DNS:%s", dns_name);

	sign(ca, common_name, alternative, lives_s, out);
	mem_free(alternative);
}

void
tls_ca_make(struct tls_ca *ca)
{
	static unsigned authorities;
	char name[32];
	FILE *f;

	memset(ca, 0, sizeof(*ca));
	/* A name of its own: it shall be unknown to those who trust another, not a false one. */
	snprintf(name, sizeof(name), "VoFW test CA %u", ++authorities);
	ca->pkey = EVP_EC_gen("P-256");
	ca->x509 = certificate_new(ca, name, NULL, ca->pkey, DAY_S);
	f = file_new(ca->file);
	PEM_write_X509(f, ca->x509);
	fclose(f);
	sign(ca, "VoFW test server", "IP:127.0.0.1", DAY_S, &ca->server);
}

void
tls_ca_pair_free(struct tls_ca_pair *p)
{
	unlink(p->certificate);
	unlink(p->key);
}

void
tls_ca_free(struct tls_ca *ca)
{
	unlink(ca->file);
	tls_ca_pair_free(&ca->server);
	X509_free(ca->x509);
	EVP_PKEY_free(ca->pkey);
}
