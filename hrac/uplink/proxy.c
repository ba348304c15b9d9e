/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink/proxy.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* What a user and a password are good for. */
#define BY_PASSWORD (CURLAUTH_BASIC | CURLAUTH_DIGEST | CURLAUTH_NTLM)

static void
wipe(char *s)
{
	if (s != NULL)
		mem_wipe_free(s, strlen(s));
}

void
uplink_proxies_init(struct uplink_proxies *t, const char *user, const char *password,
    const char *ca)
{
	memset(t, 0, sizeof(*t));
	t->user = mem_strdup(user);
	t->password = mem_strdup(password);
	t->ca = mem_strdup(ca);
}

void
uplink_proxies_free(struct uplink_proxies *t)
{
	struct uplink_proxy *p;

	while ((p = t->first) != NULL) {
		t->first = p->next;
		mem_free(p->name);
		wipe(p->user);
		wipe(p->password);
		mem_free(p);
	}
	wipe(t->user);
	wipe(t->password);
	mem_free(t->ca);
	memset(t, 0, sizeof(*t));
}

static bool
same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

void
uplink_proxy_identify(struct uplink_proxy *p, const char *user, const char *password)
{
	char *last_user = p->user, *last_password = p->password;

	if (same(user, p->user) && same(password, p->password))
		return;
	p->user = mem_strdup(user);
	p->password = mem_strdup(password);
	wipe(last_user);
	wipe(last_password);
	p->scheme = 0;
	p->refusals = 0;
	p->state = p->knocks > 0 ? UPLINK_PROXY_KNOCKED : UPLINK_PROXY_UNKNOWN;
}

struct uplink_proxy *
uplink_proxy_get(struct uplink_proxies *t, const char *name)
{
	struct uplink_proxy *p;

	for (p = t->first; p != NULL; p = p->next) {
		if (strcmp(p->name, name) == 0)
			return p;
	}
	if (t->n == UPLINK_PROXIES_MAX) {
		p = t->first;
		mem_free(p->name);
		p->name = mem_strdup(name);
		uplink_proxy_identify(p, t->user, t->password);
		return p;
	}
	p = mem_zalloc(sizeof(*p));
	p->name = mem_strdup(name);
	p->user = mem_strdup(t->user);
	p->password = mem_strdup(t->password);
	p->next = t->first;
	t->first = p;
	t->n++;
	return p;
}

enum uplink_proxy_verdict
uplink_proxy_ask(struct uplink_proxy *p, uint64_t now_us)
{
	if (p->state == UPLINK_PROXY_OPEN)
		return UPLINK_PROXY_GO;
	if (p->state == UPLINK_PROXY_KNOCKED)
		return UPLINK_PROXY_WAIT;
	if (p->state == UPLINK_PROXY_SHUT && now_us < p->again_us)
		return UPLINK_PROXY_NO;
	uplink_proxy_knock(p);
	return UPLINK_PROXY_KNOCK;
}

void
uplink_proxy_knock(struct uplink_proxy *p)
{
	p->knocks++;
	if (p->state != UPLINK_PROXY_OPEN)
		p->state = UPLINK_PROXY_KNOCKED;
}

/* The best that it offers of what we have something for; 0 = nothing. */
static long
choose(const struct uplink_proxy *p, long offered)
{
	static const long by_password[] = { CURLAUTH_DIGEST, CURLAUTH_NTLM, CURLAUTH_BASIC };

	for (size_t i = 0; p->user != NULL && i < sizeof(by_password) / sizeof(long); i++) {
		if ((offered & by_password[i]) != 0)
			return by_password[i];
	}
	return offered & (long)CURLAUTH_NEGOTIATE;
}

void
uplink_proxy_dress(const struct uplink_proxies *t, const struct uplink_proxy *p, CURL *easy,
    bool knock)
{
	long auth = p->scheme;

	curl_easy_setopt(easy, CURLOPT_PROXY, p->name);
	curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(easy, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (t->ca != NULL) {
		curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, t->ca);
		curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
	}
	/* Of several schemes libcurl tells none at first; of one it makes use at once. */
	if (knock && auth == 0 && p->user != NULL)
		auth = (long)BY_PASSWORD;
	if (auth == 0 && strncmp(p->name, "socks", 5) != 0)
		return;
	curl_easy_setopt(easy, CURLOPT_PROXYAUTH, auth);
	if (auth == (long)CURLAUTH_NEGOTIATE) {
		/* No name: that of the ticket, or of the keytab. */
		curl_easy_setopt(easy, CURLOPT_PROXYUSERPWD, ":");
	} else if (p->user != NULL) {
		curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, p->user);
		curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD,
		    p->password == NULL ? "" : p->password);
	}
}

void
uplink_proxy_read(CURL *easy, struct uplink_proxy_answer *out)
{
	long status = 0, connect_status = 0, version = 0;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
	curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
	curl_easy_getinfo(easy, CURLINFO_PROXYAUTH_AVAIL, &out->offered);
	out->reached = status != 0 || connect_status != 0;
	out->refused = (connect_status != 0 ? connect_status : status) == 407;
	out->old = connect_status == 0 && version == CURL_HTTP_VERSION_1_0;
}

static void
shut(struct uplink_proxy *p, uint64_t now_us)
{
	uint64_t wait_s = UPLINK_PROXY_AGAIN_S;

	for (unsigned i = 0; i < p->refusals && wait_s < UPLINK_PROXY_AGAIN_MAX_S; i++)
		wait_s *= 2;
	if (wait_s > UPLINK_PROXY_AGAIN_MAX_S)
		wait_s = UPLINK_PROXY_AGAIN_MAX_S;
	p->refusals++;
	p->state = UPLINK_PROXY_SHUT;
	p->again_us = now_us + wait_s * CLOCK_S;
}

/* It lets us pass. */
static enum uplink_proxy_verdict
open_up(struct uplink_proxy *p, const struct uplink_proxy_answer *a)
{
	p->state = UPLINK_PROXY_OPEN;
	p->refusals = 0;
	p->ticket_trouble[0] = '\0';
	p->old = a->old;
	if (a->offered != 0) {
		p->offered = a->offered;
		p->scheme = choose(p, a->offered);
	}
	return UPLINK_PROXY_GO;
}

enum uplink_proxy_verdict
uplink_proxy_learn(struct uplink_proxy *p, const struct uplink_proxy_answer *a, uint64_t now_us)
{
	long tried = a->tried != 0 ? a->tried : choose(p, a->offered & (long)BY_PASSWORD);
	long best = choose(p, a->offered);

	p->knocks--;
	if (p->state != UPLINK_PROXY_KNOCKED)
		return UPLINK_PROXY_WAIT;
	if (a->reached && !a->refused)
		return open_up(p, a);
	if (p->knocks > 0)
		return UPLINK_PROXY_WAIT;
	p->state = UPLINK_PROXY_UNKNOWN;
	if (!a->reached)
		return UPLINK_PROXY_WAIT;
	p->old = a->old;
	p->offered = a->offered;
	p->scheme = best;
	if (best != 0 && best != tried)
		return UPLINK_PROXY_KNOCK;
	/* Without anything to prove there is nothing that would be locked. */
	if ((best & (long)BY_PASSWORD) != 0)
		shut(p, now_us);
	return UPLINK_PROXY_NO;
}

void
uplink_proxy_note(struct uplink_proxy *p, const struct uplink_proxy_answer *a, uint64_t now_us)
{
	if (!a->refused || p->state != UPLINK_PROXY_OPEN)
		return;
	p->offered = a->offered;
	p->state = UPLINK_PROXY_UNKNOWN;
	if (p->scheme != choose(p, a->offered))
		p->scheme = 0; /* it asks for another thing than before: a knock will learn */
	else if ((p->scheme & (long)BY_PASSWORD) != 0)
		shut(p, now_us);
}

void
uplink_proxy_overhear(struct uplink_proxy *p, const char *text, size_t n)
{
	static const char mark[] = "gss_init_sec_context() failed: ";
	size_t skip = sizeof(mark) - 1;

	if (n < skip || memcmp(text, mark, skip) != 0)
		return;
	snprintf(p->ticket_trouble, sizeof(p->ticket_trouble), "%.*s", (int)(n - skip),
	    text + skip);
	p->ticket_trouble[strcspn(p->ticket_trouble, "\r\n")] = '\0';
}

const char *
uplink_proxy_schemes(long offered, char out[static UPLINK_PROXY_SCHEMES_MAX])
{
	static const struct {
		long bit;
		const char *name;
	} names[] = { { CURLAUTH_NEGOTIATE, "Negotiate" }, { CURLAUTH_DIGEST, "Digest" },
		{ CURLAUTH_NTLM, "NTLM" }, { CURLAUTH_BASIC, "Basic" } };
	int n = 0;

	strcpy(out, "nothing");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((offered & names[i].bit) != 0)
			n += snprintf(out + n, UPLINK_PROXY_SCHEMES_MAX - (size_t)n, "%s%s",
			    n == 0 ? "" : ", ", names[i].name);
	}
	return out;
}
