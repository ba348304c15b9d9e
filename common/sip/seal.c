/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/seal.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "sip/crypto.h"

#define MARK "vofw-"
#define MARK_LEN (sizeof(MARK) - 1)
#define TAG_LEN SIP_SIV_TAG_LEN
#define PLAIN_MAX (SEAL_TOKEN_MAX / 4 * 3 - 32) /* what always fits into a token */

/* The first byte of the plain text: a token of one kind never opens as another. */
enum { KIND_URI = 1, KIND_CALL_ID = 2 };
/* The second byte, of a URI: the protocol and what the flow's peer is. */
enum { PEER_NONE = 0x00, PEER_V4 = 0x10, PEER_V6 = 0x20, PROTO_MASK = 0x0f };

struct seal {
	struct sip_siv *siv;
};

struct seal *
seal_new(const uint8_t key[static 32])
{
	struct seal *s = mem_zalloc(sizeof(*s));

	s->siv = sip_siv_new(key);
	return s;
}

void
seal_free(struct seal *s)
{
	if (s == NULL)
		return;
	sip_siv_free(s->siv);
	mem_free(s);
}

bool
seal_marked(const char *s)
{
	return s != NULL && strncmp(s, MARK, MARK_LEN) == 0;
}

/* -- base64url without padding (RFC 4648 §5) -- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void
base64url_write(const uint8_t *in, size_t n, char *out)
{
	uint32_t bits = 0;
	unsigned have = 0;

	for (size_t i = 0; i < n; i++) {
		bits = bits << 8 | in[i];
		for (have += 8; have >= 6; have -= 6)
			*out++ = alphabet[bits >> (have - 6) & 63];
	}
	if (have > 0)
		*out++ = alphabet[bits << (6 - have) & 63];
	*out = '\0';
}

static int
base64url_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

static int
base64url_read(const char *in, uint8_t *out, size_t cap, size_t *n)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t len = 0;
	int digit;

	for (; *in != '\0'; in++) {
		if ((digit = base64url_digit(*in)) < 0)
			return ERR_MALFORMED;
		bits = bits << 6 | (uint32_t)digit;
		if ((have += 6) < 8)
			continue;
		if (len == cap)
			return ERR_TOO_BIG;
		out[len++] = (uint8_t)(bits >> (have -= 8));
	}
	/* One content has one spelling: the bits left over are zero, and fewer than a digit. */
	if (have >= 6 || (bits & ((1u << have) - 1)) != 0)
		return ERR_MALFORMED;
	*n = len;
	return 0;
}

/* -- The envelope -- */

static int
seal_wrap(struct seal *s, const struct wire_write *w, const uint8_t *plain, char *token, size_t cap)
{
	uint8_t sealed[TAG_LEN + PLAIN_MAX];
	size_t n = w->used;

	if (w->bad || cap < MARK_LEN + (TAG_LEN + n) * 4 / 3 + 3)
		return ERR_TOO_BIG;
	sip_siv_seal(s->siv, plain, n, sealed);
	memcpy(token, MARK, MARK_LEN);
	base64url_write(sealed, TAG_LEN + n, token + MARK_LEN);
	return 0;
}

static int
seal_unwrap(struct seal *s, const char *token, uint8_t plain[static PLAIN_MAX], size_t *n)
{
	uint8_t sealed[TAG_LEN + PLAIN_MAX];
	size_t len;

	if (!seal_marked(token) ||
	    base64url_read(token + MARK_LEN, sealed, sizeof(sealed), &len) != 0 || len <= TAG_LEN ||
	    !sip_siv_open(s->siv, sealed, len, plain))
		return ERR_AUTH;
	*n = len - TAG_LEN;
	return 0;
}

/* -- What is inside -- */

static void
put_string(struct wire_write *w, const char *s)
{
	size_t n = strlen(s);

	wire_put_varint(w, n);
	wire_put_bytes(w, s, n);
}

static void
get_string(struct wire_read *r, char *out, size_t cap)
{
	uint64_t n = wire_get_varint(r);
	const uint8_t *p = n < cap ? wire_get_bytes(r, n) : NULL;

	if (p == NULL) {
		r->bad = true;
		return;
	}
	memcpy(out, p, n);
	out[n] = '\0';
}

static void
put_flow(struct wire_write *w, const struct sip_flow *f)
{
	const struct addr *a = &f->peer;
	uint8_t peer = !addr_is_set(a) ? PEER_NONE : addr_is_v6(a) ? PEER_V6 : PEER_V4;

	wire_put_u8(w, (uint8_t)f->proto | peer);
	wire_put_u8(w, f->listener);
	wire_put_varint(w, f->conn);
	if (peer == PEER_V4)
		wire_put_bytes(w, &a->u.in4.sin_addr, 4);
	else if (peer == PEER_V6)
		wire_put_bytes(w, &a->u.in6.sin6_addr, 16);
	if (peer == PEER_V6)
		wire_put_varint(w, a->u.in6.sin6_scope_id);
	if (peer != PEER_NONE)
		wire_put_u16(w, addr_port(a));
}

static void
get_peer(struct wire_read *r, uint8_t peer, struct addr *out)
{
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_in *in4 = (struct sockaddr_in *)&ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;
	const uint8_t *p = wire_get_bytes(r, peer == PEER_V6 ? 16 : 4);

	if (p == NULL)
		return;
	ss.ss_family = peer == PEER_V6 ? AF_INET6 : AF_INET;
	if (peer == PEER_V6) {
		memcpy(&in6->sin6_addr, p, 16);
		in6->sin6_scope_id = (uint32_t)wire_get_varint(r);
	} else {
		memcpy(&in4->sin_addr, p, 4);
	}
	addr_from_sockaddr((struct sockaddr *)&ss, out);
	addr_set_port(out, wire_get_u16(r));
}

static void
get_flow(struct wire_read *r, struct sip_flow *out)
{
	uint8_t first = wire_get_u8(r), peer = first & 0xf0;

	*out = (struct sip_flow){ .proto = first & PROTO_MASK };
	out->listener = wire_get_u8(r);
	out->conn = wire_get_varint(r);
	if (out->proto > SIP_TLS || (peer != PEER_NONE && peer != PEER_V4 && peer != PEER_V6))
		r->bad = true;
	else if (peer != PEER_NONE)
		get_peer(r, peer, &out->peer);
}

int
seal_uri(struct seal *s, const struct seal_uri *u, char *token, size_t cap)
{
	uint8_t plain[PLAIN_MAX];
	struct wire_write w = wire_writer(plain, sizeof(plain));

	wire_put_u8(&w, KIND_URI);
	put_flow(&w, &u->flow);
	put_string(&w, u->agent);
	put_string(&w, u->uri);
	return seal_wrap(s, &w, plain, token, cap);
}

int
seal_uri_open(struct seal *s, const char *token, struct seal_uri *out)
{
	uint8_t plain[PLAIN_MAX];
	struct seal_uri u = { 0 };
	struct wire_read r;
	size_t n;

	if (seal_unwrap(s, token, plain, &n) != 0)
		return ERR_AUTH;
	r = wire_reader(plain, n);
	if (wire_get_u8(&r) != KIND_URI)
		return ERR_AUTH;
	get_flow(&r, &u.flow);
	get_string(&r, u.agent, sizeof(u.agent));
	get_string(&r, u.uri, sizeof(u.uri));
	if (r.bad || r.left > 0)
		return ERR_AUTH;
	*out = u;
	return 0;
}

int
seal_call_id(struct seal *s, const char *agent, const char *call_id, char *token, size_t cap)
{
	uint8_t plain[PLAIN_MAX];
	struct wire_write w = wire_writer(plain, sizeof(plain));

	if (strlen(call_id) >= SEAL_CALL_ID_MAX || strlen(agent) >= SEAL_AGENT_MAX)
		return ERR_TOO_BIG;
	wire_put_u8(&w, KIND_CALL_ID);
	put_string(&w, agent);
	put_string(&w, call_id);
	return seal_wrap(s, &w, plain, token, cap);
}

int
seal_call_id_open(struct seal *s, const char *token, char agent[static SEAL_AGENT_MAX],
    char call_id[static SEAL_CALL_ID_MAX])
{
	uint8_t plain[PLAIN_MAX];
	struct wire_read r;
	size_t n;

	if (seal_unwrap(s, token, plain, &n) != 0)
		return ERR_AUTH;
	r = wire_reader(plain, n);
	if (wire_get_u8(&r) != KIND_CALL_ID)
		return ERR_AUTH;
	get_string(&r, agent, SEAL_AGENT_MAX);
	get_string(&r, call_id, SEAL_CALL_ID_MAX);
	return r.bad || r.left > 0 ? ERR_AUTH : 0;
}
