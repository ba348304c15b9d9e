/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_STATUS_PAGE_H
#define VOFW_STATUS_PAGE_H

#include <stddef.h>

/* The status page, page.html, as bytes of the program (made at build time). */
extern const char status_page[];
extern const size_t status_page_len;

#endif
