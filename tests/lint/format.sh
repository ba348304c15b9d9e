#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The code has the shape of .clang-format; `make format` gives it that.
set -eu
cd "${srcdir:-$(dirname "$0")/../..}"

command -v clang-format >/dev/null || {
	echo "clang-format is not installed"
	exit 77
}
find common hrac hras tests -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror
