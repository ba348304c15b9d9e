/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "hrac/proxy/way.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What is kept of a stranger's text is an address that reads the same again. */
static void
check(struct proxy_ways *w)
{
	for (size_t i = 0; i < w->n; i++) {
		struct proxy_ways again = { 0 };

		if (w->way[i].proxy == NULL)
			continue;
		if (proxy_ways_add_url(&again, w->way[i].proxy) != 0 ||
		    strcmp(again.way[0].proxy, w->way[i].proxy) != 0)
			abort();
		proxy_ways_free(&again);
	}
	proxy_ways_free(w);
}

/* The first line is an address, a PAC answer and a URL, the second a no_proxy. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = mem_dup(data, n), *list = strchr(text, '\n'), host[PROXY_HOST_MAX];
	struct proxy_ways w = { 0 };
	unsigned port;

	if (list != NULL)
		*list++ = '\0';
	(void)proxy_ways_add_url(&w, text);
	(void)proxy_ways_add_pac(&w, text);
	check(&w);
	(void)proxy_is_excluded(list == NULL ? "" : list, text, 80);
	if (proxy_url_host(text, host, &port))
		(void)proxy_is_excluded(list == NULL ? "*" : list, host, port);
	mem_free(text);
	return 0;
}
