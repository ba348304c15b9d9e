/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define uthash_fatal(msg) abort()
#include <uthash.h>

#include "base/err.h"
#include "base/mem.h"
#include "log/log.h"
#include "sip/binding.h"

/* What is to become of one binding: the last wish wins. */
struct op {
	struct binding b;
	bool remove;
	UT_hash_handle hh;
	char key[]; /* "aor contact": neither has a space */
};

struct store {
	sqlite3 *db; /* of the worker alone once it runs */
	sqlite3_stmt *put, *del;
	char *file;
	pthread_t worker;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t wake;
	struct op *pending;
	struct store_stats stats;
	char error[256]; /* what the worker could not do; "" = nothing new */
	bool ending;
};

static struct op *
op_find(struct op *table, const char *key)
{
	struct op *op;

	HASH_FIND_STR(table, key, op);
	return op;
}

static void
op_add(struct op **table, struct op *op)
{
	HASH_ADD_STR(*table, key, op);
}

static void
op_del(struct op **table, struct op *op)
{
	HASH_DEL(*table, op);
}

static void
op_free(struct op *op)
{
	binding_clear(&op->b);
	mem_free(op);
}

/* -- The file -- */

static const char schema[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = NORMAL;"
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS binding (aor TEXT, contact TEXT, agent TEXT, proto INTEGER,"
    " listener INTEGER, peer TEXT, call_id TEXT, cseq INTEGER, q INTEGER, expires INTEGER,"
    " user_agent TEXT, instance TEXT, PRIMARY KEY (aor, contact)) WITHOUT ROWID;";
static const char sql_load[] =
    "SELECT aor, contact, agent, proto, listener, peer, call_id, cseq, q, expires, user_agent,"
    " instance FROM binding";
static const char sql_put[] =
    "INSERT OR REPLACE INTO binding VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
static const char sql_del[] = "DELETE FROM binding WHERE aor = ?1 AND contact = ?2";

static char *
column_text(sqlite3_stmt *st, int i)
{
	return (char *)(uintptr_t)sqlite3_column_text(st,
	    i); /* lent to a struct of char *, not written */
}

static void
load_row(sqlite3_stmt *st, store_load_cb *cb, void *arg)
{
	struct binding b = { .aor = column_text(st, 0), .contact = column_text(st, 1) };
	const char *peer = column_text(st, 5);

	b.agent = column_text(st, 2);
	b.flow.proto = (enum sip_proto)sqlite3_column_int(st, 3);
	b.flow.listener = (uint8_t)sqlite3_column_int(st, 4);
	b.call_id = column_text(st, 6);
	b.cseq = (uint32_t)sqlite3_column_int64(st, 7);
	b.q = (uint16_t)sqlite3_column_int(st, 8);
	b.expires_wall_s = (uint64_t)sqlite3_column_int64(st, 9);
	b.user_agent = column_text(st, 10);
	b.instance = column_text(st, 11);
	/* A row that somebody edited by hand must not bring the proxy down. */
	if (b.aor == NULL || b.contact == NULL || b.call_id == NULL || peer == NULL ||
	    (unsigned)b.flow.proto > SIP_TLS || addr_parse(peer, 0, &b.flow.peer) != 0)
		return;
	cb(arg, &b);
}

static int
load_bindings(sqlite3 *db, store_load_cb *cb, void *arg)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(db, sql_load, -1, &st, NULL);

	if (rc != SQLITE_OK)
		return rc;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		load_row(st, cb, arg);
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int
make_key(sqlite3 *db, uint8_t key[static STORE_KEY_LEN])
{
	sqlite3_stmt *st;
	uint8_t fresh[STORE_KEY_LEN];
	int rc;

	if (getrandom(fresh, sizeof(fresh), 0) != (ssize_t)sizeof(fresh))
		return SQLITE_IOERR;
	rc = sqlite3_prepare_v2(db, "INSERT INTO meta VALUES ('key', ?1)", -1, &st, NULL);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_blob(st, 1, fresh, sizeof(fresh), SQLITE_STATIC);
	rc = sqlite3_step(st);
	sqlite3_finalize(st);
	if (rc != SQLITE_DONE)
		return rc;
	memcpy(key, fresh, sizeof(fresh));
	return SQLITE_OK;
}

static int
load_key(sqlite3 *db, uint8_t key[static STORE_KEY_LEN])
{
	sqlite3_stmt *st;
	bool found;
	int rc;

	rc = sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE name = 'key'", -1, &st, NULL);
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(st);
	found = rc == SQLITE_ROW && sqlite3_column_bytes(st, 0) == STORE_KEY_LEN;
	if (found)
		memcpy(key, sqlite3_column_blob(st, 0), STORE_KEY_LEN);
	sqlite3_finalize(st);
	if (found)
		return SQLITE_OK;
	return rc == SQLITE_DONE ? make_key(db, key) : rc == SQLITE_ROW ? SQLITE_CORRUPT : rc;
}

/* SQLite would make the file readable for everybody. */
static int
touch_private(const char *file)
{
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0) {
		log_error("store", "%s: %s", file, strerror(errno));
		return ERR_IO;
	}
	close(fd);
	return 0;
}

static int
prepare_writes(struct store *s)
{
	int rc = sqlite3_prepare_v2(s->db, sql_put, -1, &s->put, NULL);

	return rc != SQLITE_OK ? rc : sqlite3_prepare_v2(s->db, sql_del, -1, &s->del, NULL);
}

static int
open_database(struct store *s, store_load_cb *cb, void *arg, uint8_t *key)
{
	int rc = sqlite3_open_v2(s->file, &s->db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_busy_timeout(s->db, 2000);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(s->db, schema, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = load_key(s->db, key);
	if (rc == SQLITE_OK)
		rc = load_bindings(s->db, cb, arg);
	if (rc == SQLITE_OK)
		rc = prepare_writes(s);
	if (rc == SQLITE_OK)
		return 0;
	log_error("store", "%s: %s", s->file,
	    s->db != NULL ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc));
	return ERR_IO;
}

/* -- The worker -- */

static void
bind_binding(sqlite3_stmt *st, const struct binding *b)
{
	char peer[ADDR_STR_MAX];

	addr_str(&b->flow.peer, peer);
	sqlite3_bind_text(st, 1, b->aor, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, b->contact, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, b->agent, -1, SQLITE_STATIC);
	sqlite3_bind_int(st, 4, (int)b->flow.proto);
	sqlite3_bind_int(st, 5, b->flow.listener);
	sqlite3_bind_text(st, 6, peer, -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(st, 7, b->call_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 8, b->cseq);
	sqlite3_bind_int(st, 9, b->q);
	sqlite3_bind_int64(st, 10, (sqlite3_int64)b->expires_wall_s);
	sqlite3_bind_text(st, 11, b->user_agent, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 12, b->instance, -1, SQLITE_STATIC);
}

static bool
run_op(struct store *s, const struct op *op)
{
	sqlite3_stmt *st = op->remove ? s->del : s->put;
	int rc;

	if (op->remove) {
		sqlite3_bind_text(st, 1, op->b.aor, -1, SQLITE_STATIC);
		sqlite3_bind_text(st, 2, op->b.contact, -1, SQLITE_STATIC);
	} else {
		bind_binding(st, &op->b);
	}
	rc = sqlite3_step(st);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc == SQLITE_DONE;
}

/* All or nothing; what cannot be written is lost for the file, and comes again with the next
 * REGISTER of its phone. Returns how many were written. */
static uint64_t
write_ops(struct store *s, struct op *ops, char *error, size_t cap)
{
	struct op *op, *next;
	uint64_t n = 0;
	bool good = sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;

	HASH_ITER(hh, ops, op, next)
		if (good && (good = run_op(s, op)))
			n++;
	good = good && sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
	if (good)
		return n;
	snprintf(error, cap, "%s", sqlite3_errmsg(s->db));
	if (!sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return 0;
}

static void
free_ops(struct op *ops)
{
	struct op *op, *next;

	HASH_ITER(hh, ops, op, next) {
		op_del(&ops, op);
		op_free(op);
	}
}

static void *
worker_main(void *arg)
{
	struct store *s = arg;
	char error[sizeof(s->error)];
	struct op *ops;
	uint64_t n;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (s->pending == NULL && !s->ending)
			pthread_cond_wait(&s->wake, &s->lock);
		if (s->pending == NULL)
			break;
		ops = s->pending;
		s->pending = NULL;
		pthread_mutex_unlock(&s->lock);
		error[0] = '\0';
		n = write_ops(s, ops, error, sizeof(error));
		free_ops(ops);
		pthread_mutex_lock(&s->lock);
		s->stats.written += n;
		if (error[0] != '\0') {
			s->stats.errors++;
			memcpy(s->error, error, sizeof(error));
		}
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* Signals are the loop's business. */
static int
start_worker(struct store *s)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&s->worker, NULL, worker_main, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc == 0)
		return 0;
	log_error("store", "no thread for %s: %s", s->file, strerror(rc));
	return ERR_IO;
}

static void
store_destroy(struct store *s)
{
	sqlite3_finalize(s->put);
	sqlite3_finalize(s->del);
	sqlite3_close(s->db);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	mem_free(s->file);
	mem_free(s);
}

int
store_open(const char *file, store_load_cb *cb, void *arg, uint8_t key[static STORE_KEY_LEN],
    struct store **out)
{
	struct store *s;

	if (touch_private(file) != 0)
		return ERR_IO;
	s = mem_zalloc(sizeof(*s));
	s->file = mem_strdup(file);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	if (open_database(s, cb, arg, key) != 0 || start_worker(s) != 0) {
		store_destroy(s);
		return ERR_IO;
	}
	*out = s;
	return 0;
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	s->ending = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->worker, NULL);
	store_report(s);
	store_destroy(s);
}

/* -- The queue -- */

static void
enqueue(struct store *s, const struct binding *b, bool remove)
{
	size_t len = strlen(b->aor) + 1 + strlen(b->contact) + 1;
	struct op *op = mem_zalloc(sizeof(*op) + len), *old;

	snprintf(op->key, len, "%s %s", b->aor, b->contact);
	op->remove = remove;
	binding_copy(&op->b, b);
	pthread_mutex_lock(&s->lock);
	if ((old = op_find(s->pending, op->key)) != NULL) {
		op_del(&s->pending, old);
		op_free(old);
	}
	if (HASH_COUNT(s->pending) < STORE_PENDING_MAX) {
		op_add(&s->pending, op);
		op = NULL;
	} else {
		s->stats.dropped++;
	}
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	if (op != NULL)
		op_free(op);
}

void
store_put(struct store *s, const struct binding *b)
{
	enqueue(s, b, false);
}

void
store_remove(struct store *s, const char *aor, const char *contact)
{
	struct binding b = { .aor = (char *)(uintptr_t)aor, .contact = (char *)(uintptr_t)contact };

	enqueue(s, &b, true);
}

void
store_report(struct store *s)
{
	char error[sizeof(s->error)];

	pthread_mutex_lock(&s->lock);
	memcpy(error, s->error, sizeof(error));
	s->error[0] = '\0';
	pthread_mutex_unlock(&s->lock);
	if (error[0] != '\0')
		log_error("store", "%s: %s; bindings made now may be lost by a restart", s->file,
		    error);
}

void
store_stats(struct store *s, struct store_stats *out)
{
	pthread_mutex_lock(&s->lock);
	*out = s->stats;
	pthread_mutex_unlock(&s->lock);
}
