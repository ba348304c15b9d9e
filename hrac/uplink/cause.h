/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_CAUSE_H
#define VOFW_HRAC_UPLINK_CAUSE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Why a request of the uplink failed, in words for the one who runs HRAC: what stands in the way
 * (name, network, firewall, proxy, login page, certificate, HRAS) and not what libcurl felt.
 */
struct uplink_proxy;

struct uplink_failure {
	CURL *easy; /* after it is over */
	CURLcode code;
	const char *text; /* libcurl's own words; may be "" */
	const char
	    *signer;    /* who signed a certificate that is not trusted; NULL or "" = none was */
	long status;    /* of the last answer, 0 = none came */
	bool from_hras; /* that answer is one of VoFW's */
	const struct uplink_proxy *proxy; /* by which it went; NULL = directly */
};

/* Writes at most cap bytes, "" for a request that HRAS answered with 200 and ended in order. */
void uplink_cause(const struct uplink_failure *f, char *out, size_t cap);

/*
 * Whether that status, of an answer that is not of HRAS, is the word of the proxy of that name itself
 * and not of something behind it; `tls`: HRAS is asked by https. For CONNECT refused see the proxy's
 * answer to it.
 */
bool uplink_cause_of_proxy(const char *proxy, bool tls, long status);

#endif
