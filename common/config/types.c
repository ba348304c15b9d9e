/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/mem.h"
#include "config/config.h"
#include "config/schema.h"

static const char alnum[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/*
 * Values are copied in by memcpy: the table's offsets are plain numbers to the compiler, and the
 * struct they point into has its own types.
 */
static const char *
put(void *out, const void *value, size_t n)
{
	memcpy(out, value, n);
	return NULL;
}

static const char *
put_string(void *out, const char *text)
{
	char *copy = mem_strdup(text);

	return put(out, &copy, sizeof(copy));
}

static void
release_string(void *value)
{
	char *s;

	memcpy(&s, value, sizeof(s));
	if (s != NULL)
		mem_wipe_free(s, strlen(s));
	memset(value, 0, sizeof(s));
}

/* n bytes of letters, digits and `others` only. */
static bool
consists_of(const char *s, size_t n, const char *others)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\0' || (strchr(alnum, s[i]) == NULL && strchr(others, s[i]) == NULL))
			return false;
	}
	return true;
}

static const char *
check_length(const struct option *o, const char *text)
{
	size_t n = strlen(text);

	if (n < o->min)
		return n == 0 ? "it is empty" : "it is too short";
	return n > o->max ? "it is too long" : NULL;
}

static const char *
parse_string(const struct option *o, const char *text, void *out)
{
	const char *wrong = check_length(o, text);

	if (wrong != NULL)
		return wrong;
	for (const char *s = text; *s != '\0'; s++) {
		if (iscntrl((unsigned char)*s))
			return "it has a control character";
	}
	return put_string(out, text);
}

static const char *
parse_name(const struct option *o, const char *text, void *out)
{
	const char *wrong = check_length(o, text);

	if (wrong == NULL && !consists_of(text, strlen(text), "._-"))
		wrong = "it has a character that is not allowed";
	return wrong != NULL ? wrong : put_string(out, text);
}

/* RFC 3261 section 25.1, user = unreserved / user-unreserved. */
static const char *
parse_user(const struct option *o, const char *text, void *out)
{
	const char *wrong = check_length(o, text);

	if (wrong == NULL && !consists_of(text, strlen(text), "-_.!~*'()&=+$,;?/"))
		wrong = "it has a character that is not allowed";
	return wrong != NULL ? wrong : put_string(out, text);
}

/* A host name by its letters (RFC 1123 section 2.1), or an address literal. */
static bool
is_host(const char *host, size_t n)
{
	struct addr a;

	if (addr_parse_host(host, n, 0, &a) == 0)
		return true;
	return n > 0 && n <= 253 && consists_of(host, n, ".-") && host[0] != '-' &&
	    host[0] != '.' && memmem(host, n, "..", 2) == NULL;
}

static const char *
parse_domain(const struct option *o, const char *text, void *out)
{
	char *copy;

	(void)o;
	if (!is_host(text, strlen(text)))
		return "it is not a host name";
	copy = mem_strdup(text);
	for (char *s = copy; *s != '\0'; s++)
		*s = (char)tolower((unsigned char)*s);
	return put(out, &copy, sizeof(copy));
}

static const char *
parse_file(const struct option *o, const char *text, void *out)
{
	int fd = open(text, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	bool is_dir;

	(void)o;
	if (fd < 0)
		return strerror(errno);
	is_dir = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
	close(fd);
	return is_dir ? strerror(EISDIR) : put_string(out, text);
}

/* Digits only, so that neither a sign nor a space nor an overflow passes. */
static const char *
parse_digits(const char **text, uint64_t *out)
{
	const char *s = *text;
	uint64_t v = 0;

	if (!isdigit((unsigned char)*s))
		return "it is not a number";
	for (; isdigit((unsigned char)*s); s++) {
		if (v > UINT64_MAX / 10 - 1)
			return "it is too large";
		v = v * 10 + (uint64_t)(*s - '0');
	}
	*text = s;
	*out = v;
	return NULL;
}

static const char *
check_range(const struct option *o, uint64_t v)
{
	if (v < o->min)
		return "it is too small";
	return v > o->max ? "it is too large" : NULL;
}

static const char *
parse_u32(const struct option *o, const char *text, void *out)
{
	uint64_t v;
	const char *wrong = parse_digits(&text, &v);
	uint32_t v32;

	if (wrong == NULL && *text != '\0')
		wrong = "it is not a number";
	if (wrong == NULL)
		wrong = check_range(o, v);
	v32 = wrong == NULL ? (uint32_t)v : 0;
	return wrong != NULL ? wrong : put(out, &v32, sizeof(v32));
}

static const char *
parse_auto_u32(const struct option *o, const char *text, void *out)
{
	static const uint32_t by_itself = 0;

	if (strcmp(text, "auto") == 0)
		return put(out, &by_itself, sizeof(by_itself));
	return parse_u32(o, text, out);
}

struct unit {
	const char *name;
	uint64_t factor;
};

/* A number with one of the units behind it; a bare one counts in units of `bare`. */
static const char *
parse_with_unit(const char *text, const struct unit *units, uint64_t bare, uint64_t *out)
{
	uint64_t v, factor = bare;
	const char *wrong = parse_digits(&text, &v);

	if (wrong != NULL)
		return wrong;
	if (*text != '\0') {
		while (units->name != NULL && strcasecmp(units->name, text) != 0)
			units++;
		if (units->name == NULL)
			return "its unit is not known";
		factor = units->factor;
	}
	if (v > UINT64_MAX / factor)
		return "it is too large";
	*out = v * factor;
	return NULL;
}

static const char *
parse_bytes(const struct option *o, const char *text, void *out)
{
	static const struct unit units[] = { { "K", 1 << 10 }, { "M", 1 << 20 }, { "G", 1 << 30 },
		{ NULL, 0 } };
	uint64_t v;
	const char *wrong = parse_with_unit(text, units, 1, &v);

	if (wrong == NULL)
		wrong = check_range(o, v);
	return wrong != NULL ? wrong : put(out, &v, sizeof(v));
}

/* Lines are sold in powers of ten. */
static const char *
parse_rate(const struct option *o, const char *text, void *out)
{
	static const struct unit units[] = { { "k", 1 }, { "M", 1000 }, { "G", 1000000 },
		{ NULL, 0 } };
	uint64_t kbit;
	const char *wrong = parse_with_unit(text, units, 1, &kbit);
	uint32_t v;

	if (wrong == NULL)
		wrong = check_range(o, kbit);
	v = wrong == NULL ? (uint32_t)kbit : 0;
	return wrong != NULL ? wrong : put(out, &v, sizeof(v));
}

static const char *
parse_duration(const struct option *o, const char *text, void *out)
{
	static const struct unit units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 },
		{ "h", 3600000 }, { NULL, 0 } };
	uint64_t ms;
	const char *wrong = parse_with_unit(text, units, o->unit_ms, &ms);
	uint32_t v;

	if (wrong == NULL && ms % o->unit_ms != 0)
		wrong = "it is finer than this option can be";
	if (wrong == NULL)
		wrong = check_range(o, ms / o->unit_ms);
	v = wrong == NULL ? (uint32_t)(ms / o->unit_ms) : 0;
	return wrong != NULL ? wrong : put(out, &v, sizeof(v));
}

static int
choice_index(const struct option *o, const char *text)
{
	for (int i = 0; o->choices[i] != NULL; i++) {
		if (strcmp(o->choices[i], text) == 0)
			return i;
	}
	return -1;
}

static const char *
parse_choice(const struct option *o, const char *text, void *out)
{
	int i = choice_index(o, text);

	return i < 0 ? "it is none of the choices" : put(out, &i, sizeof(i));
}

static const char *
parse_bool(const struct option *o, const char *text, void *out)
{
	int i = choice_index(o, text);
	bool yes = i > 0;

	return i < 0 ? "it is none of the choices" : put(out, &yes, sizeof(yes));
}

static const char *
parse_addr(const struct option *o, const char *text, void *out)
{
	struct addr a;

	(void)o;
	if (addr_parse(text, 0, &a) < 0)
		return "it is not an address";
	if (addr_port(&a) == 0)
		return "its port is missing";
	return put(out, &a, sizeof(a));
}

static const char *
parse_host(const struct option *o, const char *text, void *out)
{
	struct addr a;

	(void)o;
	if (addr_parse_host(text, strlen(text), 0, &a) < 0)
		return "it is not an address";
	if (addr_is_any(&a))
		return "an unspecified address cannot be told to phones";
	return put(out, &a, sizeof(a));
}

static const char *
parse_server(const struct option *o, const char *text, void *out)
{
	struct addr a;

	(void)o;
	if (addr_parse(text, 53, &a) < 0 || addr_is_any(&a) || addr_port(&a) == 0)
		return "it is not the address of a server";
	return put_string(out, text);
}

static const char *
parse_listen(const struct option *o, const char *text, void *out)
{
	struct config_listen l;

	(void)o;
	memset(&l, 0, sizeof(l));
	if (strncasecmp(text, "udp:", 4) == 0)
		l.proto = CONFIG_UDP;
	else if (strncasecmp(text, "tcp:", 4) == 0)
		l.proto = CONFIG_TCP;
	else
		return "it does not begin with udp: or tcp:";
	if (addr_parse(text + 4, 5060, &l.addr) < 0 || addr_port(&l.addr) == 0)
		return "it is not an address";
	if (addr_is_any(&l.addr))
		return "an unspecified address cannot be told to phones";
	return put(out, &l, sizeof(l));
}

static const char *
parse_carrier(const struct option *o, const char *text, void *out)
{
	static const struct {
		const char *prefix;
		enum config_carrier carrier;
	} carriers[] = { { "http:", CONFIG_HTTP }, { "https:", CONFIG_HTTPS },
		{ "udp:", CONFIG_DATAGRAMS } };
	struct config_tunnel_listen l;
	const char *wrong;

	memset(&l, 0, sizeof(l));
	for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++) {
		if (strncasecmp(text, carriers[i].prefix, strlen(carriers[i].prefix)) != 0)
			continue;
		text += strlen(carriers[i].prefix);
		l.carrier = carriers[i].carrier;
		break;
	}
	if (strncmp(text, "//", 2) == 0)
		return "it is a URL, and an address is wanted";
	wrong = parse_addr(o, text, &l.addr);
	return wrong != NULL ? wrong : put(out, &l, sizeof(l));
}

/* RTP takes an even port and RTCP the next one, so one such pair is the least. */
static const char *
parse_ports(const struct option *o, const char *text, void *out)
{
	uint64_t first, last;
	uint16_t ports[2];
	const char *wrong = parse_digits(&text, &first);

	(void)o;
	if (wrong != NULL)
		return wrong;
	if (*text++ != '-')
		return "it is not a range";
	wrong = parse_digits(&text, &last);
	if (wrong != NULL)
		return wrong;
	if (*text != '\0')
		return "it is not a range";
	if (first == 0 || first > 65535 || last > 65535)
		return "a port is out of range";
	if (first > last)
		return "its ends are reversed";
	if ((first + 1) / 2 * 2 + 1 > last)
		return "it has no even port followed by an odd one";
	ports[0] = (uint16_t)first;
	ports[1] = (uint16_t)last;
	return put(out, ports, sizeof(ports));
}

struct url {
	const char *path; /* "" or "/..." */
	bool has_port;
};

/* Parts what is behind the scheme of a URL; what is wrong with it, or NULL. */
static const char *
check_host(const char *host, struct url *out)
{
	const char *end, *colon;
	struct addr a;
	size_t n;

	for (const char *s = host; *s != '\0'; s++) {
		if (!isgraph((unsigned char)*s) || strchr("\"<>\\^`{|}", *s) != NULL)
			return "it has a character that is not allowed";
	}
	if (strpbrk(host, "?#") != NULL)
		return "a query or fragment has no meaning here";
	n = strcspn(host, "/");
	end = host + n;
	if (memchr(host, '@', n) != NULL)
		return "it holds credentials, which do not belong here";
	colon = memrchr(host, ':', n);
	if (colon != NULL && host[0] == '[' && colon[-1] != ']')
		colon = NULL; /* one of an IPv6 literal */
	if (colon != NULL) {
		const char *digits = colon + 1;
		uint64_t port;

		n = (size_t)(colon - host);
		if (parse_digits(&digits, &port) != NULL || digits != end || port == 0 ||
		    port > 65535)
			return "its port is not valid";
	}
	if (host[0] == '[' ? addr_parse_host(host, n, 0, &a) < 0 : !is_host(host, n))
		return "its host is not valid";
	*out = (struct url){ .path = end, .has_port = colon != NULL };
	return NULL;
}

/* An http or https URL; what is wrong with it, or NULL. */
static const char *
check_url(const char *text, struct url *out)
{
	if (strncasecmp(text, "http://", 7) == 0)
		return check_host(text + 7, out);
	if (strncasecmp(text, "https://", 8) == 0)
		return check_host(text + 8, out);
	return "its scheme is neither http nor https";
}

static const char *
parse_url(const struct option *o, const char *text, void *out)
{
	const char *wrong = check_length(o, text);
	struct url url;

	if (wrong == NULL)
		wrong = check_url(text, &url);
	return wrong != NULL ? wrong : put_string(out, text);
}

/* An address of a proxy; what is wrong with it, or NULL. */
static const char *
check_proxy(const char *text)
{
	const char *wrong;
	struct url url;

	if (strncasecmp(text, "socks5://", 9) == 0)
		wrong = check_host(text + 9, &url);
	else
		wrong = check_url(text, &url);
	if (wrong != NULL)
		return wrong;
	if (url.path[0] != '\0' && strcmp(url.path, "/") != 0)
		return "a proxy has no path";
	/* Without one libcurl would take 1080, which nobody expects. */
	return url.has_port ? NULL : "its port is missing";
}

static const char *
parse_proxy(const struct option *o, const char *text, void *out)
{
	const char *wrong = check_length(o, text);
	struct url url;

	if (wrong == NULL && strncasecmp(text, "pac:/", 5) == 0)
		wrong = access(text + 4, R_OK) == 0 ? NULL : strerror(errno);
	else if (wrong == NULL && strncasecmp(text, "pac:", 4) == 0)
		wrong = check_url(text + 4, &url);
	else if (wrong == NULL && strcasecmp(text, "environment") != 0 &&
	    strcasecmp(text, "none") != 0)
		wrong = check_proxy(text);
	return wrong != NULL ? wrong : put_string(out, text);
}

const struct type type_string = { sizeof(char *), parse_string, release_string };
const struct type type_name = { sizeof(char *), parse_name, release_string };
const struct type type_user = { sizeof(char *), parse_user, release_string };
const struct type type_domain = { sizeof(char *), parse_domain, release_string };
const struct type type_file = { sizeof(char *), parse_file, release_string };
const struct type type_url = { sizeof(char *), parse_url, release_string };
const struct type type_proxy = { sizeof(char *), parse_proxy, release_string };
const struct type type_server = { sizeof(char *), parse_server, release_string };
const struct type type_u32 = { sizeof(uint32_t), parse_u32, NULL };
const struct type type_auto_u32 = { sizeof(uint32_t), parse_auto_u32, NULL };
const struct type type_rate = { sizeof(uint32_t), parse_rate, NULL };
const struct type type_bytes = { sizeof(uint64_t), parse_bytes, NULL };
const struct type type_duration = { sizeof(uint32_t), parse_duration, NULL };
const struct type type_choice = { sizeof(int), parse_choice, NULL };
const struct type type_bool = { sizeof(bool), parse_bool, NULL };
const struct type type_addr = { sizeof(struct addr), parse_addr, NULL };
const struct type type_host = { sizeof(struct addr), parse_host, NULL };
const struct type type_listen = { sizeof(struct config_listen), parse_listen, NULL };
const struct type type_carrier = { sizeof(struct config_tunnel_listen), parse_carrier, NULL };
const struct type type_ports = { 2 * sizeof(uint16_t), parse_ports, NULL };
