/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "base/err.h"
#include "tunnel/impl.h"

/*
 * Bounded streams, for middleboxes that hand a body on only when it is whole. Each carries one burst:
 * all that waits when it is asked for. So a batch waits for a stream here and not on one, and is
 * gathered with others the longer the fewer requests there are. What a stream said is acknowledged
 * after its request is over; the record of it is kept for that.
 */

#define BURST_MAX 24000          /* bytes; what is more waits for the next one */
#define HOLD_US (200 * CLOCK_MS) /* beyond the heartbeat of its client, which would use it anyway */
#define CONNECT_US (2 * CLOCK_S) /* a request may take so long to get to the server */
#define UNANSWERED_US (250 * CLOCK_MS)
#define STALLED_US (100 * CLOCK_MS)
#define KEEP_US (100 * CLOCK_MS) /* longer than what may go again waits for that */
#define SPREAD 3                 /* of those that are not filled yet */
#define SPREAD_SHARE 1.25
#define STARVED_US CLOCK_S
#define FIRST_MAX 2 /* before one was ever answered */

static bool
said(const struct tunnel_stream *s)
{
	return s->phase == STREAM_ENDED;
}

/* Nothing is heard of a request in a time in which it should have been answered twice. */
static uint64_t
stalled_us(const struct tunnel *t)
{
	return 2 * sched_patience_us(output_srtt_us(t)) + STALLED_US;
}

bool
poll_on(const struct tunnel *t, enum tunnel_dir dir)
{
	return t->polls[dir].on || t->polls[dir].tail;
}

bool
poll_lives(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	const struct tunnel_polls *p = &t->polls[dir];

	return poll_on(t, dir) && p->heard_us != 0 &&
	    (now_us < p->heard_us + t->cfg.dead_us || now_us < t->judge_us);
}

/* -- Writing -- */

/* Where losses are heard a segment holds up what is behind it: a burst is then one batch, as long as the
 * requests suffice for that. */
bool
poll_spreads(const struct tunnel *t)
{
	double flying =
	    t->rate.batches_per_s * (double)(output_srtt_us(t) + 20 * CLOCK_MS) / CLOCK_S;

	return input_reported_level(t) > 0 && flying < SPREAD_SHARE * poll_max(t);
}

unsigned
poll_max(const struct tunnel *t)
{
	return t->cfg.connections_max < POLLS_MAX ? t->cfg.connections_max : POLLS_MAX;
}

/* Voice had to wait for a request of late: what goes twice would take the place of voice. */
bool
poll_starved(const struct tunnel *t, uint64_t now_us)
{
	const struct tunnel_polls *p = &t->polls[t->writes];

	return p->starved_us != 0 && now_us - p->starved_us < STARVED_US;
}

/*
 * The one that has waited for longest, so that none waits for ever; and one that has a burst already
 * rather than another one, or the other way round where they are to be spread.
 */
struct tunnel_stream *
poll_choose(const struct tunnel *t)
{
	struct tunnel_stream *best = NULL, *loaded = NULL;

	if (t->bounded_n == 0)
		return NULL;
	for (size_t i = 0; i < t->streams_n[t->writes]; i++) {
		struct tunnel_stream *s = t->streams[t->writes][i];

		if (!poll_takes(&s->u.w))
			continue;
		if (!STAILQ_EMPTY(&s->u.w.queue)) {
			if (loaded == NULL || s->u.w.queued_bytes < loaded->u.w.queued_bytes)
				loaded = s;
		} else if (best == NULL || s->serial < best->serial)
			best = s;
	}
	return loaded != NULL && (best == NULL || !poll_spreads(t)) ? loaded : best;
}

bool
poll_loaded(const struct tunnel *t)
{
	const struct tunnel_stream *s = poll_choose(t);

	return s != NULL && !STAILQ_EMPTY(&s->u.w.queue);
}

bool
poll_starves(const struct tunnel *t, uint64_t now_us)
{
	return !t->writable && poll_on(t, t->writes) &&
	    now_us < t->alive_us[t->writes] + t->cfg.dead_us;
}

void
poll_given(struct tunnel *t, struct tunnel_stream *s, const struct batch *b)
{
	s->u.w.queued_bytes += FRAME_HEADER_MAX + b->len;
	if (s->u.w.queued_bytes >= BURST_MAX)
		stream_paths_follow(t);
}

bool
poll_takes(const struct stream_writer *w)
{
	return w->takes && w->queued_bytes < BURST_MAX;
}

void
poll_wrote(struct tunnel *t, const struct tunnel_stream *s, bool wanting, uint64_t now_us)
{
	struct tunnel_polls *p = &t->polls[s->dir];

	p->wrote_us = now_us;
	if (wanting)
		p->asked_us = now_us;
}

size_t
poll_end(struct tunnel *t, struct tunnel_stream *s, uint8_t *out, uint64_t now_us)
{
	struct batch end = { .kind = BATCH_END };

	s->u.w.takes = false;
	s->phase = STREAM_ENDED;
	s->ending_us = now_us;
	stream_paths_follow(t);
	t->changed = true;
	return output_write(t, s, &end, out, now_us);
}

/* -- What is heard of them -- */

void
poll_accepted(struct tunnel *t, const struct tunnel_stream *s, uint64_t now_us)
{
	struct tunnel_polls *p = &t->polls[s->dir];

	if (p->on != s->bounded) {
		*p = (struct tunnel_polls){ .on = s->bounded, .since_us = now_us };
		t->changed = true;
	}
	/* While nothing is to be said, the requests that come are the sign of life of this direction. */
	if (s->bounded && s->writes) {
		p->heard_us = t->alive_us[s->dir] = t->heard_us[s->dir] = now_us;
		t->changed = true;
	}
}

void
poll_heard(struct tunnel *t, const struct tunnel_stream *s, uint64_t now_us)
{
	struct tunnel_polls *p = &t->polls[s->dir];

	if (p->heard_us == 0)
		t->changed = true;
	p->heard_us = now_us;
	if (s->opened_us > p->answered_us)
		p->answered_us = s->opened_us;
	t->demand[s->dir].failures_n = 0;
	t->demand[s->dir].next_open_us = 0;
}

static bool
to_be_kept(const struct tunnel *t, const struct tunnel_stream *s, uint64_t now_us)
{
	const struct stream_reader *r = &s->u.r;
	uint64_t age_us = now_us - s->ending_us;

	if (s->writes)
		return age_us < (s->u.w.path.outstanding > 0 ? stalled_us(t) : KEEP_US);
	return age_us < t->cfg.dead_us && r->wanting &&
	    (r->told_n != r->batches_n || (r->tellings_n > 0 && input_reported_level(t) > 0));
}

/* Of those that read, what came is to be acknowledged, though the rest of it was cut. */
bool
poll_over(struct tunnel *t, struct tunnel_stream *s, bool orderly, uint64_t now_us)
{
	if (!s->bounded || (s->writes && (!orderly || !said(s))))
		return false;
	s->ending_us = now_us;
	if (!to_be_kept(t, s, now_us))
		return false;
	s->phase = STREAM_OVER;
	s->user = NULL;
	t->over_n++;
	return true;
}

void
poll_sweep(struct tunnel *t, uint64_t now_us)
{
	for (int dir = 0; dir < 2; dir++)
		for (size_t i = t->streams_n[dir]; t->over_n > 0 && i-- > 0;) {
			struct tunnel_stream *s = t->streams[dir][i];

			if (s->phase == STREAM_OVER && !to_be_kept(t, s, now_us))
				stream_release(t, s);
		}
}

/* Room for a stream takes the place of one that is kept. ERR_FULL. */
int
poll_make_room(struct tunnel *t, enum tunnel_dir dir)
{
	if (t->streams_n[dir] < STREAMS_MAX)
		return 0;
	for (size_t i = 0; i < STREAMS_MAX && t->over_n > 0; i++)
		if (t->streams[dir][i]->phase == STREAM_OVER) {
			stream_release(t, t->streams[dir][i]);
			return 0;
		}
	return ERR_FULL;
}

/* -- How many -- */

struct count {
	unsigned idle;   /* a writer's that were not filled yet */
	unsigned flying; /* requests that are under way and will be answered, as far as is known */
	unsigned all;
};

/* Others that were made later have been answered, or are overdue; it may be lost, and takes no place. */
static bool
hung(const struct tunnel *t, const struct tunnel_stream *s, uint64_t now_us)
{
	if (s->due)
		return true;
	if (s->writes)
		return s->ending_us + stalled_us(t) < now_us;
	return s->opened_us + stalled_us(t) < t->polls[s->dir].answered_us;
}

static struct count
count(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	bool fills = dir == t->writes && t->cfg.role == TUNNEL_CLIENT;
	struct count c = { 0 };

	for (size_t i = 0; i < t->streams_n[dir]; i++) {
		const struct tunnel_stream *s = t->streams[dir][i];

		if (!s->bounded || !(stream_usable(s) || said(s)))
			continue;
		c.all++;
		if (fills && stream_usable(s))
			c.idle++;
		else if (t->cfg.role == TUNNEL_SERVER || !hung(t, s, now_us))
			c.flying++;
	}
	return c;
}

unsigned
poll_streams_n(const struct tunnel *t, enum tunnel_dir dir)
{
	struct count c = count(t, dir, 0);

	return c.all - c.idle;
}

bool
poll_short(const struct tunnel *t, enum tunnel_dir dir, unsigned wanted, uint64_t now_us)
{
	const struct tunnel_demand *d = &t->demand[dir];
	struct count c = count(t, dir, now_us);
	unsigned asked = d->asked_polls_n;

	if (c.all + asked >= 2 * POLLS_MAX)
		return false;
	if (d->failures_n > 0)
		wanted = 1;
	else if (t->polls[dir].heard_us == 0 && wanted > FIRST_MAX)
		wanted = FIRST_MAX;
	if (dir == t->writes && c.idle + asked >= (poll_spreads(t) ? SPREAD : 1))
		return false;
	return c.flying + c.idle + asked < wanted;
}

/* -- Time -- */

uint64_t
poll_dead_us(const struct tunnel *t, const struct tunnel_stream *s)
{
	uint64_t since = s->opened_us;

	if (s->phase == STREAM_ABORTED || s->phase == STREAM_OVER || (s->writes && !said(s)))
		return CLOCK_NEVER;
	if (said(s))
		since = s->ending_us;
	else if (s->heard_us != 0)
		since = s->heard_us;
	else if (t->cfg.role == TUNNEL_CLIENT)
		since += CONNECT_US;
	since += t->cfg.dead_us;
	return since > t->judge_us ? since : t->judge_us;
}

/* The client asked something and was not answered: TCP may be in its back-off, or all be cut. */
static uint64_t
unanswered_us(const struct tunnel *t)
{
	const struct tunnel_polls *p = &t->polls[t->writes];

	if (t->cfg.role != TUNNEL_CLIENT || p->asked_us == 0 || p->heard_us >= p->asked_us)
		return CLOCK_NEVER;
	return p->asked_us + UNANSWERED_US + 2 * output_srtt_us(t);
}

/* When something is to be said for the sake of saying it. */
static uint64_t
beat_us(const struct tunnel *t, const struct tunnel_stream *s)
{
	const struct tunnel_polls *p = &t->polls[t->writes];
	uint64_t beat = duty_heartbeat_us(t), due = p->wrote_us + beat, held_us;

	if (t->cfg.role == TUNNEL_CLIENT) {
		/* Only what is answered shows that the way up is there. */
		due = p->asked_us == 0 ? 0 : p->asked_us + beat;
		return unanswered_us(t) < due ? unanswered_us(t) : due;
	}
	/* Without calls the client asks, and its request is answered when it has waited for long. */
	held_us = s->opened_us + t->cfg.heartbeat_idle_us + HOLD_US;
	return duty_busy(t) && due < held_us ? due : held_us;
}

bool
poll_should_ask(const struct tunnel *t, uint64_t now_us)
{
	return t->cfg.role == TUNNEL_CLIENT &&
	    now_us - t->polls[t->writes].asked_us >= duty_heartbeat_us(t);
}

uint64_t
poll_due_us(const struct tunnel *t)
{
	const struct tunnel_stream *s = poll_choose(t);

	return s == NULL || !STAILQ_EMPTY(&s->u.w.queue) || s->u.w.release ? CLOCK_NEVER :
									     beat_us(t, s);
}

/* What waits for an answer on the connections that there are may wait in vain. */
static void
doubt(struct tunnel *t, uint64_t now_us)
{
	t->polls[t->writes].doubted_us = now_us;
	t->changed = true;
	for (size_t i = 0; i < t->streams_n[TUNNEL_DOWN]; i++)
		if (t->streams[TUNNEL_DOWN][i]->bounded)
			t->streams[TUNNEL_DOWN][i]->due = true;
}

static void
beat(struct tunnel *t, uint64_t now_us)
{
	struct tunnel_stream *s = poll_choose(t);

	if (t->cfg.role == TUNNEL_SERVER) {
		s->u.w.release = true;
		return;
	}
	if (unanswered_us(t) <= now_us)
		doubt(t, now_us);
	t->polls[t->writes].wrote_us = t->polls[t->writes].asked_us = now_us;
	output_ping(t, s, now_us);
}

void
poll_run(struct tunnel *t, uint64_t now_us)
{
	if (poll_due_us(t) <= now_us)
		beat(t, now_us);
	for (int dir = 0; t->cfg.role == TUNNEL_CLIENT && dir < 2; dir++)
		for (size_t i = 0; i < t->streams_n[dir]; i++) {
			struct tunnel_stream *s = t->streams[dir][i];

			/* It was in doubt, and another one was answered meanwhile. */
			if (s->bounded && s->due && !s->writes && stream_usable(s) &&
			    s->opened_us < t->polls[dir].answered_us)
				stream_abort(t, s, TUNNEL_WHY_DEAD);
		}
}

void
tunnel_set_bounded(struct tunnel *t, enum tunnel_dir dir, bool bounded, uint64_t now_us)
{
	struct tunnel_polls *p = &t->polls[dir];

	if (p->on == bounded)
		return;
	*p = (struct tunnel_polls){ .on = bounded, .tail = !bounded, .since_us = now_us };
	t->demand[dir].failures_n = 0;
	t->demand[dir].next_open_us = now_us;
	t->changed = true;
	/* What such a one was given is held back with it, acknowledgements too: it is said again. */
	for (size_t i = 0; bounded && i < t->streams_n[dir]; i++)
		if (!t->streams[dir][i]->bounded && t->streams[dir][i]->phase == STREAM_OPENING)
			stream_abort(t, t->streams[dir][i], TUNNEL_WHY_CUT);
}

bool
tunnel_stalls(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	const struct tunnel_polls *p = &t->polls[t->writes];

	return (t->kicked_us != 0 && t->alive_us[dir] <= t->kicked_us) ||
	    (p->doubted_us != 0 && p->heard_us <= p->doubted_us) || demand_stalls(t, dir, now_us);
}
