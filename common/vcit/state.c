/* SPDX-License-Identifier: GPL-3.0-or-later */
/* On its own, so that HRAC, which only shows states, is not linked with the table. */
#include "vcit/vcit.h"

const char *
vcit_state_str(enum vcit_state state)
{
	static const char *const name[] = { [VCIT_CALLING] = "calling",
		[VCIT_RINGING] = "ringing",
		[VCIT_UP] = "up",
		[VCIT_HELD] = "held",
		[VCIT_ENDING] = "ending" };

	/* HRAC has it from the wire, perhaps of a newer HRAS. */
	return (size_t)state < sizeof(name) / sizeof(name[0]) ? name[state] : "unknown";
}
