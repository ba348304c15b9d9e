# SPDX-License-Identifier: GPL-3.0-or-later
# libFuzzer targets. A module's fragment says, for tests/fuzz/fuzz_frame.c,
#	fuzz_targets += tests/fuzz/fuzz_frame
#	tests_fuzz_fuzz_frame_SOURCES = tests/fuzz/fuzz_frame.c $(fuzz_main)
#	tests_fuzz_fuzz_frame_LDFLAGS = $(fuzz_ldflags)
# `make check` replays tests/fuzz/corpus/frame/* through it; `tests/fuzz/run frame SECONDS` fuzzes.
fuzz_targets =
fuzz_ldflags = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
if FUZZ
fuzz_main =
noinst_PROGRAMS += $(fuzz_targets)
else
fuzz_main = tests/fuzz/replay.c
check_PROGRAMS += $(fuzz_targets)
TESTS += $(fuzz_targets)
endif

include tests/fuzz/base.mk
include tests/fuzz/tunnel.mk
include tests/fuzz/http.mk
include tests/fuzz/sip.mk
include tests/fuzz/proxy.mk
include tests/fuzz/media.mk
include tests/fuzz/status.mk

EXTRA_DIST += tests/fuzz/replay.c tests/fuzz/corpus tests/fuzz/run
