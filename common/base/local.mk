# SPDX-License-Identifier: GPL-3.0-or-later
libbase_a_SOURCES = \
	common/base/addr.c common/base/addr.h \
	common/base/alarm.c common/base/alarm.h \
	common/base/buf.c common/base/buf.h \
	common/base/clock.c common/base/clock.h \
	common/base/daemon.c common/base/daemon.h \
	common/base/err.c common/base/err.h \
	common/base/heard.c common/base/heard.h \
	common/base/mem.c common/base/mem.h \
	common/base/metric.h \
	common/base/tcp.c common/base/tcp.h \
	common/base/timers.c common/base/timers.h \
	common/base/turn.c common/base/turn.h \
	common/base/udp.c common/base/udp.h
