/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "tunnel/control.h"
#include "tunnel/crypto.h"
#include "tunnel/datagram.h"
#include "tunnel/frame.h"
#include "tunnel/handshake.h"
#include "tunnel/parity.h"
#include "tunnel/request.h"

/* The examples of docs/PROTOCOL.md are what the code reads and writes, to the byte. */

#define EXAMPLES_MAX 64

static struct example {
	char name[64];
	uint8_t p[1024];
	size_t n;
	bool used;
} examples[EXAMPLES_MAX];
static size_t examples_n;

static char paths[6][TUNNEL_PATH_MAX];
static size_t paths_n;

/* "56 4f ; a remark" */
static void
add_bytes(struct example *e, const char *line)
{
	unsigned byte;
	int len;

	while (sscanf(line, " %2x%n", &byte, &len) == 1) {
		assert_true(e->n < sizeof(e->p));
		e->p[e->n++] = (uint8_t)byte;
		line += len;
	}
	assert_true(line[strspn(line, " \n")] == ';' || line[strspn(line, " \n")] == '\0');
}

static int
read_document(void **state)
{
	const char *dir = getenv("srcdir");
	char name[1024], line[1024], block[64] = "";
	FILE *f;

	(void)state;
	snprintf(name, sizeof(name), "%s/docs/PROTOCOL.md", dir != NULL ? dir : ".");
	f = fopen(name, "r");
	if (f == NULL)
		fail_msg("%s: cannot be read", name);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "```", 3) == 0) {
			if (block[0] != '\0' || sscanf(line, "```hex %63s", block) != 1)
				block[0] = '\0';
			if (strcmp(line, "```path\n") == 0)
				strcpy(block, "path");
			else if (block[0] != '\0') {
				assert_true(examples_n < EXAMPLES_MAX);
				strcpy(examples[examples_n++].name, block);
			}
		} else if (strcmp(block, "path") == 0) {
			assert_true(paths_n < 6 && strlen(line) < TUNNEL_PATH_MAX);
			sscanf(line, "%127s", paths[paths_n++]);
		} else if (block[0] != '\0') {
			add_bytes(&examples[examples_n - 1], line);
		}
	}
	fclose(f);
	return 0;
}

static const struct example *
example(const char *name)
{
	for (size_t i = 0; i < examples_n; i++)
		if (strcmp(examples[i].name, name) == 0) {
			examples[i].used = true;
			return &examples[i];
		}
	fail_msg("PROTOCOL.md has no example %s", name);
	return NULL;
}

static void
assert_example(const struct example *e, const uint8_t *p, size_t n)
{
	if (n != e->n || memcmp(p, e->p, n) != 0)
		fail_msg("%s: the code makes other bytes", e->name);
}

static void
the_handshake_and_the_paths_are_as_told(void **state)
{
	const struct example *hello = example("hello");
	uint8_t out[HANDSHAKE_BODY_MAX], pub_s[HANDSHAKE_PUBLIC_LEN];
	struct tunnel_grant grant;
	struct handshake h;
	char path[TUNNEL_PATH_MAX];
	size_t n;

	(void)state;
	assert_int_equal(handshake_init(&h, "office", "change-me", 0x1122334455667788, true), 0);
	h.ciphers &= (uint8_t)~0x80; /* as on a host whose processor does AES */
	handshake_hello(&h, HANDSHAKE_SESSION, 0, out, &n);
	/* All but the public key and the nonce, which then are taken from the examples. */
	assert_int_equal(n, hello->n);
	assert_memory_equal(out, hello->p, n - sizeof(h.pub_c) - sizeof(h.nonce_c));
	memcpy(h.nonce_c, hello->p + n - sizeof(h.nonce_c), sizeof(h.nonce_c));
	memcpy(h.private_c, example("private-c")->p, sizeof(h.private_c));
	crypto_x25519_public(h.private_c, h.pub_c);
	assert_memory_equal(h.pub_c, hello->p + n - sizeof(h.pub_c) - sizeof(h.nonce_c),
	    sizeof(h.pub_c));
	assert_int_equal(handshake_respond(&h, example("challenge")->p, example("challenge")->n,
			     out, &n),
	    0);
	assert_example(example("response"), out, n);
	assert_int_equal(handshake_finish(&h, example("welcome")->p, example("welcome")->n, &grant),
	    0);
	crypto_x25519_public(example("private-s")->p, pub_s);
	assert_memory_equal(pub_s,
	    example("challenge")->p + example("challenge")->n - sizeof(pub_s), sizeof(pub_s));
	assert_example(example("key"), grant.key, sizeof(grant.key));
	assert_int_equal(paths_n, 6);
	request_print(&grant, &(struct tunnel_request){ .dir = TUNNEL_UP, .serial = 1 }, path);
	assert_string_equal(path, paths[0]);
	request_print(&grant, &(struct tunnel_request){ .dir = TUNNEL_DOWN, .serial = 2 }, path);
	assert_string_equal(path, paths[1]);
	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++) {
		request_print(&grant,
		    &(struct tunnel_request){
			.dir = dir, .serial = dir == TUNNEL_UP ? 3 : 9, .bounded = true },
		    path);
		assert_string_equal(path, paths[dir == TUNNEL_UP ? 2 : 3]);
	}
}

static void
the_preamble_is_as_told(void **state)
{
	uint8_t out[FRAME_PREAMBLE_LEN];

	(void)state;
	frame_preamble_put(TUNNEL_DOWN, 2, out);
	assert_example(example("preamble"), out, sizeof(out));
}

/* The first batch of stream 2, DOWN, is the example batch-media. */
static void
a_sealed_batch_is_as_told(void **state)
{
	const struct example *sealed = example("sealed"), *clear = example("batch-media");
	struct cipher_message m = { 1, sealed->p, FRAME_LENGTH_FIELD };
	struct cipher *c;
	uint8_t out[1024];
	size_t len;

	(void)state;
	c = cipher_derive(CIPHER_AES_256_GCM, example("key")->p,
	    &(struct cipher_use){ "vofw2 batches", TUNNEL_DOWN, 0x0123456789abcdef, 2 });
	assert_int_equal(frame_batch_split(sealed->p, sealed->n, &len), 0);
	assert_int_equal(len, sealed->n);
	assert_int_equal(len, clear->n + cipher_tag_len(c));
	assert_true(cipher_open(c, &m, sealed->p + 2, len - 2, out));
	assert_memory_equal(out, clear->p + 2, clear->n - 2);
	cipher_seal(c, &m, out, clear->n - 2);
	assert_memory_equal(out, sealed->p + 2, len - 2);
	cipher_free(c);
}

/* Decodes a batch, checks that its frames are of these types, and encodes it to the same bytes. */
static void
assert_batch(const char *name, const char *types)
{
	const struct example *e = example(name);
	uint8_t out[FRAME_BATCH_MAX], mem[FRAME_BODY_MAX];
	struct wire_write w = wire_writer(mem, sizeof(mem));
	struct frame_header h;
	struct wire_read body;
	struct frame f;
	size_t len, n;

	assert_int_equal(frame_batch_get(e->p, e->n, &h, &body, &len), 0);
	assert_int_equal(len, e->n);
	for (; *types != '\0'; types++) {
		assert_int_equal(frame_next(&body, &f), 0);
		assert_int_equal(f.type, *types - '0');
		frame_put(&w, &f);
	}
	assert_int_equal(frame_next(&body, &f), ERR_NOT_FOUND);
	n = frame_header_put(&h, w.used, out);
	memcpy(out + n, mem, w.used);
	if (strcmp(name, "batch-extension") != 0)
		assert_example(e, out, n + w.used);
}

static void
batches_and_frames_are_as_told(void **state)
{
	(void)state;
	assert_batch("batch-media", "11");
	assert_batch("batch-acks", "");
	assert_batch("batch-report", "1");
	assert_batch("batch-repeat", "17");
	assert_batch("batch-parity-p", "6");
	assert_batch("batch-parity-q", "6");
	assert_batch("batch-ping", "3");
	assert_batch("batch-pong", "4");
	assert_batch("batch-reliable", "2");
	assert_batch("batch-want", "2");
	assert_batch("batch-fragments", "22");
	assert_batch("batch-retire", "2");
	assert_batch("batch-end", "5");
	assert_batch("batch-extension", "5");
	/* The idle budget counts with these. */
	assert_int_equal(example("batch-pong")->n, 13);
	assert_int_equal(example("batch-ping")->n + 4, 16);
}

static void
a_bounded_stream_is_a_burst_and_its_end(void **state)
{
	static const enum frame_type last[] = { FRAME_PONG, FRAME_END };
	const struct example *e = example("stream-bounded");
	size_t used = FRAME_PREAMBLE_LEN, len;

	(void)state;
	assert_int_equal(frame_preamble_check(TUNNEL_DOWN, 9, e->p), 0);
	for (size_t i = 0; i < 2; i++, used += len) {
		struct frame_header h;
		struct wire_read body;
		struct frame f;

		assert_int_equal(frame_batch_get(e->p + used, e->n - used, &h, &body, &len), 0);
		assert_int_equal(frame_next(&body, &f), 0);
		assert_int_equal(f.type, last[i]);
		assert_int_equal(frame_next(&body, &f), ERR_NOT_FOUND);
	}
	assert_int_equal(used, e->n);
}

static void
add_body(struct parity_sum *sum, const char *name, size_t media_n)
{
	const struct example *e = example(name);
	struct frame_header h;
	struct wire_read body;
	size_t len;

	assert_int_equal(frame_batch_get(e->p, e->n, &h, &body, &len), 0);
	assert_int_equal(parity_add(sum, h.media_base, media_n, body.p, body.left), 0);
}

static void
the_sums_of_two_batches_are_as_told(void **state)
{
	static const char *const names[] = { "batch-parity-p", "batch-parity-q" };
	struct parity_sum sum;

	(void)state;
	parity_start(&sum, 2);
	add_body(&sum, "batch-media", 2);
	add_body(&sum, "batch-report", 1);
	for (unsigned row = 0; row < 2; row++) {
		uint8_t out[FRAME_BATCH_MAX], mem[FRAME_BODY_MAX];
		struct wire_write w = wire_writer(mem, sizeof(mem));
		struct frame f;
		size_t n;

		parity_frame(&sum, row, &f);
		frame_put(&w, &f);
		n = frame_header_put(&(struct frame_header){ 0 }, w.used, out);
		memcpy(out + n, mem, w.used);
		assert_example(example(names[row]), out, n + w.used);
	}
}

/* The example is what this end makes of the batch, and what the other end opens to it. */
static void
assert_datagram(struct datagram_end *from, struct datagram_end *to, const char *what)
{
	uint8_t out[DATAGRAM_MAX];
	const struct example *batch, *e;
	struct datagram d;
	char name[64];
	size_t n;

	snprintf(name, sizeof(name), "datagram-batch-%s", what);
	batch = example(name);
	snprintf(name, sizeof(name), "datagram-%s", what);
	e = example(name);
	memcpy(out + DATAGRAM_HEADER_LEN, batch->p, batch->n);
	(void)datagram_seal(from, out, batch->n, &n);
	assert_example(e, out, n);
	assert_int_equal(datagram_open(to, out, n, &d), 0);
	assert_int_equal(d.batch_len, batch->n);
	assert_memory_equal(d.batch, batch->p, batch->n);
}

static void
datagrams_are_as_told(void **state)
{
	static const struct {
		const char *name;
		enum frame_type type;
	} batches[] = { { "datagram-batch-probe", FRAME_PROBE },
		{ "datagram-batch-answer", FRAME_ANSWER },
		{ "datagram-batch-voice", FRAME_MEDIA } };
	struct tunnel_grant grant = { .session = 0x0123456789abcdef, .cipher = CIPHER_AES_256_GCM };
	struct datagram_end *client, *server;

	(void)state;
	memcpy(grant.key, example("key")->p, sizeof(grant.key));
	client = datagram_end_new(&grant, TUNNEL_CLIENT, 0);
	server = datagram_end_new(&grant, TUNNEL_SERVER, 0);
	for (size_t i = 0; i < 3; i++) {
		const struct example *e = example(batches[i].name);
		uint8_t out[FRAME_HEADER_MAX + FRAME_BODY_MAX], mem[FRAME_BODY_MAX];
		struct wire_write w = wire_writer(mem, sizeof(mem));
		struct frame_header h;
		struct wire_read body;
		struct frame f;
		size_t n;

		assert_int_equal(frame_content_get(e->p, e->n, &h, &body), 0);
		assert_int_equal(frame_next(&body, &f), 0);
		assert_int_equal(f.type, batches[i].type);
		assert_int_equal(body.left, 0);
		frame_put(&w, &f);
		n = frame_header_put(&h, w.used, out);
		memcpy(out + n, mem, w.used);
		assert_example(e, out + FRAME_LENGTH_LEN, n + w.used - FRAME_LENGTH_LEN);
	}
	assert_datagram(client, server, "probe");
	assert_datagram(server, client, "answer");
	assert_datagram(client, server, "voice");
	datagram_end_free(client);
	datagram_end_free(server);
}

static void
probes_are_as_told(void **state)
{
	static const struct probe_plan echo = { 5, 24, 100 }, silence = { 2, 16, 30000 };
	const struct example *chunks = example("probe-chunks"), *report = example("probe-report");
	struct tunnel_grant grant = { .session = 0x0123456789abcdef };
	char path[TUNNEL_PATH_MAX];
	uint8_t out[PROBE_REPORT_MAX];
	static struct probe_report told;
	static struct probe_reader r;
	static struct probe_writer w;
	size_t n;

	(void)state;
	memcpy(grant.key, example("key")->p, sizeof(grant.key));
	request_print_probe(&grant, TUNNEL_UP, 1, &echo, path);
	assert_string_equal(path, paths[4]);
	request_print_probe(&grant, TUNNEL_DOWN, 2, &silence, path);
	assert_string_equal(path, paths[5]);

	probe_writer_init(&w, &echo);
	n = probe_write(&w, 12, (struct probe_segments){ 1, 0 }, out, sizeof(out));
	n += probe_write(&w, 100034, (struct probe_segments){ 3, 1 }, out + n, sizeof(out) - n);
	assert_example(chunks, out, n);
	probe_reader_init(&r, &echo);
	assert_int_equal(probe_read(&r, 0x280, chunks->p, 24), 0);
	assert_int_equal(probe_read(&r, 0x18894, chunks->p + 24, chunks->n - 24), 0);
	assert_int_equal(r.n, 2);

	assert_int_equal(probe_report_decode(report->p, report->n, &told), 0);
	assert_int_equal(told.n, 2);
	assert_true(addr_is_any(&told.about.datagrams[0]));
	assert_int_equal(addr_port(&told.about.datagrams[0]), 443);
	n = probe_report_encode(&r, &told.about, out);
	assert_example(report, out, n);
}

static void
every_control_message_is_told_and_as_told(void **state)
{
	unsigned seen = 0;

	(void)state;
	for (size_t i = 0; i < examples_n; i++) {
		struct example *e = &examples[i];
		uint8_t out[1024];
		struct control c;
		unsigned type;
		size_t n;

		if (sscanf(e->name, "control-%u-", &type) != 1)
			continue;
		if (control_decode((uint8_t)type, e->p, e->n, &c) < 0)
			fail_msg("%s cannot be decoded", e->name);
		assert_int_equal(control_encode(&c, out, sizeof(out), &n), 0);
		assert_example(e, out, n);
		e->used = true;
		seen |= 1u << type;
	}
	for (unsigned type = CONTROL_AGENT; type <= CONTROL_DATAGRAMS; type++)
		if ((seen & 1u << type) == 0)
			fail_msg("PROTOCOL.md has no example of control message %u", type);
}

static void
no_example_was_left_out(void **state)
{
	(void)state;
	assert_true(examples_n >= 28);
	for (size_t i = 0; i < examples_n; i++)
		if (!examples[i].used)
			fail_msg("%s was not tried", examples[i].name);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_handshake_and_the_paths_are_as_told),
		cmocka_unit_test(the_preamble_is_as_told),
		cmocka_unit_test(a_bounded_stream_is_a_burst_and_its_end),
		cmocka_unit_test(a_sealed_batch_is_as_told),
		cmocka_unit_test(batches_and_frames_are_as_told),
		cmocka_unit_test(the_sums_of_two_batches_are_as_told),
		cmocka_unit_test(datagrams_are_as_told),
		cmocka_unit_test(probes_are_as_told),
		cmocka_unit_test(every_control_message_is_told_and_as_told),
		cmocka_unit_test(no_example_was_left_out),
	};

	return cmocka_run_group_tests(tests, read_document, NULL);
}
