/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tunnel/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The first byte is the type. What decodes is encoded to what decodes to the same bytes again. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t *once = mem_alloc(CONTROL_MAX), *twice = mem_alloc(CONTROL_MAX);
	size_t once_len, twice_len;
	struct control c;

	if (n > 0 && control_decode(data[0], data + 1, n - 1, &c) == 0 &&
	    (control_encode(&c, once, CONTROL_MAX, &once_len) < 0 || once_len > n - 1 ||
		control_decode(data[0], once, once_len, &c) < 0 ||
		control_encode(&c, twice, CONTROL_MAX, &twice_len) < 0 || once_len != twice_len ||
		memcmp(once, twice, once_len) != 0))
		abort();
	mem_free(once);
	mem_free(twice);
	return 0;
}
