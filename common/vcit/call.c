/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "log/log.h"
#include "vcit/row.h"

#define ORPHAN_US (300 * CLOCK_S) /* longer than Timer C (RFC 3261 §16.6 step 11) */
#define URI_MAX 256

static struct call *
find(struct vcit *v, const char *key)
{
	struct call *call;

	HASH_FIND_STR(v->calls, key, call);
	return call;
}

static void
add(struct vcit *v, struct call *call)
{
	HASH_ADD_KEYPTR(hh, v->calls, call->key, strlen(call->key), call);
	v->n.calls_active = HASH_COUNT(v->calls);
}

static void
del(struct vcit *v, struct call *call)
{
	HASH_DEL(v->calls, call);
	v->n.calls_active = HASH_COUNT(v->calls);
}

/* A Call-ID has no white space (RFC 3261 §25.1), so that the key is unique. */
static bool
make_key(char key[VCIT_KEY_MAX], const struct sip_msg *m, const char *caller_tag)
{
	char id[VCIT_KEY_MAX];
	int n;

	if (sip_msg_call_id(m, id, sizeof(id)) == NULL)
		return false;
	n = snprintf(key, VCIT_KEY_MAX, "%s %s", id, caller_tag);
	return n > 0 && n < VCIT_KEY_MAX;
}

struct call *
vcit_call_find(struct vcit *v, const struct sip_msg *m, const char *caller_tag)
{
	char key[VCIT_KEY_MAX];

	return make_key(key, m, caller_tag) ? find(v, key) : NULL;
}

/* The last branch failed, but nobody said what became of the INVITE. */
static void
on_orphaned(void *arg, uint64_t now_us)
{
	struct call *call = arg;

	call->v->now_us = now_us;
	vcit_call_end(call, CAUSE_FAILED, "forgotten by the proxy");
}

struct call *
vcit_call_new(struct vcit *v, const struct sip_msg *invite)
{
	static struct log_limit full;
	char key[VCIT_KEY_MAX], id[VCIT_KEY_MAX], uri[URI_MAX];
	struct call *call;

	if (HASH_COUNT(v->calls) >= v->cfg.calls_max) {
		v->n.calls_refused_full++;
		log_warn_limited(&full, "vcit", "%zu calls are up: one more is refused",
		    v->cfg.calls_max);
		return NULL;
	}
	if (!make_key(key, invite, sip_msg_from_tag(invite)))
		return NULL;
	call = mem_zalloc(sizeof(*call));
	call->v = v;
	call->key = mem_strdup(key);
	call->call_id = mem_strdup(sip_msg_call_id(invite, id, sizeof(id)));
	call->caller_tag = mem_strdup(sip_msg_from_tag(invite));
	call->from = mem_strdup(sip_msg_from_uri(invite, uri, sizeof(uri)));
	call->to = mem_strdup(sip_msg_to_uri(invite, uri, sizeof(uri)));
	call->number = ++v->last_call;
	call->since_us = v->now_us;
	call->since_wall_s = clock_wall_s();
	TAILQ_INIT(&call->rows);
	timer_init(&call->timer, on_orphaned, call);
	timer_set(v->timers, &call->timer, v->now_us + ORPHAN_US);
	add(v, call);
	return call;
}

void
vcit_call_free(struct call *call)
{
	struct vcit *v = call->v;
	struct row *row;

	while ((row = TAILQ_FIRST(&call->rows)) != NULL)
		vcit_row_free(row);
	timer_clear(v->timers, &call->timer);
	del(v, call);
	mem_free(call->key);
	mem_free(call->call_id);
	mem_free(call->caller_tag);
	mem_free(call->from);
	mem_free(call->to);
	mem_free(call);
}

void
vcit_call_orphan(struct call *call)
{
	timer_set(call->v->timers, &call->timer, call->v->now_us + ORPHAN_US);
}

static const char *
face_name(const struct side *side)
{
	return side->face == NULL ? "nowhere" : side->face->name;
}

void
vcit_call_started(struct call *call, const struct row *row)
{
	if (call->started)
		return;
	call->started = true;
	call->v->n.calls_started++;
	log_info("vcit", "call %u: %s (%s) calls %s (%s), Call-ID %s", call->number, call->from,
	    face_name(&row->side[0]), call->to, face_name(&row->side[1]), call->call_id);
}

void
vcit_call_answered(struct call *call, const struct row *row)
{
	if (call->up_us != 0)
		return;
	call->up_us = call->v->now_us;
	call->up_wall_s = clock_wall_s();
	call->v->n.calls_answered++;
	log_info("vcit", "call %u: answered (%s) after %.1f s", call->number,
	    face_name(&row->side[1]), (double)(call->up_us - call->since_us) / CLOCK_S);
}

void
vcit_call_end(struct call *call, enum vcit_cause cause, const char *why)
{
	struct vcit *v = call->v;
	struct row *row;

	/* Before the line, so that the packets of the open legs are in it. */
	while ((row = TAILQ_FIRST(&call->rows)) != NULL)
		vcit_row_free(row);
	v->n.calls_ended[cause]++;
	if (call->up_us == 0)
		log_info("vcit", "call %u: over after %.1f s unanswered: %s", call->number,
		    (double)(v->now_us - call->since_us) / CLOCK_S, why);
	else
		log_info("vcit",
		    "call %u: over after %.1f s: %s; %llu packets from the caller, %llu from the callee",
		    call->number, (double)(v->now_us - call->up_us) / CLOCK_S, why,
		    (unsigned long long)call->packets[0], (unsigned long long)call->packets[1]);
	vcit_call_free(call);
}
