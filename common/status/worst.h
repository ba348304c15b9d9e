/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_STATUS_WORST_H
#define VOFW_STATUS_WORST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/heard.h"

/*
 * Finds the `max` calls that are heard worst among any number of them, in two walks over the same
 * calls and without keeping any: worst_note for each, then worst_take for each. To show a thousand
 * calls takes longer than voice should wait; to look at them does not. Pure.
 */
#define WORST_MOS_MAX 500 /* hundredths */

struct worst {
	size_t max, calls_n; /* to show; noted */
	bool chosen;
	unsigned below; /* ranks less than this are all shown, and of this one ... */
	size_t left;    /* ... so many more */
	size_t of_rank[WORST_MOS_MAX + 2];
};

/* The worse of a MOS and of what somebody hears now; 0 = not known. */
unsigned worst_of(unsigned mos, const struct heard *h);

void worst_init(struct worst *w, size_t max); /* 0 = all */
/* MOS in hundredths; 0 = nobody is known to hear anything: comes last. */
void worst_note(struct worst *w, unsigned mos);
/* Is this call to be shown? Each call with the MOS that it was noted with. */
bool worst_take(struct worst *w, unsigned mos);

#endif
