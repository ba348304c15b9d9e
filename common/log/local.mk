# SPDX-License-Identifier: GPL-3.0-or-later
liblog_a_SOURCES = common/log/log.c common/log/log.h
