# SPDX-License-Identifier: GPL-3.0-or-later
sbin_PROGRAMS += hrac/hrac
hrac_hrac_SOURCES = hrac/main.c

noinst_LIBRARIES += libuplink.a
libuplink_a_SOURCES = \
	hrac/uplink.c hrac/uplink.h hrac/uplink_impl.h \
	hrac/uplink_cause.c hrac/uplink_cause.h \
	hrac/uplink_http.c hrac/uplink_http.h \
	hrac/uplink_link.c \
	hrac/uplink_poll.c hrac/uplink_poll.h \
	hrac/uplink_session.c
