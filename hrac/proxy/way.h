/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_PROXY_WAY_H
#define VOFW_HRAC_PROXY_WAY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Ways to a URL, read from what people, environments and PAC scripts write: each is a proxy or the
 * direct way. Pure. The texts may come from strangers (a PAC file over http): what is not understood
 * is passed over, and what is kept is written anew and has only characters of a host name.
 */
#define PROXY_WAYS_MAX 8 /* what a list has beyond that is not tried */

struct proxy_way { /* owned by its list */
	/*
	 * "http://host:port", "https://host:port", "socks5h://host:port" or "socks4a://host:port",
	 * the host in lower case, never with credentials; NULL = direct.
	 */
	char *proxy;
	char *user, *password; /* that stood in its address; NULL = none */
};

struct proxy_ways { /* in the order in which to try them */
	struct proxy_way way[PROXY_WAYS_MAX];
	size_t n;
};

void proxy_ways_free(struct proxy_ways *w); /* wipes the credentials; the list is empty then */

/* Appends a copy; `proxy` NULL = direct. False when it is full. */
bool proxy_ways_add(struct proxy_ways *w, const char *proxy, const char *user,
    const char *password);

/*
 * Appends the proxy of "[scheme://][user[:password]@]host[:port][/]", as environment variables
 * have it: the scheme may be http (also when there is none), https, socks5, socks5h, socks4 or
 * socks4a (names are always left to the proxy), the port 80, 443 or 1080 if it lacks, user and
 * password have %XX for what is special. ERR_MALFORMED, or ERR_FULL.
 */
int proxy_ways_add_url(struct proxy_ways *w, const char *text);

/*
 * Appends what FindProxyForURL gave: "PROXY host:port; HTTPS host:port; SOCKS host:port; DIRECT".
 * The number of entries that were passed over, as they are not understood.
 */
unsigned proxy_ways_add_pac(struct proxy_ways *w, const char *answer);

/*
 * Appends the way to `url` that the environment names: http_proxy for http (in lower case alone, as
 * a web server may have HTTP_PROXY from a stranger), https_proxy or HTTPS_PROXY for https, else
 * all_proxy or ALL_PROXY, unless no_proxy or NO_PROXY excludes the host; direct without any.
 * `getenv_fn` is getenv(3). ERR_MALFORMED when the variable cannot be understood: nothing is
 * appended, and *variable is its name.
 */
int proxy_ways_add_environment(struct proxy_ways *w, const char *url,
    char *(*getenv_fn)(const char *name), const char **variable);

/*
 * The host and port of an http or https URL that was checked, port as by its scheme if it lacks;
 * without the brackets of an IPv6 address. False when it has none, or one of more than
 * PROXY_HOST_MAX - 1 bytes.
 */
#define PROXY_HOST_MAX 256
bool proxy_url_host(const char *url, char host[static PROXY_HOST_MAX], unsigned *port);

/*
 * Whether `list` (no_proxy) has this host: entries separated by commas or blanks, each "*", a name
 * (which means its subdomains too, with or without a dot or "*." in front), an address or a network
 * "10.0.0.0/8", perhaps with a port.
 */
bool proxy_is_excluded(const char *list, const char *host, unsigned port);

#endif
