/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <event2/event.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "hras/gateway/impl.h"
#include "hras/gateway/udp.h"
#include "tunnel/datagram.h"
#include "tunnel/probe.h"

/* A session's own echo probes are small; a visit may measure more, but not for ever. */
#define RUNNING_MAX 32           /* of one session or visit at a time */
#define SESSION_BODY_MAX 65536   /* bytes of a probe's plan */
#define VISIT_BYTES_MAX 33554432 /* of all the plans of a visit */
#define VISIT_DATAGRAMS_MAX 1024
#define VISITS_MAX 64
#define VISIT_US (300 * CLOCK_S)

_Static_assert(PROBE_REPORT_MAX <= GATEWAY_HTTP_ANSWER_MAX, "a report has its room");

/* One probe under way. */
struct gateway_probe {
	LIST_ENTRY(gateway_probe) link;
	struct gateway *gateway;
	struct gateway_prober *prober;
	struct gateway_request *request;
	struct timer due; /* the next chunk down */
	uint64_t start_us;
	bool down;
	union {
		struct probe_writer writer; /* down */
		struct probe_reader reader; /* up */
	} u;
};

struct gateway_visit {
	UT_hash_handle by_session;
	TAILQ_ENTRY(gateway_visit) link;
	struct tunnel_grant grant;
	uint64_t session;
	uint64_t since_us;
	struct gateway_prober prober;
	struct datagram_end *datagrams;
	unsigned datagrams_n; /* answered */
};

/* -- Visits -- */

static struct gateway_visit *
visit_find(struct gateway *g, uint64_t session)
{
	struct gateway_visit *v;

	HASH_FIND(by_session, g->visits.by_session, &session, sizeof(session), v);
	return v;
}

static void
visit_add(struct gateway *g, struct gateway_visit *v)
{
	HASH_ADD(by_session, g->visits.by_session, session, sizeof(v->session), v);
	TAILQ_INSERT_TAIL(&g->visits.by_age, v, link);
}

static void
visit_del(struct gateway *g, struct gateway_visit *v)
{
	HASH_DELETE(by_session, g->visits.by_session, v);
	TAILQ_REMOVE(&g->visits.by_age, v, link);
}

static void
visit_free(struct gateway *g, struct gateway_visit *v)
{
	gateway_prober_end(&v->prober);
	datagram_end_free(v->datagrams);
	visit_del(g, v);
	mem_wipe_free(v, sizeof(*v));
}

void
gateway_visit_new(struct gateway *g, const struct tunnel_grant *grant)
{
	struct gateway_visit *v = visit_find(g, grant->session);

	if (v != NULL)
		visit_free(g, v);
	if (HASH_CNT(by_session, g->visits.by_session) >= VISITS_MAX)
		visit_free(g, TAILQ_FIRST(&g->visits.by_age));
	v = mem_zalloc(sizeof(*v));
	v->grant = *grant;
	v->session = grant->session;
	v->since_us = clock_us();
	v->prober.bytes_left = VISIT_BYTES_MAX;
	v->datagrams = datagram_end_new(grant, TUNNEL_SERVER, 0);
	visit_add(g, v);
}

bool
gateway_visit_datagram(struct gateway *g, uint8_t *in, size_t n, const struct addr *from,
    uint8_t *out, size_t *len)
{
	struct gateway_visit *v;
	uint32_t id;

	*len = 0;
	if (!datagram_peek(in, n, &id))
		return false;
	TAILQ_FOREACH(v, &g->visits.by_age, link) {
		if (datagram_id(v->session) == id)
			break;
	}
	if (v == NULL || v->datagrams_n >= VISIT_DATAGRAMS_MAX ||
	    datagram_answer(v->datagrams, in, n, from, out, len) < 0)
		return false;
	v->datagrams_n++;
	return true;
}

void
gateway_visits_init(struct gateway_visits *visits)
{
	visits->by_session = NULL;
	TAILQ_INIT(&visits->by_age);
}

void
gateway_visits_expire(struct gateway *g, uint64_t now_us)
{
	struct gateway_visit *v;

	while ((v = TAILQ_FIRST(&g->visits.by_age)) != NULL && now_us - v->since_us >= VISIT_US)
		visit_free(g, v);
}

void
gateway_visits_end(struct gateway *g)
{
	struct gateway_visit *v;

	while ((v = TAILQ_FIRST(&g->visits.by_age)) != NULL)
		visit_free(g, v);
}

/* -- Probes -- */

static void
probe_free(struct gateway_probe *p)
{
	if (p->request != NULL)
		gateway_http_close(p->request);
	timer_clear(p->gateway->timers, &p->due);
	p->prober->running--;
	LIST_REMOVE(p, link);
	mem_free(p);
}

void
gateway_prober_end(struct gateway_prober *prober)
{
	struct gateway_probe *p;

	while ((p = LIST_FIRST(&prober->probes)) != NULL)
		probe_free(p);
	memset(&prober->serials, 0, sizeof(prober->serials));
}

static void
on_due(void *arg, uint64_t now_us)
{
	struct gateway_probe *p = arg;

	(void)now_us;
	gateway_http_wake(p->request);
	p->gateway->more = true;
}

static uint32_t
since_start_us(const struct gateway_probe *p)
{
	return (uint32_t)(clock_us() - p->start_us);
}

static long
probe_read_down(void *arg, void *user, uint8_t *out, size_t cap)
{
	struct gateway_probe *p = user;
	size_t n;

	(void)arg;
	if (probe_writer_done(&p->u.writer))
		return GATEWAY_HTTP_END;
	n = probe_write(&p->u.writer, since_start_us(p), gateway_http_segments(p->request), out,
	    cap);
	if (n == 0)
		timer_set(p->gateway->timers, &p->due,
		    p->start_us + probe_writer_due_us(&p->u.writer));
	return (long)n;
}

static bool
probe_write_up(void *arg, void *user, const uint8_t *in, size_t n)
{
	struct gateway_probe *p = user;

	(void)arg;
	return probe_read(&p->u.reader, since_start_us(p), in, n) == 0;
}

static size_t
probe_answer(void *arg, void *user, uint8_t *out)
{
	struct gateway_probe *p = user;
	struct addr local = gateway_http_local(p->request);
	struct probe_about about = { 0 };

	(void)arg;
	about.tls = gateway_http_fingerprint(p->request, about.fingerprint);
	about.datagrams_n = gateway_udp_address(p->gateway, &local, &about.datagrams[0]);
	return probe_report_encode(&p->u.reader, &about, out);
}

static void
probe_gone(void *arg, void *user, bool orderly)
{
	struct gateway_probe *p = user;

	(void)arg;
	(void)orderly;
	p->request = NULL;
	probe_free(p);
}

static void
probe_start(struct gateway *g, struct gateway_prober *prober, struct gateway_request *r,
    const struct probe_request *request, void **user)
{
	struct gateway_probe *p = mem_zalloc(sizeof(*p));

	p->gateway = g;
	p->prober = prober;
	p->request = r;
	p->down = request->dir == TUNNEL_DOWN;
	p->start_us = clock_us();
	timer_init(&p->due, on_due, p);
	if (p->down)
		probe_writer_init(&p->u.writer, &request->plan);
	else
		probe_reader_init(&p->u.reader, &request->plan);
	LIST_INSERT_HEAD(&prober->probes, p, link);
	prober->running++;
	*user = p;
}

/* Whose probe it is: of a session, or of a visit. NULL = of nobody's. */
static struct gateway_prober *
find_prober(struct gateway *g, const struct gateway_request *r, const struct probe_request *request)
{
	struct gateway_agent *a = gateway_find_session(g, request->session);
	struct gateway_visit *v;

	if (a != NULL)
		return gateway_http_may_be(r, a->name) && tunnel_probe_genuine(a->tunnel, request) ?
		    &a->prober :
		    NULL;
	v = visit_find(g, request->session);
	if (v != NULL && gateway_http_may_be(r, v->grant.agent) &&
	    request_probe_genuine(&v->grant, request))
		return &v->prober;
	return NULL;
}

/* May it be so large? What a visit has left is taken from. */
static bool
take_bytes(struct gateway *g, struct gateway_prober *prober, const struct probe_request *request)
{
	uint32_t bytes = probe_plan_bytes(&request->plan);

	if (visit_find(g, request->session) == NULL)
		return bytes <= SESSION_BODY_MAX;
	if (bytes > prober->bytes_left)
		return false;
	prober->bytes_left -= bytes;
	return true;
}

/* A path that is heard twice takes nothing from what its visit has left. */
static unsigned
admit(struct gateway *g, struct gateway_prober *prober, const struct probe_request *request)
{
	if (prober->running >= RUNNING_MAX)
		return 503;
	if (request_window_use(&prober->serials, request->serial) < 0)
		return 409;
	return take_bytes(g, prober, request) ? 200 : 503;
}

static unsigned
probe_accept(void *arg, struct gateway_request *r, const char *path, void **user)
{
	struct probe_request request;
	struct gateway_prober *prober;
	struct gateway *g = arg;
	unsigned status;

	if (request_parse_probe(path, &request) < 0)
		return 404;
	prober = find_prober(g, r, &request);
	if (prober == NULL) {
		/* Who does not know the key learns nothing more. */
		g->counters.gateway_unknown_sessions++;
		return 404;
	}
	status = admit(g, prober, &request);
	if (status != 200) {
		g->counters.gateway_probes_refused++;
		return status;
	}
	g->counters.gateway_probes++;
	probe_start(g, prober, r, &request, user);
	return 200;
}

const struct gateway_http_bodies gateway_probe_bodies = {
	.on_request = probe_accept,
	.on_read = probe_read_down,
	.on_write = probe_write_up,
	.on_answer = probe_answer,
	.on_gone = probe_gone,
};
