/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_PROXY_H
#define VOFW_HRAC_UPLINK_PROXY_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the uplink knows of its proxies: who we are there, what they ask for, and when to leave them
 * alone; private to the uplink. It makes no request by itself.
 *
 * The body of an endless POST cannot be sent twice, so before anything else goes through a proxy one
 * small request of its own, the knock, learns what the proxy wants. Then each request is told one
 * scheme, and libcurl shakes hands by it before any body leaves. An account is locked by a few wrong
 * passwords: while they are not known to be good one request alone tries them, and after a refusal
 * nothing is sent to that proxy for 30 s, doubling to 10 min.
 */
#define UPLINK_PROXY_AGAIN_S 30      /* after the first refusal */
#define UPLINK_PROXY_AGAIN_MAX_S 600 /* ... and at most */
#define UPLINK_PROXY_TROUBLE_MAX 100
#define UPLINK_PROXY_SCHEMES_MAX 48

enum uplink_proxy_state {
	UPLINK_PROXY_UNKNOWN, /* the next request must knock */
	UPLINK_PROXY_KNOCKED, /* a knock is on its way, all others wait */
	UPLINK_PROXY_OPEN,
	UPLINK_PROXY_SHUT, /* it refused us: nothing until `again_us` */
};

struct uplink_proxy {
	struct uplink_proxy *next;
	char *name;            /* as CURLOPT_PROXY */
	char *user, *password; /* NULL = none */
	enum uplink_proxy_state state;
	long offered;      /* CURLAUTH_* of its last 407 */
	long scheme;       /* the one that we use; 0 = none */
	bool old;          /* it answered by HTTP/1.0 */
	unsigned knocks;   /* on their way */
	unsigned refusals; /* in a row */
	uint64_t again_us;
	char ticket_trouble[UPLINK_PROXY_TROUBLE_MAX]; /* what Kerberos said; "" = nothing */
};

struct uplink_proxies { /* zero = empty */
	struct uplink_proxy *first;
	size_t n;
	char *user, *password; /* for those that have none of their own; NULL = none */
	char *ca;              /* PEM file, NULL = the system's store */
};

void uplink_proxies_init(struct uplink_proxies *t, const char *user, const char *password,
    const char *ca); /* copies */
void uplink_proxies_free(struct uplink_proxies *t);

/*
 * What is known of the proxy of that name, from the first asking on; lives as long as the table.
 * When there are UPLINK_PROXIES_MAX, the last of them stands for all others too.
 */
#define UPLINK_PROXIES_MAX 64
struct uplink_proxy *uplink_proxy_get(struct uplink_proxies *t, const char *name);

/*
 * Another user and password than the table's, that its own address had; copies. What was learned by
 * others than these holds no more.
 */
void uplink_proxy_identify(struct uplink_proxy *p, const char *user, const char *password);

enum uplink_proxy_verdict {
	UPLINK_PROXY_GO,    /* the request may go */
	UPLINK_PROXY_KNOCK, /* the caller makes a knock, the request waits for it */
	UPLINK_PROXY_WAIT,  /* the request waits for the knock that is on its way */
	UPLINK_PROXY_NO,    /* it is over, as if the proxy had answered 407 */
};
enum uplink_proxy_verdict uplink_proxy_ask(struct uplink_proxy *p, uint64_t now_us);

/* Sets what a request through p needs; `knock`: it is one. */
void uplink_proxy_dress(const struct uplink_proxies *t, const struct uplink_proxy *p, CURL *easy,
    bool knock);

/*
 * One more knock is made beside that which is on its way: it may be that what hangs is not the proxy
 * but the way behind it, to the place that the first knock asks for.
 */
void uplink_proxy_knock(struct uplink_proxy *p);

/* How a request ended. */
struct uplink_proxy_answer {
	bool reached; /* the proxy gave an answer of its own or somebody else's */
	bool refused; /* ... which was 407, at the end */
	bool old;     /* ... by HTTP/1.0 */
	long offered; /* CURLAUTH_* of the 407s on the way; 0 = there was none */
	long tried;   /* the scheme of the proxy when the request began */
};
void uplink_proxy_read(CURL *easy, struct uplink_proxy_answer *out);

/*
 * A knock is over: GO, KNOCK (once more, by another scheme), NO; WAIT = it is no news, since the proxy
 * is not reached, or since another knock is on its way that knows more.
 */
enum uplink_proxy_verdict uplink_proxy_learn(struct uplink_proxy *p,
    const struct uplink_proxy_answer *a, uint64_t now_us);

/* Another request is over: when it was refused, what we thought of the proxy holds no more. */
void uplink_proxy_note(struct uplink_proxy *p, const struct uplink_proxy_answer *a,
    uint64_t now_us);

/* libcurl said this in a knock that took a ticket; other lines than of Kerberos are no matter. */
void uplink_proxy_overhear(struct uplink_proxy *p, const char *text, size_t n);

/* "Negotiate, NTLM" of CURLAUTH_*, "nothing" of 0; returns out. */
const char *uplink_proxy_schemes(long offered, char out[static UPLINK_PROXY_SCHEMES_MAX]);

#endif
