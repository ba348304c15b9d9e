/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_BASE_ADDR_H
#define VOFW_BASE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * An IPv4 or IPv6 address with a port: a value, freely copied. All zero (`addr_is_set` false)
 * means "none". Names are never resolved here. IPv4-mapped IPv6 addresses are stored as IPv4.
 */
struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} u;
};

#define ADDR_HOST_MAX 64 /* longest "2001:db8::1%eth0" with its NUL */
#define ADDR_STR_MAX 80  /* longest "[2001:db8::1]:65535" with its NUL */

/*
 * Parses "192.0.2.1:5060", "[2001:db8::1]:5060", or a bare address ("192.0.2.1",
 * "2001:db8::1", "[2001:db8::1]") whose port becomes `default_port`.
 * ERR_MALFORMED when `s` is anything else, a host name included.
 */
int addr_parse(const char *s, uint16_t default_port, struct addr *out);

/* Likewise the last of a list with commas, as X-Forwarded-For has it; blanks around it are fine. */
int addr_parse_last(const char *list, uint16_t default_port, struct addr *out);

/* Parses a host literal without port (brackets allowed) of n bytes, NUL not needed. */
int addr_parse_host(const char *host, size_t n, uint16_t port, struct addr *out);

void addr_from_sockaddr(const struct sockaddr *sa, struct addr *out);
bool addr_is_set(const struct addr *a);
bool addr_is_v6(const struct addr *a);
bool addr_is_any(const struct addr *a); /* 0.0.0.0 or :: */
bool addr_is_loopback(const struct addr *a);
bool addr_is_private(const struct addr *a); /* RFC 1918, RFC 6598, RFC 4193, link-local, loopback */
socklen_t addr_len(const struct addr *a);   /* for bind(2), sendto(2) */
uint16_t addr_port(const struct addr *a);   /* host byte order */
void addr_set_port(struct addr *a, uint16_t port);
bool addr_equal(const struct addr *a, const struct addr *b);     /* address and port */
bool addr_same_host(const struct addr *a, const struct addr *b); /* address only */
uint32_t addr_hash(const struct addr *a);                        /* of address and port */

/* "192.0.2.1:5060" / "[2001:db8::1]:5060", "-" when not set, into buf; returns buf. */
const char *addr_str(const struct addr *a, char buf[static ADDR_STR_MAX]);

/* The address without port and brackets ("2001:db8::1") into buf; returns buf. */
const char *addr_host(const struct addr *a, char buf[static ADDR_HOST_MAX]);

#endif
