# SPDX-License-Identifier: GPL-3.0-or-later
libconfig_a_SOURCES = common/config/config.h
