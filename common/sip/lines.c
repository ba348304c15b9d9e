/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/lines.h"

#include <string.h>
#include <strings.h>

bool
sip_is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("-.!%*_+`'~", c) != NULL);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

size_t
sip_lines_end(const char *data, size_t n)
{
	const char *p = data, *end = data + n, *lf;

	while ((lf = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		p = lf + 1;
		if (p < end && *p == '\n')
			return (size_t)(p + 1 - data);
		if (end - p >= 2 && p[0] == '\r' && p[1] == '\n')
			return (size_t)(p + 2 - data);
	}
	return 0;
}

/* Behind the LF that ends the logical line: the first one not followed by a blank. */
static const char *
line_end(const char *p, const char *end)
{
	const char *lf;

	while ((lf = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		p = lf + 1;
		if (p == end || (*p != ' ' && *p != '\t'))
			return p;
	}
	return end;
}

static void
split(const char *p, const char *end, struct sip_line *out)
{
	const char *start = p;

	while (p < end && sip_is_token_char(*p))
		p++;
	out->name_len = (size_t)(p - start);
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if (out->name_len > 0 && p < end && *p == ':') {
		out->name = start;
		p++;
	} else {
		out->name = NULL;
		p = start;
	}
	while (p < end && is_blank(*p))
		p++;
	while (end > p && is_blank(end[-1]))
		end--;
	out->value = p;
	out->value_len = (size_t)(end - p);
}

bool
sip_lines_next(const char **p, const char *end, struct sip_line *out)
{
	const char *start = *p;

	if (start >= end)
		return false;
	*p = line_end(start, end);
	split(start, *p, out);
	return true;
}

bool
sip_number(const char *s, size_t n, unsigned long max, unsigned long *out)
{
	unsigned long v = 0;

	if (n == 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned digit = (unsigned)(unsigned char)s[i] - '0';

		if (digit > 9 || digit > max || v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = v;
	return true;
}

const char *
sip_compact_name(const char *name, size_t n)
{
	static const char *const full[26] = {
		['a' - 'a'] = "Accept-Contact",
		['b' - 'a'] = "Referred-By",
		['c' - 'a'] = "Content-Type",
		['d' - 'a'] = "Request-Disposition",
		['e' - 'a'] = "Content-Encoding",
		['f' - 'a'] = "From",
		['i' - 'a'] = "Call-ID",
		['j' - 'a'] = "Reject-Contact",
		['k' - 'a'] = "Supported",
		['l' - 'a'] = "Content-Length",
		['m' - 'a'] = "Contact",
		['n' - 'a'] = "Identity-Info",
		['o' - 'a'] = "Event",
		['r' - 'a'] = "Refer-To",
		['s' - 'a'] = "Subject",
		['t' - 'a'] = "To",
		['u' - 'a'] = "Allow-Events",
		['v' - 'a'] = "Via",
		['x' - 'a'] = "Session-Expires",
		['y' - 'a'] = "Identity",
	};
	unsigned letter = n == 1 ? ((unsigned)(unsigned char)name[0] | 0x20) - 'a' : 26;

	return letter < 26 ? full[letter] : NULL;
}

bool
sip_name_is(const char *name, size_t n, const char *full)
{
	const char *expanded = sip_compact_name(name, n);

	if (expanded != NULL)
		return strcasecmp(expanded, full) == 0;
	return strlen(full) == n && strncasecmp(name, full, n) == 0;
}
