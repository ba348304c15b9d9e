/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip_corpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

char *
sip_corpus(const char *name, size_t *n)
{
	const char *srcdir = getenv("srcdir");
	char file[1024], *data;
	FILE *f;

	snprintf(file, sizeof(file), "%s/tests/fuzz/corpus/sip/%s", srcdir == NULL ? "." : srcdir,
	    name);
	f = fopen(file, "rb");
	if (f == NULL)
		fail_msg("%s cannot be opened", file);
	fseek(f, 0, SEEK_END);
	*n = (size_t)ftell(f);
	rewind(f);
	data = malloc(*n);
	assert_int_equal(fread(data, 1, *n, f), *n);
	fclose(f);
	return data;
}
