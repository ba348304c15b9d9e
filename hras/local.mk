# SPDX-License-Identifier: GPL-3.0-or-later
# The outside agent. All but main.c are libraries, so that tests link what they test.
noinst_LIBRARIES += libhras.a libgateway.a
libhras_a_SOURCES = \
	hras/faces.c hras/faces.h \
	hras/facts.c \
	hras/hras.c hras/hras.h \
	hras/outside.h \
	hras/watch.c
libgateway_a_SOURCES = \
	hras/gateway.c hras/gateway.h hras/gateway_impl.h \
	hras/gateway_agent.c \
	hras/gateway_conn.c hras/gateway_conn.h \
	hras/gateway_flow.c \
	hras/gateway_http.c hras/gateway_http.h hras/gateway_http_impl.h \
	hras/gateway_listen.c \
	hras/gateway_probe.c \
	hras/gateway_server.c \
	hras/gateway_tls.c hras/gateway_tls.h \
	hras/gateway_udp.c hras/gateway_udp.h

sbin_PROGRAMS += hras/hras
hras_hras_SOURCES = hras/main.c
hras_hras_LDADD = libhras.a libgateway.a $(vofw_libs)
