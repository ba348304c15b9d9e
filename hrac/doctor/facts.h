/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_DOCTOR_FACTS_H
#define VOFW_HRAC_DOCTOR_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "config/config.h"
#include "hrac/uplink/look.h"

/*
 * What the doctor found out, as plain data: found by net.c, route.c and udp.c,
 * judged by judge.c, told by text.c and json.c. All text is printable.
 */
#define DOCTOR_TEXT_MAX 384
#define DOCTOR_NAME_MAX 256
#define DOCTOR_HOSTS_MAX 16
#define DOCTOR_ADDRESSES_MAX 8
#define DOCTOR_ROUTES_MAX 16
#define DOCTOR_NONE SIZE_MAX

/* How an address takes a TCP connection. */
enum doctor_door { DOCTOR_OPEN, DOCTOR_REFUSED, DOCTOR_SILENT, DOCTOR_UNREACHABLE };

struct doctor_address {
	struct addr addr;
	enum doctor_door door;
	uint32_t us; /* until it was known */
};

struct doctor_host { /* of HRAS or of a web proxy */
	char name[DOCTOR_NAME_MAX];
	uint16_t port;
	bool proxy;
	bool literal; /* the name is an address */
	uint32_t name_us;
	char trouble[DOCTOR_NAME_MAX]; /* why the name is not resolved; "" = it is */
	struct doctor_address address[DOCTOR_ADDRESSES_MAX];
	size_t address_n;
};

/* What becomes of a body on the way. */
enum doctor_body { DOCTOR_UNKNOWN, DOCTOR_STREAMS, DOCTOR_HELD };

struct doctor_way { /* one direction of a route */
	enum doctor_body body;
	uint32_t held_ms;          /* at most */
	char why[DOCTOR_NAME_MAX]; /* why it does not stream, when not by holding; else "" */
	bool whole;                /* ... which is until it is over, as far as was tried */
	uint32_t idle_ok_s;        /* the longest silence that the connection outlived; 0 = none */
	uint32_t idle_cut_s;       /* the shortest after which it was dead; 0 = none */
	uint32_t kbit;             /* throughput, kbit/s of bodies; 0 = not measured */
	bool kbit_least;           /* ... and more was not tried */
	uint32_t segments,
	    again; /* of TCP, sent by the sending end, and those that were repetitions */
};

/* The first step that did not succeed, in their order. */
enum doctor_stop {
	DOCTOR_STOP_NAME,
	DOCTOR_STOP_CONNECT,
	DOCTOR_STOP_PROXY,
	DOCTOR_STOP_TLS,
	DOCTOR_STOP_ANSWER, /* no HRAS answers */
	DOCTOR_STOP_SECRET,
	DOCTOR_STOP_BODIES, /* what is sent is changed, or does not arrive */
	DOCTOR_STOP_NOWHERE,
};

enum doctor_opened { DOCTOR_OPENED_UNKNOWN, DOCTOR_OPENED_NO, DOCTOR_OPENED_YES };

struct doctor_route {
	char url[DOCTOR_NAME_MAX];
	char proxy[DOCTOR_NAME_MAX]; /* "" = directly */
	bool https;
	struct uplink_look look;
	enum doctor_opened opened; /* TLS ends at somebody else than HRAS, who reads along */
	enum doctor_stop stop;
	char trouble[DOCTOR_NAME_MAX];      /* why it stops there; "" = it does not */
	struct doctor_way way[2];           /* by enum tunnel_dir */
	uint32_t rtt_min_us, rtt_median_us; /* of small requests; 0 = not measured */
};

struct doctor_udp {
	bool offered; /* HRAS takes datagrams, as it says */
	struct addr to;
	unsigned sent, came; /* 0 sent = not tried */
	struct addr mapped;  /* as HRAS sees us */
	struct addr local;
	bool steady; /* two ports of ours are seen with one address, each with a port of its own */
	uint32_t rtt_min_us, rtt_median_us;
	char trouble[DOCTOR_NAME_MAX];
};

struct doctor_facts {
	const char *agent;
	int transport; /* enum config_transport: the rungs that are allowed */
	struct doctor_host host[DOCTOR_HOSTS_MAX];
	size_t host_n;
	struct doctor_route route[DOCTOR_ROUTES_MAX]; /* the best first, by what they are */
	size_t route_n;
	struct doctor_udp udp;
	uint32_t cap_kbit;                /* tunnel.bandwidth_max; 0 = none */
	char proxy_from[DOCTOR_NAME_MAX]; /* where the proxies come from, in words */

	/* By doctor_judge. */
	bool works;       /* calls will */
	size_t best;      /* the route that would be used; DOCTOR_NONE = nothing gets through */
	const char *rung; /* "udp", "stream", "proxy", "poll"; NULL without a best one */
	uint32_t kbit;    /* each way; 0 = not measured */
	unsigned calls;
	double mos; /* of a call over it, 1 to 4.5; 0 = not known */
};

/* Fills in the last part of the facts. */
void doctor_judge(struct doctor_facts *f);

/* One line of advice, for the one who runs HRAC or the network's owner, after doctor_judge. */
void doctor_advise(const struct doctor_facts *f, char out[static DOCTOR_TEXT_MAX]);

/* -- What a person reads -- */

enum doctor_verdict { DOCTOR_OK, DOCTOR_UNSURE, DOCTOR_NO };

struct doctor_line {
	enum doctor_verdict verdict;
	const char *topic; /* a word; NULL = `text` is the heading of what follows */
	char text[DOCTOR_TEXT_MAX];
};
typedef void doctor_line_cb(void *arg, const struct doctor_line *line);

/* All lines in order, but for the advice; after doctor_judge. */
void doctor_tell(const struct doctor_facts *f, doctor_line_cb *cb, void *arg);

/* "OK", "??", "NO" */
const char *doctor_verdict_str(enum doctor_verdict v);

/* -- What a program reads: the schema of hrac(8); the caller frees it (free) -- */
char *doctor_json(const struct doctor_facts *f);

#endif
