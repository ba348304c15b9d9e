/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAS_HRAS_H
#define VOFW_HRAS_HRAS_H

/*
 * HRAS, the outside agent: the wiring of the gateway that its agents come in by, the SIP server,
 * the call table, the media legs and the status page. The functions are those of `struct daemon`.
 */
struct event_base;

#define HRAS_WRONG_MAX 512

/*
 * Looks into the files that a configuration names, as a start would, and starts nothing: 0, or
 * ERR_MALFORMED with what is wrong.
 */
int hras_check(const void *conf, char wrong[static HRAS_WRONG_MAX]);

int hras_start(struct event_base *base, void *conf, void **state);
void hras_reload(void *state, void *conf);
void hras_stop(void *state);
void hras_free(void *state);

#endif
