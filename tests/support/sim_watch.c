/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/support/sim_watch.h"

#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/support/sim_stream.h"
#include "tunnel/frame.h"

#define SILENCE_US (130 * CLOCK_MS)
#define VOICE_N 2048 /* batches of voice of one stream that can be outstanding; a power of two */

struct watched {
	LIST_ENTRY(watched) next;
	uint32_t serial;
	bool preamble_written, preamble_read, ended;
	uint64_t sent_n, acked_n; /* batches */
	uint64_t fence_n;         /* it is proven by what it sent after this one */
	uint64_t wanting_n;       /* number of the last one that wants an acknowledgement */
	uint64_t idle_since_us;
	uint64_t voice[VOICE_N];       /* numbers of its batches of voice, */
	size_t voice_from, voice_to;   /* the outstanding ones in [from, to) */
	uint8_t have[FRAME_BATCH_MAX]; /* read, not yet whole */
	size_t have_len;
	struct cipher *cipher;
	uint64_t read_n; /* batches */
	uint8_t plain[FRAME_BATCH_MAX];
};

struct watch_dir {
	LIST_HEAD(, watched) streams;
	struct sim_watch_way facts;
	uint64_t heard_us;  /* when something was last acknowledged */
	uint64_t behind_us; /* when the batches in question were written */
	unsigned behind_n;  /* of them; judged when that moment is over */
};

struct sim_watch {
	struct sim *sim;
	struct watch_dir dir[2];
};

static struct watched *
find(struct sim_watch *w, enum tunnel_dir dir, uint32_t serial)
{
	struct watched *p;

	LIST_FOREACH(p, &w->dir[dir].streams, next)
		if (p->serial == serial)
			return p;
	return NULL;
}

static struct watched *
watched_new(const struct sim_watch *w, enum tunnel_dir dir, uint32_t serial)
{
	const struct tunnel_grant *grant = tunnel_grant(w->sim->end[0].t);
	struct watched *p = mem_zalloc(sizeof(*p));

	p->serial = serial;
	p->cipher = cipher_derive(grant->cipher, grant->key,
	    &(struct cipher_use){ "vofw2 batches", (uint8_t)dir, grant->session, serial });
	return p;
}

static void
watched_free(struct watched *p)
{
	cipher_free(p->cipher);
	mem_free(p);
}

/* The batch of that number at the front of n bytes, sealed or not; its length, or a negative error. */
static int
batch_get(struct watched *p, uint64_t number, const uint8_t *in, size_t n, struct frame_header *h,
    struct wire_read *body)
{
	struct cipher_message m = { number, in, FRAME_LENGTH_FIELD };
	size_t len;
	int err;

	err = frame_batch_split(in, n, &len);
	if (err < 0)
		return err;
	must(cipher_open(p->cipher, &m, in + FRAME_LENGTH_FIELD, len - FRAME_LENGTH_FIELD,
	    p->plain));
	must(frame_content_get(p->plain, len - FRAME_LENGTH_FIELD - cipher_tag_len(p->cipher), h,
		 body) == 0);
	return (int)len;
}

static bool
idle(const struct watched *p)
{
	return p->acked_n >= p->wanting_n;
}

static bool
proven(const struct watched *p)
{
	return p->acked_n > p->fence_n && p->wanting_n > p->fence_n;
}

/* Something is acknowledged now. After a silence each stream has to prove itself anew. */
static void
break_silence(struct sim_watch *w, struct watch_dir *d)
{
	uint64_t now = sim_now_us(w->sim);
	bool silent = now - d->heard_us >= SILENCE_US;
	struct watched *p;

	d->heard_us = now;
	if (silent)
		LIST_FOREACH(p, &d->streams, next)
			p->fence_n = p->sent_n;
}

/* At the moment of the choice another stream was idle, and still is when the moment is over. */
static void
judge(struct sim_watch *w, struct watch_dir *d)
{
	bool there_was = false;
	struct watched *p;

	if (d->behind_n == 0 || d->behind_us == sim_now_us(w->sim))
		return;
	LIST_FOREACH(p, &d->streams, next)
		there_was |= !p->ended && proven(p) && idle(p) && p->idle_since_us < d->behind_us;
	if (there_was && d->behind_us - d->heard_us < SILENCE_US)
		d->facts.behind_idle += d->behind_n;
	d->behind_n = 0;
}

static void
wrote_voice(struct sim_watch *w, struct watch_dir *d, struct watched *p, size_t unsent)
{
	d->facts.batches++;
	d->facts.unproven += !proven(p);
	must(p->voice_to - p->voice_from < VOICE_N);
	p->voice[p->voice_to++ % VOICE_N] = p->sent_n;
	if (++d->facts.in_flight > d->facts.in_flight_max)
		d->facts.in_flight_max = d->facts.in_flight;
	if (idle(p))
		return;
	d->facts.behind++;
	/* Before the connection stands, or while it is full, a batch is written long after the choice. */
	if (!proven(p) || unsent > 0)
		return;
	d->behind_us = sim_now_us(w->sim);
	d->behind_n++;
}

static void
wrote_batch(struct sim_watch *w, struct watch_dir *d, struct watched *p, struct wire_read *body,
    size_t unsent)
{
	bool voice = false, wanting = false, any = false, ping = false;
	struct frame f;

	p->sent_n++;
	while (frame_next(body, &f) == 0) {
		d->facts.media += f.type == FRAME_MEDIA;
		d->facts.repeats += f.type == FRAME_REPEAT;
		d->facts.sums += f.type == FRAME_PARITY;
		voice |= f.type == FRAME_MEDIA;
		ping |= f.type == FRAME_PING;
		any = true;
		wanting |= f.type != FRAME_PONG && f.type != FRAME_END && f.type != FRAME_EXTENSION;
		p->ended |= f.type == FRAME_END;
	}
	d->facts.bare += !any;
	d->facts.pings += ping;
	if (voice)
		wrote_voice(w, d, p, unsent);
	if (wanting)
		p->wanting_n = p->sent_n;
}

static void
on_write(void *arg, enum tunnel_dir dir, uint32_t serial, const uint8_t *data, size_t n,
    size_t unsent)
{
	struct sim_watch *w = arg;
	struct watch_dir *d = &w->dir[dir];
	struct watched *p = find(w, dir, serial);
	struct frame_header h;
	struct wire_read body;
	size_t len;

	judge(w, d);
	if (p == NULL) {
		p = watched_new(w, dir, serial);
		LIST_INSERT_HEAD(&d->streams, p, next);
	}
	for (size_t used = 0; used < n; used += len) {
		len = FRAME_PREAMBLE_LEN;
		if (p->preamble_written) {
			int got = batch_get(p, p->sent_n + 1, data + used, n - used, &h, &body);

			must(got > 0);
			len = (size_t)got;
			wrote_batch(w, d, p, &body, unsent);
		}
		p->preamble_written = true;
	}
}

static void
acked(struct sim_watch *w, enum tunnel_dir dir, const struct frame_ack *a)
{
	struct watch_dir *d = &w->dir[dir];
	struct watched *p = find(w, dir, a->serial);

	if (p == NULL || a->batches_n <= p->acked_n)
		return;
	must(a->batches_n <= p->sent_n);
	judge(w, d);
	break_silence(w, d);
	if (!idle(p) && a->batches_n >= p->wanting_n)
		p->idle_since_us = sim_now_us(w->sim);
	p->acked_n = a->batches_n;
	for (; p->voice_from < p->voice_to && p->voice[p->voice_from % VOICE_N] <= p->acked_n;
	     p->voice_from++)
		d->facts.in_flight--;
}

/* Takes one whole item off what was read; false when there is none. */
static bool
read_item(struct sim_watch *w, enum tunnel_dir dir, struct watched *p)
{
	struct frame_header h;
	struct wire_read body;
	int got = FRAME_PREAMBLE_LEN;
	size_t len;

	if (p->have_len < FRAME_PREAMBLE_LEN && !p->preamble_read)
		return false;
	h.acks_n = 0;
	if (p->preamble_read) {
		got = batch_get(p, p->read_n + 1, p->have, p->have_len, &h, &body);
		if (got < 0)
			return false;
		p->read_n++;
	}
	len = (size_t)got;
	p->preamble_read = true;
	/* Its acknowledgements are of the other direction, for the end that reads this one. */
	for (size_t i = 0; i < h.acks_n; i++)
		acked(w, !dir, &h.acks[i]);
	p->have_len -= len;
	memmove(p->have, p->have + len, p->have_len);
	return true;
}

static void
on_read(void *arg, enum tunnel_dir dir, uint32_t serial, const uint8_t *data, size_t n)
{
	struct sim_watch *w = arg;
	struct watched *p = find(w, dir, serial);

	/* Before its first batch it is not known. */
	while (p != NULL && n > 0) {
		size_t room = sizeof(p->have) - p->have_len, take = n < room ? n : room;

		memcpy(p->have + p->have_len, data, take);
		p->have_len += take;
		data += take;
		n -= take;
		while (read_item(w, dir, p))
			;
	}
}

static void
on_gone(void *arg, enum tunnel_dir dir, uint32_t serial)
{
	struct sim_watch *w = arg;
	struct watched *p = find(w, dir, serial);

	if (p == NULL)
		return;
	w->dir[dir].facts.in_flight -= (unsigned)(p->voice_to - p->voice_from);
	p->voice_from = p->voice_to;
	/* What is on its way may still be read, acknowledgements of others with it. */
	p->ended = true;
}

static void
on_over(void *arg, enum tunnel_dir dir, uint32_t serial)
{
	struct watched *p = find(arg, dir, serial);

	if (p == NULL)
		return;
	on_gone(arg, dir, serial);
	LIST_REMOVE(p, next);
	watched_free(p);
}

struct sim_watch *
sim_watch_new(struct sim *s)
{
	static const struct sim_hooks hooks = { on_write, on_read, on_gone, on_over };
	struct sim_watch *w = mem_zalloc(sizeof(*w));

	w->sim = s;
	s->hooks = &hooks;
	s->hooks_arg = w;
	return w;
}

void
sim_watch_free(struct sim_watch *w)
{
	struct watched *p;

	for (int dir = 0; dir < 2; dir++)
		while ((p = LIST_FIRST(&w->dir[dir].streams)) != NULL) {
			LIST_REMOVE(p, next);
			watched_free(p);
		}
	mem_free(w);
}

void
sim_watch_reset(struct sim_watch *w)
{
	for (int dir = 0; dir < 2; dir++) {
		struct sim_watch_way *f = &w->dir[dir].facts;

		*f = (struct sim_watch_way){ .in_flight = f->in_flight,
			.in_flight_max = f->in_flight };
	}
}

void
sim_watch_way(struct sim_watch *w, enum tunnel_dir dir, struct sim_watch_way *out)
{
	judge(w, &w->dir[dir]);
	*out = w->dir[dir].facts;
}

unsigned
sim_watch_outstanding(const struct sim_watch *w, enum tunnel_dir dir)
{
	const struct watched *p;
	unsigned n = 0;

	LIST_FOREACH(p, &w->dir[dir].streams, next)
		n += !p->ended && !idle(p);
	return n;
}
