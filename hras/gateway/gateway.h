/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAS_GATEWAY_H
#define VOFW_HRAS_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/metric.h"
#include "hras/gateway/tls.h"
#include "tunnel/tunnel.h"

/*
 * The outside end of the tunnel's HTTP: where HRACs come in. It hides libmicrohttpd, TLS, the
 * routes of docs/PROTOCOL.md, the handshakes and which request belongs to which session of which
 * agent. There is one session for each agent: a new handshake of the same agent replaces the old.
 *
 * An *agent* here is one name of the configuration whose HRAC has proved the secret. It exists from
 * its first on_session until on_gone, across any number of sessions and connections.
 *
 * What strangers can do is capped: a connection that carries no stream of a proved agent lives
 * GATEWAY_PENDING_S seconds at most whatever it sends, at most GATEWAY_PENDING_MAX of them live at
 * a time on one address (the oldest goes first), and an open request is at most HANDSHAKE_BODY_MAX
 * bytes. Connections between two bounded streams of an agent are counted apart (GATEWAY_RESTING_*).
 *
 * One thread, on the given event base. SIGPIPE must be ignored by the process. Handlers may call
 * every gateway_send*, gateway_flush and getter, but never gateway_free.
 */
struct gateway;
struct gateway_agent;
struct event_base;

#define GATEWAY_LISTEN_MAX 8
#define GATEWAY_PENDING_S 10
#define GATEWAY_PENDING_MAX 1024 /* a few agents on bad lines come back with 192 pairs each */
#define GATEWAY_RESTING_S 75     /* between two bounded streams; proxies keep theirs for 60 s */
#define GATEWAY_RESTING_MAX 4096 /* of these the oldest goes first, too */

struct gateway_listen {
	struct addr addr; /* port 0 = any free one, see gateway_addr */
	bool tls;         /* https, by gateway_config.tls */
};

struct gateway_config { /* all is copied */
	struct gateway_listen listen[GATEWAY_LISTEN_MAX];
	size_t listen_n;
	struct addr datagrams[GATEWAY_LISTEN_MAX]; /* where they are taken */
	size_t datagrams_n;
	/*
	 * Behind a NAT that has an address for ours alone: agents that are to send datagrams to
	 * private_host are told told_host instead; not set = there is none. The port is not looked at.
	 */
	struct addr private_host, told_host;
	struct gateway_tls_files tls; /* for those that are https */
	uint32_t grace_s;             /* an agent away this long is gone; 0 = 30 */
	unsigned connections_max;     /* streams a direction that an agent is asked for; 0 = 192 */
	uint32_t media_max_age_ms;    /* 0 = the tunnel's default */
	bool unsealed;                /* agents that offer no cipher are taken, too */
	uint64_t rotate_bytes;        /* of the streams down; 0 = never */
	uint32_t rotate_age_s;        /* 0 = never */
	uint32_t pending_s;           /* 0 = GATEWAY_PENDING_S */
};

struct gateway_handlers { /* each but `secret` may be NULL; payloads are borrowed until return */
	/* The secret of an agent, borrowed until the next turn of the loop; NULL when unknown. */
	const char *(*secret)(void *arg, const char *agent);
	/*
	 * A session was agreed upon. `fresh`: this HRAC holds nothing of what HRAS taught it before (it
	 * is new, or restarted). Reliable frames of an older session not yet acknowledged are lost.
	 */
	void (*on_session)(void *arg, struct gateway_agent *a, bool fresh);
	/* As in tunnel.h. */
	void (*on_reliable)(void *arg, struct gateway_agent *a, uint8_t type, const uint8_t *data,
	    size_t n);
	void (*on_media)(void *arg, struct gateway_agent *a, uint32_t channel, const uint8_t *data,
	    size_t n);
	void (*on_late)(void *arg, struct gateway_agent *a, uint32_t channel);
	void (*on_state)(void *arg, struct gateway_agent *a, enum tunnel_state state);
	/*
	 * Away for longer than the grace, or no longer in the configuration. Nothing can be sent to it
	 * any more; `a` ends on return.
	 */
	void (*on_gone)(void *arg, struct gateway_agent *a);
};

/*
 * Listens on all addresses or on none. Copies config and handlers; `base` is borrowed while the
 * gateway lives. ERR_IN_USE, ERR_IO for an address that cannot be listened on, ERR_MALFORMED for a
 * certificate or key that cannot be used; each is logged with its reason.
 */
int gateway_new(struct event_base *base, const struct gateway_config *config,
    const struct gateway_handlers *handlers, void *arg, struct gateway **out);

/* Closes all connections; on_gone is not called. Takes over; NULL is fine. */
void gateway_free(struct gateway *g);

/* The address of listener i < listen_n, with the real port; before any gateway_reload. */
struct addr gateway_addr(const struct gateway *g, size_t i);

/*
 * Of the configuration: listens on the addresses that it has now, and reads the files of TLS again.
 * Addresses that are gone take no new connection; connections that are up live on, on whatever address
 * and with whatever certificate they came. But when agents must show certificates that none had to show
 * before, or those of another authority, all sessions and connections end, and who may comes again by
 * himself. On error (as gateway_new, logged) what can be used is, and the certificate in use stays.
 */
int gateway_reload(struct gateway *g, const struct gateway_config *config);

/* When the certificate (the first of its chain) ends, seconds since 1970; 0 = no https. */
uint64_t gateway_certificate_expires_s(const struct gateway *g);

/* The configuration changed: agents whose secret is now NULL or another are gone. */
void gateway_recheck(struct gateway *g);

/* Where the agent of a session can send datagrams to; false: there are none. */
bool gateway_datagram_address(const struct gateway_agent *a, struct addr *out);

/* -- Agents -- */

const char *gateway_agent_name(const struct gateway_agent *a);
void gateway_agent_set_user(struct gateway_agent *a, void *user);
void *gateway_agent_user(const struct gateway_agent *a);                       /* NULL at first */
struct gateway_agent *gateway_agent_find(struct gateway *g, const char *name); /* NULL = none */

/* As tunnel_send, tunnel_send_media, tunnel_set_busy; busy holds across sessions. */
int gateway_send(struct gateway_agent *a, uint8_t type, const void *data, size_t n);
int gateway_send_media(struct gateway_agent *a, uint32_t channel, const void *data, size_t n);
void gateway_set_busy(struct gateway_agent *a, bool busy);
/* What its tunnel may carry down, kbit/s of IP traffic; 0 = no cap. Holds across sessions. */
void gateway_set_bandwidth_max(struct gateway_agent *a, uint32_t kbit);

/*
 * Sends what was given to any agent since the last call. Once at the end of every turn of the loop
 * in which something was sent; not needed in handlers, for whose turn the gateway does it itself.
 */
void gateway_flush(struct gateway *g);

/* -- Facts -- */

/* For the status page. Strings are borrowed until the next turn of the loop. */
struct gateway_facts {
	const char *agent;
	enum tunnel_state state;
	const char *transport;      /* "http", "https", "http via proxy", "https via proxy" */
	struct addr peer;           /* whence its last connection came */
	struct addr forwarded;      /* for whom, as a proxy says, without a port; perhaps not set */
	const char *last_error;     /* why its last stream ended unasked, "" = never */
	uint64_t last_error_wall_s; /* 0 = never */
	uint64_t since_wall_s;      /* when the present state began */
	unsigned up_n, down_n;      /* live streams of each direction */
	uint64_t srtt_us;           /* 0 = not measured yet */
	uint64_t session;
	const char *cipher;                  /* by which it is sealed; NULL = there is none */
	uint64_t bytes_sent, bytes_received; /* of the HTTP bodies of this session */
	uint64_t reconnects;                 /* sessions after the first */
	struct tunnel_datagrams datagrams;   /* state NULL without a session */
	struct addr datagrams_from;          /* whence the newest came; may be unset */
	struct tunnel_line line;             /* all 0 without a session */
	const struct tunnel_stats *stats;    /* of this session; NULL = there is none */
};
void gateway_agent_facts(const struct gateway_agent *a, struct gateway_facts *out);

/* The tunnel of its session, for its facts (tunnel_stats, tunnel_line); NULL = there is none now.
 * Borrowed until the next turn of the loop. */
const struct tunnel *gateway_agent_tunnel(const struct gateway_agent *a);

/*
 * Counters of the gateway and of all sessions together; brought up to date by this call and once
 * a second. Borrowed while the gateway lives.
 */
struct metric_set gateway_metrics(struct gateway *g);

#endif
