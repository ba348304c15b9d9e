# SPDX-License-Identifier: GPL-3.0-or-later
lossy_link = tests/support/lossy_link.c tests/support/lossy_link.h
unit_tests += tests/unit/test_control tests/unit/test_handshake tests/unit/test_parity \
	tests/unit/test_protocol \
	tests/unit/test_recover tests/unit/test_reliable tests/unit/test_sched tests/unit/test_tunnel \
	tests/unit/test_tunnel_alone tests/unit/test_tunnel_frame tests/unit/test_tunnel_harm
tests_unit_test_tunnel_SOURCES = tests/unit/test_tunnel.c $(lossy_link)
tests_unit_test_tunnel_harm_SOURCES = tests/unit/test_tunnel_harm.c $(lossy_link)
