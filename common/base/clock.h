/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_BASE_CLOCK_H
#define VOFW_BASE_CLOCK_H

#include <stdint.h>

/*
 * Time. Everything that measures or waits uses the monotonic clock in microseconds; pure modules
 * never call it but are given `now_us`. Wall time is for people and for what outlives a restart.
 */
uint64_t clock_us(void);     /* monotonic, us; never goes back */
uint64_t clock_wall_s(void); /* seconds since 1970 UTC, as the machine believes now */

/*
 * Seconds since 1970 as the machine believed when this was first called, going on through sleep and
 * never jumping, whatever is done to the wall clock: for what must last so long and no longer.
 */
uint64_t clock_steady_s(void);

#define CLOCK_MS 1000ULL       /* us in a millisecond */
#define CLOCK_S 1000000ULL     /* us in a second */
#define CLOCK_NEVER UINT64_MAX /* a deadline that does not come */

#endif
