# SPDX-License-Identifier: GPL-3.0-or-later
sbin_PROGRAMS += hras/hras
hras_hras_SOURCES = hras/main.c

noinst_LIBRARIES += libgateway.a
libgateway_a_SOURCES = \
	hras/gateway.c hras/gateway.h hras/gateway_impl.h \
	hras/gateway_agent.c \
	hras/gateway_conn.c hras/gateway_conn.h \
	hras/gateway_flow.c \
	hras/gateway_http.c hras/gateway_http.h
