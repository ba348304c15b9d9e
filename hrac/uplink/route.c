/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink/route.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* A part of a URL, to be freed with mem_free; NULL when it has none. */
static char *
url_part(const char *text, CURLUPart part)
{
	CURLU *url = curl_url();
	char *value = NULL, *copy = NULL;

	if (url == NULL)
		abort(); /* it is out of memory */
	if (curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
	    curl_url_get(url, part, &value, CURLU_DEFAULT_PORT) == CURLUE_OK)
		copy = mem_strdup(value);
	curl_free(value);
	curl_url_cleanup(url);
	return copy;
}

/* Whom a connection is made to. */
static bool
set_host(struct uplink_route *r)
{
	const char *url = r->proxy != NULL ? r->proxy : r->base;
	char *port = url_part(url, CURLUPART_PORT);
	struct addr a;

	r->host = url_part(url, CURLUPART_HOST);
	if (port == NULL || r->host == NULL) {
		mem_free(port);
		return false;
	}
	r->port = (uint16_t)strtoul(port, NULL, 10);
	mem_free(port);
	r->literal = addr_parse_host(r->host, strlen(r->host), 0, &a) == 0;
	return true;
}

struct uplink_route *
uplink_route_new(const char *url, const char *proxy)
{
	static const char *const transports[2][2] = { { "http", "http via proxy" },
		{ "https", "https via proxy" } };
	struct uplink_route *r = mem_zalloc(sizeof(*r));
	bool slash = url[strlen(url) - 1] == '/';

	r->base = mem_printf("%s%s", url, slash ? "" : "/");
	r->proxy = mem_strdup(proxy);
	r->name =
	    mem_printf("%s%s%s", r->base, proxy == NULL ? "" : " via ", proxy == NULL ? "" : proxy);
	r->tls = strncasecmp(url, "https:", 6) == 0;
	r->transport = transports[r->tls][proxy != NULL];
	strcpy(r->peer, "-");
	if (set_host(r))
		return r;
	uplink_route_free(r);
	return NULL;
}

void
uplink_route_free(struct uplink_route *r)
{
	if (r == NULL)
		return;
	mem_free(r->base);
	mem_free(r->proxy);
	mem_free(r->name);
	mem_free(r->host);
	mem_free(r);
}

bool
uplink_route_same_host(const char *url, const char *other_url)
{
	char *a = url_part(url, CURLUPART_HOST), *b = url_part(other_url, CURLUPART_HOST);
	bool same = a != NULL && b != NULL && strcasecmp(a, b) == 0;

	mem_free(a);
	mem_free(b);
	return same;
}

void
uplink_route_failed(struct uplink_route *r, const char *why, uint64_t wall_s)
{
	r->why_wall_s = wall_s;
	snprintf(r->why, sizeof(r->why), "%s", why);
	for (char *c = r->why; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}
