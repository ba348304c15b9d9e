/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/config.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static char path[] = "/tmp/test_config.XXXXXX";
static char told[4096]; /* on stderr, by the last load */

static void
write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Loads what write_file wrote, or `file`; what is said on stderr comes into `told`. */
static int
load_from(const char *file, bool hras, void **out)
{
	FILE *capture = tmpfile();
	int real_stderr = dup(STDERR_FILENO), err;
	struct config_hrac *c;
	struct config_hras *s;
	size_t n;

	assert_non_null(capture);
	dup2(fileno(capture), STDERR_FILENO);
	if (hras)
		err = config_load_hras(file, &s);
	else
		err = config_load_hrac(file, &c);
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	rewind(capture);
	n = fread(told, 1, sizeof(told) - 1, capture);
	told[n] = '\0';
	fclose(capture);
	if (err == 0 && hras)
		*out = s;
	else if (err == 0)
		*out = c;
	return err;
}

static struct config_hrac *
good_hrac(const char *text)
{
	void *c = NULL;

	write_file(text);
	if (load_from(path, false, &c) < 0)
		fail_msg("%s", told);
	assert_string_equal(told, "");
	return c;
}

static struct config_hras *
good_hras(const char *text)
{
	void *c = NULL;

	write_file(text);
	if (load_from(path, true, &c) < 0)
		fail_msg("%s", told);
	assert_string_equal(told, "");
	return c;
}

/* The load fails with one line, "PATH:line: ...", in which all of `what` stands. */
static void
expect_error(bool hras, const char *text, int line, const char *what)
{
	void *untouched = told, *c = untouched;
	char prefix[128];

	write_file(text);
	snprintf(prefix, sizeof(prefix), "%s:%d: ", path, line);
	if (load_from(path, hras, &c) == 0)
		fail_msg("no error: expected %d: %s\n%s", line, what, text);
	assert_ptr_equal(c, untouched);
	if (strncmp(told, prefix, strlen(prefix)) != 0 || strstr(told, what) == NULL)
		fail_msg("expected %d: %s\ntold: %s\n%s", line, what, told, text);
	assert_ptr_equal(strchr(told, '\n'), told + strlen(told) - 1);
}

/* The least that must work, line by line; a test replaces one line of it. */
static const char *const hrac_lines[] = {
	"tunnel { url = \"http://203.0.113.10/\"",
	"         agent = \"office\"",
	"         secret = \"change-me\" }",
	"sip    { listen = { \"udp:192.168.1.5:5060\",",
	"                    \"tcp:192.168.1.5:5060\" } }",
	"media  { address = \"192.168.1.5\"",
	"         ports = \"20000-29999\" }",
	"status { listen = \"127.0.0.1:8080\" }",
};

static const char *const hras_lines[] = {
	"domains = { \"example.com\" }",
	"tunnel { listen = \"203.0.113.10:80\" }",
	"agent \"office\" { secret = \"change-me\" }",
	"sip    { listen = { \"udp:203.0.113.10:5060\",",
	"                    \"tcp:203.0.113.10:5060\" } }",
	"media  { address = \"203.0.113.10\"",
	"         ports = \"20000-29999\" }",
	"status { listen = \"127.0.0.1:8081\" }",
	"auth   { require = \"outside\" }   # none|outside|all",
	"user \"alice\" { password = \"wonderland\" }",
};

/* The example with line number `line` (from 1) replaced; 0 replaces none, one too many appends. */
static const char *
example(bool hras, int line, const char *replacement)
{
	static char text[8192];
	const char *const *lines = hras ? hras_lines : hrac_lines;
	int n = hras ? N(hras_lines) : N(hrac_lines);

	text[0] = '\0';
	for (int i = 1; i <= n || i <= line; i++) {
		strcat(text, i == line ? replacement : lines[i - 1]);
		strcat(text, "\n");
	}
	return text;
}

static void
least_hrac_loads_with_the_defaults_of_the_rest(void **state)
{
	struct config_hrac *c = good_hrac(example(false, 0, NULL));
	char str[ADDR_STR_MAX];

	(void)state;
	assert_int_equal(c->tunnel.urls_n, 1);
	assert_string_equal(c->tunnel.urls[0], "http://203.0.113.10/");
	assert_int_equal(c->tunnel.transport, CONFIG_AUTO);
	assert_string_equal(c->tunnel.agent, "office");
	assert_string_equal(c->tunnel.secret, "change-me");
	assert_null(c->tunnel.proxy);
	assert_null(c->tunnel.proxy_user);
	assert_null(c->tunnel.proxy_password);
	assert_null(c->tunnel.ca);
	assert_true(c->tunnel.seal);
	assert_int_equal(c->tunnel.connections_max, 192);
	assert_int_equal(c->tunnel.rotate_bytes, 64 << 20);
	assert_int_equal(c->tunnel.rotate_age_s, 600);
	assert_int_equal(c->tunnel.bandwidth_max_kbit, 0);
	assert_int_equal(c->sip.listen_n, 2);
	assert_int_equal(c->sip.listen[0].proto, CONFIG_UDP);
	assert_int_equal(c->sip.listen[1].proto, CONFIG_TCP);
	assert_string_equal(addr_str(&c->sip.listen[1].addr, str), "192.168.1.5:5060");
	assert_string_equal(addr_str(&c->media.address, str), "192.168.1.5:0");
	assert_int_equal(c->media.port_min, 20000);
	assert_int_equal(c->media.port_max, 29999);
	assert_int_equal(c->media.max_age_ms, 150);
	assert_string_equal(addr_str(&c->status.listen, str), "127.0.0.1:8080");
	assert_int_equal(c->log_level, LOG_INFO);
	config_free_hrac(c);
}

static void
least_hras_loads_with_the_defaults_of_the_rest(void **state)
{
	struct config_hras *c = good_hras(example(true, 0, NULL));
	char str[ADDR_STR_MAX];

	(void)state;
	assert_int_equal(c->domains_n, 1);
	assert_string_equal(c->domains[0], "example.com");
	assert_int_equal(c->tunnel.listen_n, 1);
	assert_string_equal(addr_str(&c->tunnel.listen[0].addr, str), "203.0.113.10:80");
	assert_int_equal(c->tunnel.listen[0].carrier, CONFIG_HTTP);
	assert_null(c->tunnel.certificate);
	assert_null(c->tunnel.key);
	assert_int_equal(c->tunnel.grace_s, 30);
	assert_true(c->tunnel.seal);
	assert_int_equal(c->tunnel.bandwidth_max_kbit, 0);
	assert_int_equal(c->agents_n, 1);
	assert_string_equal(c->agents[0].name, "office");
	assert_string_equal(c->agents[0].secret, "change-me");
	assert_int_equal(c->agents[0].bandwidth_max_kbit, 0);
	assert_int_equal(c->sip.listen_n, 2);
	assert_int_equal(c->media.max_age_ms, 150);
	assert_int_equal(c->media.timeout_s, 90);
	assert_int_equal(c->media.linger_ms, 2000);
	assert_string_equal(addr_str(&c->status.listen, str), "127.0.0.1:8081");
	assert_int_equal(c->auth, CONFIG_AUTH_OUTSIDE);
	assert_int_equal(c->digest, CONFIG_DIGEST_MD5);
	assert_int_equal(c->users_n, 1);
	assert_string_equal(c->users[0].name, "alice");
	assert_string_equal(c->users[0].password, "wonderland");
	assert_true(c->internal_calls_direct);
	assert_null(c->store);
	assert_int_equal(c->dns_servers_n, 0);
	assert_int_equal(c->calls_max, CONFIG_CALLS_AUTO);
	assert_int_equal(c->registrations_max, 100000);
	assert_int_equal(c->log_level, LOG_INFO);
	config_free_hras(c);
}

static void
every_hrac_option_is_read(void **state)
{
	struct config_hrac *c = good_hrac(
	    "/* all of it */ log_level = debug // bare words do\n"
	    "tunnel { url = { https://hras.example.com:8443/voice/, http://b/ }\n"
	    "transport = poll agent = 'a.b-c_9'\n"
	    "secret = \"# not a comment { \" proxy = \"http://[2001:db8::1]:3128\"\n"
	    "proxy_user = u proxy_password = \"\" ca = /dev/null seal = false connections_max = 250\n"
	    "rotate_bytes = 3G rotate_age = 2h bandwidth_max = 1G }\n"
	    "sip { listen = UDP:[2001:db8::2] }\n"
	    "media { address = 2001:db8::2 ports = 6000-6001 max_age = 2s }\n");
	char str[ADDR_STR_MAX];

	(void)state;
	assert_int_equal(c->log_level, LOG_DEBUG);
	assert_int_equal(c->tunnel.urls_n, 2);
	assert_string_equal(c->tunnel.urls[0], "https://hras.example.com:8443/voice/");
	assert_string_equal(c->tunnel.urls[1], "http://b/");
	assert_int_equal(c->tunnel.transport, CONFIG_BY_POLL);
	assert_string_equal(c->tunnel.agent, "a.b-c_9");
	assert_string_equal(c->tunnel.secret, "# not a comment { ");
	assert_string_equal(c->tunnel.proxy, "http://[2001:db8::1]:3128");
	assert_string_equal(c->tunnel.proxy_user, "u");
	assert_string_equal(c->tunnel.proxy_password, "");
	assert_string_equal(c->tunnel.ca, "/dev/null");
	assert_false(c->tunnel.seal);
	assert_int_equal(c->tunnel.connections_max, 250);
	assert_true(c->tunnel.rotate_bytes == 3ULL << 30);
	assert_int_equal(c->tunnel.rotate_age_s, 7200);
	assert_int_equal(c->tunnel.bandwidth_max_kbit, 1000000);
	assert_string_equal(addr_str(&c->sip.listen[0].addr, str), "[2001:db8::2]:5060");
	assert_int_equal(c->media.port_max, 6001);
	assert_int_equal(c->media.max_age_ms, 2000);
	assert_false(addr_is_set(&c->status.listen));
	config_free_hrac(c);
}

static void
a_tunnel_listens_for_each_kind_that_its_prefixes_name(void **state)
{
	static const enum config_carrier carriers[] = { CONFIG_HTTP, CONFIG_HTTPS, CONFIG_DATAGRAMS,
		CONFIG_HTTPS };
	struct config_hras *c =
	    good_hras("domains = a agent a { secret = s }\n"
		      "tunnel { listen = { \"HTTP:1.1.1.1:80\", \"https:[::]:443\",\n"
		      "\"udp:1.1.1.1:8443\", 1.1.1.1:8443 }\n"
		      "certificate = /dev/null key = /dev/null }\n"
		      "sip { listen = udp:1.1.1.1:5060 } media { address = 1.1.1.1 }\n");
	char str[ADDR_STR_MAX];

	(void)state;
	assert_int_equal(c->tunnel.listen_n, N(carriers));
	for (size_t i = 0; i < N(carriers); i++)
		assert_int_equal(c->tunnel.listen[i].carrier, carriers[i]);
	assert_string_equal(addr_str(&c->tunnel.listen[1].addr, str), "[::]:443");
	assert_string_equal(addr_str(&c->tunnel.listen[2].addr, str), "1.1.1.1:8443");
	config_free_hras(c);
}

static void
every_hras_option_is_read(void **state)
{
	struct config_hras *c =
	    good_hras("domains = { A.example, b.example } log_level = error\n"
		      "tunnel { listen = { 0.0.0.0:443, [::]:443 } certificate = /dev/null\n"
		      "key = /dev/null seal = false grace = 1m bandwidth_max = 2m }\n"
		      "agent berlin { secret = s1 bandwidth_max = 512 } agent aachen\n"
		      "{ secret = s2 bandwidth_max = 3000k }\n"
		      "sip { listen = tcp:10.0.0.5:5061 advertise = 203.0.113.10 }\n"
		      "media { address = 10.0.0.5 timeout = 0 linger = 1s max_age = 20ms\n"
		      "advertise = 203.0.113.11 }\n"
		      "auth { require = all digest = both }\n"
		      "internal_calls = relay store = /tmp/x.sqlite\n"
		      "user zoe { password = z } user \"+49123\" { password = n }\n"
		      "dns_servers = { 192.0.2.53, [2001:db8::53]:5353 }\n"
		      "calls_max = 1 registrations_max = 2\n");
	char str[ADDR_STR_MAX];

	(void)state;
	assert_int_equal(c->domains_n, 2);
	assert_string_equal(c->domains[0], "a.example");
	assert_int_equal(c->tunnel.listen_n, 2);
	assert_string_equal(addr_str(&c->tunnel.listen[1].addr, str), "[::]:443");
	assert_int_equal(c->tunnel.listen[1].carrier, CONFIG_HTTPS);
	assert_string_equal(c->tunnel.certificate, "/dev/null");
	assert_string_equal(c->tunnel.key, "/dev/null");
	assert_int_equal(c->tunnel.grace_s, 60);
	assert_false(c->tunnel.seal);
	assert_string_equal(addr_str(&c->advertise.sip, str), "203.0.113.10:0");
	assert_string_equal(addr_str(&c->advertise.media, str), "203.0.113.11:0");
	assert_string_equal(c->agents[0].name, "aachen");
	assert_string_equal(config_find_agent(c, "berlin")->secret, "s1");
	assert_null(config_find_agent(c, "Berlin"));
	assert_int_equal(c->tunnel.bandwidth_max_kbit, 2000);
	assert_int_equal(config_find_agent(c, "berlin")->bandwidth_max_kbit, 512);
	assert_int_equal(config_find_agent(c, "aachen")->bandwidth_max_kbit, 3000);
	assert_int_equal(c->media.timeout_s, 0);
	assert_int_equal(c->media.linger_ms, 1000);
	assert_int_equal(c->media.max_age_ms, 20);
	assert_int_equal(c->auth, CONFIG_AUTH_ALL);
	assert_int_equal(c->digest, CONFIG_DIGEST_BOTH);
	assert_false(c->internal_calls_direct);
	assert_string_equal(c->store, "/tmp/x.sqlite");
	assert_string_equal(config_find_user(c, "+49123")->password, "n");
	assert_null(config_find_user(c, "bob"));
	assert_int_equal(c->dns_servers_n, 2);
	assert_string_equal(c->dns_servers[1], "[2001:db8::53]:5353");
	assert_int_equal(c->calls_max, 1);
	assert_int_equal(c->registrations_max, 2);
	assert_int_equal(c->log_level, LOG_ERROR);
	config_free_hras(c);
}

static void
the_smaller_bandwidth_max_of_an_agent_and_of_all_counts(void **state)
{
	struct config_agent agent = { .bandwidth_max_kbit = 500 };
	struct config_hras c = { .tunnel = { .bandwidth_max_kbit = 0 } };

	(void)state;
	assert_int_equal(config_bandwidth_max(&c, NULL), 0);
	assert_int_equal(config_bandwidth_max(&c, &agent), 500);
	c.tunnel.bandwidth_max_kbit = 400;
	assert_int_equal(config_bandwidth_max(&c, &agent), 400);
	c.tunnel.bandwidth_max_kbit = 600;
	assert_int_equal(config_bandwidth_max(&c, &agent), 500);
	agent.bandwidth_max_kbit = 0;
	assert_int_equal(config_bandwidth_max(&c, &agent), 600);
	assert_int_equal(config_bandwidth_max(&c, NULL), 600);
}

static void
calls_max_is_a_number_or_auto(void **state)
{
	struct config_hras *c = good_hras(example(true, 11, "calls_max = auto"));

	(void)state;
	assert_int_equal(c->calls_max, CONFIG_CALLS_AUTO);
	config_free_hras(c);
	c = good_hras(example(true, 11, "calls_max = 1000000"));
	assert_int_equal(c->calls_max, 1000000);
	config_free_hras(c);
}

struct error_case {
	int line;         /* replaced */
	const char *text; /* by this */
	int told_line;    /* 0: the same */
	const char *what;
};

static void
expect_errors(bool hras, const struct error_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int line = cases[i].told_line == 0 ? cases[i].line : cases[i].told_line;

		expect_error(hras, example(hras, cases[i].line, cases[i].text), line,
		    cases[i].what);
	}
}

static void
wrong_values_of_hrac_are_told_with_their_line(void **state)
{
	static const struct error_case cases[] = {
		{ 1, "tunnel { url = \"\"", 0, "it is empty; expected \"http://HOST" },
		{ 1, "tunnel { url = \"ftp://h/\"", 0, "its scheme is neither http nor https" },
		{ 1, "tunnel { url = \"h\"", 0, "scheme" },
		{ 1, "tunnel { url = { http://a/, h }", 0, "scheme" },
		{ 1, "tunnel { url = { http://a/, http://a/ }", 0, "it stands twice in the list" },
		{ 1, "tunnel { url = http://a/ transport = tcp", 0,
		    "expected auto, udp, stream, proxy or poll" },
		{ 1, "tunnel { url = \"http://\"", 0, "its host is not valid" },
		{ 1, "tunnel { url = \"http:///x\"", 0, "its host is not valid" },
		{ 1, "tunnel { url = \"http://-h/\"", 0, "its host is not valid" },
		{ 1, "tunnel { url = \"http://a..b/\"", 0, "its host is not valid" },
		{ 1, "tunnel { url = \"http://[::1/\"", 0, "its host is not valid" },
		{ 1, "tunnel { url = \"http://h:0/\"", 0, "its port is not valid" },
		{ 1, "tunnel { url = \"http://h:65536/\"", 0, "its port is not valid" },
		{ 1, "tunnel { url = \"http://h:/\"", 0, "its port is not valid" },
		{ 1, "tunnel { url = \"http://h:8a/\"", 0, "its port is not valid" },
		{ 1, "tunnel { url = \"http://h/a b\"", 0, "a character that is not allowed" },
		{ 1, "tunnel { url = \"http://h/?q\"", 0, "a query or fragment" },
		{ 1, "tunnel { url = \"http://u:p@h/\"", 0, "it holds credentials" },
		{ 2, "agent = \"\"", 0, "tunnel.agent = \"\": it is empty" },
		{ 2, "agent = \"a b\"", 0, "expected 1 to 64 of the characters" },
		{ 3, "secret = \"\" }", 0, "tunnel.secret: it is empty" },
		{ 3, "secret = \"a\\nb\" }", 0, "tunnel.secret: it has a control character" },
		{ 2, "agent = a proxy = \"ftp://h:1\"", 0, "tunnel.proxy" },
		{ 2, "agent = a proxy = \"socks5://h\"", 0, "its port is missing" },
		{ 2, "agent = a proxy = \"socks5://a:b@h:1\"", 0, "credentials" },
		{ 2, "agent = a proxy = pac:/nowhere.pac", 0, "No such file" },
		{ 2, "agent = a proxy = \"pac:ftp://h/x.pac\"", 0, "neither http nor https" },
		{ 2, "agent = a proxy_credentials = /nowhere", 0, "No such file" },
		{ 2, "agent = a proxy_user = u proxy_credentials = /dev/null", 3, "are both set" },
		{ 2, "agent = a proxy = \"http://h/\"", 0, "its port is missing" },
		{ 2, "agent = a ca = \"/\"", 0, "Is a directory" },
		{ 2, "agent = a proxy = \"http://h:1/x\"", 0, "a proxy has no path" },
		{ 2, "agent = a proxy = \"http://h:1\" proxy_password = p", 3,
		    "proxy_user is not" },
		{ 2, "agent = a ca = \"/no/such.pem\"", 0, "No such file or directory" },
		{ 2, "agent = a connections_max = 0", 0,
		    "too small; expected a number from 1 to 250" },
		{ 2, "agent = a connections_max = 251", 0, "too large" },
		{ 2, "agent = a connections_max = -1", 0, "it is not a number" },
		{ 2, "agent = a connections_max = 4x", 0, "it is not a number" },
		{ 2, "agent = a connections_max = 99999999999999999999", 0, "too large" },
		{ 2, "agent = a rotate_bytes = 64Q", 0, "its unit is not known" },
		{ 2, "agent = a rotate_bytes = 18446744073G", 0, "too large" },
		{ 2, "agent = a rotate_age = 25h", 0, "too large" },
		{ 2, "agent = a rotate_age = 1500ms", 0, "finer than this option can be" },
		{ 4, "sip { listen = { \"udp:0.0.0.0:5060\",", 0, "cannot be told to phones" },
		{ 4, "sip { listen = { \"udp:[::]:5060\",", 0, "cannot be told to phones" },
		{ 4, "sip { listen = { \"192.168.1.5:5060\",", 0, "begin with udp: or tcp:" },
		{ 4, "sip { listen = { \"udp:192.168.1.5:0\",", 0, "it is not an address" },
		{ 4, "sip { listen = { \"udp:phone.example\",", 0, "it is not an address" },
		{ 5, "\"udp:192.168.1.5:5060\" } }", 0, "it stands twice in the list" },
		{ 6, "media { address = \"0.0.0.0\"", 0, "cannot be told to phones" },
		{ 6, "media { address = \"192.168.1.5:5060\"", 0, "it is not an address" },
		{ 7, "ports = \"20000\" }", 0, "it is not a range" },
		{ 7, "ports = \"20000-\" }", 0, "it is not a number" },
		{ 7, "ports = \"20000-20010x\" }", 0, "it is not a range" },
		{ 7, "ports = \"30000-20000\" }", 0, "its ends are reversed" },
		{ 7, "ports = \"20000-20000\" }", 0, "no even port followed by an odd one" },
		{ 7, "ports = \"20001-20002\" }", 0, "no even port followed by an odd one" },
		{ 7, "ports = \"0-100\" }", 0, "a port is out of range" },
		{ 7, "ports = \"20000-65536\" }", 0, "a port is out of range" },
		{ 7, "max_age = 19ms }", 0, "too small; expected 20ms to 2000ms" },
		{ 7, "max_age = 2001 }", 0, "too large" },
		{ 7, "max_age = 0.1s }", 0, "its unit is not known" },
		{ 3, "secret = s bandwidth_max = 1.5M }", 0,
		    "its unit is not known; expected kbit" },
		{ 3, "secret = s bandwidth_max = \"\" }", 0, "it is not a number" },
		{ 8, "status { listen = \"127.0.0.1\" }", 0, "its port is missing" },
		{ 8, "status { listen = \"localhost:80\" }", 0, "it is not an address" },
		{ 9, "log_level = loud", 0, "none of the choices; expected error, warn, info" },
	};

	(void)state;
	expect_errors(false, cases, N(cases));
}

static void
wrong_values_of_hras_are_told_with_their_line(void **state)
{
	static const struct error_case cases[] = {
		{ 1, "domains = { \"a b\" }", 0, "it is not a host name" },
		{ 1, "domains = { \"\" }", 0, "it is not a host name" },
		{ 1, "domains = { a,\nb,\nA }", 3, "domains = \"A\": it stands twice" },
		{ 1, "domains = { }", 10, "domains is missing" },
		{ 2, "tunnel { listen = \"203.0.113.10\" }", 0, "its port is missing" },
		{ 2, "tunnel { listen = \"http:203.0.113.10\" }", 0, "its port is missing" },
		{ 2, "tunnel { listen = \"http://203.0.113.10:80\" }", 0, "it is a URL" },
		{ 2, "tunnel { listen = \"tcp:203.0.113.10:80\" }", 0,
		    "not an address; expected \"ADDRESS:PORT\", perhaps with http:" },
		{ 2, "tunnel { listen = { 1.1.1.1:80,\n\"https:1.1.1.1:443\" } }", 3,
		    "tunnel.listen has https:1.1.1.1:443, but there is no certificate; expected" },
		{ 2,
		    "tunnel { listen = { \"http:1.1.1.1:80\", 1.1.1.1:443 }\n"
		    "certificate = /dev/null key = /dev/null client_ca = /dev/null }",
		    3, "client_ca is set, but http:1.1.1.1:80 would let agents in without" },
		{ 2, "tunnel { listen = 1.1.1.1:80 client_ca = /dev/null }", 0,
		    "client_ca is set, but http:1.1.1.1:80 would let agents in without" },
		{ 2, "tunnel { listen = { \"http:1.1.1.1:80\", 1.1.1.1:80 } }", 0,
		    "tunnel.listen has http:1.1.1.1:80 and http:1.1.1.1:80, which cannot both" },
		{ 2,
		    "tunnel { certificate = /dev/null key = /dev/null\n"
		    "listen = { \"http:0.0.0.0:443\", 1.1.1.1:443 } }",
		    3, "tunnel.listen has http:0.0.0.0:443 and https:1.1.1.1:443, which cannot" },
		{ 2, "tunnel { listen = { \"udp:1.1.1.1:443\", \"udp:1.1.1.2:443\" } }", 0,
		    "only udp: addresses; expected at least one of http: or https:" },
		{ 2, "tunnel { listen = a:1 certificate = /dev/null }", 0, "not an address" },
		{ 2, "tunnel { listen = 1.1.1.1:1\ncertificate = /dev/null }", 3, "key is not" },
		{ 2, "tunnel { listen = 1.1.1.1:1\nkey = /dev/null }", 3, "certificate is not" },
		{ 2, "tunnel { listen = 1.1.1.1:1 key = /no/key }", 0, "No such file" },
		{ 2, "tunnel { listen = 1.1.1.1:1 grace = 4s }", 0, "expected 5s to 1h" },
		{ 2,
		    "tunnel { listen = { 1.1.1.1:1, 1.1.1.1:2, 1.1.1.1:3, 1.1.1.1:4, 1.1.1.1:5,\n"
		    "1.1.1.1:6, 1.1.1.1:7, 1.1.1.1:8,\n1.1.1.1:9 } }",
		    4, "the list is too long" },
		{ 3, "agent \"a/b\" { secret = s }", 0, "a character that is not allowed" },
		{ 3, "agent \"\" { secret = s }", 0, "it is empty" },
		{ 3, "agent a { }", 0, "agent.secret is missing" },
		{ 3, "agent { secret = s }", 0, "missing title" },
		{ 3, "agent a { secret = s }\nagent a { secret = t }", 4,
		    "expected each name once" },
		{ 9, "auth { require = maybe }", 0, "expected none, outside or all" },
		{ 9, "auth { digest = sha1 }", 0, "expected md5, sha256 or both" },
		{ 10, "user \"a@b\" { password = p }", 0, "user \"a@b\"" },
		{ 10, "user a { password = \"\" }", 0, "user.password: it is empty" },
		{ 10, "user a { password = x }\nuser a { password = y }", 11, "duplicate" },
		{ 11, "internal_calls = yes", 0, "expected direct or relay" },
		{ 11, "dns_servers = ns.example", 0, "it is not the address of a server" },
		{ 11, "dns_servers = { 0.0.0.0 }", 0, "it is not the address of a server" },
		{ 11, "calls_max = 0", 0, "too small; expected auto, or a number from 1" },
		{ 11, "calls_max = automatic", 0, "it is not a number" },
		{ 11, "calls_max = Auto", 0, "it is not a number" },
		{ 2, "tunnel { listen = 1.1.1.1:1 bandwidth_max = 2MB }", 0, "its unit is not" },
		{ 2, "tunnel { listen = 1.1.1.1:1 bandwidth_max = -1 }", 0, "not a number" },
		{ 3, "agent a { secret = s bandwidth_max = 101G }", 0, "too large; expected kbit" },
		{ 11, "registrations_max = 10000001", 0, "too large" },
		{ 11, "store = \"\"", 0, "it is empty" },
		{ 7, "timeout = 25h }", 0, "too large" },
		{ 7, "advertise = 203.0.113.10:5060 }", 0, "it is not an address" },
		{ 7, "advertise = 0.0.0.0 }", 0, "an unspecified address cannot be told" },
		{ 7, "advertise = \"2001:db8::1\" }", 0,
		    "media.advertise is 2001:db8::1, but no address of media.address is an IPv6 one" },
		{ 4, "sip { advertise = \"2001:db8::1\" listen = { \"udp:203.0.113.10:5060\",", 5,
		    "sip.advertise is 2001:db8::1, but no address of sip.listen is an IPv6 one" },
		{ 7, "linger = 61s }", 0, "too large" },
	};

	(void)state;
	expect_errors(true, cases, N(cases));
}

static void
what_is_missing_or_too_much_is_told_with_its_line(void **state)
{
	static const struct error_case hrac[] = {
		{ 1, "tunnel {", 3, "tunnel.url is missing; expected \"http" },
		{ 2, "", 3, "tunnel.agent is missing" },
		{ 3, "}", 0, "tunnel.secret is missing" },
		{ 6, "media {", 7, "media.address is missing" },
		{ 1, "tunnel { ulr = x", 0,
		    "no such option 'ulr'; expected one of: url transport agent" },
		{ 8, "statsu { }", 0, "expected one of: log_level tunnel sip media status" },
		{ 8, "domains = x", 0, "no such option 'domains'" },
		{ 7, "timeout = 90 }", 0, "no such option 'timeout'" },
		{ 2, "agent = a agent = b", 0, "it is set a second time" },
		{ 9, "sip { listen = udp:1.1.1.1:1 }", 0, "section sip stands a second time" },
	};
	static const struct error_case hras[] = {
		{ 1, "", 10, "domains is missing" },
		{ 2, "", 10, "section tunnel with listen is missing" },
		{ 3, "", 10, "section agent with secret is missing" },
		{ 11, "domains = { b }", 0, "it is set a second time" },
	};

	(void)state;
	expect_errors(false, hrac, N(hrac));
	expect_errors(true, hras, N(hras));
	expect_error(false, "", 1, "section tunnel with url is missing");
	expect_error(true, "\n\n# nothing\n", 3, "domains is missing");
}

static void
broken_syntax_is_told_where_it_begins(void **state)
{
	static const struct error_case cases[] = {
		{ 3, "secret = \"change-me }", 0, "a string is not closed" },
		{ 3, "secret = 'change-me }", 0, "a string is not closed" },
		{ 3, "secret = \"a\\\" }", 0, "a string is not closed" },
		{ 3, "secret = \"change-me\"", 1, "this { is not closed" },
		{ 8, "status { listen = \"127.0.0.1:1\"", 0, "this { is not closed" },
		{ 8, "status }", 0, "this } closes nothing" },
		{ 8, "/* status", 0, "a comment is not closed" },
		{ 8, "{{{{{{{{{", 0, "too many braces" },
		{ 8, "status = x", 0, "missing opening brace" },
		{ 2, "agent \"office\"", 0, "missing equal sign" },
		{ 2, "agent = +49", 0, "a value with + or * in it needs quotes" },
		{ 2, "agent = a*", 0, "a value with + or * in it needs quotes" },
		{ 2, "agent = = x", 0, "unexpected token" },
		{ 2, "agent = { a }", 0, "unexpected token" },
		{ 8, "status { listen = ", 0, "this { is not closed" },
		{ 8, "log_level = ", 0, "premature end of file" },
	};

	(void)state;
	expect_errors(false, cases, N(cases));
}

/* libconfuse alone counts the lines of comments twice, and stumbles over a broken load before. */
static void
lines_are_counted_right_behind_comments_and_failed_loads(void **state)
{
	static const char comments[] = "# one\n## two # \"{\n// three }\n/* four\n * five\n */\n"
				       "tunnel { # seven '\n url = http://h/ // eight {\n\n"
				       "wrong = 10 }\n";

	(void)state;
	expect_error(false, "\"abc", 1, "a string is not closed");
	expect_error(false, "/* abc", 1, "a comment is not closed");
	expect_error(false, comments, 10, "no such option 'wrong'");
	config_free_hrac(good_hrac(example(false, 9, "# the end, without a line feed")));
}

static void
secrets_are_not_told(void **state)
{
	(void)state;
	expect_error(false, example(false, 3, "secret = \"hush\\x01\" }"), 3, "tunnel.secret");
	assert_null(strstr(told, "hush"));
	expect_error(true, example(true, 10, "user a { password = \"hush\\x01\" }"), 10,
	    "password");
	assert_null(strstr(told, "hush"));
	expect_error(false, example(false, 1, "tunnel { url = \"http://me:hush@h/\""), 1, "url");
	assert_null(strstr(told, "hush"));
}

static void
file_that_cannot_be_read_is_named_with_the_reason(void **state)
{
	FILE *f;
	void *c;

	(void)state;
	assert_int_equal(load_from("/no/such/file", false, &c), ERR_MALFORMED);
	assert_string_equal(told,
	    "/no/such/file: cannot read the configuration: No such file or directory\n");
	assert_int_equal(load_from("/", true, &c), ERR_MALFORMED);
	assert_string_equal(told, "/: cannot read the configuration: Is a directory\n");
	f = fopen(path, "w");
	assert_non_null(f);
	fwrite("a = b\0c", 1, 7, f);
	fclose(f);
	assert_int_equal(load_from(path, true, &c), ERR_MALFORMED);
	assert_non_null(strstr(told, "it has a byte of zero"));
}

/* Cut anywhere, it is an error with a line or it is good, and never a crash or a leak. */
static void
file_cut_anywhere_is_refused_or_whole(void **state)
{
	char *text = mem_strdup(example(true, 0, NULL));
	size_t n = strlen(text), good = 0;
	void *c;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		char *cut = mem_dup(text, i);

		write_file(cut);
		if (load_from(path, true, &c) == 0) {
			config_free_hras(c);
			good++;
		} else {
			assert_memory_equal(told, path, strlen(path));
		}
		mem_free(cut);
	}
	mem_free(text);
	/* Behind media, status, the list of auth, its comment and the last brace. */
	assert_in_range(good, 3, 40);
}

static char *
read_shipped(const char *name)
{
	const char *srcdir = getenv("srcdir");
	char *file = mem_printf("%s/conf/%s", srcdir == NULL ? "." : srcdir, name);
	char *text = mem_zalloc(65536);
	FILE *f = fopen(file, "r");

	assert_non_null(f);
	assert_true(fread(text, 1, 65535, f) > 1000);
	fclose(f);
	mem_free(file);
	return text;
}

/* "#name = value" becomes an option; "# Text" stays a comment. How many did. */
static int
uncomment_options(char *text)
{
	int n = 0;

	for (char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
		line += strspn(line, "\n\t");
		if (line[0] == '#' && line[1] >= 'a' && line[1] <= 'z') {
			line[0] = ' ';
			n++;
		}
	}
	return n;
}

/* Files that an example only names: "/etc/vofw/...". */
static void
point_at_real_files(char *text)
{
	for (char *at = text; (at = strstr(at, "\"/etc/vofw/")) != NULL;) {
		memset(at, ' ', strcspn(at + 1, "\"") + 2);
		memcpy(at, "/dev/null", 9);
	}
}

static struct config_hrac *
good_tunnel(const char *options)
{
	char *text = mem_printf("tunnel { url = \"http://h/\" agent = a secret = s %s }\n"
				"sip { listen = \"udp:192.168.1.5:5060\" }\n"
				"media { address = \"192.168.1.5\" }\n",
	    options);
	struct config_hrac *c = good_hrac(text);

	mem_free(text);
	return c;
}

static void
a_proxy_may_be_named_in_many_ways(void **state)
{
	static const char *const proxies[] = { "https://[2001:db8::1]:3128", "socks5://h:1",
		"environment", "none", "pac:/dev/null", "pac:http://h/proxy.pac",
		"pac:https://h:8443/x/y.pac" };
	struct config_hrac *c;

	(void)state;
	for (size_t i = 0; i < N(proxies); i++) {
		char *option = mem_printf("proxy = \"%s\"", proxies[i]);

		c = good_tunnel(option);
		assert_string_equal(c->tunnel.proxy, proxies[i]);
		config_free_hrac(c);
		mem_free(option);
	}
}

static char login_path[] = "/tmp/test_config_login.XXXXXX";

static void
write_login(const char *line, mode_t mode)
{
	int fd;

	strcpy(strchr(login_path, '.'), ".XXXXXX");
	fd = mkstemp(login_path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, line, strlen(line)), strlen(line));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* What the options of a tunnel with that file are; mode is of the file. */
static struct config_hrac *
with_credentials(const char *line, mode_t mode)
{
	struct config_hrac *c;
	char *option;

	write_login(line, mode);
	option = mem_printf("proxy_credentials = \"%s\"", login_path);
	c = good_tunnel(option);
	mem_free(option);
	unlink(login_path);
	return c;
}

static void
credentials_of_a_proxy_may_stand_in_a_file_of_their_own(void **state)
{
	struct config_hrac *c = with_credentials("EXAMPLE\\alice:wonder:land \n", 0640);

	(void)state;
	assert_string_equal(c->tunnel.proxy_user, "EXAMPLE\\alice");
	assert_string_equal(c->tunnel.proxy_password, "wonder:land ");
	assert_false(c->tunnel.proxy_credentials_open);
	config_free_hrac(c);
	c = with_credentials("a:", 0400);
	assert_string_equal(c->tunnel.proxy_user, "a");
	assert_string_equal(c->tunnel.proxy_password, "");
	config_free_hrac(c);
}

static void
a_file_that_has_no_credentials_is_told_of(void **state)
{
	static const char *const wrong[] = { "", "alice", "alice\n", ":wonderland", "a:b\nc:d\n",
		"a:b\tc", "\n" };
	char line[128];

	(void)state;
	for (size_t i = 0; i < N(wrong); i++) {
		write_login(wrong[i], 0600);
		snprintf(line, sizeof(line), "agent = a proxy_credentials = \"%s\"", login_path);
		expect_error(false, example(false, 2, line), 3, "one line, user:password");
		unlink(login_path);
	}
}

static void
credentials_that_others_may_read_are_not_made_use_of(void **state)
{
	struct config_hrac *c = with_credentials("alice:wonderland\n", 0644);

	(void)state;
	assert_null(c->tunnel.proxy_user);
	assert_null(c->tunnel.proxy_password);
	assert_true(c->tunnel.proxy_credentials_open);
	config_warn_hrac(c);
	config_free_hrac(c);
}

/* A pipe says its line once: when it is read again, there is nothing. */
static void
a_file_that_changes_while_it_is_read_is_told_of_and_ends_nothing(void **state)
{
	static const char login[] = "alice:wonderland\n";
	char line[128];
	int fd;

	(void)state;
	for (int times = 0; times < 2; times++) {
		strcpy(strchr(login_path, '.'), ".pipe");
		assert_int_equal(mkfifo(login_path, 0600), 0);
		fd = open(login_path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		assert_true(fd >= 0);
		if (times > 0)
			assert_int_equal(write(fd, login, strlen(login)), strlen(login));
		snprintf(line, sizeof(line), "agent = a proxy_credentials = \"%s\"", login_path);
		if (times == 0)
			expect_error(false, example(false, 2, line), 3,
			    "the file of tunnel.proxy_credentials cannot be read");
		else
			expect_error(false, example(false, 2, line), 8,
			    "changed while it was read");
		close(fd);
		unlink(login_path);
	}
}

static void
shipped_hrac_conf_shows_the_true_defaults(void **state)
{
	char *text = read_shipped("hrac.conf");
	struct config_hrac *a = good_hrac(text), *b;

	(void)state;
	point_at_real_files(text);
	assert_int_equal(uncomment_options(text), 15);
	b = good_hrac(text);
	assert_int_equal(a->tunnel.transport, b->tunnel.transport);
	assert_int_equal(a->tunnel.seal, b->tunnel.seal);
	assert_int_equal(a->tunnel.connections_max, b->tunnel.connections_max);
	assert_true(a->tunnel.rotate_bytes == b->tunnel.rotate_bytes);
	assert_int_equal(a->tunnel.rotate_age_s, b->tunnel.rotate_age_s);
	assert_int_equal(a->tunnel.bandwidth_max_kbit, b->tunnel.bandwidth_max_kbit);
	assert_memory_equal(&a->media, &b->media, sizeof(a->media));
	assert_int_equal(a->log_level, b->log_level);
	assert_non_null(b->tunnel.proxy_password);
	assert_non_null(b->tunnel.ca);
	config_free_hrac(a);
	config_free_hrac(b);
	mem_free(text);
}

static void
shipped_hras_conf_shows_the_true_defaults(void **state)
{
	char *text = read_shipped("hras.conf");
	struct config_hras *a = good_hras(text), *b;

	(void)state;
	point_at_real_files(text);
	assert_int_equal(uncomment_options(text), 20);
	b = good_hras(text);
	assert_int_equal(a->tunnel.seal, b->tunnel.seal);
	assert_int_equal(a->tunnel.grace_s, b->tunnel.grace_s);
	assert_int_equal(a->tunnel.bandwidth_max_kbit, b->tunnel.bandwidth_max_kbit);
	assert_int_equal(a->agents[0].bandwidth_max_kbit, b->agents[0].bandwidth_max_kbit);
	assert_memory_equal(&a->media, &b->media, sizeof(a->media));
	assert_int_equal(a->auth, b->auth);
	assert_int_equal(a->digest, b->digest);
	assert_int_equal(a->internal_calls_direct, b->internal_calls_direct);
	assert_int_equal(a->calls_max, b->calls_max);
	assert_int_equal(a->registrations_max, b->registrations_max);
	assert_int_equal(a->log_level, b->log_level);
	assert_int_equal(b->dns_servers_n, 1);
	assert_non_null(b->tunnel.certificate);
	config_free_hras(a);
	config_free_hras(b);
	mem_free(text);
}

static size_t warnings;

static void
on_line(void *arg, uint64_t wall_s, enum log_level level, const char *component, const char *text)
{
	(void)arg;
	(void)wall_s;
	(void)component;
	assert_int_equal(level, LOG_WARN);
	assert_null(strstr(text, "change-me"));
	warnings++;
}

static void
examples_secret_is_warned_of_when_started(void **state)
{
	struct config_hrac *c = good_hrac(example(false, 0, NULL));
	struct config_hras *s = good_hras(example(true, 3, "agent a { secret = unique }"));

	(void)state;
	log_set_level(LOG_ERROR);
	config_warn_hrac(c);
	config_warn_hras(s);
	log_recent(on_line, NULL);
	assert_int_equal(warnings, 1);
	config_free_hrac(c);
	config_free_hras(s);
}

static int
make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	close(fd);
	return fd < 0 ? -1 : 0;
}

static int
remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(least_hrac_loads_with_the_defaults_of_the_rest),
		cmocka_unit_test(least_hras_loads_with_the_defaults_of_the_rest),
		cmocka_unit_test(every_hrac_option_is_read),
		cmocka_unit_test(a_tunnel_listens_for_each_kind_that_its_prefixes_name),
		cmocka_unit_test(every_hras_option_is_read),
		cmocka_unit_test(the_smaller_bandwidth_max_of_an_agent_and_of_all_counts),
		cmocka_unit_test(calls_max_is_a_number_or_auto),
		cmocka_unit_test(wrong_values_of_hrac_are_told_with_their_line),
		cmocka_unit_test(wrong_values_of_hras_are_told_with_their_line),
		cmocka_unit_test(what_is_missing_or_too_much_is_told_with_its_line),
		cmocka_unit_test(broken_syntax_is_told_where_it_begins),
		cmocka_unit_test(lines_are_counted_right_behind_comments_and_failed_loads),
		cmocka_unit_test(secrets_are_not_told),
		cmocka_unit_test(file_that_cannot_be_read_is_named_with_the_reason),
		cmocka_unit_test(file_cut_anywhere_is_refused_or_whole),
		cmocka_unit_test(a_file_that_changes_while_it_is_read_is_told_of_and_ends_nothing),
		cmocka_unit_test(shipped_hrac_conf_shows_the_true_defaults),
		cmocka_unit_test(shipped_hras_conf_shows_the_true_defaults),
		cmocka_unit_test(examples_secret_is_warned_of_when_started),
		cmocka_unit_test(a_proxy_may_be_named_in_many_ways),
		cmocka_unit_test(credentials_of_a_proxy_may_stand_in_a_file_of_their_own),
		cmocka_unit_test(a_file_that_has_no_credentials_is_told_of),
		cmocka_unit_test(credentials_that_others_may_read_are_not_made_use_of),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
