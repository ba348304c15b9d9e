/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/support/lossy_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/queue.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

#define RELIABLE_TYPE 7
#define CHANNELS_N 300
#define TURNS_MAX 20000 /* without time passing: then somebody spins */

struct segment {
	STAILQ_ENTRY(segment) next;
	uint64_t arrival_us;
	bool end;
	size_t len;
	uint8_t data[];
};

struct link_pipe {
	enum tunnel_dir dir;
	struct tunnel_stream *s[2]; /* of each side; NULL = not yet, or gone */
	char path[TUNNEL_PATH_MAX];
	uint64_t accept_us;  /* when the request arrives; CLOCK_NEVER = it was handled */
	uint64_t gone_us[2]; /* when a side learns that it is over */
	enum tunnel_why gone_why[2];
	STAILQ_HEAD(, segment) segments;
	uint64_t last_arrival_us;
	size_t on_way;
	bool ready; /* the writer may have bytes */
	bool ended; /* the writer said END */
	bool black;
	bool over;
};

uint64_t
link_random(struct lossy_link *l, uint64_t n)
{
	uint64_t z = l->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (z ^ z >> 31) % n;
}

static int
writer_of(const struct link_pipe *p)
{
	return p->dir == TUNNEL_UP ? LINK_CLIENT : LINK_SERVER;
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

static uint32_t
check(const uint8_t *p, size_t n)
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
	err = tunnel_send(e->t, RELIABLE_TYPE, payload, n, l->now_us);
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
	return tunnel_send_media(e->t, number % CHANNELS_N, payload, n, l->now_us);
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

	assert_int_equal(type, RELIABLE_TYPE);
	assert_int_equal(check(data, n), e->reliable_got);
	e->reliable_got++;
}

static void
on_media(void *arg, uint32_t channel, const uint8_t *data, size_t n)
{
	struct link_end *e = end_of(arg, false), *from = end_of(arg, true);
	const struct lossy_link *l = ((struct handler_arg *)arg)->link;
	uint32_t number = check(data, n);
	uint64_t took_us;

	assert_true(number < from->media_sent);
	assert_int_equal(channel, number % CHANNELS_N);
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

static void
learn(struct link_pipe *p, int side, enum tunnel_why why, uint64_t at_us)
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
	learn(p, a->side, why, a->link->now_us);
	if (!p->black)
		learn(p, !a->side, TUNNEL_WHY_CUT, a->link->now_us + a->link->cfg.delay_us);
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

struct lossy_link *
link_new(const struct link_cfg *cfg)
{
	static const struct tunnel_handlers handlers = { .on_reliable = on_reliable,
		.on_media = on_media,
		.on_wake = on_wake,
		.on_abort = on_abort,
		.on_wanted = on_wanted,
		.on_state = on_state,
		.on_broken = on_broken,
		.on_rekey = on_rekey };
	struct tunnel_grant grant = {
		.agent = "office", .session = 0x1234, .cipher = cfg->cipher, .key = { 1, 2, 3 }
	};
	struct lossy_link *l = mem_zalloc(sizeof(*l));

	l->cfg = *cfg;
	l->random = cfg->seed;
	l->now_us = CLOCK_S;
	l->rekey = grant;
	l->rekey.purpose = HANDSHAKE_REKEY;
	l->rekey_us[0] = l->rekey_us[1] = CLOCK_NEVER;
	for (int side = 0; side < 2; side++) {
		struct tunnel_cfg tc = cfg->end[side];

		tc.seed += cfg->seed;
		args[side] = (struct handler_arg){ l, side };
		l->end[side].media_seen = mem_zalloc(LINK_MEDIA_MAX);
		l->end[side].media_sent_us = mem_calloc(LINK_MEDIA_MAX, sizeof(uint64_t));
		l->end[side].t = tunnel_new(&tc, &handlers, &args[side], &grant, l->now_us);
	}
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

void
link_free(struct lossy_link *l)
{
	for (size_t i = 0; i < l->pipes_n; i++) {
		pipe_clear(l->pipes[i]);
		mem_free(l->pipes[i]);
	}
	for (int side = 0; side < 2; side++) {
		tunnel_free(l->end[side].t);
		mem_free(l->end[side].media_seen);
		mem_free(l->end[side].media_sent_us);
	}
	mem_free(l);
}

/* -- The streams -- */

static void
open_wanted(struct lossy_link *l, enum tunnel_dir dir)
{
	struct link_pipe *p = mem_zalloc(sizeof(*p));
	int err;

	assert_true(l->pipes_n < LINK_PIPES_MAX);
	l->pipes[l->pipes_n++] = p;
	p->dir = dir;
	STAILQ_INIT(&p->segments);
	p->gone_us[0] = p->gone_us[1] = CLOCK_NEVER;
	p->ready = true;
	p->black = l->swallow;
	p->accept_us = p->black ? CLOCK_NEVER : l->now_us + l->cfg.delay_us;
	err = tunnel_stream_open(l->end[LINK_CLIENT].t, dir, p, l->now_us, p->path,
	    &p->s[LINK_CLIENT]);
	assert_int_equal(err, 0);
}

static void
accept_request(struct lossy_link *l, struct link_pipe *p)
{
	struct tunnel *t = l->end[LINK_SERVER].t;
	struct tunnel_request r;

	p->accept_us = CLOCK_NEVER;
	if (l->refuse) {
		learn(p, LINK_CLIENT, TUNNEL_WHY_REFUSED, l->now_us + l->cfg.delay_us);
		return;
	}
	assert_int_equal(tunnel_request_parse(p->path, &r), 0);
	assert_int_equal(r.dir, p->dir);
	assert_int_equal(tunnel_stream_accept(t, &r, p, l->now_us, &p->s[LINK_SERVER]), 0);
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
	    (l->cfg.window == 0 || p->on_way < l->cfg.window);
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
		learn(p, !writer, TUNNEL_WHY_ORDERLY, l->now_us);
		learn(p, writer, TUNNEL_WHY_ORDERLY, l->now_us + l->cfg.delay_us);
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
turn(struct lossy_link *l)
{
	turn_rekey(l);
	for (int dir = 0; dir < 2; dir++)
		for (; l->wanted[dir] > 0; l->wanted[dir]--)
			open_wanted(l, (enum tunnel_dir)dir);
	for (size_t i = l->first; i < l->pipes_n; i++)
		if (!l->pipes[i]->over)
			turn_pipe(l, l->pipes[i]);
	while (l->first < l->pipes_n && l->pipes[l->first]->over)
		l->first++;
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

	for (size_t i = l->first; i < l->pipes_n; i++)
		due = earlier(due, pipe_due_us(l, l->pipes[i]));
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
	for (size_t j = l->first; j < l->pipes_n; j++)
		if (living(l->pipes[j]) && l->pipes[j]->dir == dir && i-- == 0)
			return l->pipes[j];
	return NULL;
}

bool
link_cut(struct lossy_link *l, enum tunnel_dir dir, size_t i)
{
	struct link_pipe *p = living_pipe(l, dir, i);

	if (p == NULL)
		return false;
	/* One end may learn of it much earlier than the other. */
	for (int side = 0; side < 2; side++)
		learn(p, side, TUNNEL_WHY_CUT, l->now_us + link_random(l, 100000));
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
	for (size_t i = l->first; i < l->pipes_n; i++) {
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
