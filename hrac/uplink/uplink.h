/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_H
#define VOFW_HRAC_UPLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"
#include "tunnel/tunnel.h"

/*
 * The inside end of the tunnel's HTTP: HRAC's way to HRAS. It hides libcurl (nobody else in HRAC
 * uses it), the handshake, the GET and POST requests that carry the tunnel's streams, the way
 * through an HTTP proxy, TLS, and everything about losing and regaining the link: it never gives
 * up, waits between attempts with full jitter, and says the cause of a failure in one line of the
 * log when the cause changes, not at every attempt.
 *
 * A session outlives its connections. When HRAS no longer knows the session (it restarted, or we
 * were away too long) a new one is opened and `on_session` tells; what was sent reliably in the
 * old session and not yet acknowledged is lost with it.
 *
 * One thread, on the given event base, which must not be looped with EVLOOP_* tricks from inside a
 * handler. SIGPIPE must be ignored by the process. Handlers may call every uplink_send*,
 * uplink_flush and getter, but never uplink_free.
 */
struct uplink;
struct event_base;

#define UPLINK_URLS_MAX 8

struct uplink_config { /* all strings are copied */
	/* "http://host[:port]/prefix/" or "https://...", the best first; NULL behind the last. Those
	 * with the same host are ways to one HRAS, another host is another HRAS. */
	const char *urls[UPLINK_URLS_MAX + 1];
	int transport;              /* enum config_transport */
	const char *agent;          /* our name at HRAS, at most HANDSHAKE_AGENT_MAX bytes */
	const char *secret;         /* at most 255 bytes */
	const char *proxy;          /* as the option of proxy.h; NULL = what the environment says */
	const char *proxy_user;     /* NULL = none */
	const char *proxy_password; /* NULL = none */
	const char *ca;             /* PEM file that alone is trusted; NULL = the system's store */
	const char *client_certificate, *client_key; /* PEM files, shown to HRAS; NULL = none */
	unsigned
	    connections_max;  /* streams a direction while busy; 1..250; 0 = the tunnel's default */
	bool unsealed;        /* offers no cipher */
	uint64_t rekey_bytes; /* 0 = the tunnel's default */
	uint32_t rekey_age_s; /* 0 = the tunnel's default */
	uint64_t rotate_bytes;     /* 0 = never */
	uint32_t rotate_age_s;     /* 0 = never */
	uint32_t media_max_age_ms; /* 0 = the tunnel's default */
};

struct uplink_handlers { /* each may be NULL; payloads are borrowed until return */
	/* As in tunnel.h. */
	void (*on_reliable)(void *arg, uint8_t type, const uint8_t *data, size_t n);
	void (*on_media)(void *arg, uint32_t channel, const uint8_t *data, size_t n);
	void (*on_late)(void *arg, uint32_t channel);
	/* The tunnel's state changed. */
	void (*on_state)(void *arg, enum tunnel_state state);
	/*
	 * A session was agreed upon: the first one, or one that replaces another. `restarted`: HRAS is
	 * not the process that we talked to before (true for the first). Reliable frames may be sent.
	 */
	void (*on_session)(void *arg, const struct tunnel_grant *grant, bool restarted);
};

/*
 * Starts connecting at the next turn of `base` (borrowed while the uplink lives). Copies config and
 * handlers. ERR_MALFORMED when the url is no http or https URL, ERR_TOO_BIG when the agent's name
 * or the secret is too long, ERR_IO when libcurl cannot start; all are logged.
 */
int uplink_new(struct event_base *base, const struct uplink_config *config,
    const struct uplink_handlers *handlers, void *arg, struct uplink **out);

/* Closes all connections. Takes over; NULL is fine. */
void uplink_free(struct uplink *u);

/* As tunnel_send and tunnel_send_media; ERR_DOWN while no session was agreed upon yet. */
int uplink_send(struct uplink *u, uint8_t type, const void *data, size_t n);
int uplink_send_media(struct uplink *u, uint32_t channel, const void *data, size_t n);

/*
 * Sends what was given since the last call. Once at the end of every turn of the loop in which
 * something was sent; not needed in handlers, for whose turn the uplink does it itself.
 */
void uplink_flush(struct uplink *u);

/* HRAS of this session takes datagrams there: they are tried, if the configuration lets us. */
void uplink_offer_datagrams(struct uplink *u, const struct addr *address);

/* A call is up or being set up: see tunnel_set_busy. Holds across sessions. */
void uplink_set_busy(struct uplink *u, bool busy);

/* What the tunnel may carry up, kbit/s of IP traffic; 0 = no cap. Holds across sessions. */
void uplink_set_bandwidth_max(struct uplink *u, uint32_t kbit);

#define UPLINK_TEXT_MAX 256
#define UPLINK_REFUSED_MAX 16
#define UPLINK_TRANSPORT_MAX 64

#define UPLINK_CAUSES_MAX 16

struct uplink_reconnect { /* why streams, routes or sessions had to be made anew, and how often */
	const char *cause;
	uint64_t n;
};

struct uplink_refused { /* a better route than the one in use */
	const char *route, *why;
	uint64_t wall_s; /* when it was asked last */
};

/* The network of this machine has changed, or (`slept`) it has slept: connections that cannot live any
 * more are replaced at once, what failed is tried anew. */
void uplink_shaken(struct uplink *u, bool slept);

/* For the status page. Strings are borrowed until the next turn of the loop. */
struct uplink_facts {
	enum tunnel_state state;
	/* "http", "https", "http via proxy", "https via proxy"; behind it ", polled up" and the like. */
	char transport[UPLINK_TRANSPORT_MAX];
	const char *route; /* "https://host/" and perhaps " via http://proxy:3128" */
	const char *rung;  /* "udp", "stream", "proxy", "poll"; NULL = none yet */
	struct uplink_refused refused[UPLINK_REFUSED_MAX];
	size_t refused_n;
	struct uplink_reconnect
	    causes[UPLINK_CAUSES_MAX]; /* since the start; those that happened */
	size_t causes_n;
	const char *peer;       /* "192.0.2.1:80" of the last connection (the proxy's), or "-" */
	const char *last_error; /* why the link failed last, in plain words; "" = never */
	uint64_t last_error_wall_s;          /* 0 = never */
	uint64_t since_wall_s;               /* when the present state began */
	unsigned up_n, down_n;               /* live streams of each direction */
	uint64_t srtt_us;                    /* 0 = not measured yet */
	uint64_t session;                    /* 0 = none */
	const char *cipher;                  /* by which it is sealed; NULL = there is none */
	uint64_t bytes_sent, bytes_received; /* of the HTTP bodies of this session */
	uint64_t reconnects;                 /* sessions after the first */
	struct tunnel_datagrams datagrams;   /* state NULL without a session */
	struct addr datagrams_to;            /* may be unset */
	struct tunnel_line line;             /* all 0 without a session */
	const struct tunnel_stats *stats;    /* of this session; NULL = there is none */
};
void uplink_facts(const struct uplink *u, struct uplink_facts *out);

/* The tunnel of its session, for its facts (tunnel_stats, tunnel_line); NULL = there is none now.
 * Borrowed until the next turn of the loop. */
const struct tunnel *uplink_tunnel(const struct uplink *u);

/*
 * Counters of the uplink and of all its sessions together, for the status page; the values are
 * brought up to date by this call and once a second. Borrowed while the uplink lives.
 */
struct metric_set uplink_metrics(struct uplink *u);

#endif
