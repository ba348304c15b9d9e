/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "media/media.h"

/*
 * R = 94.2 - Id - Ie,eff (Cole and Rosenbluth, "Voice over IP Performance Monitoring", 2001): 94.2
 * is what G.107's defaults leave for a narrow-band call.
 */
#define R_BEST 94.2
#define ECHO_FREE_MS 177.3 /* beyond it a delay is heard as one (G.107 §3.4 in the linear form) */
#define BPL_G711_PLC 25.1  /* robustness of G.711 with concealment against loss, G.113 table I.4 */
#define IE_MAX 95.0

static double
delay_impairment(double delay_ms)
{
	double id = 0.024 * delay_ms;

	if (delay_ms > ECHO_FREE_MS)
		id += 0.11 * (delay_ms - ECHO_FREE_MS);
	return id;
}

double
media_mos(double delay_ms, double loss)
{
	double loss_percent = 100.0 * loss;
	double ie = IE_MAX * loss_percent / (loss_percent + BPL_G711_PLC); /* G.107 §3.5; Ie = 0 */
	double r = R_BEST - delay_impairment(delay_ms) - ie, mos;

	if (r <= 0)
		return 1;
	mos = 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6; /* G.107 annex B */
	return mos < 1 ? 1 : mos; /* the cubic dips a little below 1 where R < 6.5 */
}
