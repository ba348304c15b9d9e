/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/outage.h"

#include <string.h>
#include <uthash.h>

#include "base/clock.h"
#include "base/mem.h"
#include "log/log.h"
#include "sip/msg.h"
#include "sip/transaction.h"

#define COMPONENT "outage"
#define T1_US (500 * CLOCK_MS)
#define T2_US (4 * CLOCK_S)
#define GIVE_UP_US (64 * T1_US) /* timer F */

struct counters {
	uint64_t requests_refused_tunnel_down, wills_sent, wills_answered;
};

static const struct metric counter_table[] = {
	METRIC(struct counters, requests_refused_tunnel_down, METRIC_COUNTER,
	    "Requests of phones answered 503 since the tunnel was down."),
	METRIC(struct counters, wills_sent, METRIC_COUNTER,
	    "BYEs sent to phones since the tunnel was gone for good."),
	METRIC(struct counters, wills_answered, METRIC_COUNTER,
	    "Of those BYEs, how many were answered."),
	{ 0 },
};

/* A BYE on its way to a phone, known by its branch. */
struct will {
	struct outage *outage;
	char *branch, *message;
	size_t len;
	struct sip_flow to;
	struct timer again;
	uint64_t wait_us, give_up_us;
	UT_hash_handle hh;
};

struct outage {
	struct timers *timers;
	struct sip_layer *layer; /* for stateless answers only */
	outage_send_cb *send;
	void *arg;
	struct will *wills;
	struct counters counters;
};

static void
on_layer_send(void *arg, const struct sip_flow *to, uint64_t tag, const char *data, size_t n)
{
	struct outage *o = arg;

	(void)tag;
	o->send(o->arg, to, data, n);
}

static void
on_layer_request(void *arg, struct sip_server_txn *st, const struct sip_msg *req,
    const struct sip_flow *from, struct sip_server_txn *invite)
{
	(void)arg, (void)st, (void)req, (void)from, (void)invite; /* it is given no requests */
}

static void
on_layer_stray(void *arg, const struct sip_msg *resp, const struct sip_flow *from)
{
	(void)arg, (void)resp, (void)from;
}

struct outage *
outage_new(struct timers *timers, outage_send_cb *send, void *arg)
{
	static const struct sip_layer_handlers handlers = { on_layer_send, on_layer_request,
		on_layer_stray };
	struct outage *o = mem_zalloc(sizeof(*o));

	o->timers = timers;
	o->send = send;
	o->arg = arg;
	o->layer = sip_layer_new(timers, &handlers, o);
	return o;
}

static void
will_free(struct will *w)
{
	timer_clear(w->outage->timers, &w->again);
	HASH_DEL(w->outage->wills, w);
	mem_free(w->branch);
	mem_free(w->message);
	mem_free(w);
}

void
outage_free(struct outage *o)
{
	struct will *w, *next;

	if (o == NULL)
		return;
	HASH_ITER(hh, o->wills, w, next)
		will_free(w);
	sip_layer_free(o->layer);
	mem_free(o);
}

void
outage_refuse(struct outage *o, const struct sip_flow *from, const char *data, size_t n)
{
	struct sip_msg *m;
	const char *why;

	if (sip_msg_parse(data, n, &m) != 0)
		return;
	if (sip_msg_is_request(m) && sip_msg_method(m) != SIP_ACK && sip_msg_check(m, &why) >= 0) {
		o->counters.requests_refused_tunnel_down++;
		sip_layer_respond_stateless(o->layer, m, from, 503, "Tunnel Down");
	}
	sip_msg_free(m);
}

static void
on_again(void *arg, uint64_t now_us)
{
	struct will *w = arg;

	if (now_us >= w->give_up_us) {
		will_free(w);
		return;
	}
	w->outage->send(w->outage->arg, &w->to, w->message, w->len);
	w->wait_us = w->wait_us * 2 > T2_US ? T2_US : w->wait_us * 2;
	timer_set(w->outage->timers, &w->again, now_us + w->wait_us);
}

void
outage_execute_will(struct outage *o, const struct taught_call *c, uint64_t now_us)
{
	struct sip_msg *m;
	struct will *w;

	if (c->will == NULL || sip_msg_parse(c->will, c->will_len, &m) != 0)
		return;
	HASH_FIND_STR(o->wills, sip_msg_branch(m), w);
	if (w == NULL) {
		w = mem_zalloc(sizeof(*w));
		w->outage = o;
		w->branch = mem_strdup(sip_msg_branch(m));
		w->message = mem_dup(c->will, c->will_len);
		w->len = c->will_len;
		w->to = c->will_flow;
		w->wait_us = T1_US;
		w->give_up_us = now_us + GIVE_UP_US;
		timer_init(&w->again, on_again, w);
		HASH_ADD_KEYPTR(hh, o->wills, w->branch, strlen(w->branch), w);
		timer_set(o->timers, &w->again, now_us + w->wait_us);
		o->counters.wills_sent++;
		log_info(COMPONENT, "call %s of %s and %s: BYE, HRAS has lost it", c->call_id,
		    c->from, c->to);
		o->send(o->arg, &w->to, w->message, w->len);
	}
	sip_msg_free(m);
}

struct execution {
	struct outage *outage;
	uint64_t now_us;
};

static void
on_call(void *arg, const struct taught_call *c)
{
	struct execution *e = arg;

	outage_execute_will(e->outage, c, e->now_us);
}

void
outage_execute_wills(struct outage *o, const struct taught *t, uint64_t now_us)
{
	struct execution e = { o, now_us };

	taught_each_call(t, on_call, &e);
}

bool
outage_take_answer(struct outage *o, const char *data, size_t n)
{
	struct sip_msg *m;
	struct will *w = NULL;

	if (o->wills == NULL || n < 8 || memcmp(data, "SIP/2.0 ", 8) != 0 ||
	    sip_msg_parse(data, n, &m) != 0)
		return false;
	HASH_FIND_STR(o->wills, sip_msg_branch(m), w);
	if (w != NULL && sip_msg_status(m) >= 200) {
		o->counters.wills_answered++;
		will_free(w);
	}
	sip_msg_free(m);
	return w != NULL;
}

struct metric_set
outage_metrics(const struct outage *o)
{
	return (struct metric_set){ counter_table, &o->counters };
}
