/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <osipparser2/osip_parser.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "sip/lines.h"
#include "sip/msg.h"

#define BOUNDARY_MAX 70 /* RFC 2046 §5.1.1 */

const char *
sip_msg_body(const struct sip_msg *m, size_t *n)
{
	osip_body_t *body = osip_list_get(&m->osip->bodies, 0);

	*n = body == NULL || body->body == NULL ? 0 : body->length;
	return *n == 0 ? NULL : body->body;
}

bool
sip_msg_body_is(const struct sip_msg *m, const char *type)
{
	const osip_content_type_t *ct = m->osip->content_type;
	const char *slash = strchr(type, '/');
	size_t type_len = slash == NULL ? 0 : (size_t)(slash - type);

	return ct != NULL && ct->type != NULL && ct->subtype != NULL && slash != NULL &&
	    strlen(ct->type) == type_len && strncasecmp(ct->type, type, type_len) == 0 &&
	    strcasecmp(ct->subtype, slash + 1) == 0;
}

static void
drop_bodies(struct sip_msg *m)
{
	osip_list_special_free(&m->osip->bodies, (void (*)(void *))osip_body_free);
	osip_list_init(&m->osip->bodies);
}

void
sip_msg_body_set(struct sip_msg *m, const char *type, const char *body, size_t n)
{
	drop_bodies(m);
	osip_content_type_free(m->osip->content_type);
	m->osip->content_type = NULL;
	if (type == NULL)
		return;
	osip_message_set_content_type(m->osip, type);
	if (n > 0)
		osip_message_set_body(m->osip, body, n);
}

/* -- The Session Description, alone or in a multipart body (RFC 2046 §5.1) -- */

struct part {
	const char *p;
	size_t n;
};

/* The boundary parameter, without quotes; false when there is none that is usable. */
static bool
boundary(const struct sip_msg *m, char out[static BOUNDARY_MAX + 1])
{
	osip_generic_param_t *param = NULL;
	char name[] = "boundary";
	const char *value;
	size_t n;

	if (m->osip->content_type == NULL || m->osip->content_type->type == NULL ||
	    strcasecmp(m->osip->content_type->type, "multipart") != 0)
		return false;
	osip_generic_param_get_byname(&m->osip->content_type->gen_params, name, &param);
	if (param == NULL || param->gvalue == NULL)
		return false;
	value = param->gvalue;
	n = strlen(value);
	if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
		value++;
		n -= 2;
	}
	if (n == 0 || n > BOUNDARY_MAX)
		return false;
	memcpy(out, value, n);
	out[n] = '\0';
	return true;
}

/* Where the next line "--boundary" begins; `end` when there is none. */
static const char *
delimiter(const char *p, const char *end, const char *bound)
{
	size_t n = strlen(bound);

	while (p < end) {
		const char *lf;

		if ((size_t)(end - p) >= n + 2 && p[0] == '-' && p[1] == '-' &&
		    memcmp(p + 2, bound, n) == 0)
			return p;
		lf = memchr(p, '\n', (size_t)(end - p));
		if (lf == NULL)
			return end;
		p = lf + 1;
	}
	return end;
}

static bool
is_sdp_type(const char *value, size_t n)
{
	static const char sdp[] = "application/sdp";
	size_t len = sizeof(sdp) - 1;

	return n >= len && strncasecmp(value, sdp, len) == 0 &&
	    (n == len || strchr("; \t\r\n", value[len]) != NULL);
}

/* One part, headers and content, without the CRLF that belongs to the delimiter behind it. */
static bool
part_is_sdp(const char *p, const char *end, struct part *out)
{
	const char *content;
	size_t header_len;
	struct sip_line line;
	bool is_sdp = false;

	if (p < end && (*p == '\n' || *p == '\r'))
		return false; /* no header at all: text/plain by RFC 2046 §5.1 */
	header_len = sip_lines_end(p, (size_t)(end - p));
	if (header_len == 0)
		return false;
	content = p + header_len;
	while (sip_lines_next(&p, content, &line))
		if (line.name != NULL && sip_name_is(line.name, line.name_len, "Content-Type"))
			is_sdp = is_sdp_type(line.value, line.value_len);
	*out = (struct part){ content, (size_t)(end - content) };
	return is_sdp;
}

static bool
find_in_parts(struct part body, const char *bound, struct part *out)
{
	const char *end = body.p + body.n, *p = delimiter(body.p, end, bound);

	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p)), *next, *part_end;

		if (lf == NULL)
			return false;
		p = lf + 1;
		next = delimiter(p, end, bound);
		if (next == end)
			return false; /* not closed: cut short */
		part_end = next;
		if (part_end > p && part_end[-1] == '\n')
			part_end--;
		if (part_end > p && part_end[-1] == '\r')
			part_end--;
		if (part_is_sdp(p, part_end, out))
			return true;
		p = next;
	}
	return false;
}

static bool
find_sdp(const struct sip_msg *m, struct part *out)
{
	char bound[BOUNDARY_MAX + 1];
	struct part body;

	body.p = sip_msg_body(m, &body.n);
	if (body.p == NULL)
		return false;
	if (sip_msg_body_is(m, "application/sdp")) {
		*out = body;
		return true;
	}
	return boundary(m, bound) && find_in_parts(body, bound, out);
}

const char *
sip_msg_sdp(const struct sip_msg *m, size_t *n)
{
	struct part sdp;

	if (!find_sdp(m, &sdp)) {
		*n = 0;
		return NULL;
	}
	*n = sdp.n;
	return sdp.p;
}

void
sip_msg_sdp_set(struct sip_msg *m, const char *sdp, size_t n)
{
	struct part old;
	const char *body;
	size_t body_len, before, after;
	char *whole;

	if (!find_sdp(m, &old))
		return;
	body = sip_msg_body(m, &body_len);
	before = (size_t)(old.p - body);
	after = body_len - before - old.n;
	whole = mem_alloc(before + n + after);
	memcpy(whole, body, before);
	if (n > 0)
		memcpy(whole + before, sdp, n);
	memcpy(whole + before + n, old.p + old.n, after);
	drop_bodies(m);
	if (before + n + after > 0)
		osip_message_set_body(m->osip, whole, before + n + after);
	mem_free(whole);
}
