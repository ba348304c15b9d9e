# SPDX-License-Identifier: GPL-3.0-or-later
unit_tests += tests/unit/test_addr
unit_tests += tests/unit/test_buf
unit_tests += tests/unit/test_config
unit_tests += tests/unit/test_daemon
unit_tests += tests/unit/test_log
unit_tests += tests/unit/test_turn
