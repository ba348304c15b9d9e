# SPDX-License-Identifier: GPL-3.0-or-later
fuzz_targets += tests/fuzz/fuzz_control tests/fuzz/fuzz_frame tests/fuzz/fuzz_handshake \
	tests/fuzz/fuzz_probe tests/fuzz/fuzz_recover tests/fuzz/fuzz_tunnel
tests_fuzz_fuzz_control_SOURCES = tests/fuzz/fuzz_control.c $(fuzz_main)
tests_fuzz_fuzz_control_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_frame_SOURCES = tests/fuzz/fuzz_frame.c $(fuzz_main)
tests_fuzz_fuzz_frame_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_handshake_SOURCES = tests/fuzz/fuzz_handshake.c $(fuzz_main)
tests_fuzz_fuzz_handshake_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_probe_SOURCES = tests/fuzz/fuzz_probe.c $(fuzz_main)
tests_fuzz_fuzz_probe_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_recover_SOURCES = tests/fuzz/fuzz_recover.c $(fuzz_main)
tests_fuzz_fuzz_recover_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_tunnel_SOURCES = tests/fuzz/fuzz_tunnel.c $(fuzz_main)
tests_fuzz_fuzz_tunnel_LDFLAGS = $(fuzz_ldflags)
fuzz_targets += tests/fuzz/fuzz_datagram
tests_fuzz_fuzz_datagram_SOURCES = tests/fuzz/fuzz_datagram.c $(fuzz_main)
tests_fuzz_fuzz_datagram_LDFLAGS = $(fuzz_ldflags)
fuzz_targets += tests/fuzz/fuzz_seal
tests_fuzz_fuzz_seal_SOURCES = tests/fuzz/fuzz_seal.c $(fuzz_main)
tests_fuzz_fuzz_seal_LDFLAGS = $(fuzz_ldflags)
