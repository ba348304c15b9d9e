/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "sip/lines.h"
#include "sip/msg.h"

/* The one Content-Length of a header; two that differ are the trick by which a message is hidden
 * in the body of another one. */
static int
content_length(const char *header, size_t n, unsigned long *out)
{
	const char *p = header, *end = header + n;
	unsigned long value, first = 0;
	bool found = false;
	struct sip_line line;

	sip_lines_next(&p, end, &line); /* the start line */
	while (sip_lines_next(&p, end, &line)) {
		if (line.name == NULL || !sip_name_is(line.name, line.name_len, "Content-Length"))
			continue;
		if (!sip_number(line.value, line.value_len, (unsigned long)INT32_MAX, &value))
			return ERR_MALFORMED;
		if (found && value != first)
			return ERR_MALFORMED;
		first = value;
		found = true;
	}
	if (!found)
		return ERR_MALFORMED;
	*out = first;
	return 0;
}

int
sip_frame(const char *data, size_t n, size_t *skip, size_t *len)
{
	size_t lead = 0, header;
	unsigned long body;
	int err;

	while (lead < n && (data[lead] == '\r' || data[lead] == '\n'))
		lead++;
	*skip = lead;
	header = sip_lines_end(data + lead, n - lead);
	if (header == 0)
		return n - lead >= SIP_MSG_MAX ? ERR_TOO_BIG : ERR_INCOMPLETE;
	if (header > SIP_MSG_MAX)
		return ERR_TOO_BIG;
	err = content_length(data + lead, header, &body);
	if (err != 0)
		return err;
	if (body > SIP_MSG_MAX - header)
		return ERR_TOO_BIG;
	if (n - lead - header < body)
		return ERR_INCOMPLETE;
	*len = header + body;
	return 0;
}
