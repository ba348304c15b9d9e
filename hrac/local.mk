# SPDX-License-Identifier: GPL-3.0-or-later
# The inside agent. All but main.c are libraries, so that tests link what they test.
noinst_LIBRARIES += libhrac.a libdoctor.a libuplink.a libproxy.a
libhrac_a_SOURCES = \
	hrac/facts.c \
	hrac/hrac.c hrac/hrac.h \
	hrac/inside.h \
	hrac/line.c hrac/line.h \
	hrac/outage.c hrac/outage.h \
	hrac/taught.c hrac/taught.h \
	hrac/watch.c
libdoctor_a_SOURCES = \
	hrac/doctor/doctor.c hrac/doctor/doctor.h hrac/doctor/facts.h hrac/doctor/impl.h \
	hrac/doctor/json.c \
	hrac/doctor/judge.c \
	hrac/doctor/line.c \
	hrac/doctor/net.c \
	hrac/doctor/route.c \
	hrac/doctor/text.c \
	hrac/doctor/udp.c
libuplink_a_SOURCES = \
	hrac/network.c hrac/network.h \
	hrac/uplink/uplink.c hrac/uplink/uplink.h hrac/uplink/impl.h \
	hrac/uplink/body.c hrac/uplink/body.h \
	hrac/uplink/burst.c \
	hrac/uplink/cause.c hrac/uplink/cause.h \
	hrac/uplink/datagram.c \
	hrac/uplink/climb.c \
	hrac/uplink/http.c hrac/uplink/http.h \
	hrac/uplink/ladder.c hrac/uplink/ladder.h \
	hrac/uplink/knock.c \
	hrac/uplink/link.c \
	hrac/uplink/look.c hrac/uplink/look.h \
	hrac/uplink/name.c hrac/uplink/name.h \
	hrac/uplink/proxy.c hrac/uplink/proxy.h \
	hrac/uplink/probe.c hrac/uplink/probe.h \
	hrac/uplink/rekey.c \
	hrac/uplink/request.c hrac/uplink/request.h \
	hrac/uplink/route.c hrac/uplink/route.h \
	hrac/uplink/routes.c \
	hrac/uplink/session.c \
	hrac/uplink/signer.c hrac/uplink/signer.h \
	hrac/uplink/ticket.c hrac/uplink/ticket.h \
	hrac/uplink/udp.c hrac/uplink/udp.h \
	hrac/uplink/verdict.c \
	hrac/uplink/way.c
# What it needs of libcurl is the uplink's, which needs it too.
libproxy_a_SOURCES = \
	hrac/proxy/pac.c hrac/proxy/pac.h \
	hrac/proxy/pac_child.c \
	hrac/proxy/proxy.c hrac/proxy/proxy.h \
	hrac/proxy/way.c hrac/proxy/way.h \
	hrac/uplink/fetch.c hrac/uplink/fetch.h \
	hrac/uplink/poll.c hrac/uplink/poll.h

sbin_PROGRAMS += hrac/hrac
hrac_hrac_SOURCES = hrac/main.c
hrac_hrac_LDADD = libhrac.a libdoctor.a libuplink.a libproxy.a $(vofw_libs)
