/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/support/lossy_link_impl.h"

uint64_t
link_random(struct lossy_link *l, uint64_t n)
{
	uint64_t z = l->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (z ^ z >> 31) % n;
}

/* -- What goes through -- */

static void
fill(uint8_t *p, size_t n, uint32_t number)
{
	uint32_t z = number * 2654435761u + 1;

	memcpy(p, &number, sizeof(number));
	for (size_t i = sizeof(number); i < n; i++) {
		z = z * 1664525 + 1013904223;
		p[i] = (uint8_t)(z >> 24);
	}
}

uint32_t
link_check(const uint8_t *p, size_t n)
{
	static uint8_t expected[TUNNEL_RELIABLE_MAX];
	uint32_t number;

	assert_true(n >= sizeof(number));
	memcpy(&number, p, sizeof(number));
	fill(expected, n, number);
	assert_memory_equal(p, expected, n);
	return number;
}

int
link_send(struct lossy_link *l, int side, size_t n)
{
	static uint8_t payload[TUNNEL_RELIABLE_MAX];
	struct link_end *e = &l->end[side];
	int err;

	fill(payload, n, e->reliable_sent);
	err = tunnel_send(e->t, LINK_RELIABLE_TYPE, payload, n, l->now_us);
	e->reliable_sent += err == 0;
	e->touched = true;
	return err;
}

int
link_send_media(struct lossy_link *l, int side, size_t n)
{
	uint8_t payload[TUNNEL_MEDIA_MAX];
	struct link_end *e = &l->end[side];
	uint32_t number = e->media_sent++;

	assert_true(number < LINK_MEDIA_MAX);
	fill(payload, n, number);
	e->media_sent_us[number] = l->now_us;
	e->touched = true;
	return tunnel_send_media(e->t, number % LINK_CHANNELS_N, payload, n, l->now_us);
}

/* -- Datagrams -- */

struct link_datagram {
	struct link_datagram *next;
	uint64_t arrival_us;
	int to;
	bool again; /* it came before, or comes later once more */
	size_t n;
	uint8_t data[2048];
};

static void
fly(struct lossy_link *l, int to, const uint8_t *data, size_t n, bool again)
{
	struct link_datagram *d = mem_alloc(sizeof(*d));

	assert_true(n <= sizeof(d->data));
	memcpy(d->data, data, n);
	d->n = n;
	d->to = to;
	d->again = again;
	/* Some are overtaken by those behind. */
	d->arrival_us = l->now_us + l->cfg.delay_us + link_random(l, l->cfg.delay_us);
	d->next = l->flying;
	l->flying = d;
}

void
link_fly(struct lossy_link *l, int to, const uint8_t *data, size_t n)
{
	bool twice = l->cfg.datagram_twice_permille > link_random(l, 1000);

	if (l->cfg.datagram_loss_permille > link_random(l, 1000))
		return;
	fly(l, to, data, n, twice);
	if (twice)
		fly(l, to, data, n, twice);
}

void
link_land(struct lossy_link *l)
{
	static const struct addr from = { .u.in4 = { .sin_family = AF_INET, .sin_port = 1 } };
	struct link_datagram **at = &l->flying, *d;
	int err;

	while ((d = *at) != NULL) {
		if (d->arrival_us > l->now_us) {
			at = &d->next;
			continue;
		}
		*at = d->next;
		err = tunnel_datagram_input(l->end[d->to].t, d->data, d->n, &from, l->now_us);
		assert_true(err >= 0 || (err == ERR_EXISTS && d->again));
		l->end[d->to].touched = true;
		mem_free(d);
		/* What it caused may have been put in front. */
		at = &l->flying;
	}
}

void
link_ground(struct lossy_link *l)
{
	struct link_datagram *d;

	while ((d = l->flying) != NULL) {
		l->flying = d->next;
		mem_free(d);
	}
}

uint64_t
link_datagram_due_us(const struct lossy_link *l)
{
	uint64_t due = CLOCK_NEVER;

	for (const struct link_datagram *d = l->flying; d != NULL; d = d->next)
		if (d->arrival_us < due)
			due = d->arrival_us;
	return due;
}

/* -- Harm -- */

static bool
living(const struct link_pipe *p)
{
	return p->s[0] != NULL && p->s[1] != NULL && !p->black && p->gone_us[0] == CLOCK_NEVER &&
	    p->gone_us[1] == CLOCK_NEVER;
}

static struct link_pipe *
living_pipe(const struct lossy_link *l, enum tunnel_dir dir, size_t i)
{
	for (size_t j = 0; j < l->pipes_n; j++)
		if (living(l->pipes[j]) && l->pipes[j]->dir == dir && i-- == 0)
			return l->pipes[j];
	return NULL;
}

/* One that the server does not know yet, or that it is done with, may be cut on its way. */
static struct link_pipe *
bounded_pipe(const struct lossy_link *l, enum tunnel_dir dir, size_t i)
{
	for (size_t j = 0; j < l->pipes_n; j++) {
		struct link_pipe *p = l->pipes[j];

		if (p->bounded && p->s[LINK_CLIENT] != NULL && !p->black && p->dir == dir &&
		    p->gone_us[LINK_CLIENT] == CLOCK_NEVER && i-- == 0)
			return p;
	}
	return NULL;
}

bool
link_cut(struct lossy_link *l, enum tunnel_dir dir, size_t i)
{
	struct link_pipe *p = living_pipe(l, dir, i);

	if (p == NULL)
		p = bounded_pipe(l, dir, i);
	if (p == NULL)
		return false;
	/* One end may learn of it much earlier than the other. */
	for (int side = 0; side < 2; side++)
		link_learn(p, side, TUNNEL_WHY_CUT, l->now_us + link_random(l, 100000));
	p->black = true;
	return true;
}

bool
link_blackhole(struct lossy_link *l, enum tunnel_dir dir, size_t i)
{
	struct link_pipe *p = living_pipe(l, dir, i);

	if (p != NULL)
		p->black = true;
	return p != NULL;
}

void
link_blackhole_all(struct lossy_link *l)
{
	for (size_t i = 0; i < l->pipes_n; i++) {
		l->pipes[i]->black = true;
		l->pipes[i]->accept_us = CLOCK_NEVER;
	}
}

size_t
link_living_n(const struct lossy_link *l, enum tunnel_dir dir)
{
	size_t n = 0;

	while (living_pipe(l, dir, n) != NULL)
		n++;
	return n;
}

bool
link_settled(const struct lossy_link *l)
{
	return l->end[0].reliable_got == l->end[1].reliable_sent &&
	    l->end[1].reliable_got == l->end[0].reliable_sent;
}

void
link_repeat_request(struct lossy_link *l)
{
	size_t n = l->requests_n < LINK_REQUESTS_N ? l->requests_n : LINK_REQUESTS_N;
	const struct link_request *note;
	struct tunnel_stream *s;
	struct tunnel_request r;
	int err;

	if (n == 0)
		return;
	note = &l->requests[link_random(l, n)];
	assert_int_equal(tunnel_request_parse(note->path, &r), 0);
	err = tunnel_stream_accept(l->end[LINK_SERVER].t, &r, NULL, l->now_us, &s);
	/* A new key may have come since. */
	assert_true(err == ERR_AUTH || (err == ERR_EXISTS && note->session == l->session));
}
