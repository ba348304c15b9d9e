/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tunnel/frame.h"
#include "tunnel/tunnel.h"

/* Sealed streams, and the keys of the session that seals them: a client and a server side by side. */

#define SESSION 0x0123456789abcdef
#define NOW (100 * CLOCK_S)
#define MESSAGE 7 /* a type of reliable frames */

struct ends {
	struct tunnel *t[2]; /* by enum tunnel_role */
	unsigned got[2];     /* reliable frames, by the role that got them */
};

static void
on_reliable(void *arg, uint8_t type, const uint8_t *data, size_t n)
{
	assert_int_equal(type, MESSAGE);
	assert_int_equal(n, 5);
	assert_memory_equal(data, "hello", 5);
	(*(unsigned *)arg)++;
}

static void
on_media(void *arg, uint32_t channel, const uint8_t *data, size_t n)
{
	(void)arg, (void)channel, (void)data, (void)n;
}

static void
on_stream(void *arg, struct tunnel_stream *s)
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
}

static const struct tunnel_handlers handlers = { .on_reliable = on_reliable,
	.on_media = on_media,
	.on_wake = on_stream,
	.on_abort = on_abort,
	.on_wanted = on_wanted,
	.on_state = on_state,
	.on_broken = on_broken };

static struct tunnel_grant
grant_of(enum handshake_purpose purpose, uint8_t key)
{
	return (struct tunnel_grant){
		.purpose = purpose, .session = SESSION, .cipher = CIPHER_AES_256_GCM, .key = { key }
	};
}

static void
ends_new(struct ends *e)
{
	struct tunnel_grant grant = grant_of(HANDSHAKE_SESSION, 1);

	memset(e, 0, sizeof(*e));
	for (int role = 0; role < 2; role++) {
		struct tunnel_cfg cfg;

		tunnel_cfg_default((enum tunnel_role)role, &cfg);
		e->t[role] = tunnel_new(&cfg, &handlers, &e->got[role], &grant, NOW);
	}
}

static void
ends_free(struct ends *e)
{
	tunnel_free(e->t[0]);
	tunnel_free(e->t[1]);
}

struct joined { /* both ends of one stream up */
	char path[TUNNEL_PATH_MAX];
	struct tunnel_stream *s[2];
};

static void
ask(struct ends *e, struct joined *j)
{
	assert_int_equal(tunnel_stream_open(e->t[TUNNEL_CLIENT], TUNNEL_UP, NULL, NOW, j->path,
			     &j->s[TUNNEL_CLIENT]),
	    0);
}

static int
accept_at(struct ends *e, struct joined *j, uint64_t now_us)
{
	struct tunnel_request r;

	assert_int_equal(tunnel_request_parse(j->path, &r), 0);
	return tunnel_stream_accept(e->t[TUNNEL_SERVER], &r, NULL, now_us, &j->s[TUNNEL_SERVER]);
}

static void
join(struct ends *e, struct joined *j)
{
	ask(e, j);
	assert_int_equal(accept_at(e, j, NOW), 0);
}

/* What the client writes on the stream: the preamble, a PING, and a message. */
static size_t
write_all(struct ends *e, struct joined *j, uint8_t *out, size_t cap)
{
	long n;

	assert_int_equal(tunnel_send(e->t[TUNNEL_CLIENT], MESSAGE, "hello", 5, NOW), 0);
	tunnel_flush(e->t[TUNNEL_CLIENT], NOW);
	n = tunnel_output(e->t[TUNNEL_CLIENT], j->s[TUNNEL_CLIENT], out, cap, NOW);
	assert_true(n > FRAME_PREAMBLE_LEN);
	return (size_t)n;
}

static int
read_all(struct ends *e, struct joined *j, const uint8_t *in, size_t n)
{
	return tunnel_input(e->t[TUNNEL_SERVER], j->s[TUNNEL_SERVER], in, n, NOW);
}

/* -- What somebody on the way may do -- */

static void
what_is_sealed_shows_nothing_and_opens_at_the_other_end(void **state)
{
	uint8_t bytes[4096];
	struct joined j;
	struct ends e;
	size_t n;

	(void)state;
	ends_new(&e);
	join(&e, &j);
	n = write_all(&e, &j, bytes, sizeof(bytes));
	assert_null(memmem(bytes, n, "hello", 5));
	assert_int_equal(read_all(&e, &j, bytes, n), 0);
	assert_int_equal(e.got[TUNNEL_SERVER], 1);
	ends_free(&e);
}

static void
a_bit_changed_anywhere_closes_the_stream_and_another_brings_the_message_once(void **state)
{
	uint8_t bytes[4096];
	size_t n = SIZE_MAX;

	(void)state;
	for (size_t bit = 8 * FRAME_PREAMBLE_LEN; bit < 8 * n; bit++) {
		struct joined j, other;
		struct ends e;
		int err;

		ends_new(&e);
		join(&e, &j);
		n = write_all(&e, &j, bytes, sizeof(bytes));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		err = read_all(&e, &j, bytes, n);
		/* With another length it may wait for more, which then does not open either. */
		if (err == 0)
			err = read_all(&e, &j, bytes, sizeof(bytes));
		assert_true(err == ERR_AUTH || err == ERR_MALFORMED);
		tunnel_stream_gone(e.t[TUNNEL_SERVER], j.s[TUNNEL_SERVER], TUNNEL_WHY_UNSEALED,
		    NOW);
		tunnel_stream_gone(e.t[TUNNEL_CLIENT], j.s[TUNNEL_CLIENT], TUNNEL_WHY_CUT, NOW);
		/* The session goes on over another, which carries the message again. */
		join(&e, &other);
		tunnel_flush(e.t[TUNNEL_CLIENT], NOW);
		n = (size_t)tunnel_output(e.t[TUNNEL_CLIENT], other.s[TUNNEL_CLIENT], bytes,
		    sizeof(bytes), NOW);
		assert_int_equal(read_all(&e, &other, bytes, n), 0);
		assert_int_equal(e.got[TUNNEL_SERVER], 1);
		assert_int_equal(tunnel_stats(e.t[TUNNEL_SERVER])
				     ->streams_ended[TUNNEL_WHY_UNSEALED],
		    1);
		ends_free(&e);
	}
}

/* The first two batches: where each begins, and where the second ends. */
static void
split(const uint8_t *bytes, size_t n, size_t at[3])
{
	size_t len;

	at[0] = FRAME_PREAMBLE_LEN;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(frame_batch_split(bytes + at[i], n - at[i], &len), 0);
		at[i + 1] = at[i] + len;
	}
}

static void
batches_left_out_said_twice_or_in_another_order_do_not_open(void **state)
{
	(void)state;
	for (int harm = 0; harm < 4; harm++) {
		uint8_t bytes[4096], changed[4096];
		size_t at[3], n;
		struct joined j, other;
		struct ends e;

		ends_new(&e);
		join(&e, &j);
		join(&e, &other);
		/* Both streams begin with a question; the message follows on one of them. */
		n = write_all(&e, &j, bytes, sizeof(bytes));
		tunnel_stream_gone(e.t[TUNNEL_CLIENT], other.s[TUNNEL_CLIENT], TUNNEL_WHY_CUT, NOW);
		n += write_all(&e, &j, bytes + n, sizeof(bytes) - n);
		split(bytes, n, at);
		memcpy(changed, bytes, FRAME_PREAMBLE_LEN);
		n = FRAME_PREAMBLE_LEN;
		for (int i = 0; i < 2; i++) {
			int k = harm == 0 ? 1 : harm == 1 ? 0 : harm == 2 ? 1 - i : i;

			memcpy(changed + n, bytes + at[k], at[k + 1] - at[k]);
			n += at[k + 1] - at[k];
		}
		if (harm == 3) /* the right ones, on another stream */
			changed[FRAME_PREAMBLE_LEN - 1]++;
		assert_int_equal(read_all(&e, harm == 3 ? &other : &j, changed, n), ERR_AUTH);
		ends_free(&e);
	}
}

/* -- Another key -- */

static int
rekey(struct ends *e, enum tunnel_role role, uint8_t key)
{
	struct tunnel_grant grant = grant_of(HANDSHAKE_REKEY, key);

	return tunnel_rekey(e->t[role], &grant, NOW);
}

static void
assert_passes(struct ends *e, struct joined *j)
{
	uint8_t bytes[4096];
	size_t n = write_all(e, j, bytes, sizeof(bytes));

	assert_int_equal(read_all(e, j, bytes, n), 0);
}

static void
the_server_uses_a_key_when_the_client_does_and_takes_the_one_before_for_a_minute(void **state)
{
	struct joined before, late, later, after;
	struct ends e;

	(void)state;
	ends_new(&e);
	join(&e, &before);
	ask(&e, &late);
	ask(&e, &later);
	assert_int_equal(rekey(&e, TUNNEL_SERVER, 2), 0);
	assert_int_equal(tunnel_stats(e.t[TUNNEL_SERVER])->rekeys, 0);
	assert_int_equal(rekey(&e, TUNNEL_CLIENT, 2), 0);
	join(&e, &after);
	assert_int_equal(tunnel_stats(e.t[TUNNEL_SERVER])->rekeys, 1);
	assert_memory_equal(tunnel_grant(e.t[0])->key, tunnel_grant(e.t[1])->key, 32);
	assert_passes(&e, &after);
	assert_passes(&e, &before);
	assert_int_equal(accept_at(&e, &late, NOW + 59 * CLOCK_S), 0);
	tunnel_tick(e.t[TUNNEL_SERVER], NOW + 60 * CLOCK_S);
	assert_int_equal(accept_at(&e, &later, NOW + 60 * CLOCK_S), ERR_AUTH);
	ends_free(&e);
}

static void
a_key_that_only_the_server_knows_of_changes_nothing(void **state)
{
	struct joined j, k;
	struct ends e;

	(void)state;
	ends_new(&e);
	for (uint8_t key = 2; key < 5; key++)
		assert_int_equal(rekey(&e, TUNNEL_SERVER, key), 0);
	join(&e, &j);
	assert_passes(&e, &j);
	assert_int_equal(tunnel_stats(e.t[TUNNEL_SERVER])->rekeys, 0);
	assert_int_equal(rekey(&e, TUNNEL_CLIENT, 4), 0);
	join(&e, &k);
	assert_passes(&e, &k);
	assert_int_equal(tunnel_stats(e.t[TUNNEL_SERVER])->rekeys, 1);
	ends_free(&e);
}

/* Somebody with the secret may be granted one for any session, but has not the key that it had. */
static void
who_had_not_the_key_before_has_not_the_next_one_either(void **state)
{
	struct ends e, stranger;
	struct joined j;

	(void)state;
	ends_new(&e);
	ends_new(&stranger);
	assert_int_equal(rekey(&stranger, TUNNEL_CLIENT, 9), 0);
	assert_int_equal(rekey(&e, TUNNEL_CLIENT, 2), 0);
	assert_int_equal(rekey(&e, TUNNEL_SERVER, 2), 0);
	join(&e, &j);
	/* He opens by the same grant as the agent does next, and by the first key of the session. */
	assert_int_equal(rekey(&e, TUNNEL_SERVER, 9), 0);
	ask(&stranger, &j);
	assert_int_equal(accept_at(&e, &j, NOW), ERR_AUTH);
	ends_free(&e);
	ends_free(&stranger);
}

static void
a_key_for_another_session_or_purpose_is_refused(void **state)
{
	struct tunnel_grant grant = grant_of(HANDSHAKE_REKEY, 2);
	struct ends e;

	(void)state;
	ends_new(&e);
	for (int role = 0; role < 2; role++) {
		grant = grant_of(HANDSHAKE_SESSION, 2);
		assert_int_equal(tunnel_rekey(e.t[role], &grant, NOW), ERR_AUTH);
		grant = grant_of(HANDSHAKE_REKEY, 2);
		grant.session++;
		assert_int_equal(tunnel_rekey(e.t[role], &grant, NOW), ERR_AUTH);
		assert_int_equal(tunnel_grant(e.t[role])->key[0], 1);
	}
	ends_free(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sealed_shows_nothing_and_opens_at_the_other_end),
		cmocka_unit_test(
		    a_bit_changed_anywhere_closes_the_stream_and_another_brings_the_message_once),
		cmocka_unit_test(batches_left_out_said_twice_or_in_another_order_do_not_open),
		cmocka_unit_test(
		    the_server_uses_a_key_when_the_client_does_and_takes_the_one_before_for_a_minute),
		cmocka_unit_test(a_key_that_only_the_server_knows_of_changes_nothing),
		cmocka_unit_test(who_had_not_the_key_before_has_not_the_next_one_either),
		cmocka_unit_test(a_key_for_another_session_or_purpose_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
