# SPDX-License-Identifier: GPL-3.0-or-later
unit_tests += tests/unit/test_addr
unit_tests += tests/unit/test_alarm
unit_tests += tests/unit/test_buf
unit_tests += tests/unit/test_config
unit_tests += tests/unit/test_daemon
unit_tests += tests/unit/test_err
unit_tests += tests/unit/test_log
unit_tests += tests/unit/test_mem
unit_tests += tests/unit/test_turn
unit_tests += tests/unit/test_udp

unit_tests += tests/unit/test_clock
tests_unit_test_clock_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=clock_gettime
