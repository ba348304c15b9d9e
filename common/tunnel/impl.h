/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_IMPL_H
#define VOFW_TUNNEL_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "tunnel/frame.h"
#include "tunnel/reliable.h"
#include "tunnel/request.h"
#include "tunnel/sched.h"
#include "tunnel/tunnel.h"

/*
 * What the files of the tunnel share and nobody else sees: tunnel.c (life, sending, facts),
 * stream.c (life of the streams), output.c (batches, from the flush to the bytes), input.c (from
 * the bytes to the handlers), duty.c (all that happens because time passes), demand.c (how many
 * streams the client wants, and which it lets go).
 */

#define STREAMS_MAX 128   /* a direction: 64 and their replacements */
#define BATCHES_MAX 4096  /* made and not yet given out */
#define POOL_MAX 512      /* of them kept for use when they are free */
#define SWEEP_US 20000ULL /* between two searches for voice that is too old */
#define MARKS_N 256       /* batches of a stream whose ends are remembered; a power of two */
#define SEEN_N 65536      /* media numbers that are told from duplicates; a power of two */
#define ACK_DELAY_US 20000ULL
#define ACK_EVERY_N 8      /* batches that want an acknowledgement, then it does not wait */
#define KIND_RESERVED 0xf0 /* reliable frames of the tunnel's own, from here on */
#define KIND_RETIRE 0xf0   /* client to server: let this DOWN stream end in order */

enum batch_kind {
	BATCH_MEDIA,
	BATCH_RELIABLE,
	BATCH_PING, /* its frames are written when it goes out, with the time of then */
	BATCH_ACK,  /* likewise; it does not go out when there is nothing left to say */
	BATCH_END,
};

struct batch {
	STAILQ_ENTRY(batch) next;
	enum batch_kind kind;
	uint64_t made_us;
	uint32_t media_base, media_n; /* numbers of the media frames inside */
	size_t len, queued_len;
	uint8_t body[FRAME_BODY_MAX];
};
STAILQ_HEAD(batch_queue, batch);

enum stream_phase {
	STREAM_OPENING, /* nothing came from the peer */
	STREAM_LIVE,
	STREAM_RETIRING, /* END is asked for or queued */
	STREAM_ENDED,    /* END went by; the request is about to be over */
	STREAM_ABORTED,  /* on_abort was called */
};

struct stream_writer { /* of a stream that this end writes */
	struct sched_path path;
	struct batch_queue queue;
	size_t queued_bytes, queued_wanting_n; /* wanting: an acknowledgement is expected */
	bool paused;                           /* tunnel_output gave 0; on_wake is owed */
	bool preamble_sent;
	bool ping_queued;
	uint64_t sent_n, sent_bytes; /* batches; bytes of them */
	uint64_t acked_n, acked_bytes;
	uint64_t wanting_n;      /* the number of batches up to the last wanting one */
	uint64_t marks[MARKS_N]; /* sent_bytes after batch i, at i % MARKS_N */
	uint64_t written_us;     /* when something went out, or was asked to, last */
};

struct stream_reader { /* of a stream that this end reads */
	bool preamble_got;
	uint64_t batches_n, told_n; /* came; of these acknowledged */
	size_t have_len;
	uint8_t have[FRAME_BATCH_MAX]; /* a batch cut by the end of the input */
};

struct tunnel_stream {
	enum tunnel_dir dir;
	enum stream_phase phase;
	bool writes; /* this end writes it: `w` counts, else `r` */
	bool due;    /* the client wants another in its place */
	uint32_t serial;
	void *user;
	uint64_t opened_us;
	uint64_t heard_us;  /* reader: bytes came; writer: an acknowledgement came; 0 = never */
	uint64_t ending_us; /* since when it is RETIRING or ENDED */
	uint64_t bytes;
	uint64_t rotate_bytes,
	    rotate_us; /* its own jittered limits; UINT64_MAX, CLOCK_NEVER = none */
	union {
		struct stream_writer w;
		struct stream_reader r;
	} u;
};

struct tunnel_demand {    /* of one direction, client only */
	unsigned asked_n; /* on_wanted was called, tunnel_stream_open was not */
	uint64_t asked_us;
	unsigned failures_n;   /* in a row */
	uint64_t failed_us;    /* when the last of them was */
	uint64_t next_open_us; /* not before */
};

struct tunnel {
	struct tunnel_cfg cfg;
	struct tunnel_handlers h;
	void *arg;
	struct tunnel_grant grant;
	struct tunnel_stats stats;
	enum tunnel_dir writes; /* the direction that this end writes */

	struct tunnel_stream *streams[2][STREAMS_MAX];
	size_t streams_n[2];
	struct sched_path *paths[STREAMS_MAX]; /* of streams[writes], in the same order */
	bool writable;                         /* one of them is open */
	uint32_t next_serial;                  /* client */
	struct request_window used;            /* server */

	/* Out. */
	struct batch *gathering;   /* the media batch that takes frames */
	struct batch_queue closed; /* full, not yet given to a stream */
	struct batch_queue pool;   /* free ones */
	size_t batches_n, pool_n;  /* that exist; that are free */
	uint64_t swept_us;
	uint32_t media_next; /* number of the next media frame; 24 bits count */
	struct reliable_tx tx;

	/* In. */
	struct reliable_rx rx;
	uint32_t media_top; /* highest media number seen, + 1 */
	bool media_any;
	uint8_t *seen; /* a bit for each of the SEEN_N numbers below media_top */

	/* What is to be told to the peer. */
	uint64_t ack_us;    /* by then; CLOCK_NEVER = nothing */
	unsigned wanting_n; /* batches come since the last acknowledgement */
	size_t ack_turn;    /* the reader whose acknowledgement is next in turn */
	bool ack_queued, reliable_news, pong_owed;
	uint32_t pong_stamp;

	/* Time. */
	enum tunnel_state state;
	uint64_t alive_us[2]; /* a direction: when it last had a live stream */
	uint64_t srtt_us, sampled_us, pinged_us;
	uint64_t judge_us; /* no stream is called silent before: we stood still ourselves */
	bool busy, peer_busy;
	uint64_t busy_since_us; /* of either; CLOCK_NEVER = none is */
	uint64_t linger_us;     /* client: all streams are kept until then */
	bool broken, broken_told;
	bool changed; /* a stream came, went, or is due: look at the demand */
	struct tunnel_demand demand[2];
};

/* stream.c */
struct tunnel_stream *stream_new(struct tunnel *t, enum tunnel_dir dir, uint32_t serial, void *user,
    uint64_t now_us);
void stream_heard(struct tunnel *t, struct tunnel_stream *s, uint64_t now_us);
void stream_retire(struct tunnel *t, struct tunnel_stream *s, uint64_t now_us); /* a writer */
void stream_abort(struct tunnel *t, struct tunnel_stream *s, enum tunnel_why why);
struct tunnel_stream *stream_find(struct tunnel *t, enum tunnel_dir dir, uint32_t serial);
bool stream_usable(const struct tunnel_stream *s);              /* OPENING or LIVE */
void stream_release(struct tunnel *t, struct tunnel_stream *s); /* frees s and its batches */

/* output.c */
struct batch *batch_new(struct tunnel *t, enum batch_kind kind, uint64_t now_us); /* NULL: cap */
void batch_free(struct tunnel *t, struct batch *b);
void batch_give(struct tunnel_stream *s, struct batch *b, uint64_t now_us);
void output_ping(struct tunnel *t, struct tunnel_stream *s, uint64_t now_us); /* NULL: any */
void output_flush(struct tunnel *t, uint64_t now_us);
void output_acked(struct tunnel *t, struct tunnel_stream *s, uint64_t batches_n, uint64_t now_us);
bool output_elsewhere(const struct tunnel *t, uint32_t serial); /* another stream than that */

/* duty.c */
void duty_run(struct tunnel *t, uint64_t now_us);
uint64_t duty_due_us(const struct tunnel *t);
uint64_t duty_retry_us(const struct tunnel *t); /* how long a reliable frame waits */
bool duty_busy(const struct tunnel *t);
void duty_busy_changed(struct tunnel *t, uint64_t now_us);

/* demand.c: client only */
void demand_run(struct tunnel *t, uint64_t now_us);
uint64_t demand_due_us(const struct tunnel *t);
void demand_failed(struct tunnel *t, const struct tunnel_stream *s, uint64_t now_us);
uint64_t demand_jitter(struct tunnel *t, uint64_t v); /* v +- 10 % */

#endif
