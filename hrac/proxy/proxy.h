/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_PROXY_PROXY_H
#define VOFW_HRAC_PROXY_PROXY_H

#include "hrac/proxy/way.h"

/*
 * By which proxy HRAC gets out: from the option tunnel.proxy and a URL to the ways to try, in order.
 * It hides the environment, PAC files, where they come from and what runs them. Asking again gives
 * the answer of now: the environment of the process does not change, but a PAC file is read anew
 * from disk each time, and from the web when it is an hour old or the network has changed.
 *
 * When a PAC file cannot be had or gives nothing, that is said in one line of the log, and the way
 * is direct. One thread, on the given event base.
 */
struct proxy;
struct proxy_question;
struct event_base;

struct proxy_config { /* all strings are copied */
	/*
	 * "http://host:port", "https://host:port" or "socks5://host:port"; "environment" (also NULL);
	 * "none"; "pac:/file" or "pac:http://..." or "pac:https://...".
	 */
	const char *option;
	const char *user,
	    *password;           /* for proxies that have none in their own address; NULL = none */
	const char *ca;          /* for "pac:https:", as in uplink.h */
	const char *pac_program; /* as in pac.h; NULL = PAC_PROGRAM_SELF */
};

/* The ways, at least one; borrowed until return, after which the question is gone. */
typedef void proxy_found_cb(void *arg, const struct proxy_ways *ways);

/* ERR_MALFORMED, logged, when the option is none of the above. `base` is borrowed while it lives. */
int proxy_new(struct event_base *base, const struct proxy_config *config, struct proxy **out);
void proxy_finder_free(struct proxy *p); /* with its questions, without callbacks; NULL is fine */

/*
 * Asks for the ways to an http or https URL that has been checked. The callback comes once, never
 * from inside this call: at the next turn, but with a PAC file after UPLINK_FETCH_TIME_MS and
 * PAC_TIME_MS at the latest when no other question is being answered. It may ask and cancel.
 */
struct proxy_question *proxy_find(struct proxy *p, const char *url, proxy_found_cb *cb, void *arg);
void proxy_find_cancel(struct proxy_question *q); /* without the callback */

/* What was fetched may belong to another network: it is fetched anew for the next question. */
void proxy_network_changed(struct proxy *p);

#endif
