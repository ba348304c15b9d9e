# SPDX-License-Identifier: GPL-3.0-or-later
# The cmocka programs. Each module has a fragment of its own, in which a test is one line,
#	unit_tests += tests/unit/test_frame
# for tests/unit/test_frame.c alone; more files go into tests_unit_test_frame_SOURCES as usual.
unit_tests =

include tests/unit/base.mk
include tests/unit/tunnel.mk
include tests/unit/hrac.mk
include tests/unit/http.mk
include tests/unit/sip.mk
include tests/unit/proxy.mk
include tests/unit/media.mk
include tests/unit/status.mk
include tests/unit/vcit.mk

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif

LDADD += $(CMOCKA_LIBS)

# Every test finds the tree by srcdir (make's own) and the binaries by builddir.
AM_TESTS_ENVIRONMENT = \
	ASAN_OPTIONS=detect_leaks=1; UBSAN_OPTIONS=print_stacktrace=1; \
	LINT_CC='$(lint_cc)'; builddir=.; \
	export ASAN_OPTIONS UBSAN_OPTIONS LINT_CC builddir;
