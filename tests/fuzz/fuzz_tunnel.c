/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tunnel/frame.h"
#include "tunnel/request.h"
#include "tunnel/tunnel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/*
 * A client's and a server's tunnel, joined by up to 16 streams. The input is a row of orders: what
 * passes between them, whole, changed, or made up as one likes; what is sent; what is cut; how time
 * goes by. Whatever happens, a tunnel that did what was due has nothing due at the same moment.
 */

enum { CLIENT, SERVER, ENDS };
#define PIPES_N 16   /* as many as the upper half of an order's byte tells */
#define TICKS_MAX 12 /* one thing that is done may make another one due, but not for ever */

struct pipe {
	enum tunnel_dir dir;
	struct tunnel_stream *end[ENDS]; /* NULL: gone */
	bool over[ENDS];                 /* is to be gone */
};

struct world {
	struct tunnel *t[ENDS];
	struct pipe pipes[PIPES_N];
	uint64_t now_us;
	unsigned touched;
	const uint8_t *in;
	size_t n;
};

static unsigned
take(struct world *w)
{
	if (w->n == 0)
		return 0;
	w->n--;
	return *w->in++;
}

static void
on_reliable(void *arg, uint8_t type, const uint8_t *data, size_t n)
{
	struct world *w = arg;

	w->touched += type;
	while (n-- > 0)
		w->touched += *data++;
}

static void
on_media(void *arg, uint32_t channel, const uint8_t *data, size_t n)
{
	on_reliable(arg, (uint8_t)channel, data, n);
}

static void
on_wake(void *arg, struct tunnel_stream *s)
{
	(void)arg, (void)s;
}

static void
on_abort(void *arg, struct tunnel_stream *s, enum tunnel_why why)
{
	struct world *w = arg;

	(void)why;
	for (size_t i = 0; i < PIPES_N; i++)
		for (int side = 0; side < ENDS; side++)
			w->pipes[i].over[side] |= w->pipes[i].end[side] == s;
}

static void
on_wanted(void *arg, enum tunnel_dir dir)
{
	(void)arg, (void)dir;
}

static void
on_state(void *arg, enum tunnel_state state)
{
	(void)arg, (void)state;
}

static void
on_broken(void *arg)
{
	(void)arg;
}

static const struct tunnel_handlers handlers = { .on_reliable = on_reliable,
	.on_media = on_media,
	.on_wake = on_wake,
	.on_abort = on_abort,
	.on_wanted = on_wanted,
	.on_state = on_state,
	.on_broken = on_broken };

static void
open_pipe(struct world *w, struct pipe *p, enum tunnel_dir dir)
{
	struct tunnel_request r;
	char path[TUNNEL_PATH_MAX];

	if (p->end[CLIENT] != NULL || p->end[SERVER] != NULL)
		return;
	*p = (struct pipe){ .dir = dir };
	if (tunnel_stream_open(w->t[CLIENT], dir, NULL, w->now_us, path, &p->end[CLIENT]) < 0 ||
	    tunnel_request_parse(path, &r) < 0 ||
	    tunnel_stream_accept(w->t[SERVER], &r, NULL, w->now_us, &p->end[SERVER]) < 0)
		abort();
}

static void
close_over(struct world *w)
{
	for (size_t i = 0; i < PIPES_N; i++)
		for (int side = 0; side < ENDS; side++) {
			struct pipe *p = &w->pipes[i];

			if (p->end[side] == NULL || !p->over[side])
				continue;
			tunnel_stream_gone(w->t[side], p->end[side],
			    (enum tunnel_why)(take(w) % TUNNEL_WHY_N), w->now_us);
			p->end[side] = NULL;
			p->over[!side] = true;
		}
}

static void
give(struct world *w, struct pipe *p, int reader, const uint8_t *bytes, size_t n)
{
	uint8_t *copy = mem_dup(bytes, n);

	if (p->end[reader] != NULL &&
	    tunnel_input(w->t[reader], p->end[reader], copy, n, w->now_us) < 0)
		p->over[reader] = true;
	mem_free(copy);
}

/* What the writer has, to the reader; with `change` one byte of it is another one. */
static void
pass(struct world *w, struct pipe *p, bool change)
{
	int writer = p->dir == TUNNEL_UP ? CLIENT : SERVER;
	uint8_t out[4096];
	long n = 0;

	if (p->end[writer] != NULL)
		n = tunnel_output(w->t[writer], p->end[writer], out, sizeof(out), w->now_us);
	if (n < 0)
		p->over[writer] = true;
	if (n <= 0)
		return;
	if (change)
		out[(take(w) << 8 | take(w)) % (size_t)n] ^= (uint8_t)take(w);
	give(w, p, !writer, out, (size_t)n);
}

/* A batch with a header and a body of the fuzzer's own. */
static void
make_up(struct world *w, struct pipe *p)
{
	struct frame_header h = { .report = (uint8_t)(take(w) & 0x7f),
		.has_media = true,
		.media_base = take(w) << 16 | take(w) << 8 | take(w) };
	uint8_t batch[FRAME_HEADER_MAX + 256], body[256];
	size_t len = take(w), head;

	h.acks_n = take(w) % 3;
	for (size_t i = 0; i < h.acks_n; i++)
		h.acks[i] = (struct frame_ack){ take(w) % 64, take(w) };
	for (size_t i = 0; i < len; i++)
		body[i] = (uint8_t)take(w);
	head = frame_header_put(&h, len, batch);
	memcpy(batch + head, body, len);
	give(w, p, p->dir == TUNNEL_UP ? SERVER : CLIENT, batch, head + len);
}

static void
send_some(struct world *w, int side)
{
	static const uint8_t voice[FRAME_BODY_MAX];
	static const uint16_t lens[] = { 0, 12, 172, 172, 172, 1200, TUNNEL_MEDIA_MAX, 60 };
	unsigned what = take(w);

	if (what & 0x80)
		(void)tunnel_send(w->t[side], 1, voice, lens[what & 7], w->now_us);
	for (unsigned n = (what >> 3 & 0xf) + 1; n > 0; n--)
		(void)tunnel_send_media(w->t[side], what, voice, lens[what & 7], w->now_us);
}

static void
order(struct world *w)
{
	static const uint32_t waits_us[] = { 0, 100, 1000, 5000, 20000, 90000, 700000, 40000000 };
	unsigned op = take(w);
	struct pipe *p = &w->pipes[op >> 4];
	int side = op >> 4 & 1;

	switch (op & 0xf) {
	case 0:
	case 1:
		open_pipe(w, p, op & 1 ? TUNNEL_DOWN : TUNNEL_UP);
		break;
	case 2:
	case 3:
		pass(w, p, op & 1);
		break;
	case 4:
		make_up(w, p);
		break;
	case 5:
		send_some(w, side);
		break;
	case 6:
		p->over[side] = true;
		break;
	case 7:
		tunnel_set_busy(w->t[side], op & 0x20, w->now_us);
		break;
	case 8:
		if (op & 0x80)
			tunnel_set_bounded(w->t[CLIENT], side, op & 0x40, w->now_us);
		else
			tunnel_kick(w->t[CLIENT], w->now_us);
		break;
	case 9:
		tunnel_set_bandwidth_max(w->t[side], take(w) * 10000);
		break;
	case 10:
	case 11:
		for (size_t i = 0; i < PIPES_N; i++)
			pass(w, &w->pipes[i], false);
		break;
	default:
		w->now_us += waits_us[op >> 4 & 7];
	}
}

static void
turn(struct world *w, int side)
{
	struct tunnel_line line;
	unsigned n = 0;

	tunnel_flush(w->t[side], w->now_us);
	while (tunnel_deadline(w->t[side]) <= w->now_us) {
		if (++n > TICKS_MAX)
			abort();
		tunnel_tick(w->t[side], w->now_us);
	}
	tunnel_line(w->t[side], w->now_us, &line);
	for (int dir = 0; dir < 2; dir++)
		if (line.way[dir].level > 2 || line.way[dir].redundancy >= TUNNEL_REDUNDANCY_N ||
		    !(line.way[dir].loss >= 0 && line.way[dir].loss <= 1))
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct tunnel_grant grant = { .session = 5 };
	struct world w = { .now_us = 1000 * CLOCK_S, .in = data, .n = n };
	struct tunnel_cfg cfg;

	for (int side = 0; side < ENDS; side++) {
		tunnel_cfg_default(side == CLIENT ? TUNNEL_CLIENT : TUNNEL_SERVER, &cfg);
		w.t[side] = tunnel_new(&cfg, &handlers, &w, &grant, w.now_us);
	}
	open_pipe(&w, &w.pipes[0], TUNNEL_UP);
	open_pipe(&w, &w.pipes[1], TUNNEL_DOWN);
	while (w.n > 0) {
		order(&w);
		close_over(&w);
		for (int side = 0; side < ENDS; side++)
			turn(&w, side);
	}
	for (int side = 0; side < ENDS; side++)
		tunnel_free(w.t[side]);
	return 0;
}
