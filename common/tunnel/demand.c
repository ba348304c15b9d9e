/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "base/err.h"
#include "tunnel/impl.h"

/*
 * How many streams the client wants, and which it lets go. One rule does all of it, in each
 * direction: open streams until as many as wanted are there that are not due for replacement; when
 * more than wanted are heard from, let one go, those due for replacement first. So a stream is
 * replaced only after its successor works, and one whose replacement fails keeps working.
 */

#define BACKOFF_BASE_US (100 * CLOCK_MS)
#define BACKOFF_CAP_US (5 * CLOCK_S)
#define ASKED_TIMEOUT_US (5 * CLOCK_S) /* on_wanted without tunnel_stream_open */
#define SHORT_LIFE_US (2 * CLOCK_S)    /* one that ends sooner counts as a failure to open */

struct count {
	unsigned opening, live, good; /* good: opening or live, and not due for replacement */
};

/* splitmix64 */
static uint64_t
next_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint64_t
tunnel_backoff_us(unsigned attempt, uint64_t base_us, uint64_t cap_us, uint64_t *seed)
{
	uint64_t limit = base_us;

	while (attempt-- > 0 && limit < cap_us)
		limit *= 2;
	if (limit > cap_us)
		limit = cap_us;
	return next_random(seed) % (limit + 1);
}

uint64_t
demand_jitter(struct tunnel *t, uint64_t v)
{
	return v - v / 10 + next_random(&t->cfg.seed) % (v / 5 + 1);
}

void
demand_failed(struct tunnel *t, const struct tunnel_stream *s, uint64_t now_us)
{
	struct tunnel_demand *d = &t->demand[s->dir];
	bool worked = s->heard_us != 0 && now_us - s->opened_us >= SHORT_LIFE_US;

	/* Those opened together fail together: that is one failure, not four in a row. */
	if (worked || s->phase == STREAM_RETIRING || s->phase == STREAM_ENDED ||
	    (d->failures_n > 0 && s->opened_us < d->failed_us))
		return;
	d->failed_us = now_us;
	d->next_open_us = now_us;
	if (d->failures_n > 0)
		d->next_open_us += tunnel_backoff_us(d->failures_n - 1, BACKOFF_BASE_US,
		    BACKOFF_CAP_US, &t->cfg.seed);
	d->failures_n++;
}

static struct count
count_streams(const struct tunnel *t, enum tunnel_dir dir)
{
	struct count c = { 0 };

	for (size_t i = 0; i < t->streams_n[dir]; i++) {
		const struct tunnel_stream *s = t->streams[dir][i];

		c.opening += s->phase == STREAM_OPENING;
		c.live += s->phase == STREAM_LIVE;
		c.good += stream_usable(s) && !s->due;
	}
	return c;
}

static unsigned
wanted(const struct tunnel *t)
{
	return duty_busy(t) || t->linger_us != 0 ? t->cfg.connections : 1;
}

/* While nothing gets through one stream at a time tries; the others wait for its success. */
static bool
short_of(const struct tunnel *t, enum tunnel_dir dir)
{
	const struct tunnel_demand *d = &t->demand[dir];
	struct count c = count_streams(t, dir);

	if (d->failures_n > 0 && c.opening + d->asked_n > 0)
		return false;
	return c.good + d->asked_n < wanted(t) && t->streams_n[dir] + d->asked_n < STREAMS_MAX;
}

static void
open_missing(struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	struct tunnel_demand *d = &t->demand[dir];

	if (d->asked_n > 0 && now_us - d->asked_us >= ASKED_TIMEOUT_US)
		d->asked_n = 0;
	while (short_of(t, dir) && now_us >= d->next_open_us) {
		d->asked_n++;
		d->asked_us = now_us;
		t->h.on_wanted(t->arg, dir);
	}
}

/* Which to let go: one due for replacement, else the one that has been silent longest. */
static struct tunnel_stream *
worst(const struct tunnel *t, enum tunnel_dir dir)
{
	struct tunnel_stream *w = NULL;

	for (size_t i = 0; i < t->streams_n[dir]; i++) {
		struct tunnel_stream *s = t->streams[dir][i];

		if (s->phase != STREAM_LIVE)
			continue;
		if (w == NULL || s->due > w->due || (s->due == w->due && s->heard_us < w->heard_us))
			w = s;
	}
	return w;
}

/* A DOWN stream is ended by its writer, HRAS, which is asked in a way that survives cuts. */
static int
let_go(struct tunnel *t, struct tunnel_stream *s, uint64_t now_us)
{
	uint8_t payload[4];
	struct wire_write w = wire_writer(payload, sizeof(payload));
	int err;

	if (s->writes) {
		stream_retire(t, s, now_us);
		return 0;
	}
	wire_put_u32(&w, s->serial);
	err = reliable_tx_push(&t->tx, KIND_RETIRE, payload, sizeof(payload), now_us);
	if (err < 0)
		return err;
	s->phase = STREAM_RETIRING;
	s->ending_us = now_us;
	t->stats.streams_rotated++;
	return 0;
}

void
demand_run(struct tunnel *t, uint64_t now_us)
{
	if (!duty_busy(t) && t->linger_us != 0 && now_us >= t->linger_us)
		t->linger_us = 0;
	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++) {
		open_missing(t, dir, now_us);
		while (count_streams(t, dir).live > wanted(t))
			if (let_go(t, worst(t, dir), now_us) < 0)
				break;
	}
}

uint64_t
demand_due_us(const struct tunnel *t)
{
	uint64_t due = !duty_busy(t) && t->linger_us != 0 ? t->linger_us : CLOCK_NEVER;

	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++) {
		const struct tunnel_demand *d = &t->demand[dir];
		uint64_t timeout = d->asked_us + ASKED_TIMEOUT_US;

		if (d->asked_n > 0 && timeout < due)
			due = timeout;
		if (short_of(t, dir) && d->next_open_us < due)
			due = d->next_open_us;
	}
	return due;
}

void
tunnel_kick(struct tunnel *t, uint64_t now_us)
{
	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++) {
		for (size_t i = 0; i < t->streams_n[dir]; i++)
			t->streams[dir][i]->due = true;
		t->demand[dir] = (struct tunnel_demand){ .next_open_us = now_us };
	}
	t->changed = true;
}
