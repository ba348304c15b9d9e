/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"

#include <stdbool.h>
#include <time.h>

uint64_t
clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * CLOCK_S + (uint64_t)t.tv_nsec / 1000;
}

uint64_t
clock_wall_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec;
}

uint64_t
clock_steady_s(void)
{
	static uint64_t begin_s; /* may be 0: a clock without a battery begins in 1970 */
	static bool known;
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	if (!known)
		begin_s = clock_wall_s() - (uint64_t)t.tv_sec;
	known = true;
	return begin_s + (uint64_t)t.tv_sec;
}
