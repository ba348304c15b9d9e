/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_SIP_WORLD_H
#define VOFW_TESTS_SIP_WORLD_H

#include "base/clock.h"
#include "sip/location.h"
#include "sip/sip.h"

/*
 * A real SIP server with scripted phones around it, under a fake clock. What the server sends is
 * kept in order and taken by world_take; every message that leaves an inside network is searched
 * for the addresses of that network.
 *
 *   face 0  outside   203.0.113.10:5060 udp, tcp
 *   face 1  office    192.168.1.5:5060 udp, tcp      phones 192.168.1.x
 *   face 2  branch    192.168.1.5:5060 udp, tcp      the same addresses on purpose
 */
#define OUTSIDE 0
#define OFFICE 1
#define BRANCH 2

struct sent {
	struct sip_flow to;
	uint64_t tag;
	char *text;
	size_t n;
	struct sip_msg *m;
	struct sent *next;
};

struct hooked { /* what the relay hook saw last */
	unsigned calls, invites_failed, branches_failed;
	int failed_status;
	char call_id[256], wire_call_id[256], from[128], to[128];
	bool upstream, direct;
	uint64_t branch;
	struct sip_flow from_flow, to_flow, caller;
};

struct world {
	struct timers *timers;
	struct location *location;
	struct sip_server *server;
	uint64_t now_us;
	struct sent *out;
	struct hooked hooked;
	int refuse_requests, refuse_responses; /* what the hook answers; 0 = goes on */
	struct sip_refusal refusal;            /* ... and says beside it */
	int refuse_status;                     /* ... to responses of this status; 0 = all */
	bool rewrite;                          /* the hook writes the pair's address into the SDP */
	const char *media;                     /* ... this one on the outside face */
	struct sip_dialog_side caller, callee; /* learnt by the hook */
	char caller_header[256], callee_header[256], real_call_id[256];
};

struct world_cfg {
	enum sip_auth auth;
	bool direct;
	const char *bound; /* where the listeners of the outside face really are; NULL = as told */
};

struct world *world_new(const struct world_cfg *cfg);
void world_free(struct world *w); /* asserts that nothing was left untaken */
void world_reload(struct world *w, const struct world_cfg *cfg);
/* A new server with the same location and key. */
void world_restart(struct world *w, const struct world_cfg *cfg);
void world_pass(struct world *w, uint64_t us); /* time goes by */
uint64_t world_metric(const struct world *w, const char *name);

void sent_free(struct sent *s);
struct sent *world_take(struct world *w); /* the next sent message; asserts that there is one */
/* ... and that it is this ("INVITE" or "180"), on that face. */
struct sent *world_expect(struct world *w, const char *what, uint32_t face);
void world_expect_dropped(struct world *w, const char *what, uint32_t face); /* and frees it */
bool world_is_silent(const struct world *w); /* says what it is when not */
bool world_is_empty(const struct world *w);
void world_drop_all(struct world *w);

/* -- Phones -- */

struct phone {
	struct world *w;
	const char *name;
	char domain[64];      /* of its AOR */
	struct sip_flow flow; /* where its messages come from */
	char contact[128];    /* what it says of itself */
	char via[64];         /* sent-by */
	char tag[32], call_id[64];
	unsigned cseq;
	char extra[1024]; /* header lines for its next request */
	const char *type; /* of its next body */
	char body[1024];
};

struct dialog { /* as a UA knows it */
	char call_id[512], local[512], remote[512], target[2048];
	char *routes; /* header lines */
	unsigned cseq;
};

/* at: "192.168.1.20:5060"; proto of its messages. */
void phone_init(struct phone *p, struct world *w, uint32_t face, const char *name, const char *at);
void phone_be_natted(struct phone *p, const char *private_at); /* Via, Contact name that */
void phone_use_tcp(struct phone *p, uint64_t conn);

/* Sends a request outside a dialog with a new branch; the From is name@domain. */
void phone_request(struct phone *p, const char *method, const char *uri, const char *to);
void phone_raw(struct phone *p, const char *text); /* "\n" for line ends */
void phone_register(struct phone *p, unsigned expires);
void phone_registered(struct phone *p);              /* registers and expects 200 */
void phone_invite(struct phone *p, const char *uri); /* with SDP */
/* Answers what it got; 1xx > 100 and 2xx bring Contact, Record-Route and (INVITE) SDP. */
void phone_answer(struct phone *p, const struct sent *request, int status);
/* ... with one header field more. */
void phone_answer_with(struct phone *p, const struct sent *request, int status, const char *name,
    const char *value);

void dialog_of_caller(struct dialog *d, struct phone *p, const struct sent *response);
void dialog_of_callee(struct dialog *d, struct phone *p, const struct sent *request);
void dialog_clear(struct dialog *d);
void dialog_request(struct dialog *d, struct phone *p, const char *method);

/* A whole call set up: INVITE, 100, 180, 200, ACK. */
void call_up(struct phone *caller, struct phone *callee, const char *uri, struct dialog *dr,
    struct dialog *de);

#endif
