/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_HRAC_H
#define VOFW_HRAC_HRAC_H

/*
 * HRAC, the inside agent: the wiring of its uplink, its SIP sockets in the LAN, its media legs and
 * its status page. It packs what the phones send and unpacks what HRAS sends; whatever it knows of
 * calls HRAS has taught it (hrac/taught.h). The functions are those of `struct daemon`.
 */
struct event_base;

int hrac_start(struct event_base *base, void *conf, void **state);
void hrac_reload(void *state, void *conf);
void hrac_stop(void *state);
void hrac_free(void *state);

#endif
