/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_TUNNEL_H
#define VOFW_TUNNEL_TUNNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "tunnel/handshake.h"

/*
 * One end of one tunnel session (docs/PROTOCOL.md). Pure: no sockets, no HTTP, no clock of its
 * own; bytes in, bytes out. It hides the frames, their numbering, acknowledgement, repetition and
 * ageing, the choice of a stream for each batch, heartbeats, the dead-man timer, the rotation of
 * streams and the number of them.
 *
 * A *stream* is one HTTP body, in one direction: DOWN is the answer to a GET (HRAS writes, HRAC
 * reads), UP is the body of a POST. The HTTP layer (hrac/uplink/uplink.c, hras/gateway/gateway.c) owns the
 * requests, this module owns `struct tunnel_stream`, one for each request, from
 * tunnel_stream_open to tunnel_stream_gone. The side that reads a stream calls tunnel_input with
 * what came; the side that writes calls tunnel_output from its read callback.
 *
 * A *bounded* stream ends after its first burst, for middleboxes that hand bodies on only when they
 * are whole. Nothing is to be requested for one UP before on_wake says that it has something; then
 * tunnel_output gives all of it, up to TUNNEL_OUTPUT_END. One DOWN is a request that waits at the
 * server for its on_wake. Many of them live side by side, each for one round trip or while it waits.
 *
 * Two classes of frames:
 *  reliable  exactly once, in order, across streams, cuts and resumptions; kept until acknowledged;
 *            at most `reliable_max` waiting and none older than 32 s, else the session is broken.
 *  media     delivered at most once, at once, in any order; against losses it may be sent again, as
 *            the line asks for it (enum tunnel_redundancy). Dropped and counted: at the sender when
 *            older than media_max_age_us, or when the line holds no more; at the receiver when a
 *            higher number came 150 ms before.
 *
 * Not thread-safe. Handlers are called from inside tunnel_* calls; they may call tunnel_send_*
 * and nothing else of this tunnel, and never free it.
 */
struct tunnel;
struct tunnel_stream;

enum tunnel_role { TUNNEL_CLIENT /* HRAC */, TUNNEL_SERVER /* HRAS */ };
enum tunnel_dir { TUNNEL_UP, TUNNEL_DOWN };
enum tunnel_state { TUNNEL_CONNECTING, TUNNEL_UP_STATE, TUNNEL_DOWN_STATE };

/* Why a stream ended, or a new one is wanted; counted each. */
enum tunnel_why {
	TUNNEL_WHY_ORDERLY,   /* rotated out or no longer needed; its writer said END */
	TUNNEL_WHY_CUT,       /* the connection failed or was closed under us */
	TUNNEL_WHY_DEAD,      /* silent for dead_us, or hung while others are tried */
	TUNNEL_WHY_MALFORMED, /* it carried what is no frame */
	TUNNEL_WHY_UNSEALED,  /* it carried what the peer has not sealed for it */
	TUNNEL_WHY_REFUSED,   /* HTTP answered something else than 200 */
	TUNNEL_WHY_N
};

struct tunnel_cfg {
	enum tunnel_role role;
	unsigned connections_max;   /* streams a direction while busy; 1..250 */
	uint64_t media_max_age_us;  /* 150 000 */
	uint64_t rotate_bytes;      /* 0 = never */
	uint64_t rotate_age_us;     /* 0 = never */
	uint64_t heartbeat_busy_us; /* 500 000: on each stream silent so long, calls up;
				     * twice to four times that while voice flows */
	uint64_t heartbeat_idle_us; /* 4 100 000: likewise, no call up */
	uint64_t dead_us;           /* 4 900 000: a readable stream silent so long is dead */
	uint64_t bandwidth_max_bps; /* of this end's direction, IP headers included; 0 = no cap */
	uint64_t rekey_bytes;       /* 16 GiB both ways: then the session gets a new key ... */
	uint64_t rekey_age_us;      /* ... and after 3600 000 000; 0 = never */
	unsigned reliable_max;      /* 8192 frames */
	size_t reliable_bytes_max;  /* 8 MiB */
	uint64_t seed;              /* random: of jitter, and of what the peer is not to guess */
};
void tunnel_cfg_default(enum tunnel_role role, struct tunnel_cfg *cfg);

/* Longest payloads: a SIP message of 64 KiB with its flow, and more than a datagram of Ethernet. */
#define TUNNEL_RELIABLE_MAX 66000
#define TUNNEL_MEDIA_MAX 1880

struct tunnel_handlers {
	/* A reliable frame: its type and payload, borrowed until return. */
	void (*on_reliable)(void *arg, uint8_t type, const uint8_t *data, size_t n);
	/* A media frame for `channel`; payload borrowed until return. */
	void (*on_media)(void *arg, uint32_t channel, const uint8_t *data, size_t n);
	/* `s` (written by this end) has bytes again after tunnel_output gave 0: resume its reader. */
	void (*on_wake)(void *arg, struct tunnel_stream *s);
	/*
	 * End the HTTP request of `s` on the next turn of the loop and then call tunnel_stream_gone.
	 * For a stream that this end writes in order, TUNNEL_OUTPUT_END comes instead.
	 */
	void (*on_abort)(void *arg, struct tunnel_stream *s, enum tunnel_why why);
	/*
	 * Client only: open an HTTP request for a new stream; call tunnel_stream_open for it, at once
	 * or on a later turn.
	 */
	void (*on_wanted)(void *arg, enum tunnel_dir dir);
	/* The state changed. UP: each direction has a live stream. */
	void (*on_state)(void *arg, enum tunnel_state state);
	/* The session cannot go on (frames lost for good, refused by the peer): open a new one. */
	void (*on_broken)(void *arg);
	/* A media frame that this end sent on `channel` grew too old to leave. May be NULL. */
	void (*on_late)(void *arg, uint32_t channel);
	/*
	 * Client only: the session's key has served for long enough. Agree upon another (HANDSHAKE_REKEY)
	 * and call tunnel_rekey; it is asked for again after a while. May be NULL.
	 */
	void (*on_rekey)(void *arg);
	/* This datagram is to leave now; borrowed until return. May be NULL: there are none. */
	void (*on_datagram)(void *arg, const uint8_t *data, size_t n);
};

/* Copies cfg, handlers and grant. The caller owns the tunnel. */
struct tunnel *tunnel_new(const struct tunnel_cfg *cfg, const struct tunnel_handlers *h, void *arg,
    const struct tunnel_grant *grant, uint64_t now_us);
void tunnel_free(struct tunnel *t); /* streams not yet gone are forgotten with it */
const struct tunnel_grant *tunnel_grant(const struct tunnel *t); /* its key is the one in use */

/* Server: whether a probe (request.h) is of the session, by the key in use, the next or the last. */
struct probe_request;
bool tunnel_probe_genuine(const struct tunnel *t, const struct probe_request *r);

/*
 * The two ends agreed upon another key (grant->purpose is HANDSHAKE_REKEY, its session this one). The
 * client uses it at once for new streams, and replaces those that there are; the server, which has it
 * first, from the first stream on that comes under it, and goes on to take what comes under the one
 * before for a minute. What the two then seal by is made of the key granted and the one that they had: who
 * knows the secret alone gets no hold of a session. ERR_AUTH, and nothing changes, for another session.
 */
int tunnel_rekey(struct tunnel *t, const struct tunnel_grant *grant, uint64_t now_us);

/* -- Streams -- */

#define TUNNEL_PATH_MAX 128

/*
 * Client: a new stream, whose request is about to be made; `path` gets what follows the
 * configured URL ("vofw/1/down/<session>/<serial>/<mac>"), good for this one request.
 * `user` is handed back by tunnel_stream_user. ERR_FULL beyond the cap, and when the session has
 * no serial left: then it is broken.
 */
int tunnel_stream_open(struct tunnel *t, enum tunnel_dir dir, void *user, uint64_t now_us,
    char path[static TUNNEL_PATH_MAX], struct tunnel_stream **out);

struct tunnel_request { /* a parsed path; plain data */
	enum tunnel_dir dir;
	bool bounded;
	uint64_t session;
	uint32_t serial;
	uint8_t mac[16];
};
/* The part of a request's path from "vofw/1/" on. ERR_MALFORMED. */
int tunnel_request_parse(const char *path, struct tunnel_request *out);

/*
 * Server: a request came. ERR_AUTH when the mac is wrong, ERR_EXISTS when the serial was used
 * before, ERR_FULL beyond the cap of streams.
 */
int tunnel_stream_accept(struct tunnel *t, const struct tunnel_request *r, void *user,
    uint64_t now_us, struct tunnel_stream **out);

void *tunnel_stream_user(const struct tunnel_stream *s);
enum tunnel_dir tunnel_stream_dir(const struct tunnel_stream *s);
bool tunnel_stream_bounded(const struct tunnel_stream *s);
bool tunnel_stream_live(const struct tunnel_stream *s); /* the peer was heard on it, and no END */
uint64_t tunnel_stream_heard_us(const struct tunnel_stream *s); /* last; 0 = never */

/* The HTTP request of `s` is over, for whatever reason; takes over s. Its unacknowledged reliable
 * frames go out on another stream. */
void tunnel_stream_gone(struct tunnel *t, struct tunnel_stream *s, enum tunnel_why why,
    uint64_t now_us);

#define TUNNEL_OUTPUT_END (-1)
/*
 * The next bytes of the body that this end writes: n > 0 bytes put into out (cap >= 2048), 0 =
 * nothing now (pause the reader; on_wake will tell), TUNNEL_OUTPUT_END = the body is over.
 */
long tunnel_output(struct tunnel *t, struct tunnel_stream *s, uint8_t *out, size_t cap,
    uint64_t now_us);

/*
 * Bytes of a body that this end reads, cut anywhere. ERR_MALFORMED: abort the request, then
 * tunnel_stream_gone(TUNNEL_WHY_MALFORMED). ERR_AUTH: likewise, with TUNNEL_WHY_UNSEALED: it is not what
 * the peer sealed as the next batch of this stream.
 */
int tunnel_input(struct tunnel *t, struct tunnel_stream *s, const uint8_t *in, size_t n,
    uint64_t now_us);

/* -- Datagrams: voice beside the streams, while that is the better way -- */

/*
 * There is a way for datagrams: the client asks by it whether it is good. ERR_UNSUPPORTED without
 * on_datagram, or when the session is not sealed. A second start changes nothing.
 */
int tunnel_datagrams_start(struct tunnel *t, uint64_t now_us);
void tunnel_datagrams_restart(struct tunnel *t, uint64_t now_us); /* it is another one now */
/* The session has another key; see datagram_end_rekey. */
void tunnel_datagrams_rekey(struct tunnel *t, const uint8_t key[static CIPHER_KEY_LEN],
    enum cipher_kind kind);

#define TUNNEL_DATAGRAM_NEWEST 1
/*
 * A datagram that came from `from`; `in` is opened where it stands. TUNNEL_DATAGRAM_NEWEST when it is
 * authentic and none newer came before: from now on the peer is to be found there. 0: authentic, but
 * overtaken. ERR_AUTH, ERR_MALFORMED, ERR_EXISTS (a repetition): nothing was changed by it. ERR_STATE:
 * there is no way for datagrams.
 */
int tunnel_datagram_input(struct tunnel *t, uint8_t *in, size_t n, const struct addr *from,
    uint64_t now_us);

/* -- Sending -- */

/*
 * Copies. May be called while no stream is up: the frame waits. ERR_TOO_BIG; ERR_UNSUPPORTED for a
 * type of 0xf0 or more (the tunnel's own). ERR_FULL for a SIP message (CONTROL_SIP) when half of
 * what may wait does (counted): a flood of SIP costs only SIP, which phones repeat. ERR_FULL for any
 * other when all does: then the session is broken, since what comes next makes no sense without it.
 */
int tunnel_send(struct tunnel *t, uint8_t type, const void *data, size_t n, uint64_t now_us);

/* Copies. ERR_TOO_BIG; ERR_DOWN (counted) when there is no stream, no datagrams carry voice, and no
 * request is soon to come: voice does not wait; ERR_FULL (counted) when too much waits for streams that
 * do not move. */
int tunnel_send_media(struct tunnel *t, uint32_t channel, const void *data, size_t n,
    uint64_t now_us);

/* Hands to streams what is to leave now (on_wake); media frames may wait for company until
 * tunnel_deadline. Call it once at the end of every turn of the loop in which something was sent or
 * received. */
void tunnel_flush(struct tunnel *t, uint64_t now_us);

/* -- Time and demand -- */

/* A call is up or being set up, or none is. The peer is told; while either end is busy the heartbeat is
 * fast, and the client has as many streams as the flow asks for, up to connections_max; one pair again
 * 30 s after. */
void tunnel_set_busy(struct tunnel *t, bool busy, uint64_t now_us);

/* The cap of cfg.bandwidth_max_bps is another from now on; 0 = none. */
void tunnel_set_bandwidth_max(struct tunnel *t, uint64_t bps);

/* Does what is due; to be called at or after tunnel_deadline. */
void tunnel_tick(struct tunnel *t, uint64_t now_us);
uint64_t tunnel_deadline(const struct tunnel *t); /* monotonic us; CLOCK_NEVER */

/* Client: streams of this direction are bounded from now on, or no longer. The others are let go when
 * one of the new kind works; until then they carry on. */
void tunnel_set_bounded(struct tunnel *t, enum tunnel_dir dir, bool bounded, uint64_t now_us);

/* Client: nothing comes of this direction though it should. A connection that was used before may
 * hang with the others: a new request had better be made on a fresh one. */
bool tunnel_stalls(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us);

/* Client, the network changed: all streams are suspected dead, back-off starts anew. Those that are
 * there carry on until others work. */
void tunnel_kick(struct tunnel *t, uint64_t now_us);

/* Client: likewise for one stream alone; and the back-off alone. */
void tunnel_stream_replace(struct tunnel *t, struct tunnel_stream *s);
void tunnel_retry(struct tunnel *t, uint64_t now_us);

/* Client: nothing comes of this direction, though something should. */
bool tunnel_silent(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us);

/* -- Facts -- */

struct tunnel_stats {
	uint64_t bytes_sent, bytes_received; /* of the HTTP bodies */
	uint64_t batches_sent, batches_received;
	uint64_t reliable_sent, reliable_resent, reliable_received, reliable_duplicate;
	uint64_t reliable_refused;
	uint64_t media_sent, media_received, media_duplicate;
	uint64_t media_late_dropped, media_down_dropped, media_full_dropped;
	uint64_t media_congested_dropped;
	uint64_t media_resent, media_repeated, parity_sent;        /* redundancy, sent */
	uint64_t media_missed, media_rebuilt, media_stale_dropped; /* received */
	uint64_t media_by_datagram;                                /* of those sent */
	uint64_t media_doubled; /* of these: sent by a stream, too, while datagrams are in doubt */
	uint64_t datagrams_sent, datagrams_received; /* their batches and bytes count above, too */
	uint64_t datagram_bytes_sent, datagram_bytes_received;
	uint64_t datagrams_forged, datagrams_replayed;
	uint64_t datagrams_left_loss, datagrams_left_silent, datagrams_returned;
	uint64_t streams_opened, streams_bounded, streams_rotated, streams_ended[TUNNEL_WHY_N];
	uint64_t malformed;
	uint64_t rekeys; /* keys of the session that came into use after its first */
};
const struct tunnel_stats *tunnel_stats(const struct tunnel *t); /* borrowed while t lives */
enum tunnel_state tunnel_state(const struct tunnel *t);
const char *tunnel_state_str(enum tunnel_state state); /* "connecting", "up", "down" */
uint64_t tunnel_srtt_us(const struct tunnel *t);       /* 0 = not measured yet */
/* Live ones; of bounded ones the requests that are under way. */
unsigned tunnel_streams_n(const struct tunnel *t, enum tunnel_dir dir);

/* How voice is protected against the losses of a direction, by its writer (docs/PROTOCOL.md). */
enum tunnel_redundancy {
	TUNNEL_REDUNDANCY_NONE,
	TUNNEL_REDUNDANCY_RESEND, /* a batch not acknowledged in time goes again on another stream */
	TUNNEL_REDUNDANCY_REPEAT_1, /* a batch also has the frames of the one before it ... */
	TUNNEL_REDUNDANCY_REPEAT_2, /* ... or of the two before it */
	TUNNEL_REDUNDANCY_PARITY_1, /* a sum over each group of batches makes good one of them ... */
	TUNNEL_REDUNDANCY_PARITY_2, /* ... or two sums any two of them */
	TUNNEL_REDUNDANCY_DISTANT,  /* each batch again 40 ms later: misses come in runs */
	TUNNEL_REDUNDANCY_N
};
const char *tunnel_redundancy_str(enum tunnel_redundancy redundancy); /* "none", "resend" ... */

/* One direction of the line as it is now. */
struct tunnel_way {
	unsigned level; /* of loss: 0 none, 1 some, 2 much */
	bool runs;      /* misses come in runs of 20 ms and more */
	double loss; /* share of the media frames that were missed, last 3 s; read direction only */
	bool congested; /* what waits in the line grows, or media was dropped for it */
	enum tunnel_redundancy redundancy;
	bool bounded;            /* they end with each burst */
	unsigned streams;        /* as tunnel_streams_n */
	unsigned streams_wanted; /* as far as this end knows */
};

/*
 * What this end knows of the line: of the direction that it reads by its own meter, of the other one
 * by the reports of the peer.
 */
struct tunnel_line {
	uint64_t srtt_us;         /* of acknowledged voice; 0 = not measured */
	uint64_t min_rtt_us;      /* smallest of the last 60 s; 0 = not measured */
	bool guarded;             /* redundancy is held back: what waits in the line grew */
	struct tunnel_way way[2]; /* by enum tunnel_dir */
};
void tunnel_line(const struct tunnel *t, uint64_t now_us, struct tunnel_line *out);

/* How many pairs of streams, for people. A bounded direction has as many as the moment wants: then the
 * other one counts, and with both the requests that wait at the server. */
unsigned tunnel_line_pairs(const struct tunnel_line *line);

/* The way for datagrams. */
struct tunnel_datagrams {
	const char *state;  /* of our own direction: "unknown", "good", "in doubt", "left", "off" */
	bool good;          /* our voice goes by them */
	bool known;         /* they were answered */
	uint64_t silent_us; /* so long an answer is due; 0 = none is */
	unsigned asked_n;   /* questions without an answer, while they are not */
	double loss[2];     /* by enum tunnel_dir, of the last 2 s or of some span before */
	uint64_t rtt_us;    /* 0 = not measured */
	struct addr mapped; /* client: the address that HRAS sees; may be unset */
	uint64_t keep_us;   /* client: between two questions without a call */
	uint64_t left_n;    /* how often voice went back to the streams ... */
	const char *why;    /* ... and why the last time: "loss", "silence"; "" = never */
};
/* false: there is none. */
bool tunnel_datagrams(const struct tunnel *t, uint64_t now_us, struct tunnel_datagrams *out);

/* Full jitter: a wait of 0 .. min(cap_us, base_us << attempt), uniformly; advances *seed. */
uint64_t tunnel_backoff_us(unsigned attempt, uint64_t base_us, uint64_t cap_us, uint64_t *seed);

#endif
