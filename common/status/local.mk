# SPDX-License-Identifier: GPL-3.0-or-later
# Every .c and .h of this folder, in pairs, in the order of the alphabet.
libstatus_a_SOURCES = \
	common/status/history.c common/status/history.h \
	common/status/page.h \
	common/status/render.c common/status/render.h \
	common/status/shape.c common/status/shape.h \
	common/status/status.c common/status/status.h \
	common/status/trend.c common/status/trend.h \
	common/status/worst.c common/status/worst.h
nodist_libstatus_a_SOURCES = common/status/page.c

EXTRA_DIST += common/status/page.html
CLEANFILES += common/status/page.c

# The page becomes bytes of the program, so that it needs no file beside it.
common/status/page.c: common/status/page.html
	$(AM_V_GEN)$(MKDIR_P) common/status && { \
	echo '/* SPDX-License-Identifier: GPL-3.0-or-later */'; \
	echo '/* clang-format off */'; \
	echo '#include "status/page.h"'; \
	echo 'const char status_page[] = {'; \
	od -An -v -tx1 $(srcdir)/common/status/page.html | sed 's/ \(..\)/ 0x\1,/g'; \
	echo ' 0x00'; echo '};'; \
	echo 'const size_t status_page_len = sizeof(status_page) - 1;'; } > $@.tmp && mv $@.tmp $@
