/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "base/err.h"
#include "tunnel/impl.h"

/*
 * What happens because time passes: heartbeats, the dead-man timer, repetition, the state. Each
 * duty has one function that says when it is due, and duty_run does what that says, so that
 * tunnel_deadline can never promise something else than tunnel_tick does.
 */

#define RELIABLE_AGE_US (32 * CLOCK_S) /* as long as a SIP transaction lives, RFC 3261 timer B */
#define RETRY_IDLE_US (250 * CLOCK_MS)
#define RETRY_HOLD_US (30 * CLOCK_MS) /* so long an acknowledgement may wait for company */
#define RETRY_MIN_US (60 * CLOCK_MS)
#define LINGER_US (30 * CLOCK_S)
#define SUSPECT_BEATS 3
#define CROWD_N 4
#define CROWD_MAX 4
#define MEASURE_BEATS 2
#define ANSWER_US \
	(700 * CLOCK_MS) /* and two round trips: TCP has repeated a lost segment by then */
#define STANDSTILL_US (500 * CLOCK_MS) /* a tick so late: this machine slept, not the peer */
#define CATCH_UP_US CLOCK_S            /* then what came meanwhile is read first */

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t
after(uint64_t us, uint64_t wait_us)
{
	return us == CLOCK_NEVER ? CLOCK_NEVER : us + wait_us;
}

void
duty_soon(struct tunnel *t, uint64_t due_us)
{
	t->slow_us = earlier(t->slow_us, due_us);
}

bool
duty_busy(const struct tunnel *t)
{
	return t->busy || t->peer_busy;
}

void
duty_busy_changed(struct tunnel *t, uint64_t now_us)
{
	bool was = t->busy_since_us != CLOCK_NEVER, is = duty_busy(t);

	/* The peer is to know at once; a batch without frames says it. */
	t->ack_us = now_us;
	if (was == is)
		return;
	datapath_busy(t, now_us);
	if (is) {
		/* What was learnt of the line in another call may be of another line. */
		guard_init(&t->guard, t->srtt_us, now_us);
		t->demand[TUNNEL_UP].wanted = t->demand[TUNNEL_DOWN].wanted = 0;
	}
	t->busy_since_us = is ? now_us : CLOCK_NEVER;
	t->linger_us = is ? 0 : now_us + LINGER_US;
	t->changed = true;
}

/* -- Of one stream -- */

/*
 * Without calls HRAC asks and HRAS answers, which proves both directions by one exchange. HRAS is a
 * little slower to ask by itself, so that it does so only when HRAC is silent.
 */
uint64_t
duty_heartbeat_us(const struct tunnel *t)
{
	uint64_t us = duty_busy(t) ? t->cfg.heartbeat_busy_us : t->cfg.heartbeat_idle_us;

	return t->cfg.role == TUNNEL_SERVER ? us + us / 8 : us;
}

/*
 * While voice flows a stream that rests need not say so often that it is there, and the less the more
 * of them there are: that the line is there the others say.
 */
static unsigned
crowd(const struct tunnel *t, enum tunnel_dir dir)
{
	size_t n = t->streams_n[dir] / CROWD_N;

	return n < 2 ? 2 : n < CROWD_MAX ? (unsigned)n : CROWD_MAX;
}

static uint64_t
beat_us(const struct tunnel *t, const struct tunnel_stream *s)
{
	if (!s->writes || !stream_usable(s))
		return CLOCK_NEVER;
	if (t->rests[s->dir])
		return s->u.w.written_us + duty_heartbeat_us(t) * CROWD_MAX;
	if (duty_busy(t) && s->u.w.written_us < t->voice_us)
		return s->u.w.written_us + duty_heartbeat_us(t) * crowd(t, s->dir);
	return s->u.w.written_us + duty_heartbeat_us(t);
}

/* Since when the peer owes us a sign on this stream; CLOCK_NEVER = it does not. */
static uint64_t
silent_since_us(const struct tunnel_stream *s)
{
	if (s->phase == STREAM_RETIRING || s->phase == STREAM_ENDED)
		return s->ending_us;
	if (s->writes)
		return s->u.w.path.waiting_us;
	return s->heard_us != 0 ? s->heard_us : s->opened_us;
}

static uint64_t
dead_us(const struct tunnel *t, const struct tunnel_stream *s)
{
	if (s->phase == STREAM_ABORTED || silent_since_us(s) == CLOCK_NEVER)
		return CLOCK_NEVER;
	return later(silent_since_us(s) + t->cfg.dead_us, t->judge_us);
}

bool
duty_dead(const struct tunnel *t, const struct tunnel_stream *s, uint64_t now_us)
{
	uint64_t since = silent_since_us(s), beat = t->cfg.heartbeat_busy_us;

	if (since == CLOCK_NEVER || t->busy_since_us == CLOCK_NEVER)
		return false;
	since = later(since, t->busy_since_us);
	if (!s->writes)
		since = later(since, t->rested_us[s->dir]);
	return now_us > since + (s->writes ? SCHED_DEAD_US : beat + beat / 2 + 2 * t->srtt_us);
}

/*
 * Without calls nothing flows but questions and answers. A firewall that forgets idle connections makes
 * them vanish, and so would the next call: one that is not answered in time is doubt enough.
 */
static uint64_t
unanswered_us(const struct tunnel *t, const struct tunnel_stream *s)
{
	uint64_t since = s->writes ? s->u.w.path.waiting_us : t->asked_us;

	return later(after(since, ANSWER_US + 2 * t->srtt_us), t->judge_us);
}

/*
 * While calls are up the dead-man timer is slow: the client opens another stream in the place of
 * one that is stalled or missed a few heartbeats, and the suspect one goes only when the other one
 * works.
 */
static uint64_t
suspect_us(const struct tunnel *t, const struct tunnel_stream *s)
{
	uint64_t beat = t->cfg.heartbeat_busy_us, since = silent_since_us(s);
	uint64_t all_since = t->alive_us[s->dir];

	if (t->cfg.role != TUNNEL_CLIENT || s->due || s->phase != STREAM_LIVE ||
	    since == CLOCK_NEVER)
		return CLOCK_NEVER;
	if (t->busy_since_us == CLOCK_NEVER)
		return unanswered_us(t, s);
	since = later(since, t->busy_since_us);
	all_since = later(all_since, t->busy_since_us);
	if (s->writes)
		return later(since + SCHED_DEAD_US, t->judge_us);
	if (t->rests[s->dir])
		return CLOCK_NEVER;
	since = later(since, t->rested_us[s->dir]);
	all_since = later(all_since, t->rested_us[s->dir]);
	/* One may be unlucky; when none of them says a word there is little doubt. */
	since = earlier(since + SUSPECT_BEATS * crowd(t, s->dir) * beat,
	    all_since + beat + beat / 2 + 2 * t->srtt_us);
	return later(since, t->judge_us);
}

static uint64_t
replace_us(const struct tunnel *t, const struct tunnel_stream *s)
{
	if (s->due || !stream_usable(s))
		return CLOCK_NEVER;
	return earlier(s->rotate_us, suspect_us(t, s));
}

static uint64_t
stream_due_us(const struct tunnel *t, const struct tunnel_stream *s)
{
	if (s->bounded)
		return poll_dead_us(t, s);
	return earlier(earlier(beat_us(t, s), dead_us(t, s)), replace_us(t, s));
}

static void
stream_duty(struct tunnel *t, struct tunnel_stream *s, uint64_t now_us)
{
	if ((s->bounded ? poll_dead_us(t, s) : dead_us(t, s)) <= now_us)
		stream_abort(t, s, TUNNEL_WHY_DEAD);
	if (s->bounded || s->phase == STREAM_ABORTED)
		return;
	if (replace_us(t, s) <= now_us) {
		s->due = true;
		s->aged = s->rotate_us <= now_us;
	}
	if (beat_us(t, s) <= now_us)
		output_ping(t, s, now_us);
}

/* What was to be heard on streams that rested counts from when they did so last. */
static void
follow_rest(struct tunnel *t, uint64_t now_us)
{
	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++) {
		t->rests[dir] = duty_busy(t) && datapath_carries(t, dir, now_us);
		if (t->rests[dir])
			t->rested_us[dir] = now_us;
	}
}

/* -- Of the session -- */

uint64_t
duty_retry_us(const struct tunnel *t)
{
	uint64_t srtt_us = output_srtt_us(t);

	if (!duty_busy(t) || srtt_us == 0)
		return later(2 * srtt_us, RETRY_IDLE_US);
	return later(srtt_us + srtt_us / 4 + RETRY_HOLD_US, RETRY_MIN_US);
}

/* Repeating on the same stream would help nothing: TCP does that better. */
static uint64_t
retry_us(const struct tunnel *t)
{
	const struct reliable_fragment *f = TAILQ_FIRST(&t->tx.list);

	if (f == NULL || f->serial == 0 || !output_elsewhere(t, f->serial))
		return CLOCK_NEVER;
	return reliable_tx_retry_us(&t->tx, duty_retry_us(t));
}

static uint64_t
broken_us(const struct tunnel *t)
{
	if (t->broken_told)
		return CLOCK_NEVER;
	return t->broken ? 0 : after(reliable_tx_oldest_us(&t->tx), RELIABLE_AGE_US);
}

/* Under load no stream is ever silent, but the round trip is to be known all the same. */
static uint64_t
measure_us(const struct tunnel *t)
{
	return duty_busy(t) && t->writable ? t->pinged_us + MEASURE_BEATS * duty_heartbeat_us(t) :
					     CLOCK_NEVER;
}

static bool
streams_live(const struct tunnel *t, enum tunnel_dir dir)
{
	for (size_t i = 0; i < t->streams_n[dir]; i++)
		if (t->streams[dir][i]->phase == STREAM_LIVE && !t->streams[dir][i]->bounded)
			return true;
	return false;
}

static bool
direction_lives(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	return streams_live(t, dir) || poll_lives(t, dir, now_us);
}

/* A direction has so long to get a stream again; a link that is only cut and mended stays up. */
static uint64_t
down_us(const struct tunnel *t)
{
	uint64_t due = CLOCK_NEVER;

	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++)
		if (t->state != TUNNEL_DOWN_STATE && !streams_live(t, dir))
			due = earlier(due, later(t->alive_us[dir] + t->cfg.dead_us, t->judge_us));
	return due;
}

static void
set_state(struct tunnel *t, enum tunnel_state state)
{
	if (state == t->state)
		return;
	t->state = state;
	t->h.on_state(t->arg, state);
}

static void
state_duty(struct tunnel *t, uint64_t now_us)
{
	if (direction_lives(t, TUNNEL_UP, now_us) && direction_lives(t, TUNNEL_DOWN, now_us))
		set_state(t, TUNNEL_UP_STATE);
	else if (down_us(t) <= now_us)
		set_state(t, TUNNEL_DOWN_STATE);
}

uint64_t
duty_due_us(const struct tunnel *t, uint64_t now_us)
{
	uint64_t due = earlier(retry_us(t), broken_us(t));

	due = earlier(due, earlier(measure_us(t), down_us(t)));
	due = earlier(due, poll_due_us(t));
	for (size_t dir = 0; dir < 2; dir++)
		for (size_t i = 0; i < t->streams_n[dir]; i++)
			due = earlier(due, stream_due_us(t, t->streams[dir][i]));
	due = earlier(due, rekey_due_us(t));
	return t->cfg.role == TUNNEL_CLIENT ? earlier(due, demand_due_us(t, now_us)) : due;
}

void
duty_run(struct tunnel *t, uint64_t now_us)
{
	t->changed = false;
	/* Not twice in a row: a duty that stays undone must not put off the dead-man for ever. */
	if (after(t->slow_us, STANDSTILL_US) < now_us && t->judge_us + t->cfg.dead_us < now_us)
		t->judge_us = now_us + CATCH_UP_US;
	follow_rest(t, now_us);
	for (size_t dir = 0; dir < 2; dir++)
		for (size_t i = 0; i < t->streams_n[dir]; i++)
			stream_duty(t, t->streams[dir][i], now_us);
	poll_run(t, now_us);
	if (retry_us(t) <= now_us)
		reliable_tx_retry(&t->tx, duty_retry_us(t), now_us);
	if (measure_us(t) <= now_us)
		output_ping(t, NULL, now_us);
	state_duty(t, now_us);
	rekey_run(t, now_us);
	if (t->cfg.role == TUNNEL_CLIENT)
		demand_run(t, now_us);
	if (broken_us(t) <= now_us) {
		t->broken_told = true;
		t->h.on_broken(t->arg);
	}
	t->slow_us = duty_due_us(t, now_us);
}
