/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/face.h"

#include <stdlib.h>
#include <string.h>

#define uthash_fatal(msg) abort()
#include <uthash.h>

#include "base/err.h"
#include "base/mem.h"

struct entry {
	struct face face; /* first: a face is its entry */
	UT_hash_handle by_number, by_name;
};

struct faces {
	struct entry *by_number, *by_name;
};

static struct entry *
entry_find(const struct faces *f, uint32_t number)
{
	struct entry *e;

	HASH_FIND(by_number, f->by_number, &number, sizeof(number), e);
	return e;
}

static struct entry *
entry_named(const struct faces *f, const char *name)
{
	struct entry *e;

	HASH_FIND(by_name, f->by_name, name, strlen(name), e);
	return e;
}

static void
entry_add(struct faces *f, struct entry *e)
{
	HASH_ADD(by_number, f->by_number, face.number, sizeof(e->face.number), e);
	HASH_ADD_KEYPTR(by_name, f->by_name, e->face.name, strlen(e->face.name), e);
}

static void
entry_del(struct faces *f, struct entry *e)
{
	HASH_DELETE(by_number, f->by_number, e);
	HASH_DELETE(by_name, f->by_name, e);
	mem_free(e->face.name);
	mem_free(e);
}

struct faces *
faces_new(void)
{
	return mem_zalloc(sizeof(struct faces));
}

void
faces_free(struct faces *f)
{
	if (f == NULL)
		return;
	while (f->by_number != NULL)
		entry_del(f, f->by_number);
	mem_free(f);
}

const struct face *
faces_find(const struct faces *f, uint32_t number)
{
	struct entry *e = entry_find(f, number);

	return e != NULL ? &e->face : NULL;
}

const struct face *
faces_named(const struct faces *f, const char *name)
{
	struct entry *e = entry_named(f, name);

	return e != NULL ? &e->face : NULL;
}

const struct face *
faces_put(struct faces *f, uint32_t number, const char *name, const struct sip_listener *listen,
    size_t n)
{
	struct entry *e = entry_find(f, number), *other = entry_named(f, name);

	if (other != NULL && other != e)
		entry_del(f, other);
	if (e != NULL && strcmp(e->face.name, name) != 0) {
		entry_del(f, e);
		e = NULL;
	}
	if (e == NULL) {
		if (HASH_CNT(by_number, f->by_number) >= FACES_MAX)
			return NULL;
		e = mem_zalloc(sizeof(*e));
		e->face.number = number;
		e->face.name = mem_strdup(name);
		entry_add(f, e);
	}
	e->face.up = true;
	e->face.listen_n = n < SIP_LISTEN_MAX ? n : SIP_LISTEN_MAX;
	memcpy(e->face.listen, listen, e->face.listen_n * sizeof(*listen));
	return &e->face;
}

void
faces_set_bound(struct faces *f, uint32_t number, const struct addr *bound, size_t n)
{
	struct entry *e = entry_find(f, number);

	if (e != NULL)
		memcpy(e->face.bound, bound,
		    (n < SIP_LISTEN_MAX ? n : SIP_LISTEN_MAX) * sizeof(*bound));
}

void
faces_down(struct faces *f, uint32_t number)
{
	struct entry *e = entry_find(f, number);

	if (e != NULL)
		e->face.up = false;
}

static bool
fits(const struct sip_listener *l, const struct sip_flow *flow)
{
	return l->proto == flow->proto &&
	    (!addr_is_set(&flow->peer) || addr_is_v6(&l->addr) == addr_is_v6(&flow->peer));
}

const struct sip_listener *
face_listener(const struct face *face, const struct sip_flow *flow)
{
	if (flow->listener < face->listen_n && fits(&face->listen[flow->listener], flow))
		return &face->listen[flow->listener];
	for (size_t i = 0; i < face->listen_n; i++)
		if (fits(&face->listen[i], flow))
			return &face->listen[i];
	return NULL;
}

int
face_choose(const struct face *face, struct sip_flow *flow)
{
	const struct sip_listener *l = face_listener(face, flow);

	if (l == NULL)
		return ERR_UNSUPPORTED;
	flow->face = face->number;
	flow->listener = (uint8_t)(l - face->listen);
	return 0;
}

bool
face_tells_addr(const struct face *face, const struct addr *a)
{
	for (size_t i = 0; i < face->listen_n; i++)
		if (addr_same_host(&face->listen[i].addr, a))
			return true;
	return false;
}

static bool
is_bound(const struct face *face, size_t i, const struct addr *a)
{
	return addr_is_set(&face->bound[i]) && addr_same_host(&face->bound[i], a);
}

bool
face_owns_addr(const struct face *face, const struct addr *a)
{
	for (size_t i = 0; i < face->listen_n; i++)
		if (is_bound(face, i, a))
			return true;
	return face_tells_addr(face, a);
}

bool
face_owns(const struct face *face, const char *host, uint16_t port)
{
	struct addr a;

	if (addr_parse_host(host, strlen(host), port, &a) != 0)
		return false;
	for (size_t i = 0; i < face->listen_n; i++)
		if ((addr_same_host(&face->listen[i].addr, &a) || is_bound(face, i, &a)) &&
		    (port == 0 || port == addr_port(&face->listen[i].addr)))
			return true;
	return false;
}
