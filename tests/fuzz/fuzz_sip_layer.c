/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sip/transaction.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/*
 * The input is a play of acts with 0x1e between them: r = a message comes (on flow 0-9), p = the TU
 * responds, c = it starts a client transaction, a = the peer answers that, x = the TU cancels it,
 * f = the last message was not deliverable, t = time passes.
 */
struct play {
	struct sip_layer *l;
	struct timers *timers;
	struct sip_failure lost; /* of what was sent last */
	uint64_t now_us;
	struct sip_server_txn *st;
	struct sip_client_txn *ct;
};

static void
on_send(void *arg, const struct sip_flow *to, uint64_t tag, const char *data, size_t n)
{
	struct play *p = arg;

	if (data[n] != '\0')
		abort();
	p->lost = (struct sip_failure){ to->face, tag, ERR_DOWN };
}

static void
on_server_ended(void *arg, struct sip_server_txn *st)
{
	struct play *p = arg;

	if (p->st == st)
		p->st = NULL;
}

static void
on_request(void *arg, struct sip_server_txn *st, const struct sip_msg *req,
    const struct sip_flow *from, struct sip_server_txn *invite)
{
	struct play *p = arg;

	(void)req;
	(void)from;
	if (st == NULL)
		return;
	sip_server_txn_own(st, on_server_ended, p);
	p->st = invite != NULL ? invite : st;
}

static void
on_stray(void *arg, const struct sip_msg *resp, const struct sip_flow *from)
{
	(void)arg;
	(void)resp;
	(void)from;
}

static void
on_client_ended(void *arg, struct sip_client_txn *ct)
{
	struct play *p = arg;

	if (p->ct == ct)
		p->ct = NULL;
}

static void
receive(struct play *p, const char *data, size_t n)
{
	struct sip_flow from = { .conn = 5 };
	struct sip_msg *m;
	const char *why;
	int status;

	if (n == 0 || sip_msg_parse(data + 1, n - 1, &m) != 0)
		return;
	addr_parse("192.0.2.9:5060", 0, &from.peer);
	from.proto = (data[0] & 1) != 0 ? SIP_TCP : SIP_UDP;
	from.face = (unsigned char)data[0] >> 1 & 1;
	status = sip_msg_check(m, &why);
	if (status > 0)
		sip_layer_respond_stateless(p->l, m, &from, status, why);
	if (status == 0)
		sip_layer_receive(p->l, m, &from, p->now_us);
	else
		sip_msg_free(m);
}

static void
start_client(struct play *p)
{
	static const struct sip_client_handlers h = { .on_ended = on_client_ended };
	struct sip_listener via = { .proto = SIP_UDP };
	struct sip_flow to = { .proto = SIP_UDP };

	if (p->st == NULL || p->ct != NULL)
		return;
	addr_parse("203.0.113.1:5060", 0, &via.addr);
	addr_parse("192.0.2.9:5060", 0, &to.peer);
	if (sip_client_txn_start(p->l, sip_msg_clone(sip_server_txn_request(p->st)), &via, &to, &h,
		p, p->now_us, &p->ct) != 0)
		p->ct = NULL;
}

static void
act(struct play *p, const char *data, size_t n)
{
	unsigned value = n > 1 ? (unsigned char)data[1] : 0;
	struct sip_flow from = { 0 };

	switch (n > 0 ? data[0] : 0) {
	case 'r':
		receive(p, data + 1, n - 1);
		break;
	case 'p':
		if (p->st != NULL)
			sip_server_txn_respond(p->st,
			    sip_msg_response(sip_server_txn_request(p->st), 100 + (int)value * 2,
				NULL, "tu"),
			    p->now_us);
		break;
	case 'c':
		start_client(p);
		break;
	case 'a':
		if (p->ct == NULL)
			break;
		from = *sip_client_txn_flow(p->ct);
		sip_layer_receive(p->l,
		    sip_msg_response(sip_client_txn_request(p->ct), 100 + (int)value * 2, NULL,
			"peer"),
		    &from, p->now_us);
		break;
	case 'x':
		if (p->ct != NULL)
			sip_client_txn_cancel(p->ct, p->now_us);
		break;
	case 'f':
		sip_layer_send_failed(p->l, &p->lost, p->now_us);
		break;
	case 't':
		p->now_us += value * CLOCK_S / 4;
		timers_run(p->timers, p->now_us);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct sip_layer_handlers h = { on_send, on_request, on_stray };
	struct play p = { .timers = timers_new(), .now_us = CLOCK_S };
	const char *at = (const char *)data, *end = at + n, *next;

	p.l = sip_layer_new(p.timers, &h, &p);
	for (; at < end; at = next + 1) {
		next = memchr(at, 0x1e, (size_t)(end - at));
		if (next == NULL)
			next = end;
		act(&p, at, (size_t)(next - at));
	}
	for (int i = 0; i < 100; i++) { /* nothing may be left but INVITEs that ring for ever */
		p.now_us += 40 * CLOCK_S;
		timers_run(p.timers, p.now_us);
	}
	sip_layer_free(p.l);
	timers_free(p.timers);
	return 0;
}
