# SPDX-License-Identifier: GPL-3.0-or-later
# The inside agent. All but main.c are libraries, so that tests link what they test.
noinst_LIBRARIES += libhrac.a libdoctor.a libuplink.a
libhrac_a_SOURCES = \
	hrac/facts.c \
	hrac/hrac.c hrac/hrac.h \
	hrac/inside.h \
	hrac/line.c hrac/line.h \
	hrac/outage.c hrac/outage.h \
	hrac/taught.c hrac/taught.h \
	hrac/watch.c
libdoctor_a_SOURCES = \
	hrac/doctor.c hrac/doctor.h hrac/doctor_facts.h hrac/doctor_impl.h \
	hrac/doctor_json.c \
	hrac/doctor_judge.c \
	hrac/doctor_line.c \
	hrac/doctor_net.c \
	hrac/doctor_route.c \
	hrac/doctor_text.c \
	hrac/doctor_udp.c
libuplink_a_SOURCES = \
	hrac/network.c hrac/network.h \
	hrac/pac.c hrac/pac.h \
	hrac/pac_child.c \
	hrac/proxy.c hrac/proxy.h \
	hrac/proxy_way.c hrac/proxy_way.h \
	hrac/uplink.c hrac/uplink.h hrac/uplink_impl.h \
	hrac/uplink_body.c hrac/uplink_body.h \
	hrac/uplink_burst.c \
	hrac/uplink_cause.c hrac/uplink_cause.h \
	hrac/uplink_datagram.c \
	hrac/uplink_fetch.c hrac/uplink_fetch.h \
	hrac/uplink_climb.c \
	hrac/uplink_http.c hrac/uplink_http.h \
	hrac/uplink_ladder.c hrac/uplink_ladder.h \
	hrac/uplink_knock.c \
	hrac/uplink_link.c \
	hrac/uplink_look.c hrac/uplink_look.h \
	hrac/uplink_name.c hrac/uplink_name.h \
	hrac/uplink_poll.c hrac/uplink_poll.h \
	hrac/uplink_proxy.c hrac/uplink_proxy.h \
	hrac/uplink_probe.c hrac/uplink_probe.h \
	hrac/uplink_rekey.c \
	hrac/uplink_request.c hrac/uplink_request.h \
	hrac/uplink_route.c hrac/uplink_route.h \
	hrac/uplink_routes.c \
	hrac/uplink_session.c \
	hrac/uplink_signer.c hrac/uplink_signer.h \
	hrac/uplink_ticket.c hrac/uplink_ticket.h \
	hrac/uplink_udp.c hrac/uplink_udp.h \
	hrac/uplink_verdict.c \
	hrac/uplink_way.c

sbin_PROGRAMS += hrac/hrac
hrac_hrac_SOURCES = hrac/main.c
hrac_hrac_LDADD = libhrac.a libdoctor.a libuplink.a $(vofw_libs)
