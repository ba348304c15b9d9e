/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_IMPL_H
#define VOFW_TUNNEL_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "tunnel/cipher.h"
#include "tunnel/frame.h"
#include "tunnel/guard.h"
#include "tunnel/meter.h"
#include "tunnel/parity.h"
#include "tunnel/recover.h"
#include "tunnel/reliable.h"
#include "tunnel/request.h"
#include "tunnel/sched.h"
#include "tunnel/tunnel.h"

/*
 * What the files of the tunnel share and nobody else sees: tunnel.c (life, sending, facts),
 * stream.c (life of the streams), flush.c (from the frames to batches and their streams),
 * redundancy.c (what is sent besides, against losses), output.c (from the batches to the bytes),
 * input.c (from the bytes to the handlers), datapath.c (voice in datagrams), duty.c (all that happens
 * because time passes), demand.c (how many streams are wanted, and which the client lets go), poll.c
 * (what is different with streams that end with their first burst), rekey.c (the keys of the session).
 */

#define STREAMS_MAX 320   /* a direction: 250 and some of their replacements */
#define BATCHES_MAX 4096  /* made and not yet given out */
#define POOL_MAX 512      /* of them kept for use when they are free */
#define SWEEP_US 20000ULL /* between two searches for voice that is too old */
#define MARKS_N 256       /* batches of a stream whose ends are remembered; a power of two */
#define SEEN_N 65536      /* media numbers that are told from duplicates; a power of two */
#define ACK_DELAY_US 20000ULL
#define TOPS_N 16
#define VOICE_PAUSE_US (100 * CLOCK_MS)
#define HELD_US (25 * CLOCK_MS)
#define HELD_FOR_US (10 * CLOCK_S)
#define ACK_TELLINGS 3
#define DUTY_US (100 * CLOCK_MS) /* so late something slow may be, when it is not known better */
#define ACK_EVERY_N 8            /* batches that want an acknowledgement, then it does not wait */
#define KIND_RESERVED 0xf0       /* reliable frames of the tunnel's own, from here on */
#define KIND_RETIRE 0xf0         /* client to server: let this DOWN stream end in order */
#define REPORT_LEVEL 3           /* bits of a header's report */
#define LEVEL_MAX 2              /* of loss; what is above counts as this */
#define REPORT_RUNS (1 << 2)
#define REPORT_CONGESTED (1 << 3)
#define REPORT_REDUNDANCY_SHIFT 4
#define KIND_WANT 0xf1 /* server to client: so many DOWN streams would be good */

enum batch_kind {
	BATCH_MEDIA,
	BATCH_PARITY,
	BATCH_RELIABLE,
	BATCH_PING, /* its frames are written when it goes out, with the time of then */
	BATCH_ACK,  /* likewise; it does not go out when there is nothing left to say */
	BATCH_END,
};

struct batch {
	STAILQ_ENTRY(batch) next;
	enum batch_kind kind;
	uint64_t made_us, given_us;
	bool numbered;                /* its media frames have their numbers */
	uint32_t media_base, media_n; /* numbers of the media frames inside */
	bool again;                   /* went out before */
	uint32_t serial;              /* while kept: the stream it went to, ... */
	uint64_t sent_n;              /* ... as which batch of it, ... */
	uint64_t due_us;              /* ... and when it goes again */
	size_t len;
	uint8_t body[FRAME_BODY_MAX];
};
STAILQ_HEAD(batch_queue, batch);

enum stream_phase {
	STREAM_OPENING, /* nothing came from the peer */
	STREAM_LIVE,
	STREAM_RETIRING, /* END is asked for or queued */
	STREAM_ENDED,    /* END went by; the request is about to be over */
	STREAM_ABORTED,  /* on_abort was called */
	STREAM_OVER, /* bounded: its request is over, its acknowledgement is to come or to be told */
};

struct stream_writer { /* of a stream that this end writes */
	struct sched_path path;
	struct batch_queue queue;
	bool takes;          /* bounded: it may be given batches, for nothing of it was written */
	bool release;        /* bounded: it is to end, though there is nothing to say */
	size_t queued_bytes; /* bounded: of the batches in the queue */
	size_t queued_wanting_n; /* wanting: an acknowledgement is expected */
	bool paused;             /* tunnel_output gave 0; on_wake is owed */
	bool preamble_sent;
	bool ping_queued;
	uint64_t sent_n, acked_n; /* batches */
	uint64_t sent_wanting_n, acked_wanting_n;
	uint64_t sent_voice_n, acked_voice_n, queued_voice_n; /* batches of voice among them */
	struct mark {
		uint64_t wanting_n;  /* sent_wanting_n after batch i, at i % MARKS_N ... */
		uint64_t wanting_us; /* ... and when the last of these was written; ... */
		uint64_t voice_n;    /* ... and how many of them were voice */
	} marks[MARKS_N];
	uint64_t written_us; /* when something went out, or was asked to, last */
};

struct stream_reader { /* of a stream that this end reads */
	bool preamble_got;
	bool wanting;               /* one of its batches wants to be acknowledged */
	uint64_t batches_n, told_n; /* came; of these acknowledged */
	unsigned tellings_n;        /* so often this is to be told once more */
	size_t have_len;
	uint8_t have[FRAME_BATCH_MAX]; /* a batch cut by the end of the input */
};

struct tunnel_stream {
	enum tunnel_dir dir;
	enum stream_phase phase;
	bool writes; /* this end writes it: `w` counts, else `r` */
	bool due;    /* the client wants another in its place ... */
	bool aged;   /* ... since it is old enough, and not since it is doubted */
	bool bounded;
	uint32_t serial;
	void *user;
	uint64_t opened_us;
	uint64_t heard_us;  /* reader: bytes came; writer: an acknowledgement came; 0 = never */
	uint64_t ending_us; /* since when it is RETIRING, ENDED or OVER */
	uint64_t bytes;
	struct cipher *cipher; /* of its batches; the number of one is its count in the stream */
	uint64_t rotate_bytes,
	    rotate_us; /* its own jittered limits; UINT64_MAX, CLOCK_NEVER = none */
	union {
		struct stream_writer w;
		struct stream_reader r;
	} u;
};

struct tunnel_rate {                            /* of what is to go by streams */
	uint64_t since_us;                      /* of the counts */
	unsigned batches_n, frames_n, behind_n; /* behind: given to a stream that was not idle */
	double behind_share;
	uint64_t bytes; /* of stats.bytes_sent at since_us, and what TCP and IP add to it */
	double batches_per_s, frames_per_s, bits_per_s; /* smoothed; 0 = not known yet */
	double last_per_s;                              /* batches, as counted last */
};

struct recent { /* media frames that went out last, for a thin flow */
	uint32_t base, media_n;
	size_t len;
	uint8_t body[640];
};

/* Of one direction. `wanted` and `shrink_us` are its writer's, the rest is the client's. */
struct tunnel_demand {
	unsigned asked_n; /* on_wanted was called, tunnel_stream_open was not */
	uint64_t asked_us;
	unsigned failures_n;    /* in a row */
	uint64_t failed_us;     /* when the last of them was */
	uint64_t next_open_us;  /* not before */
	unsigned wanted;        /* streams, as its writer says; 0 = it has not */
	uint64_t shrink_us;     /* fewer would do since then; CLOCK_NEVER */
	uint64_t fresh_us;      /* when one was last opened beside those that stall */
	unsigned asked_polls_n; /* of asked_n: bounded ones */
	unsigned ceiling;       /* no more than these were to be had ... */
	uint64_t ceiling_us;    /* ... and it is not tried again until then */
};

struct tunnel_polls {         /* the bounded streams of one direction */
	bool on;              /* those that are opened are; the server: the last one was */
	bool tail;            /* client: they go on until others work */
	uint64_t since_us;    /* when `on` last changed */
	uint64_t heard_us;    /* when one was heard of last; 0 = never since then */
	uint64_t answered_us; /* when the youngest was opened that has been heard */
	uint64_t wrote_us;    /* a writer: when one of them last said something; 0 = never */
	uint64_t asked_us;    /* a writer: ... that wants to be acknowledged */
	uint64_t starved_us;  /* a writer: when voice last waited for one; 0 = never */
	uint64_t doubted_us;  /* client: when that last stayed without an answer; 0 = never */
};

struct tunnel_rekey {
	struct tunnel_grant next;   /* server: granted, and nothing came under it yet */
	struct tunnel_grant before; /* server: the one that the present one replaced ... */
	uint64_t before_us;         /* ... is taken until then; of either session 0 = none */
	uint64_t since_us, bytes;   /* when the present one began, and what had passed by then */
	uint64_t ask_us;            /* client: a new one is not asked for again before */
};

struct tunnel {
	struct tunnel_cfg cfg;
	struct tunnel_handlers h;
	void *arg;
	struct tunnel_grant grant; /* the key in use, by which new streams are sealed */
	struct tunnel_rekey rekey;
	struct tunnel_stats stats;
	enum tunnel_dir writes; /* the direction that this end writes */

	struct tunnel_stream *streams[2][STREAMS_MAX];
	size_t streams_n[2];
	struct sched_path *paths[STREAMS_MAX]; /* of streams[writes], in the same order */
	bool writable;                         /* one of them takes batches */
	struct tunnel_polls polls[2];
	size_t over_n, bounded_n; /* streams that are STREAM_OVER; bounded ones */
	uint64_t kicked_us;
	uint32_t next_serial;       /* client */
	struct request_window used; /* server */

	/* Out. */
	struct batch *gathering;   /* the media batch that takes frames */
	struct batch_queue closed; /* full, not yet given to a stream */
	struct batch_queue pool;   /* free ones */
	size_t batches_n, pool_n;  /* that exist; that are free */
	uint64_t swept_us;
	uint32_t media_next;     /* number of the next media frame; 24 bits count */
	struct batch_queue kept; /* voice that may go again, in the order of due_us, nearly */
	struct parity_sum parity;
	uint64_t group_us; /* when the first batch of `parity` left */
	struct recent recent[2];
	struct tunnel_rate rate;
	uint64_t voice_us, voice_since_us; /* voice was last offered; without a pause since */
	double tokens;                     /* bits that the cap of the bandwidth allows now */
	uint64_t tokens_us;
	uint8_t report;    /* of the peer, how it hears us */
	uint64_t lossy_us; /* when it last missed something; 0 = never */
	uint64_t held_us;  /* when a segment was last held up by one before it; 0 = never */
	struct guard guard;
	struct reliable_tx tx;

	/* In. */
	struct reliable_rx rx;
	uint32_t media_top; /* highest media number seen, + 1 */
	bool media_any;
	unsigned tops_n; /* notes ever made; at tops_n % TOPS_N the last */
	struct top {
		uint64_t at_us;
		uint32_t number; /* media_top of then */
	} tops[TOPS_N];
	struct meter *meter;
	struct recover *recover;
	uint64_t summed_us;        /* when a sum came last; 0 = never */
	struct datapath *datapath; /* NULL: no datagrams */
	uint8_t *seen;             /* a bit for each of the SEEN_N numbers below media_top */

	/* What is to be told to the peer. */
	uint64_t ack_us;    /* by then; CLOCK_NEVER = nothing */
	unsigned wanting_n; /* batches come since the last acknowledgement */
	size_t ack_turn;    /* the reader whose acknowledgement is next in turn */
	bool ack_queued, reliable_news, pong_owed;
	uint32_t pong_stamp;

	/* Time. */
	enum tunnel_state state;
	uint64_t alive_us[2]; /* a direction: when it last had a live stream */
	uint64_t heard_us[2]; /* ... and when something last came of it */
	uint64_t asked_us;    /* since when a question of ours that went out waits; CLOCK_NEVER */
	uint64_t
	    doubted_us; /* when all streams that this end writes were last doubted; 0 = never */
	uint64_t srtt_us, sampled_us, pinged_us;
	bool rests[2]; /* a direction: its voice goes by datagrams, its streams say little */
	uint64_t rested_us[2]; /* when it last was so */
	uint64_t judge_us;     /* no stream is called silent before: we stood still ourselves */
	bool busy, peer_busy;
	uint64_t busy_since_us; /* of either; CLOCK_NEVER = none is */
	uint64_t linger_us;     /* client: all streams are kept until then */
	uint64_t slow_us;       /* what is not urgent is done then; never later than it is due */
	bool broken, broken_told;
	bool changed; /* a stream came, went, or is due: look at the demand */
	struct tunnel_demand demand[2];
};

/* stream.c */
struct tunnel_stream *stream_new(struct tunnel *t, const struct tunnel_request *r, void *user,
    uint64_t now_us);
void stream_paths_follow(struct tunnel *t); /* what takes batches changed */
void stream_heard(struct tunnel *t, struct tunnel_stream *s, uint64_t now_us);
void stream_retire(struct tunnel *t, struct tunnel_stream *s, uint64_t now_us); /* a writer */
void stream_abort(struct tunnel *t, struct tunnel_stream *s, enum tunnel_why why);
struct tunnel_stream *stream_find(struct tunnel *t, enum tunnel_dir dir, uint32_t serial);
bool stream_usable(const struct tunnel_stream *s);              /* OPENING or LIVE */
void stream_release(struct tunnel *t, struct tunnel_stream *s); /* frees s and its batches */

/* rekey.c */
void rekey_init(struct tunnel *t, uint64_t now_us);
struct cipher *rekey_cipher(const struct tunnel_grant *grant, const struct tunnel_stream *s);
/* Server: the grant under which a request was made, NULL = none of ours. */
const struct tunnel_grant *rekey_find(struct tunnel *t, const struct tunnel_request *r,
    uint64_t now_us);
uint64_t rekey_due_us(const struct tunnel *t);
void rekey_run(struct tunnel *t, uint64_t now_us);

/* output.c */
struct batch *batch_new(struct tunnel *t, enum batch_kind kind, uint64_t now_us); /* NULL: cap */
void batch_free(struct tunnel *t, struct batch *b);
void batch_give(struct tunnel *t, struct tunnel_stream *s, struct batch *b, uint64_t now_us);
void output_acked(struct tunnel *t, struct tunnel_stream *s, uint64_t batches_n, uint64_t now_us);
void output_ping(struct tunnel *t, struct tunnel_stream *s, uint64_t now_us); /* NULL: any */
/* Writes b to `out`, with the header of this moment; returns its length. */
size_t output_write(struct tunnel *t, struct tunnel_stream *s, struct batch *b, uint8_t *out,
    uint64_t now_us);
bool output_too_old(const struct tunnel *t, const struct batch *b, uint64_t now_us);
void output_drop_waiting(struct tunnel *t, uint64_t now_us); /* of what no stream has yet */

uint8_t output_report(const struct tunnel *t, uint64_t now_us); /* of a header */

/* datapath.c */
#define DATAPATH_FILL \
	1175 /* of a batch that goes as a datagram; with its header DATAGRAM_BATCH_MAX */
enum datapath_route { DATAPATH_STREAM, DATAPATH_DATAGRAM, DATAPATH_BOTH };
enum datapath_route datapath_route(const struct tunnel *t, uint64_t now_us); /* of voice */
bool datapath_used(const struct tunnel *t); /* voice goes by datagrams, be it by both */
bool datapath_alone(const struct tunnel *t, uint64_t now_us);                 /* by datagrams */
size_t datapath_fill(const struct tunnel *t, uint64_t now_us);                /* of new batches */
bool datapath_give(struct tunnel *t, const struct batch *b, uint64_t now_us); /* false: too long */
size_t datapath_in_flight(const struct tunnel *t);                            /* batches of voice */
/* Voice of this direction goes by datagrams: its streams rest. */
bool datapath_carries(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us);
uint64_t datapath_due_us(const struct tunnel *t);
void datapath_run(struct tunnel *t, uint64_t now_us);
void datapath_busy(struct tunnel *t, uint64_t now_us); /* a call came, or none is left */
void datapath_kick(struct tunnel *t, uint64_t now_us); /* another network */
/* For tunnel_free alone: one that began anew would use its numbers twice under one key. */
void datapath_free(struct tunnel *t);

/* flush.c */
void output_flush(struct tunnel *t, uint64_t now_us);
struct tunnel_stream *output_choose(struct tunnel *t, uint32_t avoid_serial, uint64_t now_us);
bool output_thin(const struct tunnel *t);                       /* one or two calls */
unsigned output_level(const struct tunnel *t, uint64_t now_us); /* of loss, on the way out */
uint64_t output_srtt_us(const struct tunnel *t);
uint64_t output_due_us(const struct tunnel *t); /* when the next flush has something to do */
bool output_elsewhere(const struct tunnel *t, uint32_t serial); /* another stream than that */

/*
 * poll.c: bounded streams. A writer fills one with all that waits, and it ends; so one that takes
 * batches has nothing outstanding, and is no matter for sched.h.
 */
#define POLL_END_MAX (FRAME_HEADER_MAX + 8 + CIPHER_TAG_LEN)
#define POLLS_MAX 48 /* requests of a direction at a time; proxies limit them */
bool poll_on(const struct tunnel *t, enum tunnel_dir dir); /* bounded ones are opened */
struct tunnel_stream *poll_choose(const struct tunnel *t); /* the one to be filled; NULL */
bool poll_loaded(const struct tunnel *t);                  /* it will leave anyway */
unsigned poll_max(const struct tunnel *t);                 /* requests of a direction at a time */
bool poll_spreads(const struct tunnel *t);
bool poll_starved(const struct tunnel *t, uint64_t now_us);
/* Nothing can be given to a stream, but one will soon be there. */
bool poll_starves(const struct tunnel *t, uint64_t now_us);
bool poll_lives(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us);
unsigned poll_streams_n(const struct tunnel *t, enum tunnel_dir dir); /* requests on their way */
bool poll_takes(const struct stream_writer *w);
void poll_given(struct tunnel *t, struct tunnel_stream *s, const struct batch *b);
void poll_wrote(struct tunnel *t, const struct tunnel_stream *s, bool wanting, uint64_t now_us);
size_t poll_end(struct tunnel *t, struct tunnel_stream *s, uint8_t *out, uint64_t now_us);
void poll_accepted(struct tunnel *t, const struct tunnel_stream *s, uint64_t now_us);
void poll_heard(struct tunnel *t, const struct tunnel_stream *s, uint64_t now_us);
/* The request of s is over: true when s is kept for the sake of acknowledgements. */
bool poll_over(struct tunnel *t, struct tunnel_stream *s, bool orderly, uint64_t now_us);
int poll_make_room(struct tunnel *t, enum tunnel_dir dir); /* for another stream; ERR_FULL */
void poll_sweep(struct tunnel *t, uint64_t now_us);        /* frees what is kept no longer */
uint64_t poll_dead_us(const struct tunnel *t, const struct tunnel_stream *s);
/* Nothing that wants an answer was sent for a heartbeat. */
bool poll_should_ask(const struct tunnel *t, uint64_t now_us);
uint64_t poll_due_us(const struct tunnel *t);
void poll_run(struct tunnel *t, uint64_t now_us);
/* The client: another one is to be opened, of so many requests at a time. */
bool poll_short(const struct tunnel *t, enum tunnel_dir dir, unsigned wanted, uint64_t now_us);

/* redundancy.c */
enum tunnel_redundancy redundancy_now(const struct tunnel *t, uint64_t now_us);
void redundancy_fill(struct tunnel *t, struct batch *b, uint64_t now_us); /* before it is given */
void redundancy_given(struct tunnel *t, const struct batch *b, uint64_t now_us);
/* A batch was written to s; true: it is kept, and no longer the caller's. */
bool redundancy_keep(struct tunnel *t, const struct tunnel_stream *s, struct batch *b,
    uint64_t now_us);
uint64_t redundancy_due_us(const struct tunnel *t);
void redundancy_run(struct tunnel *t, uint64_t now_us);

/* input.c */
/* A frame with voice of a batch whose first media frame has the number `base`. ERR_MALFORMED. */
int input_voice(struct tunnel *t, struct frame_header *h, uint32_t base, const struct frame *f,
    uint64_t now_us);
void input_voice_end(struct tunnel *t, uint32_t base, const struct frame_header *h,
    const struct wire_read *whole, uint64_t now_us);
void input_report(struct tunnel *t, uint8_t report, uint64_t now_us);
unsigned input_heard_level(const struct tunnel *t, uint64_t now_us); /* of loss, as we hear it */
bool input_heard_runs(const struct tunnel *t, uint64_t now_us);
unsigned input_reported_level(const struct tunnel *t); /* of loss, as the peer hears it */

/* duty.c */
void duty_run(struct tunnel *t, uint64_t now_us);
uint64_t duty_due_us(const struct tunnel *t, uint64_t now_us);
void duty_soon(struct tunnel *t, uint64_t due_us); /* something slow is due by then */
uint64_t duty_retry_us(const struct tunnel *t);    /* how long a reliable frame waits */
uint64_t duty_heartbeat_us(const struct tunnel *t);
bool duty_dead(const struct tunnel *t, const struct tunnel_stream *s, uint64_t now_us);
bool duty_busy(const struct tunnel *t);
void duty_busy_changed(struct tunnel *t, uint64_t now_us);

/* demand.c: how many streams of this end's own direction; for the rest, client only */
void demand_flow(struct tunnel *t, uint64_t now_us);
unsigned demand_wanted(const struct tunnel *t, enum tunnel_dir dir);
void demand_run(struct tunnel *t, uint64_t now_us);
uint64_t demand_due_us(const struct tunnel *t, uint64_t now_us);
void demand_failed(struct tunnel *t, const struct tunnel_stream *s, enum tunnel_why why,
    uint64_t now_us);
bool demand_stalls(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us);
bool demand_silent(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us); /* of both ends */
uint64_t demand_jitter(struct tunnel *t, uint64_t v);                             /* v +- 10 % */

#endif
