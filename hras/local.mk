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
	hras/gateway/gateway.c hras/gateway/gateway.h hras/gateway/impl.h \
	hras/gateway/agent.c \
	hras/gateway/conn.c hras/gateway/conn.h \
	hras/gateway/flow.c \
	hras/gateway/http.c hras/gateway/http.h hras/gateway/http_impl.h \
	hras/gateway/listen.c \
	hras/gateway/probe.c \
	hras/gateway/server.c \
	hras/gateway/tls.c hras/gateway/tls.h \
	hras/gateway/udp.c hras/gateway/udp.h

sbin_PROGRAMS += hras/hras
hras_hras_SOURCES = hras/main.c
hras_hras_LDADD = libhras.a libgateway.a $(vofw_libs)
