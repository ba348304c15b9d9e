# SPDX-License-Identifier: GPL-3.0-or-later
sbin_PROGRAMS += hras/hras
hras_hras_SOURCES = hras/main.c
