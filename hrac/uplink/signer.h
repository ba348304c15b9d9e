/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_SIGNER_H
#define VOFW_HRAC_UPLINK_SIGNER_H

#include <curl/curl.h>

/*
 * Who signed a certificate that was not trusted: what tells interception from a missing authority.
 * Private to the uplink; libcurl itself forgets the certificate when it refuses it.
 */
#define UPLINK_SIGNER_MAX 96

struct uplink_signer {
	char name[UPLINK_SIGNER_MAX]; /* printable; "" = no stranger did */
};

/* Before the request starts: notes in `s`, which must outlive it. What is trusted is not changed. */
void uplink_signer_watch(struct uplink_signer *s, CURL *easy);

#endif
