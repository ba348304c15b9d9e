/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tunnel/impl.h"

/* The life of a stream, from the request to its end. */

void
stream_paths_follow(struct tunnel *t)
{
	t->writable = false;
	for (size_t i = 0; i < t->streams_n[t->writes]; i++) {
		struct stream_writer *w = &t->streams[t->writes][i]->u.w;

		t->paths[i] = &w->path;
		t->writable |= w->path.open || poll_takes(w);
	}
}

static void
writer_init(struct tunnel *t, struct tunnel_stream *s, uint64_t now_us)
{
	s->u.w.path.open = !s->bounded;
	s->u.w.takes = s->u.w.paused = s->u.w.path.connected = s->bounded;
	s->u.w.path.opened_us = now_us;
	stream_paths_follow(t);
	STAILQ_INIT(&s->u.w.queue);
	s->u.w.path.waiting_us = s->u.w.path.oldest_us = CLOCK_NEVER;
	if (s->bounded)
		return;
	/* The first thing said is a question, so that both ends soon know that the way is open. */
	output_ping(t, s, now_us);
}

struct tunnel_stream *
stream_new(struct tunnel *t, const struct tunnel_request *r, void *user, uint64_t now_us)
{
	struct tunnel_stream *s = mem_zalloc(sizeof(*s));

	s->dir = r->dir;
	s->writes = r->dir == t->writes;
	s->bounded = r->bounded;
	s->serial = r->serial;
	s->user = user;
	s->opened_us = now_us;
	s->rotate_bytes = UINT64_MAX;
	s->rotate_us = CLOCK_NEVER;
	t->streams[s->dir][t->streams_n[s->dir]++] = s;
	if (s->writes)
		writer_init(t, s, now_us);
	t->stats.streams_opened++;
	t->stats.streams_bounded += s->bounded;
	t->bounded_n += s->bounded;
	t->changed = true;
	return s;
}

int
tunnel_stream_open(struct tunnel *t, enum tunnel_dir dir, void *user, uint64_t now_us,
    char path[static TUNNEL_PATH_MAX], struct tunnel_stream **out)
{
	struct tunnel_demand *d = &t->demand[dir];
	struct tunnel_request r = { .dir = dir, .bounded = t->polls[dir].on };
	struct tunnel_stream *s;

	/* A serial used twice would be a key used twice; a new session begins with new ones. */
	if (t->next_serial == 0) {
		t->broken = t->changed = true;
		return ERR_FULL;
	}
	if (poll_make_room(t, dir) < 0)
		return ERR_FULL;
	if (d->asked_n > 0) {
		r.bounded = d->asked_polls_n > 0;
		d->asked_polls_n -= r.bounded;
		d->asked_n--;
	}
	r.serial = t->next_serial++;
	s = stream_new(t, &r, user, now_us);
	if (t->cfg.rotate_bytes != 0 && !s->bounded)
		s->rotate_bytes = demand_jitter(t, t->cfg.rotate_bytes);
	if (t->cfg.rotate_age_us != 0 && !s->bounded)
		s->rotate_us = now_us + demand_jitter(t, t->cfg.rotate_age_us);
	s->cipher = rekey_cipher(&t->grant, s);
	request_print(&t->grant, &r, path);
	*out = s;
	return 0;
}

int
tunnel_stream_accept(struct tunnel *t, const struct tunnel_request *r, void *user, uint64_t now_us,
    struct tunnel_stream **out)
{
	const struct tunnel_grant *grant = rekey_find(t, r, now_us);
	int err;

	if (grant == NULL)
		return ERR_AUTH;
	if (poll_make_room(t, r->dir) < 0)
		return ERR_FULL;
	err = request_window_use(&t->used, r->serial);
	if (err < 0)
		return err;
	*out = stream_new(t, r, user, now_us);
	(*out)->cipher = rekey_cipher(grant, *out);
	poll_accepted(t, *out, now_us);
	return 0;
}

void *
tunnel_stream_user(const struct tunnel_stream *s)
{
	return s->user;
}

enum tunnel_dir
tunnel_stream_dir(const struct tunnel_stream *s)
{
	return s->dir;
}

bool
tunnel_stream_bounded(const struct tunnel_stream *s)
{
	return s->bounded;
}

bool
tunnel_stream_live(const struct tunnel_stream *s)
{
	return s->phase == STREAM_LIVE;
}

uint64_t
tunnel_stream_heard_us(const struct tunnel_stream *s)
{
	return s->heard_us;
}

struct tunnel_stream *
stream_find(struct tunnel *t, enum tunnel_dir dir, uint32_t serial)
{
	for (size_t i = 0; i < t->streams_n[dir]; i++)
		if (t->streams[dir][i]->serial == serial)
			return t->streams[dir][i];
	return NULL;
}

bool
stream_usable(const struct tunnel_stream *s)
{
	return s->phase == STREAM_OPENING || s->phase == STREAM_LIVE;
}

void
stream_heard(struct tunnel *t, struct tunnel_stream *s, uint64_t now_us)
{
	s->heard_us = now_us;
	t->alive_us[s->dir] = t->heard_us[s->dir] = now_us;
	if (!s->writes)
		t->asked_us = CLOCK_NEVER;
	if (s->bounded)
		poll_heard(t, s, now_us);
	if (s->phase == STREAM_OPENING) {
		s->phase = STREAM_LIVE;
		t->demand[s->dir].failures_n = 0;
		t->demand[s->dir].next_open_us = 0;
		t->polls[s->dir].tail &= s->bounded;
		t->changed = true;
	}
}

void
stream_retire(struct tunnel *t, struct tunnel_stream *s, uint64_t now_us)
{
	struct batch *b;

	if (!stream_usable(s) || s->bounded)
		return;
	s->phase = STREAM_RETIRING;
	s->ending_us = now_us;
	s->u.w.path.open = false;
	stream_paths_follow(t);
	t->stats.streams_rotated++;
	t->changed = true;
	/* With no batch left its end comes by force, after dead_us. */
	b = batch_new(t, BATCH_END, now_us);
	if (b != NULL)
		batch_give(t, s, b, now_us);
}

void
stream_abort(struct tunnel *t, struct tunnel_stream *s, enum tunnel_why why)
{
	if (s->phase == STREAM_ABORTED)
		return;
	s->phase = STREAM_ABORTED;
	if (s->writes) {
		s->u.w.path.open = s->u.w.takes = false;
		stream_paths_follow(t);
	}
	t->changed = true;
	t->h.on_abort(t->arg, s, why);
}

/* What was not yet given out: voice may still be in time on another stream. */
static void
save_batches(struct tunnel *t, struct tunnel_stream *s)
{
	struct batch *b;

	while ((b = STAILQ_FIRST(&s->u.w.queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->u.w.queue, next);
		if (b->kind == BATCH_MEDIA && !b->again)
			STAILQ_INSERT_TAIL(&t->closed, b, next);
		else
			batch_free(t, b);
	}
}

void
stream_release(struct tunnel *t, struct tunnel_stream *s)
{
	struct tunnel_stream **list = t->streams[s->dir];
	size_t i;

	for (i = 0; list[i] != s; i++)
		;
	list[i] = list[--t->streams_n[s->dir]];
	t->over_n -= s->phase == STREAM_OVER;
	t->bounded_n -= s->bounded;
	stream_paths_follow(t);
	if (s->writes)
		save_batches(t, s);
	cipher_free(s->cipher);
	mem_free(s);
}

/* Acknowledgements that it carried may be lost: all are said again on another stream. */
static void
repeat_acks(struct tunnel *t, uint64_t now_us)
{
	enum tunnel_dir reads = t->writes == TUNNEL_UP ? TUNNEL_DOWN : TUNNEL_UP;

	for (size_t i = 0; i < t->streams_n[reads]; i++)
		t->streams[reads][i]->u.r.told_n = 0;
	t->reliable_news = true;
	t->ack_us = now_us;
}

void
tunnel_stream_gone(struct tunnel *t, struct tunnel_stream *s, enum tunnel_why why, uint64_t now_us)
{
	/* What was to bring a burst and brought nothing was no answer of the peer. */
	if (why == TUNNEL_WHY_ORDERLY && s->bounded && !s->writes && s->heard_us == 0)
		why = TUNNEL_WHY_CUT;
	t->stats.streams_ended[why]++;
	if (why == TUNNEL_WHY_MALFORMED || why == TUNNEL_WHY_UNSEALED)
		t->stats.malformed++;
	if (why != TUNNEL_WHY_ORDERLY) {
		demand_failed(t, s, why, now_us);
		if (s->writes) {
			reliable_tx_lost(&t->tx, s->serial);
			repeat_acks(t, now_us);
		}
	}
	t->changed = true;
	if (poll_over(t, s, why == TUNNEL_WHY_ORDERLY, now_us))
		return;
	if (s->phase == STREAM_LIVE && !s->bounded)
		t->alive_us[s->dir] = now_us;
	stream_release(t, s);
}
