/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_CONFIG_CONFIG_H
#define VOFW_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "log/log.h"

/*
 * The configuration of both agents, read by libconfuse from declarative tables; const after load.
 * Every string and list is owned by the configuration. Options, defaults and ranges are told in
 * hrac.conf(5), hras.conf(5) and in conf/. A wrong key, value or missing file gives one line on
 * stderr, "FILE:LINE: what is wrong, what was expected", and ERR_MALFORMED.
 */

enum config_proto { CONFIG_UDP, CONFIG_TCP };

struct config_listen { /* "udp:192.0.2.1:5060" */
	enum config_proto proto;
	struct addr addr;
};

enum config_carrier { CONFIG_CARRIER_AUTO, CONFIG_HTTP, CONFIG_HTTPS, CONFIG_DATAGRAMS };

struct config_tunnel_listen {        /* "https:192.0.2.1:443", "udp:192.0.2.1:443" */
	enum config_carrier carrier; /* after load never CONFIG_CARRIER_AUTO */
	struct addr addr;            /* perhaps of all of this host */
};

#define CONFIG_LISTEN_MAX 8
#define CONFIG_URLS_MAX 8
#define CONFIG_DOMAINS_MAX 64
#define CONFIG_DNS_MAX 8

struct config_sip {
	struct config_listen listen[CONFIG_LISTEN_MAX]; /* at least one */
	size_t listen_n;
};

struct config_media {
	struct addr address;         /* port 0; given to phones, and bound */
	uint16_t port_min, port_max; /* RTP takes even ports, RTCP the next odd one */
	uint32_t max_age_ms; /* voice older than this at the sender is dropped; 150, 20..2000 */
	uint32_t timeout_s;  /* HRAS: a call with no media this long is ended; 90, 0 = never */
	uint32_t linger_ms;  /* HRAS: ports rest this long after a call; 2000, 0..60000 */
};

struct config_status {
	struct addr listen; /* not set: no status page */
};

/* Which rungs of the ladder may be used (docs/ARCHITECTURE.md): all, or what is asked for by name. */
enum config_transport {
	CONFIG_AUTO,
	CONFIG_BY_UDP,
	CONFIG_BY_STREAM,
	CONFIG_BY_PROXY,
	CONFIG_BY_POLL,
};

struct config_hrac {
	struct {
		/* "http://host[:port]/" or "https://..."; a path prefix is kept. The best first: those
		 * with the same host are ways to one HRAS, another host is another HRAS. */
		char *urls[CONFIG_URLS_MAX];
		size_t urls_n;
		int transport; /* enum config_transport */
		char *agent;   /* this agent's name at HRAS, 1..64 of [A-Za-z0-9._-] */
		char *secret;  /* the shared secret */
		/* "http://host:port", "https://..." or "socks5://..."; "environment", "none"; "pac:" and
		 * a file, or an http or https URL. NULL = "environment". */
		char *proxy;
		char *proxy_user;            /* NULL = none; also of the file below */
		char *proxy_password;        /* NULL = none; also of the file below */
		char *proxy_credentials;     /* a file of "user:password", NULL = none */
		bool proxy_credentials_open; /* ... which others may read: it is not made use of */
		char *ca;                    /* PEM file, NULL = the system's store */
		char *client_certificate;    /* PEM chain, NULL = none; shown to an https HRAS */
		char *client_key;            /* PEM; with client_certificate */
		bool seal;                /* the tunnel is encrypted, whatever carries it; true */
		unsigned connections_max; /* pairs while calls are up; 192, 1..250 */
		uint64_t rotate_bytes;    /* a GET or POST lives for so many; 64 MiB, 0 = ever */
		uint32_t rotate_age_s;    /* ... and for so long; 600, 0 = ever */
		uint32_t bandwidth_max_kbit; /* of IP traffic each way; 0 = no cap */
	} tunnel;
	struct config_sip sip;
	struct config_media media;
	struct config_status status;
	enum log_level log_level; /* info */
};

struct config_agent {
	char *name;
	char *secret;
	uint32_t bandwidth_max_kbit; /* of its tunnel, each way; 0 = no cap of its own */
};

#define CONFIG_CALLS_AUTO 0 /* calls_max: as many as there is measured room for */

struct config_user {
	char *name; /* the user part of its AOR, in every domain of `domains` */
	char *password;
};

enum config_auth { CONFIG_AUTH_NONE, CONFIG_AUTH_OUTSIDE, CONFIG_AUTH_ALL };
enum config_digest { CONFIG_DIGEST_BOTH, CONFIG_DIGEST_MD5, CONFIG_DIGEST_SHA256 };

struct config_hras {
	char *domains[CONFIG_DOMAINS_MAX]; /* lower case; the first stands for hidden hosts */
	size_t domains_n;
	struct {
		/* No two on one address; at least one is http or https, which needs certificate. */
		struct config_tunnel_listen listen[CONFIG_LISTEN_MAX];
		size_t listen_n;
		char *certificate; /* PEM chain; with key: listeners speak https, if not told */
		char *key;
		char *client_ca;  /* PEM; NULL: agents need no certificate. With it all is https */
		bool seal;        /* agents that would not seal their tunnel are refused; true */
		uint32_t grace_s; /* an agent away so long is gone, its calls end; 30, 5..3600 */
		uint32_t bandwidth_max_kbit; /* of each agent's tunnel, each way; 0 = no cap */
	} tunnel;
	struct
	{ /* what others are told instead of what sockets are bound to; port 0; perhaps not set */
		struct addr sip;   /* for the listeners of its family, of which there is one */
		struct addr media; /* of the family of media.address */
	} advertise;
	struct config_agent *agents; /* in the order of their names */
	size_t agents_n;
	struct config_sip sip;
	struct config_media media;
	struct config_status status;
	enum config_auth auth;     /* outside */
	enum config_digest digest; /* md5 */
	struct config_user *users; /* in the order of their names */
	size_t users_n;
	bool internal_calls_direct; /* internal_calls = direct | relay; direct */
	char *store; /* SQLite file for what outlives a restart; NULL = memory only */
	char *
	    dns_servers[CONFIG_DNS_MAX]; /* "192.0.2.53", perhaps with a port; none: the system's */
	size_t dns_servers_n;
	uint32_t calls_max;         /* CONFIG_CALLS_AUTO, or a number: beyond it 503 */
	uint32_t registrations_max; /* 100000 */
	enum log_level log_level;
};

/* Reads and checks `file`; the caller owns *out. ERR_MALFORMED as told above. */
int config_load_hrac(const char *file, struct config_hrac **out);
int config_load_hras(const char *file, struct config_hras **out);
void config_free_hrac(struct config_hrac *c); /* takes over; wipes secrets; NULL is fine */
void config_free_hras(struct config_hras *c);

/* Logs what is allowed but hardly meant, such as a secret left at "change-me"; for the start. */
void config_warn_hrac(const struct config_hrac *c);
void config_warn_hras(const struct config_hras *c);

/* Of two caps the smaller; 0 is none. */
static inline uint32_t
config_smaller_cap(uint32_t a, uint32_t b)
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

/* What caps the tunnel of agent `a` at HRAS, kbit/s each way: the smaller of its own bandwidth_max
 * and that of the tunnel section; 0 = nothing. `a` may be NULL. */
uint32_t config_bandwidth_max(const struct config_hras *c, const struct config_agent *a);

/* The agent or user of that name (exact), borrowed from c; NULL when there is none. */
const struct config_agent *config_find_agent(const struct config_hras *c, const char *name);
const struct config_user *config_find_user(const struct config_hras *c, const char *name);

#endif
