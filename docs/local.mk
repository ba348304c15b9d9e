# SPDX-License-Identifier: GPL-3.0-or-later
dist_man_MANS = docs/hrac.8 docs/hras.8 docs/hrac.conf.5 docs/hras.conf.5
