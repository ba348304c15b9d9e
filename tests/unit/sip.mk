# SPDX-License-Identifier: GPL-3.0-or-later
unit_tests += tests/unit/test_msg
tests_unit_test_msg_SOURCES = tests/unit/test_msg.c tests/unit/sip_corpus.c tests/unit/sip_corpus.h
unit_tests += tests/unit/test_transaction
unit_tests += tests/unit/test_frame
unit_tests += tests/unit/test_timers
unit_tests += tests/unit/test_transport
unit_tests += tests/unit/test_resolve
