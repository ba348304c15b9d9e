/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/probe.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "tunnel/control.h"

#define HEAD_LEN 14 /* u16 number, u32 stamp, u32 segments sent, u32 sent again */
#define REPORT_VERSION 1

_Static_assert(HEAD_LEN <= PROBE_SIZE_MIN, "the head fits into the smallest chunk");
_Static_assert(sizeof(((struct probe_writer *)0)->head) == HEAD_LEN, "the head has its room");

bool
probe_plan_good(const struct probe_plan *p)
{
	return p->count >= 1 && p->count <= PROBE_COUNT_MAX && p->size >= PROBE_SIZE_MIN &&
	    p->size <= PROBE_SIZE_MAX &&
	    (uint64_t)p->interval_ms * (p->count - 1) <= PROBE_SPAN_MAX_MS;
}

uint32_t
probe_plan_bytes(const struct probe_plan *p)
{
	return p->count * p->size;
}

/* A number generator that both ends run alike: its upper bits are noise enough. */
static uint8_t
next_noise(uint32_t *noise)
{
	*noise = *noise * 1664525U + 1013904223U;
	return (uint8_t)(*noise >> 24);
}

static uint32_t
first_noise(uint32_t number)
{
	return number * 2654435761U + 1;
}

/* -- The sender's end -- */

void
probe_writer_init(struct probe_writer *w, const struct probe_plan *plan)
{
	memset(w, 0, sizeof(*w));
	w->plan = *plan;
	w->at = plan->size;
}

uint32_t
probe_writer_due_us(const struct probe_writer *w)
{
	if (w->at < w->plan.size)
		return w->sent_us[w->n - 1];
	return w->n * w->plan.interval_ms * (uint32_t)CLOCK_MS;
}

static void
begin_chunk(struct probe_writer *w, uint32_t now_us, struct probe_segments segments)
{
	struct wire_write head = wire_writer(w->head, sizeof(w->head));

	wire_put_u16(&head, (uint16_t)w->n);
	wire_put_u32(&head, now_us);
	wire_put_u32(&head, segments.sent);
	wire_put_u32(&head, segments.again);
	w->noise = first_noise(w->n);
	w->sent_us[w->n++] = now_us;
	w->at = 0;
}

size_t
probe_write(struct probe_writer *w, uint32_t now_us, struct probe_segments segments, uint8_t *out,
    size_t cap)
{
	size_t used = 0;

	while (used < cap && !probe_writer_done(w)) {
		if (w->at == w->plan.size) {
			if (now_us < probe_writer_due_us(w))
				break;
			begin_chunk(w, now_us, segments);
		}
		for (; used < cap && w->at < w->plan.size; w->at++)
			out[used++] = w->at < HEAD_LEN ? w->head[w->at] : next_noise(&w->noise);
	}
	return used;
}

bool
probe_writer_done(const struct probe_writer *w)
{
	return w->n == w->plan.count && w->at == w->plan.size;
}

/* -- The receiver's end -- */

void
probe_reader_init(struct probe_reader *r, const struct probe_plan *plan)
{
	memset(r, 0, sizeof(*r));
	r->plan = *plan;
	r->noise = first_noise(0);
}

static int
take_head(struct probe_reader *r)
{
	struct wire_read head = wire_reader(r->head, sizeof(r->head));
	uint32_t number = wire_get_u16(&head);

	r->sent_us[r->n] = wire_get_u32(&head);
	r->last.sent = wire_get_u32(&head);
	r->last.again = wire_get_u32(&head);
	if (r->n == 0)
		r->first = r->last;
	return number == r->n ? 0 : ERR_MALFORMED;
}

static int
take_byte(struct probe_reader *r, uint8_t byte)
{
	if (r->at >= HEAD_LEN)
		return byte == next_noise(&r->noise) ? 0 : ERR_MALFORMED;
	r->head[r->at] = byte;
	return r->at == HEAD_LEN - 1 ? take_head(r) : 0;
}

int
probe_read(struct probe_reader *r, uint32_t now_us, const uint8_t *in, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (probe_reader_done(r) || take_byte(r, in[i]) < 0)
			return ERR_MALFORMED;
		if (++r->at < r->plan.size)
			continue;
		r->came_us[r->n++] = now_us;
		r->at = 0;
		r->noise = first_noise(r->n);
	}
	return 0;
}

bool
probe_reader_done(const struct probe_reader *r)
{
	return r->n == r->plan.count;
}

/* -- The report -- */

static void
put_about(struct wire_write *w, const struct probe_about *about)
{
	wire_put_u8(w, about->tls ? PROBE_FINGERPRINT_LEN : 0);
	if (about->tls)
		wire_put_bytes(w, about->fingerprint, PROBE_FINGERPRINT_LEN);
	wire_put_u8(w, (uint8_t)about->datagrams_n);
	for (size_t i = 0; i < about->datagrams_n; i++)
		control_put_addr(w, &about->datagrams[i]);
}

size_t
probe_report_encode(const struct probe_reader *r, const struct probe_about *about, uint8_t *out)
{
	struct wire_write w = wire_writer(out, PROBE_REPORT_MAX);

	wire_put_bytes(&w, "VP", 2);
	wire_put_u8(&w, REPORT_VERSION);
	wire_put_u16(&w, (uint16_t)r->n);
	for (uint32_t i = 0; i < r->n; i++)
		wire_put_u32(&w, r->came_us[i]);
	put_about(&w, about);
	return w.used;
}

static void
get_about(struct wire_read *r, struct probe_about *about)
{
	uint8_t len = wire_get_u8(r);
	const uint8_t *fingerprint = wire_get_bytes(r, len);

	about->tls = len > 0;
	if (fingerprint == NULL || (len != 0 && len != PROBE_FINGERPRINT_LEN))
		r->bad = true;
	else
		memcpy(about->fingerprint, fingerprint, len);
	about->datagrams_n = wire_get_u8(r);
	if (about->datagrams_n > PROBE_DATAGRAMS_MAX)
		r->bad = true;
	for (size_t i = 0; i < about->datagrams_n && !r->bad; i++)
		about->datagrams[i] = control_get_addr(r);
}

int
probe_report_decode(const uint8_t *in, size_t n, struct probe_report *out)
{
	struct wire_read r = wire_reader(in, n);
	const uint8_t *magic = wire_get_bytes(&r, 2);
	uint8_t version = wire_get_u8(&r);
	uint32_t count = wire_get_u16(&r);
	struct probe_report report = { .n = count };

	if (r.bad || memcmp(magic, "VP", 2) != 0 || version != REPORT_VERSION ||
	    count > PROBE_COUNT_MAX)
		return ERR_MALFORMED;
	for (uint32_t i = 0; i < count; i++)
		report.came_us[i] = wire_get_u32(&r);
	get_about(&r, &report.about);
	if (r.bad || r.left != 0)
		return ERR_MALFORMED;
	*out = report;
	return 0;
}

/* -- The verdict -- */

struct probe_verdict
probe_judge(const struct probe_plan *plan, const uint32_t *sent_us, const uint32_t *came_us,
    uint32_t n)
{
	int64_t bound_us = (int64_t)plan->interval_ms * 900, fastest_us = INT64_MAX, took_us;
	struct probe_verdict v = { .streams = false };
	uint32_t held_n = 0;

	for (uint32_t i = 0; i < n; i++) {
		took_us = (int64_t)came_us[i] - sent_us[i];
		fastest_us = took_us < fastest_us ? took_us : fastest_us;
	}
	for (uint32_t i = 0; i < n; i++) {
		took_us = (int64_t)came_us[i] - sent_us[i] - fastest_us;
		held_n += took_us >= bound_us;
		if (took_us > v.held_us)
			v.held_us = (uint32_t)took_us;
	}
	v.streams = 2 * held_n < n;
	return v;
}
