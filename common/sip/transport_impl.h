/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_TRANSPORT_IMPL_H
#define VOFW_SIP_TRANSPORT_IMPL_H

#include <event2/event.h>
#include <sys/queue.h>
#include <uthash.h>

#include "base/buf.h"
#include "base/err.h"
#include "sip/transport.h"

/*
 * What the files of the transport share: transport.c (listeners, who sends), transport_udp.c,
 * transport_tcp.c (connections), transport_table.c (the tables of connections). Nobody else
 * includes it.
 */
#define DSCP_AF31 (26 << 2)
#define UDP_BATCH 16
#define UDP_PAYLOAD_MAX 65507
#define DATAGRAM_MAX 65536
#define ACCEPT_BATCH 16
#define OUT_MAX (256 * 1024)
#define IN_STEP 16384
#define IN_MAX (SIP_MSG_MAX + IN_STEP)

struct listener {
	struct sip_transport *t;
	uint8_t index;
	struct sip_listener l;
	int fd;
	struct event *readable;
	struct event *resume; /* TCP: accepting goes on after a pause */
};

/* A message on its way out of a connection, or one that failed and is to be reported. */
struct outgoing {
	STAILQ_ENTRY(outgoing) next;
	struct sip_flow flow;
	uint64_t tag;
	uint64_t end; /* connection: it is written when so many bytes of the stream are */
	int err;
};
STAILQ_HEAD(outgoing_list, outgoing);

struct host { /* counts the connections of one address */
	uint8_t key[16];
	unsigned conns_n;
	UT_hash_handle hh;
};

struct peer_key {
	uint8_t host[16];
	uint32_t port;
};

struct conn {
	struct sip_transport *t;
	struct sip_flow flow; /* flow.conn is its number */
	int fd;
	bool connecting, accepted, spoke; /* spoke: a whole message came */
	bool partial;                     /* a message has begun and is not whole */
	bool closed;                      /* out of the tables, waits for the reaper */
	int err;                          /* why: for what could not be sent */
	struct event *readable, *writable, *deadline;
	uint64_t began_us, partial_us, active_us;
	struct buf in, out;
	uint64_t queued, written; /* bytes of the outgoing stream, since ever */
	struct outgoing_list waiting;
	struct host *host;
	bool in_by_peer;
	struct peer_key peer_key;
	struct conn *next_closed;
	UT_hash_handle hh_number, hh_peer;
};

struct transport_counters {
	uint64_t sip_datagrams_received, sip_datagrams_sent, sip_datagrams_dropped;
	uint64_t sip_stun_dropped, sip_keepalives_received;
	uint64_t sip_stream_messages_received, sip_stream_messages_sent;
	uint64_t sip_conns_accepted, sip_conns_opened, sip_conns_refused, sip_conns_malformed,
	    sip_conns_timed_out, sip_accept_pauses;
	uint64_t sip_sends_failed;
	uint64_t sip_conns; /* gauge */
};

struct sip_transport {
	struct event_base *base;
	struct sip_transport_handlers h;
	void *arg;
	struct listener listeners[SIP_LISTEN_MAX];
	size_t listeners_n;
	uint64_t last_conn;
	struct conn *by_number, *by_peer;
	struct host *hosts;
	struct conn *closed;
	struct outgoing_list failed; /* to be told by the reaper */
	struct event *reaper;
	uint8_t *datagrams; /* UDP_BATCH * DATAGRAM_MAX */
	uint64_t connect_us, speak_us, idle_us;
	struct transport_counters n;
};

/* -- transport.c -- */

/* The listener to use for a flow: the one it names if that fits, else the first that does; NULL. */
struct listener *transport_listener_for(struct sip_transport *t, const struct sip_flow *flow);
/* on_failed in the next turn of the loop. */
void transport_fail_later(struct sip_transport *t, const struct sip_flow *flow, uint64_t tag,
    int err);
void transport_mark_af31(int fd, const struct addr *a);

/* -- transport_table.c -- */

void transport_conn_add(struct sip_transport *t, struct conn *c);
void transport_conn_del(struct conn *c);
struct conn *transport_conn_find(struct sip_transport *t, uint64_t number);
struct conn *transport_conn_find_peer(struct sip_transport *t, const struct addr *peer);
/* Whether one more connection with this host may be. */
bool transport_conn_fits(struct sip_transport *t, const struct addr *peer);

/* -- transport_udp.c -- */

void transport_udp_on_readable(int fd, short what, void *listener);
int transport_udp_send(struct listener *l, const struct addr *to, const char *data, size_t n);

/* -- transport_tcp.c -- */

void transport_tcp_on_acceptable(int fd, short what, void *listener);
void transport_tcp_send(struct sip_transport *t, const struct sip_flow *flow, uint64_t tag,
    const char *data, size_t n);
void transport_tcp_reap(struct sip_transport *t); /* tells and frees what was closed */
void transport_tcp_free_all(struct sip_transport *t);

#endif
