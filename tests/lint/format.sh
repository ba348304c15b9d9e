#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The code has the shape of .clang-format; `make format` gives it that. Each version of clang-format
# has its own taste, so only the one of Debian 12 judges.
set -eu
cd "${srcdir:-$(dirname "$0")/../..}"

case $(clang-format --version 2>/dev/null) in
*'version 14.'*) ;;
*)
	echo "clang-format 14 is not installed"
	exit 77 ;;
esac
find common hrac hras tests -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror || {
	echo "make format gives it the shape of .clang-format"
	exit 1
}
