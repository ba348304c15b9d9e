/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/msg.h"

#include <errno.h>
#include <osipparser2/osip_parser.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/mem.h"
#include "log/log.h"
#include "sip/lines.h"

static void
on_osip_trace(const char *file, int line, osip_trace_level_t level, const char *fmt, va_list ap)
{
	char text[512];

	(void)level;
	if (log_level() < LOG_DEBUG)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_debug("sip", "libosip2 %s:%d: %s", file, line, text);
}

void
sip_msg_init(void)
{
	osip_set_allocators(mem_alloc, mem_realloc, mem_free);
	osip_trace_initialize_func(OSIP_ERROR, on_osip_trace);
	parser_init();
}

struct sip_msg *
sip_msg_clone(const struct sip_msg *m)
{
	struct sip_msg *copy = mem_zalloc(sizeof(*copy));

	osip_message_clone(m->osip, &copy->osip);
	copy->wrong = m->wrong;
	return copy;
}

void
sip_msg_free(struct sip_msg *m)
{
	if (m == NULL)
		return;
	osip_message_free(m->osip);
	mem_free(m);
}

/* -- The start line and the fields every message has -- */

static const char *const method_names[] = {
	[SIP_INVITE] = "INVITE",
	[SIP_ACK] = "ACK",
	[SIP_CANCEL] = "CANCEL",
	[SIP_BYE] = "BYE",
	[SIP_OPTIONS] = "OPTIONS",
	[SIP_REGISTER] = "REGISTER",
	[SIP_MESSAGE] = "MESSAGE",
	[SIP_PRACK] = "PRACK",
	[SIP_UPDATE] = "UPDATE",
	[SIP_INFO] = "INFO",
	[SIP_REFER] = "REFER",
	[SIP_SUBSCRIBE] = "SUBSCRIBE",
	[SIP_NOTIFY] = "NOTIFY",
	[SIP_PUBLISH] = "PUBLISH",
};

bool
sip_msg_is_request(const struct sip_msg *m)
{
	return m->osip->status_code == 0;
}

const char *
sip_msg_method_str(const struct sip_msg *m)
{
	const char *method = m->osip->sip_method;

	if (!sip_msg_is_request(m))
		method = m->osip->cseq == NULL ? NULL : m->osip->cseq->method;
	return method == NULL ? "" : method;
}

enum sip_method
sip_msg_method(const struct sip_msg *m)
{
	const char *method = sip_msg_method_str(m);

	for (size_t i = 0; i < sizeof(method_names) / sizeof(method_names[0]); i++)
		if (strcmp(method_names[i], method) == 0)
			return (enum sip_method)i;
	return SIP_OTHER;
}

int
sip_msg_status(const struct sip_msg *m)
{
	return m->osip->status_code;
}

const char *
sip_msg_call_id(const struct sip_msg *m, char *buf, size_t cap)
{
	const osip_call_id_t *id = m->osip->call_id;
	int n;

	if (id == NULL || id->number == NULL)
		return NULL;
	n = snprintf(buf, cap, "%s%s%s", id->number, id->host == NULL ? "" : "@",
	    id->host == NULL ? "" : id->host);
	return n >= 0 && (size_t)n < cap ? buf : NULL;
}

uint32_t
sip_msg_cseq(const struct sip_msg *m)
{
	const osip_cseq_t *cseq = m->osip->cseq;

	return cseq == NULL || cseq->number == NULL ? 0 : (uint32_t)strtoul(cseq->number, NULL, 10);
}

static const char *
tag_of(const osip_from_t *f)
{
	osip_generic_param_t *tag = NULL;
	char name[] = "tag";

	if (f == NULL)
		return "";
	osip_generic_param_get_byname((osip_list_t *)&f->gen_params, name, &tag);
	return tag == NULL || tag->gvalue == NULL ? "" : tag->gvalue;
}

const char *
sip_msg_from_tag(const struct sip_msg *m)
{
	return tag_of(m->osip->from);
}

const char *
sip_msg_to_tag(const struct sip_msg *m)
{
	return tag_of(m->osip->to);
}

static const char *
bare_uri(const osip_from_t *f, char *buf, size_t cap)
{
	osip_uri_t bare;
	char *s = NULL;

	buf[0] = '\0';
	if (f == NULL || f->url == NULL)
		return buf;
	bare = *f->url; /* shares the strings; only the lists are left out */
	osip_list_init(&bare.url_params);
	osip_list_init(&bare.url_headers);
	if (osip_uri_to_str(&bare, &s) == 0 && strlen(s) < cap)
		strcpy(buf, s);
	osip_free(s);
	return buf;
}

const char *
sip_msg_from_uri(const struct sip_msg *m, char *buf, size_t cap)
{
	return bare_uri(m->osip->from, buf, cap);
}

const char *
sip_msg_to_uri(const struct sip_msg *m, char *buf, size_t cap)
{
	return bare_uri(m->osip->to, buf, cap);
}

const char *
sip_msg_branch(const struct sip_msg *m)
{
	osip_via_t *via = osip_list_get(&m->osip->vias, 0);
	osip_generic_param_t *branch = NULL;
	char name[] = "branch";

	if (via != NULL)
		osip_via_param_get_byname(via, name, &branch);
	return branch == NULL || branch->gvalue == NULL ? "" : branch->gvalue;
}

/* -- Plain header fields -- */

const char *
sip_msg_header(const struct sip_msg *m, const char *name)
{
	osip_list_iterator_t it;
	osip_header_t *h = osip_list_get_first(&m->osip->headers, &it);

	for (; osip_list_iterator_has_elem(it); h = osip_list_get_next(&it))
		if (h->hname != NULL && sip_name_is(name, strlen(name), h->hname))
			return h->hvalue == NULL ? "" : h->hvalue;
	return NULL;
}

void
sip_msg_header_remove(struct sip_msg *m, const char *name)
{
	osip_list_iterator_t it;
	osip_header_t *h = osip_list_get_first(&m->osip->headers, &it);

	while (osip_list_iterator_has_elem(it)) {
		if (h->hname != NULL && sip_name_is(name, strlen(name), h->hname)) {
			osip_header_free(h);
			h = osip_list_iterator_remove(&it);
		} else {
			h = osip_list_get_next(&it);
		}
	}
}

void
sip_msg_header_set(struct sip_msg *m, const char *name, const char *value)
{
	const char *full = sip_compact_name(name, strlen(name));
	char *line = mem_dup(value, strcspn(value, "\r\n"));

	sip_msg_header_remove(m, name);
	osip_message_set_header(m->osip, full != NULL ? full : name, line);
	mem_free(line);
}

/* -- The wire -- */

/* What libosip2 ends a header with when there is no body. */
static const char no_body[] = "Content-Length: 0\r\n\r\n";
#define NO_BODY_LEN (sizeof(no_body) - 1)

int
sip_msg_encode(const struct sip_msg *m, char **out, size_t *n)
{
	osip_list_t bodies = m->osip->bodies;
	size_t body_len, header_len = 0;
	const char *body = sip_msg_body(m, &body_len);
	char *header = NULL, *whole;
	int err;

	/* libosip2 writes the header alone: it would put multipart bodies together in its own way. */
	osip_list_init(&m->osip->bodies);
	osip_message_force_update(m->osip); /* others changed the structure directly */
	err = osip_message_to_str(m->osip, &header, &header_len);
	m->osip->bodies = bodies;
	if (err != 0 || header_len < NO_BODY_LEN ||
	    memcmp(header + header_len - NO_BODY_LEN, no_body, NO_BODY_LEN) != 0) {
		mem_free(header);
		return ERR_MALFORMED;
	}
	header_len -= NO_BODY_LEN;
	whole = mem_realloc(header, header_len + 40 + body_len + 1);
	header_len += (size_t)sprintf(whole + header_len, "Content-Length: %zu\r\n\r\n", body_len);
	if (header_len + body_len > SIP_MSG_MAX) {
		mem_free(whole);
		return ERR_TOO_BIG;
	}
	if (body_len > 0)
		memcpy(whole + header_len, body, body_len);
	whole[header_len + body_len] = '\0';
	*out = whole;
	*n = header_len + body_len;
	return 0;
}

/* -- Responses -- */

const char *
sip_status_phrase(int status)
{
	const char *phrase = osip_message_get_reason(status);

	return phrase == NULL ? "Unknown" : phrase;
}

static void
copy_vias(const osip_message_t *req, osip_message_t *resp)
{
	osip_list_clone(&req->vias, &resp->vias, (int (*)(void *, void **))osip_via_clone);
}

struct sip_msg *
sip_msg_response(const struct sip_msg *req, int status, const char *reason, const char *to_tag)
{
	struct sip_msg *m = mem_zalloc(sizeof(*m));
	const osip_message_t *from = req->osip;
	const char *timestamp = sip_msg_header(req, "Timestamp");
	osip_message_t *to;

	osip_message_init(&m->osip);
	to = m->osip;
	to->sip_version = mem_strdup("SIP/2.0");
	to->status_code = status;
	to->reason_phrase = mem_strdup(reason != NULL ? reason : sip_status_phrase(status));
	copy_vias(from, to);
	if (from->from != NULL)
		osip_from_clone(from->from, &to->from);
	if (from->to != NULL)
		osip_to_clone(from->to, &to->to);
	if (from->call_id != NULL)
		osip_call_id_clone(from->call_id, &to->call_id);
	if (from->cseq != NULL)
		osip_cseq_clone(from->cseq, &to->cseq);
	if (to_tag != NULL && status > 100 && to->to != NULL && *sip_msg_to_tag(m) == '\0')
		osip_to_set_tag(to->to, mem_strdup(to_tag));
	if (status == 100 && timestamp != NULL) /* §8.2.6.1 */
		sip_msg_header_set(m, "Timestamp", timestamp);
	return m;
}

/* -- Random -- */

void
sip_random_hex(char *out, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char bytes[32];

	while (n > 0) {
		size_t part = n < sizeof(bytes) ? n : sizeof(bytes);

		/* At most 256 bytes never come short once the pool is ready; only a signal can. */
		while (getrandom(bytes, part, 0) != (ssize_t)part)
			if (errno != EINTR)
				abort();
		for (size_t i = 0; i < part; i++) {
			*out++ = digits[bytes[i] >> 4];
			*out++ = digits[bytes[i] & 15];
		}
		n -= part;
	}
	*out = '\0';
}
