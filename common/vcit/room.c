/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "vcit/room.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* Around the bytes of a batch: the headers of IP, of TCP with its timestamps and of the HTTP chunk;
 * and an acknowledgement of TCP going the other way. */
#define BATCH_BYTES 60
#define ACK_BYTES 52
#define DATAGRAM_BYTES 28 /* headers of UDP and IPv4 */

#define NEED_LEAST_KBIT 24.0 /* the leanest codec with its headers */
#define SILENT_KBIT 16.0     /* calls that send less than that on average teach nothing */
#define SAMPLE_US \
	(CLOCK_S - 100 * CLOCK_MS) /* what is measured is measured over so long at least */

void
room_init(struct room *r, bool measured)
{
	*r = (struct room){ .measured = measured,
		.need = { ROOM_CALL_KBIT, ROOM_CALL_KBIT },
		.wait_us = ROOM_RISE_US };
}

static size_t
answered(const struct room_load *load)
{
	return load->up + load->held;
}

static size_t
taken(const struct room_load *load)
{
	return answered(load) + load->early;
}

/* -- What calls need -- */

void
room_count(struct room_sample *s, int dir, uint64_t bytes, uint64_t batches, uint64_t datagrams)
{
	s->bytes[dir] = bytes + DATAGRAM_BYTES * datagrams;
	s->batches[dir] = batches - datagrams;
}

static double
kbit_between(const struct room_sample *a, const struct room_sample *b, int dir, uint64_t us)
{
	uint64_t bytes = b->bytes[dir] - a->bytes[dir] +
	    BATCH_BYTES * (b->batches[dir] - a->batches[dir]) +
	    ACK_BYTES * (b->batches[1 - dir] - a->batches[1 - dir]);

	return (double)bytes * 8000 / (double)us;
}

/* More than was thought is believed soon, less only slowly: silence is not a lean codec. */
static void
learn_need(struct room *r, int dir, double kbit)
{
	double weight = kbit > r->need[dir] ? 0.25 : 1.0 / 64;

	if (kbit < SILENT_KBIT)
		return;
	r->need[dir] += (kbit - r->need[dir]) * weight;
	if (r->need[dir] < NEED_LEAST_KBIT)
		r->need[dir] = NEED_LEAST_KBIT;
}

static void
measure(struct room *r, const struct room_sample *s, const struct room_load *load, uint64_t us)
{
	for (int dir = 0; dir < 2; dir++) {
		double kbit = kbit_between(&r->last, s, dir, us);

		r->kbit[dir] += (kbit - r->kbit[dir]) * 0.5;
		if (load->up > 0)
			learn_need(r, dir, kbit / (double)load->up);
	}
}

/* -- What the line carries -- */

static void
forget(struct room *r)
{
	r->ceiling = r->full_at = r->rises = 0;
	r->onset_us[0] = r->onset_us[1] = r->stretch_us = 0;
	r->full_us = r->calm_us = r->risen_us = 0;
	r->wait_us = ROOM_RISE_US;
}

static size_t
most_recently(const struct room *r)
{
	size_t most = 0;

	for (unsigned i = 0; i < ROOM_RECENT_N; i++)
		if (r->recent[i] > most)
			most = r->recent[i];
	return most;
}

/* A line that was tried by one call in vain is tried again later each time. */
static void
back_off(struct room *r)
{
	if (r->rises > 1)
		r->wait_us = ROOM_RISE_US;
	else if (r->rises == 1)
		r->wait_us = 2 * r->wait_us < ROOM_RISE_MAX_US ? 2 * r->wait_us : ROOM_RISE_MAX_US;
	r->rises = 0;
	r->risen_us = 0;
}

/* The line was congested with so many calls. */
static void
learn_ceiling(struct room *r, size_t calls)
{
	size_t ceiling = calls > 1 ? calls - 1 : 1;

	back_off(r);
	if (r->ceiling != 0 && ceiling >= r->ceiling)
		return;
	r->ceiling = ceiling;
	r->full_at = calls;
}

/* Since when any direction is congested without a break; 0 = none is. */
static uint64_t
onset(const struct room *r)
{
	const uint64_t *us = r->onset_us;

	if (us[0] == 0 || us[1] == 0)
		return us[0] + us[1];
	return us[0] < us[1] ? us[0] : us[1];
}

static void
watch_congestion(struct room *r, size_t calls, uint64_t now_us)
{
	uint64_t since_us = onset(r);
	bool first = r->stretch_us == since_us;

	if (r->stretch_us < since_us) {
		r->stretch_us = since_us;
		r->most = most_recently(r) > calls ? most_recently(r) : calls;
		return;
	}
	if (now_us - since_us >= ROOM_ONSET_US) { /* before that it may be nothing */
		r->full_us = now_us;
		r->calm_us = 0;
	}
	if (!first && calls > r->most)
		r->most = calls;
	if (now_us - r->stretch_us < (first ? ROOM_ONSET_US : ROOM_AGAIN_US))
		return;
	learn_ceiling(r, r->most);
	r->stretch_us = now_us;
	r->most = calls;
}

static void
watch_calm(struct room *r, size_t calls, uint64_t us, uint64_t now_us)
{
	r->stretch_us = 0;
	if (r->ceiling == 0)
		return;
	if (now_us - r->full_us >= ROOM_FORGET_US) {
		forget(r);
		return;
	}
	if (calls < r->ceiling)
		return;
	r->calm_us += us;
	if (r->calm_us < (r->rises > 0 ? ROOM_RISE_US : r->wait_us))
		return;
	r->calm_us = 0;
	if (r->rises++ == 0)
		r->risen_us = now_us;
	r->ceiling += (size_t)1 << (now_us - r->risen_us) / ROOM_FASTER_US;
}

static void
watch_line(struct room *r, const struct room_sample *s, size_t calls, uint64_t us, uint64_t now_us)
{
	/* Without a call there is no voice that the line could be too narrow for. */
	for (int dir = 0; dir < 2; dir++) {
		if (calls == 0 || !s->congested[dir])
			r->onset_us[dir] = 0;
		else if (r->onset_us[dir] == 0)
			r->onset_us[dir] = now_us;
	}
	if (onset(r) != 0)
		watch_congestion(r, calls, now_us);
	else
		watch_calm(r, calls, us, now_us);
}

static void
begin_session(struct room *r, const struct room_sample *s, uint64_t now_us)
{
	if (s->session != 0)
		forget(r);
	r->kbit[0] = r->kbit[1] = 0;
	memset(r->recent, 0, sizeof(r->recent));
	r->last = *s;
	r->seen_us = r->sampled_us = now_us;
}

void
room_sample(struct room *r, const struct room_sample *s, const struct room_load *load,
    uint64_t now_us)
{
	r->cap_kbit = s->cap_kbit;
	if (s->session == 0 || s->session != r->last.session) {
		begin_session(r, s, now_us);
		return;
	}
	if (now_us - r->sampled_us >= SAMPLE_US) {
		measure(r, s, load, now_us - r->sampled_us);
		r->recent[r->recent_at++ % ROOM_RECENT_N] = answered(load);
		r->last = *s;
		r->sampled_us = now_us;
	}
	if (r->measured)
		watch_line(r, s, answered(load), now_us - r->seen_us, now_us);
	r->seen_us = now_us;
}

/* -- Answers -- */

/* What the places of `load` and n more need in a direction. */
static double
needed(const struct room *r, const struct room_load *load, size_t n, int dir)
{
	double need = r->need[dir], up = need * (double)load->up;

	if (up < r->kbit[dir])
		up = r->kbit[dir];
	return up + need * (double)(load->held + load->early + n);
}

static bool
is_congested(const struct room *r)
{
	return onset(r) != 0 && r->full_us >= onset(r) + ROOM_ONSET_US;
}

enum room_answer
room_ask(const struct room *r, const struct room_load *load, size_t n)
{
	if (taken(load) == 0)
		return ROOM_YES;
	for (int dir = 0; dir < 2; dir++)
		if (r->cap_kbit != 0 && needed(r, load, n, dir) > r->cap_kbit)
			return ROOM_NO_BANDWIDTH;
	if (is_congested(r))
		return ROOM_NO_CONGESTED;
	if (r->ceiling != 0 && taken(load) + n > r->ceiling)
		return ROOM_NO_CEILING;
	return ROOM_YES;
}

const char *
room_text(const struct room *r, enum room_answer answer, const struct room_load *load,
    uint64_t now_us, char out[static ROOM_TEXT_MAX])
{
	double up = needed(r, load, 0, 0), down = needed(r, load, 0, 1);

	switch (answer) {
	case ROOM_NO_BANDWIDTH:
		snprintf(out, ROOM_TEXT_MAX,
		    "its %zu calls need %.0f kbit/s up and %.0f down of the %u of bandwidth_max",
		    taken(load), up, down, r->cap_kbit);
		break;
	case ROOM_NO_CONGESTED:
		snprintf(out, ROOM_TEXT_MAX, "its line is congested now, with %zu calls",
		    answered(load));
		break;
	case ROOM_NO_CEILING:
		snprintf(out, ROOM_TEXT_MAX,
		    "its line is trusted with %zu calls: it was congested with %zu, %llu s ago",
		    r->ceiling, r->full_at, (unsigned long long)((now_us - r->full_us) / CLOCK_S));
		break;
	default:
		snprintf(out, ROOM_TEXT_MAX, "there is room");
	}
	return out;
}
