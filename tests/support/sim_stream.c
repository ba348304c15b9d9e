/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/support/sim_stream.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

#define REQUEST_LEN 350
#define RESPONSE_LEN 200
#define CHUNK_LEN(n) ((n) < 0x10 ? 5u : (n) < 0x100 ? 6u : 7u)
#define TLS_RECORD_LEN 22
#define SYN_LEN 60
#define SYN_RETRY_US CLOCK_S
#define TLS_HELLO_LEN 600
#define TLS_ANSWER_LEN 3200
#define TLS_RETRY_US (200 * CLOCK_MS)
#define BODY_MAX 32768
#define USER_TIMEOUT_US (4000 * CLOCK_MS)
/* What comes to a closed connection is answered by a reset, if that gets through. */
#define RESET_RETRY_US (250 * CLOCK_MS)

enum stream_phase { PHASE_SYN, PHASE_TLS, PHASE_ESTABLISHED };

struct sim_stream {
	struct sim_stream *next, *next_pump;
	struct sim *sim;
	enum tunnel_dir dir;
	struct tunnel_stream *s[2]; /* of each side; NULL = not yet, or gone */
	char path[TUNNEL_PATH_MAX];
	uint32_t serial;
	struct sim_tcp *up, *down; /* the halves of the connection; NULL = nothing was said on it */
	size_t request_left, response_left; /* bytes of the HTTP headers to come */
	uint64_t begun_us, rtt_us;
	enum stream_phase phase;
	bool bounded;
	bool begun;    /* a connection is there or being made */
	uint8_t *body; /* bounded, UP: all of it, before the request is made */
	size_t body_len;
	bool accepted;
	bool held;      /* by the proxy */
	bool ready;     /* the writer may have bytes */
	bool pumping;   /* it is in the list of those */
	bool ended;     /* the writer said END */
	bool swallowed; /* no packet of its connection passes any more */
	bool gone[2];   /* the side knows that it is over, or never knew of it */
};

static int
writer_of(const struct sim_stream *p)
{
	return p->dir == TUNNEL_UP ? SIM_CLIENT : SIM_SERVER;
}

static struct sim_tcp *
body_of(const struct sim_stream *p)
{
	return p->dir == TUNNEL_UP ? p->up : p->down;
}

/* -- The end of a stream -- */

static void
forget(struct sim_stream *p)
{
	if (p->up != NULL)
		sim_tcp_close(p->up);
	if (p->down != NULL)
		sim_tcp_close(p->down);
	p->up = p->down = NULL;
	p->sim->held_n -= p->held;
	p->held = false;
}

static void
on_gone(void *obj, uint64_t side, uint64_t why)
{
	struct sim_stream *p = obj;
	struct sim_end *e = &p->sim->end[side];

	if (p->gone[side])
		return;
	p->gone[side] = true;
	/* Before the request came the server knows of nothing. */
	p->gone[SIM_SERVER] |= !p->accepted;
	p->sim->idle_n += p->bounded && side == SIM_CLIENT && why == TUNNEL_WHY_ORDERLY;
	if (p->s[side] != NULL)
		tunnel_stream_gone(e->t, p->s[side], (enum tunnel_why)why, sim_now_us(p->sim));
	if (p->s[side] != NULL && (int)side == writer_of(p) && p->sim->hooks != NULL)
		p->sim->hooks->on_gone(p->sim->hooks_arg, p->dir, p->serial);
	p->s[side] = NULL;
	e->touched = true;
	if (!p->gone[0] || !p->gone[1])
		return;
	if (p->sim->hooks != NULL)
		p->sim->hooks->on_over(p->sim->hooks_arg, p->dir, p->serial);
	forget(p);
}

static void
learn(struct sim_stream *p, int side, enum tunnel_why why, uint64_t at_us)
{
	sim_at(&p->sim->clock, at_us, on_gone, p, (uint64_t)side, why);
}

/* A side closed the connection; the other one learns it as soon as a packet gets through. */
static void
on_tell(void *obj, uint64_t side, uint64_t why)
{
	struct sim_stream *p = obj;
	uint64_t at;

	if (p->gone[side] || p->swallowed)
		return;
	at = sim_line_pass(&p->sim->line, side == SIM_SERVER ? 0 : 1,
	    SIM_TCP_HEADERS + (p->bounded ? RESPONSE_LEN : 0));
	if (at == CLOCK_NEVER)
		sim_at(&p->sim->clock, sim_now_us(p->sim) + RESET_RETRY_US, on_tell, p, side, why);
	else
		learn(p, (int)side, (enum tunnel_why)why, at);
}

void
sim_stream_over(struct sim_stream *p, int side, enum tunnel_why why)
{
	learn(p, side, why, 0);
	if (p->accepted)
		on_tell(p, (uint64_t)!side,
		    why == TUNNEL_WHY_ORDERLY ? TUNNEL_WHY_ORDERLY : TUNNEL_WHY_CUT);
}

/* -- The bytes of a stream -- */

static void
want_pump(struct sim_stream *p)
{
	if (p->pumping)
		return;
	p->pumping = true;
	p->next_pump = p->sim->pumps;
	p->sim->pumps = p;
}

static void
write_header(struct sim_tcp *c, size_t n)
{
	static const uint8_t header[REQUEST_LEN];

	sim_tcp_write(c, header, n, 0, false);
}

/* The writer's HTTP layer asks for bytes while there is room. */
static void
pump(struct sim_stream *p)
{
	int side = writer_of(p);
	struct sim_end *e = &p->sim->end[side];
	size_t tls = p->sim->cfg.tls ? TLS_RECORD_LEN : 0;
	uint8_t out[BODY_MAX];

	while (p->s[side] != NULL && body_of(p) != NULL && p->ready && !p->ended &&
	    sim_tcp_unsent(body_of(p)) < SIM_TCP_LOWAT) {
		long n = tunnel_output(e->t, p->s[side], out, sizeof(out), sim_now_us(p->sim));
		must(n <= (long)sizeof(out));
		e->touched = true;
		p->ready = n != 0;
		p->ended = n == TUNNEL_OUTPUT_END;
		if (p->bounded && n > 0)
			write_header(body_of(p), RESPONSE_LEN);
		if (n > 0 && p->sim->hooks != NULL)
			p->sim->hooks->on_write(p->sim->hooks_arg, p->dir, p->serial, out,
			    (size_t)n, sim_tcp_unsent(body_of(p)));
		if (n != 0)
			sim_tcp_write(body_of(p), out, n > 0 ? (size_t)n : 0,
			    (p->bounded ? 0 : CHUNK_LEN(n)) + tls, p->ended);
	}
	/* Its bytes are the kernel's, and the request is over for the server. */
	if (p->bounded && p->ended && side == SIM_SERVER)
		learn(p, SIM_SERVER, TUNNEL_WHY_ORDERLY, 0);
}

static void
on_room(void *arg)
{
	want_pump(arg);
}

static void
on_dead_client(void *arg)
{
	sim_stream_over(arg, SIM_CLIENT, TUNNEL_WHY_CUT);
}

static void
on_dead_server(void *arg)
{
	sim_stream_over(arg, SIM_SERVER, TUNNEL_WHY_CUT);
}

static void
read_body(struct sim_stream *p, int side, const uint8_t *data, size_t n, bool end)
{
	struct sim_end *e = &p->sim->end[side];

	if (p->s[side] == NULL)
		return;
	e->touched = true;
	if (n > 0 && p->sim->hooks != NULL)
		p->sim->hooks->on_read(p->sim->hooks_arg, p->dir, p->serial, data, n);
	if (n > 0)
		must(tunnel_input(e->t, p->s[side], data, n, sim_now_us(p->sim)) == 0);
	if (end)
		sim_stream_over(p, side, TUNNEL_WHY_ORDERLY);
}

/* Takes what is left of the HTTP header off the front. */
static size_t
skip(size_t *left, size_t n)
{
	size_t take = n < *left ? n : *left;

	*left -= take;
	return take;
}

static void
on_down_data(void *arg, const uint8_t *data, size_t n, bool end)
{
	struct sim_stream *p = arg;
	size_t used = skip(&p->response_left, n);

	read_body(p, SIM_CLIENT, data + used, n - used, end);
}

static void on_up_data(void *arg, const uint8_t *data, size_t n, bool end);

static struct sim_tcp *
half_new(struct sim_stream *p, int way)
{
	static const struct sim_tcp_handlers down = { on_down_data, on_room, on_dead_server };
	static const struct sim_tcp_handlers up = { on_up_data, on_room, on_dead_client };
	struct sim_tcp_cfg cfg = { .line = &p->sim->line,
		.way = way,
		.rtt_us = p->rtt_us,
		.bbr = p->sim->cfg.bbr,
		.user_timeout_us = USER_TIMEOUT_US };

	return sim_tcp_new(&cfg, way == TUNNEL_UP ? &up : &down, p);
}

/* The request came whole. */
static void
on_request(struct sim_stream *p)
{
	struct sim *s = p->sim;
	struct tunnel_request r;

	if (s->refuse || (s->cfg.proxy_max != 0 && s->held_n >= s->cfg.proxy_max)) {
		if (s->refuse || !s->cfg.proxy_hangs)
			on_tell(p, SIM_CLIENT, TUNNEL_WHY_REFUSED);
		return;
	}
	if (!p->bounded && s->cfg.holds[p->dir])
		return;
	p->held = true;
	s->held_n++;
	must(tunnel_request_parse(p->path, &r) == 0 && r.dir == p->dir);
	must(tunnel_stream_accept(s->end[SIM_SERVER].t, &r, p, sim_now_us(s), &p->s[SIM_SERVER]) ==
	    0);
	p->accepted = true;
	must(r.bounded == p->bounded);
	s->end[SIM_SERVER].touched = true;
	if (p->dir == TUNNEL_UP)
		return;
	p->down = half_new(p, TUNNEL_DOWN);
	p->response_left = RESPONSE_LEN;
	if (!p->bounded)
		write_header(p->down, RESPONSE_LEN);
	want_pump(p);
}

static void
on_up_data(void *arg, const uint8_t *data, size_t n, bool end)
{
	struct sim_stream *p = arg;
	bool header = p->request_left > 0;
	size_t used = skip(&p->request_left, n);

	if (header && p->request_left == 0 && !p->gone[SIM_CLIENT])
		on_request(p);
	if (p->dir == TUNNEL_UP)
		read_body(p, SIM_SERVER, data + used, n - used, end);
}

/* -- The handshake -- */

static void exchange(void *obj, uint64_t attempt, uint64_t phase);

static void
established(struct sim_stream *p)
{
	p->phase = PHASE_ESTABLISHED;
	p->up = half_new(p, TUNNEL_UP);
	p->request_left = REQUEST_LEN;
	write_header(p->up, REQUEST_LEN);
	if (p->body != NULL)
		sim_tcp_write(p->up, p->body, p->body_len, 0, true);
	else if (p->dir == TUNNEL_UP)
		want_pump(p);
}

static void
on_exchanged(void *obj, uint64_t sent_us, uint64_t phase)
{
	struct sim_stream *p = obj;

	if (phase != p->phase || p->gone[SIM_CLIENT] || p->swallowed)
		return;
	p->rtt_us = sim_now_us(p->sim) - sent_us;
	if (phase == PHASE_SYN && p->sim->cfg.tls) {
		p->phase = PHASE_TLS;
		exchange(p, 0, PHASE_TLS);
		return;
	}
	established(p);
}

static void
on_asked(void *obj, uint64_t sent_us, uint64_t phase)
{
	struct sim_stream *p = obj;
	uint64_t at =
	    sim_line_pass(&p->sim->line, 1, phase == PHASE_TLS ? TLS_ANSWER_LEN : SYN_LEN);

	if (at != CLOCK_NEVER)
		sim_at(&p->sim->clock, at, on_exchanged, p, sent_us, phase);
}

/* One there and back of the handshake, asked again and again until it is answered. */
static void
exchange(void *obj, uint64_t attempt, uint64_t phase)
{
	struct sim_stream *p = obj;
	uint64_t now = sim_now_us(p->sim), at;
	uint64_t retry = phase == PHASE_TLS ? p->rtt_us + TLS_RETRY_US : SYN_RETRY_US;

	if (p->gone[SIM_CLIENT] || phase != p->phase)
		return;
	at = sim_line_pass(&p->sim->line, 0, phase == PHASE_TLS ? TLS_HELLO_LEN : SYN_LEN);
	if (at != CLOCK_NEVER)
		sim_at(&p->sim->clock, at, on_asked, p, now, phase);
	sim_at(&p->sim->clock, now + (retry << attempt), exchange, p, attempt + 1, phase);
}

/* False: what it was woken for was not worth saying. */
static bool
read_body_up(struct sim_stream *p)
{
	struct sim *s = p->sim;
	struct sim_end *e = &s->end[SIM_CLIENT];
	uint8_t out[BODY_MAX];
	size_t used = 0;
	long n;

	while ((n = tunnel_output(e->t, p->s[SIM_CLIENT], out + used, sizeof(out) - used,
		    sim_now_us(s))) > 0)
		used += (size_t)n;
	e->touched = true;
	if (used == 0)
		return false;
	must(n == TUNNEL_OUTPUT_END);
	p->body = mem_dup(out, used);
	p->body_len = used;
	p->ended = true;
	if (s->hooks != NULL)
		s->hooks->on_write(s->hooks_arg, p->dir, p->serial, out, used, 0);
	return true;
}

/* On a connection that rests, if there is one and it is not to be a fresh one. */
static void
begin(struct sim_stream *p)
{
	struct sim *s = p->sim;

	if (p->bounded && p->dir == TUNNEL_UP && !read_body_up(p))
		return;
	p->begun = true;
	if (!p->bounded || s->idle_n == 0 ||
	    tunnel_stalls(s->end[SIM_CLIENT].t, p->dir, sim_now_us(s))) {
		exchange(p, 0, PHASE_SYN);
		return;
	}
	s->idle_n--;
	p->rtt_us = (uint64_t)((s->line.set[0].delay_ms + s->line.set[1].delay_ms) * 1e3);
	established(p);
}

void
sim_stream_open(struct sim *s, enum tunnel_dir dir)
{
	struct sim_stream *p = mem_zalloc(sizeof(*p));
	struct tunnel_request r;

	p->sim = s;
	p->dir = dir;
	p->ready = true;
	p->next = s->streams;
	s->streams = p;
	s->opened_n++;
	must(tunnel_stream_open(s->end[SIM_CLIENT].t, p->dir, p, sim_now_us(s), p->path,
		 &p->s[SIM_CLIENT]) == 0);
	must(tunnel_request_parse(p->path, &r) == 0);
	p->serial = r.serial;
	p->bounded = r.bounded;
	s->end[SIM_CLIENT].touched = true;
	/* One that has nothing to say is not asked for yet. */
	if (!p->bounded || dir == TUNNEL_DOWN)
		begin(p);
}

/* -- All of them -- */

void
sim_stream_wake(struct sim_stream *p)
{
	p->ready = true;
	if (!p->begun)
		begin(p);
	else
		want_pump(p);
}

void
sim_stream_pump_all(struct sim *s)
{
	struct sim_stream *p;

	while ((p = s->pumps) != NULL) {
		s->pumps = p->next_pump;
		p->pumping = false;
		pump(p);
	}
}

void
sim_stream_free_all(struct sim *s)
{
	struct sim_stream *p;

	for (p = s->streams; p != NULL; p = p->next)
		forget(p);
	/* A connection lives as long as events refer to it; these will not run. */
	for (size_t i = 0; i < s->clock.n; i++)
		sim_tcp_drop(&s->clock.heap[i]);
	while ((p = s->streams) != NULL) {
		s->streams = p->next;
		mem_free(p->body);
		mem_free(p);
	}
}

void
sim_swallow_all(struct sim *s)
{
	for (struct sim_stream *p = s->streams; p != NULL; p = p->next) {
		p->swallowed = true;
		if (p->up != NULL)
			sim_tcp_swallow(p->up);
		if (p->down != NULL)
			sim_tcp_swallow(p->down);
	}
}

void
sim_cut_all(struct sim *s)
{
	s->idle_n = 0;
	for (struct sim_stream *p = s->streams; p != NULL; p = p->next) {
		if (!p->begun)
			continue;
		for (int side = 0; side < 2 && p->accepted; side++)
			learn(p, side, TUNNEL_WHY_CUT,
			    sim_now_us(s) + sim_random(&s->clock, 100 * CLOCK_MS));
		if (!p->accepted)
			learn(p, SIM_CLIENT, TUNNEL_WHY_CUT, 0);
	}
}
