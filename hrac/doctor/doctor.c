/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/doctor/doctor.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "hrac/doctor/impl.h"
#include "hrac/proxy/pac.h"
#include "hrac/proxy/proxy.h"
#include "log/log.h"

/* -- The loop -- */

static void
on_http_turn(void *arg)
{
	struct doctor *d = arg;

	event_active(&d->turn, EV_TIMEOUT, 0);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct doctor *d = arg;

	(void)fd;
	(void)what;
	uplink_http_run(d->http);
}

void
doctor_wait(struct doctor *d)
{
	while (d->pending > 0)
		event_base_loop(d->base, EVLOOP_ONCE);
}

struct uplink_body_way
doctor_way_of(struct doctor_visit *v)
{
	return (struct uplink_body_way){ v->doctor->base, v->doctor->http, v->route, &v->grant,
		&v->serial };
}

/* -- Which hosts and routes there are -- */

static void
add_host(struct doctor_facts *f, const char *url, bool proxy)
{
	struct doctor_host *h = &f->host[f->host_n];
	char name[PROXY_HOST_MAX];
	unsigned port;

	if (f->host_n == DOCTOR_HOSTS_MAX || !proxy_url_host(url, name, &port))
		return;
	for (size_t i = 0; i < f->host_n; i++) {
		if (strcmp(f->host[i].name, name) == 0 && f->host[i].port == port)
			return;
	}
	snprintf(h->name, sizeof(h->name), "%s", name);
	h->port = (uint16_t)port;
	h->proxy = proxy;
	f->host_n++;
}

static bool
has_route(const struct doctor *d, const char *url, const char *proxy)
{
	for (size_t i = 0; i < d->facts.route_n; i++) {
		if (strcmp(d->facts.route[i].url, url) == 0 &&
		    strcmp(d->facts.route[i].proxy, proxy) == 0)
			return true;
	}
	return false;
}

/* `proxy` NULL = directly. */
static void
add_route(struct doctor *d, const char *url, const char *proxy)
{
	struct doctor_visit *v = &d->visit[d->facts.route_n];
	struct doctor_route *r = &d->facts.route[d->facts.route_n];

	if (d->facts.route_n == DOCTOR_ROUTES_MAX || has_route(d, url, proxy == NULL ? "" : proxy))
		return;
	v->route = uplink_route_new(url, proxy);
	if (v->route == NULL)
		return;
	v->doctor = d;
	v->facts = r;
	snprintf(r->url, sizeof(r->url), "%s", url);
	r->https = v->route->tls;
	d->facts.route_n++;
	if (proxy == NULL)
		return;
	snprintf(r->proxy, sizeof(r->proxy), "%s", proxy);
	add_host(&d->facts, proxy, true);
}

/* A URL of the configuration, and its proxies, when they are known. */
struct asked {
	struct doctor *doctor;
	const char *url;
	char *proxy[PROXY_WAYS_MAX];
	size_t n;
};

static void
on_ways(void *arg, const struct proxy_ways *ways)
{
	struct asked *a = arg;

	a->doctor->pending--;
	for (size_t i = 0; i < ways->n; i++) {
		const struct proxy_way *w = &ways->way[i];

		if (w->proxy == NULL)
			continue;
		uplink_http_proxy(a->doctor->http, w->proxy, w->user, w->password);
		a->proxy[a->n++] = mem_strdup(w->proxy);
	}
}

/* Those to one HRAS: directly, and then by each proxy, as the ladder is climbed. */
static void
add_routes_to(struct doctor *d, const struct asked *asked, size_t n, const char *url)
{
	for (size_t rank = 0; rank <= PROXY_WAYS_MAX; rank++) {
		for (size_t i = 0; i < n; i++) {
			if (!uplink_route_same_host(asked[i].url, url))
				continue;
			if (rank == 0 && d->config->tunnel.transport != CONFIG_BY_PROXY)
				add_route(d, asked[i].url, NULL);
			else if (rank > 0 && rank <= asked[i].n)
				add_route(d, asked[i].url, asked[i].proxy[rank - 1]);
		}
	}
}

static void
find_routes(struct doctor *d, struct proxy *proxy)
{
	const struct config_hrac *c = d->config;
	struct asked asked[CONFIG_URLS_MAX] = { 0 };
	size_t i, k, n = c->tunnel.urls_n;

	for (i = 0; i < n; i++) {
		asked[i].doctor = d;
		asked[i].url = c->tunnel.urls[i];
		add_host(&d->facts, asked[i].url, false);
		d->pending++;
		(void)proxy_find(proxy, asked[i].url, on_ways, &asked[i]);
	}
	doctor_wait(d);
	for (i = 0; i < n; i++)
		add_routes_to(d, asked, n, asked[i].url);
	for (i = 0; i < n; i++) {
		for (k = 0; k < asked[i].n; k++)
			mem_free(asked[i].proxy[k]);
	}
}

static void
say_where_proxies_come_from(struct doctor *d)
{
	const char *option = d->config->tunnel.proxy, *from = "by tunnel.proxy";
	size_t n = 0;

	for (size_t i = 0; i < d->facts.route_n; i++)
		n += d->facts.route[i].proxy[0] != '\0';
	if (option == NULL || strcmp(option, "environment") == 0)
		from = "by the environment";
	else if (strncmp(option, "pac:", 4) == 0)
		from = "by the PAC file of tunnel.proxy";
	snprintf(d->facts.proxy_from, sizeof(d->facts.proxy_from), "%s web proxy is named %s",
	    n == 0 ? "no" : "a", from);
}

/* -- The steps -- */

static const struct doctor_host *
host_of(const struct doctor *d, const char *url)
{
	char name[PROXY_HOST_MAX];
	unsigned port;

	if (!proxy_url_host(url, name, &port))
		return NULL;
	for (size_t i = 0; i < d->facts.host_n; i++) {
		const struct doctor_host *h = &d->facts.host[i];

		if (h->port == port && strcmp(h->name, name) == 0)
			return h;
	}
	return NULL;
}

/* In the words of uplink/cause.c, as the agent itself would say it. */
static void
say_closed(struct doctor_route *r, enum doctor_door door)
{
	static const struct {
		const char *before, *behind;
	} words[] = {
		[DOCTOR_REFUSED] = { "cannot connect to", ": Connection refused" },
		[DOCTOR_SILENT] = { "no answer from",
		    ": timed out while connecting (a firewall?)" },
		[DOCTOR_UNREACHABLE] = { "cannot connect to", ": there is no way to it" },
	};

	r->stop = DOCTOR_STOP_CONNECT;
	snprintf(r->trouble, sizeof(r->trouble), "%s %s%s", words[door].before,
	    *r->proxy == '\0' ? "HRAS" : "the proxy", words[door].behind);
}

/* No need to look where nobody opened: the reason is known. */
static bool
is_closed(const struct doctor *d, struct doctor_route *r)
{
	const struct doctor_host *h = host_of(d, *r->proxy == '\0' ? r->url : r->proxy);

	if (h == NULL || h->address_n + strlen(h->trouble) == 0)
		return false;
	if (h->trouble[0] != '\0') {
		r->stop = DOCTOR_STOP_NAME;
		snprintf(r->trouble, sizeof(r->trouble), "the name of %s is not resolved: %.100s",
		    h->proxy ? "the proxy" : "HRAS", h->trouble);
		return true;
	}
	for (size_t i = 0; i < h->address_n; i++) {
		if (h->address[i].door == DOCTOR_OPEN)
			return false;
	}
	say_closed(r, h->address[0].door);
	return true;
}

static void
look(struct doctor *d)
{
	struct doctor_facts *f = &d->facts;
	size_t i;

	for (i = 0; i < f->route_n; i++) {
		if (!is_closed(d, &f->route[i]))
			doctor_route_look(&d->visit[i]);
	}
	doctor_wait(d);
	/*
	 * What a proxy wants may have been learnt only by the refusal, when it forbids one thing and asks
	 * who we are for another. After a wrong password nothing is sent to it again.
	 */
	for (i = 0; i < f->route_n; i++) {
		if (f->route[i].stop == DOCTOR_STOP_PROXY && f->route[i].look.schemes[0] != '\0')
			doctor_route_look(&d->visit[i]);
	}
	doctor_wait(d);
}

static void
examine(struct doctor *d)
{
	struct doctor_facts *f = &d->facts;
	size_t i;

	doctor_net_look(f->host, f->host_n);
	look(d);
	for (i = 0; i < f->route_n; i++) {
		if (f->route[i].stop == DOCTOR_STOP_NOWHERE)
			doctor_route_visit(&d->visit[i]);
	}
	doctor_wait(d);
	for (i = 0; i < f->route_n; i++) {
		if (f->route[i].stop == DOCTOR_STOP_NOWHERE)
			doctor_route_probe(&d->visit[i]);
	}
	doctor_wait(d);
	doctor_judge(f);
	if (f->best != DOCTOR_NONE)
		doctor_line_measure(&d->visit[f->best]);
	doctor_judge(f);
}

/* -- Telling -- */

static void
print_line(void *arg, const struct doctor_line *line)
{
	(void)arg;
	if (line->topic == NULL)
		printf("\n%s\n", line->text);
	else
		printf("%s  %-8s %s\n", doctor_verdict_str(line->verdict), line->topic, line->text);
}

static void
print(const struct doctor *d)
{
	char advice[DOCTOR_TEXT_MAX], *json;

	if (d->options->json) {
		json = doctor_json(&d->facts);
		puts(json);
		free(json);
		return;
	}
	printf("The way of agent \"%s\" to HRAS, seen by hrac %s\n", d->facts.agent,
	    PACKAGE_VERSION);
	doctor_tell(&d->facts, print_line, NULL);
	doctor_advise(&d->facts, advice);
	printf("\n%s\n", advice);
}

/* -- Begin and end -- */

static void
doctor_end(struct doctor *d)
{
	for (size_t i = 0; i < d->facts.route_n; i++)
		uplink_probe_free(d->visit[i].probe);
	if (d->http != NULL)
		uplink_http_free(d->http);
	for (size_t i = 0; i < d->facts.route_n; i++)
		uplink_route_free(d->visit[i].route);
	event_del(&d->turn);
	event_base_free(d->base);
	mem_wipe_free(d, sizeof(*d));
}

static struct doctor *
doctor_begin(const struct config_hrac *c, const struct doctor_options *options)
{
	static const struct uplink_http_handlers handlers = { .on_turn = on_http_turn };
	struct uplink_http_config http = { .proxy_user = c->tunnel.proxy_user,
		.proxy_password = c->tunnel.proxy_password,
		.ca = c->tunnel.ca,
		.client_certificate = c->tunnel.client_certificate,
		.client_key = c->tunnel.client_key };
	struct doctor *d = mem_zalloc(sizeof(*d));

	d->config = c;
	d->options = options;
	d->facts.agent = c->tunnel.agent;
	d->facts.transport = c->tunnel.transport;
	d->facts.cap_kbit = c->tunnel.bandwidth_max_kbit;
	d->base = event_base_new();
	if (d->base == NULL)
		abort(); /* a broken host */
	event_assign(&d->turn, d->base, -1, 0, on_turn, d);
	d->http = uplink_http_new(d->base, &http, &handlers, d);
	return d;
}

int
doctor_run(const struct config_hrac *c, const struct doctor_options *options)
{
	struct proxy_config proxy_config = { .option = c->tunnel.proxy,
		.user = c->tunnel.proxy_user,
		.password = c->tunnel.proxy_password,
		.ca = c->tunnel.ca,
		.pac_program = PAC_PROGRAM_SELF };
	struct doctor *d = doctor_begin(c, options);
	struct proxy *proxy = NULL;
	bool good;

	/* What goes wrong is told in its place; on stderr only what must be acted on. */
	log_set_level(LOG_ERROR);
	if (d->http == NULL || proxy_new(d->base, &proxy_config, &proxy) < 0) {
		doctor_end(d);
		return 1;
	}
	find_routes(d, proxy);
	say_where_proxies_come_from(d);
	examine(d);
	print(d);
	good = d->facts.works;
	proxy_finder_free(proxy);
	doctor_end(d);
	return good ? 0 : 1;
}
