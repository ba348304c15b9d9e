/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_BASE_ERR_H
#define VOFW_BASE_ERR_H

/*
 * The one list of errors. A function that can fail returns 0 (ERR_OK) or one of these; its
 * results go through its last pointers, which stay untouched on error.
 */
enum err {
	ERR_OK = 0,
	ERR_MALFORMED = -1,  /* the bytes can never become valid */
	ERR_INCOMPLETE = -2, /* valid so far: give more bytes */
	ERR_TOO_BIG = -3,    /* larger than its cap */
	ERR_FULL = -4,       /* a table, a queue or the range of ports is at its cap */
	ERR_NOT_FOUND = -5,
	ERR_EXISTS = -6,
	ERR_AUTH = -7,  /* a proof of identity is wrong, missing or used up */
	ERR_STATE = -8, /* not possible in the present state */
	ERR_TIMEOUT = -9,
	ERR_UNSUPPORTED = -10,
	ERR_IO = -11,     /* the system refused; errno tells why */
	ERR_IN_USE = -12, /* an address or port is taken */
	ERR_DOWN = -13,   /* the tunnel or the peer is not there */
};

/* A short lower-case phrase for `err`, for logs; static, never NULL. */
const char *err_str(int err);

#endif
