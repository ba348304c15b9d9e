# SPDX-License-Identifier: GPL-3.0-or-later
unit_tests += tests/unit/test_heard tests/unit/test_latch tests/unit/test_mos \
	tests/unit/test_playout tests/unit/test_ports tests/unit/test_relay tests/unit/test_rtp \
	tests/unit/test_sdp tests/unit/test_watch
