#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The manual pages are good mdoc.
set -eu
cd "${srcdir:-$(dirname "$0")/../..}"

command -v mandoc >/dev/null || {
	echo "mandoc is not installed"
	exit 77
}
mandoc -T lint -W warning docs/*.[58]
