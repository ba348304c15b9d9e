# SPDX-License-Identifier: GPL-3.0-or-later
fuzz_targets += tests/fuzz/fuzz_sip
tests_fuzz_fuzz_sip_SOURCES = tests/fuzz/fuzz_sip.c $(fuzz_main)
tests_fuzz_fuzz_sip_LDFLAGS = $(fuzz_ldflags)
fuzz_targets += tests/fuzz/fuzz_sip_layer
tests_fuzz_fuzz_sip_layer_SOURCES = tests/fuzz/fuzz_sip_layer.c $(fuzz_main)
tests_fuzz_fuzz_sip_layer_LDFLAGS = $(fuzz_ldflags)
