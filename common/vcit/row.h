/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_VCIT_ROW_H
#define VOFW_VCIT_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

#include "base/timers.h"
#include "log/log.h"
#include "media/media.h"
#include "media/ports.h"
#include "sip/sdp.h"
#include "sip/sip.h"
#include "vcit/room.h"
#include "vcit/vcit.h"

/*
 * The table from the inside; only the files of vcit/ include this.
 *
 * A *call* is one Call-ID with one From tag. Each branch of its INVITE is a *row* with two sides
 * (0 the caller's, 1 the callee's), its own legs, and the *dialogs* (To tags) that answered on
 * that branch. Nearly always: one call, one row, one dialog. Rows of the same call share nothing,
 * so that two phones that both answer make two sound rows. Dialogs of one row share its legs,
 * because they answer one offer with one address in it: the legs follow `heard`, the dialog that
 * spoke last, or the first one that is confirmed.
 *
 * A leg number and a call number are never 0. A message changes the table before it is sent on;
 * everything here runs inside one public call of vcit.h, at v->now_us.
 */
#define VCIT_STREAMS_MAX 16 /* m= lines of one session */
#define VCIT_ROWS_MAX 10    /* branches of one call */
#define VCIT_DIALOGS_MAX 10 /* To tags of one row */
#define VCIT_TAG_MAX 255    /* bytes of a To tag */

enum vcit_cause { /* why a call ended, or was not let in */
	CAUSE_BYE,
	CAUSE_CANCELLED,
	CAUSE_FAILED,
	CAUSE_DIRECT,
	CAUSE_MEDIA_TIMEOUT,
	CAUSE_AGENT_GONE,
	CAUSE_LEG_FAILED,
	CAUSE_SHUTDOWN,
	CAUSES_N
};

struct vcit_counters { /* see vcit_metrics */
	uint64_t calls_active;
	uint64_t calls_started, calls_answered;
	uint64_t calls_ended[CAUSES_N];
	uint64_t calls_refused_full, calls_refused_ports, calls_refused_sdp, calls_refused_agent;
	uint64_t calls_refused_bandwidth, calls_refused_congested, calls_refused_ceiling;
	uint64_t ports_in_use, legs_failed, sdp_refused, sdp_hidden, byes_originated;
};

struct face {
	uint32_t number; /* SIP_FACE_OUTSIDE or the agent's */
	char *name;
	struct addr media;
	struct media_ports *ports;
	size_t busy_n; /* sides whose voice passes here */
	LIST_HEAD(, side) sides;
	struct room room;        /* of its tunnel; not used outside */
	struct room_load load;   /* the places taken in it */
	uint64_t refused;        /* calls, for want of room */
	char refused_branch[80]; /* of the INVITE that was refused last */
	struct log_limit full;
	UT_hash_handle hh;
};

struct leg {
	uint32_t number; /* 0 on the outside face */
	struct row *row;
	struct leg *peer; /* what it is joined to */
	uint8_t stream, side;
	enum media_kind kind;
	bool is_rtp;
	uint32_t clock_rate;
	uint16_t port;
	struct media_leg *media;
	struct addr rtp, rtcp; /* what the phone's SDP named, as told to the media */
	bool mux;
	struct addr source;    /* where the phone's RTP really comes from, as its agent learnt */
	bool untold, relatch;  /* its agent must still hear of a change; ... and learn anew */
	struct heard heard;    /* what its phone hears, as its agent tells */
	uint32_t told_packets; /* of what is heard of its phone, when its agent was told last */
	UT_hash_handle hh;     /* of the numbered ones */
};

/*
 * Both of a pair are there, or none. `aside` goes on until the offer that puts another kind of
 * media in its place (voice becomes fax) is answered, and comes back when that is refused.
 */
struct stream {
	struct leg *leg[2], *aside[2];
};

enum vcit_place { PLACE_NONE, PLACE_EARLY, PLACE_UP, PLACE_HELD }; /* see struct room_load */

struct side {
	struct row *row;
	enum vcit_place place; /* what it takes of its face's room */
	struct face *face;     /* NULL: the row has no part in any face (any more) */
	uint32_t call;         /* its number at that agent */
	LIST_ENTRY(side) entry;
};

/* What one phone said of its media. */
struct said {
	size_t n;
	struct sdp_stream stream[];
};

struct offer {             /* not answered yet */
	struct said *said; /* NULL: there is none */
	int by;            /* the side that offers */
	int requester;     /* the side whose request ... */
	uint32_t cseq;     /* ... of this number it goes with */
	uint32_t opened;   /* bit i: the legs of stream i were opened for it */
};

struct invite_round { /* the last INVITE seen in a dialog */
	int requester;
	uint32_t cseq;
	bool offerless; /* so that the response brings the offer */
	bool settled;   /* offer and answer have passed: what else comes are repetitions */
};

struct dialog {
	char *to_tag;
	bool confirmed;
	bool bye;                       /* one was relayed or sent */
	struct sip_dialog_side side[2]; /* how to reach the phones */
	uint32_t cseq[2];               /* highest of the requests that this side sent */
	struct offer offer;
	struct invite_round invite;
	struct said *said[2]; /* the session in force; both or none */
	LIST_ENTRY(dialog) entry;
};

struct row {
	struct vcit *v;
	struct call *call;
	uint64_t branch;
	char *wire_call_id; /* the Call-ID as the caller knows it ... */
	bool natted;        /* ... and whether only its flow reaches it, not its Contact */
	char *transaction;  /* branch of the caller's INVITE: the server transaction it came in */
	enum vcit_state state;
	bool direct; /* goes around the pair: no legs */
	bool doomed; /* cannot be completed any more: the next response is refused */
	struct side side[2];
	struct said *offer; /* of the INVITE, for each dialog that will answer; NULL = none */
	uint32_t invite_cseq;
	LIST_HEAD(, dialog) dialogs;
	size_t dialogs_n;
	struct dialog *heard; /* whose session the legs follow; NULL = nobody's yet */
	struct stream stream[VCIT_STREAMS_MAX];
	uint64_t packets[2]; /* RTP from each side, of the legs that are closed already */
	uint64_t quiet_us;   /* silence counts from here */
	struct timer timer;  /* UP: is media alive; ENDING: the BYE was never answered */
	TAILQ_ENTRY(row) entry;
};

struct call {
	struct vcit *v;
	char *key;
	char *call_id, *caller_tag;
	char *from, *to; /* URIs */
	uint32_t number;
	uint64_t since_us, since_wall_s, up_us, up_wall_s; /* up: 0 = not yet */
	uint64_t packets[2]; /* RTP from each side, of the rows that are gone */
	bool started;        /* its INVITE was let in */
	TAILQ_HEAD(, row) rows;
	size_t rows_n;
	struct timer timer; /* has no row, and nobody told that its INVITE failed */
	UT_hash_handle hh;
};

struct vcit {
	struct vcit_cfg cfg;
	struct timers *timers;
	struct media *media;
	struct sip_server *server;
	struct vcit_handlers h;
	void *arg;
	struct call *calls; /* by key */
	struct leg *legs;   /* by number */
	struct face *faces; /* by number */
	uint32_t last_call, last_leg;
	uint64_t now_us;
	struct heard_sum heard; /* by inside phones, since vcit_take_heard */
	struct vcit_counters n;
};

/* -- call.c: calls and who they are between -- */

/* Longest key: a message whose Call-ID or tags are longer is none of a call of ours. */
#define VCIT_KEY_MAX 1024

struct call *vcit_call_find(struct vcit *v, const struct sip_msg *m, const char *caller_tag);
/* NULL beyond calls_max (counted), or when the names are too long. */
struct call *vcit_call_new(struct vcit *v, const struct sip_msg *invite);
void vcit_call_end(struct call *call, enum vcit_cause cause, const char *why); /* takes over */
void vcit_call_free(struct call *call);   /* with its rows, silently */
void vcit_call_orphan(struct call *call); /* its last row went; somebody must say how it ended */
void vcit_call_started(struct call *call, const struct row *row);  /* the first time only */
void vcit_call_answered(struct call *call, const struct row *row); /* likewise */

/* -- row.c: rows, dialogs, state -- */

/* ERR_FULL beyond VCIT_ROWS_MAX; ERR_DOWN when a side's agent is unknown. */
int vcit_row_new(struct call *call, const struct sip_relay *r, struct row **out);
void vcit_row_free(struct row *row); /* its call stays, even without rows */
/* The end of a row: when it was the call's last one the call ends too. */
void vcit_row_end(struct row *row, enum vcit_cause cause, const char *why);
void vcit_row_set_state(struct row *row, enum vcit_state state);
/* UP or HELD, as the session in force says; only for a row that is confirmed. */
void vcit_row_settle(struct row *row);
bool vcit_row_is_confirmed(const struct row *row);
/* The caller hears the last one that answered; a confirmed one is not interrupted. */
bool vcit_row_may_hear(const struct row *row, const struct dialog *d);
/* Nothing can come of it any more: its media and its agents are freed of it, and it waits for the
 * INVITE to fail. */
void vcit_row_doom(struct row *row);
struct row *vcit_row_of_branch(struct call *call, uint64_t branch);

struct dialog *vcit_dialog_find(struct row *row, const char *to_tag);
/* The dialog that a response to the row's INVITE belongs to, made when it is new; NULL when the
 * row has too many. */
struct dialog *vcit_dialog_of_response(struct row *row, const struct sip_relay *r);
/* Who sent it is to be reached like that from now on. Whether that is something new. */
bool vcit_dialog_learn(struct dialog *d, int by, const struct sip_relay *r);
void vcit_dialog_free(struct row *row, struct dialog *d);

/* -- offer.c: RFC 3264 -- */

/* Has the message an offer or an answer, does what it says and rewrites it in r->out. d NULL: the
 * first INVITE. 0, or the status to refuse it with. */
int vcit_sdp_relay(struct row *row, struct dialog *d, int by, const struct sip_relay *r);
/* The transaction failed: an offer in it never was (RFC 3261 §14.1, RFC 3311 §5.2). */
void vcit_sdp_roll_back(struct row *row, struct dialog *d, int requester, uint32_t cseq);
void vcit_sdp_drop_offer(struct row *row, struct dialog *d); /* whatever it belongs to */
/* The dialog is confirmed: what its session does not use is closed. */
void vcit_sdp_confirm(struct row *row, struct dialog *d);
/* Makes the legs follow the session of d. */
void vcit_sdp_hear(struct row *row, struct dialog *d);
/* An SDP that belongs to no session of ours: no address in it leaves (RFC 3264 §9). */
void vcit_sdp_hide(struct vcit *v, const struct sip_relay *r);
struct said *vcit_said_dup(const struct said *said);
bool vcit_said_held(const struct said *a, const struct said *b);

/* -- leg.c: ports, legs and what the agents must know of them -- */

struct leg_remote { /* where a phone wants a stream */
	struct addr rtp, rtcp;
	bool mux;
};

/* The stream has legs for media of this kind. */
bool vcit_stream_fits(const struct row *row, size_t i, const struct sdp_stream *said);
/* Opens and joins new legs for stream i; what it had is put aside. `by` is the side that described
 * it by `said`. ERR_FULL: no port, and nothing has changed. */
int vcit_stream_open(struct row *row, size_t i, int by, const struct sdp_stream *said);
void vcit_stream_accept(struct row *row, size_t i); /* the new legs stay, those aside are closed */
void vcit_stream_undo(struct row *row, size_t i);   /* the other way round */
void vcit_stream_close(struct row *row, size_t i);
void vcit_leg_set_remote(struct leg *leg, const struct leg_remote *remote);
void vcit_stream_tell(struct row *row, size_t i); /* what has changed, to the agents */
void vcit_leg_teach(struct leg *leg);
struct leg *vcit_leg_find(struct vcit *v, uint32_t face, uint32_t number); /* NULL = none there */
struct addr vcit_leg_phone(const struct leg *leg); /* its media address as best known */

/* -- heard.c -- */

/* What is heard of the leg's phone by the other one. */
struct heard vcit_heard_of(const struct leg *leg);

/* -- face.c: agents -- */

struct face *vcit_face_find(struct vcit *v, uint32_t number);
void vcit_face_new_outside(struct vcit *v);
void vcit_faces_free(struct vcit *v);
void vcit_side_attach(struct side *side, struct face *face);
void vcit_side_detach(struct side *side);
void vcit_side_teach(const struct side *side); /* on_call, with its last will */

/* -- place.c: the room of the tunnels -- */

void vcit_place_settle(struct side *side); /* its row is new, or has another state */
void vcit_place_leave(struct side *side);
/* May the first INVITE go on, on both its faces? If not: counted, and r->refusal says why. `call`
 * NULL: it has none yet. */
bool vcit_place_ask(struct vcit *v, struct call *call, struct sip_relay *r);

/* -- end.c: ending calls by ourselves -- */

struct vcit_ending {
	enum vcit_cause cause;
	int status;       /* for Reason (RFC 3326) */
	const char *text; /* no quotes in it */
	unsigned sides;   /* bit s: side s gets a BYE */
};
#define VCIT_BOTH_SIDES 3u

/* Ends it if it is confirmed, dooms it if not. `row` may be gone after it. */
void vcit_row_kill(struct row *row, const struct vcit_ending *e);
void vcit_dialog_bye(struct row *row, struct dialog *d, int to, const struct vcit_ending *e);
/* The BYE that the phone of that side shall get when HRAS is gone. ERR_NOT_FOUND: none. */
int vcit_row_will(const struct row *row, int side, char **out, size_t *n, struct sip_flow *to);
timer_cb vcit_row_on_timer;
void vcit_row_watch(struct row *row); /* (re)arms its timer as its state asks */

#endif
