/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink_route.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"

struct uplink_route *
uplink_route_new(const char *url, const char *proxy)
{
	static const char *const transports[2][2] = { { "http", "http via proxy" },
		{ "https", "https via proxy" } };
	struct uplink_route *r = mem_zalloc(sizeof(*r));
	bool slash = url[strlen(url) - 1] == '/';

	r->base = mem_printf("%s%s", url, slash ? "" : "/");
	r->proxy = mem_strdup(proxy);
	r->tls = strncasecmp(url, "https:", 6) == 0;
	r->transport = transports[r->tls][proxy != NULL];
	strcpy(r->peer, "-");
	return r;
}

void
uplink_route_free(struct uplink_route *r)
{
	if (r == NULL)
		return;
	mem_free(r->base);
	mem_free(r->proxy);
	mem_free(r);
}
