/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/support/lossy_link_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

#define TURNS_MAX 20000 /* without time passing: then somebody spins */

static int
writer_of(const struct link_pipe *p)
{
	return p->dir == TUNNEL_UP ? LINK_CLIENT : LINK_SERVER;
}

/* -- The handlers -- */

struct handler_arg {
	struct lossy_link *link;
	int side;
};

static struct handler_arg args[2];

static struct link_end *
end_of(void *arg, bool other)
{
	struct handler_arg *a = arg;

	return &a->link->end[other ? !a->side : a->side];
}

static void
on_reliable(void *arg, uint8_t type, const uint8_t *data, size_t n)
{
	struct link_end *e = end_of(arg, false);

	assert_int_equal(type, LINK_RELIABLE_TYPE);
	assert_int_equal(link_check(data, n), e->reliable_got);
	e->reliable_got++;
}

static void
on_media(void *arg, uint32_t channel, const uint8_t *data, size_t n)
{
	struct link_end *e = end_of(arg, false), *from = end_of(arg, true);
	const struct lossy_link *l = ((struct handler_arg *)arg)->link;
	uint32_t number = link_check(data, n);
	uint64_t took_us;

	assert_true(number < from->media_sent);
	assert_int_equal(channel, number % LINK_CHANNELS_N);
	assert_int_equal(e->media_seen[number], 0);
	took_us = l->now_us - from->media_sent_us[number];
	e->media_seen[number] = 1;
	e->media_got++;
	e->media_late += took_us > l->cfg.delay_us + 50 * CLOCK_MS;
	if (took_us > e->media_worst_us)
		e->media_worst_us = took_us;
}

static void
on_wake(void *arg, struct tunnel_stream *s)
{
	struct link_pipe *p = tunnel_stream_user(s);

	(void)arg;
	assert_false(p->ready);
	p->ready = true;
}

void
link_learn(struct link_pipe *p, int side, enum tunnel_why why, uint64_t at_us)
{
	if (at_us < p->gone_us[side]) {
		p->gone_us[side] = at_us;
		p->gone_why[side] = why;
	}
}

static void
on_abort(void *arg, struct tunnel_stream *s, enum tunnel_why why)
{
	struct handler_arg *a = arg;
	struct link_pipe *p = tunnel_stream_user(s);

	assert_ptr_equal(p->s[a->side], s);
	a->link->end[a->side].aborted_dead += why == TUNNEL_WHY_DEAD;
	link_learn(p, a->side, why, a->link->now_us);
	if (!p->black)
		link_learn(p, !a->side, TUNNEL_WHY_CUT, a->link->now_us + a->link->cfg.delay_us);
}

static void
on_wanted(void *arg, enum tunnel_dir dir)
{
	struct handler_arg *a = arg;

	a->link->wanted[dir]++;
	a->link->end[a->side].wanted[dir]++;
}

static void
on_state(void *arg, enum tunnel_state state)
{
	struct handler_arg *a = arg;
	struct link_end *e = end_of(arg, false);

	assert_int_not_equal(state, e->state);
	e->state = state;
	e->state_us = a->link->now_us;
}

static void
on_datagram(void *arg, const uint8_t *data, size_t n)
{
	struct handler_arg *a = arg;

	link_fly(a->link, !a->side, data, n);
}

static void
on_broken(void *arg)
{
	end_of(arg, false)->broken++;
}

/* The client asks; a way later the server has the key, and another one later the client, or nobody. */
static void
on_rekey(void *arg)
{
	struct lossy_link *l = ((struct handler_arg *)arg)->link;

	assert_int_equal(((struct handler_arg *)arg)->side, LINK_CLIENT);
	for (size_t i = 0; i < sizeof(l->rekey.key); i++)
		l->rekey.key[i] = (uint8_t)link_random(l, 256);
	l->rekey_us[LINK_SERVER] = l->now_us + l->cfg.delay_us;
	l->rekey_us[LINK_CLIENT] = l->cfg.rekey_lost_permille > link_random(l, 1000) ?
	    CLOCK_NEVER :
	    l->now_us + 2 * l->cfg.delay_us;
}

/* -- Life -- */

void
link_cfg_default(struct link_cfg *cfg)
{
	*cfg =
	    (struct link_cfg){ .seed = 1, .delay_us = 20 * CLOCK_MS, .cipher = CIPHER_AES_256_GCM };
	tunnel_cfg_default(TUNNEL_CLIENT, &cfg->end[LINK_CLIENT]);
	tunnel_cfg_default(TUNNEL_SERVER, &cfg->end[LINK_SERVER]);
}

static void
begin_session(struct lossy_link *l)
{
	static const struct tunnel_handlers handlers = { .on_reliable = on_reliable,
		.on_media = on_media,
		.on_wake = on_wake,
		.on_abort = on_abort,
		.on_wanted = on_wanted,
		.on_state = on_state,
		.on_broken = on_broken,
		.on_datagram = on_datagram,
		.on_rekey = on_rekey };
	struct tunnel_grant grant = { .agent = "office",
		.session = l->session,
		.cipher = l->cfg.cipher,
		.key = { 1, 2, (uint8_t)l->session } };

	l->rekey = grant;
	l->rekey.purpose = HANDSHAKE_REKEY;
	l->rekey_us[0] = l->rekey_us[1] = CLOCK_NEVER;
	for (int side = 0; side < 2; side++) {
		struct tunnel_cfg tc = l->cfg.end[side];

		tc.seed += l->cfg.seed;
		l->end[side].t = tunnel_new(&tc, &handlers, &args[side], &grant, l->now_us);
		l->end[side].state = TUNNEL_CONNECTING;
		if (l->cfg.datagrams)
			assert_int_equal(tunnel_datagrams_start(l->end[side].t, l->now_us), 0);
	}
}

struct lossy_link *
link_new(const struct link_cfg *cfg)
{
	struct lossy_link *l = mem_zalloc(sizeof(*l));

	l->cfg = *cfg;
	l->random = cfg->seed;
	l->now_us = CLOCK_S;
	l->session = 0x1234;
	for (int side = 0; side < 2; side++) {
		args[side] = (struct handler_arg){ l, side };
		l->end[side].media_seen = mem_zalloc(LINK_MEDIA_MAX);
		l->end[side].media_sent_us = mem_calloc(LINK_MEDIA_MAX, sizeof(uint64_t));
	}
	begin_session(l);
	return l;
}

static void
pipe_clear(struct link_pipe *p)
{
	struct segment *g;

	while ((g = STAILQ_FIRST(&p->segments)) != NULL) {
		STAILQ_REMOVE_HEAD(&p->segments, next);
		mem_free(g);
	}
	p->on_way = 0;
}

static void
end_session(struct lossy_link *l)
{
	for (size_t i = 0; i < l->pipes_n; i++) {
		pipe_clear(l->pipes[i]);
		mem_free(l->pipes[i]);
	}
	l->pipes_n = 0;
	link_ground(l);
	for (int side = 0; side < 2; side++)
		tunnel_free(l->end[side].t);
}

void
link_restart(struct lossy_link *l)
{
	end_session(l);
	l->session++;
	l->wanted[0] = l->wanted[1] = 0;
	for (int side = 0; side < 2; side++)
		l->end[side].reliable_got = l->end[!side].reliable_sent;
	begin_session(l);
}

void
link_free(struct lossy_link *l)
{
	end_session(l);
	mem_free(l->pipes);
	for (int side = 0; side < 2; side++) {
		mem_free(l->end[side].media_seen);
		mem_free(l->end[side].media_sent_us);
	}
	mem_free(l);
}

/* -- The streams -- */

/* Its body is made before its request. */
static bool
filled(const struct link_pipe *p)
{
	return p->bounded && p->dir == TUNNEL_UP;
}

static void
open_wanted(struct lossy_link *l, enum tunnel_dir dir)
{
	struct link_pipe *p = mem_zalloc(sizeof(*p));
	int err;

	if (l->pipes_n == l->pipes_cap) {
		l->pipes_cap = 2 * l->pipes_cap + 64;
		l->pipes = mem_realloc(l->pipes, l->pipes_cap * sizeof(l->pipes[0]));
	}
	l->pipes[l->pipes_n++] = p;
	l->opened_n++;
	p->dir = dir;
	STAILQ_INIT(&p->segments);
	p->gone_us[0] = p->gone_us[1] = CLOCK_NEVER;
	p->black = l->swallow;
	err = tunnel_stream_open(l->end[LINK_CLIENT].t, dir, p, l->now_us, p->path,
	    &p->s[LINK_CLIENT]);
	assert_int_equal(err, 0);
	p->bounded = tunnel_stream_bounded(p->s[LINK_CLIENT]);
	/* A bounded one is asked for when it has something to say, and begins when that is whole. */
	p->ready = !filled(p);
	p->accept_us = p->black || filled(p) ? CLOCK_NEVER : l->now_us + l->cfg.delay_us;
}

static void
accept_request(struct lossy_link *l, struct link_pipe *p)
{
	struct tunnel *t = l->end[LINK_SERVER].t;
	struct link_request *note;
	struct tunnel_request r;

	p->accept_us = CLOCK_NEVER;
	if (l->refuse) {
		link_learn(p, LINK_CLIENT, TUNNEL_WHY_REFUSED, l->now_us + l->cfg.delay_us);
		return;
	}
	assert_int_equal(tunnel_request_parse(p->path, &r), 0);
	assert_int_equal(r.dir, p->dir);
	assert_int_equal(tunnel_stream_accept(t, &r, p, l->now_us, &p->s[LINK_SERVER]), 0);
	note = &l->requests[l->requests_n++ % LINK_REQUESTS_N];
	note->session = l->session;
	memcpy(note->path, p->path, sizeof(note->path));
}

static void
post(struct lossy_link *l, struct link_pipe *p, const uint8_t *data, size_t n, bool end)
{
	struct segment *g = mem_alloc(sizeof(*g) + n);

	g->arrival_us = l->now_us + l->cfg.delay_us;
	if (l->cfg.stall_permille > link_random(l, 1000)) {
		g->arrival_us += link_random(l, l->cfg.stall_us + 1);
		l->stalls++;
	}
	if (g->arrival_us < p->last_arrival_us)
		g->arrival_us = p->last_arrival_us;
	p->last_arrival_us = g->arrival_us;
	g->end = end;
	g->len = n;
	if (n != 0)
		memcpy(g->data, data, n);
	STAILQ_INSERT_TAIL(&p->segments, g, next);
	p->on_way += n;
}

static bool
may_write(const struct lossy_link *l, const struct link_pipe *p)
{
	return p->s[writer_of(p)] != NULL && p->ready && !p->ended &&
	    (l->cfg.window == 0 || filled(p) || p->on_way < l->cfg.window);
}

/* The writer's HTTP layer asks for bytes while there is room. */
static void
pump(struct lossy_link *l, struct link_pipe *p)
{
	struct link_end *e = &l->end[writer_of(p)];
	uint8_t out[16384];

	while (may_write(l, p)) {
		size_t cap = 2048 + link_random(l, sizeof(out) - 2047);
		long n = tunnel_output(e->t, p->s[writer_of(p)], out, cap, l->now_us);

		assert_true(n <= (long)cap);
		if (n == TUNNEL_OUTPUT_END) {
			p->ended = true;
			post(l, p, NULL, 0, true);
			if (filled(p) && !p->black)
				p->accept_us = l->now_us + l->cfg.delay_us;
			/* Its bytes are the kernel's, and the request is over for the server. */
			if (p->bounded && p->dir == TUNNEL_DOWN)
				link_learn(p, LINK_SERVER, TUNNEL_WHY_ORDERLY, l->now_us);
		} else if (n == 0) {
			p->ready = false;
		} else {
			e->segments++;
			post(l, p, out, (size_t)n, false);
		}
	}
}

static void
deliver(struct lossy_link *l, struct link_pipe *p, const struct segment *g)
{
	int writer = writer_of(p);
	struct link_end *reader = &l->end[!writer];

	for (size_t done = 0, n; done < g->len; done += n) {
		/* A block of its own, so that the sanitizer sees a read past the end. */
		uint8_t *piece;

		n = l->cfg.chop ? 1 + link_random(l, g->len - done) : g->len;
		piece = mem_alloc(n);
		memcpy(piece, g->data + done, n);
		reader->touched = true;
		assert_int_equal(tunnel_input(reader->t, p->s[!writer], piece, n, l->now_us), 0);
		mem_free(piece);
	}
	if (g->end) {
		link_learn(p, !writer, TUNNEL_WHY_ORDERLY, l->now_us);
		link_learn(p, writer, TUNNEL_WHY_ORDERLY, l->now_us + l->cfg.delay_us);
	}
}

static void
move_segments(struct lossy_link *l, struct link_pipe *p)
{
	struct segment *g;

	/* Before the server took the request nothing can be read from it. */
	if (p->s[!writer_of(p)] == NULL)
		return;
	while (!p->black && (g = STAILQ_FIRST(&p->segments)) != NULL &&
	    g->arrival_us <= l->now_us) {
		STAILQ_REMOVE_HEAD(&p->segments, next);
		p->on_way -= g->len;
		deliver(l, p, g);
		mem_free(g);
	}
}

static void
tell_gone(struct lossy_link *l, struct link_pipe *p)
{
	for (int side = 0; side < 2; side++)
		if (p->s[side] != NULL && p->gone_us[side] <= l->now_us) {
			tunnel_stream_gone(l->end[side].t, p->s[side], p->gone_why[side],
			    l->now_us);
			p->s[side] = NULL;
		}
	p->over = p->s[0] == NULL && p->s[1] == NULL && p->accept_us == CLOCK_NEVER;
	if (p->over)
		pipe_clear(p);
}

/* -- Time -- */

static void
turn_pipe(struct lossy_link *l, struct link_pipe *p)
{
	/* A request that is given up on the way never arrives. */
	if (p->s[LINK_CLIENT] == NULL)
		p->accept_us = CLOCK_NEVER;
	if (p->accept_us <= l->now_us)
		accept_request(l, p);
	move_segments(l, p);
	tell_gone(l, p);
	pump(l, p);
}

static void
turn_rekey(struct lossy_link *l)
{
	for (int side = 1; side >= 0; side--)
		if (l->rekey_us[side] <= l->now_us) {
			l->rekey_us[side] = CLOCK_NEVER;
			assert_int_equal(tunnel_rekey(l->end[side].t, &l->rekey, l->now_us), 0);
		}
}

static void
forget_over(struct lossy_link *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->pipes_n; i++)
		if (l->pipes[i]->over)
			mem_free(l->pipes[i]);
		else
			l->pipes[n++] = l->pipes[i];
	l->pipes_n = n;
}

static void
turn(struct lossy_link *l)
{
	turn_rekey(l);
	for (int dir = 0; dir < 2; dir++)
		for (; l->wanted[dir] > 0; l->wanted[dir]--)
			open_wanted(l, (enum tunnel_dir)dir);
	for (size_t i = 0; i < l->pipes_n; i++)
		turn_pipe(l, l->pipes[i]);
	forget_over(l);
	link_land(l);
	for (int side = 0; side < 2; side++) {
		if (l->end[side].touched)
			tunnel_flush(l->end[side].t, l->now_us);
		l->end[side].touched = false;
		if (tunnel_deadline(l->end[side].t) <= l->now_us)
			tunnel_tick(l->end[side].t, l->now_us);
	}
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
pipe_due_us(const struct lossy_link *l, const struct link_pipe *p)
{
	const struct segment *g = STAILQ_FIRST(&p->segments);
	uint64_t due = p->accept_us;

	if (p->over)
		return CLOCK_NEVER;
	for (int side = 0; side < 2; side++)
		if (p->s[side] != NULL)
			due = earlier(due, p->gone_us[side]);
	if (g != NULL && !p->black && p->s[!writer_of(p)] != NULL)
		due = earlier(due, g->arrival_us);
	return may_write(l, p) ? 0 : due;
}

static uint64_t
next_us(const struct lossy_link *l)
{
	uint64_t due = l->wanted[0] + l->wanted[1] > 0 ? 0 : CLOCK_NEVER;

	for (size_t i = 0; i < l->pipes_n; i++)
		due = earlier(due, pipe_due_us(l, l->pipes[i]));
	due = earlier(due, link_datagram_due_us(l));
	for (int side = 0; side < 2; side++)
		due = earlier(due, earlier(l->rekey_us[side], tunnel_deadline(l->end[side].t)));
	return due;
}

void
link_run(struct lossy_link *l, uint64_t us)
{
	uint64_t until = l->now_us + us, due;
	unsigned turns_n = 0;

	for (;;) {
		turn(l);
		due = next_us(l);
		if (due > until)
			break;
		turns_n = due > l->now_us ? 0 : turns_n + 1;
		assert_true(turns_n < TURNS_MAX);
		if (due > l->now_us)
			l->now_us = due;
	}
	l->now_us = until;
}
