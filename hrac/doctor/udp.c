/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/udp.h"
#include "hrac/doctor/impl.h"
#include "tunnel/datagram.h"

/*
 * Datagrams like those of voice, 20 ms apart, from one port of ours, and a few from another one: what
 * comes back tells what is lost, the round trip, and as whom HRAS sees both.
 */
#define ASKED_N 50
#define ASK_US (20 * CLOCK_MS)
#define ASK_LEN 172
#define OTHER_EVERY 10                /* of them one goes from the other port */
#define PATIENCE_US (1500 * CLOCK_MS) /* with what is still on its way */

struct port {
	struct doctor_udp_test *test;
	struct udp *udp;
	struct addr mapped;
};

struct doctor_udp_test {
	struct doctor *doctor;
	struct doctor_udp *facts;
	struct datagram_end *end;
	struct port port[2];
	struct event step;
	uint64_t sent_us[ASKED_N + 1]; /* by the number of the datagram, from 1 */
	uint64_t through;              /* the highest number whose answer has come */
	uint64_t until_us;
	uint32_t rtt_us[ASKED_N];
	size_t rtt_n;
};

/* -- What comes -- */

static void
on_datagram(void *arg, uint8_t *data, size_t n, const struct udp_path *from)
{
	struct port *p = arg;
	struct doctor_udp_test *t = p->test;
	struct datagram_said said;

	(void)from;
	if (datagram_said(t->end, data, n, &said) < 0)
		return;
	t->facts->came++;
	p->mapped = said.mapped;
	/* HRAS says up to which number ours came: the first that says so answers that one. */
	if (said.through <= t->through || said.through > ASKED_N || t->rtt_n == ASKED_N)
		return;
	t->through = said.through;
	t->rtt_us[t->rtt_n++] = (uint32_t)(clock_us() - t->sent_us[said.through]);
}

static void
on_read_all(void *arg)
{
	(void)arg;
}

/* -- The end -- */

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void
sum_up(struct doctor_udp_test *t)
{
	struct doctor_udp *f = t->facts;
	const struct addr *one = &t->port[0].mapped, *other = &t->port[1].mapped;

	f->local = udp_addr(t->port[0].udp);
	f->mapped = *one;
	f->steady =
	    addr_is_set(one) && addr_same_host(one, other) && addr_port(one) != addr_port(other);
	if (t->rtt_n == 0)
		return;
	qsort(t->rtt_us, t->rtt_n, sizeof(t->rtt_us[0]), compare);
	f->rtt_min_us = t->rtt_us[0];
	f->rtt_median_us = t->rtt_us[t->rtt_n / 2];
}

static void
test_free(struct doctor_udp_test *t)
{
	event_del(&t->step);
	for (size_t i = 0; i < 2; i++)
		udp_free(t->port[i].udp);
	datagram_end_free(t->end);
	mem_free(t);
}

/* -- What is sent -- */

static void
again_in(struct doctor_udp_test *t, uint64_t us)
{
	struct timeval tv = { 0, (suseconds_t)us };

	event_add(&t->step, &tv);
}

static void
ask(struct doctor_udp_test *t)
{
	struct port *p = &t->port[t->facts->sent % OTHER_EVERY == OTHER_EVERY - 1];
	uint8_t out[DATAGRAM_MAX];
	size_t n = datagram_ask(t->end, ASK_LEN, out);

	t->sent_us[++t->facts->sent] = clock_us();
	udp_send(p->udp, NULL, out, n);
	udp_flush(p->udp);
}

static void
on_step(evutil_socket_t fd, short what, void *arg)
{
	struct doctor_udp_test *t = arg;

	(void)fd;
	(void)what;
	if (t->facts->sent < ASKED_N) {
		ask(t);
		t->until_us = clock_us() + PATIENCE_US;
		again_in(t, ASK_US);
	} else if (t->facts->came < t->facts->sent && clock_us() < t->until_us) {
		again_in(t, ASK_US);
	} else {
		sum_up(t);
		t->doctor->pending--;
		test_free(t);
	}
}

static bool
open_ports(struct doctor_udp_test *t)
{
	static const struct udp_handlers handlers = { on_datagram, on_read_all };

	for (size_t i = 0; i < 2; i++) {
		t->port[i].test = t;
		if (udp_new(t->doctor->base, NULL, &t->facts->to, &handlers, &t->port[i],
			&t->port[i].udp) < 0)
			return false;
	}
	return true;
}

void
doctor_udp_start(struct doctor_visit *v, const struct addr *to)
{
	struct doctor_udp_test *t = mem_zalloc(sizeof(*t));

	t->doctor = v->doctor;
	t->facts = &v->doctor->facts.udp;
	t->facts->offered = true;
	t->facts->to = *to;
	evtimer_assign(&t->step, t->doctor->base, on_step, t);
	if (!open_ports(t)) {
		snprintf(t->facts->trouble, sizeof(t->facts->trouble), "%s", strerror(errno));
		test_free(t);
		return;
	}
	t->end = datagram_end_new(&v->grant, TUNNEL_CLIENT, 0);
	t->doctor->pending++;
	again_in(t, 0);
}
