#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Every header compiles alone, and twice in a row, without a warning. LINT_CC is the compiler with
# the flags of the build.
set -eu
top=${srcdir:-$(dirname "$0")/../..}
cc=${LINT_CC:?run me by make lint or make check}
bad=0 n=0

for h in $(cd "$top" && find common hrac hras -name '*.h' | sort); do
	n=$((n + 1))
	printf '#include "%s"\n#include "%s"\nextern int lint_unit;\n' "$h" "$h" |
		$cc -Werror -fsyntax-only -x c - || {
		echo "$h does not compile alone"
		bad=1
	}
done
[ "$n" -gt 0 ] || exit 1
exit $bad
