/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <osipparser2/osip_parser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "sip/lines.h"
#include "sip/msg.h"

/*
 * libosip2 is given one value at a time, never a whole message: its own message parser refuses a
 * message for one field that nobody needs, overwrites the first of two Call-IDs silently, and stops
 * at NUL bytes. Lines, lists and the start line are read here; URIs and header values by libosip2.
 */
struct parse {
	struct sip_msg *m;
	unsigned seen;   /* bits of the FIELD_ONCE entries of `fields` met so far */
	size_t fields_n; /* header fields */
	size_t items_n;  /* list elements and parameters in them */
	bool has_length;
	unsigned long length; /* Content-Length */
};

enum field_flag {
	FIELD_LIST = 1,  /* elements with commas between them */
	FIELD_ONCE = 2,  /* a second one is an error (§7.3.1, §20) */
	FIELD_VITAL = 4, /* §16.3 step 1: unreadable, it cannot be left as it is */
};

struct field {
	const char *name;
	int (*set)(osip_message_t *osip, const char *value);
	unsigned flags;
};

static void
wrong(struct parse *ps, const char *why)
{
	if (ps->m->wrong == NULL)
		ps->m->wrong = why;
}

/* libosip2 keeps elements and parameters in lists that it walks to the end for each new one. */
static int
count_items(struct parse *ps, const char *value)
{
	for (; (value = strpbrk(value, ",;&?")) != NULL; value++)
		ps->items_n++;
	return ps->items_n > SIP_ITEMS_MAX ? ERR_TOO_BIG : 0;
}

/* -- Values -- */

/* libosip2's own setter puts the newest Via first; here they come in the order of the message. */
static int
set_via(osip_message_t *osip, const char *value)
{
	osip_via_t *via;

	osip_via_init(&via);
	if (osip_via_parse(via, value) != 0) {
		osip_via_free(via);
		return ERR_MALFORMED;
	}
	osip_list_add(&osip->vias, via, -1);
	return 0;
}

/* By hand: a number that is too large must still come back in the 400 (RFC 4475 §3.1.2.4). */
static int
set_cseq(osip_message_t *osip, const char *value)
{
	size_t number_len = strcspn(value, " \t");
	const char *method = value + number_len + strspn(value + number_len, " \t");

	if (number_len == 0 || *method == '\0' || method[strcspn(method, " \t")] != '\0')
		return ERR_MALFORMED;
	osip_cseq_init(&osip->cseq);
	osip->cseq->number = mem_dup(value, number_len);
	osip->cseq->method = mem_strdup(method);
	return 0;
}

/* libosip2 takes some that it writes as half a line. */
static int
set_content_type(osip_message_t *osip, const char *value)
{
	osip_content_type_t *type;
	char *text = NULL;
	int err;

	osip_content_type_init(&type);
	err = osip_content_type_parse(type, value);
	if (err == 0)
		err = osip_content_type_to_str(type, &text);
	osip_free(text);
	if (err != 0) {
		osip_content_type_free(type);
		return ERR_MALFORMED;
	}
	osip->content_type = type;
	return 0;
}

/* §20.10: a URI with headers must be in angle brackets. */
static int
set_contact(osip_message_t *osip, const char *value)
{
	if (strchr(value, '<') == NULL && strchr(value, '?') != NULL)
		return ERR_MALFORMED;
	return osip_message_set_contact(osip, value);
}

static bool
is_digest(const char *value)
{
	return strncasecmp(value, "Digest", 6) == 0 && (value[6] == ' ' || value[6] == '\t');
}

static int
set_authorization(osip_message_t *osip, const char *value)
{
	return is_digest(value) ? osip_message_set_authorization(osip, value) : ERR_UNSUPPORTED;
}

static int
set_proxy_authorization(osip_message_t *osip, const char *value)
{
	return is_digest(value) ? osip_message_set_proxy_authorization(osip, value) :
				  ERR_UNSUPPORTED;
}

static int
set_www_authenticate(osip_message_t *osip, const char *value)
{
	return is_digest(value) ? osip_message_set_www_authenticate(osip, value) : ERR_UNSUPPORTED;
}

static int
set_proxy_authenticate(osip_message_t *osip, const char *value)
{
	return is_digest(value) ? osip_message_set_proxy_authenticate(osip, value) :
				  ERR_UNSUPPORTED;
}

/* Kept as a plain header field. */
static int
set_nothing(osip_message_t *osip, const char *value)
{
	(void)osip;
	(void)value;
	return ERR_UNSUPPORTED;
}

static const struct field fields[] = {
	{ "Via", set_via, FIELD_LIST | FIELD_VITAL },
	{ "From", osip_message_set_from, FIELD_ONCE | FIELD_VITAL },
	{ "To", osip_message_set_to, FIELD_ONCE | FIELD_VITAL },
	{ "Call-ID", osip_message_set_call_id, FIELD_ONCE | FIELD_VITAL },
	{ "CSeq", set_cseq, FIELD_ONCE | FIELD_VITAL },
	{ "Contact", set_contact, FIELD_LIST | FIELD_VITAL },
	{ "Route", osip_message_set_route, FIELD_LIST | FIELD_VITAL },
	{ "Record-Route", osip_message_set_record_route, FIELD_LIST | FIELD_VITAL },
	{ "Max-Forwards", set_nothing, FIELD_ONCE },
	{ "Content-Type", set_content_type, FIELD_ONCE | FIELD_VITAL },
	{ "Content-Length", set_nothing, FIELD_ONCE },
	{ "Authorization", set_authorization, 0 },
	{ "Proxy-Authorization", set_proxy_authorization, 0 },
	{ "WWW-Authenticate", set_www_authenticate, 0 },
	{ "Proxy-Authenticate", set_proxy_authenticate, 0 },
};
#define FIELDS_N (sizeof(fields) / sizeof(fields[0]))

static const struct field *
find_field(const char *name, size_t n)
{
	for (size_t i = 0; i < FIELDS_N; i++)
		if (strlen(fields[i].name) == n && strncasecmp(fields[i].name, name, n) == 0)
			return &fields[i];
	return NULL;
}

/* -- Lines -- */

/* The end of the first element of a list: a comma outside quotes and angle brackets, or the NUL. */
static char *
element_end(char *p)
{
	bool quoted = false, angled = false;

	for (; *p != '\0'; p++) {
		if (quoted && *p == '\\' && p[1] != '\0')
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (*p == '<' || *p == '>')
			angled = *p == '<';
		else if (*p == ',' && !angled)
			break;
	}
	return p;
}

static void
trim(char **value)
{
	size_t n;

	*value += strspn(*value, " \t");
	n = strlen(*value);
	while (n > 0 && strchr(" \t", (*value)[n - 1]) != NULL)
		(*value)[--n] = '\0';
}

/* libosip2 would cut the user at an escaped NUL and make another user of it. */
static bool
has_escaped_nul(const char *value)
{
	return strstr(value, "%00") != NULL;
}

static int
set_list(struct parse *ps, const struct field *f, char *value)
{
	bool more = true;

	while (more) {
		char *end = element_end(value), *element = value;

		more = *end == ',';
		*end = '\0';
		value = end + 1;
		trim(&element);
		if (*element != '\0' && f->set(ps->m->osip, element) != 0)
			return ERR_MALFORMED;
	}
	return 0;
}

static int
set_known(struct parse *ps, const struct field *f, char *value)
{
	unsigned bit = 1U << (f - fields);

	if ((f->flags & FIELD_ONCE) != 0 && (ps->seen & bit) != 0) {
		wrong(ps, "Header Field Twice");
		return 0;
	}
	ps->seen |= bit;
	if ((f->flags & FIELD_VITAL) != 0 && has_escaped_nul(value))
		return ERR_MALFORMED;
	if ((f->flags & FIELD_LIST) != 0)
		return set_list(ps, f, value);
	return f->set(ps->m->osip, value);
}

static void
content_length(struct parse *ps, const char *value)
{
	if (!sip_number(value, strlen(value), (unsigned long)INT32_MAX, &ps->length))
		wrong(ps, "Bad Content-Length");
	else
		ps->has_length = true;
}

/* name and value end with NUL. */
static int
header_field(struct parse *ps, const char *name, char *value)
{
	const struct field *f = find_field(name, strlen(name));

	if (++ps->fields_n > SIP_HEADERS_MAX)
		return ERR_TOO_BIG;
	if (f != NULL) {
		if (count_items(ps, value) != 0)
			return ERR_TOO_BIG;
		if (f->set == set_nothing && strcmp(f->name, "Content-Length") == 0)
			content_length(ps, value);
		if (set_known(ps, f, value) == 0)
			return 0;
		if ((f->flags & FIELD_VITAL) != 0) {
			wrong(ps, "Unreadable Header Field");
			return 0;
		}
		if (strcmp(f->name, "Content-Length") == 0)
			return 0;
		name = f->name;
	}
	osip_message_set_header(ps->m->osip, name, value);
	return 0;
}

/* §7.3.1: a fold and the blanks around it are one space. */
static char *
unfolded(const char *value, size_t n)
{
	char *copy = mem_dup(value, n), *out = copy;

	for (const char *p = copy; *p != '\0';) {
		if (*p != '\r' && *p != '\n') {
			*out++ = *p++;
			continue;
		}
		while (out > copy && (out[-1] == ' ' || out[-1] == '\t'))
			out--;
		p += strspn(p, " \t\r\n");
		*out++ = ' ';
	}
	*out = '\0';
	return copy;
}

static int
header_line(struct parse *ps, const struct sip_line *line)
{
	const char *full;
	char *name, *value;
	int err;

	if (line->name == NULL) {
		wrong(ps, "Unreadable Header Field");
		return ++ps->fields_n > SIP_HEADERS_MAX ? ERR_TOO_BIG : 0;
	}
	full = sip_compact_name(line->name, line->name_len);
	name = full != NULL ? mem_strdup(full) : mem_dup(line->name, line->name_len);
	value = unfolded(line->value, line->value_len);
	err = header_field(ps, name, value);
	mem_free(name);
	mem_free(value);
	return err;
}

/* -- The start line (§7.1, §7.2) -- */

/* A scheme that libosip2 does not know is kept as scheme and text: 416 is the answer to it. */
static osip_uri_t *
parse_uri(const char *s)
{
	size_t scheme_len = strcspn(s, ":");
	osip_uri_t *uri;

	osip_uri_init(&uri);
	if (!has_escaped_nul(s) && osip_uri_parse(uri, s) == 0)
		return uri;
	osip_uri_free(uri);
	if (s[scheme_len] != ':' || strncasecmp(s, "sip:", 4) == 0 ||
	    strncasecmp(s, "sips:", 5) == 0)
		return NULL;
	for (size_t i = 0; i < scheme_len; i++)
		if (!sip_is_token_char(s[i]))
			return NULL;
	osip_uri_init(&uri);
	uri->scheme = mem_dup(s, scheme_len);
	uri->string = mem_strdup(s + scheme_len + 1);
	return uri;
}

static void
request_uri(struct parse *ps, char *s)
{
	char *trimmed = s;

	trim(&trimmed);
	/* RFC 4475 §3.1.2.8: more than one space is an error, but one that can be told. */
	if (trimmed != s || strpbrk(trimmed, " \t\"<>") != NULL)
		wrong(ps, "Bad Request-Line");
	else
		ps->m->osip->req_uri = parse_uri(trimmed);
	if (ps->m->osip->req_uri == NULL)
		wrong(ps, "Bad Request-URI");
}

static int
request_line(struct parse *ps, char *line)
{
	size_t n = strlen(line), method_len = 0;
	char *version;

	while (n > 0 && strchr(" \t", line[n - 1]) != NULL) {
		wrong(ps, "Bad Request-Line");
		line[--n] = '\0';
	}
	while (sip_is_token_char(line[method_len]))
		method_len++;
	version = strrchr(line, ' ');
	if (method_len == 0 || line[method_len] != ' ' || version <= line + method_len ||
	    strncasecmp(version, " SIP/", 5) != 0)
		return ERR_MALFORMED;
	*version++ = '\0';
	ps->m->osip->sip_method = mem_dup(line, method_len);
	ps->m->osip->sip_version = mem_strdup(version);
	if (count_items(ps, line) != 0)
		return ERR_TOO_BIG;
	request_uri(ps, line + method_len + 1);
	return 0;
}

static int
status_line(struct parse *ps, char *line)
{
	size_t version_len = strcspn(line, " ");
	char *code = line + version_len + (line[version_len] == ' ');
	unsigned long status;

	if (!sip_number(code, strspn(code, "0123456789"), 999, &status) || status < 100 ||
	    (code[3] != ' ' && code[3] != '\0'))
		return ERR_MALFORMED;
	line[version_len] = '\0';
	ps->m->osip->sip_version = mem_strdup(line);
	ps->m->osip->status_code = (int)status;
	ps->m->osip->reason_phrase = mem_strdup(code[3] == '\0' ? "" : code + 4);
	return 0;
}

static int
start_line(struct parse *ps, const char *s, size_t n)
{
	char *line;
	int err;

	while (n > 0 && (s[n - 1] == '\n' || s[n - 1] == '\r'))
		n--;
	if (memchr(s, '\n', n) != NULL)
		return ERR_MALFORMED;
	line = mem_dup(s, n);
	err = strncasecmp(line, "SIP/", 4) == 0 ? status_line(ps, line) : request_line(ps, line);
	mem_free(line);
	return err;
}

/* -- The message -- */

/* NUL would end a C string early, a lone CR end a line for some readers only. */
static bool
is_clean(const char *header, size_t n)
{
	const char *p = header, *end = header + n;

	if (memchr(header, '\0', n) != NULL)
		return false;
	while ((p = memchr(p, '\r', (size_t)(end - p))) != NULL)
		if (++p == end || *p != '\n')
			return false;
	return true;
}

static int
parse_header(struct parse *ps, const char *header, size_t n)
{
	const char *p = header, *end = header + n, *start = p;
	struct sip_line line;
	int err;

	if (!is_clean(header, n))
		return ERR_MALFORMED;
	sip_lines_next(&p, end, &line);
	err = start_line(ps, start, (size_t)(p - start));
	while (err == 0 && sip_lines_next(&p, end, &line))
		if (line.name != NULL || line.value_len > 0) /* else the empty line */
			err = header_line(ps, &line);
	return err;
}

/* §18.3: on datagrams the body goes to the end when there is no Content-Length, and a message
 * that is shorter than it says is an error. */
static void
parse_body(struct parse *ps, const char *body, size_t n)
{
	if (ps->has_length && ps->length > n)
		wrong(ps, "Body Shorter Than Content-Length");
	else if (ps->has_length)
		n = ps->length;
	if (n > 0)
		osip_message_set_body(ps->m->osip, body, n);
}

int
sip_msg_parse(const char *data, size_t n, struct sip_msg **out)
{
	struct parse ps = { 0 };
	size_t header_len;
	int err;

	if (n > SIP_MSG_MAX)
		return ERR_TOO_BIG;
	while (n > 0 && (*data == '\r' || *data == '\n')) { /* §7.5 */
		data++;
		n--;
	}
	if (n == 0)
		return ERR_MALFORMED;
	ps.m = mem_zalloc(sizeof(*ps.m));
	osip_message_init(&ps.m->osip);
	header_len = sip_lines_end(data, n);
	if (header_len == 0) {
		wrong(&ps, "No Empty Line After the Header");
		header_len = n;
	}
	err = parse_header(&ps, data, header_len);
	if (err != 0) {
		sip_msg_free(ps.m);
		return err;
	}
	parse_body(&ps, data + header_len, n - header_len);
	*out = ps.m;
	return 0;
}
