/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_LOCATION_H
#define VOFW_SIP_LOCATION_H

#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"
#include "sip/flow.h"

/*
 * The location service (RFC 3261 §10.3): bindings of addresses-of-record to contacts, in memory in
 * a hash, and behind it in an SQLite file that a worker thread writes, so that they survive a
 * restart and the loop never waits for the disk. Also keeps the sealing key there.
 */
struct location;

#define LOCATION_CONTACTS_MAX 10 /* bindings of one AOR */

struct binding {
	char *aor;            /* "alice@example.com", user as it is, domain in lower case */
	char *contact;        /* the Contact URI with its parameters, as the phone gave it */
	char *agent;          /* name of the inside face's agent; NULL = outside */
	struct sip_flow flow; /* where its REGISTER came from; conn 0 after a restart */
	char *call_id;
	uint32_t cseq;
	uint16_t q; /* 0..1000, 1000 when not given */
	uint64_t expires_wall_s;
	char *user_agent; /* NULL = unknown */
	char *instance;   /* +sip.instance of the Contact (RFC 5626 §4.1), NULL = none */
};

/* file NULL: memory only. max: bindings in all. ERR_IO with the reason logged. Loads what is not
 * expired yet. */
int location_open(const char *file, size_t max, struct location **out);
void location_close(struct location *l); /* writes what is waiting */

/* The sealing key: made at the first call, the same for ever after. */
void location_key(struct location *l, uint8_t key[static 32]);

/* Adds or replaces (same AOR and same contact, or same instance). Copies. ERR_FULL beyond either
 * cap. */
int location_put(struct location *l, const struct binding *b, uint64_t now_wall_s);
int location_remove(struct location *l, const char *aor, const char *contact);
void location_remove_all(struct location *l, const char *aor);

/* The bindings of an AOR that are not expired, best q first; returns their number (<= cap). The
 * pointers are good until the next call that changes l. */
size_t location_find(struct location *l, const char *aor, uint64_t now_wall_s,
    const struct binding **out, size_t cap);

typedef void location_each_cb(void *arg, const struct binding *b);
void location_each(struct location *l, location_each_cb *cb, void *arg);
size_t location_n(const struct location *l);

/* Drops what has expired; call it about every second (cost proportional to what expired). */
void location_expire(struct location *l, uint64_t now_wall_s);

struct metric_set location_metrics(const struct location *l);

#endif
