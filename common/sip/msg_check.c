/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "sip/lines.h"
#include "sip/msg.h"

#define CSEQ_MAX 0x7fffffffUL /* §8.1.1.5: less than 2**31 */

/* A host name's or an address's characters; libosip2 takes the brackets off IPv6 ones. */
static bool
is_host(const char *s)
{
	struct addr a;

	if (s == NULL || *s == '\0')
		return false;
	if (strchr(s, ':') != NULL)
		return addr_parse_host(s, strlen(s), 0, &a) == 0;
	for (; *s != '\0'; s++)
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
			(*s >= '0' && *s <= '9') || *s == '.' || *s == '-' || *s == '_'))
			return false;
	return true;
}

static bool
is_port(const char *s)
{
	unsigned long port;

	return s == NULL || (sip_number(s, strlen(s), 65535, &port) && port > 0);
}

static bool
is_sip_scheme(const osip_uri_t *uri)
{
	return uri->scheme == NULL || strcasecmp(uri->scheme, "sip") == 0 ||
	    strcasecmp(uri->scheme, "sips") == 0;
}

/* Other schemes are text to us. libosip2 reads no URI of five characters in angle brackets, so that
 * we would send what we could not read: "sip:a" is refused. */
static bool
is_good_uri(const osip_uri_t *uri)
{
	if (!is_sip_scheme(uri))
		return uri->string != NULL && strlen(uri->string) > 1 &&
		    strpbrk(uri->string, " \t\"<>") == NULL;
	return is_host(uri->host) && is_port(uri->port) &&
	    (uri->username != NULL || strlen(uri->host) > 1);
}

static bool
is_good_via(const osip_via_t *via)
{
	return via->version != NULL && strcmp(via->version, "2.0") == 0 && via->protocol != NULL &&
	    is_host(via->host) && is_port(via->port);
}

static bool
is_good_name_addr(const osip_from_t *f)
{
	return f != NULL && f->url != NULL && is_good_uri(f->url);
}

static bool
are_good_name_addrs(const osip_list_t *list, bool star)
{
	osip_list_iterator_t it;
	const osip_from_t *f = osip_list_get_first(list, &it);

	for (; osip_list_iterator_has_elem(it); f = osip_list_get_next(&it)) {
		if (star && f->url == NULL && f->displayname != NULL &&
		    strcmp(f->displayname, "*") == 0)
			continue;
		if (!is_good_name_addr(f))
			return false;
	}
	return true;
}

/* §8.2.6: without these no response can be made, or none that finds its way. */
static bool
is_answerable(const osip_message_t *o)
{
	const osip_via_t *top = osip_list_get(&o->vias, 0);

	return top != NULL && is_good_via(top) && o->call_id != NULL &&
	    o->call_id->number != NULL && o->call_id->number[0] != '\0' && o->from != NULL &&
	    o->from->url != NULL && o->to != NULL && o->to->url != NULL && o->cseq != NULL;
}

static const char *
wrong_in_both(const struct sip_msg *m)
{
	const osip_message_t *o = m->osip;
	unsigned long number;

	if (m->wrong != NULL)
		return m->wrong;
	if (!sip_number(o->cseq->number, strlen(o->cseq->number), CSEQ_MAX, &number))
		return "Bad CSeq Number";
	if (!is_good_name_addr(o->from))
		return "Bad From";
	if (!is_good_name_addr((const osip_from_t *)o->to))
		return "Bad To";
	if (strpbrk(o->call_id->number, " \t") != NULL ||
	    (o->call_id->host != NULL &&
		(o->call_id->host[0] == '\0' || strpbrk(o->call_id->host, " \t@") != NULL)))
		return "Bad Call-ID";
	if (!are_good_name_addrs(&o->contacts, true))
		return "Bad Contact";
	if (!are_good_name_addrs(&o->record_routes, false))
		return "Bad Record-Route";
	return NULL;
}

static const char *
wrong_in_request(const struct sip_msg *m)
{
	const char *max_forwards = sip_msg_header(m, "Max-Forwards");
	unsigned long hops;

	if (strcmp(m->osip->cseq->method, m->osip->sip_method) != 0)
		return "CSeq Method Mismatch";
	if (max_forwards != NULL && !sip_number(max_forwards, strlen(max_forwards), 255, &hops))
		return "Bad Max-Forwards";
	if (!are_good_name_addrs((const osip_list_t *)&m->osip->routes, false))
		return "Bad Route";
	return NULL;
}

static int
check_request(const struct sip_msg *m, const char **why)
{
	const osip_message_t *o = m->osip;

	/* The version first: all the rest may be different in another one. */
	if (strcasecmp(o->sip_version, "SIP/2.0") != 0) {
		*why = sip_status_phrase(505);
		return 505;
	}
	*why = wrong_in_both(m);
	if (*why == NULL)
		*why = wrong_in_request(m);
	if (*why != NULL)
		return 400;
	if (!is_sip_scheme(o->req_uri) && strcasecmp(o->req_uri->scheme, "tel") != 0) {
		*why = sip_status_phrase(416);
		return 416;
	}
	if (!is_good_uri(o->req_uri)) {
		*why = "Bad Request-URI";
		return 400;
	}
	*why = "";
	return 0;
}

int
sip_msg_check(const struct sip_msg *m, const char **why)
{
	*why = "";
	if (!is_answerable(m->osip))
		return -1;
	if (sip_msg_is_request(m))
		return check_request(m, why);
	/* §18.1.2, §8.1.3: a response that is wrong is dropped. */
	if (strcasecmp(m->osip->sip_version, "SIP/2.0") != 0 || m->osip->status_code > 699 ||
	    wrong_in_both(m) != NULL)
		return -1;
	return 0;
}
