/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_POLL_H
#define VOFW_HRAC_UPLINK_POLL_H

#include <curl/curl.h>
#include <stdbool.h>

/*
 * libcurl's multi handle on libevent's loop; private to the uplink. Which sockets and which timer
 * libcurl waits for is told to libevent once at the end of a turn (uplink_poll_apply): each sending
 * makes libcurl ask for writability and a timer and take both back at once, and done in this way
 * that costs no system call.
 */
struct uplink_poll;
struct event_base;

typedef void uplink_poll_cb(void *arg);

/*
 * `base` is borrowed while the object lives. on_turn is called after libcurl did something because
 * of a socket or of its timer. NULL when libcurl does not start.
 */
struct uplink_poll *uplink_poll_new(struct event_base *base, uplink_poll_cb *on_turn, void *arg);
void uplink_poll_free(struct uplink_poll *p); /* after all easy handles; NULL is fine */

CURLM *uplink_poll_multi(struct uplink_poll *p);
bool uplink_poll_is_inside(const struct uplink_poll *p); /* libcurl is on the stack */

/* Lets libcurl believe that `fd` is ready for `bits` (CURL_CSELECT_*). */
void uplink_poll_act(struct uplink_poll *p, curl_socket_t fd, int bits);
void uplink_poll_apply(struct uplink_poll *p);

#endif
