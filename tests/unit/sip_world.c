/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <osipparser2/osip_parser.h>

#include "base/mem.h"

#define INSIDE_NET "192.168.1."

/* -- The edge -- */

/* No message may tell another face of the inside network. Between the two inside networks, which
 * have the same addresses, it cannot be told by looking. */
static void
assert_hidden(const struct sip_flow *to, const char *text)
{
	if (to->face == OUTSIDE && strstr(text, INSIDE_NET) != NULL)
		fail_msg("an inside address left:\n%s", text);
}

static void
on_send(void *arg, const struct sip_flow *to, uint64_t tag, const char *data, size_t n)
{
	struct world *w = arg;
	struct sent *s = mem_zalloc(sizeof(*s)), **last = &w->out;

	s->to = *to;
	s->tag = tag;
	s->text = mem_dup(data, n);
	s->n = n;
	assert_hidden(to, s->text);
	assert_int_equal(sip_msg_parse(data, n, &s->m), 0);
	while (*last != NULL)
		last = &(*last)->next;
	*last = s;
}

static void
rewrite_sdp(const struct world *w, struct sip_relay *r)
{
	const char *address = r->to.face == OUTSIDE ? w->media : "192.168.1.5";
	size_t n;
	char *text;

	if (sip_msg_sdp(r->out, &n) == NULL || r->direct)
		return;
	text = mem_printf("v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\n"
			  "m=audio 20000 RTP/AVP 0\r\n",
	    address, address);
	sip_msg_sdp_set(r->out, text, strlen(text));
	mem_free(text);
}

static void
header_text(const osip_from_t *from, char *out, size_t cap)
{
	char *text;

	assert_int_equal(osip_from_to_str(from, &text), 0);
	snprintf(out, cap, "%s", text);
	osip_free(text);
}

static void
learn(struct world *w, struct sip_relay *r)
{
	char id[256];

	if (sip_msg_method(r->in) != SIP_INVITE)
		return;
	sip_dialog_side_learn(r->upstream ? &w->callee : &w->caller, r);
	header_text(r->in->osip->from, w->caller_header, sizeof(w->caller_header));
	header_text(r->in->osip->to, w->callee_header, sizeof(w->callee_header));
	snprintf(w->real_call_id, sizeof(w->real_call_id), "%s",
	    sip_msg_call_id(r->in, id, sizeof(id)));
}

static int
on_relay(void *arg, struct sip_relay *r)
{
	struct world *w = arg;
	struct hooked *h = &w->hooked;
	int refuse = r->upstream ? w->refuse_responses : w->refuse_requests;

	h->calls++;
	assert_non_null(sip_msg_call_id(r->in, h->call_id, sizeof(h->call_id)));
	snprintf(h->wire_call_id, sizeof(h->wire_call_id), "%s", r->wire_call_id);
	sip_msg_from_uri(r->in, h->from, sizeof(h->from));
	sip_msg_to_uri(r->in, h->to, sizeof(h->to));
	h->upstream = r->upstream;
	h->direct = r->direct;
	h->branch = r->branch;
	h->from_flow = r->from;
	h->to_flow = r->to;
	h->caller = r->caller;
	learn(w, r);
	r->refusal = w->refusal;
	if (refuse != 0 && (w->refuse_status == 0 || sip_msg_status(r->in) == w->refuse_status))
		return refuse;
	if (w->rewrite)
		rewrite_sdp(w, r);
	return 0;
}

static void
on_invite_failed(void *arg, const struct sip_msg *request, int status)
{
	struct world *w = arg;

	assert_int_equal(sip_msg_method(request), SIP_INVITE);
	w->hooked.invites_failed++;
	w->hooked.failed_status = status;
}

static void
on_branch_failed(void *arg, const struct sip_msg *request, uint64_t branch)
{
	struct world *w = arg;

	(void)branch;
	assert_int_equal(sip_msg_method(request), SIP_INVITE);
	w->hooked.branches_failed++;
}

/* -- The world -- */

static struct addr
addr_of(const char *s)
{
	struct addr a;

	assert_int_equal(addr_parse(s, 5060, &a), 0);
	return a;
}

static void
fill_cfg(struct sip_server_cfg *c, const struct world_cfg *cfg)
{
	static const char *const domains[] = { "example.com", "example.org" };
	static const struct sip_user users[] = { { "alice", "wonderland" }, { "bob", "builder" },
		{ "olga", "outside" } };

	*c = (struct sip_server_cfg){ .domains = domains,
		.domains_n = 2,
		.listen_n = 2,
		.auth = cfg->auth,
		.users = users,
		.users_n = 3,
		.internal_direct = cfg->direct };
	c->listen[0] = (struct sip_listener){ SIP_UDP, addr_of("203.0.113.10:5060") };
	c->listen[1] = (struct sip_listener){ SIP_TCP, addr_of("203.0.113.10:5060") };
	if (cfg->bound != NULL)
		c->bound[0] = c->bound[1] = addr_of(cfg->bound);
}

static void
start_server(struct world *w, const struct world_cfg *cfg)
{
	static const struct sip_server_handlers handlers = { on_send, on_relay, on_invite_failed,
		on_branch_failed };
	const struct sip_listener inside[] = { { SIP_UDP, addr_of("192.168.1.5:5060") },
		{ SIP_TCP, addr_of("192.168.1.5:5060") } };
	struct sip_server_cfg c;

	fill_cfg(&c, cfg);
	location_key(w->location, c.key);
	w->server = sip_server_new(&c, w->timers, NULL, w->location, &handlers, w);
	sip_server_face_up(w->server, OFFICE, "office", inside, 2);
	sip_server_face_up(w->server, BRANCH, "branch", inside, 2);
}

struct world *
world_new(const struct world_cfg *cfg)
{
	struct world *w = mem_zalloc(sizeof(*w));

	w->now_us = 1000 * CLOCK_S;
	w->rewrite = true;
	w->media = "203.0.113.10";
	w->timers = timers_new();
	assert_int_equal(location_open(NULL, 1000, &w->location), 0);
	start_server(w, cfg);
	return w;
}

void
world_reload(struct world *w, const struct world_cfg *cfg)
{
	struct sip_server_cfg c;

	fill_cfg(&c, cfg);
	sip_server_reload(w->server, &c);
}

void
world_restart(struct world *w, const struct world_cfg *cfg)
{
	sip_server_free(w->server);
	start_server(w, cfg);
}

void
world_free(struct world *w)
{
	assert_true(world_is_silent(w));
	sip_server_free(w->server);
	location_close(w->location);
	timers_free(w->timers);
	sip_dialog_side_clear(&w->caller);
	sip_dialog_side_clear(&w->callee);
	mem_free(w);
}

void
world_pass(struct world *w, uint64_t us)
{
	uint64_t end_us = w->now_us + us;

	while (timers_next_us(w->timers) <= end_us) {
		if (timers_next_us(w->timers) > w->now_us)
			w->now_us = timers_next_us(w->timers);
		timers_run(w->timers, w->now_us);
	}
	w->now_us = end_us;
}

uint64_t
world_metric(const struct world *w, const char *name)
{
	struct metric_set sets[8];
	size_t n = sip_server_metrics(w->server, sets, 8);

	for (size_t i = 0; i < n; i++)
		for (const struct metric *m = sets[i].table; m->name != NULL; m++)
			if (strcmp(m->name, name) == 0)
				return metric_value(&sets[i], m);
	fail_msg("no metric %s", name);
	return 0;
}

void
sent_free(struct sent *s)
{
	sip_msg_free(s->m);
	mem_free(s->text);
	mem_free(s);
}

bool
world_is_silent(const struct world *w)
{
	if (w->out != NULL)
		print_error("not expected:\n%s\n", w->out->text);
	return w->out == NULL;
}

bool
world_is_empty(const struct world *w)
{
	return w->out == NULL;
}

void
world_drop_all(struct world *w)
{
	while (w->out != NULL)
		sent_free(world_take(w));
}

struct sent *
world_take(struct world *w)
{
	struct sent *s = w->out;

	assert_non_null(s);
	w->out = s->next;
	s->next = NULL;
	return s;
}

struct sent *
world_expect(struct world *w, const char *what, uint32_t face)
{
	struct sent *s;
	char status[16];

	if (w->out == NULL)
		fail_msg("expected %s, nothing came", what);
	s = world_take(w);
	snprintf(status, sizeof(status), "%d", sip_msg_status(s->m));
	if (strcmp(sip_msg_is_request(s->m) ? sip_msg_method_str(s->m) : status, what) != 0 ||
	    s->to.face != face)
		fail_msg("expected %s on face %u, came on %u:\n%s", what, face, s->to.face,
		    s->text);
	return s;
}

void
world_expect_dropped(struct world *w, const char *what, uint32_t face)
{
	sent_free(world_expect(w, what, face));
}

/* -- Phones -- */

void
phone_init(struct phone *p, struct world *w, uint32_t face, const char *name, const char *at)
{
	static unsigned serial;

	*p = (struct phone){ .w = w, .name = name };
	p->flow = (struct sip_flow){ .face = face, .proto = SIP_UDP, .peer = addr_of(at) };
	snprintf(p->domain, sizeof(p->domain), "example.com");
	snprintf(p->contact, sizeof(p->contact), "sip:%s@%s", name, at);
	snprintf(p->via, sizeof(p->via), "%s", at);
	snprintf(p->tag, sizeof(p->tag), "%s%u", name, ++serial);
	snprintf(p->call_id, sizeof(p->call_id), "%u-%s@%.*s", serial, name, (int)strcspn(at, ":"),
	    at);
}

void
phone_be_natted(struct phone *p, const char *private_at)
{
	snprintf(p->contact, sizeof(p->contact), "sip:%s@%s", p->name, private_at);
	snprintf(p->via, sizeof(p->via), "%s", private_at);
}

void
phone_use_tcp(struct phone *p, uint64_t conn)
{
	p->flow.proto = SIP_TCP;
	p->flow.listener = 1;
	p->flow.conn = conn;
	strcat(p->contact, ";transport=tcp");
}

void
phone_raw(struct phone *p, const char *text)
{
	size_t n = 0;
	char *wire = mem_alloc(2 * strlen(text) + 1);

	for (; *text != '\0'; text++) {
		if (*text == '\n' && (n == 0 || wire[n - 1] != '\r'))
			wire[n++] = '\r';
		wire[n++] = *text;
	}
	sip_server_receive(p->w->server, &p->flow, wire, n, p->w->now_us);
	mem_free(wire);
}

static void
send_request(struct phone *p, const char *method, const char *uri, const struct dialog *d)
{
	char branch[33], *text;

	sip_random_hex(branch, 16);
	text = mem_printf("%s %s SIP/2.0\n"
			  "Via: SIP/2.0/%s %s;branch=z9hG4bK%s;rport\n"
			  "Max-Forwards: 70\n"
			  "From: %s\nTo: %s\nCall-ID: %s\nCSeq: %u %s\n"
			  "Contact: <%s>\n%s%s"
			  "User-Agent: phone of %s\n"
			  "%s%s%sContent-Length: %zu\n\n%s",
	    method, uri, p->flow.proto == SIP_UDP ? "UDP" : "TCP", p->via, branch, d->local,
	    d->remote, d->call_id, d->cseq, method, p->contact, d->routes != NULL ? d->routes : "",
	    p->extra, p->name, p->body[0] != '\0' ? "Content-Type: " : "",
	    p->body[0] != '\0' ? (p->type != NULL ? p->type : "application/sdp") : "",
	    p->body[0] != '\0' ? "\n" : "", strlen(p->body), p->body);
	phone_raw(p, text);
	mem_free(text);
	p->extra[0] = p->body[0] = '\0';
	p->type = NULL;
}

void
phone_request(struct phone *p, const char *method, const char *uri, const char *to)
{
	struct dialog d = { .cseq = ++p->cseq };

	snprintf(d.local, sizeof(d.local), "\"%s\" <sip:%s@%s>;tag=%s", p->name, p->name, p->domain,
	    p->tag);
	snprintf(d.remote, sizeof(d.remote), "<%s>", to);
	snprintf(d.call_id, sizeof(d.call_id), "%s", p->call_id);
	send_request(p, method, uri, &d);
}

void
phone_register(struct phone *p, unsigned expires)
{
	char aor[128], domain[80], id[64];

	snprintf(aor, sizeof(aor), "sip:%s@%s", p->name, p->domain);
	snprintf(domain, sizeof(domain), "sip:%s", p->domain);
	snprintf(p->extra + strlen(p->extra), sizeof(p->extra) - strlen(p->extra), "Expires: %u\n",
	    expires);
	snprintf(id, sizeof(id), "%s", p->call_id);
	snprintf(p->call_id, sizeof(p->call_id), "reg-%.50s", id);
	phone_request(p, "REGISTER", domain, aor);
	snprintf(p->call_id, sizeof(p->call_id), "%s", id);
}

void
phone_registered(struct phone *p)
{
	phone_register(p, 3600);
	world_expect_dropped(p->w, "200", p->flow.face);
}

static void
put_sdp(const struct phone *p, char *out, size_t cap)
{
	char host[ADDR_HOST_MAX];

	addr_host(&p->flow.peer, host);
	snprintf(out, cap,
	    "v=0\r\no=%s 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\n"
	    "m=audio 4000 RTP/AVP 0\r\n",
	    p->name, host, host);
}

void
phone_invite(struct phone *p, const char *uri)
{
	put_sdp(p, p->body, sizeof(p->body));
	phone_request(p, "INVITE", uri, uri);
}

void
phone_answer_with(struct phone *p, const struct sent *request, int status, const char *name,
    const char *value)
{
	struct sip_msg *m = sip_msg_response(request->m, status, NULL, p->tag);
	osip_list_t *rr = &request->m->osip->record_routes;
	char sdp[512], contact[160], *text;
	size_t n;

	if (status > 100 && status < 300) {
		snprintf(contact, sizeof(contact), "<%s>", p->contact);
		osip_message_set_contact(m->osip, contact);
		osip_list_clone(rr, &m->osip->record_routes,
		    (int (*)(void *, void **))osip_record_route_clone);
	}
	if (status >= 200 && status < 300 && sip_msg_method(request->m) == SIP_INVITE) {
		put_sdp(p, sdp, sizeof(sdp));
		sip_msg_body_set(m, "application/sdp", sdp, strlen(sdp));
	}
	if (name != NULL)
		sip_msg_header_set(m, name, value);
	assert_int_equal(sip_msg_encode(m, &text, &n), 0);
	sip_server_receive(p->w->server, &p->flow, text, n, p->w->now_us);
	mem_free(text);
	sip_msg_free(m);
}

void
phone_answer(struct phone *p, const struct sent *request, int status)
{
	phone_answer_with(p, request, status, NULL, NULL);
}

/* -- Dialogs (RFC 3261 §12.1) -- */

static void
add_routes(struct dialog *d, const struct sip_msg *m, bool reverse)
{
	const osip_list_t *list = &m->osip->record_routes;
	int n = osip_list_size(list);
	char *text, *more;

	d->routes = mem_strdup("");
	for (int i = 0; i < n; i++) {
		osip_record_route_to_str(osip_list_get(list, reverse ? n - 1 - i : i), &text);
		more = mem_printf("%sRoute: %s\n", d->routes, text);
		mem_free(d->routes);
		osip_free(text);
		d->routes = more;
	}
}

static void
set_target(struct dialog *d, const struct sip_msg *m)
{
	const osip_contact_t *c = osip_list_get(&m->osip->contacts, 0);
	char *text;

	assert_non_null(c);
	osip_uri_to_str(c->url, &text);
	snprintf(d->target, sizeof(d->target), "%s", text);
	osip_free(text);
	assert_non_null(sip_msg_call_id(m, d->call_id, sizeof(d->call_id)));
}

void
dialog_of_caller(struct dialog *d, struct phone *p, const struct sent *response)
{
	*d = (struct dialog){ .cseq = p->cseq };
	set_target(d, response->m);
	header_text(response->m->osip->from, d->local, sizeof(d->local));
	header_text(response->m->osip->to, d->remote, sizeof(d->remote));
	add_routes(d, response->m, true);
}

void
dialog_of_callee(struct dialog *d, struct phone *p, const struct sent *request)
{
	size_t n;

	*d = (struct dialog){ .cseq = 100 };
	set_target(d, request->m);
	header_text(request->m->osip->to, d->local, sizeof(d->local));
	n = strlen(d->local);
	snprintf(d->local + n, sizeof(d->local) - n, ";tag=%s", p->tag);
	header_text(request->m->osip->from, d->remote, sizeof(d->remote));
	add_routes(d, request->m, false);
}

void
dialog_clear(struct dialog *d)
{
	mem_free(d->routes);
	d->routes = NULL;
}

void
dialog_request(struct dialog *d, struct phone *p, const char *method)
{
	if (strcmp(method, "ACK") != 0)
		d->cseq++;
	send_request(p, method, d->target, d);
}

void
call_up(struct phone *caller, struct phone *callee, const char *uri, struct dialog *dr,
    struct dialog *de)
{
	struct world *w = caller->w;
	struct sent *invite, *ok;

	phone_invite(caller, uri);
	world_expect_dropped(w, "100", caller->flow.face);
	invite = world_expect(w, "INVITE", callee->flow.face);
	dialog_of_callee(de, callee, invite);
	phone_answer(callee, invite, 100);
	phone_answer(callee, invite, 180);
	world_expect_dropped(w, "180", caller->flow.face);
	phone_answer(callee, invite, 200);
	sent_free(invite);
	ok = world_expect(w, "200", caller->flow.face);
	dialog_of_caller(dr, caller, ok);
	sent_free(ok);
	dialog_request(dr, caller, "ACK");
}
