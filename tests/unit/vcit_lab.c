/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "vcit_lab.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

#define TEXT_MAX 8192

/* -- The edge: what would be the SIP server -- */

int
sip_dialog_side_learn(struct sip_dialog_side *side, const struct sip_relay *r)
{
	const osip_list_t *contacts = &r->in->osip->contacts;
	osip_contact_t *contact = osip_list_get(contacts, 0);
	char *s = NULL;

	if (contact == NULL || contact->url == NULL)
		return ERR_NOT_FOUND;
	osip_uri_to_str(contact->url, &s);
	sip_dialog_side_clear(side);
	side->contact = mem_strdup(s);
	side->flow = r->from;
	side->route_n = (size_t)osip_list_size(&r->in->osip->record_routes);
	osip_free(s);
	return 0;
}

void
sip_dialog_side_clear(struct sip_dialog_side *side)
{
	mem_free(side->contact);
	*side = (struct sip_dialog_side){ .contact = NULL };
}

int
sip_server_originate(struct sip_server *s, const struct sip_originate *o, uint64_t now_us)
{
	struct lab *lab = (struct lab *)s;
	struct lab_bye *b = &lab->bye[lab->byes_n++];

	assert_true(lab->byes_n <= LAB_MAX);
	assert_int_equal(o->method, SIP_BYE);
	assert_int_equal(now_us, lab->now_us);
	b->to = o->to->flow;
	b->cseq = o->cseq;
	snprintf(b->contact, sizeof(b->contact), "%s", o->to->contact);
	snprintf(b->call_id, sizeof(b->call_id), "%s", o->call_id);
	snprintf(b->from, sizeof(b->from), "%s", o->from);
	snprintf(b->to_header, sizeof(b->to_header), "%s", o->to_header);
	snprintf(b->reason, sizeof(b->reason), "%s", o->reason);
	return 0;
}

int
sip_server_render(struct sip_server *s, const struct sip_originate *o, char **out, size_t *n,
    struct sip_flow *to)
{
	(void)s;
	*out = mem_printf("%u", o->cseq);
	*n = strlen(*out);
	*to = o->to->flow;
	return 0;
}

/* -- What the table orders -- */

static void
on_leg(void *arg, uint32_t face, const struct vcit_leg_order *o)
{
	struct lab *lab = arg;

	assert_true(lab->legs_n < LAB_MAX);
	lab->leg[lab->legs_n++] = (struct lab_leg){ face, *o };
}

static void
on_leg_close(void *arg, uint32_t face, uint32_t leg)
{
	struct lab *lab = arg;

	(void)face;
	assert_true(lab->closed_n < LAB_MAX);
	lab->closed[lab->closed_n++] = leg;
}

static void
on_call(void *arg, uint32_t face, const struct vcit_call_order *o)
{
	struct lab *lab = arg;

	assert_true(lab->calls_n < LAB_MAX);
	lab->call[lab->calls_n++] = (struct lab_call){ .face = face,
		.call = o->call,
		.state = o->state,
		.will = o->will != NULL,
		.will_cseq = o->will == NULL ? 0 : (uint32_t)atoi(o->will) };
}

static void
on_call_end(void *arg, uint32_t face, uint32_t call)
{
	struct lab *lab = arg;

	(void)face;
	assert_true(lab->ended_n < LAB_MAX);
	lab->ended[lab->ended_n++] = call;
}

static void
on_busy(void *arg, uint32_t face, bool busy)
{
	struct lab *lab = arg;

	assert_true(face > 0 && face < 4);
	assert_true(lab->busy[face] != busy);
	lab->busy[face] = busy;
	lab->busy_changes++;
}

static void
on_tunnel(void *arg, uint32_t face, uint32_t channel, const uint8_t *data, size_t n)
{
	struct lab *lab = arg;

	lab->tunnel.face = face;
	lab->tunnel.channel = channel;
	lab->tunnel.n = n;
	memcpy(lab->tunnel.data, data, n < sizeof(lab->tunnel.data) ? n : sizeof(lab->tunnel.data));
}

static void
on_source(void *arg, struct media_leg *leg, bool rtcp, const struct addr *source)
{
	struct lab *lab = arg;

	vcit_local_source(lab->vcit, leg, rtcp, source);
}

static void
on_turn(void *arg)
{
	(void)arg;
}

/* -- Setting up -- */

static struct addr
at(const char *s, uint16_t port)
{
	struct addr a;

	assert_int_equal(addr_parse(s, port, &a), 0);
	return a;
}

struct lab *
lab_with(const struct vcit_cfg *cfg)
{
	static const struct media_handlers media = { on_tunnel, on_source, on_turn, NULL };
	static const struct vcit_handlers vcit = { on_leg, on_leg_close, on_call, on_call_end,
		on_busy };
	const struct media_cfg media_cfg = { .address = at("127.0.0.1", 0) };
	const struct vcit_cfg usual = { .calls_max = 8,
		.media_address = at("127.0.0.1", 0),
		.port_min = PORT_MIN,
		.port_max = PORT_MAX,
		.linger_us = 10 * CLOCK_S,
		.media_timeout_us = 90 * CLOCK_S };
	struct lab *lab = mem_zalloc(sizeof(*lab));

	sip_msg_init();
	lab->now_us = clock_us();
	lab->base = event_base_new();
	lab->timers = timers_new();
	lab->media = media_new(lab->base, &media_cfg, &media, lab);
	lab->vcit = vcit_new(cfg == NULL ? &usual : cfg, lab->timers, lab->media, &vcit, lab);
	vcit_set_server(lab->vcit, (struct sip_server *)lab);
	lab_agent_up(lab, OFFICE, "192.168.1.5");
	lab_place(lab, OUTSIDE, OUTSIDE);
	lab->branch = 1;
	return lab;
}

void
lab_free(struct lab *lab)
{
	struct vcit_room room;

	sip_msg_free(lab->out);
	vcit_end_all(lab->vcit, "test", lab->now_us);
	for (uint32_t face = OFFICE; face <= BRANCH_OFFICE; face++) /* every place was given back */
		assert_true(!vcit_room_view(lab->vcit, face, &room) || room.calls == 0);
	vcit_free(lab->vcit);
	for (int face = 0; face < 4; face++)
		assert_false(lab->busy[face]);
	assert_int_equal(media_legs_n(lab->media), 0);
	assert_int_equal(timers_next_us(lab->timers), CLOCK_NEVER);
	media_free(lab->media);
	timers_free(lab->timers);
	event_base_free(lab->base);
	mem_free(lab);
}

int
lab_setup(void **state)
{
	*state = lab_with(NULL);
	return 0;
}

int
lab_teardown(void **state)
{
	lab_free(*state);
	return 0;
}

void
lab_agent_up(struct lab *lab, uint32_t face, const char *media)
{
	struct vcit_agent a = { .name = face == OFFICE ? "office" : "branch",
		.media = at(media, 0),
		.port_min = 30000,
		.port_max = 30019 };

	vcit_agent_up(lab->vcit, face, &a, lab->now_us);
}

void
lab_place(struct lab *lab, uint32_t caller, uint32_t callee)
{
	lab->phone[0] = (struct sip_flow){ .face = caller,
		.proto = SIP_UDP,
		.peer = at(caller == OUTSIDE ? "198.51.100.7" : "192.168.1.20", 5060) };
	lab->phone[1] = (struct sip_flow){ .face = callee,
		.proto = SIP_UDP,
		.peer = at(callee == OUTSIDE ? "203.0.113.99" : "192.168.1.30", 5060) };
}

void
lab_on_loopback(struct lab *lab)
{
	for (int s = 0; s < 2; s++)
		if (lab->phone[s].face == OUTSIDE)
			lab->phone[s].peer = at("127.0.0.1", (uint16_t)(5070 + s));
}

void
lab_run(struct lab *lab, uint64_t us)
{
	uint64_t end_us = lab->now_us + us;

	while (timers_next_us(lab->timers) <= end_us) {
		if (timers_next_us(lab->timers) > lab->now_us)
			lab->now_us = timers_next_us(lab->timers);
		timers_run(lab->timers, lab->now_us);
	}
	lab->now_us = end_us;
}

/* -- Messages -- */

static struct sip_msg *
parse(const char *text, size_t n)
{
	struct sip_msg *m = NULL;
	const char *why;

	assert_int_equal(sip_msg_parse(text, n, &m), 0);
	assert_int_equal(sip_msg_check(m, &why), 0);
	return m;
}

/* `request`: the one that m is a response to. */
static struct sip_msg *
write_mail(const struct mail *m, bool request)
{
	static const char *const name[] = { "alice", "bob" };
	static const char *const contact[] = { "sip:alice@192.0.2.10", "sip:bob@192.0.2.11" };
	int requester = m->status != 0 ? 1 - m->by : m->by;
	int sender = request ? requester : m->by;
	bool tagless = m->first && (request || m->status == 0);
	char tag[2][80], text[TEXT_MAX];
	const char *sdp = request && m->status != 0 ? NULL : m->sdp;
	int n;

	snprintf(tag[0], sizeof(tag[0]), ";tag=a");
	snprintf(tag[1], sizeof(tag[1]), "%s%s", tagless || m->to_tag == NULL ? "" : ";tag=",
	    tagless || m->to_tag == NULL ? "" : m->to_tag);
	if (request || m->status == 0)
		n = snprintf(text, sizeof(text), "%s sip:%s@example.com SIP/2.0\r\n", m->method,
		    name[1 - requester]);
	else
		n = snprintf(text, sizeof(text), "SIP/2.0 %d Said\r\n", m->status);
	n += snprintf(text + n, sizeof(text) - (size_t)n,
	    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-%s-%u-%d\r\n"
	    "From: <sip:%s@example.com>%s\r\nTo: <sip:%s@example.com>%s\r\n"
	    "Call-ID: %s\r\nCSeq: %u %s\r\nMax-Forwards: 70\r\n"
	    "Contact: <%s>\r\n%s%sContent-Length: %zu\r\n\r\n%s",
	    m->call_id == NULL ? "c1" : m->call_id, m->cseq, requester, name[requester],
	    tag[requester], name[1 - requester], tag[1 - requester],
	    m->call_id == NULL ? "c1" : m->call_id, m->cseq, m->method,
	    !request && m->contact != NULL ? m->contact : contact[sender],
	    m->headers == NULL || request ? "" : m->headers,
	    sdp == NULL || m->typed ? "" : "Content-Type: application/sdp\r\n",
	    sdp == NULL ? 0 : strlen(sdp), sdp == NULL ? "" : sdp);
	assert_true((size_t)n < sizeof(text));
	return parse(text, (size_t)n);
}

int
lab_relay(struct lab *lab, const struct mail *m)
{
	struct sip_msg *in = write_mail(m, false);
	struct sip_msg *request = m->status == 0 ? in : write_mail(m, true);
	struct sip_relay r = { .in = in,
		.request = request,
		.from = lab->phone[m->by],
		.to = lab->phone[1 - m->by],
		.caller = lab->phone[m->status == 0 ? m->by : 1 - m->by],
		.upstream = m->status != 0,
		.branch = strcmp(m->method, "ACK") == 0 ? 0 : lab->branch,
		.direct = m->direct };
	int status;

	sip_msg_free(lab->out);
	lab->out = r.out = sip_msg_clone(in);
	status = vcit_relay(lab->vcit, &r, lab->now_us);
	lab->refusal = r.refusal;
	if (request != in)
		sip_msg_free(request);
	sip_msg_free(in);
	return status;
}

void
lab_invite_failed(struct lab *lab, const struct mail *m, int status)
{
	struct sip_msg *request = write_mail(m, true);

	vcit_invite_failed(lab->vcit, request, status, lab->now_us);
	sip_msg_free(request);
}

void
lab_branch_failed(struct lab *lab, const struct mail *m, uint64_t branch)
{
	struct sip_msg *request = write_mail(m, true);

	vcit_branch_failed(lab->vcit, request, branch, lab->now_us);
	sip_msg_free(request);
}

bool
lab_has_sdp(const struct lab *lab)
{
	size_t n;

	return sip_msg_sdp(lab->out, &n) != NULL;
}

struct sdp
lab_sdp(const struct lab *lab)
{
	struct sdp sdp;
	size_t n;
	const char *text = sip_msg_sdp(lab->out, &n);

	assert_non_null(text);
	assert_int_equal(sdp_parse(text, n, &sdp), 0);
	return sdp;
}

uint16_t
lab_port(const struct lab *lab, size_t i)
{
	struct sdp sdp = lab_sdp(lab);

	assert_true(i < sdp.n);
	return sdp.stream[i].port;
}

void
lab_call_up(struct lab *lab, const char *offer, const char *answer)
{
	struct mail invite = {
		.by = 0, .method = "INVITE", .cseq = 1, .first = true, .sdp = offer
	};
	struct mail ok = { .by = 1,
		.method = "INVITE",
		.status = 200,
		.cseq = 1,
		.first = true,
		.to_tag = "b",
		.sdp = answer };
	struct mail ack = { .by = 0, .method = "ACK", .cseq = 1, .to_tag = "b" };

	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_int_equal(lab_relay(lab, &ack), 0);
}

/* -- What has been seen -- */

const struct lab_leg *
lab_last_leg(const struct lab *lab, uint32_t face)
{
	for (size_t i = lab->legs_n; i-- > 0;)
		if (lab->leg[i].face == face)
			return &lab->leg[i];
	fail_msg("no leg was ordered of face %u", face);
	return NULL;
}

const struct lab_call *
lab_last_call(const struct lab *lab, uint32_t face)
{
	for (size_t i = lab->calls_n; i-- > 0;)
		if (lab->call[i].face == face)
			return &lab->call[i];
	fail_msg("no call was told to face %u", face);
	return NULL;
}

uint64_t
lab_metric(const struct lab *lab, const char *name)
{
	struct metric_set set = vcit_metrics(lab->vcit);

	for (const struct metric *m = set.table; m->name != NULL; m++)
		if (strcmp(m->name, name) == 0)
			return metric_value(&set, m);
	fail_msg("no metric %s", name);
	return 0;
}

static void
on_each(void *arg, const struct vcit_call_view *call)
{
	*(enum vcit_state *)arg = call->state;
}

enum vcit_state
lab_state(const struct lab *lab)
{
	enum vcit_state state = VCIT_ENDING;

	assert_int_equal(vcit_calls_n(lab->vcit), 1);
	vcit_each(lab->vcit, on_each, &state);
	return state;
}

/* -- Voice -- */

int
lab_phone(uint16_t port)
{
	struct addr a = at("127.0.0.1", port);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &a.u.sa, addr_len(&a)), 0);
	return fd;
}

void
lab_phone_say(int fd, uint16_t port, unsigned seq)
{
	struct addr a = at("127.0.0.1", port);
	uint8_t rtp[172] = { 0x80, 0, (uint8_t)(seq >> 8), (uint8_t)seq, 0, 0, 0, 0, 1, 2, 3, 4 };

	assert_int_equal(sendto(fd, rtp, sizeof(rtp), 0, &a.u.sa, addr_len(&a)), sizeof(rtp));
}

void
lab_turn(struct lab *lab)
{
	event_base_loop(lab->base, EVLOOP_NONBLOCK);
}

int
lab_phone_hear(struct lab *lab, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint8_t rtp[2048];

	/* Loopback delivers within sendto: what is not there after a turn or two was not sent. */
	for (int i = 0; i < 20; i++) {
		lab_turn(lab);
		if (poll(&p, 1, 1) == 1 && recv(fd, rtp, sizeof(rtp), 0) >= 12)
			return rtp[2] << 8 | rtp[3];
	}
	return -1;
}
