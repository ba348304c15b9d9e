/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "tunnel/crypto.h"

/* By whether the stream is bounded, and its direction. */
static const char *const names[2][2] = { { [TUNNEL_UP] = "up", [TUNNEL_DOWN] = "down" },
	{ [TUNNEL_UP] = "put", [TUNNEL_DOWN] = "get" } };

static void
mac_of(const struct tunnel_grant *grant, const struct tunnel_request *r, uint8_t out[static 16])
{
	static const char label[] = "vofw2 stream";
	struct crypto_text key = { grant->key, sizeof(grant->key) };
	uint8_t text[sizeof(label) + 1 + 8 + 4], mac[CRYPTO_MAC_LEN];
	struct wire_write w = wire_writer(text, sizeof(text));

	wire_put_bytes(&w, label, sizeof(label));
	wire_put_u8(&w, (uint8_t)(r->dir | r->bounded << 1));
	wire_put_u64(&w, r->session);
	wire_put_u32(&w, r->serial);
	crypto_hmac(key, (struct crypto_text){ text, w.used }, mac);
	memcpy(out, mac, 16);
}

void
request_print(const struct tunnel_grant *grant, struct tunnel_request *r,
    char path[static TUNNEL_PATH_MAX])
{
	int n;

	r->session = grant->session;
	mac_of(grant, r, r->mac);
	n = snprintf(path, TUNNEL_PATH_MAX, "vofw/1/%s/%016" PRIx64 "/%08" PRIx32 "/",
	    names[r->bounded][r->dir], r->session, r->serial);
	for (size_t i = 0; i < sizeof(r->mac); i++)
		n += snprintf(path + n, TUNNEL_PATH_MAX - (size_t)n, "%02x", r->mac[i]);
}

bool
request_genuine(const struct tunnel_grant *grant, const struct tunnel_request *r)
{
	uint8_t mac[16];

	mac_of(grant, r, mac);
	return r->session == grant->session && crypto_equal(mac, r->mac, sizeof(mac));
}

/* Moves *s past `word` if it begins with it. */
static bool
skip(const char **s, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(*s, word, n) != 0)
		return false;
	*s += n;
	return true;
}

/* Exactly 2*n lower-case hex digits, as bytes. */
static bool
get_hex(const char **s, uint8_t *out, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < 2 * n; i++) {
		const char *d = **s == '\0' ? NULL : strchr(digits, **s);

		if (d == NULL)
			return false;
		out[i / 2] = (uint8_t)(out[i / 2] << 4 | (d - digits));
		(*s)++;
	}
	return true;
}

/* The word for the kind of stream, and the slash behind it. */
static bool
get_name(const char **s, struct tunnel_request *r)
{
	for (int bounded = 0; bounded < 2; bounded++)
		for (int dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++) {
			const char *at = *s;

			if (!skip(&at, names[bounded][dir]) || !skip(&at, "/"))
				continue;
			r->dir = (enum tunnel_dir)dir;
			r->bounded = bounded != 0;
			*s = at;
			return true;
		}
	return false;
}

int
tunnel_request_parse(const char *path, struct tunnel_request *out)
{
	struct tunnel_request r = { .dir = TUNNEL_UP };
	uint8_t session[8] = { 0 }, serial[4] = { 0 };
	struct wire_read rd;

	if (!skip(&path, "vofw/1/") || !get_name(&path, &r))
		return ERR_MALFORMED;
	if (!get_hex(&path, session, sizeof(session)) || !skip(&path, "/") ||
	    !get_hex(&path, serial, sizeof(serial)) || !skip(&path, "/") ||
	    !get_hex(&path, r.mac, sizeof(r.mac)) || *path != '\0')
		return ERR_MALFORMED;
	rd = wire_reader(session, sizeof(session));
	r.session = wire_get_u64(&rd);
	rd = wire_reader(serial, sizeof(serial));
	r.serial = wire_get_u32(&rd);
	if (r.session == 0 || r.serial == 0)
		return ERR_MALFORMED;
	*out = r;
	return 0;
}

int
request_window_use(struct request_window *w, uint32_t serial)
{
	uint32_t below;

	if (serial > w->highest) {
		uint32_t step = serial - w->highest;

		if (step >= REQUEST_WINDOW)
			memset(w->used, 0, sizeof(w->used));
		/* Bit serial % WINDOW stands for serial: the ones passed over are unused. */
		for (uint32_t i = 1; i <= step && step < REQUEST_WINDOW; i++)
			w->used[(w->highest + i) % REQUEST_WINDOW / 8] &=
			    (uint8_t) ~(1u << (w->highest + i) % 8);
		w->highest = serial;
	}
	below = w->highest - serial;
	if (below >= REQUEST_WINDOW ||
	    (w->used[serial % REQUEST_WINDOW / 8] & 1u << serial % 8) != 0)
		return ERR_EXISTS;
	w->used[serial % REQUEST_WINDOW / 8] |= (uint8_t)(1u << serial % 8);
	return 0;
}

/* -- Probes -- */

static void
probe_mac(const struct tunnel_grant *grant, const struct probe_request *r, uint8_t out[static 16])
{
	static const char label[] = "vofw2 probe";
	struct crypto_text key = { grant->key, sizeof(grant->key) };
	uint8_t text[sizeof(label) + 1 + 8 + 4 + 8], mac[CRYPTO_MAC_LEN];
	struct wire_write w = wire_writer(text, sizeof(text));

	wire_put_bytes(&w, label, sizeof(label));
	wire_put_u8(&w, (uint8_t)r->dir);
	wire_put_u64(&w, r->session);
	wire_put_u32(&w, r->serial);
	wire_put_u16(&w, (uint16_t)r->plan.count);
	wire_put_u16(&w, (uint16_t)r->plan.size);
	wire_put_u32(&w, r->plan.interval_ms);
	crypto_hmac(key, (struct crypto_text){ text, w.used }, mac);
	memcpy(out, mac, 16);
}

void
request_print_probe(const struct tunnel_grant *grant, enum tunnel_dir dir, uint32_t serial,
    const struct probe_plan *plan, char path[static TUNNEL_PATH_MAX])
{
	struct probe_request r = {
		.dir = dir, .session = grant->session, .serial = serial, .plan = *plan
	};
	int n;

	probe_mac(grant, &r, r.mac);
	n = snprintf(path, TUNNEL_PATH_MAX,
	    "vofw/1/probe/%s/%016" PRIx64 "/%08" PRIx32 "/%04" PRIx32 "%04" PRIx32 "%08" PRIx32 "/",
	    names[0][dir], r.session, serial, plan->count, plan->size, plan->interval_ms);
	for (size_t i = 0; i < sizeof(r.mac); i++)
		n += snprintf(path + n, TUNNEL_PATH_MAX - (size_t)n, "%02x", r.mac[i]);
}

int
request_parse_probe(const char *path, struct probe_request *out)
{
	struct probe_request r = { .dir = TUNNEL_UP };
	uint8_t numbers[8 + 4 + 8] = { 0 };
	struct wire_read rd = wire_reader(numbers, sizeof(numbers));

	if (!skip(&path, "vofw/1/probe/"))
		return ERR_MALFORMED;
	if (skip(&path, "down/"))
		r.dir = TUNNEL_DOWN;
	else if (!skip(&path, "up/"))
		return ERR_MALFORMED;
	if (!get_hex(&path, numbers, 8) || !skip(&path, "/") || !get_hex(&path, numbers + 8, 4) ||
	    !skip(&path, "/") || !get_hex(&path, numbers + 12, 8) || !skip(&path, "/") ||
	    !get_hex(&path, r.mac, sizeof(r.mac)) || *path != '\0')
		return ERR_MALFORMED;
	r.session = wire_get_u64(&rd);
	r.serial = wire_get_u32(&rd);
	r.plan.count = wire_get_u16(&rd);
	r.plan.size = wire_get_u16(&rd);
	r.plan.interval_ms = wire_get_u32(&rd);
	if (r.session == 0 || r.serial == 0 || !probe_plan_good(&r.plan))
		return ERR_MALFORMED;
	*out = r;
	return 0;
}

bool
request_probe_genuine(const struct tunnel_grant *grant, const struct probe_request *r)
{
	uint8_t mac[16];

	probe_mac(grant, r, mac);
	return r->session == grant->session && crypto_equal(mac, r->mac, sizeof(mac));
}
