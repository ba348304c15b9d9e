/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "log/log.h"
#include "sip/location.h"
#include "sip/sip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/*
 * A server with its three faces, told a play: acts with 0xff between them. The first byte of an act
 * says what it is: 'o', 'i', 'b' a message on the outside, office or branch face; 'O', 'I', 'B' the
 * same by TCP; 'a' an answer to the last request sent, the next byte times ten its status, the rest
 * more header lines; 'f' that request was not deliverable; 't' time goes by.
 */
struct play {
	struct sip_server *server;
	struct timers *timers;
	struct sip_msg *last; /* request sent */
	struct sip_flow last_to;
	struct sip_failure lost; /* of what was sent last */
	uint64_t now_us;
};

static void
on_send(void *arg, const struct sip_flow *to, uint64_t tag, const char *data, size_t n)
{
	struct play *p = arg;
	struct sip_msg *m;

	if (sip_msg_parse(data, n, &m) != 0)
		abort(); /* what we send must be SIP */
	if (!sip_msg_is_request(m)) {
		sip_msg_free(m);
		return;
	}
	sip_msg_free(p->last);
	p->last = m;
	p->last_to = *to;
	p->lost = (struct sip_failure){ to->face, tag, ERR_IO };
}

static int
on_relay(void *arg, struct sip_relay *r)
{
	struct sip_dialog_side side = { 0 };
	char id[64];

	(void)arg;
	sip_dialog_side_learn(&side, r);
	sip_dialog_side_clear(&side);
	return sip_msg_call_id(r->in, id, sizeof(id)) != NULL && id[0] == 'R' ? 488 : 0;
}

static void
message(struct play *p, char face, const char *text, size_t n)
{
	struct sip_flow from = { .face = face == 'o' ? 0 : face == 'i' ? 1 : 2 };

	if (face < 'a') {
		from.face = face == 'O' ? 0 : face == 'I' ? 1 : 2;
		from.proto = SIP_TCP;
		from.listener = 1;
		from.conn = 5;
	}
	addr_parse(from.face == 0 ? "198.51.100.7:5060" : "192.168.1.20:5060", 0, &from.peer);
	sip_server_receive(p->server, &from, text, n, p->now_us);
}

static void
answer(struct play *p, const uint8_t *act, size_t n)
{
	struct sip_msg *m;
	char *text, *with;
	size_t len;

	if (p->last == NULL || n < 1 || act[0] < 10 || act[0] > 69)
		return;
	m = sip_msg_response(p->last, act[0] * 10, NULL, "fuzz");
	if (sip_msg_encode(m, &text, &len) == 0) {
		with = mem_printf("%.*s%.*s", (int)(strstr(text, "Content-Length") - text), text,
		    (int)(n - 1), (const char *)act + 1);
		sip_server_receive(p->server, &p->last_to, with, strlen(with), p->now_us);
		mem_free(with);
		mem_free(text);
	}
	sip_msg_free(m);
}

static void
perform(struct play *p, const uint8_t *act, size_t n)
{
	if (n == 0)
		return;
	if (memchr("oibOIB", act[0], 6) != NULL)
		message(p, (char)act[0], (const char *)act + 1, n - 1);
	else if (act[0] == 'a')
		answer(p, act + 1, n - 1);
	else if (act[0] == 'f')
		sip_server_send_failed(p->server, &p->lost, p->now_us);
	else if (act[0] == 't')
		p->now_us += 5 * CLOCK_S;
	timers_run(p->timers, p->now_us);
}

static void
start(struct play *p, struct location *location)
{
	static const char *const domains[] = { "example.com" };
	static const struct sip_user users[] = { { "alice", "wonderland" } };
	static const struct sip_server_handlers handlers = { on_send, on_relay, NULL, NULL };
	struct sip_server_cfg cfg = { .domains = domains,
		.domains_n = 1,
		.listen_n = 2,
		.auth = SIP_AUTH_OUTSIDE,
		.users = users,
		.users_n = 1,
		.internal_direct = true };
	struct sip_listener inside[2] = { { .proto = SIP_UDP }, { .proto = SIP_TCP } };

	for (int i = 0; i < 2; i++) {
		cfg.listen[i].proto = inside[i].proto;
		addr_parse("203.0.113.10:5060", 0, &cfg.listen[i].addr);
		addr_parse("192.168.1.5:5060", 0, &inside[i].addr);
	}
	p->server = sip_server_new(&cfg, p->timers, NULL, location, &handlers, p);
	sip_server_face_up(p->server, 1, "office", inside, 2);
	sip_server_face_up(p->server, 2, "branch", inside, 2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct play p = { .now_us = 1000 * CLOCK_S, .timers = timers_new() };
	struct location *location;
	const uint8_t *end = data + n, *next;

	log_set_level(LOG_ERROR);
	sip_msg_init();
	if (location_open(NULL, 100, &location) != 0)
		abort();
	start(&p, location);
	for (; data < end; data = next + 1) {
		next = memchr(data, 0xff, (size_t)(end - data));
		if (next == NULL)
			next = end;
		perform(&p, data, (size_t)(next - data));
	}
	sip_server_free(p.server);
	location_close(location);
	timers_free(p.timers);
	sip_msg_free(p.last);
	return 0;
}
