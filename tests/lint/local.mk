# SPDX-License-Identifier: GPL-3.0-or-later
# What a compiler does not see. All of it is part of `make check`; `make lint` runs it alone, after
# a build in which each warning is an error.
lint_scripts = \
	tests/lint/headers.sh \
	tests/lint/includes.sh \
	tests/lint/man.sh \
	tests/lint/spdx.sh

dist_check_SCRIPTS += $(lint_scripts) tests/lint/format.sh
TESTS += $(lint_scripts)

lint_cc = $(CC) $(AM_CPPFLAGS) $(CPPFLAGS) $(AM_CFLAGS) $(CFLAGS)

.PHONY: lint format
lint:
	$(MAKE) $(AM_MAKEFLAGS) clean-lint all WARN_CFLAGS='$(WARN_CFLAGS) -Werror'
	$(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS='$(lint_scripts) tests/lint/format.sh'

# Objects only: a warning that was seen once would not be told again.
.PHONY: clean-lint
clean-lint: mostlyclean-compile

format:
	cd $(srcdir) && find common hrac hras tests -name '*.[ch]' -print0 | \
		xargs -0 clang-format -i
