/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The addresses that the gateway listens on, which may change while it runs. */
#include "base/err.h"
#include "hras/gateway/impl.h"

static int
start_tls(struct gateway *g, const struct gateway_tls_files *files)
{
	char wrong[GATEWAY_TLS_WRONG_MAX];
	int err = gateway_tls_new(files, &g->tls, wrong);

	if (err < 0)
		log_error("gateway", "TLS: %s", wrong);
	return err;
}

static bool
needs_tls(const struct gateway_listen *listen, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (listen[i].tls)
			return true;
	}
	return false;
}

static bool
is_the_same(const struct gateway_http *h, const struct gateway_listen *l)
{
	const struct addr a = gateway_http_addr(h);

	return !gateway_http_is_retired(h) && addr_equal(&a, &l->addr) &&
	    gateway_http_has_tls(h) == l->tls;
}

static bool
is_wanted(const struct gateway_http *h, const struct gateway_listen *listen, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (is_the_same(h, &listen[i]))
			return true;
	}
	return false;
}

static bool
is_open(const struct gateway *g, const struct gateway_listen *l)
{
	for (size_t i = 0; i < g->http_n; i++) {
		if (is_the_same(g->http[i], l))
			return true;
	}
	return false;
}

static int
open_one(struct gateway *g, const struct gateway_listen *l)
{
	const struct gateway_http_config config = {
		.listen = l->addr, .tls = l->tls ? g->tls : NULL, .pending_s = g->pending_s
	};
	int err;

	if (g->http_n == GATEWAY_HTTP_MAX) {
		log_error("gateway",
		    "tunnel.listen: connections of too many former addresses live on; SIGHUP again later");
		return ERR_FULL;
	}
	err = gateway_http_new(g->base, &config, &gateway_http_handlers, g, &g->http[g->http_n]);
	g->http_n += err == 0;
	return err;
}

int
gateway_listen_on(struct gateway *g, const struct gateway_listen *listen, size_t n,
    const struct gateway_tls_files *files)
{
	int err = 0, first = 0;

	if (needs_tls(listen, n) && g->tls == NULL && (err = start_tls(g, files)) < 0)
		return err;
	g->https = needs_tls(listen, n);
	/* First those that go: a new one may be on the address of an old one. */
	for (size_t i = 0; i < g->http_n; i++) {
		if (!is_wanted(g->http[i], listen, n))
			gateway_http_retire(g->http[i]);
	}
	for (size_t i = 0; i < n; i++) {
		if (!is_open(g, &listen[i]) && (err = open_one(g, &listen[i])) < 0 && first == 0)
			first = err;
	}
	return first;
}

static void
add_counters(struct gateway_http_counters *sum, const struct gateway_http_counters *c)
{
	sum->connections += c->connections;
	sum->expired += c->expired;
	sum->requests += c->requests;
	sum->refused += c->refused;
	sum->oversized += c->oversized;
}

void
gateway_listen_tidy(struct gateway *g)
{
	size_t kept = 0;

	for (size_t i = 0; i < g->http_n; i++) {
		const struct gateway_http_counters c = gateway_http_counters(g->http[i]);

		if (gateway_http_is_retired(g->http[i]) &&
		    gateway_http_connections_n(g->http[i]) == 0) {
			add_counters(&g->http_ended, &c);
			gateway_http_free(g->http[i]);
		} else {
			g->http[kept++] = g->http[i];
		}
	}
	g->http_n = kept;
}

struct gateway_http_counters
gateway_listen_counters(const struct gateway *g)
{
	struct gateway_http_counters sum = g->http_ended;

	for (size_t i = 0; i < g->http_n; i++) {
		const struct gateway_http_counters c = gateway_http_counters(g->http[i]);

		add_counters(&sum, &c);
	}
	return sum;
}
