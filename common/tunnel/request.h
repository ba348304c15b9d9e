/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_REQUEST_H
#define VOFW_TUNNEL_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "tunnel/probe.h"
#include "tunnel/tunnel.h"

/*
 * The paths of the requests that carry streams: each names its session, direction and serial
 * number and proves, by a MAC under the session's key, that whoever asks was granted the session
 * (docs/PROTOCOL.md, "Streams"). tunnel_request_parse is here too. Pure.
 */

/* Fills in session and mac of `r`, and writes the path for that stream, NUL included. */
void request_print(const struct tunnel_grant *grant, struct tunnel_request *r,
    char path[static TUNNEL_PATH_MAX]);

/* Whether the request is of this session and its MAC is good; takes constant time. */
bool request_genuine(const struct tunnel_grant *grant, const struct tunnel_request *r);

#define REQUEST_WINDOW 8192 /* bounded streams are hundreds a second */

/* Which serial numbers were used; those more than REQUEST_WINDOW below the highest all count. */
struct request_window {
	uint32_t highest;
	uint8_t used[REQUEST_WINDOW / 8];
};

/* Marks the serial as used. ERR_EXISTS when it was before, or is too old to tell. */
int request_window_use(struct request_window *w, uint32_t serial);

/* -- Probes: the same with a plan, under a MAC of their own (docs/PROTOCOL.md, "Probes") -- */

struct probe_request { /* a parsed path; plain data */
	enum tunnel_dir dir;
	uint64_t session;
	uint32_t serial; /* of the session's probes, which have numbers of their own */
	struct probe_plan plan;
	uint8_t mac[16];
};

/* Writes the path for one probe, NUL included. */
void request_print_probe(const struct tunnel_grant *grant, enum tunnel_dir dir, uint32_t serial,
    const struct probe_plan *plan, char path[static TUNNEL_PATH_MAX]);

/* The part of a request's path from "vofw/1/" on. ERR_MALFORMED, also for a plan out of bounds. */
int request_parse_probe(const char *path, struct probe_request *out);

/* As request_genuine. */
bool request_probe_genuine(const struct tunnel_grant *grant, const struct probe_request *r);

#endif
