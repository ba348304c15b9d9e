/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sip/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
use(struct sip_msg *m)
{
	char buf[256];
	const char *sdp;
	size_t n;

	sip_msg_call_id(m, buf, sizeof(buf));
	sip_msg_from_uri(m, buf, sizeof(buf));
	sip_msg_to_uri(m, buf, sizeof(buf));
	sip_msg_cseq(m);
	sip_msg_from_tag(m);
	sip_msg_to_tag(m);
	sip_msg_branch(m);
	sip_msg_method(m);
	sip_msg_header(m, "expires");
	sdp = sip_msg_sdp(m, &n);
	if (sdp != NULL)
		sip_msg_sdp_set(m, "v=0\r\n", 5);
	sip_msg_header_remove(m, "x");
	sip_msg_header_set(m, "s", "y");
}

/* What passed the check goes out again as a message that passes it, too. */
static void
encode(const struct sip_msg *m, int status)
{
	struct sip_msg *again = NULL;
	const char *why;
	char *text;
	size_t n;

	if (sip_msg_encode(m, &text, &n) != 0)
		return;
	if (status == 0 && (sip_msg_parse(text, n, &again) != 0 || sip_msg_check(again, &why) != 0))
		abort();
	sip_msg_free(again);
	mem_free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct sip_msg *m = NULL, *copy;
	const char *why;
	size_t skip, len;
	int status;

	if (sip_frame((const char *)data, n, &skip, &len) == 0 && skip + len > n)
		abort();
	if (sip_msg_parse((const char *)data, n, &m) != 0)
		return 0;
	status = sip_msg_check(m, &why);
	if (status >= 0 && sip_msg_is_request(m)) {
		copy = sip_msg_response(m, 400, why, "tag");
		encode(copy, 1);
		sip_msg_free(copy);
	}
	copy = sip_msg_clone(m);
	use(copy);
	encode(copy, status);
	sip_msg_free(copy);
	sip_msg_free(m);
	return 0;
}
