/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "base/err.h"
#include "tunnel/impl.h"

/*
 * How many streams there are. The writer of a direction says how many it wants, by its flow; for DOWN
 * that is HRAS, which tells the client. The client opens them and lets them go. One rule does that, in
 * each direction: open streams until as many as wanted are there that are not due for replacement; when
 * more than wanted are heard from, let one go, those due for replacement first. So a stream is
 * replaced only after its successor works, and one whose replacement fails keeps working.
 */

#define BACKOFF_BASE_US (100 * CLOCK_MS)
#define BACKOFF_CAP_US (5 * CLOCK_S)
#define ASKED_TIMEOUT_US (5 * CLOCK_S) /* on_wanted without tunnel_stream_open */
#define SHORT_LIFE_US (2 * CLOCK_S)    /* one that ends sooner counts as a failure to open */
#define OPENING_MAX 8                  /* at a time; a TLS handshake is work for both ends */
#define HUNG_US CLOCK_S                /* one that opens for so long is no hope any more */
#define CEILING_US (30 * CLOCK_S)
#define SHRINK_US (20 * CLOCK_S)
#define SHRINK_STEP_US CLOCK_S
#define BEHIND_SHARE 0.1 /* of the batches of voice */
#define BLIND 4          /* streams, while nothing is known of the flow */
#define SPARE 4          /* while voice goes by datagrams: to fall back on */
#define SPARE_THIN 2

/* While all streams stall: a fresh one so often, at first and after a while. */
#define BLACK_US (130 * CLOCK_MS) /* and a quarter of a round trip */
#define GIVE_UP_US (400 * CLOCK_MS)
#define HANGING_MAX 10
#define HANG_US (100 * CLOCK_MS) /* and four round trips */
#define FRESH_US (100 * CLOCK_MS)
#define FRESH_FOR_US (6 * CLOCK_S)
#define FRESH_LATER_US CLOCK_S
#define FRESH_LATER_FOR_US (60 * CLOCK_S)

struct count {
	unsigned opening, live;
	unsigned good;    /* opening or live, and not due for replacement */
	unsigned healthy; /* live, and not dead */
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
demand_failed(struct tunnel *t, const struct tunnel_stream *s, enum tunnel_why why, uint64_t now_us)
{
	struct tunnel_demand *d = &t->demand[s->dir];
	bool worked = s->heard_us != 0 && (s->bounded || now_us - s->opened_us >= SHORT_LIFE_US);

	/* One that is held back where bounded ones are opened now says nothing of these. */
	if (!s->bounded && t->polls[s->dir].on)
		return;
	/* Those opened together fail together: that is one failure, not four in a row. */
	if (worked || s->phase == STREAM_RETIRING || (s->phase == STREAM_ENDED && !s->bounded) ||
	    (d->failures_n > 0 && s->opened_us < d->failed_us))
		return;
	d->failed_us = now_us;
	d->next_open_us = now_us;
	if (d->failures_n > 0)
		d->next_open_us += tunnel_backoff_us(d->failures_n - 1, BACKOFF_BASE_US,
		    BACKOFF_CAP_US, &t->cfg.seed);
	/* A proxy that lets only so many through: what there is must do for a while. */
	if (++d->failures_n >= (s->bounded ? 1 : 2) && why != TUNNEL_WHY_DEAD &&
	    tunnel_streams_n(t, s->dir) > 0) {
		d->ceiling = tunnel_streams_n(t, s->dir);
		d->ceiling_us = now_us + CEILING_US;
	}
}

/* -- How many -- */

unsigned
demand_wanted(const struct tunnel *t, enum tunnel_dir dir)
{
	unsigned wanted = t->demand[dir].wanted;

	if (!duty_busy(t) && t->linger_us == 0)
		return 1;
	if (wanted == 0)
		wanted = BLIND;
	if (poll_on(t, dir)) {
		/* One call at least. */
		unsigned least =
		    sched_polls(&(struct sched_flow){ 50, true, t->srtt_us, 0 }, poll_max(t));

		wanted = wanted < least ? least : wanted;
		wanted = wanted < poll_max(t) ? wanted : poll_max(t);
	}
	return wanted < t->cfg.connections_max ? wanted : t->cfg.connections_max;
}

static void
set_wanted(struct tunnel *t, unsigned n, uint64_t now_us)
{
	uint8_t payload = (uint8_t)n;

	t->demand[t->writes].wanted = n;
	t->demand[t->writes].shrink_us = CLOCK_NEVER;
	t->changed = true;
	/* The peer opens them. When this is refused the next change says it. */
	if (t->cfg.role == TUNNEL_SERVER)
		(void)reliable_tx_push(&t->tx, KIND_WANT, &payload, sizeof(payload), now_us);
}

/* Much voice went behind unacknowledged data: cuts hold up more streams than single losses do. */
static unsigned
more(const struct tunnel *t, unsigned n)
{
	unsigned wanted = t->demand[t->writes].wanted, step = wanted + wanted / 4 + 1;

	n = n > step ? n : step;
	if (poll_on(t, t->writes) && n > poll_max(t))
		return poll_max(t);
	return n < t->cfg.connections_max ? n : t->cfg.connections_max;
}

/* Step by step: those that are left have to take up the load, and losses made their windows small. */
static void
shrink(struct tunnel *t, unsigned n, uint64_t now_us)
{
	struct tunnel_demand *d = &t->demand[t->writes];
	unsigned fewer = d->wanted - d->wanted / 8 - 1;

	set_wanted(t, n > fewer ? n : fewer, now_us);
	d->shrink_us = now_us - SHRINK_US + SHRINK_STEP_US;
}

/* More at once, fewer only after a while: what loses once will lose again. */
void
demand_flow(struct tunnel *t, uint64_t now_us)
{
	struct tunnel_demand *d = &t->demand[t->writes];
	bool congested = guard_congested(&t->guard, now_us);
	/* More streams do not carry more than the line does. */
	uint64_t rtt_us = congested ? guard_min_us(&t->guard) : output_srtt_us(t);
	struct sched_flow flow = { t->rate.batches_per_s, output_thin(t), rtt_us,
		output_level(t, now_us) };
	bool polls = poll_on(t, t->writes);
	unsigned n =
	    polls ? sched_polls(&flow, poll_max(t)) : sched_streams(&flow, t->cfg.connections_max);
	unsigned spare = flow.thin ? SPARE_THIN : SPARE;

	if (datapath_alone(t, now_us) && n > spare)
		n = spare;
	if (d->wanted == 0) {
		d->wanted = BLIND;
		d->shrink_us = CLOCK_NEVER;
	}
	if ((flow.level > 0 || polls) && !congested && t->rate.behind_share > BEHIND_SHARE &&
	    tunnel_streams_n(t, t->writes) >= d->wanted)
		n = more(t, n);
	if (n > d->wanted + d->wanted / 8)
		set_wanted(t, n, now_us);
	else if (n >= d->wanted - d->wanted / 4)
		d->shrink_us = CLOCK_NEVER;
	else if (d->shrink_us == CLOCK_NEVER)
		d->shrink_us = now_us;
	else if (now_us - d->shrink_us >= SHRINK_US)
		shrink(t, n, now_us);
}

static unsigned
to_have(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	const struct tunnel_demand *d = &t->demand[dir];
	unsigned n = demand_wanted(t, dir);

	return now_us < d->ceiling_us && d->ceiling < n ? d->ceiling : n;
}

static struct count
count_streams(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	struct count c = { 0 };

	for (size_t i = 0; i < t->streams_n[dir]; i++) {
		const struct tunnel_stream *s = t->streams[dir][i];
		bool hung = s->phase == STREAM_OPENING && now_us - s->opened_us >= HUNG_US;

		if (s->bounded)
			continue;
		c.opening += s->phase == STREAM_OPENING && !hung;
		c.live += s->phase == STREAM_LIVE;
		c.good += stream_usable(s) && !s->due && !hung;
		c.healthy += s->phase == STREAM_LIVE && !duty_dead(t, s, now_us);
	}
	return c;
}

/* While nothing gets through one stream at a time tries; the others wait for its success. */
static bool
short_of(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	const struct tunnel_demand *d = &t->demand[dir];
	struct count c = count_streams(t, dir, now_us);
	unsigned asked = d->asked_n - d->asked_polls_n, opening = c.opening + asked;

	if (t->polls[dir].on || opening >= (d->failures_n > 0 || c.healthy == 0 ? 1 : OPENING_MAX))
		return false;
	return c.good + asked < to_have(t, dir, now_us) &&
	    t->streams_n[dir] + d->asked_n < STREAMS_MAX;
}

/*
 * So long nothing may come of a direction before it is taken for cut. While voice flows something
 * comes all the time, be it acknowledgements.
 */
static uint64_t
patience_us(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	bool polled = poll_on(t, dir);
	/* A request that is answered takes the whole round trip until the next one can be. */
	uint64_t us = (polled ? output_srtt_us(t) : output_srtt_us(t) / 4) + BLACK_US;

	if (now_us - t->voice_us <= VOICE_PAUSE_US && t->voice_us - t->voice_since_us >= us)
		return us < SCHED_DEAD_US ? us : SCHED_DEAD_US;
	/* Bounded streams say nothing between two heartbeats. */
	return polled ? t->cfg.heartbeat_busy_us * 3 / 2 + 2 * t->srtt_us : SCHED_DEAD_US;
}

bool
demand_silent(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	return duty_busy(t) && now_us - t->heard_us[dir] >= patience_us(t, dir, now_us);
}

/*
 * How often a fresh stream is opened while a call is up and all that are there stall. What TCP sends
 * in a black-out is repeated ever more seldom, and so are its SYNs; a fresh one gets through first.
 * CLOCK_NEVER: it is not so.
 */
static uint64_t
fresh_every_us(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	uint64_t silent_us = now_us - t->heard_us[dir], patience = patience_us(t, dir, now_us);

	if (!demand_silent(t, dir, now_us) || silent_us > FRESH_LATER_FOR_US)
		return CLOCK_NEVER;
	if (patience == SCHED_DEAD_US && count_streams(t, dir, now_us).healthy > 0)
		return CLOCK_NEVER;
	/* On a line that is full each new stream makes it worse. */
	return silent_us < FRESH_FOR_US && !guard_congested(&t->guard, now_us) ? FRESH_US :
										 FRESH_LATER_US;
}

bool
demand_stalls(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	return fresh_every_us(t, dir, now_us) != CLOCK_NEVER;
}

static uint64_t
fresh_due_us(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	uint64_t every_us = fresh_every_us(t, dir, now_us);

	if (every_us != CLOCK_NEVER)
		return t->demand[dir].fresh_us + every_us;
	/* By then it may be so; while it is not known better, that is what to wake for. */
	return duty_busy(t) && !demand_silent(t, dir, now_us) ?
	    t->heard_us[dir] + patience_us(t, dir, now_us) :
	    CLOCK_NEVER;
}

/* While all of them are silent only fresh_every_us opens more. */
static bool
short_of_polls(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	unsigned n = dir == t->writes ? poll_max(t) : to_have(t, dir, now_us);

	if (now_us < t->demand[dir].ceiling_us && t->demand[dir].ceiling < n)
		n = t->demand[dir].ceiling;
	return poll_on(t, dir) && !demand_stalls(t, dir, now_us) && poll_short(t, dir, n, now_us);
}

/*
 * Whether there is room for a fresh stream. Those that are opening for longer than the request and its
 * answer take have lost their SYN, which TCP repeats only after a second; they make room.
 */
static bool
room_for_fresh(struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	struct tunnel_stream *oldest = NULL;
	unsigned n = t->demand[dir].asked_n;

	for (size_t i = 0; i < t->streams_n[dir]; i++) {
		struct tunnel_stream *s = t->streams[dir][i];

		if (s->phase != (s->bounded && s->writes ? STREAM_ENDED : STREAM_OPENING))
			continue;
		n++;
		if (oldest == NULL || s->opened_us < oldest->opened_us)
			oldest = s;
	}
	if (n >= HANGING_MAX && oldest != NULL &&
	    now_us - oldest->opened_us > 4 * output_srtt_us(t) + HANG_US)
		stream_abort(t, oldest, TUNNEL_WHY_DEAD);
	else if (n >= HANGING_MAX)
		return false;
	return t->streams_n[dir] + t->demand[dir].asked_n < STREAMS_MAX;
}

/*
 * How many at a time: a new connection carries ten segments in its first round trip, and many calls are
 * more than that. When those did not get through either, the line is black, and one tries at a time.
 */
static unsigned
fresh_n(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	unsigned n = 1 + to_have(t, dir, now_us) / 4;

	if (now_us - t->heard_us[dir] > patience_us(t, dir, now_us) + FRESH_US)
		return 1;
	return n < HANGING_MAX / 2 ? n : HANGING_MAX / 2;
}

/* When a cut lasts, what was there is replaced as soon as something works again. */
static void
give_up(struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	if (now_us - t->heard_us[dir] < GIVE_UP_US)
		return;
	for (size_t i = 0; i < t->streams_n[dir]; i++)
		if (t->streams[dir][i]->phase == STREAM_LIVE || t->streams[dir][i]->bounded)
			t->streams[dir][i]->due = true;
}

static void
ask(struct tunnel *t, enum tunnel_dir dir, bool bounded, uint64_t now_us)
{
	struct tunnel_demand *d = &t->demand[dir];

	d->asked_n++;
	d->asked_polls_n += bounded;
	d->asked_us = d->fresh_us = now_us;
	t->h.on_wanted(t->arg, dir);
}

static void
open_missing(struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	struct tunnel_demand *d = &t->demand[dir];

	if (d->asked_n > 0 && now_us - d->asked_us >= ASKED_TIMEOUT_US)
		d->asked_n = d->asked_polls_n = 0;
	while (short_of(t, dir, now_us) && now_us >= d->next_open_us)
		ask(t, dir, false, now_us);
	while (short_of_polls(t, dir, now_us) && now_us >= d->next_open_us)
		ask(t, dir, true, now_us);
	if (fresh_due_us(t, dir, now_us) > now_us)
		return;
	/* Also when there is no room for one: it is tried again in time, and not at once. */
	d->fresh_us = now_us;
	give_up(t, dir, now_us);
	/* One that waits to be filled will do. */
	if (t->polls[dir].on && dir == t->writes && poll_choose(t) != NULL)
		return;
	for (unsigned n = fresh_n(t, dir, now_us); n > 0 && room_for_fresh(t, dir, now_us); n--)
		ask(t, dir, t->polls[dir].on, now_us);
}

/* Which to let go: one due for replacement, else the one that has been silent longest. */
static struct tunnel_stream *
worst(const struct tunnel *t, enum tunnel_dir dir)
{
	struct tunnel_stream *w = NULL;

	for (size_t i = 0; i < t->streams_n[dir]; i++) {
		struct tunnel_stream *s = t->streams[dir][i];

		if (s->phase != STREAM_LIVE || s->bounded)
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

	/*
	 * What TCP still has for it would come far too late. One to be read that is only old may just be
	 * resting: then it has nothing to say for longer than this.
	 */
	if (duty_dead(t, s, now_us) && (s->writes || !s->aged)) {
		stream_abort(t, s, TUNNEL_WHY_DEAD);
		return 0;
	}
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

/* When bounded ones work the others are of no use any more. */
static unsigned
to_keep(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	return poll_lives(t, dir, now_us) && t->polls[dir].on ? 0 : to_have(t, dir, now_us);
}

void
demand_run(struct tunnel *t, uint64_t now_us)
{
	if (!duty_busy(t) && t->linger_us != 0 && now_us >= t->linger_us)
		t->linger_us = 0;
	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++) {
		open_missing(t, dir, now_us);
		while (count_streams(t, dir, now_us).live > to_keep(t, dir, now_us))
			if (let_go(t, worst(t, dir), now_us) < 0)
				break;
	}
}

/* When one that is opening is no hope any more, and another one is opened instead. */
static uint64_t
hung_due_us(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	uint64_t due = CLOCK_NEVER;

	for (size_t i = 0; i < t->streams_n[dir]; i++) {
		const struct tunnel_stream *s = t->streams[dir][i];
		uint64_t at = s->opened_us + HUNG_US;

		if (s->phase == STREAM_OPENING && at > now_us && at < due)
			due = at;
	}
	return due;
}

static uint64_t
direction_due_us(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	const struct tunnel_demand *d = &t->demand[dir];
	uint64_t timeout = d->asked_us + ASKED_TIMEOUT_US, due = fresh_due_us(t, dir, now_us);
	uint64_t hung = hung_due_us(t, dir, now_us);

	due = hung < due ? hung : due;
	if (d->asked_n > 0 && timeout < due)
		due = timeout;
	if ((short_of(t, dir, now_us) || short_of_polls(t, dir, now_us)) && d->next_open_us < due)
		due = d->next_open_us;
	return due;
}

uint64_t
demand_due_us(const struct tunnel *t, uint64_t now_us)
{
	uint64_t due = !duty_busy(t) && t->linger_us != 0 ? t->linger_us : CLOCK_NEVER;
	uint64_t up = direction_due_us(t, TUNNEL_UP, now_us);
	uint64_t down = direction_due_us(t, TUNNEL_DOWN, now_us);

	due = up < due ? up : due;
	return down < due ? down : due;
}

void
tunnel_retry(struct tunnel *t, uint64_t now_us)
{
	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++) {
		struct tunnel_demand *d = &t->demand[dir];

		d->failures_n = 0;
		d->next_open_us = now_us;
		d->asked_n = d->asked_polls_n = 0;
		d->ceiling_us = 0;
	}
	t->changed = true;
}

void
tunnel_stream_replace(struct tunnel *t, struct tunnel_stream *s)
{
	s->due = true;
	t->changed = true;
}

bool
tunnel_silent(const struct tunnel *t, enum tunnel_dir dir, uint64_t now_us)
{
	if (fresh_every_us(t, dir, now_us) != CLOCK_NEVER)
		return true;
	return tunnel_streams_n(t, dir) == 0 &&
	    now_us - t->alive_us[dir] >= patience_us(t, dir, now_us);
}

void
tunnel_kick(struct tunnel *t, uint64_t now_us)
{
	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++) {
		for (size_t i = 0; i < t->streams_n[dir]; i++)
			t->streams[dir][i]->due = true;
	}
	t->kicked_us = now_us;
	datapath_kick(t, now_us);
	tunnel_retry(t, now_us);
}
