/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "media/media.h"

static void
assert_about(double is, double want)
{
	assert_true(fabs(is - want) < 0.001);
}

static void
mos_agrees_with_the_model_worked_by_hand(void **state)
{
	(void)state;
	assert_about(media_mos(0, 0), 4.428);    /* R = 94.2 */
	assert_about(media_mos(80, 0), 4.391);   /* R = 94.2 - 1.92 */
	assert_about(media_mos(300, 0), 3.757);  /* R = 94.2 - 7.2 - 13.497 = 73.50 */
	assert_about(media_mos(0, 0.05), 3.963); /* R = 94.2 - 95 * 5 / 30.1 = 78.42 */
	assert_about(media_mos(0, 0.20), 2.684); /* R = 94.2 - 95 * 20 / 45.1 = 52.07 */
}

static void
mos_stays_within_its_scale_and_falls_with_loss_and_delay(void **state)
{
	(void)state;
	for (double delay = 0; delay < 2000; delay += 10) {
		for (double loss = 0; loss <= 1; loss += 0.01) {
			double mos = media_mos(delay, loss);

			assert_true(mos >= 1 && mos <= 4.5);
			assert_true(media_mos(delay + 10, loss) <= mos + 1e-3);
			assert_true(media_mos(delay, loss + 0.01) <= mos + 1e-3);
		}
	}
	assert_about(media_mos(10000, 1), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mos_agrees_with_the_model_worked_by_hand),
		cmocka_unit_test(mos_stays_within_its_scale_and_falls_with_loss_and_delay),
	};

	return cmocka_run_group_tests_name("mos", tests, NULL, NULL);
}
