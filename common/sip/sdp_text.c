/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/sdp_text.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

void
span_skip(struct span *s, size_t n)
{
	s->p += n;
	s->n -= n;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct span
span_cut_word(struct span *s)
{
	struct span word;

	while (s->n > 0 && is_blank(*s->p))
		span_skip(s, 1);
	word = (struct span){ s->p, 0 };
	while (s->n > 0 && !is_blank(*s->p)) {
		span_skip(s, 1);
		word.n++;
	}
	return word;
}

struct span
span_before(struct span s, char c)
{
	const char *at = memchr(s.p, c, s.n);

	if (at != NULL)
		s.n = (size_t)(at - s.p);
	return s;
}

bool
span_is(struct span s, const char *text)
{
	return s.n == strlen(text) && strncasecmp(s.p, text, s.n) == 0;
}

bool
span_starts(struct span s, const char *text)
{
	return s.n >= strlen(text) && strncasecmp(s.p, text, strlen(text)) == 0;
}

int
span_number(struct span s, uint32_t max, uint32_t *out)
{
	uint64_t v = 0;

	if (s.n == 0 || s.n > 10)
		return ERR_MALFORMED;
	for (size_t i = 0; i < s.n; i++) {
		if (!isdigit((unsigned char)s.p[i]))
			return ERR_MALFORMED;
		v = v * 10 + (uint64_t)(s.p[i] - '0');
	}
	if (v > max)
		return ERR_MALFORMED;
	*out = (uint32_t)v;
	return 0;
}

int
sdp_cut_line(struct span *text, struct sdp_line *out)
{
	struct span l = { text->p, 0 };

	while (l.n == 0) {
		if (text->n == 0)
			return ERR_NOT_FOUND;
		l = span_before(*text, '\n');
		span_skip(text, l.n < text->n ? l.n + 1 : l.n);
		while (l.n > 0 && l.p[l.n - 1] == '\r')
			l.n--;
	}
	if (l.n < 2 || l.p[1] != '=' || !islower((unsigned char)l.p[0]) ||
	    memchr(l.p, '\0', l.n) != NULL || memchr(l.p, '\r', l.n) != NULL)
		return ERR_MALFORMED;
	*out = (struct sdp_line){ l.p[0], { l.p + 2, l.n - 2 }, l };
	return 0;
}

int
sdp_read_place(struct span s, struct sdp_place *out)
{
	struct span net = span_cut_word(&s), family = span_cut_word(&s),
		    host = span_before(span_cut_word(&s), '/');

	if (!span_is(net, "IN") || (!span_is(family, "IP4") && !span_is(family, "IP6")) ||
	    host.n == 0)
		return ERR_MALFORMED;
	*out = (struct sdp_place){ .host = host };
	(void)addr_parse_host(host.p, host.n, 0, &out->addr);
	return 0;
}

int
sdp_read_origin(struct span value, struct span *head, struct sdp_place *out)
{
	struct span rest = value, word[4] = { { NULL, 0 } };
	size_t words_n = 0;

	for (;;) {
		struct span w = span_cut_word(&rest);

		if (w.n == 0)
			break;
		memmove(word, word + 1, 3 * sizeof(*word));
		word[3] = w;
		words_n++;
	}
	if (words_n < 6)
		return ERR_MALFORMED;
	*head = (struct span){ value.p, (size_t)(word[1].p - value.p) };
	rest = (struct span){ word[1].p, value.n - head->n };
	return sdp_read_place(rest, out);
}

int
sdp_read_media(struct span value, struct sdp_media_line *out)
{
	uint32_t port;

	out->kind = span_cut_word(&value);
	if (span_number(span_before(span_cut_word(&value), '/'), UINT16_MAX, &port) < 0)
		return ERR_MALFORMED;
	out->port = (uint16_t)port;
	out->proto = span_cut_word(&value);
	while (value.n > 0 && is_blank(*value.p))
		span_skip(&value, 1);
	out->formats = value;
	return out->kind.n > 0 && out->proto.n > 0 ? 0 : ERR_MALFORMED;
}

int
sdp_read_rtcp(struct span attribute, uint16_t *port, struct sdp_place *out)
{
	uint32_t v;

	span_skip(&attribute, strlen("rtcp:"));
	if (span_number(span_cut_word(&attribute), UINT16_MAX, &v) < 0)
		return ERR_MALFORMED;
	*port = (uint16_t)v;
	*out = (struct sdp_place){ .addr = { .u.sa.sa_family = AF_UNSPEC } };
	(void)sdp_read_place(attribute, out);
	return 0;
}
