/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "tunnel/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *
secret_of(void *arg, const char *agent)
{
	(void)arg;
	return strcmp(agent, "office") == 0 ? "correct horse" : NULL;
}

/* To both ends: no stranger's body opens a session, and none is answered with too much. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct handshake_server *s;
	uint8_t out[HANDSHAKE_BODY_MAX];
	struct tunnel_grant grant;
	struct handshake h;
	enum handshake_step step = HANDSHAKE_CHALLENGED;
	size_t len;

	if (s == NULL)
		s = handshake_server_new(secret_of, NULL, true);
	if (handshake_server_input(s, 1000000, data, n, out, &len, &step, &grant) == 0 &&
	    (step != HANDSHAKE_CHALLENGED || len > sizeof(out)))
		abort();
	if (handshake_init(&h, "office", "correct horse", 1, true) < 0)
		abort();
	handshake_hello(&h, HANDSHAKE_SESSION, 0, out, &len);
	(void)handshake_respond(&h, data, n, out, &len);
	if (handshake_finish(&h, data, n, &grant) == 0)
		abort();
	return 0;
}
