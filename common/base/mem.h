/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_BASE_MEM_H
#define VOFW_BASE_MEM_H

#include <stddef.h>

#define MEM_LINE 64 /* bytes of a line of the cache */

/*
 * Memory that never fails: every function aborts the process, with a line on stderr, when the
 * system has none left. What the network can make us allocate is capped by its table, so that
 * only a broken host gets here. The caller owns what is returned and gives it back by mem_free.
 */
void *mem_alloc(size_t n);               /* n bytes, uninitialised */
void *mem_zalloc(size_t n);              /* n bytes of zero */
void *mem_calloc(size_t n, size_t size); /* n * size bytes of zero; the product is checked */
void *mem_zalloc_lines(size_t n);        /* as mem_zalloc, beginning with a line of the cache */
void *mem_realloc(void *p, size_t n);    /* takes over p (may be NULL) */
void *mem_dup(const void *p, size_t n);  /* a copy of n bytes, followed by a NUL byte */
char *mem_strdup(const char *s);         /* NULL gives NULL */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void mem_free(void *p); /* takes over p; NULL is fine */

/* Like mem_free, but overwrites the n bytes first; for keys and passwords. */
void mem_wipe_free(void *p, size_t n);

#endif
