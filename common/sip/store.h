/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_STORE_H
#define VOFW_SIP_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "sip/location.h"

/*
 * The SQLite file behind the location service. Reading happens once, in store_open; all writing is
 * done by a worker thread, which takes what has gathered (the last state of each binding only) in
 * one SQL transaction, so that the loop never waits for the disk. Functions are for one thread.
 */
struct store;

#define STORE_PENDING_MAX 65536 /* bindings waiting to be written; more are dropped and counted */
#define STORE_KEY_LEN 32

/* One binding of the file; borrowed until return. */
typedef void store_load_cb(void *arg, const struct binding *b);

/*
 * Opens or makes `file` (mode 0600: it holds the sealing key), gives every binding in it to cb,
 * and reads the key, made at random in a new file. ERR_IO, with the reason logged, when it cannot
 * be read and written or is no database of ours.
 */
int store_open(const char *file, store_load_cb *cb, void *arg, uint8_t key[static STORE_KEY_LEN],
    struct store **out);
void store_close(struct store *s); /* writes what is waiting; NULL is fine */

void store_put(struct store *s, const struct binding *b); /* copies */
void store_remove(struct store *s, const char *aor, const char *contact);

/* Logs what went wrong in the worker since the last call; call it now and then. */
void store_report(struct store *s);

struct store_stats {
	uint64_t written, dropped, errors;
};
void store_stats(struct store *s, struct store_stats *out);

#endif
