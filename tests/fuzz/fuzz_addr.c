/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/addr.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What parses prints, and what was printed parses to the same. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = mem_dup(data, n), printed[ADDR_STR_MAX];
	struct addr a, b;

	if (addr_parse(text, 5060, &a) == 0 &&
	    (addr_parse(addr_str(&a, printed), 0, &b) < 0 || !addr_equal(&a, &b) ||
		addr_hash(&a) != addr_hash(&b)))
		abort();
	if (addr_parse_last(text, 5060, &a) == 0 && !addr_is_set(&a))
		abort();
	(void)addr_parse_host((const char *)data, n, 1, &a);
	mem_free(text);
	return 0;
}
