/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink/cause.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "hrac/proxy/way.h"
#include "hrac/uplink/proxy.h"

static long
url_port(CURL *easy)
{
	char *url = NULL, host[PROXY_HOST_MAX];
	unsigned port = 0;

	curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
	if (url == NULL || !proxy_url_host(url, host, &port))
		return 443;
	return (long)port;
}

/* The proxy wants to know who we are. */
static void
say_login(const struct uplink_proxy *p, char *out, size_t cap)
{
	char schemes[UPLINK_PROXY_SCHEMES_MAX];
	const char *what = "wants a user and a password";

	uplink_proxy_schemes(p->offered, schemes);
	if (p->scheme == (long)CURLAUTH_NEGOTIATE && p->ticket_trouble[0] != '\0')
		what = "wants a Kerberos ticket, and we have none";
	else if (p->scheme == (long)CURLAUTH_NEGOTIATE)
		what = "refuses our Kerberos ticket";
	else if (p->user != NULL && p->scheme == 0)
		what = "does not take a user and a password by any way that we know";
	else if (p->user != NULL)
		what = "refuses our user or password";
	snprintf(out, cap, "the proxy %s (HTTP 407; %s offers %s%s%s)", what, p->name, schemes,
	    p->ticket_trouble[0] == '\0' ? "" : ": ", p->ticket_trouble);
}

static void
say_proxy_refused(const struct uplink_failure *f, long status, bool connect, char *out, size_t cap)
{
	long port = url_port(f->easy);

	if (status == 407)
		say_login(f->proxy, out, cap);
	else if (status == 403 && connect && port != 443)
		snprintf(out, cap,
		    "the proxy forbids CONNECT to port %ld (HTTP 403; most allow 443 alone)", port);
	else if (status == 403)
		snprintf(out, cap, "the proxy forbids the way to HRAS (HTTP 403)");
	else if (status == 405 || status == 501)
		snprintf(out, cap, "the proxy knows no %s (HTTP %ld)",
		    connect ? "CONNECT" : "way to do that", status);
	else if (status == 411)
		snprintf(out, cap, "the proxy takes no body of unknown length (HTTP 411%s)",
		    f->proxy->old ? "; it speaks HTTP/1.0" : "");
	else
		snprintf(out, cap, "the proxy cannot reach HRAS (HTTP %ld)", status);
}

bool
uplink_cause_of_proxy(const char *proxy, bool tls, long status)
{
	/* A request that it shuts out itself has 407, whatever the way. */
	if (status == 407)
		return true;
	/* A tunnel through it, by CONNECT or SOCKS, brings answers from behind it alone. */
	if (tls || strncmp(proxy, "socks", 5) == 0)
		return false;
	/* What HRAS does not answer to those it serves, but a proxy does. */
	return status == 403 || status == 405 || status == 411 || (status >= 501 && status <= 504);
}

/* An answer came, but none that HRAS gives to those it serves. */
static void
say_status(const struct uplink_failure *f, char *out, size_t cap)
{
	char *location = NULL, *type = NULL, *url = NULL;
	bool tls;

	curl_easy_getinfo(f->easy, CURLINFO_EFFECTIVE_URL, &url);
	tls = url != NULL && strncasecmp(url, "https:", 6) == 0;
	curl_easy_getinfo(f->easy, CURLINFO_REDIRECT_URL, &location);
	curl_easy_getinfo(f->easy, CURLINFO_CONTENT_TYPE, &type);
	if (f->from_hras && f->status == 404)
		snprintf(out, cap, "HRAS does not know our session");
	else if (f->from_hras)
		snprintf(out, cap, "HRAS refuses the request (HTTP %ld)", f->status);
	else if (f->proxy != NULL && uplink_cause_of_proxy(f->proxy->name, tls, f->status))
		say_proxy_refused(f, f->status, false, out, cap);
	else if (f->status >= 502 && f->status <= 504)
		snprintf(out, cap, "what stands before HRAS cannot reach it (HTTP %ld)", f->status);
	else if (location != NULL)
		snprintf(out, cap,
		    "something on the way answers in the place of HRAS: HTTP %ld, redirect to %s (a "
		    "login page?)",
		    f->status, location);
	else
		snprintf(out, cap,
		    "something answers in the place of HRAS: HTTP %ld, %s (a login page, or a wrong "
		    "url?)",
		    f->status, type == NULL ? "no content type" : type);
}

static void
say_not_connected(const struct uplink_failure *f, char *out, size_t cap)
{
	const char *who = f->proxy != NULL ? "the proxy" : "HRAS";
	long number = 0;

	curl_easy_getinfo(f->easy, CURLINFO_OS_ERRNO, &number);
	if (number != 0)
		snprintf(out, cap, "cannot connect to %s: %s", who, strerror((int)number));
	else
		snprintf(out, cap, "cannot connect to %s: %s", who, f->text);
}

static void
say_timed_out(const struct uplink_failure *f, char *out, size_t cap)
{
	double connected_s = 0;

	curl_easy_getinfo(f->easy, CURLINFO_CONNECT_TIME, &connected_s);
	if (strncmp(f->text, "Resolving", 9) == 0)
		snprintf(out, cap, "no name server answers for the name of %s",
		    f->proxy != NULL ? "the proxy" : "HRAS");
	else if (connected_s == 0)
		snprintf(out, cap, "no answer from %s: timed out while connecting (a firewall?)",
		    f->proxy != NULL ? "the proxy" : "HRAS");
	else
		snprintf(out, cap, "connected, but no answer from HRAS: timed out");
}

/* HRAS ended TLS for the sake of our certificate, or for want of one: the words are OpenSSL's. */
static bool
say_alert(const char *text, char *out, size_t cap)
{
	static const struct {
		const char *alert, *words;
	} alerts[] = {
		{ "alert certificate required",
		    "HRAS wants a certificate of this agent (tunnel.client_certificate)" },
		{ "alert certificate expired",
		    "the certificate of tunnel.client_certificate has ended, says HRAS" },
		{ "alert unknown ca",
		    "HRAS does not know who signed the certificate of tunnel.client_certificate" },
		{ "alert bad certificate",
		    "HRAS does not take the certificate of tunnel.client_certificate" },
	};

	for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++) {
		if (strstr(text, alerts[i].alert) == NULL)
			continue;
		snprintf(out, cap, "%s", alerts[i].words);
		return true;
	}
	return false;
}

/*
 * Whose TLS it is that fails: until CONNECT was answered it can only be the proxy's.
 */
static const char *
tls_with(const struct uplink_failure *f)
{
	long connect_status = 0;

	curl_easy_getinfo(f->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
	if (f->proxy != NULL && strncmp(f->proxy->name, "https:", 6) == 0 && connect_status == 0)
		return "the proxy";
	return "HRAS";
}

/* A certificate is also refused for its name or its age: then there is no stranger to be named. */
static void
say_untrusted(const struct uplink_failure *f, const char *text, char *out, size_t cap)
{
	if (f->signer == NULL || f->signer[0] == '\0')
		snprintf(out, cap, "the certificate of %s is not trusted: %s", tls_with(f), text);
	else
		snprintf(out, cap,
		    "the certificate of %s is not trusted: it is signed by \"%s\" (TLS is "
		    "intercepted, or tunnel.ca is to name who signed it)",
		    tls_with(f), f->signer);
}

static void
say_code(const struct uplink_failure *f, char *out, size_t cap)
{
	const char *text = f->text[0] != '\0' ? f->text : curl_easy_strerror(f->code);

	if (say_alert(text, out, cap))
		return;
	switch (f->code) {
	case CURLE_SSL_CERTPROBLEM:
		snprintf(out, cap,
		    "the files of tunnel.client_certificate and tunnel.client_key cannot be used: %s",
		    text);
		break;
	case CURLE_COULDNT_RESOLVE_HOST:
		snprintf(out, cap, "the name of HRAS is not resolved: %s", text);
		break;
	case CURLE_COULDNT_RESOLVE_PROXY:
		snprintf(out, cap, "the name of the proxy is not resolved: %s", text);
		break;
	case CURLE_COULDNT_CONNECT:
		say_not_connected(f, out, cap);
		break;
	case CURLE_OPERATION_TIMEDOUT:
		say_timed_out(f, out, cap);
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
		say_untrusted(f, text, out, cap);
		break;
	case CURLE_SSL_CACERT_BADFILE:
		snprintf(out, cap, "the file of tunnel.ca cannot be used: %s", text);
		break;
	case CURLE_SSL_CONNECT_ERROR:
		snprintf(out, cap, "TLS with %s fails: %s", tls_with(f), text);
		break;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
		snprintf(out, cap, "what answers in the place of HRAS is no web server: %s", text);
		break;
	case CURLE_PROXY:
		snprintf(out, cap, "the SOCKS proxy refuses the way to HRAS: %s", text);
		break;
	case CURLE_LOGIN_DENIED:
	case CURLE_AUTH_ERROR:
		snprintf(out, cap, "proving ourselves to the proxy fails: %s", text);
		break;
	case CURLE_URL_MALFORMAT:
		snprintf(out, cap, "tunnel.url cannot be used: %s", text);
		break;
	default:
		snprintf(out, cap, "the connection was cut: %s", text);
	}
}

void
uplink_cause(const struct uplink_failure *f, char *out, size_t cap)
{
	long connect_status = 0;

	out[0] = '\0';
	curl_easy_getinfo(f->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
	if (f->proxy != NULL && connect_status != 0 && connect_status / 100 != 2)
		say_proxy_refused(f, connect_status, true, out, cap);
	else if (f->status != 0 && (f->status != 200 || !f->from_hras))
		say_status(f, out, cap);
	else if (f->code != CURLE_OK)
		say_code(f, out, cap);
}
