/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "tunnel/tunnel.h"

/*
 * What the tunnel alone costs: two ends joined by memcpy, four streams of each direction, voice of
 * 172 bytes both ways. Prints nanoseconds of CPU for one media frame through both ends, by how many
 * frames come in one turn of the loop, sealed and not; and what it takes to seal and to open a batch.
 */
#define STREAMS_N 4
#define FRAMES_N 2000000u
#define BATCHES_N 400000u

struct pair {
	struct tunnel *t[2];
	struct tunnel_stream *s[2][2][STREAMS_N]; /* side, direction */
	unsigned got;
};

static void
on_reliable(void *arg, uint8_t type, const uint8_t *data, size_t n)
{
	(void)arg, (void)type, (void)data, (void)n;
}

static void
on_media(void *arg, uint32_t channel, const uint8_t *data, size_t n)
{
	struct pair *p = arg;

	(void)channel, (void)data, (void)n;
	p->got++;
}

static void
on_wake(void *arg, struct tunnel_stream *s)
{
	(void)arg, (void)s;
}

static void
on_abort(void *arg, struct tunnel_stream *s, enum tunnel_why why)
{
	(void)arg, (void)s, (void)why;
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
	abort();
}

static void
pair_new(struct pair *p, enum cipher_kind cipher)
{
	static const struct tunnel_handlers h = { .on_reliable = on_reliable,
		.on_media = on_media,
		.on_wake = on_wake,
		.on_abort = on_abort,
		.on_wanted = on_wanted,
		.on_state = on_state,
		.on_broken = on_broken };
	struct tunnel_grant grant = { .session = 1, .cipher = cipher, .key = { 1 } };
	struct tunnel_request r;
	char path[TUNNEL_PATH_MAX];

	memset(p, 0, sizeof(*p));
	for (int side = 0; side < 2; side++) {
		struct tunnel_cfg cfg;

		tunnel_cfg_default((enum tunnel_role)side, &cfg);
		cfg.rotate_bytes = 0;
		p->t[side] = tunnel_new(&cfg, &h, p, &grant, CLOCK_S);
		tunnel_set_busy(p->t[side], true, CLOCK_S);
	}
	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++)
		for (int i = 0; i < STREAMS_N; i++)
			if (tunnel_stream_open(p->t[0], dir, NULL, CLOCK_S, path,
				&p->s[0][dir][i]) < 0 ||
			    tunnel_request_parse(path, &r) < 0 ||
			    tunnel_stream_accept(p->t[1], &r, NULL, CLOCK_S, &p->s[1][dir][i]) < 0)
				abort();
}

/* Moves what one side has to say to the other. */
static void
move(struct pair *p, int side, uint64_t now_us)
{
	enum tunnel_dir dir = side == 0 ? TUNNEL_UP : TUNNEL_DOWN;
	uint8_t bytes[16384];

	tunnel_flush(p->t[side], now_us);
	if (tunnel_deadline(p->t[side]) <= now_us)
		tunnel_tick(p->t[side], now_us);
	for (int i = 0; i < STREAMS_N; i++) {
		long n;

		while ((n = tunnel_output(p->t[side], p->s[side][dir][i], bytes, sizeof(bytes),
			    now_us)) > 0)
			if (tunnel_input(p->t[!side], p->s[!side][dir][i], bytes, (size_t)n,
				now_us) < 0)
				abort();
	}
}

static double
cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double
bench(unsigned burst, enum cipher_kind cipher)
{
	uint8_t voice[172] = { 0x80 };
	uint64_t now_us = CLOCK_S;
	struct pair p;
	double ns;

	pair_new(&p, cipher);
	ns = cpu_ns();
	for (unsigned i = 0; i < FRAMES_N; i += 2 * burst) {
		for (int side = 0; side < 2; side++) {
			for (unsigned k = 0; k < burst; k++)
				tunnel_send_media(p.t[side], 2 * (k % 500), voice, sizeof(voice),
				    now_us);
			move(&p, side, now_us);
		}
		now_us += 20 * burst;
	}
	ns = cpu_ns() - ns;
	tunnel_free(p.t[0]);
	tunnel_free(p.t[1]);
	return ns / p.got;
}

static const enum cipher_kind ciphers[] = { CIPHER_NONE, CIPHER_AES_256_GCM,
	CIPHER_CHACHA20_POLY1305 };

/* Nanoseconds for one batch of n bytes, sealed, and opened again. */
static void
bench_batch(struct cipher *c, size_t n, double *seal_ns, double *open_ns)
{
	uint8_t text[2048 + CIPHER_TAG_LEN] = { 0 }, plain[2048], ad[2] = { 0 };
	struct cipher_message m = { 0, ad, sizeof(ad) };
	double begin = cpu_ns();

	for (m.number = 0; m.number < BATCHES_N; m.number++)
		cipher_seal(c, &m, text, n);
	*seal_ns = (cpu_ns() - begin) / BATCHES_N;
	m.number--;
	begin = cpu_ns();
	for (unsigned i = 0; i < BATCHES_N; i++)
		if (!cipher_open(c, &m, text, n + CIPHER_TAG_LEN, plain))
			abort();
	*open_ns = (cpu_ns() - begin) / BATCHES_N;
}

static void
bench_batches(size_t n)
{
	static const uint8_t key[CIPHER_KEY_LEN] = { 1 };

	printf("%12zu", n);
	for (size_t i = 1; i < 3; i++) {
		struct cipher *c = cipher_new(ciphers[i], key);
		double seal_ns, open_ns;

		bench_batch(c, n, &seal_ns, &open_ns);
		printf(" %7.0f + %4.0f", seal_ns, open_ns);
		cipher_free(c);
	}
	printf("\n");
}

int
main(void)
{
	static const unsigned bursts[] = { 1, 2, 7, 20, 100 };

	printf("ns a frame\n%12s %12s %14s %14s\n", "frames/turn", "open", "AES-256-GCM",
	    "ChaCha20");
	for (size_t i = 0; i < sizeof(bursts) / sizeof(bursts[0]); i++) {
		printf("%12u %12.0f", bursts[i], bench(bursts[i], ciphers[0]));
		printf(" %14.0f", bench(bursts[i], ciphers[1]));
		printf(" %14.0f\n", bench(bursts[i], ciphers[2]));
	}
	printf("ns a batch, to seal + to open\n%12s %14s %14s\n", "bytes", "AES-256-GCM",
	    "ChaCha20");
	for (size_t n = 64; n <= 1400; n = n < 200 ? 200 : n < 700 ? 700 : n < 1400 ? 1400 : 1401)
		bench_batches(n);
	return 0;
}
