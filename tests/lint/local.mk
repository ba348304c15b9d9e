# SPDX-License-Identifier: GPL-3.0-or-later
# What a compiler does not see. All of it is part of `make check`; `make lint` runs it alone, after
# a build in which each warning is an error.
lint_scripts = \
	tests/lint/format.sh \
	tests/lint/headers.sh \
	tests/lint/includes.sh \
	tests/lint/man.sh \
	tests/lint/spdx.sh

dist_check_SCRIPTS += $(lint_scripts) tests/lint/dist.sh
TESTS += $(lint_scripts)

lint_cc = $(CC) $(AM_CPPFLAGS) $(CPPFLAGS) $(AM_CFLAGS) $(CFLAGS)

.PHONY: lint format
# From the first object: a warning that was seen once would not be told again.
lint:
	$(MAKE) $(AM_MAKEFLAGS) mostlyclean-compile
	$(MAKE) $(AM_MAKEFLAGS) all WARN_CFLAGS='$(WARN_CFLAGS) -Werror'
	$(AM_TESTS_ENVIRONMENT) srcdir='$(srcdir)'; export srcdir; \
	for t in $(lint_scripts); do \
		echo "  LINT     $$t"; $(srcdir)/$$t || test $$? = 77 || exit 1; \
	done
	if test -e $(srcdir)/.git; then \
		$(MAKE) $(AM_MAKEFLAGS) distdir && $(srcdir)/tests/lint/dist.sh $(distdir) && \
		chmod -R u+w $(distdir) && rm -rf $(distdir); \
	fi

format:
	cd $(srcdir) && find common hrac hras tests -name '*.[ch]' -print0 | \
		xargs -0 clang-format -i
