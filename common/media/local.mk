# SPDX-License-Identifier: GPL-3.0-or-later
# Every .c and .h of this folder, in pairs, in the order of the alphabet.
libmedia_a_SOURCES = \
	common/media/heard.c \
	common/media/latch.c common/media/latch.h \
	common/media/leg.c common/media/leg.h \
	common/media/media.h \
	common/media/mos.c \
	common/media/playout.c common/media/playout.h \
	common/media/ports.c common/media/ports.h \
	common/media/relay.c \
	common/media/rtp.c common/media/rtp.h \
	common/media/watch.c common/media/watch.h
