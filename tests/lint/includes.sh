#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The architecture as a check: which folder may include which, and which file is the only user of
# which library. See docs/ARCHITECTURE.md.
set -eu
cd "${srcdir:-$(dirname "$0")/../..}"

find common hrac hras -name '*.[ch]' | sort | xargs awk '
function may(from, to) {
	if (from == to || to == "base")
		return 1
	if (from == "base")
		return 0
	if (to == "log")
		return 1
	if (from == "hrac" || from == "hras")
		return to != "hrac" && to != "hras"
	return from == "vcit" && (to == "sip" || to == "media")
}

# The files that may include a header of this library; "" when it is free for all.
function users(header) {
	if (header ~ /^curl\//)
		return "^hrac/uplink"
	if (header ~ /^microhttpd/)
		return "^(hras/gateway|common/status/)"
	if (header ~ /^(osip2|osipparser2)\//)
		return "^common/sip/"
	if (header ~ /^ares/)
		return "^(common/sip/resolve|hrac/uplink/name\\.c$)"
	if (header ~ /^ortp\//)
		return "^common/media/rtp\\.c$"
	if (header ~ /^confuse/)
		return "^common/config/config\\.c$"
	if (header ~ /^jansson/)
		return "^common/status/"
	if (header ~ /^pacparser/)
		return "^hrac/proxy/pac_child\\.c$"
	if (header ~ /^sqlite3/)
		return "^common/sip/"
	return ""
}

function fail(text) {
	printf "%s:%d: %s\n", FILENAME, FNR, text
	bad = 1
}

FNR == 1 {
	split(FILENAME, part, "/")
	from = part[1] == "common" ? part[2] : part[1]
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, quoted, "\"")
	n = split(quoted[2], part, "/")
	if (n < 2)
		fail("\"" quoted[2] "\" has no folder")
	else if (!may(from, part[1]))
		fail(from " may not include " quoted[2])
	edges++
}

/^[ \t]*#[ \t]*include[ \t]*</ {
	header = $0
	sub(/^[^<]*</, "", header)
	sub(/>.*/, "", header)
	if (users(header) != "" && FILENAME !~ users(header))
		fail("<" header "> is for " users(header) " only")
}

END {
	# A check that reads nothing proves nothing.
	if (edges < 20) {
		print "only " edges + 0 " includes were found"
		bad = 1
	}
	exit bad
}'
