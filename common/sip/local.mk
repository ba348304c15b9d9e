# SPDX-License-Identifier: GPL-3.0-or-later
# Every .c and .h of this folder, in pairs, in the order of the alphabet.
libsip_a_SOURCES = \
	common/sip/sdp.c common/sip/sdp.h \
	common/sip/sdp_rewrite.c \
	common/sip/sdp_text.c common/sip/sdp_text.h
