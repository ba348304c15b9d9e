/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tunnel/impl.h"

/* The life of a stream, from the request to its end. */

static void
paths_follow(struct tunnel *t)
{
	t->writable = false;
	for (size_t i = 0; i < t->streams_n[t->writes]; i++)
		t->writable |= (t->paths[i] = &t->streams[t->writes][i]->u.w.path)->open;
}

static void
writer_init(struct tunnel *t, struct tunnel_stream *s, uint64_t now_us)
{
	s->u.w.path.open = true;
	s->u.w.path.opened_us = now_us;
	paths_follow(t);
	STAILQ_INIT(&s->u.w.queue);
	s->u.w.path.waiting_us = s->u.w.path.oldest_us = CLOCK_NEVER;
	/* The first thing said is a question, so that both ends soon know that the way is open. */
	output_ping(t, s, now_us);
}

struct tunnel_stream *
stream_new(struct tunnel *t, enum tunnel_dir dir, uint32_t serial, void *user, uint64_t now_us)
{
	struct tunnel_stream *s = mem_zalloc(sizeof(*s));

	s->dir = dir;
	s->writes = dir == t->writes;
	s->serial = serial;
	s->user = user;
	s->opened_us = now_us;
	s->rotate_bytes = UINT64_MAX;
	s->rotate_us = CLOCK_NEVER;
	t->streams[dir][t->streams_n[dir]++] = s;
	if (s->writes)
		writer_init(t, s, now_us);
	t->stats.streams_opened++;
	t->changed = true;
	return s;
}

int
tunnel_stream_open(struct tunnel *t, enum tunnel_dir dir, void *user, uint64_t now_us,
    char path[static TUNNEL_PATH_MAX], struct tunnel_stream **out)
{
	struct tunnel_stream *s;

	if (t->streams_n[dir] == STREAMS_MAX)
		return ERR_FULL;
	s = stream_new(t, dir, t->next_serial++, user, now_us);
	if (t->cfg.rotate_bytes != 0)
		s->rotate_bytes = demand_jitter(t, t->cfg.rotate_bytes);
	if (t->cfg.rotate_age_us != 0)
		s->rotate_us = now_us + demand_jitter(t, t->cfg.rotate_age_us);
	if (t->demand[dir].asked_n > 0)
		t->demand[dir].asked_n--;
	request_print(&t->grant, dir, s->serial, path);
	*out = s;
	return 0;
}

int
tunnel_stream_accept(struct tunnel *t, const struct tunnel_request *r, void *user, uint64_t now_us,
    struct tunnel_stream **out)
{
	int err;

	if (!request_genuine(&t->grant, r))
		return ERR_AUTH;
	if (t->streams_n[r->dir] == STREAMS_MAX)
		return ERR_FULL;
	err = request_window_use(&t->used, r->serial);
	if (err < 0)
		return err;
	*out = stream_new(t, r->dir, r->serial, user, now_us);
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
	t->alive_us[s->dir] = now_us;
	if (s->phase == STREAM_OPENING) {
		s->phase = STREAM_LIVE;
		t->demand[s->dir].failures_n = 0;
		t->demand[s->dir].next_open_us = 0;
		t->changed = true;
	}
}

void
stream_retire(struct tunnel *t, struct tunnel_stream *s, uint64_t now_us)
{
	struct batch *b;

	if (!stream_usable(s))
		return;
	s->phase = STREAM_RETIRING;
	s->ending_us = now_us;
	s->u.w.path.open = false;
	paths_follow(t);
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
		s->u.w.path.open = false;
		paths_follow(t);
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
	paths_follow(t);
	if (s->writes)
		save_batches(t, s);
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
	t->stats.streams_ended[why]++;
	if (why == TUNNEL_WHY_MALFORMED)
		t->stats.malformed++;
	if (why != TUNNEL_WHY_ORDERLY) {
		demand_failed(t, s, why, now_us);
		if (s->writes) {
			reliable_tx_lost(&t->tx, s->serial);
			repeat_acks(t, now_us);
		}
	}
	if (s->phase == STREAM_LIVE)
		t->alive_us[s->dir] = now_us;
	stream_release(t, s);
	t->changed = true;
}
