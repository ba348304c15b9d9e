/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/err.h"
#include "tunnel/recover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
take_rebuilt(struct recover *r, unsigned *touched)
{
	const uint8_t *body;
	size_t media_n, len;
	uint32_t base;

	while (recover_next(r, &base, &media_n, &body, &len) == 0) {
		if (base > FRAME_MEDIA_MASK || media_n == 0 || media_n > 255 ||
		    len > FRAME_BODY_FILL)
			abort();
		for (size_t i = 0; i < len; i++)
			*touched += body[i];
	}
}

/* The input is a row of batches: those with flag 4 are kept, and all their sums are tried. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct recover *r = recover_new(2654435761u);
	unsigned touched = 0;
	struct frame_header h;
	struct wire_read body;
	size_t len;

	recover_expect(r, n % 2 == 0);
	for (; frame_batch_get(data, n, &h, &body, &len) == 0; data += len, n -= len) {
		const uint8_t *start = body.p;
		size_t media_n = 0, start_n = body.left;
		struct frame f;

		while (frame_next(&body, &f) == 0) {
			media_n += f.type == FRAME_MEDIA;
			if (f.type == FRAME_PARITY)
				recover_parity(r, &f.parity);
		}
		if (h.has_media)
			recover_batch(r, h.media_base, media_n, start, start_n);
		take_rebuilt(r, &touched);
	}
	if (touched != 0 && recover_stats(r)->rebuilt == 0)
		abort();
	recover_free(r);
	return 0;
}
