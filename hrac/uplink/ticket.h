/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_TICKET_H
#define VOFW_HRAC_UPLINK_TICKET_H

#include <curl/curl.h>

/*
 * One request made by a thread, for Negotiate: libcurl calls Kerberos, and Kerberos waits for its
 * servers, which may take ten seconds and more when they are gone. What the thread brings home, the
 * ticket for the proxy, is in the cache where libcurl finds it at the requests that follow.
 */
struct uplink_ticket;
struct event_base;

struct uplink_ticket_result {
	CURL *easy; /* after the request; the callee takes it over */
	CURLcode code;
	const char *error;   /* as of CURLOPT_ERRORBUFFER */
	const char *trouble; /* the line in which libcurl told why Kerberos failed, "" = none */
};

/* The request is over, and the ticket with it, on return. From the loop. */
typedef void uplink_ticket_cb(void *arg, const struct uplink_ticket_result *result);

/*
 * Makes the request that `easy` describes, by a copy of it without its callbacks. The options must
 * not refer to lists that end before the request does. NULL, with errno, when there is no thread to
 * be had.
 */
struct uplink_ticket *uplink_ticket_get(struct event_base *base, CURL *easy, uplink_ticket_cb *cb,
    void *arg);

/* The callback does not come. The thread ends when Kerberos lets it. */
void uplink_ticket_abandon(struct uplink_ticket *t);

#endif
