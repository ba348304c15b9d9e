# SPDX-License-Identifier: GPL-3.0-or-later
libconfig_a_SOURCES = \
	common/config/agents.c \
	common/config/config.c common/config/config.h \
	common/config/credentials.c common/config/credentials.h \
	common/config/schema.h \
	common/config/text.c common/config/text.h \
	common/config/types.c
