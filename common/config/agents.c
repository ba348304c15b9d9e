/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The options of both agents, their defaults and ranges, in one place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "config/config.h"
#include "config/credentials.h"
#include "config/schema.h"

#define END                  \
	{                    \
		.name = NULL \
	}

/* clang-format off */

static const char *const log_levels[] = { "error", "warn", "info", "debug", NULL };
static const char *const transport_choices[] = { "auto", "udp", "stream", "proxy", "poll", NULL };
static const char *const yes_choices[] = { "false", "true", NULL };
static const char *const auth_choices[] = { "none", "outside", "all", NULL };
static const char *const digest_choices[] = { "both", "md5", "sha256", NULL };
static const char *const internal_calls_choices[] = { "relay", "direct", NULL };

#define LOG_LEVEL_OPTION(conf) {                                             \
	.name = "log_level", .type = &type_choice, .def = "info",            \
	.offset = offsetof(struct conf, log_level), .choices = log_levels,   \
	.expected = "error, warn, info or debug" }

#define SIP_OPTIONS(conf) {                                                  \
	.name = "listen", .type = &type_listen, .required = true,            \
	.offset = offsetof(struct conf, sip.listen),                         \
	.list_max = CONFIG_LISTEN_MAX,                                       \
	.list_n_offset = offsetof(struct conf, sip.listen_n),                \
	.expected = "\"udp:ADDRESS:PORT\" or \"tcp:ADDRESS:PORT\" of this host, at most 8" }

#define MEDIA_OPTIONS(conf) {                                                \
	.name = "address", .type = &type_host, .required = true,             \
	.offset = offsetof(struct conf, media.address),                      \
	.expected = "an address of this host without a port" }, {            \
	.name = "ports", .type = &type_ports, .def = "20000-29999",          \
	.offset = offsetof(struct conf, media.port_min),                     \
	.expected = "\"FIRST-LAST\", such as \"20000-29999\"" }, {           \
	.name = "max_age", .type = &type_duration, .def = "150ms",           \
	.offset = offsetof(struct conf, media.max_age_ms),                   \
	.min = 20, .max = 2000, .unit_ms = 1,                                \
	.expected = "20ms to 2000ms" }

#define BANDWIDTH_MAX_OPTION(field) {                                        \
	.name = "bandwidth_max", .type = &type_rate, .max = 100000000,       \
	.offset = field,                                                     \
	.expected = "kbit/s each way, such as 2000 or 2M, or 0 for no cap" }

#define STATUS_OPTIONS(conf) {                                               \
	.name = "listen", .type = &type_addr,                                \
	.offset = offsetof(struct conf, status.listen),                      \
	.expected = "\"ADDRESS:PORT\"" }

static const struct option hrac_top[] = { LOG_LEVEL_OPTION(config_hrac), END };
static const struct option hrac_sip[] = { SIP_OPTIONS(config_hrac), END };
static const struct option hrac_media[] = { MEDIA_OPTIONS(config_hrac), END };
static const struct option hrac_status[] = { STATUS_OPTIONS(config_hrac), END };

static const struct option hrac_tunnel[] = {
	{ .name = "url", .type = &type_url, .min = 1, .max = 1024, .required = true,
	  .offset = offsetof(struct config_hrac, tunnel.urls), .list_max = CONFIG_URLS_MAX,
	  .list_n_offset = offsetof(struct config_hrac, tunnel.urls_n),
	  .expected = "\"http://HOST[:PORT]/\" or \"https://HOST[:PORT]/\", at most 8" },
	{ .name = "transport", .type = &type_choice, .def = "auto",
	  .offset = offsetof(struct config_hrac, tunnel.transport), .choices = transport_choices,
	  .expected = "auto, udp, stream, proxy or poll" },
	{ .name = "agent", .type = &type_name, .min = 1, .max = 64, .required = true,
	  .offset = offsetof(struct config_hrac, tunnel.agent),
	  .expected = "1 to 64 of the characters A-Z a-z 0-9 . _ -" },
	{ .name = "secret", .type = &type_string, .min = 1, .max = 255, .required = true,
	  .secret = true, .offset = offsetof(struct config_hrac, tunnel.secret),
	  .expected = "1 to 255 characters, the same as for this agent at HRAS" },
	{ .name = "proxy", .type = &type_proxy, .min = 1, .max = 1024,
	  .offset = offsetof(struct config_hrac, tunnel.proxy),
	  .expected = "\"http://HOST:PORT\" or the same with https or socks5, \"environment\", "
	      "\"none\", \"pac:/FILE\" or \"pac:http://...\"" },
	{ .name = "proxy_user", .type = &type_string, .min = 1, .max = 255,
	  .offset = offsetof(struct config_hrac, tunnel.proxy_user),
	  .expected = "1 to 255 characters" },
	{ .name = "proxy_password", .type = &type_string, .max = 255, .with = "proxy_user",
	  .secret = true, .offset = offsetof(struct config_hrac, tunnel.proxy_password),
	  .expected = "at most 255 characters" },
	{ .name = "proxy_credentials", .type = &type_file,
	  .offset = offsetof(struct config_hrac, tunnel.proxy_credentials),
	  .expected = "a readable file with one line, user:password" },
	{ .name = "ca", .type = &type_file,
	  .offset = offsetof(struct config_hrac, tunnel.ca),
	  .expected = "a readable PEM file of certificates" },
	{ .name = "client_certificate", .type = &type_file, .with = "client_key",
	  .offset = offsetof(struct config_hrac, tunnel.client_certificate),
	  .expected = "a readable PEM file with the chain of certificates of this agent" },
	{ .name = "client_key", .type = &type_file, .with = "client_certificate",
	  .offset = offsetof(struct config_hrac, tunnel.client_key),
	  .expected = "a readable PEM file with the private key" },
	{ .name = "seal", .type = &type_bool, .def = "true",
	  .offset = offsetof(struct config_hrac, tunnel.seal),
	  .choices = yes_choices, .expected = "true or false" },
	{ .name = "connections_max", .type = &type_u32, .min = 1, .max = 250, .def = "192",
	  .offset = offsetof(struct config_hrac, tunnel.connections_max),
	  .expected = "a number from 1 to 250" },
	{ .name = "rotate_bytes", .type = &type_bytes, .max = UINT64_MAX, .def = "64M",
	  .offset = offsetof(struct config_hrac, tunnel.rotate_bytes),
	  .expected = "a number of bytes, such as 64M, or 0 for never" },
	{ .name = "rotate_age", .type = &type_duration, .max = 86400, .def = "600s",
	  .offset = offsetof(struct config_hrac, tunnel.rotate_age_s), .unit_ms = 1000,
	  .expected = "1s to 24h, or 0 for never" },
	BANDWIDTH_MAX_OPTION(offsetof(struct config_hrac, tunnel.bandwidth_max_kbit)),
	END
};

/* The file stands for the two options: they are filled from it. */
static bool
complete_hrac_tunnel(void *conf, char wrong[static SCHEMA_WRONG_MAX])
{
	struct config_hrac *c = conf;
	int err;

	if (c->tunnel.proxy_credentials == NULL)
		return true;
	if (c->tunnel.proxy_user != NULL) {
		snprintf(wrong, SCHEMA_WRONG_MAX,
		    "tunnel.proxy_user and tunnel.proxy_credentials are both set; expected one of "
		    "them");
		return false;
	}
	err = credentials_read(c->tunnel.proxy_credentials, &c->tunnel.proxy_user,
	    &c->tunnel.proxy_password);
	if (err == ERR_MALFORMED) {
		snprintf(wrong, SCHEMA_WRONG_MAX,
		    "the file of tunnel.proxy_credentials does not fit; expected one line, "
		    "user:password, of at most 255 characters each");
		return false;
	}
	if (err == ERR_IO) {
		snprintf(wrong, SCHEMA_WRONG_MAX,
		    "the file of tunnel.proxy_credentials cannot be read; expected a readable file "
		    "with one line, user:password");
		return false;
	}
	c->tunnel.proxy_credentials_open = err == ERR_AUTH;
	return true;
}

static const struct section hrac_sections[] = {
	{ .name = NULL, .options = hrac_top },
	{ .name = "tunnel", .options = hrac_tunnel, .complete = complete_hrac_tunnel },
	{ .name = "sip", .options = hrac_sip },
	{ .name = "media", .options = hrac_media },
	{ .name = "status", .options = hrac_status },
	{ .options = NULL }
};

static const struct option hras_top[] = {
	{ .name = "domains", .type = &type_domain, .required = true,
	  .offset = offsetof(struct config_hras, domains), .list_max = CONFIG_DOMAINS_MAX,
	  .list_n_offset = offsetof(struct config_hras, domains_n),
	  .expected = "the domains of our users, such as { \"example.com\" }, at most 64" },
	{ .name = "internal_calls", .type = &type_bool, .def = "direct",
	  .offset = offsetof(struct config_hras, internal_calls_direct),
	  .choices = internal_calls_choices, .expected = "direct or relay" },
	{ .name = "store", .type = &type_string, .min = 1, .max = 4095,
	  .offset = offsetof(struct config_hras, store),
	  .expected = "the path of the SQLite file" },
	{ .name = "dns_servers", .type = &type_server, .list_max = CONFIG_DNS_MAX,
	  .offset = offsetof(struct config_hras, dns_servers),
	  .list_n_offset = offsetof(struct config_hras, dns_servers_n),
	  .expected = "addresses of name servers, such as { \"192.0.2.53\" }, at most 8" },
	{ .name = "calls_max", .type = &type_auto_u32, .min = 1, .max = 1000000, .def = "auto",
	  .offset = offsetof(struct config_hras, calls_max),
	  .expected = "auto, or a number from 1 to 1000000" },
	{ .name = "registrations_max", .type = &type_u32, .min = 1, .max = 10000000,
	  .def = "100000", .offset = offsetof(struct config_hras, registrations_max),
	  .expected = "a number from 1 to 10000000" },
	LOG_LEVEL_OPTION(config_hras),
	END
};

static const struct option hras_tunnel[] = {
	{ .name = "listen", .type = &type_carrier, .required = true,
	  .offset = offsetof(struct config_hras, tunnel.listen), .list_max = CONFIG_LISTEN_MAX,
	  .list_n_offset = offsetof(struct config_hras, tunnel.listen_n),
	  .expected = "\"ADDRESS:PORT\", perhaps with http:, https: or udp: in front, at most 8" },
	{ .name = "certificate", .type = &type_file, .with = "key",
	  .offset = offsetof(struct config_hras, tunnel.certificate),
	  .expected = "a readable PEM file with the chain of certificates" },
	{ .name = "key", .type = &type_file, .with = "certificate",
	  .offset = offsetof(struct config_hras, tunnel.key),
	  .expected = "a readable PEM file with the private key" },
	{ .name = "client_ca", .type = &type_file,
	  .offset = offsetof(struct config_hras, tunnel.client_ca),
	  .expected = "a readable PEM file with the certificate that signs those of agents" },
	{ .name = "seal", .type = &type_bool, .def = "true",
	  .offset = offsetof(struct config_hras, tunnel.seal),
	  .choices = yes_choices, .expected = "true or false" },
	{ .name = "grace", .type = &type_duration, .min = 5, .max = 3600, .def = "30s",
	  .offset = offsetof(struct config_hras, tunnel.grace_s), .unit_ms = 1000,
	  .expected = "5s to 1h" },
	BANDWIDTH_MAX_OPTION(offsetof(struct config_hras, tunnel.bandwidth_max_kbit)),
	END
};

static const struct option hras_sip[] = {
	SIP_OPTIONS(config_hras),
	{ .name = "advertise", .type = &type_host,
	  .offset = offsetof(struct config_hras, advertise.sip),
	  .expected = "the address without a port that others reach this host by" },
	END
};

static const struct option hras_media[] = {
	MEDIA_OPTIONS(config_hras),
	{ .name = "advertise", .type = &type_host,
	  .offset = offsetof(struct config_hras, advertise.media),
	  .expected = "the address without a port that others reach this host by" },
	{ .name = "timeout", .type = &type_duration, .max = 86400, .def = "90s",
	  .offset = offsetof(struct config_hras, media.timeout_s), .unit_ms = 1000,
	  .expected = "1s to 24h, or 0 for never" },
	{ .name = "linger", .type = &type_duration, .max = 60000, .def = "2000ms",
	  .offset = offsetof(struct config_hras, media.linger_ms), .unit_ms = 1,
	  .expected = "0ms to 60s" },
	END
};

static const struct option hras_status[] = { STATUS_OPTIONS(config_hras), END };

static const struct option hras_auth[] = {
	{ .name = "require", .type = &type_choice, .def = "outside", .choices = auth_choices,
	  .offset = offsetof(struct config_hras, auth), .expected = "none, outside or all" },
	{ .name = "digest", .type = &type_choice, .def = "md5", .choices = digest_choices,
	  .offset = offsetof(struct config_hras, digest), .expected = "md5, sha256 or both" },
	END
};

static const struct option agent_title = {
	.name = "agent", .type = &type_name, .min = 1, .max = 64,
	.expected = "1 to 64 of the characters A-Z a-z 0-9 . _ -"
};

static const struct option agent_options[] = {
	{ .name = "secret", .type = &type_string, .min = 1, .max = 255, .required = true,
	  .secret = true, .offset = offsetof(struct config_agent, secret),
	  .expected = "1 to 255 characters, the same as in this agent's hrac.conf" },
	BANDWIDTH_MAX_OPTION(offsetof(struct config_agent, bandwidth_max_kbit)),
	END
};

static const struct option user_title = {
	.name = "user", .type = &type_user, .min = 1, .max = 64,
	.expected = "the user part of a SIP address, 1 to 64 characters"
};

static const struct option user_options[] = {
	{ .name = "password", .type = &type_string, .min = 1, .max = 255, .required = true,
	  .secret = true, .offset = offsetof(struct config_user, password),
	  .expected = "1 to 255 characters" },
	END
};

/* clang-format on */

static const char *
carrier_str(enum config_carrier carrier)
{
	static const char *const names[] = { "", "http:", "https:", "udp:" };

	return names[carrier];
}

/* Both cannot be bound: the same address, or one of them is all of this host. */
static bool
collide(const struct config_tunnel_listen *a, const struct config_tunnel_listen *b)
{
	if ((a->carrier == CONFIG_DATAGRAMS) != (b->carrier == CONFIG_DATAGRAMS) ||
	    addr_port(&a->addr) != addr_port(&b->addr) ||
	    addr_is_v6(&a->addr) != addr_is_v6(&b->addr))
		return false;
	return addr_equal(&a->addr, &b->addr) || addr_is_any(&a->addr) || addr_is_any(&b->addr);
}

static bool
complete_hras_tunnel(void *conf, char wrong[static SCHEMA_WRONG_MAX])
{
	struct config_hras *c = conf;
	char here[ADDR_STR_MAX], there[ADDR_STR_MAX];
	size_t http_n = 0;

	for (size_t i = 0; i < c->tunnel.listen_n; i++) {
		struct config_tunnel_listen *l = &c->tunnel.listen[i], *before;

		addr_str(&l->addr, here);
		if (l->carrier == CONFIG_CARRIER_AUTO)
			l->carrier = c->tunnel.certificate != NULL ? CONFIG_HTTPS : CONFIG_HTTP;
		http_n += l->carrier != CONFIG_DATAGRAMS;
		if (l->carrier == CONFIG_HTTPS && c->tunnel.certificate == NULL) {
			snprintf(wrong, SCHEMA_WRONG_MAX,
			    "tunnel.listen has https:%s, but there is no certificate; expected "
			    "tunnel.certificate and tunnel.key beside it",
			    here);
			return false;
		}
		if (l->carrier == CONFIG_HTTP && c->tunnel.client_ca != NULL) {
			snprintf(wrong, SCHEMA_WRONG_MAX,
			    "tunnel.client_ca is set, but http:%s would let agents in without a "
			    "certificate; expected only https: beside it",
			    here);
			return false;
		}
		for (before = c->tunnel.listen; before < l; before++) {
			if (!collide(before, l))
				continue;
			snprintf(wrong, SCHEMA_WRONG_MAX,
			    "tunnel.listen has %s%s and %s%s, which cannot both be listened on; "
			    "expected an address for each",
			    carrier_str(before->carrier), addr_str(&before->addr, there),
			    carrier_str(l->carrier), here);
			return false;
		}
	}
	if (http_n == 0) {
		snprintf(wrong, SCHEMA_WRONG_MAX,
		    "tunnel.listen has only udp: addresses; expected at least one of http: or https:, "
		    "where agents open their sessions");
		return false;
	}
	return true;
}

static bool
refuse_family(char wrong[static SCHEMA_WRONG_MAX], const char *advertise, const struct addr *a,
    const char *bound)
{
	char host[ADDR_HOST_MAX];

	snprintf(wrong, SCHEMA_WRONG_MAX,
	    "%s is %s, but no address of %s is an IPv%c one; expected both of one kind", advertise,
	    addr_host(a, host), bound, addr_is_v6(a) ? '6' : '4');
	return false;
}

static bool
complete_hras_sip(void *conf, char wrong[static SCHEMA_WRONG_MAX])
{
	const struct config_hras *c = conf;

	for (size_t i = 0; i < c->sip.listen_n; i++) {
		if (addr_is_v6(&c->sip.listen[i].addr) == addr_is_v6(&c->advertise.sip))
			return true;
	}
	return !addr_is_set(&c->advertise.sip) ||
	    refuse_family(wrong, "sip.advertise", &c->advertise.sip, "sip.listen");
}

static bool
complete_hras_media(void *conf, char wrong[static SCHEMA_WRONG_MAX])
{
	const struct config_hras *c = conf;

	return !addr_is_set(&c->advertise.media) ||
	    addr_is_v6(&c->advertise.media) == addr_is_v6(&c->media.address) ||
	    refuse_family(wrong, "media.advertise", &c->advertise.media, "media.address");
}

/* clang-format off */

static const struct section hras_sections[] = {
	{ .name = NULL, .options = hras_top },
	{ .name = "tunnel", .options = hras_tunnel, .complete = complete_hras_tunnel },
	{ .name = "agent", .options = agent_options, .title = &agent_title, .required = true,
	  .struct_size = sizeof(struct config_agent),
	  .offset = offsetof(struct config_hras, agents),
	  .n_offset = offsetof(struct config_hras, agents_n) },
	{ .name = "sip", .options = hras_sip, .complete = complete_hras_sip },
	{ .name = "media", .options = hras_media, .complete = complete_hras_media },
	{ .name = "status", .options = hras_status },
	{ .name = "auth", .options = hras_auth },
	{ .name = "user", .options = user_options, .title = &user_title,
	  .struct_size = sizeof(struct config_user),
	  .offset = offsetof(struct config_hras, users),
	  .n_offset = offsetof(struct config_hras, users_n) },
	{ .options = NULL }
};

/* clang-format on */

static const struct schema hrac_schema = { hrac_sections, sizeof(struct config_hrac) };
static const struct schema hras_schema = { hras_sections, sizeof(struct config_hras) };

/* What type_choice, type_ports and the titles take for granted about the structs. */
_Static_assert(sizeof(enum config_auth) == sizeof(int), "type_choice");
_Static_assert(sizeof(struct config_tunnel_listen) <= 64, "the largest type");
_Static_assert(sizeof(enum config_digest) == sizeof(int), "type_choice");
_Static_assert(sizeof(enum log_level) == sizeof(int), "type_choice");
_Static_assert(sizeof(unsigned) == sizeof(uint32_t), "type_u32");
_Static_assert(offsetof(struct config_media, port_max) ==
	offsetof(struct config_media, port_min) + sizeof(uint16_t),
    "type_ports");
_Static_assert(offsetof(struct config_agent, name) == 0, "agent title");
_Static_assert(offsetof(struct config_user, name) == 0, "user title");

int
config_load_hrac(const char *file, struct config_hrac **out)
{
	void *conf;
	int err = schema_load(&hrac_schema, file, &conf);

	if (err == 0)
		*out = conf;
	return err;
}

int
config_load_hras(const char *file, struct config_hras **out)
{
	void *conf;
	int err = schema_load(&hras_schema, file, &conf);

	if (err == 0)
		*out = conf;
	return err;
}

void
config_free_hrac(struct config_hrac *c)
{
	schema_free(&hrac_schema, c);
}

void
config_free_hras(struct config_hras *c)
{
	schema_free(&hras_schema, c);
}

static void
warn_secret(const char *agent, const char *secret)
{
	if (strcmp(secret, "change-me") == 0)
		log_warn("config",
		    "the secret of agent %s is the one of the examples: anybody knows it", agent);
}

static bool
has_https(const struct config_hrac *c)
{
	for (size_t i = 0; i < c->tunnel.urls_n; i++) {
		if (strncasecmp(c->tunnel.urls[i], "https:", strlen("https:")) == 0)
			return true;
	}
	return false;
}

void
config_warn_hrac(const struct config_hrac *c)
{
	warn_secret(c->tunnel.agent, c->tunnel.secret);
	if (c->tunnel.client_certificate != NULL && !has_https(c))
		log_warn("config",
		    "tunnel.client_certificate is set, but no address of tunnel.url is https, which "
		    "alone could ask for it");
	if (c->tunnel.proxy_credentials_open)
		log_warn("config",
		    "%s is not made use of: others may read it; chmod o= makes it good",
		    c->tunnel.proxy_credentials);
}

void
config_warn_hras(const struct config_hras *c)
{
	for (size_t i = 0; i < c->agents_n; i++)
		warn_secret(c->agents[i].name, c->agents[i].secret);
	if (addr_is_set(&c->advertise.sip) && !addr_is_set(&c->advertise.media) &&
	    addr_is_private(&c->media.address))
		log_warn("config",
		    "sip.advertise is set, media.advertise is not, and media.address is private: "
		    "phones outside would send their voice nowhere");
	if (c->users_n == 0 && c->auth != CONFIG_AUTH_NONE)
		log_warn("config", "auth.require is set, but no user could prove himself");
}

uint32_t
config_bandwidth_max(const struct config_hras *c, const struct config_agent *a)
{
	return config_smaller_cap(c->tunnel.bandwidth_max_kbit,
	    a != NULL ? a->bandwidth_max_kbit : 0);
}

static int
compare_to_agent(const void *name, const void *agent)
{
	return strcmp(name, ((const struct config_agent *)agent)->name);
}

static int
compare_to_user(const void *name, const void *user)
{
	return strcmp(name, ((const struct config_user *)user)->name);
}

const struct config_agent *
config_find_agent(const struct config_hras *c, const char *name)
{
	return bsearch(name, c->agents, c->agents_n, sizeof(*c->agents), compare_to_agent);
}

const struct config_user *
config_find_user(const struct config_hras *c, const char *name)
{
	return bsearch(name, c->users, c->users_n, sizeof(*c->users), compare_to_user);
}
