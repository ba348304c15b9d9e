# SPDX-License-Identifier: GPL-3.0-or-later
# Every .c and .h of this folder, in pairs, in the order of the alphabet.
libtunnel_a_SOURCES = \
	common/tunnel/cipher.c common/tunnel/cipher.h \
	common/tunnel/control.c common/tunnel/control.h \
	common/tunnel/crypto.c common/tunnel/crypto.h \
	common/tunnel/datagram.c common/tunnel/datagram.h \
	common/tunnel/datapath.c common/tunnel/datapath.h \
	common/tunnel/datapath_input.c \
	common/tunnel/demand.c \
	common/tunnel/duty.c \
	common/tunnel/flush.c \
	common/tunnel/frame.c common/tunnel/frame.h \
	common/tunnel/guard.c common/tunnel/guard.h \
	common/tunnel/handshake.c common/tunnel/handshake.h common/tunnel/handshake_impl.h \
	common/tunnel/handshake_server.c \
	common/tunnel/handshake_wire.c \
	common/tunnel/impl.h \
	common/tunnel/input.c \
	common/tunnel/meter.c common/tunnel/meter.h \
	common/tunnel/output.c \
	common/tunnel/parity.c common/tunnel/parity.h \
	common/tunnel/probe.c common/tunnel/probe.h \
	common/tunnel/poll.c \
	common/tunnel/recover.c common/tunnel/recover.h \
	common/tunnel/redundancy.c \
	common/tunnel/rekey.c \
	common/tunnel/reliable.c common/tunnel/reliable.h \
	common/tunnel/request.c common/tunnel/request.h \
	common/tunnel/sched.c common/tunnel/sched.h \
	common/tunnel/stream.c \
	common/tunnel/tally.h \
	common/tunnel/trust.c common/tunnel/trust.h \
	common/tunnel/tunnel.c common/tunnel/tunnel.h
