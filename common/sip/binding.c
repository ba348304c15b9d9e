/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/binding.h"

#include "base/mem.h"

void
binding_copy(struct binding *to, const struct binding *from)
{
	*to = *from;
	to->aor = mem_strdup(from->aor);
	to->contact = mem_strdup(from->contact);
	to->agent = mem_strdup(from->agent);
	to->call_id = mem_strdup(from->call_id);
	to->user_agent = mem_strdup(from->user_agent);
	to->instance = mem_strdup(from->instance);
}

void
binding_clear(struct binding *b)
{
	mem_free(b->aor);
	mem_free(b->contact);
	mem_free(b->agent);
	mem_free(b->call_id);
	mem_free(b->user_agent);
	mem_free(b->instance);
	*b = (struct binding){ 0 };
}
