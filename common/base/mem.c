/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void
out_of_memory(void)
{
	static const char line[] = "out of memory\n";

	/* Not by stdio, which may want to allocate. */
	(void)!write(STDERR_FILENO, line, sizeof(line) - 1);
	abort();
}

void *
mem_alloc(size_t n)
{
	return mem_realloc(NULL, n);
}

void *
mem_zalloc(size_t n)
{
	return mem_calloc(1, n);
}

void *
mem_calloc(size_t n, size_t size)
{
	/* Never 0 bytes: NULL would then be a good answer, and look like a bad one. */
	void *p = n == 0 || size == 0 ? calloc(1, 1) : calloc(n, size);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *
mem_zalloc_lines(size_t n)
{
	void *p = NULL;

	if (posix_memalign(&p, MEM_LINE, n == 0 ? 1 : n) != 0)
		out_of_memory();
	return memset(p, 0, n);
}

void *
mem_realloc(void *p, size_t n)
{
	void *q = realloc(p, n == 0 ? 1 : n);

	if (q == NULL)
		out_of_memory();
	return q;
}

void *
mem_dup(const void *p, size_t n)
{
	char *copy;

	if (n == SIZE_MAX)
		out_of_memory();
	copy = mem_alloc(n + 1);
	if (n != 0)
		memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

char *
mem_strdup(const char *s)
{
	return s == NULL ? NULL : mem_dup(s, strlen(s));
}

char *
mem_printf(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory();
	return s;
}

void
mem_free(void *p)
{
	free(p);
}

void
mem_wipe_free(void *p, size_t n)
{
	if (p != NULL)
		explicit_bzero(p, n);
	free(p);
}
