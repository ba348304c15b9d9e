# SPDX-License-Identifier: GPL-3.0-or-later
fuzz_targets += tests/fuzz/fuzz_server
tests_fuzz_fuzz_server_SOURCES = tests/fuzz/fuzz_server.c $(fuzz_main)
tests_fuzz_fuzz_server_LDFLAGS = $(fuzz_ldflags)
