/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/proxy/way.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/mem.h"

#define CREDENTIAL_MAX 256 /* bytes of a user or password, with the NUL */
#define BLANKS " \t\r\n"

struct scheme {
	const char *name;  /* as it is written */
	const char *means; /* what libcurl is told */
	unsigned port;
};

static const struct scheme url_schemes[] = {
	{ "http", "http", 80 },
	{ "https", "https", 443 },
	{ "socks5", "socks5h", 1080 },
	{ "socks5h", "socks5h", 1080 },
	{ "socks4", "socks4a", 1080 },
	{ "socks4a", "socks4a", 1080 },
	{ NULL, NULL, 0 },
};

static const struct scheme pac_schemes[] = {
	{ "PROXY", "http", 80 },
	{ "HTTP", "http", 80 },
	{ "HTTPS", "https", 443 },
	{ "SOCKS", "socks4a", 1080 },
	{ "SOCKS4", "socks4a", 1080 },
	{ "SOCKS5", "socks5h", 1080 },
	{ NULL, NULL, 0 },
};

/* A part of a text. */
struct part {
	const char *p;
	size_t n;
};

static const struct scheme *
find_scheme(const struct scheme *s, struct part name)
{
	for (; s->name != NULL; s++) {
		if (strlen(s->name) == name.n && strncasecmp(s->name, name.p, name.n) == 0)
			return s;
	}
	return NULL;
}

/* Digits and nothing else, `least` to `most`. */
static bool
read_number(struct part text, unsigned least, unsigned most, unsigned *out)
{
	unsigned value = 0;

	if (text.n == 0 || text.n > 5)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		if (!isdigit((unsigned char)text.p[i]))
			return false;
		value = value * 10 + (unsigned)(text.p[i] - '0');
	}
	*out = value;
	return value >= least && value <= most;
}

/*
 * "host", "host:port", "[2001:db8::1]:port", a bare IPv6 address. *port stays as it was when there
 * is none; the brackets are no part of the host.
 */
static bool
split_port(struct part text, struct part *host, unsigned *port)
{
	const char *colon = memrchr(text.p, ':', text.n);
	const char *close = memrchr(text.p, ']', text.n);

	*host = text;
	if (text.n > 0 && text.p[0] == '[') {
		if (close == NULL)
			return false;
		*host = (struct part){ text.p + 1, (size_t)(close - text.p) - 1 };
		if (close + 1 == text.p + text.n)
			return true;
		if (colon != close + 1)
			return false;
	} else if (colon == NULL || memchr(text.p, ':', (size_t)(colon - text.p)) != NULL) {
		return true;
	} else {
		host->n = (size_t)(colon - text.p);
	}
	colon++;
	return read_number((struct part){ colon, (size_t)(text.p + text.n - colon) }, 1, 65535,
	    port);
}

static bool
is_host(struct part host)
{
	struct addr a;

	if (host.n == 0 || host.n >= PROXY_HOST_MAX)
		return false;
	if (memchr(host.p, ':', host.n) != NULL)
		return memchr(host.p, '%', host.n) == NULL &&
		    addr_parse_host(host.p, host.n, 0, &a) == 0;
	for (size_t i = 0; i < host.n; i++) {
		if (!isalnum((unsigned char)host.p[i]) && strchr("._-", host.p[i]) == NULL)
			return false;
	}
	return host.p[0] != '-' && host.p[0] != '.';
}

/* -- Lists -- */

static void
wipe(char *s)
{
	if (s != NULL)
		mem_wipe_free(s, strlen(s));
}

void
proxy_ways_free(struct proxy_ways *w)
{
	for (size_t i = 0; i < w->n; i++) {
		mem_free(w->way[i].proxy);
		wipe(w->way[i].user);
		wipe(w->way[i].password);
	}
	memset(w, 0, sizeof(*w));
}

bool
proxy_ways_add(struct proxy_ways *w, const char *proxy, const char *user, const char *password)
{
	if (w->n == PROXY_WAYS_MAX)
		return false;
	w->way[w->n++] =
	    (struct proxy_way){ mem_strdup(proxy), mem_strdup(user), mem_strdup(password) };
	return true;
}

/* "host[:port]" of that scheme. */
static int
add_proxy(struct proxy_ways *w, const struct scheme *s, struct part text, const char *user,
    const char *password)
{
	unsigned port = s->port;
	struct part host;
	bool v6, added;
	char *proxy;

	if (!split_port(text, &host, &port) || !is_host(host))
		return ERR_MALFORMED;
	v6 = memchr(host.p, ':', host.n) != NULL;
	proxy = mem_printf("%s://%s%.*s%s:%u", s->means, v6 ? "[" : "", (int)host.n, host.p,
	    v6 ? "]" : "", port);
	for (char *c = proxy; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	added = proxy_ways_add(w, proxy, user, password);
	mem_free(proxy);
	return added ? 0 : ERR_FULL;
}

static int
hex_digit(char c)
{
	if (!isxdigit((unsigned char)c))
		return -1;
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* %XX undone; false when it is malformed, too long or has a control character. */
static bool
decode(struct part in, char out[static CREDENTIAL_MAX])
{
	size_t used = 0;

	for (size_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)in.p[i];

		if (c == '%') {
			int high = i + 2 < in.n ? hex_digit(in.p[i + 1]) : -1;
			int low = i + 2 < in.n ? hex_digit(in.p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (unsigned char)(high * 16 + low);
			i += 2;
		}
		if (iscntrl(c) || used == CREDENTIAL_MAX - 1)
			return false;
		out[used++] = (char)c;
	}
	out[used] = '\0';
	return true;
}

/* -- Addresses of proxies -- */

static struct part
part_of(const char *text)
{
	const char *begin = text + strspn(text, BLANKS);
	size_t n = strlen(begin);

	while (n > 0 && strchr(BLANKS, begin[n - 1]) != NULL)
		n--;
	return (struct part){ begin, n };
}

/* Takes "name://" from the front of *text; "http" when there is none. */
static const struct scheme *
take_scheme(struct part *text)
{
	const char *mark = memmem(text->p, text->n, "://", 3);
	struct part name = { "http", 4 };

	if (mark != NULL) {
		name = (struct part){ text->p, (size_t)(mark - text->p) };
		text->n -= name.n + 3;
		text->p = mark + 3;
	}
	return find_scheme(url_schemes, name);
}

static int
add_url_with(struct proxy_ways *w, const struct scheme *s, struct part text, char *user,
    char *password)
{
	const char *at = memrchr(text.p, '@', text.n), *colon;
	struct part login;

	if (at == NULL)
		return add_proxy(w, s, text, NULL, NULL);
	login = (struct part){ text.p, (size_t)(at - text.p) };
	text.n -= login.n + 1;
	text.p = at + 1;
	colon = memchr(login.p, ':', login.n);
	if (colon == NULL)
		colon = login.p + login.n;
	else if (!decode((struct part){ colon + 1, (size_t)(at - colon) - 1 }, password))
		return ERR_MALFORMED;
	if (!decode((struct part){ login.p, (size_t)(colon - login.p) }, user))
		return ERR_MALFORMED;
	return add_proxy(w, s, text, user, password);
}

int
proxy_ways_add_url(struct proxy_ways *w, const char *text)
{
	char user[CREDENTIAL_MAX] = "", password[CREDENTIAL_MAX] = "";
	struct part rest = part_of(text);
	const struct scheme *s = take_scheme(&rest);
	const char *slash;
	int err = ERR_MALFORMED;

	slash = memrchr(rest.p, '/', rest.n);
	if (slash != NULL && slash == rest.p + rest.n - 1)
		rest.n--;
	if (s != NULL)
		err = add_url_with(w, s, rest, user, password);
	explicit_bzero(user, sizeof(user));
	explicit_bzero(password, sizeof(password));
	return err;
}

/* -- PAC -- */

/* "DIRECT" or "PROXY host:port"; what is behind a second blank is let go. */
static bool
add_pac_entry(struct proxy_ways *w, struct part entry)
{
	struct part name = entry, host;
	const struct scheme *s;

	name.n = 0;
	while (name.n < entry.n && strchr(BLANKS, entry.p[name.n]) == NULL)
		name.n++;
	if (name.n == 6 && strncasecmp(name.p, "DIRECT", 6) == 0)
		return proxy_ways_add(w, NULL, NULL, NULL);
	host = (struct part){ name.p + name.n, entry.n - name.n };
	while (host.n > 0 && strchr(BLANKS, host.p[0]) != NULL) {
		host.p++;
		host.n--;
	}
	for (size_t i = 0; i < host.n; i++) {
		if (strchr(BLANKS, host.p[i]) != NULL)
			host.n = i;
	}
	s = find_scheme(pac_schemes, name);
	return s != NULL && add_proxy(w, s, host, NULL, NULL) == 0;
}

unsigned
proxy_ways_add_pac(struct proxy_ways *w, const char *answer)
{
	unsigned passed_over = 0;

	for (;;) {
		struct part entry;

		answer += strspn(answer, ";" BLANKS);
		entry = (struct part){ answer, strcspn(answer, ";") };
		if (entry.n == 0)
			return passed_over;
		answer += entry.n;
		while (entry.n > 0 && strchr(BLANKS, entry.p[entry.n - 1]) != NULL)
			entry.n--;
		if (!add_pac_entry(w, entry))
			passed_over++;
	}
}

/* -- The environment -- */

bool
proxy_url_host(const char *url, char host[static PROXY_HOST_MAX], unsigned *port)
{
	bool tls = strncasecmp(url, "https://", 8) == 0;
	struct part text, name;

	if (!tls && strncasecmp(url, "http://", 7) != 0)
		return false;
	text.p = url + (tls ? 8 : 7);
	text.n = strcspn(text.p, "/?#");
	*port = tls ? 443 : 80;
	if (!split_port(text, &name, port) || !is_host(name))
		return false;
	memcpy(host, name.p, name.n);
	host[name.n] = '\0';
	return true;
}

/* The first `bits` of both addresses are the same. */
static bool
same_network(const struct addr *a, const struct addr *b, unsigned bits)
{
	bool v6 = addr_is_v6(a);
	const uint8_t *x = v6 ? a->u.in6.sin6_addr.s6_addr : (const uint8_t *)&a->u.in4.sin_addr;
	const uint8_t *y = v6 ? b->u.in6.sin6_addr.s6_addr : (const uint8_t *)&b->u.in4.sin_addr;
	unsigned rest = bits % 8;

	if (addr_is_v6(b) != v6 || bits > (v6 ? 128u : 32u))
		return false;
	return memcmp(x, y, bits / 8) == 0 &&
	    (rest == 0 || (x[bits / 8] ^ y[bits / 8]) >> (8 - rest) == 0);
}

/* The host is an address: an entry is that one, or a network that has it. */
static bool
entry_has_address(struct part entry, const struct addr *host)
{
	const char *slash = memchr(entry.p, '/', entry.n);
	unsigned bits = addr_is_v6(host) ? 128 : 32;
	struct addr network;

	if (slash != NULL) {
		struct part number = { slash + 1, (size_t)(entry.p + entry.n - slash) - 1 };

		if (!read_number(number, 0, bits, &bits))
			return false;
		entry.n = (size_t)(slash - entry.p);
	}
	return addr_parse_host(entry.p, entry.n, 0, &network) == 0 &&
	    same_network(host, &network, bits);
}

static bool
entry_has_name(struct part entry, struct part host)
{
	size_t skip = entry.n > 1 && entry.p[0] == '*' && entry.p[1] == '.' ? 2 :
	    entry.n > 0 && entry.p[0] == '.'                                ? 1 :
									      0;
	const char *tail;

	entry.p += skip;
	entry.n -= skip;
	if (entry.n > 0 && entry.p[entry.n - 1] == '.')
		entry.n--;
	if (entry.n == 0 || entry.n > host.n)
		return false;
	tail = host.p + host.n - entry.n;
	return strncasecmp(tail, entry.p, entry.n) == 0 && (tail == host.p || tail[-1] == '.');
}

static bool
entry_excludes(struct part entry, struct part host, const struct addr *address, unsigned port)
{
	unsigned only = port;
	struct part name;

	if (entry.n == 1 && entry.p[0] == '*')
		return true;
	if (!split_port(entry, &name, &only) || only != port)
		return false;
	return address != NULL ? entry_has_address(name, address) : entry_has_name(name, host);
}

bool
proxy_is_excluded(const char *list, const char *host, unsigned port)
{
	struct part name = { host, strlen(host) };
	struct addr address;
	bool literal = addr_parse_host(host, name.n, 0, &address) == 0;

	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	for (;;) {
		struct part entry;

		list += strspn(list, "," BLANKS);
		entry = (struct part){ list, strcspn(list, "," BLANKS) };
		if (entry.n == 0)
			return false;
		if (entry_excludes(entry, name, literal ? &address : NULL, port))
			return true;
		list += entry.n;
	}
}

/* The first of the names, ended by NULL, that is set and not empty; *name is then it. */
static const char *
look_up(char *(*getenv_fn)(const char *name), const char *const *names, const char **name)
{
	const char *value;

	for (; *names != NULL; names++) {
		value = getenv_fn(*names);
		if (value == NULL || value[0] == '\0')
			continue;
		*name = *names;
		return value;
	}
	return NULL;
}

int
proxy_ways_add_environment(struct proxy_ways *w, const char *url,
    char *(*getenv_fn)(const char *name), const char **variable)
{
	static const char *const for_http[] = { "http_proxy", "all_proxy", "ALL_PROXY", NULL };
	static const char *const for_https[] = { "https_proxy", "HTTPS_PROXY", "all_proxy",
		"ALL_PROXY", NULL };
	static const char *const for_none[] = { "no_proxy", "NO_PROXY", NULL };
	bool tls = strncasecmp(url, "https:", 6) == 0;
	const char *proxy, *none, *none_name;
	char host[PROXY_HOST_MAX];
	unsigned port;

	proxy = look_up(getenv_fn, tls ? for_https : for_http, variable);
	none = look_up(getenv_fn, for_none, &none_name);
	if (proxy != NULL && none != NULL && proxy_url_host(url, host, &port) &&
	    proxy_is_excluded(none, host, port))
		proxy = NULL;
	if (proxy == NULL)
		return proxy_ways_add(w, NULL, NULL, NULL) ? 0 : ERR_FULL;
	return proxy_ways_add_url(w, proxy);
}
