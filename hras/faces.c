/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hras/faces.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "hras/outside.h"
#include "log/log.h"
#include "tunnel/control.h"

#define COMPONENT "agent"

static struct face *
face_get(const struct faces *f, uint32_t number)
{
	return number >= 1 && number <= f->n ? f->face[number - 1] : NULL;
}

/* The face of an agent's name, made when it is the first time; NULL beyond the cap. */
static struct face *
face_of(struct faces *f, const char *name)
{
	struct face *face;

	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->face[i]->name, name) == 0)
			return f->face[i];
	if (f->n == FACES_MAX)
		return NULL;
	face = mem_zalloc(sizeof(*face));
	face->name = mem_strdup(name);
	f->face[f->n++] = face;
	face->number = (uint32_t)f->n;
	return face;
}

void
faces_clear(struct faces *f)
{
	for (size_t i = 0; i < f->n; i++) {
		mem_free(f->face[i]->name);
		mem_free(f->face[i]);
	}
	f->n = 0;
}

/* -- To an agent -- */

static int
send_control(struct hras *h, const struct face *face, const struct control *c)
{
	static uint8_t frame[CONTROL_MAX];
	static struct log_limit limit;
	size_t n;
	int err;

	if (face == NULL || face->agent == NULL || !face->known)
		return ERR_DOWN; /* it is taught when it comes back */
	if ((err = control_encode(c, frame, sizeof(frame), &n)) == 0)
		err = gateway_send(face->agent, (uint8_t)c->type, frame, n);
	if (err != 0) {
		h->faces.control_unsendable++;
		log_warn_limited(&limit, COMPONENT, "%s: control message %d cannot be sent: %s",
		    face->name, (int)c->type, err_str(err));
	}
	turn_soon(h->turn);
	return err;
}

static struct control_sip
control_sip(const struct sip_flow *to, uint64_t tag, const char *data, size_t n)
{
	return (struct control_sip){ .proto = (enum control_proto)to->proto,
		.listener = to->listener,
		.conn = to->conn,
		.peer = to->peer,
		.tag = tag,
		.message = { (const uint8_t *)data, n } };
}

int
faces_send_sip(struct hras *h, const struct sip_flow *to, uint64_t tag, const char *data, size_t n)
{
	struct control c = { .type = CONTROL_SIP, .u.sip = control_sip(to, tag, data, n) };

	return send_control(h, face_get(&h->faces, to->face), &c);
}

void
faces_send_media(struct hras *h, uint32_t number, uint32_t channel, const uint8_t *data, size_t n)
{
	const struct face *face = face_get(&h->faces, number);

	if (face != NULL && face->agent != NULL)
		gateway_send_media(face->agent, channel, data, n);
}

void
faces_send_heard(struct hras *h, uint32_t number, const struct control_heard *legs)
{
	struct control c = { .type = CONTROL_HEARD, .u.heard = *legs };

	send_control(h, face_get(&h->faces, number), &c);
}

static void
on_leg(void *arg, uint32_t face, const struct vcit_leg_order *o)
{
	struct hras *h = arg;
	struct control c = { .type = CONTROL_LEG,
		.u.leg = { .leg = o->leg,
		    .call = o->call,
		    .stream = o->stream,
		    .kind = (uint8_t)o->kind,
		    .port = o->port,
		    .rtp = o->rtp,
		    .rtcp = o->rtcp,
		    .far = o->far,
		    .mux = o->mux,
		    .latch = o->latch,
		    .is_rtp = o->is_rtp,
		    .clock_rate = o->clock_rate } };

	send_control(h, face_get(&h->faces, face), &c);
}

static void
on_leg_close(void *arg, uint32_t face, uint32_t leg)
{
	struct hras *h = arg;
	struct control c = { .type = CONTROL_LEG_CLOSE, .u.leg_close = { leg } };

	send_control(h, face_get(&h->faces, face), &c);
}

/* A name for the other agent's status page, cut to what a frame takes. */
static struct control_bytes
name_bytes(const char *s)
{
	size_t n = strlen(s);

	return (struct control_bytes){ (const uint8_t *)s,
		n < CONTROL_NAME_MAX ? n : CONTROL_NAME_MAX };
}

static void
on_call(void *arg, uint32_t face, const struct vcit_call_order *o)
{
	struct hras *h = arg;
	struct control c = { .type = CONTROL_CALL,
		.u.call = { .call = o->call,
		    .call_id = name_bytes(o->call_id),
		    .from = name_bytes(o->from),
		    .to = name_bytes(o->to),
		    .state = (uint8_t)o->state,
		    .since_wall_s = o->since_wall_s,
		    .will = control_sip(&o->will_flow, 0, o->will, o->will ? o->will_len : 0) } };

	send_control(h, face_get(&h->faces, face), &c);
}

static void
on_call_end(void *arg, uint32_t face, uint32_t call)
{
	struct hras *h = arg;
	struct control c = { .type = CONTROL_CALL_END, .u.call_end = { call } };

	send_control(h, face_get(&h->faces, face), &c);
}

static void
tell_bandwidth(struct hras *h, struct face *face)
{
	const struct config_agent *agent = config_find_agent(h->conf, face->name);
	struct control c = { .type = CONTROL_BANDWIDTH,
		.u.bandwidth = { config_bandwidth_max(h->conf, agent) } };

	if (c.u.bandwidth.max_kbit == face->told_kbit)
		return;
	if (send_control(h, face, &c) == 0)
		face->told_kbit = c.u.bandwidth.max_kbit;
}

static void
tell_datagrams(struct hras *h, const struct face *face)
{
	struct control c = { .type = CONTROL_DATAGRAMS };

	if (!gateway_datagram_address(face->agent, &c.u.datagrams.address))
		return;
	send_control(h, face, &c);
}

void
faces_reload(struct hras *h)
{
	for (size_t i = 0; i < h->faces.n; i++)
		tell_bandwidth(h, h->faces.face[i]);
}

static void
on_busy(void *arg, uint32_t number, bool busy)
{
	struct hras *h = arg;
	const struct face *face = face_get(&h->faces, number);

	if (face != NULL && face->agent != NULL)
		gateway_set_busy(face->agent, busy);
}

const struct vcit_handlers faces_vcit_handlers = { on_leg, on_leg_close, on_call, on_call_end,
	on_busy };

/* -- The room in its tunnel -- */

uint32_t
faces_bandwidth_max(const struct hras *h, const struct face *face)
{
	const struct config_agent *agent = config_find_agent(h->conf, face->name);

	return config_smaller_cap(config_bandwidth_max(h->conf, agent), face->bandwidth_kbit);
}

/* A direction is congested when the end that writes it says so; we read up, and write down. */
static void
sample(struct hras *h, const struct face *face, uint64_t now_us)
{
	const struct tunnel *t = face->agent != NULL ? gateway_agent_tunnel(face->agent) : NULL;
	struct room_sample s = { .cap_kbit = faces_bandwidth_max(h, face) };
	const struct tunnel_stats *stats;
	struct tunnel_line line;

	if (face->agent != NULL)
		gateway_set_bandwidth_max(face->agent, s.cap_kbit);
	if (t != NULL) {
		stats = tunnel_stats(t);
		tunnel_line(t, now_us, &line);
		s.session = tunnel_grant(t)->session;
		room_count(&s, TUNNEL_UP, stats->bytes_received, stats->batches_received,
		    stats->datagrams_received);
		room_count(&s, TUNNEL_DOWN, stats->bytes_sent, stats->batches_sent,
		    stats->datagrams_sent);
		for (int dir = 0; dir < 2; dir++)
			s.congested[dir] = line.way[dir].congested;
	}
	vcit_room_sample(h->vcit, face->number, &s, now_us);
}

void
faces_sample(struct hras *h, uint64_t now_us)
{
	for (size_t i = 0; i < h->faces.n; i++)
		sample(h, h->faces.face[i], now_us);
}

/* -- From an agent -- */

static void
sync_agent(struct hras *h, struct face *face, bool begin)
{
	struct control c = { .type = CONTROL_SYNC, .u.sync = { begin, h->conf->tunnel.grace_s } };

	send_control(h, face, &c);
}

/* The agent says who it is: its face stands, and it is taught all its calls and legs. */
static int
take_agent(struct hras *h, struct face *face, const struct control_agent *a)
{
	const struct vcit_agent media = { face->name, a->media, a->port_min, a->port_max, a->busy.p,
		a->busy.n };

	if (a->sip_n == 0)
		return ERR_MALFORMED;
	face->listen_n = a->sip_n < SIP_LISTEN_MAX ? a->sip_n : SIP_LISTEN_MAX;
	for (size_t i = 0; i < face->listen_n; i++)
		face->listen[i] =
		    (struct sip_listener){ (enum sip_proto)a->sip[i].proto, a->sip[i].addr };
	face->known = true;
	log_info(COMPONENT, "%s: HRAC %.*s is here", face->name, (int)a->version.n,
	    (const char *)a->version.p);
	sip_server_face_up(h->server, face->number, face->name, face->listen, face->listen_n);
	sync_agent(h, face, true);
	vcit_agent_up(h->vcit, face->number, &media, clock_us());
	sync_agent(h, face, false);
	tell_bandwidth(h, face);
	tell_datagrams(h, face);
	sample(h, face, clock_us());
	return 0;
}

static int
take_sip(struct hras *h, const struct face *face, const struct control_sip *s)
{
	const struct sip_flow from = { face->number, (enum sip_proto)s->proto, s->listener, s->conn,
		s->peer };

	sip_server_receive(h->server, &from, (const char *)s->message.p, s->message.n, clock_us());
	return 0;
}

static int
take_failed(struct hras *h, const struct face *face, const struct control_sip_failed *f)
{
	sip_server_send_failed(h->server, &(struct sip_failure){ face->number, f->tag, f->err },
	    clock_us());
	return 0;
}

static int
take_heard(struct hras *h, const struct face *face, const struct control_heard *legs)
{
	for (size_t i = 0; i < legs->n; i++)
		vcit_leg_heard(h->vcit, face->number, legs->leg[i].leg, &legs->leg[i].heard);
	return 0;
}

static int
take(struct hras *h, struct face *face, const struct control *c)
{
	const struct control_leg_failed *failed = &c->u.leg_failed;
	const struct control_leg_source *source = &c->u.leg_source;

	if (c->type != CONTROL_AGENT && !face->known)
		return ERR_STATE;
	switch (c->type) {
	case CONTROL_AGENT:
		return take_agent(h, face, &c->u.agent);
	case CONTROL_SIP:
		return take_sip(h, face, &c->u.sip);
	case CONTROL_SIP_FAILED:
		return take_failed(h, face, &c->u.sip_failed);
	case CONTROL_SIP_CLOSED:
		return 0; /* a connection is named by number: one that is gone is opened anew */
	case CONTROL_LEG_FAILED:
		vcit_leg_failed(h->vcit, face->number, failed->leg, failed->port, clock_us());
		return 0;
	case CONTROL_BANDWIDTH:
		face->bandwidth_kbit = c->u.bandwidth.max_kbit;
		sample(h, face, clock_us());
		return 0;
	case CONTROL_LEG_SOURCE:
		vcit_leg_source(h->vcit, face->number, source->leg, source->rtcp, &source->source);
		return 0;
	case CONTROL_HEARD:
		return take_heard(h, face, &c->u.heard);
	default:
		return ERR_UNSUPPORTED; /* what only HRAS says */
	}
}

static void
on_reliable(void *arg, struct gateway_agent *a, uint8_t type, const uint8_t *data, size_t n)
{
	static struct log_limit limit;
	struct hras *h = arg;
	struct face *face = gateway_agent_user(a);
	struct control c;
	int err;

	if (face == NULL)
		return;
	if ((err = control_decode(type, data, n, &c)) == 0)
		err = take(h, face, &c);
	if (err != 0) {
		h->faces.control_malformed++;
		log_warn_limited(&limit, COMPONENT, "%s: control message %u: %s", face->name, type,
		    err_str(err));
	}
	turn_soon(h->turn);
}

static void
on_media(void *arg, struct gateway_agent *a, uint32_t channel, const uint8_t *data, size_t n)
{
	struct hras *h = arg;
	const struct face *face = gateway_agent_user(a);

	if (face == NULL)
		return;
	media_from_tunnel(h->media, face->number, channel, data, n, clock_us());
	turn_soon(h->turn);
}

static void
on_late(void *arg, struct gateway_agent *a, uint32_t channel)
{
	struct hras *h = arg;
	const struct face *face = gateway_agent_user(a);

	if (face != NULL)
		media_late(h->media, face->number, channel);
}

static void
on_session(void *arg, struct gateway_agent *a, bool fresh)
{
	struct hras *h = arg;
	struct face *face = face_of(&h->faces, gateway_agent_name(a));

	(void)fresh; /* each session begins with CONTROL_AGENT, and with it all is taught */
	gateway_agent_set_user(a, face);
	if (face == NULL) {
		log_error(COMPONENT, "%s: more than %d agents", gateway_agent_name(a), FACES_MAX);
		return;
	}
	face->agent = a;
	face->known = false;
	face->bandwidth_kbit = face->told_kbit = 0;
	turn_soon(h->turn);
}

static void
on_state(void *arg, struct gateway_agent *a, enum tunnel_state state)
{
	struct hras *h = arg;
	struct face *face = gateway_agent_user(a);

	if (face == NULL || !face->known)
		return;
	if (state == TUNNEL_DOWN_STATE)
		sip_server_face_down(h->server, face->number);
	else if (state == TUNNEL_UP_STATE)
		sip_server_face_up(h->server, face->number, face->name, face->listen,
		    face->listen_n);
	turn_soon(h->turn);
}

static void
on_gone(void *arg, struct gateway_agent *a)
{
	struct hras *h = arg;
	struct face *face = gateway_agent_user(a);

	if (face == NULL)
		return;
	log_warn(COMPONENT, "%s: away for more than %u s, its calls are ended", face->name,
	    h->conf->tunnel.grace_s);
	face->agent = NULL;
	face->known = false;
	sip_server_face_down(h->server, face->number);
	vcit_agent_gone(h->vcit, face->number, clock_us());
	turn_soon(h->turn);
}

static const char *
on_secret(void *arg, const char *name)
{
	struct hras *h = arg;
	const struct config_agent *a = config_find_agent(h->conf, name);

	return a != NULL ? a->secret : NULL;
}

const struct gateway_handlers faces_gateway_handlers = { .secret = on_secret,
	.on_session = on_session,
	.on_reliable = on_reliable,
	.on_media = on_media,
	.on_late = on_late,
	.on_state = on_state,
	.on_gone = on_gone };

static const struct metric table[] = {
	METRIC(struct faces, control_malformed, METRIC_COUNTER,
	    "Control messages of agents that could not be understood."),
	METRIC(struct faces, control_unsendable, METRIC_COUNTER,
	    "Control messages to agents that could not be sent."),
	{ 0 },
};

struct metric_set
faces_metrics(const struct faces *f)
{
	return (struct metric_set){ table, f };
}
