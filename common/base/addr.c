/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"

static void
set_v4(struct addr *a, uint32_t host_be, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	a->u.in4.sin_family = AF_INET;
	a->u.in4.sin_addr.s_addr = host_be;
	a->u.in4.sin_port = htons(port);
}

static void
set_v6(struct addr *a, const struct in6_addr *host, uint32_t scope, uint16_t port)
{
	uint32_t v4;

	if (IN6_IS_ADDR_V4MAPPED(host)) {
		memcpy(&v4, host->s6_addr + 12, sizeof(v4));
		set_v4(a, v4, port);
		return;
	}
	memset(a, 0, sizeof(*a));
	a->u.in6.sin6_family = AF_INET6;
	a->u.in6.sin6_addr = *host;
	a->u.in6.sin6_scope_id = scope;
	a->u.in6.sin6_port = htons(port);
}

/* Decimal digits only, no sign, no space: strtoul is too friendly for the network. */
static int
parse_number(const char *s, size_t n, uint32_t max, uint32_t *out)
{
	uint64_t v = 0;

	if (n == 0 || n > 10)
		return ERR_MALFORMED;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return ERR_MALFORMED;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	if (v > max)
		return ERR_MALFORMED;
	*out = (uint32_t)v;
	return 0;
}

static int
parse_scope(const char *zone, uint32_t *out)
{
	if (parse_number(zone, strlen(zone), UINT32_MAX, out) == 0 && *out != 0)
		return 0;
	*out = if_nametoindex(zone);
	return *out != 0 ? 0 : ERR_MALFORMED;
}

int
addr_parse_host(const char *host, size_t n, uint16_t port, struct addr *out)
{
	char text[ADDR_HOST_MAX], *zone;
	bool brackets = n >= 2 && host[0] == '[' && host[n - 1] == ']';
	struct in6_addr v6;
	struct in_addr v4;
	uint32_t scope = 0;

	if (brackets) {
		host++;
		n -= 2;
	}
	if (n == 0 || n >= sizeof(text) || memchr(host, '\0', n) != NULL)
		return ERR_MALFORMED;
	memcpy(text, host, n);
	text[n] = '\0';

	if (!brackets && inet_pton(AF_INET, text, &v4) == 1) {
		set_v4(out, v4.s_addr, port);
		return 0;
	}
	zone = strchr(text, '%');
	if (zone != NULL)
		*zone++ = '\0';
	if (inet_pton(AF_INET6, text, &v6) != 1)
		return ERR_MALFORMED;
	if (zone != NULL && parse_scope(zone, &scope) < 0)
		return ERR_MALFORMED;
	set_v6(out, &v6, scope, port);
	return 0;
}

int
addr_parse(const char *s, uint16_t default_port, struct addr *out)
{
	size_t n = strlen(s), host_n = n;
	const char *colon = strrchr(s, ':');
	uint32_t port = default_port;

	/* One colon, or one right behind the bracket, parts the port; more make a bare IPv6. */
	if (colon != NULL && (strchr(s, ':') == colon || (s[0] == '[' && colon[-1] == ']'))) {
		host_n = (size_t)(colon - s);
		if (n - host_n > 6 || parse_number(colon + 1, n - host_n - 1, 65535, &port) < 0)
			return ERR_MALFORMED;
	}
	return addr_parse_host(s, host_n, (uint16_t)port, out);
}

int
addr_parse_last(const char *list, uint16_t default_port, struct addr *out)
{
	static const char blanks[] = " \t";
	const char *comma = strrchr(list, ',');
	const char *begin = comma == NULL ? list : comma + 1;
	char text[ADDR_STR_MAX];
	size_t n;

	begin += strspn(begin, blanks);
	n = strcspn(begin, blanks);
	if (n >= sizeof(text) || begin[n + strspn(begin + n, blanks)] != '\0')
		return ERR_MALFORMED;
	memcpy(text, begin, n);
	text[n] = '\0';
	return addr_parse(text, default_port, out);
}

void
addr_from_sockaddr(const struct sockaddr *sa, struct addr *out)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in4;

	/* The bytes of a sockaddr_storage are copied out: the cast alone would break aliasing. */
	switch (sa->sa_family) {
	case AF_INET:
		memcpy(&in4, sa, sizeof(in4));
		set_v4(out, in4.sin_addr.s_addr, ntohs(in4.sin_port));
		break;
	case AF_INET6:
		memcpy(&in6, sa, sizeof(in6));
		set_v6(out, &in6.sin6_addr, in6.sin6_scope_id, ntohs(in6.sin6_port));
		break;
	default:
		memset(out, 0, sizeof(*out));
	}
}

bool
addr_is_set(const struct addr *a)
{
	return a->u.sa.sa_family != AF_UNSPEC;
}

bool
addr_is_v6(const struct addr *a)
{
	return a->u.sa.sa_family == AF_INET6;
}

bool
addr_is_any(const struct addr *a)
{
	if (addr_is_v6(a))
		return IN6_IS_ADDR_UNSPECIFIED(&a->u.in6.sin6_addr);
	return addr_is_set(a) && a->u.in4.sin_addr.s_addr == htonl(INADDR_ANY);
}

static bool
v4_within(const struct addr *a, uint32_t net, unsigned prefix_len)
{
	uint32_t host = ntohl(a->u.in4.sin_addr.s_addr);

	return (host ^ net) >> (32 - prefix_len) == 0;
}

bool
addr_is_loopback(const struct addr *a)
{
	if (addr_is_v6(a))
		return IN6_IS_ADDR_LOOPBACK(&a->u.in6.sin6_addr);
	return addr_is_set(a) && v4_within(a, 0x7f000000, 8);
}

bool
addr_is_private(const struct addr *a)
{
	if (addr_is_v6(a)) {
		const struct in6_addr *v6 = &a->u.in6.sin6_addr;

		return IN6_IS_ADDR_LOOPBACK(v6) || IN6_IS_ADDR_LINKLOCAL(v6) ||
		    (v6->s6_addr[0] & 0xfe) == 0xfc;
	}
	return addr_is_set(a) &&
	    (v4_within(a, 0x0a000000, 8) || v4_within(a, 0xac100000, 12) ||
		v4_within(a, 0xc0a80000, 16) || v4_within(a, 0x64400000, 10) ||
		v4_within(a, 0xa9fe0000, 16) || v4_within(a, 0x7f000000, 8));
}

socklen_t
addr_len(const struct addr *a)
{
	return addr_is_v6(a) ? sizeof(a->u.in6) : sizeof(a->u.in4);
}

uint16_t
addr_port(const struct addr *a)
{
	if (!addr_is_set(a))
		return 0;
	return ntohs(addr_is_v6(a) ? a->u.in6.sin6_port : a->u.in4.sin_port);
}

void
addr_set_port(struct addr *a, uint16_t port)
{
	if (addr_is_v6(a))
		a->u.in6.sin6_port = htons(port);
	else
		a->u.in4.sin_port = htons(port);
}

bool
addr_same_host(const struct addr *a, const struct addr *b)
{
	if (a->u.sa.sa_family != b->u.sa.sa_family)
		return false;
	if (addr_is_v6(a))
		return IN6_ARE_ADDR_EQUAL(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr) &&
		    a->u.in6.sin6_scope_id == b->u.in6.sin6_scope_id;
	return a->u.in4.sin_addr.s_addr == b->u.in4.sin_addr.s_addr;
}

bool
addr_equal(const struct addr *a, const struct addr *b)
{
	return addr_same_host(a, b) && addr_port(a) == addr_port(b);
}

/* A stranger chooses the addresses we hash, so he must not be able to foresee the buckets. */
static uint64_t
hash_seed(void)
{
	static uint64_t seed;

	if (seed == 0 && getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = 0x9e3779b97f4a7c15;
	return seed |= 1;
}

static uint64_t
hash_mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0xff51afd7ed558ccd;
	return h ^ h >> 32;
}

uint32_t
addr_hash(const struct addr *a)
{
	uint64_t h = hash_mix(hash_seed(), addr_port(a)), part[2];

	if (addr_is_v6(a)) {
		memcpy(part, a->u.in6.sin6_addr.s6_addr, sizeof(part));
		h = hash_mix(hash_mix(h, part[0]), part[1]);
	} else {
		h = hash_mix(h, a->u.in4.sin_addr.s_addr);
	}
	return (uint32_t)hash_mix(h, 0);
}

const char *
addr_host(const struct addr *a, char buf[static ADDR_HOST_MAX])
{
	char zone[IF_NAMESIZE];
	uint32_t scope;
	size_t n;

	if (!addr_is_set(a))
		return strcpy(buf, "-");
	if (!addr_is_v6(a))
		return inet_ntop(AF_INET, &a->u.in4.sin_addr, buf, ADDR_HOST_MAX);
	inet_ntop(AF_INET6, &a->u.in6.sin6_addr, buf, ADDR_HOST_MAX);
	scope = a->u.in6.sin6_scope_id;
	if (scope != 0) {
		n = strlen(buf);
		if (if_indextoname(scope, zone) != NULL)
			snprintf(buf + n, ADDR_HOST_MAX - n, "%%%s", zone);
		else
			snprintf(buf + n, ADDR_HOST_MAX - n, "%%%u", (unsigned)scope);
	}
	return buf;
}

const char *
addr_str(const struct addr *a, char buf[static ADDR_STR_MAX])
{
	char host[ADDR_HOST_MAX];

	if (!addr_is_set(a))
		return strcpy(buf, "-");
	snprintf(buf, ADDR_STR_MAX, addr_is_v6(a) ? "[%s]:%u" : "%s:%u", addr_host(a, host),
	    (unsigned)addr_port(a));
	return buf;
}
