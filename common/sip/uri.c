/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/uri.h"

#include <osipparser2/osip_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

osip_uri_t *
uri_parse(const char *s)
{
	osip_uri_t *uri;

	if (osip_uri_init(&uri) != 0)
		return NULL;
	if (osip_uri_parse(uri, s) == 0)
		return uri;
	osip_uri_free(uri);
	return NULL;
}

char *
uri_text(const osip_uri_t *uri)
{
	char *text;

	return osip_uri_to_str(uri, &text) == 0 ? text : mem_strdup("");
}

bool
uri_is_sip(const osip_uri_t *uri)
{
	return uri != NULL && uri->scheme != NULL && uri->host != NULL && *uri->host != '\0' &&
	    (strcasecmp(uri->scheme, "sip") == 0 || strcasecmp(uri->scheme, "sips") == 0);
}

uint16_t
uri_port(const osip_uri_t *uri)
{
	char *end;
	unsigned long port;

	if (uri->port == NULL || *uri->port < '0' || *uri->port > '9')
		return 0;
	port = strtoul(uri->port, &end, 10);
	return *end == '\0' && port <= UINT16_MAX ? (uint16_t)port : 0;
}

bool
uri_literal(const osip_uri_t *uri, struct addr *out)
{
	uint16_t port = uri_port(uri);

	if (port == 0)
		port = strcasecmp(uri->scheme, "sips") == 0 ? 5061 : 5060;
	return addr_parse_host(uri->host, strlen(uri->host), port, out) == 0;
}

static osip_uri_param_t *
find_param(const osip_uri_t *uri, const char *name, int *pos)
{
	osip_list_iterator_t it;
	osip_uri_param_t *p = osip_list_get_first(&uri->url_params, &it);

	for (*pos = 0; osip_list_iterator_has_elem(it); p = osip_list_get_next(&it), ++*pos)
		if (strcasecmp(p->gname, name) == 0)
			return p;
	return NULL;
}

const char *
uri_param(const osip_uri_t *uri, const char *name)
{
	int pos;
	osip_uri_param_t *p = find_param(uri, name, &pos);

	return p == NULL ? NULL : p->gvalue == NULL ? "" : p->gvalue;
}

void
uri_param_remove(osip_uri_t *uri, const char *name)
{
	int pos;
	osip_uri_param_t *p;

	while ((p = find_param(uri, name, &pos)) != NULL) {
		osip_list_remove(&uri->url_params, pos);
		osip_uri_param_free(p);
	}
}

enum sip_proto
uri_proto(const osip_uri_t *uri, enum sip_proto dflt)
{
	const char *transport = uri_param(uri, "transport");

	if (strcasecmp(uri->scheme, "sips") == 0)
		return SIP_TLS;
	if (transport == NULL)
		return dflt;
	for (enum sip_proto p = SIP_UDP; p <= SIP_TLS; p++)
		if (strcasecmp(transport, sip_proto_param(p)) == 0)
			return p;
	return dflt;
}

static void
set_string(char **field, const char *value)
{
	osip_free(*field);
	*field = value != NULL ? osip_strdup(value) : NULL;
}

void
uri_set_host(osip_uri_t *uri, const char *host, uint16_t port)
{
	char digits[8];

	set_string(&uri->host, host);
	snprintf(digits, sizeof(digits), "%u", port);
	set_string(&uri->port, port != 0 ? digits : NULL);
}

void
uri_set_here(osip_uri_t *uri, const char *user, const struct sip_listener *here, bool lr)
{
	char host[ADDR_HOST_MAX];

	set_string(&uri->scheme, "sip");
	set_string(&uri->username, user);
	set_string(&uri->password, NULL);
	set_string(&uri->string, NULL);
	osip_uri_param_freelist(&uri->url_params);
	osip_uri_param_freelist(&uri->url_headers);
	uri_set_host(uri, addr_host(&here->addr, host), addr_port(&here->addr));
	if (here->proto != SIP_UDP)
		osip_uri_set_transport(uri, osip_strdup(sip_proto_param(here->proto)));
	if (lr)
		osip_uri_uparam_add(uri, osip_strdup("lr"), NULL);
}
