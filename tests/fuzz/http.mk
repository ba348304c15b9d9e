# SPDX-License-Identifier: GPL-3.0-or-later
fuzz_targets += tests/fuzz/fuzz_proxy_way
tests_fuzz_fuzz_proxy_way_SOURCES = tests/fuzz/fuzz_proxy_way.c $(fuzz_main)
tests_fuzz_fuzz_proxy_way_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_proxy_way_LDADD = libuplink.a libproxy.a $(LDADD)
