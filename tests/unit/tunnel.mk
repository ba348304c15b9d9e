# SPDX-License-Identifier: GPL-3.0-or-later
unit_tests += tests/unit/test_tunnel
tests_unit_test_tunnel_SOURCES = tests/unit/test_tunnel.c \
	tests/support/lossy_link.c tests/support/lossy_link.h
