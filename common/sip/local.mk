# SPDX-License-Identifier: GPL-3.0-or-later
# Every .c and .h of this folder, in the order of the alphabet; a line a file.
libsip_a_SOURCES =
libsip_a_SOURCES += common/sip/auth.c common/sip/auth.h
libsip_a_SOURCES += common/sip/binding.c common/sip/binding.h
libsip_a_SOURCES += common/sip/crypto.c common/sip/crypto.h
libsip_a_SOURCES += common/sip/flow.c common/sip/flow.h
libsip_a_SOURCES += common/sip/frame.c
libsip_a_SOURCES += common/sip/lines.c common/sip/lines.h
libsip_a_SOURCES += common/sip/location.c common/sip/location.h
libsip_a_SOURCES += common/sip/msg.c common/sip/msg.h
libsip_a_SOURCES += common/sip/msg_body.c
libsip_a_SOURCES += common/sip/msg_check.c
libsip_a_SOURCES += common/sip/msg_parse.c
libsip_a_SOURCES += common/sip/sdp.c common/sip/sdp.h
libsip_a_SOURCES += common/sip/sdp_rewrite.c
libsip_a_SOURCES += common/sip/sdp_text.c common/sip/sdp_text.h
libsip_a_SOURCES += common/sip/seal.c common/sip/seal.h
libsip_a_SOURCES += common/sip/store.c common/sip/store.h
libsip_a_SOURCES += common/sip/transaction.c common/sip/transaction.h
libsip_a_SOURCES += common/sip/txn.h
libsip_a_SOURCES += common/sip/txn_client.c
libsip_a_SOURCES += common/sip/txn_server.c
libsip_a_SOURCES += common/sip/txn_table.c
libsip_a_SOURCES += common/sip/txn_via.c
