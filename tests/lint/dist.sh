#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What git has, `make dist` has. Only for a checkout, and given the directory that dist made.
set -eu
top=${srcdir:-$(dirname "$0")/../..}
distdir=${1:?usage: dist.sh DISTDIR}

missing=$(git -C "$top" -c safe.directory='*' ls-files | while read -r f; do
	[ -e "$distdir/$f" ] || [ ! -e "$top/$f" ] || echo "$f"
done | grep -v -e '^\.git' || true)
[ -z "$missing" ] || {
	echo "not in the tarball:" $missing
	exit 1
}
