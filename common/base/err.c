/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/err.h"

const char *
err_str(int err)
{
	switch (err) {
	case ERR_OK:
		return "no error";
	case ERR_MALFORMED:
		return "malformed";
	case ERR_INCOMPLETE:
		return "incomplete";
	case ERR_TOO_BIG:
		return "too big";
	case ERR_FULL:
		return "full";
	case ERR_NOT_FOUND:
		return "not found";
	case ERR_EXISTS:
		return "exists already";
	case ERR_AUTH:
		return "not authenticated";
	case ERR_STATE:
		return "not possible in this state";
	case ERR_TIMEOUT:
		return "timed out";
	case ERR_UNSUPPORTED:
		return "not supported";
	case ERR_IO:
		return "system error";
	case ERR_IN_USE:
		return "address in use";
	case ERR_DOWN:
		return "down";
	default:
		return "unknown error";
	}
}
