/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define uthash_fatal(msg) abort()
#include <uthash.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/timers.h"
#include "log/log.h"
#include "sip/binding.h"
#include "sip/location.h"
#include "sip/store.h"

struct record {
	struct binding b;
	struct location *location;
	struct aor *aor;
	struct timer expiry; /* in wall time */
};

struct aor {
	struct record *record[LOCATION_CONTACTS_MAX];
	size_t n;
	UT_hash_handle hh;
	char name[];
};

struct counters {
	uint64_t registrations, registrations_expired, registrations_refused_full,
	    registrations_stored, registrations_store_dropped, registrations_store_errors;
};

struct location {
	struct aor *aors;
	size_t n, max;
	struct timers *expiry; /* ordered by expires_wall_s */
	struct store *store;   /* NULL = memory only */
	uint8_t key[STORE_KEY_LEN];
	struct counters counters;
};

static const struct metric metrics[] = {
	METRIC(struct counters, registrations, METRIC_GAUGE, "Contacts bound now."),
	METRIC(struct counters, registrations_expired, METRIC_COUNTER,
	    "Contacts that were not renewed in time."),
	METRIC(struct counters, registrations_refused_full, METRIC_COUNTER,
	    "Contacts refused because a table was at its cap."),
	METRIC(struct counters, registrations_stored, METRIC_COUNTER,
	    "Changes of bindings written to the store."),
	METRIC(struct counters, registrations_store_dropped, METRIC_COUNTER,
	    "Changes of bindings not written because the queue was full."),
	METRIC(struct counters, registrations_store_errors, METRIC_COUNTER,
	    "Writes to the store that failed."),
	{ NULL, NULL, 0, 0 },
};

/* -- The table of addresses-of-record -- */

static struct aor *
aor_find(struct location *l, const char *name)
{
	struct aor *a;

	HASH_FIND_STR(l->aors, name, a);
	return a;
}

static struct aor *
aor_add(struct location *l, const char *name)
{
	size_t len = strlen(name) + 1;
	struct aor *a = mem_zalloc(sizeof(*a) + len);

	memcpy(a->name, name, len);
	HASH_ADD_STR(l->aors, name, a);
	return a;
}

static void
aor_del(struct location *l, struct aor *a)
{
	HASH_DEL(l->aors, a);
	mem_free(a);
}

/* -- Records -- */

static bool
same_string(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* RFC 3261 §10.3 step 7 compares URIs; a phone repeats its own letter by letter. An instance has
 * one binding (RFC 5626 §6): its port changes with each connection. */
static struct record *
record_find(const struct aor *a, const char *contact, const char *instance)
{
	for (size_t i = 0; i < a->n; i++)
		if (same_string(a->record[i]->b.contact, contact) ||
		    same_string(a->record[i]->b.instance, instance))
			return a->record[i];
	return NULL;
}

/* Frees the AOR too when this was its last binding. */
static void
record_free(struct record *r)
{
	struct location *l = r->location;
	struct aor *a = r->aor;
	size_t i = 0;

	while (a->record[i] != r)
		i++;
	a->record[i] = a->record[--a->n];
	if (a->n == 0)
		aor_del(l, a);
	l->counters.registrations = --l->n;
	timer_clear(l->expiry, &r->expiry);
	binding_clear(&r->b);
	mem_free(r);
}

static void
record_forget(struct record *r)
{
	if (r->location->store != NULL)
		store_remove(r->location->store, r->b.aor, r->b.contact);
	record_free(r);
}

static void
on_expired(void *arg, uint64_t now_wall_us)
{
	struct record *r = arg;
	char peer[ADDR_STR_MAX];

	(void)now_wall_us;
	log_info("registrar", "%s expired: %s from %s%s%s", r->b.aor, r->b.contact,
	    addr_str(&r->b.flow.peer, peer), r->b.agent != NULL ? " in " : "",
	    r->b.agent != NULL ? r->b.agent : "");
	r->location->counters.registrations_expired++;
	record_forget(r);
}

static struct record *
record_new(struct location *l, const char *aor)
{
	struct aor *a = aor_find(l, aor);
	struct record *r;

	if (l->n >= l->max || (a != NULL && a->n == LOCATION_CONTACTS_MAX)) {
		l->counters.registrations_refused_full++;
		return NULL;
	}
	if (a == NULL)
		a = aor_add(l, aor);
	r = mem_zalloc(sizeof(*r));
	r->location = l;
	r->aor = a;
	timer_init(&r->expiry, on_expired, r);
	a->record[a->n++] = r;
	l->counters.registrations = ++l->n;
	return r;
}

static void
record_set(struct record *r, const struct binding *b)
{
	struct binding old = r->b;

	binding_copy(&r->b, b);
	binding_clear(&old);
	timer_set(r->location->expiry, &r->expiry, b->expires_wall_s * CLOCK_S);
}

static void
on_load(void *arg, const struct binding *b)
{
	struct location *l = arg;
	struct record *r;

	/* What has expired is loaded too: the first location_expire takes it out of the file. */
	if ((r = record_new(l, b->aor)) != NULL)
		record_set(r, b);
}

/* -- The interface -- */

static void
free_all(struct location *l)
{
	struct aor *a, *next;

	HASH_ITER(hh, l->aors, a, next) {
		for (size_t last = a->n; last-- > 0;)
			record_free(a->record[last]);
	}
	timers_free(l->expiry);
	mem_wipe_free(l, sizeof(*l));
}

int
location_open(const char *file, size_t max, struct location **out)
{
	struct location *l = mem_zalloc(sizeof(*l));

	l->max = max;
	l->expiry = timers_new();
	if (file == NULL) {
		if (getrandom(l->key, sizeof(l->key), 0) != (ssize_t)sizeof(l->key))
			abort();
	} else if (store_open(file, on_load, l, l->key, &l->store) != 0) {
		free_all(l);
		return ERR_IO;
	}
	location_expire(l, clock_steady_s());
	if (l->n > 0)
		log_info("registrar", "%zu bindings read from %s", l->n, file);
	*out = l;
	return 0;
}

void
location_close(struct location *l)
{
	if (l == NULL)
		return;
	store_close(l->store);
	free_all(l);
}

void
location_key(struct location *l, uint8_t key[static 32])
{
	memcpy(key, l->key, sizeof(l->key));
}

int
location_put(struct location *l, const struct binding *b, uint64_t now_wall_s)
{
	struct aor *a = aor_find(l, b->aor);
	struct record *r = a != NULL ? record_find(a, b->contact, b->instance) : NULL;

	if (r == NULL && l->n >= l->max)
		location_expire(l, now_wall_s);
	if (r == NULL && (r = record_new(l, b->aor)) == NULL)
		return ERR_FULL;
	if (l->store != NULL && r->b.contact != NULL && strcmp(r->b.contact, b->contact) != 0)
		store_remove(l->store, b->aor, r->b.contact);
	record_set(r, b);
	if (l->store != NULL)
		store_put(l->store, b);
	return 0;
}

int
location_remove(struct location *l, const char *aor, const char *contact)
{
	struct aor *a = aor_find(l, aor);
	struct record *r = a != NULL ? record_find(a, contact, NULL) : NULL;

	if (r == NULL)
		return ERR_NOT_FOUND;
	record_forget(r);
	return 0;
}

void
location_remove_all(struct location *l, const char *aor)
{
	struct aor *a = aor_find(l, aor);
	size_t n = a != NULL ? a->n : 0;

	/* The AOR goes with its last record. */
	while (n-- > 0)
		record_forget(a->record[n]);
}

size_t
location_find(struct location *l, const char *aor, uint64_t now_wall_s, const struct binding **out,
    size_t cap)
{
	struct aor *a = aor_find(l, aor);
	const struct binding *b;
	size_t n = 0, at;

	for (size_t i = 0; a != NULL && i < a->n; i++) {
		b = &a->record[i]->b;
		if (b->expires_wall_s <= now_wall_s)
			continue;
		for (at = n; at > 0 && out[at - 1]->q < b->q; at--)
			if (at < cap)
				out[at] = out[at - 1];
		if (at < cap)
			out[at] = b;
		n += n < cap;
	}
	return n;
}

void
location_each(struct location *l, location_each_cb *cb, void *arg)
{
	struct aor *a, *next;

	HASH_ITER(hh, l->aors, a, next) {
		for (size_t i = 0; i < a->n; i++)
			cb(arg, &a->record[i]->b);
	}
}

size_t
location_n(const struct location *l)
{
	return l->n;
}

static void
refresh_counters(struct location *l)
{
	struct store_stats stats;

	store_stats(l->store, &stats);
	l->counters.registrations_stored = stats.written;
	l->counters.registrations_store_dropped = stats.dropped;
	l->counters.registrations_store_errors = stats.errors;
}

void
location_expire(struct location *l, uint64_t now_wall_s)
{
	timers_run(l->expiry, now_wall_s * CLOCK_S);
	if (l->store == NULL)
		return;
	store_report(l->store);
	refresh_counters(l);
}

struct metric_set
location_metrics(const struct location *l)
{
	return (struct metric_set){ metrics, &l->counters };
}
