/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hras/gateway/tls.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/mem.h"
#include "log/log.h"

#define DAY_S 86400
#define CHAIN_MAX 16 /* certificates that a peer or a file may have */
#define NAME_MAX_LEN 256
#define LINGER_READS 16

/* What one reading of the files gave. It lives as long as a session that began by it. */
struct credentials {
	gnutls_certificate_credentials_t gnutls;
	bool asks; /* for the peers' certificates */
	uint8_t authority[32];
	/* Of its own: who was let in by other credentials has to show again who he is. */
	gnutls_datum_t ticket_key;
	uint64_t expires_s;
	unsigned sessions_n;
};

struct gateway_tls {
	struct credentials *now;
	uint64_t warned_days; /* left, when it was warned of last; UINT64_MAX = not yet */
	uint64_t refused;
	struct log_limit limit;
};

struct gateway_tls_session {
	struct gateway_tls *tls;
	struct credentials *credentials;
	gnutls_session_t gnutls;
	struct addr peer;
	bool refused;
};

static void
credentials_free(struct credentials *c)
{
	gnutls_certificate_free_credentials(c->gnutls);
	if (c->ticket_key.data != NULL)
		explicit_bzero(c->ticket_key.data, c->ticket_key.size);
	gnutls_free(c->ticket_key.data);
	mem_free(c);
}

/* -- The peers' certificates -- */

/* Its own certificate of what the peer showed; NULL when it showed none that can be read. */
static gnutls_x509_crt_t
peer_certificate(gnutls_session_t session)
{
	const gnutls_datum_t *list;
	gnutls_x509_crt_t crt;
	unsigned n = 0;

	list = gnutls_certificate_get_peers(session, &n);
	if (list == NULL || n == 0 || n > CHAIN_MAX)
		return NULL;
	if (gnutls_x509_crt_init(&crt) < 0)
		abort(); /* it is out of memory */
	if (gnutls_x509_crt_import(crt, &list[0], GNUTLS_X509_FMT_DER) < 0) {
		gnutls_x509_crt_deinit(crt);
		return NULL;
	}
	return crt;
}

/* Compared by length: a name with a zero byte in it is not the one before that byte. */
static bool
is_name(const char *name, size_t n, const char *agent)
{
	return n == strlen(agent) && memcmp(name, agent, n) == 0;
}

static bool
has_common_name(gnutls_x509_crt_t crt, const char *agent)
{
	char name[NAME_MAX_LEN];
	size_t n;
	int err = 0;

	for (unsigned i = 0; err != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE && i < CHAIN_MAX; i++) {
		n = sizeof(name);
		err =
		    gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, i, 0, name, &n);
		if (err == 0 && is_name(name, n, agent))
			return true;
	}
	return false;
}

static bool
has_dns_name(gnutls_x509_crt_t crt, const char *agent)
{
	char name[NAME_MAX_LEN];
	size_t n;
	int type = 0;

	for (unsigned i = 0; type != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE && i < CHAIN_MAX; i++) {
		n = sizeof(name);
		type = gnutls_x509_crt_get_subject_alt_name(crt, i, name, &n, NULL);
		if (type == GNUTLS_SAN_DNSNAME && is_name(name, n, agent))
			return true;
	}
	return false;
}

bool
gateway_tls_may_be(const struct gateway_tls_session *s, const char *agent)
{
	gnutls_x509_crt_t crt;
	bool is;

	if (!s->credentials->asks)
		return true;
	crt = peer_certificate(s->gnutls);
	if (crt == NULL)
		return false;
	is = has_common_name(crt, agent) || has_dns_name(crt, agent);
	gnutls_x509_crt_deinit(crt);
	return is;
}

bool
gateway_tls_fingerprint(const struct gateway_tls_session *s, uint8_t out[static 32])
{
	gnutls_datum_t ours;
	size_t n = 32;

	/* Not what the session says: one that is taken up again shows none, and knows none. */
	return gnutls_certificate_get_crt_raw(s->credentials->gnutls, 0, 0, &ours) == 0 &&
	    gnutls_fingerprint(GNUTLS_DIG_SHA256, &ours, out, &n) == 0;
}

static int
refuse(struct gateway_tls_session *s, gnutls_alert_description_t alert, const char *who,
    const char *why)
{
	char peer[ADDR_STR_MAX];

	s->tls->refused++;
	log_warn_limited(&s->tls->limit, "gateway", "refused %s, whose certificate%s%s: %s",
	    addr_str(&s->peer, peer), who[0] == '\0' ? "" : " is of ", who, why);
	/* libmicrohttpd would only close, and the peer's log would not tell why. */
	gnutls_alert_send(s->gnutls, GNUTLS_AL_FATAL, alert);
	shutdown(gnutls_transport_get_int(s->gnutls), SHUT_WR);
	s->refused = true;
	return GNUTLS_E_AGAIN;
}

/*
 * What a refused peer had sent already is read until it ends: were the connection closed over it, a
 * reset could overtake the alert. A few reads a turn: one who sends as fast as we read would else have
 * the only thread to himself. Who goes on for ever is closed as one that carries no stream.
 */
static int
linger(struct gateway_tls_session *s)
{
	int fd = gnutls_transport_get_int(s->gnutls);
	char waste[4096];
	ssize_t n = 1;

	for (unsigned i = 0; n > 0 && i < LINGER_READS; i++)
		n = recv(fd, waste, sizeof(waste), MSG_DONTWAIT);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)) ? GNUTLS_E_AGAIN : -1;
}

/* Inside the handshake, when the peer has shown its certificate, or that it has none. */
static int
on_verify(gnutls_session_t session)
{
	gnutls_typed_vdata_st purpose = { .type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT };
	struct gateway_tls_session *s = gnutls_session_get_ptr(session);
	gnutls_datum_t why = { 0 };
	char name[NAME_MAX_LEN];
	size_t n = sizeof(name);
	gnutls_x509_crt_t crt;
	unsigned status = 0;
	int err;

	if (s->refused)
		return linger(s);
	crt = peer_certificate(session);
	if (crt == NULL)
		return refuse(s, GNUTLS_A_CERTIFICATE_REQUIRED, "",
		    "it showed none (tunnel.client_ca is set here, tunnel.client_certificate is not "
		    "there)");
	if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &n) < 0)
		snprintf(name, sizeof(name), "somebody without a common name");
	gnutls_x509_crt_deinit(crt);
	err = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
	if (err < 0)
		return refuse(s, GNUTLS_A_BAD_CERTIFICATE, name, gnutls_strerror(err));
	if (status == 0)
		return 0;
	if ((status & GNUTLS_CERT_SIGNER_NOT_FOUND) != 0)
		return refuse(s, GNUTLS_A_UNKNOWN_CA, name, "tunnel.client_ca did not sign it");
	if ((status & GNUTLS_CERT_EXPIRED) != 0)
		return refuse(s, GNUTLS_A_CERTIFICATE_EXPIRED, name,
		    "it has ended, or one that signed it has");
	if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &why, 0) < 0)
		return refuse(s, GNUTLS_A_BAD_CERTIFICATE, name, "it is not valid");
	err = refuse(s, GNUTLS_A_BAD_CERTIFICATE, name, (const char *)why.data);
	gnutls_free(why.data);
	return err;
}

/* -- Sessions -- */

struct gateway_tls_session *
gateway_tls_begin(struct gateway_tls *t, void *session, const struct addr *peer)
{
	struct gateway_tls_session *s = mem_zalloc(sizeof(*s));

	*s = (struct gateway_tls_session){
		.tls = t, .credentials = t->now, .gnutls = session, .peer = *peer
	};
	s->credentials->sessions_n++;
	/* libmicrohttpd's own pointer there is for pre-shared keys, which we have none of. */
	gnutls_session_set_ptr(s->gnutls, s);
	if (gnutls_credentials_set(s->gnutls, GNUTLS_CRD_CERTIFICATE, s->credentials->gnutls) < 0)
		abort(); /* it is out of memory */
	/* Each stream is a connection of its own, and most are the next ones of a peer that is known. */
	if (gnutls_session_ticket_enable_server(s->gnutls, &s->credentials->ticket_key) < 0)
		abort();
	/* Asked for, not demanded by GnuTLS: so on_verify is asked also when there is none. */
	if (s->credentials->asks)
		gnutls_certificate_server_set_request(s->gnutls, GNUTLS_CERT_REQUEST);
	return s;
}

void
gateway_tls_end(struct gateway_tls_session *s)
{
	if (s == NULL)
		return;
	if (--s->credentials->sessions_n == 0 && s->credentials != s->tls->now)
		credentials_free(s->credentials);
	mem_free(s);
}

/* -- The files -- */

static int
complain(char *wrong, const char *file, const char *why)
{
	snprintf(wrong, GATEWAY_TLS_WRONG_MAX, "%s: %s", file, why);
	/* GnuTLS's sentences end with a stop, and here another part may follow. */
	if (wrong[strlen(wrong) - 1] == '.')
		wrong[strlen(wrong) - 1] = '\0';
	return ERR_MALFORMED;
}

/* GnuTLS owns the bytes. */
static int
read_file(const char *file, gnutls_datum_t *out, char *wrong)
{
	errno = 0;
	if (gnutls_load_file(file, out) < 0)
		return complain(wrong, file, errno != 0 ? strerror(errno) : "it cannot be read");
	return 0;
}

/* When the first of the chain ends, and whether it is a chain at all. */
static int
read_chain(const char *file, const gnutls_datum_t *pem, uint64_t *expires_s, char *wrong)
{
	gnutls_x509_crt_t chain[CHAIN_MAX];
	unsigned n = CHAIN_MAX;
	int err = gnutls_x509_crt_list_import(chain, &n, pem, GNUTLS_X509_FMT_PEM, 0);

	if (err < 0)
		return complain(wrong, file, gnutls_strerror(err));
	*expires_s = UINT64_MAX;
	for (unsigned i = 0; i < n; i++) {
		time_t end = gnutls_x509_crt_get_expiration_time(chain[i]);

		if (end >= 0 && (uint64_t)end < *expires_s)
			*expires_s = (uint64_t)end;
		gnutls_x509_crt_deinit(chain[i]);
	}
	return 0;
}

static int
load_own(struct credentials *c, const struct gateway_tls_files *files, char *wrong)
{
	gnutls_datum_t certificate = { 0 }, key = { 0 };
	int err = read_file(files->certificate, &certificate, wrong);

	if (err == 0)
		err = read_file(files->key, &key, wrong);
	if (err == 0)
		err = read_chain(files->certificate, &certificate, &c->expires_s, wrong);
	if (err == 0) {
		err = gnutls_certificate_set_x509_key_mem(c->gnutls, &certificate, &key,
		    GNUTLS_X509_FMT_PEM);
		if (err < 0)
			err = complain(wrong, files->key, gnutls_strerror(err));
	}
	gnutls_free(certificate.data);
	if (key.data != NULL)
		explicit_bzero(key.data, key.size);
	gnutls_free(key.data);
	return err < 0 ? err : 0;
}

static int
load_client_ca(struct credentials *c, const char *file, char *wrong)
{
	gnutls_datum_t pem = { 0 };
	int n, err = read_file(file, &pem, wrong);

	if (err < 0)
		return err;
	n = gnutls_certificate_set_x509_trust_mem(c->gnutls, &pem, GNUTLS_X509_FMT_PEM);
	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, pem.data, pem.size, c->authority) < 0)
		abort(); /* it is out of memory */
	gnutls_free(pem.data);
	if (n <= 0)
		return complain(wrong, file, n < 0 ? gnutls_strerror(n) : "it has no certificate");
	gnutls_certificate_set_verify_function(c->gnutls, on_verify);
	c->asks = true;
	return 0;
}

int
gateway_tls_load(struct gateway_tls *t, const struct gateway_tls_files *files,
    char wrong[static GATEWAY_TLS_WRONG_MAX])
{
	struct credentials *c = mem_zalloc(sizeof(*c)), *old = t->now;
	int err;

	if (gnutls_certificate_allocate_credentials(&c->gnutls) < 0 ||
	    gnutls_session_ticket_key_generate(&c->ticket_key) < 0)
		abort(); /* it is out of memory, or the system has no random numbers */
	err = load_own(c, files, wrong);
	if (err == 0 && files->client_ca != NULL)
		err = load_client_ca(c, files->client_ca, wrong);
	if (err < 0) {
		credentials_free(c);
		return err;
	}
	t->now = c;
	t->warned_days = UINT64_MAX;
	if (old != NULL && old->sessions_n == 0)
		credentials_free(old);
	return 0;
}

int
gateway_tls_new(const struct gateway_tls_files *files, struct gateway_tls **out,
    char wrong[static GATEWAY_TLS_WRONG_MAX])
{
	struct gateway_tls *t = mem_zalloc(sizeof(*t));
	int err = gateway_tls_load(t, files, wrong);

	if (err < 0) {
		mem_free(t);
		return err;
	}
	*out = t;
	return 0;
}

void
gateway_tls_free(struct gateway_tls *t)
{
	if (t == NULL)
		return;
	credentials_free(t->now);
	mem_free(t);
}

/* -- Facts -- */

uint64_t
gateway_tls_expires_s(const struct gateway_tls *t)
{
	return t->now->expires_s;
}

bool
gateway_tls_asks(const struct gateway_tls *t, uint8_t authority[static 32])
{
	memcpy(authority, t->now->authority, sizeof(t->now->authority));
	return t->now->asks;
}

uint64_t
gateway_tls_refused(const struct gateway_tls *t)
{
	return t->refused;
}

void
gateway_tls_watch(struct gateway_tls *t, uint64_t now_wall_s)
{
	uint64_t expires_s = t->now->expires_s;
	uint64_t left_s = expires_s > now_wall_s ? expires_s - now_wall_s : 0;
	uint64_t days = (left_s + DAY_S - 1) / DAY_S;

	if (days > GATEWAY_TLS_WARN_DAYS || days == t->warned_days)
		return;
	t->warned_days = days;
	if (days == 0)
		log_error("gateway",
		    "the certificate of tunnel.certificate has ended: agents refuse it (renew it, then "
		    "SIGHUP)");
	else
		log_warn("gateway",
		    "the certificate of tunnel.certificate ends within %u day%s (renew it, then SIGHUP)",
		    (unsigned)days, days == 1 ? "" : "s");
}
