# SPDX-License-Identifier: GPL-3.0-or-later
# Every .c and .h of this folder, in pairs, in the order of the alphabet.
libvcit_a_SOURCES = \
	common/vcit/call.c \
	common/vcit/end.c \
	common/vcit/face.c \
	common/vcit/heard.c \
	common/vcit/leg.c \
	common/vcit/offer.c \
	common/vcit/place.c \
	common/vcit/room.c common/vcit/room.h \
	common/vcit/row.c common/vcit/row.h \
	common/vcit/state.c \
	common/vcit/vcit.c common/vcit/vcit.h \
	common/vcit/view.c
