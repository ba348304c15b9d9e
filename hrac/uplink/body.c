/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink/body.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "hrac/uplink/http.h"
#include "hrac/uplink/route.h"
#include "tunnel/request.h"

struct uplink_body {
	struct uplink_body_way way;
	struct uplink_body_cfg cfg;
	uplink_body_cb *cb;
	void *arg;
	struct uplink_request *request;
	struct event due;   /* the next chunk up */
	struct event limit; /* of the whole */
	uint64_t start_us;
	uint64_t first_us; /* the body up began; 0 = not yet */
	uint32_t last_us;
	struct probe_writer writer; /* up */
	struct probe_reader reader; /* down */
	struct probe_segments first, last;
	bool changed; /* what came is not what was sent */
	size_t answer_len;
	uint8_t answer[PROBE_REPORT_MAX]; /* up */
};

/* 0 for what did not happen. */
static uint32_t
since_us(const struct uplink_body *b, uint64_t then_us)
{
	return then_us == 0 ? 0 : (uint32_t)(then_us - b->start_us);
}

static uint32_t
since_start_us(const struct uplink_body *b)
{
	return since_us(b, clock_us());
}

/* -- The end -- */

static void
stop(struct uplink_body *b)
{
	if (b->request != NULL)
		uplink_http_close(b->request);
	b->request = NULL;
	event_del(&b->due);
	event_del(&b->limit);
}

static void
body_end(struct uplink_body *b)
{
	stop(b);
	mem_free(b);
}

static void
say_result(struct uplink_body *b, struct uplink_body_result *r)
{
	r->dir = b->cfg.dir;
	r->plan = &b->cfg.plan;
	r->over_us = since_start_us(b);
	r->last_us = b->last_us;
	r->segments.sent = b->last.sent - b->first.sent;
	r->segments.again = b->last.again - b->first.again;
	/* Who is told may let the loop's other work be done, in which nothing of this one may end. */
	stop(b);
	b->cb(b->arg, r);
	mem_free(b);
}

static void
end_down(struct uplink_body *b, struct uplink_body_result *r)
{
	b->first = b->reader.first;
	b->last = b->reader.last;
	r->n = b->reader.n;
	r->sent_us = b->reader.sent_us;
	r->came_us = b->reader.came_us;
	if (b->changed)
		r->cause = "what arrives is not what was sent: something on the way changes it";
	else if (r->cause[0] == '\0' && !probe_reader_done(&b->reader))
		r->cause = "the answer ended too early";
	say_result(b, r);
}

static void
end_up(struct uplink_body *b, struct uplink_body_result *r)
{
	struct probe_report report = { .n = 0 };

	r->sent_us = b->writer.sent_us;
	r->came_us = report.came_us;
	if (r->cause[0] == '\0' &&
	    (probe_report_decode(b->answer, b->answer_len, &report) < 0 || report.n > b->writer.n))
		r->cause = "HRAS's report cannot be understood: something on the way changes it";
	else if (r->cause[0] == '\0' && report.n < b->writer.n && b->cfg.enough_ms == 0)
		r->cause = "not all that was sent arrived";
	r->n = report.n;
	r->about = &report.about;
	say_result(b, r);
}

static void
end(struct uplink_body *b, struct uplink_body_result *r)
{
	if (b->cfg.dir == TUNNEL_DOWN)
		end_down(b, r);
	else
		end_up(b, r);
}

static void
on_done(void *arg, void *user, const struct uplink_http_result *h)
{
	struct uplink_body_result r = { .cause = h->cause, .answer_us = h->answer_us };
	struct uplink_body *b = arg;

	(void)user;
	b->request = NULL;
	r.asked_us = since_us(b, h->asked_us);
	if (h->body_len > 0 && h->body_len <= sizeof(b->answer)) {
		memcpy(b->answer, h->body, h->body_len);
		b->answer_len = h->body_len;
	}
	end(b, &r);
}

static void
on_limit(evutil_socket_t fd, short what, void *arg)
{
	struct uplink_body *b = arg;
	struct uplink_http *http = b->way.http;
	struct uplink_body_result r = { .late = true };
	char cause[80];

	(void)fd;
	(void)what;
	snprintf(cause, sizeof(cause), "it was not complete after %.1f s", b->cfg.limit_ms / 1e3);
	r.cause = cause;
	r.asked_us = since_us(b, uplink_http_asked_us(b->request));
	end(b, &r);
	uplink_http_turn(http);
}

/* -- What libcurl asks for, inside of it -- */

static long
on_read(void *arg, void *user, uint8_t *out, size_t cap)
{
	struct uplink_body *b = arg;
	uint64_t now_us = clock_us(), due_us;
	struct timeval tv;
	size_t n;

	(void)user;
	if (b->first_us == 0) {
		b->first_us = now_us;
		b->first = uplink_http_segments(b->request);
	}
	b->last = uplink_http_segments(b->request);
	if (probe_writer_done(&b->writer) ||
	    (b->cfg.enough_ms != 0 && now_us - b->first_us >= b->cfg.enough_ms * CLOCK_MS))
		return UPLINK_HTTP_END;
	n = probe_write(&b->writer, (uint32_t)(now_us - b->first_us), b->last, out, cap);
	if (n > 0) {
		b->last_us = since_start_us(b);
		return (long)n;
	}
	due_us = b->first_us + probe_writer_due_us(&b->writer) - now_us;
	tv.tv_sec = (time_t)(due_us / CLOCK_S);
	tv.tv_usec = (suseconds_t)(due_us % CLOCK_S);
	event_add(&b->due, &tv);
	return 0;
}

static bool
on_write(void *arg, void *user, const uint8_t *in, size_t n)
{
	struct uplink_body *b = arg;

	(void)user;
	b->last_us = since_start_us(b);
	if (b->cfg.dir == TUNNEL_DOWN) {
		b->changed = probe_read(&b->reader, b->last_us, in, n) < 0;
		return !b->changed;
	}
	if (n > sizeof(b->answer) - b->answer_len)
		return false;
	memcpy(b->answer + b->answer_len, in, n);
	b->answer_len += n;
	return true;
}

static void
on_due(evutil_socket_t fd, short what, void *arg)
{
	struct uplink_body *b = arg;

	(void)fd;
	(void)what;
	if (b->request == NULL)
		return;
	uplink_http_wake(b->request);
	uplink_http_turn(b->way.http);
}

/* -- The beginning -- */

static const struct uplink_http_handlers handlers = {
	.on_read = on_read,
	.on_write = on_write,
	.on_done = on_done,
};

static void
ask(struct uplink_body *b)
{
	char path[TUNNEL_PATH_MAX];
	uint8_t whole[PROBE_SIZE_MIN];
	size_t n;

	request_print_probe(b->way.grant, b->cfg.dir, ++*b->way.serial, &b->cfg.plan, path);
	if (b->cfg.whole) {
		n = probe_write(&b->writer, 0, b->first, whole, sizeof(whole));
		b->request = uplink_http_exchange(b->way.http, b->way.route, path, whole, n, NULL);
	} else {
		b->request = uplink_http_stream(b->way.http, b->way.route, path,
		    b->cfg.dir == TUNNEL_UP, NULL);
	}
	uplink_http_handle(b->request, &handlers, b);
}

struct uplink_body *
uplink_body_start(const struct uplink_body_way *way, const struct uplink_body_cfg *cfg,
    uplink_body_cb *cb, void *arg)
{
	struct timeval limit = { cfg->limit_ms / 1000, cfg->limit_ms % 1000 * 1000 };
	struct uplink_body *b = mem_zalloc(sizeof(*b));

	b->way = *way;
	b->cfg = *cfg;
	if (b->cfg.whole)
		b->cfg.plan = (struct probe_plan){ 1, PROBE_SIZE_MIN, 0 };
	b->cb = cb;
	b->arg = arg;
	b->start_us = clock_us();
	probe_writer_init(&b->writer, &b->cfg.plan);
	probe_reader_init(&b->reader, &b->cfg.plan);
	evtimer_assign(&b->due, way->base, on_due, b);
	evtimer_assign(&b->limit, way->base, on_limit, b);
	event_add(&b->limit, &limit);
	ask(b);
	return b;
}

void
uplink_body_free(struct uplink_body *b)
{
	if (b != NULL)
		body_end(b);
}
