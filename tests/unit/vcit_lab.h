/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_UNIT_VCIT_LAB_H
#define VOFW_TESTS_UNIT_VCIT_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "base/timers.h"
#include "media/media.h"
#include "sip/sdp.h"
#include "sip/sip.h"
#include "vcit/vcit.h"

/*
 * A call table with a real media engine on loopback, fed with real SIP messages. What it orders
 * from the agents, and the BYEs it originates, are written down. Time is lab->now_us.
 */
#define LAB_MAX 64
#define OUTSIDE 0
#define OFFICE 1 /* an agent that is up from the start */
#define BRANCH_OFFICE 2
#define PORT_MIN 42000
#define PORT_MAX 42059

#define AUDIO(host, port)                                                         \
	"v=0\r\no=- 1 1 IN IP4 " host "\r\ns=-\r\nc=IN IP4 " host "\r\nt=0 0\r\n" \
	"m=audio " port " RTP/AVP 0\r\n"

struct lab_leg { /* an order to open or update, with the face it went to */
	uint32_t face;
	struct vcit_leg_order o;
};

struct lab_call {
	uint32_t face, call;
	enum vcit_state state;
	bool will;
	uint32_t will_cseq;
};

struct lab_bye {
	struct sip_flow to;
	char contact[80], call_id[80], from[80], to_header[80], reason[80];
	uint32_t cseq;
};

struct lab {
	struct event_base *base;
	struct timers *timers;
	struct media *media;
	struct vcit *vcit;
	uint64_t now_us;
	struct sip_flow phone[2];   /* where caller and callee are */
	uint64_t branch;            /* of the INVITE that the next messages belong to */
	struct sip_msg *out;        /* the last message relayed, as it leaves */
	struct sip_refusal refusal; /* what was said beside the status of the last one */
	struct lab_leg leg[LAB_MAX];
	size_t legs_n;
	uint32_t closed[LAB_MAX]; /* legs */
	size_t closed_n;
	struct lab_call call[LAB_MAX];
	size_t calls_n;
	uint32_t ended[LAB_MAX]; /* calls */
	size_t ended_n;
	bool busy[4];
	size_t busy_changes;
	struct lab_bye bye[LAB_MAX];
	size_t byes_n;
	struct { /* packets for a tunnel */
		uint32_t face, channel;
		char data[64];
		size_t n;
	} tunnel;
};

struct mail {               /* one message, as the sender writes it */
	int by;             /* 0: the caller sends it, 1: the callee */
	const char *method; /* of a response: of its request */
	int status;         /* 0 = a request */
	uint32_t cseq;
	const char *call_id; /* NULL = "c1" */
	const char *to_tag;  /* the callee's; NULL = none yet */
	bool first;          /* the request had no To tag: the first INVITE */
	const char *sdp;     /* NULL = none */
	const char *contact; /* NULL = the sender's usual one */
	bool typed;          /* `headers` tell the type of the body, which is not plain SDP */
	const char *headers; /* more header lines, each with CRLF */
	bool direct;
};

int lab_setup(void **state); /* calls_max 8, media timeout 90 s */
int lab_teardown(void **state);
struct lab *lab_with(const struct vcit_cfg *cfg); /* cfg NULL = as in lab_setup */
void lab_free(struct lab *lab);
void lab_agent_up(struct lab *lab, uint32_t face, const char *media);

/* Puts the caller and the callee on these faces; their SIP addresses follow from it. */
void lab_place(struct lab *lab, uint32_t caller, uint32_t callee);
void lab_on_loopback(struct lab *lab);                /* the phones outside are on this host */
int lab_relay(struct lab *lab, const struct mail *m); /* what vcit_relay returned */
void lab_invite_failed(struct lab *lab, const struct mail *m, int status);
void lab_branch_failed(struct lab *lab, const struct mail *m, uint64_t branch);

/* The SDP of the message that left last: of stream i. Fails the test when there is none. */
struct sdp lab_sdp(const struct lab *lab);
bool lab_has_sdp(const struct lab *lab);
uint16_t lab_port(const struct lab *lab, size_t i);

/* INVITE with `offer`, 200 with `answer`, ACK; between the phones of lab_place. */
void lab_call_up(struct lab *lab, const char *offer, const char *answer);
void lab_run(struct lab *lab, uint64_t us); /* time passes */

const struct lab_leg *lab_last_leg(const struct lab *lab, uint32_t face);
const struct lab_call *lab_last_call(const struct lab *lab, uint32_t face);
uint64_t lab_metric(const struct lab *lab, const char *name);
/* How many calls there are, and the state of the only one. */
enum vcit_state lab_state(const struct lab *lab);

/* A phone's voice socket on loopback. */
int lab_phone(uint16_t port);
void lab_phone_say(int fd, uint16_t port, unsigned seq); /* an RTP packet to our port */
/* Runs the media until a packet comes; its RTP sequence number, or -1 when none comes. */
int lab_phone_hear(struct lab *lab, int fd);
void lab_turn(struct lab *lab); /* the media reads what has arrived */

#endif
