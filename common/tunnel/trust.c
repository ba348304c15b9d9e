/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/trust.h"

#include "base/clock.h"

#define NOTE_US (100 * CLOCK_MS)
#define BURST_US (500 * CLOCK_MS)
#define LOST_SHARE 100           /* more than one in so many lost ... */
#define BURST_SHARE 10           /* ... or one in so many of half a second ... */
#define DOUBT_N 2                /* ... and so many at least make doubt, ... */
#define LEFT_N 3                 /* ... and so many certainty, ... */
#define LEFT_US (200 * CLOCK_MS) /* ... when it has been doubted for so long */
#define CALM_US TRUST_SPAN_US
#define LATE_US (100 * CLOCK_MS)
#define LATE_MIN_US (150 * CLOCK_MS)
#define SILENT_US CLOCK_S
#define WAIT_MIN_US TRUST_TRIAL_US
#define WAIT_NEXT_US (30 * CLOCK_S)
#define WAIT_MAX_US (600 * CLOCK_S)
#define PROVED_US (60 * CLOCK_S)
#define TRIAL_N 50
#define TRIAL_SHARE 200 /* one lost in more than so many does not fail a trial */

static void
set_state(struct trust *t, enum trust_state state, uint64_t now_us)
{
	if (t->state == TRUST_LEFT && state == TRUST_GOOD)
		t->returned_n++;
	t->state = state;
	t->since_us = now_us;
}

void
trust_forget(struct trust *t, uint64_t now_us)
{
	set_state(t, TRUST_NONE, now_us);
	t->notes_n = 0;
	t->told_us = 0;
	t->waiting_us = CLOCK_NEVER;
	t->wait_us = 0;
	t->trying = false;
}

void
trust_init(struct trust *t, uint64_t now_us)
{
	*t = (struct trust){ .state = TRUST_NONE };
	trust_forget(t, now_us);
}

const char *
trust_state_str(enum trust_state state)
{
	static const char *const names[] = { "unknown", "good", "in doubt", "left" };

	return names[state];
}

/* -- What was lost -- */

static const struct trust_note *
note_at(const struct trust *t, unsigned back)
{
	return &t->notes[(t->notes_n - 1 - back) % TRUST_NOTES];
}

static unsigned
notes_have(const struct trust *t)
{
	return t->notes_n < TRUST_NOTES ? t->notes_n : TRUST_NOTES;
}

/* What changes places on the way is missing for a moment: the least of a tenth of a second counts. */
static void
note(struct trust *t, uint64_t now_us)
{
	struct trust_note *last =
	    t->notes_n == 0 ? NULL : &t->notes[(t->notes_n - 1) % TRUST_NOTES];

	if (last == NULL || now_us - last->at_us >= NOTE_US) {
		t->notes[t->notes_n++ % TRUST_NOTES] =
		    (struct trust_note){ now_us, t->through, t->missing };
		return;
	}
	last->through = t->through;
	if (t->missing < last->missing)
		last->missing = t->missing;
}

struct span {
	uint64_t sent, lost;
};

static struct span
look_back(const struct trust *t, uint64_t span_us, uint64_t now_us)
{
	const struct trust_note *from, *to;
	uint64_t missing;

	if (t->notes_n == 0)
		return (struct span){ 0 };
	to = from = note_at(t, 0);
	missing = to->missing;
	if (notes_have(t) > 1 && note_at(t, 1)->missing < missing)
		missing = note_at(t, 1)->missing;
	for (unsigned i = 1; i < notes_have(t) && now_us - from->at_us < span_us; i++)
		from = note_at(t, i);
	return (struct span){ to->through - from->through,
		missing > from->missing ? missing - from->missing : 0 };
}

double
trust_loss(const struct trust *t, uint64_t now_us)
{
	struct span s = look_back(t, TRUST_SPAN_US, now_us);

	if (s.sent == 0)
		return 0;
	return s.lost >= s.sent ? 1 : (double)s.lost / (double)s.sent;
}

static bool
too_many(const struct trust *t, unsigned least, uint64_t now_us)
{
	struct span all = look_back(t, TRUST_SPAN_US, now_us);
	struct span burst = look_back(t, BURST_US, now_us);

	return (all.lost >= least && all.lost * LOST_SHARE > all.sent) ||
	    (burst.lost >= least && burst.lost * BURST_SHARE >= burst.sent);
}

/* -- Silence -- */

/*
 * An answer has been due for so long, and nothing was told for a while: behind a queue answers are late,
 * too, but they come.
 */
static bool
overdue(const struct trust *t, uint64_t due_us, uint64_t quiet_us, uint64_t now_us)
{
	return t->waiting_us != CLOCK_NEVER && now_us > t->waiting_us + due_us &&
	    now_us > t->told_us + quiet_us;
}

static uint64_t
late_us(uint64_t srtt_us)
{
	return srtt_us + LATE_US > LATE_MIN_US ? srtt_us + LATE_US : LATE_MIN_US;
}

static bool
is_late(const struct trust *t, uint64_t srtt_us, uint64_t now_us)
{
	return overdue(t, late_us(srtt_us), LATE_US, now_us);
}

static bool
is_dead(const struct trust *t, uint64_t srtt_us, uint64_t now_us)
{
	uint64_t us = 2 * srtt_us > SILENT_US ? 2 * srtt_us : SILENT_US;

	return overdue(t, us, us / 2, now_us);
}

/* -- The states -- */

static void
rest(struct trust *t, uint64_t now_us)
{
	if (t->wait_us == 0)
		t->wait_us = WAIT_MIN_US;
	else if (t->wait_us < WAIT_NEXT_US)
		t->wait_us = WAIT_NEXT_US;
	else
		t->wait_us = 2 * t->wait_us < WAIT_MAX_US ? 2 * t->wait_us : WAIT_MAX_US;
	t->trial_us = now_us + t->wait_us - TRUST_TRIAL_US;
	t->trying = false;
}

static void
leave(struct trust *t, enum trust_why why, uint64_t now_us)
{
	set_state(t, TRUST_LEFT, now_us);
	t->why = why;
	t->left_n[why]++;
	rest(t, now_us);
}

static void
run_good(struct trust *t, uint64_t srtt_us, uint64_t now_us)
{
	t->silent = is_late(t, srtt_us, now_us);
	if (t->silent || too_many(t, DOUBT_N, now_us)) {
		/* What was good for a minute was no failure. */
		if (now_us - t->since_us >= PROVED_US)
			t->wait_us = 0;
		set_state(t, TRUST_DOUBT, now_us);
	}
}

static void
run_doubt(struct trust *t, uint64_t srtt_us, uint64_t now_us)
{
	uint64_t age_us = now_us - t->since_us;

	if (is_dead(t, srtt_us, now_us))
		leave(t, TRUST_WHY_SILENCE, now_us);
	else if (age_us >= LEFT_US && too_many(t, LEFT_N, now_us))
		leave(t, TRUST_WHY_LOSS, now_us);
	else if (age_us >= CALM_US && !is_late(t, srtt_us, now_us) && !too_many(t, DOUBT_N, now_us))
		set_state(t, TRUST_GOOD, now_us);
}

/* What was sent before may be missing too, and is told with the first that comes: it does not count. */
static void
try_again(struct trust *t)
{
	t->trying = true;
	t->trial_from = t->sent;
	t->clean_us = CLOCK_NEVER;
}

static void
run_trial(struct trust *t, uint64_t now_us)
{
	uint64_t sent = t->through - t->clean_through, lost = 0;

	if (t->missing > t->clean_missing)
		lost = t->missing - t->clean_missing;
	if (lost >= DOUBT_N && lost * TRIAL_SHARE > sent) {
		rest(t, now_us);
	} else if (now_us - t->clean_us >= TRUST_TRIAL_US && sent >= TRIAL_N &&
	    lost * TRIAL_SHARE <= sent) {
		t->notes_n = 0;
		set_state(t, TRUST_GOOD, now_us);
	}
}

static void
run_left(struct trust *t, uint64_t srtt_us, uint64_t now_us)
{
	if (now_us < t->trial_us)
		return;
	if (!t->trying)
		try_again(t);
	if (is_dead(t, srtt_us, now_us)) {
		try_again(t);
		if (t->told_us >= t->trial_us)
			t->trial_us = now_us;
		else if (now_us - t->trial_us >= TRUST_TRIAL_US)
			rest(t, now_us);
	} else if (t->clean_us != CLOCK_NEVER) {
		run_trial(t, now_us);
	} else if (t->through > t->trial_from) {
		t->clean_us = now_us;
		t->clean_through = t->through;
		t->clean_missing = t->missing;
	}
}

void
trust_run(struct trust *t, uint64_t srtt_us, bool busy, uint64_t now_us)
{
	t->run_us = now_us;
	if (!busy && t->state != TRUST_LEFT && is_dead(t, srtt_us, now_us))
		trust_forget(t, now_us);
	switch (t->state) {
	case TRUST_NONE:
		break;
	case TRUST_GOOD:
		run_good(t, srtt_us, now_us);
		break;
	case TRUST_DOUBT:
		run_doubt(t, srtt_us, now_us);
		break;
	case TRUST_LEFT:
		run_left(t, srtt_us, now_us);
		break;
	}
}

bool
trust_tries(const struct trust *t, uint64_t now_us)
{
	return t->state == TRUST_LEFT && now_us >= t->trial_us;
}

uint64_t
trust_due_us(const struct trust *t, uint64_t srtt_us)
{
	uint64_t late, quiet = t->told_us + LATE_US + 1;

	if (t->state == TRUST_GOOD && t->waiting_us != CLOCK_NEVER) {
		late = t->waiting_us + late_us(srtt_us) + 1;
		return late > quiet ? late : quiet;
	}
	return t->state == TRUST_DOUBT ? t->run_us + NOTE_US : CLOCK_NEVER;
}

/* -- What happens -- */

void
trust_sent(struct trust *t, uint64_t number, bool wants, uint64_t now_us)
{
	t->sent = number;
	if (wants && t->waiting_us == CLOCK_NEVER)
		t->waiting_us = now_us;
}

void
trust_told(struct trust *t, uint64_t through, uint64_t missing, uint64_t next_us, uint64_t now_us)
{
	if (through < t->through || missing > through)
		return;
	if (through > t->through) {
		t->told_us = now_us;
		t->waiting_us = next_us;
		if (t->state == TRUST_NONE) {
			t->notes_n = 0;
			set_state(t, TRUST_GOOD, now_us);
		}
	}
	t->through = through;
	t->missing = missing;
	note(t, now_us);
}
