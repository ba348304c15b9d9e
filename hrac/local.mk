# SPDX-License-Identifier: GPL-3.0-or-later
sbin_PROGRAMS += hrac/hrac
hrac_hrac_SOURCES = hrac/main.c
