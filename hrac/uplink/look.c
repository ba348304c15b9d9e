/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink/look.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* It may quote what a stranger sent, and is shown to people. */
static void
make_printable(char *s)
{
	for (; *s != '\0'; s++) {
		if (*s < ' ' || *s > '~')
			*s = '?';
	}
}

/* -- TLS -- */

static void
say_name(X509_NAME *name, char out[static UPLINK_LOOK_NAME_MAX])
{
	if (X509_NAME_get_text_by_NID(name, NID_commonName, out, UPLINK_LOOK_NAME_MAX) <= 0 &&
	    X509_NAME_get_text_by_NID(name, NID_organizationName, out, UPLINK_LOOK_NAME_MAX) <= 0)
		snprintf(out, UPLINK_LOOK_NAME_MAX, "a name that is empty");
	make_printable(out);
}

static void
note_certificate(struct uplink_look_tls *t, X509 *leaf)
{
	unsigned n = sizeof(t->fingerprint);

	t->seen = true;
	say_name(X509_get_subject_name(leaf), t->subject);
	say_name(X509_get_issuer_name(leaf), t->issuer);
	X509_digest(leaf, EVP_sha256(), t->fingerprint, &n);
}

static void
note_session(struct uplink_look_tls *t, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	const SSL_CIPHER *cipher = SSL_get_pending_cipher(ssl);

	snprintf(t->version, sizeof(t->version), "%s", SSL_get_version(ssl));
	snprintf(t->cipher, sizeof(t->cipher), "%s",
	    cipher == NULL ? "" : SSL_CIPHER_get_name(cipher));
}

/* In the place of OpenSSL's own: it decides as that would, and what it saw is noted. */
static int
on_verify(X509_STORE_CTX *store, void *arg)
{
	struct uplink_look *look = arg;
	int good = X509_verify_cert(store);
	X509 *leaf = X509_STORE_CTX_get0_cert(store);

	/* With a proxy that speaks TLS itself it is called twice; the second is HRAS's. */
	memset(&look->tls, 0, sizeof(look->tls));
	if (leaf == NULL)
		return good;
	note_certificate(&look->tls, leaf);
	note_session(&look->tls, store);
	look->tls.trusted = good > 0;
	if (good <= 0)
		snprintf(look->tls.why, sizeof(look->tls.why), "%s",
		    X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
	return good;
}

static CURLcode
on_ssl_context(CURL *easy, void *context, void *look)
{
	(void)easy;
	SSL_CTX_set_cert_verify_callback(context, on_verify, look);
	return CURLE_OK;
}

void
uplink_look_watch(struct uplink_look *look, CURL *easy)
{
	memset(look, 0, sizeof(*look));
	curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_ssl_context);
	curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, look);
	/* A session taken up again shows no certificate. */
	curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
}

/* -- Heads -- */

/* The value of the header `name` in the line, and its length; NULL = it is another one. */
static const char *
value_of(const char *line, size_t n, const char *name, size_t *len)
{
	size_t name_len = strlen(name);

	if (n < name_len || strncasecmp(line, name, name_len) != 0)
		return NULL;
	for (line += name_len, n -= name_len; n > 0 && *line == ' '; n--)
		line++;
	while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == '\n' || line[n - 1] == ' '))
		n--;
	*len = n;
	return line;
}

void
uplink_look_header(struct uplink_look *look, const char *line, size_t n)
{
	const char *value;
	size_t len;

	if ((value = value_of(line, n, "Server:", &len)) != NULL) {
		snprintf(look->answered, sizeof(look->answered), "%.*s", (int)len, value);
		make_printable(look->answered);
	}
}

/* -- The end -- */

static uint32_t
time_of(CURL *easy, CURLINFO which)
{
	curl_off_t us = 0;

	curl_easy_getinfo(easy, which, &us);
	return us < 0 || us > UINT32_MAX ? 0 : (uint32_t)us;
}

static enum uplink_look_step
step_of(const struct uplink_look *look, CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return UPLINK_LOOK_NAME;
	case CURLE_COULDNT_CONNECT:
		return UPLINK_LOOK_CONNECT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
		return UPLINK_LOOK_TLS;
	case CURLE_OPERATION_TIMEDOUT:
		if (look->name_us == 0)
			return UPLINK_LOOK_NAME;
		return look->connect_us == 0 ? UPLINK_LOOK_CONNECT : UPLINK_LOOK_ANSWER;
	default:
		return UPLINK_LOOK_ANSWER;
	}
}

void
uplink_look_end(struct uplink_look *look, CURL *easy, CURLcode code, bool from_hras)
{
	char *ip = NULL;
	long port = 0;

	look->name_us = time_of(easy, CURLINFO_NAMELOOKUP_TIME_T);
	look->connect_us = time_of(easy, CURLINFO_CONNECT_TIME_T);
	curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &look->connect_status);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &look->status);
	curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &ip);
	curl_easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &port);
	if (ip != NULL && *ip != '\0')
		snprintf(look->peer, sizeof(look->peer),
		    strchr(ip, ':') == NULL ? "%s:%ld" : "[%s]:%ld", ip, port);
	if (from_hras)
		look->step = UPLINK_LOOK_DONE;
	else if (look->status == 407 ||
	    (look->connect_status != 0 && look->connect_status / 100 != 2))
		look->step = UPLINK_LOOK_PROXY;
	else
		look->step = step_of(look, code);
}
