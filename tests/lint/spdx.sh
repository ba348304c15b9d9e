#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Every source file says its licence in its first lines.
set -eu
cd "${srcdir:-$(dirname "$0")/../..}"

# xargs -r: no file is no error of this check, but of the tree; then find says so.
without=$({
	find common hrac hras conf docs tests .ci -type f \( -name '*.[ch58]' -o -name '*.mk' \
		-o -name '*.sh' -o -name '*.py' -o -name '*.in' \) -print
	find tests .ci -type f -perm -u+x ! -name '*.o' -exec grep -lI '^#!' {} +
	ls configure.ac Makefile.am bootstrap .clang-format
} | sort -u | while read -r f; do
	head -n 5 "$f" | grep -q 'SPDX-License-Identifier: GPL-3.0-or-later' || echo "$f"
done)
[ -z "$without" ] || {
	echo "no SPDX line in:" $without
	exit 1
}
