# SPDX-License-Identifier: GPL-3.0-or-later
# Every .c and .h of this folder, in pairs, in the order of the alphabet.
libtunnel_a_SOURCES = common/tunnel/control.h common/tunnel/handshake.h common/tunnel/tunnel.h
