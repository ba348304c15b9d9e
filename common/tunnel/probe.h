/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_PROBE_H
#define VOFW_TUNNEL_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

/*
 * What a probe sends to learn how a path treats a body: so many *chunks*, each so many bytes long and
 * so long after the one before (docs/PROTOCOL.md, "Probes"). Small ones some 100 ms apart show
 * whether a direction streams or is collected; two with a long silence in between show when an idle
 * connection is cut; large ones without a pause show the throughput. Each chunk says when it was
 * given to TCP and how many segments that TCP has sent and repeated by then; the rest is noise that
 * no compression makes smaller and that the reader knows, so that a body that was changed on the way
 * is seen. Pure: bytes in, bytes out; times are microseconds since an instant that the caller chose.
 */
#define PROBE_COUNT_MAX 256
#define PROBE_SIZE_MIN 16
#define PROBE_SIZE_MAX 16384
#define PROBE_SPAN_MAX_MS 125000 /* from the first chunk to the last */

struct probe_plan {
	uint32_t count;       /* chunks, 1..PROBE_COUNT_MAX */
	uint32_t size;        /* of each, bytes, PROBE_SIZE_MIN..PROBE_SIZE_MAX */
	uint32_t interval_ms; /* between the beginnings of two */
};

/* Within all the bounds above? */
bool probe_plan_good(const struct probe_plan *p);
uint32_t probe_plan_bytes(const struct probe_plan *p); /* of a good plan: at most 4 MiB */

/* The sender's TCP connection so far; 0 where that is not known. */
struct probe_segments {
	uint32_t sent, again; /* segments with data; those of them that were repetitions */
};

/* -- The sender's end -- */

struct probe_writer { /* a value; fields may be read */
	struct probe_plan plan;
	uint32_t n;  /* chunks that were begun */
	uint32_t at; /* bytes written of the last of them; plan.size = all */
	uint32_t noise;
	uint32_t sent_us[PROBE_COUNT_MAX]; /* when each was begun */
	uint8_t head[14];                  /* of the chunk at hand */
};

void probe_writer_init(struct probe_writer *w, const struct probe_plan *plan);

/* Writes what is due at now_us, at most cap bytes, and gives how many that were: 0 = nothing yet. */
size_t probe_write(struct probe_writer *w, uint32_t now_us, struct probe_segments segments,
    uint8_t *out, size_t cap);
bool probe_writer_done(const struct probe_writer *w);

/* When the next bytes are due, us; of a writer that is not done. */
uint32_t probe_writer_due_us(const struct probe_writer *w);

/* -- The receiver's end -- */

struct probe_reader { /* a value; fields may be read */
	struct probe_plan plan;
	uint32_t n;  /* chunks that came whole */
	uint32_t at; /* bytes that came of the next one */
	uint32_t noise;
	uint32_t came_us[PROBE_COUNT_MAX]; /* of the last byte of each ... */
	uint32_t sent_us[PROBE_COUNT_MAX]; /* ... and when it was begun, by the sender's instant */
	struct probe_segments first, last; /* as the first and the last chunk told */
	uint8_t head[14];
};

void probe_reader_init(struct probe_reader *r, const struct probe_plan *plan);

/* ERR_MALFORMED for what no sender of this plan writes; of no use any more then. */
int probe_read(struct probe_reader *r, uint32_t now_us, const uint8_t *in, size_t n);
bool probe_reader_done(const struct probe_reader *r);

/* -- The report: HRAS's answer to a body up -- */

#define PROBE_FINGERPRINT_LEN 32
#define PROBE_DATAGRAMS_MAX 4
#define PROBE_REPORT_MAX \
	(5 + 4 * PROBE_COUNT_MAX + 1 + PROBE_FINGERPRINT_LEN + 1 + 23 * PROBE_DATAGRAMS_MAX)

/* What HRAS tells of itself by the way, so that what sits in between can be seen. */
struct probe_about {
	bool tls; /* it has TLS with whoever sent this ... */
	uint8_t
	    fingerprint[PROBE_FINGERPRINT_LEN]; /* ... and SHA-256 of the certificate it showed */
	/* Where it takes datagrams; an address of any host means its own, known by its name. */
	struct addr datagrams[PROBE_DATAGRAMS_MAX];
	size_t datagrams_n;
};

struct probe_report {
	uint32_t n; /* chunks that came whole, 0..PROBE_COUNT_MAX */
	uint32_t came_us[PROBE_COUNT_MAX];
	struct probe_about about;
};

/* out has PROBE_REPORT_MAX bytes; gives how many were written. */
size_t probe_report_encode(const struct probe_reader *r, const struct probe_about *about,
    uint8_t *out);

/* ERR_MALFORMED for what is no report, the whole report and nothing else. */
int probe_report_decode(const uint8_t *in, size_t n, struct probe_report *out);

/* -- The verdict -- */

struct probe_verdict {
	bool streams;     /* what is sent arrives then, and not when the body is over */
	uint32_t held_us; /* how much longer than the fastest the slowest chunk took */
};

/*
 * Of n > 1 chunks of a plan, sent and come by the clocks of their ends. A chunk counts as held when it
 * took nine tenths of an interval longer than the fastest; a body streams when most of its chunks were
 * not held: a segment that TCP has to repeat holds up some of them, a collector all but the last.
 */
struct probe_verdict probe_judge(const struct probe_plan *plan, const uint32_t *sent_us,
    const uint32_t *came_us, uint32_t n);

#endif
