/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/support/sim_tcp_impl.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define QUICK_ACKS_N 16
#define DELACK_US (40 * CLOCK_MS)

struct tcp_segment *
tcp_segment(struct sim_tcp *c, uint32_t i)
{
	return &c->ring[i % RING_N];
}

static void
release(struct sim_tcp *c)
{
	if (!c->closed || c->events_n > 0)
		return;
	for (; c->una != c->nxt; c->una++)
		mem_free(tcp_segment(c, c->una)->data);
	mem_free(c->unsent);
	mem_free(c);
}

/* -- Time and packets -- */

void
tcp_at(struct sim_tcp *c, uint64_t at_us, sim_fn fn, uint64_t a, uint64_t b)
{
	c->events_n++;
	sim_at(c->clock, at_us, fn, c, a, b);
}

/* Each event begins with it: one less refers to c, which may be gone thereby. */
bool
tcp_gone(struct sim_tcp *c)
{
	bool closed = c->closed;

	c->events_n--;
	release(c);
	return closed;
}

static void
on_timer_event(void *obj, uint64_t at_us, uint64_t b)
{
	struct sim_tcp *c = obj;

	(void)b;
	if (tcp_gone(c))
		return;
	if (c->timer_event_us == at_us)
		c->timer_event_us = CLOCK_NEVER;
	tcp_run_timers(c);
}

/* One event at most is on its way for each earlier deadline; those that come too early look again. */
void
tcp_look_at(struct sim_tcp *c, uint64_t at_us)
{
	if (at_us >= c->timer_event_us)
		return;
	c->timer_event_us = at_us;
	tcp_at(c, at_us, on_timer_event, at_us, 0);
}

/* -- The receiver -- */

void
tcp_send_ack(struct sim_tcp *c)
{
	uint64_t at, bits = 0;

	for (uint32_t i = 0; i < 64 && c->rcv + 1 + i - c->una < RING_N; i++)
		if ((int32_t)(c->nxt - (c->rcv + 1 + i)) > 0 &&
		    tcp_segment(c, c->rcv + 1 + i)->received)
			bits |= 1ULL << i;
	c->unacked_n = 0;
	c->delack_us = CLOCK_NEVER;
	at = sim_line_pass(c->cfg.line, !c->cfg.way, SIM_TCP_HEADERS + (bits != 0 ? 12 : 0));
	if (at == CLOCK_NEVER || c->swallowed)
		return;
	if (at < c->last_ack_arrival_us)
		at = c->last_ack_arrival_us;
	c->last_ack_arrival_us = at;
	tcp_at(c, at, tcp_on_ack, c->rcv, bits);
}

static void
acknowledge(struct sim_tcp *c, bool in_order)
{
	c->unacked_n++;
	if (c->quick_n > 0)
		c->quick_n--;
	else if (in_order && c->unacked_n < 2) {
		c->delack_us = c->clock->now_us + DELACK_US;
		tcp_look_at(c, c->delack_us);
		return;
	}
	tcp_send_ack(c);
}

void
tcp_on_segment(void *obj, uint64_t i, uint64_t b)
{
	struct sim_tcp *c = obj;
	struct tcp_segment *g = tcp_segment(c, (uint32_t)i);
	bool news = (int32_t)((uint32_t)i - c->rcv) >= 0 && !g->received, in_order = false;

	(void)b;
	if (tcp_gone(c))
		return;
	if (news) {
		g->received = true;
		in_order = i == c->rcv;
	}
	while (c->rcv != c->nxt && tcp_segment(c, c->rcv)->received) {
		g = tcp_segment(c, c->rcv++);
		c->h.on_data(c->arg, g->data, g->len, g->end);
	}
	/* Behind a hole that was just filled there may be another one. */
	for (uint32_t j = c->rcv; in_order && j != c->nxt; j++)
		in_order = !tcp_segment(c, j)->received;
	acknowledge(c, in_order);
}

/* -- The interface -- */

struct sim_tcp *
sim_tcp_new(const struct sim_tcp_cfg *cfg, const struct sim_tcp_handlers *h, void *arg)
{
	struct sim_tcp *c = mem_zalloc(sizeof(*c));

	c->cfg = *cfg;
	c->h = *h;
	c->arg = arg;
	c->clock = cfg->line->clock;
	c->quick_n = QUICK_ACKS_N;
	c->delack_us = c->timer_event_us = CLOCK_NEVER;
	tcp_sender_init(c);
	return c;
}

void
sim_tcp_write(struct sim_tcp *c, const uint8_t *data, size_t n, size_t overhead, bool end)
{
	if (c->unsent_len + n > c->unsent_cap) {
		c->unsent_cap = 2 * (c->unsent_len + n);
		c->unsent = mem_realloc(c->unsent, c->unsent_cap);
	}
	if (n > 0)
		memcpy(c->unsent + c->unsent_len, data, n);
	c->unsent_len += n;
	c->unsent_overhead += overhead;
	c->ending |= end;
	tcp_after_idle(c);
	tcp_transmit(c);
	c->no_room = c->unsent_len >= SIM_TCP_LOWAT;
}

void
sim_tcp_swallow(struct sim_tcp *c)
{
	c->swallowed = true;
}

size_t
sim_tcp_unsent(const struct sim_tcp *c)
{
	return c->unsent_len;
}

void
sim_tcp_close(struct sim_tcp *c)
{
	c->closed = true;
	release(c);
}

void
sim_tcp_drop(const struct sim_event *e)
{
	struct sim_tcp *c = e->obj;

	if (e->fn != on_timer_event && e->fn != tcp_on_segment && e->fn != tcp_on_ack)
		return;
	(void)tcp_gone(c);
}

void
sim_tcp_facts(const struct sim_tcp *c, struct sim_tcp_facts *out)
{
	*out = c->facts;
	out->srtt_us = c->srtt_us;
	out->cwnd = c->cwnd;
	out->outstanding = c->nxt - c->una;
}
