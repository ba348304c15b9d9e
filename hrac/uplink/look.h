/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_LOOK_H
#define VOFW_HRAC_UPLINK_LOOK_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What a request learned of its way on the way: how far it came, what the proxy said, and whose
 * certificate was shown; for the doctor. Private to the uplink but for the plain data.
 */
#define UPLINK_LOOK_NAME_MAX 160

enum uplink_look_step {      /* the first that failed, in their order */
	UPLINK_LOOK_NAME,    /* a name is not resolved, of HRAS or of the proxy */
	UPLINK_LOOK_CONNECT, /* no TCP connection, to HRAS or to the proxy */
	UPLINK_LOOK_PROXY,   /* the proxy refuses */
	UPLINK_LOOK_TLS,     /* no TLS, or a certificate that is not trusted */
	UPLINK_LOOK_ANSWER,  /* nothing answers, or it is not HRAS */
	UPLINK_LOOK_DONE,    /* HRAS answers */
};

struct uplink_look_tls {
	bool seen;                          /* a certificate was shown; else all is empty */
	bool trusted;                       /* by tunnel.ca or the system's store, the name apart */
	char version[16];                   /* "TLSv1.3" */
	char cipher[48];                    /* "TLS_AES_256_GCM_SHA384" */
	char subject[UPLINK_LOOK_NAME_MAX]; /* the common name, or else the organization */
	char issuer[UPLINK_LOOK_NAME_MAX];  /* likewise */
	char why[UPLINK_LOOK_NAME_MAX];     /* it is not trusted; "" = it is */
	uint8_t fingerprint[32];            /* SHA-256 of it */
};

struct uplink_look {
	enum uplink_look_step step;
	uint32_t name_us, connect_us; /* each since the beginning; 0 = it did not happen */
	char peer[64];                /* "192.0.2.1:443" that was connected to, or "" */
	long connect_status;          /* the proxy's answer to CONNECT; 0 = there was none */
	long status;                  /* of the last answer; 0 = there was none */
	char schemes[48];             /* "Basic, NTLM" that a proxy offered; "" = none */
	char answered[64];            /* what a stranger calls itself (Server:), or "" */
	struct uplink_look_tls tls;   /* of HRAS, or of what answers in its place */
};

/* Before the request starts: it will note in `look` (borrowed until the end) what TLS shows. */
void uplink_look_watch(struct uplink_look *look, CURL *easy);

/* A line of a head, NUL not needed. */
void uplink_look_header(struct uplink_look *look, const char *line, size_t n);

/* The request is over; from_hras: what answered is an HRAS. */
void uplink_look_end(struct uplink_look *look, CURL *easy, CURLcode code, bool from_hras);

#endif
