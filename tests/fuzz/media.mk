# SPDX-License-Identifier: GPL-3.0-or-later
fuzz_targets += tests/fuzz/fuzz_sdp
tests_fuzz_fuzz_sdp_SOURCES = tests/fuzz/fuzz_sdp.c $(fuzz_main)
tests_fuzz_fuzz_sdp_LDFLAGS = $(fuzz_ldflags)
fuzz_targets += tests/fuzz/fuzz_rtp
tests_fuzz_fuzz_rtp_SOURCES = tests/fuzz/fuzz_rtp.c $(fuzz_main)
tests_fuzz_fuzz_rtp_LDFLAGS = $(fuzz_ldflags)
