/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/support/sim_tcp_impl.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define RTO_MIN_US (200 * CLOCK_MS)
#define RTO_MAX_US (120 * CLOCK_S)
#define JIFFIES_2_US (8 * CLOCK_MS)
#define CWND_FIRST 10
#define CWND_MIN 2
#define CUT 0.7

static uint64_t
rto_us(const struct sim_tcp *c)
{
	uint64_t var = 4 * c->var_us, us = c->srtt_us + (var > RTO_MIN_US ? var : RTO_MIN_US);

	us <<= c->backoff;
	return us > RTO_MAX_US ? RTO_MAX_US : us;
}

/* How many of those outstanding the receiver has, and how many are lost, as the sender knows. */
static unsigned
count(struct sim_tcp *c, unsigned *lost_n)
{
	unsigned sacked_n = 0;

	*lost_n = 0;
	for (uint32_t i = c->una; i != c->nxt; i++) {
		sacked_n += tcp_segment(c, i)->sacked;
		*lost_n += tcp_segment(c, i)->lost;
	}
	return sacked_n;
}

static unsigned
in_flight(struct sim_tcp *c)
{
	unsigned lost_n, sacked_n = count(c, &lost_n);

	return c->nxt - c->una - sacked_n - lost_n;
}

static bool
in_trouble(struct sim_tcp *c)
{
	return c->state != TCP_OPEN || in_flight(c) < c->nxt - c->una;
}

/* restart: the retransmission timer begins anew; new data alone does not put it off. */
static void
arm(struct sim_tcp *c, bool restart)
{
	uint64_t now = c->clock->now_us, probe = 2 * c->srtt_us;

	if (c->una == c->nxt) {
		c->timer = TIMER_NONE;
		return;
	}
	if (restart)
		c->rto_at_us = now + rto_us(c);
	c->timer = TIMER_RTO;
	c->timer_us = c->rto_at_us;
	if (!c->probing && !in_trouble(c)) {
		probe += c->nxt - c->una == 1 ? RTO_MIN_US : JIFFIES_2_US;
		c->timer = TIMER_PROBE;
		if (now + probe < c->rto_at_us)
			c->timer_us = now + probe;
	}
	tcp_look_at(c, c->timer_us);
}

/* -- The sender -- */

static void
send_segment(struct sim_tcp *c, uint32_t i)
{
	struct tcp_segment *g = tcp_segment(c, i);
	uint64_t at =
	    sim_line_pass(c->cfg.line, c->cfg.way, SIM_TCP_HEADERS + g->len + g->overhead);

	g->sent_us = c->sent_us = c->clock->now_us;
	g->lost = false;
	c->facts.segments++;
	if (at == CLOCK_NEVER || c->swallowed)
		return;
	if (at < c->last_arrival_us)
		at = c->last_arrival_us;
	c->last_arrival_us = at;
	tcp_at(c, at, tcp_on_segment, i, 0);
}

static void
repeat(struct sim_tcp *c, uint32_t i)
{
	tcp_segment(c, i)->repeated = true;
	c->facts.repeated++;
	send_segment(c, i);
}

static bool
have_unsent(const struct sim_tcp *c)
{
	return c->unsent_len > 0 || (c->ending && !c->end_sent);
}

static void
send_new(struct sim_tcp *c)
{
	struct tcp_segment *g = tcp_segment(c, c->nxt);
	size_t n = c->unsent_len < SIM_TCP_MSS ? c->unsent_len : SIM_TCP_MSS;

	*g = (struct tcp_segment){
		.data = mem_alloc(n + 1), .len = n, .overhead = c->unsent_overhead
	};
	memcpy(g->data, c->unsent, n);
	c->unsent_len -= n;
	c->unsent_overhead = 0;
	memmove(c->unsent, c->unsent + n, c->unsent_len);
	g->end = c->ending && c->unsent_len == 0;
	c->end_sent = g->end;
	if (c->una == c->nxt)
		c->progress_us = c->clock->now_us;
	send_segment(c, c->nxt++);
}

/* A window that was not used for long shrinks to what a new connection has. */
void
tcp_after_idle(struct sim_tcp *c)
{
	uint64_t idle = c->clock->now_us - c->sent_us, rto = rto_us(c);

	for (; c->una == c->nxt && idle > rto && c->cwnd > CWND_FIRST; idle -= rto)
		c->cwnd = c->cwnd / 2 > CWND_FIRST ? c->cwnd / 2 : CWND_FIRST;
}

void
tcp_transmit(struct sim_tcp *c)
{
	unsigned n = in_flight(c);
	bool sent = false, restart = c->una == c->nxt;

	for (uint32_t i = c->una; i != c->nxt && n < (unsigned)c->cwnd; i++)
		if (tcp_segment(c, i)->lost) {
			repeat(c, i);
			sent = restart = true;
			n++;
		}
	for (; have_unsent(c) && n < (unsigned)c->cwnd && c->nxt - c->una < RING_N; n++) {
		send_new(c);
		sent = true;
	}
	if (c->nxt - c->una > c->max_out)
		c->max_out = c->nxt - c->una;
	if (sent)
		arm(c, restart);
	if (c->no_room && c->unsent_len < SIM_TCP_LOWAT) {
		c->no_room = false;
		c->h.on_room(c->arg);
	}
}

static void
shrink(struct sim_tcp *c)
{
	if (c->cfg.bbr)
		return;
	c->ssthresh = c->cwnd * CUT > CWND_MIN ? c->cwnd * CUT : CWND_MIN;
	c->cwnd = c->ssthresh;
}

/* RFC 8985 §6.2 step 4, as long as no reordering was seen. */
static uint64_t
reordering_us(struct sim_tcp *c)
{
	unsigned lost_n;

	if (c->state != TCP_OPEN || count(c, &lost_n) >= 3)
		return 0;
	return c->min_rtt_us / 4 < c->srtt_us / 8 ? c->min_rtt_us / 4 : c->srtt_us / 8;
}

/* RFC 8985 §6.2: what was sent before the last delivered one is lost when its time is over. */
static bool
detect_lost(struct sim_tcp *c)
{
	uint64_t now = c->clock->now_us, window = reordering_us(c);
	bool any = false;

	c->rack_due_us = CLOCK_NEVER;
	for (uint32_t i = c->una; i != c->nxt; i++) {
		struct tcp_segment *g = tcp_segment(c, i);
		uint64_t due = g->sent_us + c->rack_rtt_us + window;

		if (g->sacked || g->lost || g->sent_us > c->rack_us ||
		    (g->sent_us == c->rack_us && (int32_t)(i - c->rack_i) >= 0))
			continue;
		if (due <= now)
			any = g->lost = true;
		else if (due < c->rack_due_us)
			c->rack_due_us = due;
	}
	if (c->rack_due_us != CLOCK_NEVER)
		tcp_look_at(c, c->rack_due_us);
	return any;
}

static void
mend(struct sim_tcp *c)
{
	if (!detect_lost(c))
		return;
	if (c->state == TCP_OPEN) {
		shrink(c);
		c->state = TCP_RECOVERY;
		c->high = c->nxt;
	}
	tcp_transmit(c);
}

static void
on_timeout(struct sim_tcp *c)
{
	c->facts.timeouts++;
	if (c->cfg.user_timeout_us != 0 &&
	    c->clock->now_us - c->progress_us >= c->cfg.user_timeout_us) {
		c->timer = TIMER_NONE;
		c->h.on_dead(c->arg);
		return;
	}
	if (c->state != TCP_LOSS)
		shrink(c);
	c->state = TCP_LOSS;
	c->high = c->nxt;
	c->cwnd = 1;
	c->backoff += c->backoff < 10;
	for (uint32_t i = c->una; i != c->nxt; i++)
		tcp_segment(c, i)->lost = !tcp_segment(c, i)->sacked;
	tcp_transmit(c);
	arm(c, true);
}

static void
on_probe(struct sim_tcp *c)
{
	c->facts.probes++;
	c->probing = true;
	if (have_unsent(c) && c->nxt - c->una < RING_N)
		send_new(c);
	else
		repeat(c, c->nxt - 1);
	arm(c, true);
}

void
tcp_run_timers(struct sim_tcp *c)
{
	uint64_t now = c->clock->now_us;

	if (c->delack_us <= now)
		tcp_send_ack(c);
	if (c->rack_due_us <= now)
		mend(c);
	if (c->timer != TIMER_NONE && c->timer_us <= now) {
		if (c->timer == TIMER_PROBE)
			on_probe(c);
		else
			on_timeout(c);
	}
	tcp_look_at(c, c->delack_us);
	tcp_look_at(c, c->rack_due_us);
	if (c->timer != TIMER_NONE)
		tcp_look_at(c, c->timer_us);
}

static void
sample_rtt(struct sim_tcp *c, uint64_t rtt)
{
	uint64_t off = rtt > c->srtt_us ? rtt - c->srtt_us : c->srtt_us - rtt;

	c->srtt_us = (7 * c->srtt_us + rtt) / 8;
	c->var_us = (3 * c->var_us + off) / 4;
	if (rtt < c->min_rtt_us)
		c->min_rtt_us = rtt;
}

/* The receiver has it. */
static void
delivered(struct sim_tcp *c, uint32_t i)
{
	const struct tcp_segment *g = tcp_segment(c, i);
	uint64_t rtt = c->clock->now_us - g->sent_us;

	if (!g->repeated)
		sample_rtt(c, rtt);
	else if (rtt < c->min_rtt_us)
		return; /* the first one came after all */
	if (g->sent_us >= c->rack_us) {
		c->rack_us = g->sent_us;
		c->rack_rtt_us = rtt;
		c->rack_i = i;
	}
}

static void
grow(struct sim_tcp *c, unsigned acked)
{
	if (c->cwnd < c->ssthresh && c->cwnd < 2 * c->max_out)
		c->cwnd += acked;
	else if ((unsigned)c->cwnd <= c->max_out)
		c->cwnd += (double)acked / c->cwnd;
	if (c->una == c->nxt)
		c->max_out = 0;
}

static unsigned
advance(struct sim_tcp *c, uint32_t cum)
{
	unsigned acked = cum - c->una;

	for (; c->una != cum; c->una++) {
		struct tcp_segment *g = tcp_segment(c, c->una);

		if (!g->sacked)
			delivered(c, c->una);
		mem_free(g->data);
		g->data = NULL;
	}
	if (acked == 0)
		return 0;
	c->backoff = 0;
	c->progress_us = c->clock->now_us;
	if (c->probing)
		shrink(c); /* what the probe mended was a loss as well */
	c->probing = false;
	if (c->state != TCP_OPEN && (int32_t)(c->una - c->high) >= 0)
		c->state = TCP_OPEN;
	return acked;
}

void
tcp_on_ack(void *obj, uint64_t cum, uint64_t bits)
{
	struct sim_tcp *c = obj;
	unsigned acked;

	if (tcp_gone(c))
		return;
	if ((int32_t)((uint32_t)cum - c->una) < 0)
		return;
	acked = advance(c, (uint32_t)cum);
	for (uint32_t i = 0; i < 64; i++) {
		struct tcp_segment *g = tcp_segment(c, (uint32_t)cum + 1 + i);

		if ((bits >> i & 1) == 0 || g->sacked)
			continue;
		g->sacked = true;
		g->lost = false;
		delivered(c, (uint32_t)cum + 1 + i);
	}
	if (acked > 0 && c->state != TCP_RECOVERY)
		grow(c, acked);
	if (acked > 0)
		arm(c, true);
	mend(c);
	tcp_transmit(c);
}

void
tcp_sender_init(struct sim_tcp *c)
{
	c->cwnd = CWND_FIRST;
	c->ssthresh = 1e9;
	c->srtt_us = c->min_rtt_us = c->cfg.rtt_us;
	c->var_us = c->cfg.rtt_us / 2;
	c->rack_due_us = CLOCK_NEVER;
}
