/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "sip/hide.h"
#include "sip/uri.h"

/*
 * The last look at a message that leaves an inside network, as text: whatever field an address
 * stands in, and however it got there, it does not leave.
 */
#define KNOWN_MAX 64

struct sweep {
	const struct hide *h;
	struct addr known[KNOWN_MAX]; /* addresses of the inside, private or not */
	size_t known_n;
	char here[ADDR_HOST_MAX + 2]; /* what is written over them; IPv6 in brackets */
};

/* -- What is looked for -- */

static bool
is_known(const struct sweep *w, const struct addr *a)
{
	for (size_t i = 0; i < w->known_n; i++)
		if (addr_same_host(&w->known[i], a))
			return true;
	return false;
}

static void
know(struct sweep *w, const struct addr *a)
{
	if (addr_is_set(a) && w->known_n < KNOWN_MAX && !is_known(w, a))
		w->known[w->known_n++] = *a;
}

static void
know_host(struct sweep *w, const char *host)
{
	struct addr a;

	if (host != NULL && addr_parse_host(host, strlen(host), 0, &a) == 0)
		know(w, &a);
}

static void
know_vias(struct sweep *w, const struct sip_msg *came)
{
	osip_list_iterator_t it;
	const osip_via_t *via = osip_list_get_first(&came->osip->vias, &it);

	for (; osip_list_iterator_has_elem(it); via = osip_list_get_next(&it))
		know_host(w, via->host);
}

static void
know_contacts(struct sweep *w, const struct sip_msg *came)
{
	osip_list_iterator_t it;
	const osip_contact_t *c = osip_list_get_first(&came->osip->contacts, &it);

	for (; osip_list_iterator_has_elem(it); c = osip_list_get_next(&it))
		if (c->url != NULL)
			know_host(w, c->url->host);
}

static bool
is_hidden(const struct sweep *w, const struct addr *a, bool any_private)
{
	if (face_tells_addr(w->h->to, a))
		return false;
	return (any_private && addr_is_private(a)) || is_known(w, a);
}

/* -- Where an address stands in a text -- */

/* The length of a dotted quad at p, 0 when there is none. */
static size_t
quad_len(const char *p, const char *end)
{
	const char *q = p;

	for (unsigned part = 0; part < 4; part++) {
		unsigned value = 0, digits = 0;

		if (part > 0 && (q == end || *q++ != '.'))
			return 0;
		for (; q < end && isdigit((unsigned char)*q) && digits < 4; q++, digits++)
			value = value * 10 + (unsigned)(*q - '0');
		if (digits == 0 || digits > 3 || value > 255)
			return 0;
	}
	return (size_t)(q - p);
}

static bool
is_v6_char(char c)
{
	return isxdigit((unsigned char)c) || c == ':' || c == '.';
}

/* The length of the run of characters at p that may be an IPv6 address, 0 without two colons. */
static size_t
v6_len(const char *p, const char *end)
{
	const char *q = p;
	unsigned colons = 0;

	for (; q < end && is_v6_char(*q) && q - p < INET6_ADDRSTRLEN; q++)
		colons += *q == ':';
	while (q > p && (q[-1] == '.' || (q[-1] == ':' && q - p >= 2 && q[-2] != ':')))
		q--;
	return colons >= 2 ? (size_t)(q - p) : 0;
}

/* A hidden address that begins at p: its length, else 0. */
static size_t
hidden_at(const struct sweep *w, const char *text, const char *p, const char *end, bool any_private)
{
	char before = p > text ? p[-1] : ' ';
	struct addr a;
	size_t n;

	if (isdigit((unsigned char)*p) && !isdigit((unsigned char)before) &&
	    (n = quad_len(p, end)) > 0 && addr_parse_host(p, n, 0, &a) == 0 &&
	    is_hidden(w, &a, any_private))
		return n;
	if (is_v6_char(*p) && *p != '.' && !is_v6_char(before) && (n = v6_len(p, end)) > 0 &&
	    addr_parse_host(p, n, 0, &a) == 0 && is_hidden(w, &a, any_private))
		return n;
	return 0;
}

/* A private address in the body as it came is of the inside, whatever it is for. One that is there
 * now and was not then is the relay's own: an outside face may be private, in a DMZ. */
static void
know_body(struct sweep *w, const struct sip_msg *came)
{
	size_t n, len;
	const char *body = sip_msg_body(came, &n), *end;
	struct addr a;

	if (body == NULL)
		return;
	end = body + n;
	for (const char *p = body; p != end; p += len > 0 ? len : 1) {
		len = hidden_at(w, body, p, end, true);
		if (len > 0 && addr_parse_host(p, len, 0, &a) == 0)
			know(w, &a);
	}
}

static void
sweep_init(struct sweep *w, const struct hide *h, const struct sip_msg *came)
{
	char host[ADDR_HOST_MAX];

	*w = (struct sweep){ .h = h };
	know(w, &h->source.peer);
	for (size_t i = 0; i < h->from->listen_n; i++) {
		know(w, &h->from->listen[i].addr);
		know(w, &h->from->bound[i]);
	}
	know_contacts(w, came);
	/* The Vias of a response are ours. */
	if (sip_msg_is_request(came))
		know_vias(w, came);
	know_body(w, came);
	addr_host(&h->here->addr, host);
	snprintf(w->here, sizeof(w->here), addr_is_v6(&h->here->addr) ? "[%s]" : "%s", host);
}

/* Appends `text` with the pair's address over each hidden one; returns their number. */
static int
sweep_text(const struct sweep *w, const char *text, size_t n, bool any_private, struct buf *out)
{
	const char *end = text + n, *kept = text, *p = text;
	bool bracket;
	size_t len;
	int found = 0;

	while (p < end) {
		if ((!isdigit((unsigned char)*p) && !is_v6_char(*p)) ||
		    (len = hidden_at(w, text, p, end, any_private)) == 0) {
			p++;
			continue;
		}
		found++;
		bracket = p > kept && p[-1] == '[' && p + len < end && p[len] == ']';
		buf_append(out, kept, (size_t)(p - kept) - bracket);
		buf_append(out, w->here, strlen(w->here));
		p += len + bracket;
		kept = p;
	}
	buf_append(out, kept, (size_t)(end - kept));
	return found;
}

/* -- A whole message -- */

static bool
is_theirs(bool request, const char *line, size_t n)
{
	static const char *const of_request[] = { "Via:", "Route:", NULL };
	static const char *const of_response[] = {
		"Via:", "From:", "To:", "Call-ID:", "Record-Route:", NULL
	};
	const char *const *names = request ? of_request : of_response;

	for (; *names != NULL; names++)
		if (n > strlen(*names) && strncasecmp(line, *names, strlen(*names)) == 0)
			return true;
	return false;
}

static int
sweep_line(const struct sweep *w, bool request, const char *line, size_t n, struct buf *out)
{
	static const char length[] = "Content-Length:";

	if (is_theirs(request, line, n)) {
		buf_append(out, line, n);
		return 0;
	}
	/* Without it the body is what follows: its length may change. */
	if (n > sizeof(length) && strncasecmp(line, length, sizeof(length) - 1) == 0)
		return 0;
	return sweep_text(w, line, n, true, out);
}

static int
sweep_head(const struct sweep *w, bool request, const char *text, size_t n, struct buf *out)
{
	const char *end = text + n, *next;
	bool first = true;
	int found = 0;

	for (; text < end; text = next, first = false) {
		next = memchr(text, '\n', (size_t)(end - text));
		next = next != NULL ? next + 1 : end;
		if (first && (!request || w->h->keep_uri))
			buf_append(out, text, (size_t)(next - text));
		else
			found += sweep_line(w, request, text, (size_t)(next - text), out);
	}
	return found;
}

static bool
any_private_in_body(const struct sweep *w, const struct sip_msg *m)
{
	size_t n;

	return sip_msg_sdp(m, &n) == NULL || w->known_n == KNOWN_MAX;
}

static int
replace_by(struct sip_msg **m, const struct buf *text)
{
	struct sip_msg *swept;
	int err = sip_msg_parse((const char *)buf_data(text), buf_len(text), &swept);

	if (err != 0)
		return err;
	sip_msg_free(*m);
	*m = swept;
	return 0;
}

int
hide_sweep(const struct hide *h, const struct sip_msg *came, struct sip_msg **m)
{
	struct sweep w;
	struct buf out;
	char *text, *body;
	size_t n, head_n;
	int err, found;

	if (!hide_crosses(h))
		return 0;
	if ((err = sip_msg_encode(*m, &text, &n)) != 0)
		return err;
	sweep_init(&w, h, came);
	buf_init(&out, (size_t)SIP_MSG_MAX * 8);
	body = memmem(text, n, "\r\n\r\n", 4);
	head_n = body != NULL ? (size_t)(body - text) + 4 : n;
	found = sweep_head(&w, sip_msg_is_request(*m), text, head_n, &out);
	found += sweep_text(&w, text + head_n, n - head_n, any_private_in_body(&w, *m), &out);
	err = found > 0 ? replace_by(m, &out) : 0;
	buf_free(&out);
	mem_free(text);
	return err != 0 ? err : found;
}
