/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_BINDING_H
#define VOFW_SIP_BINDING_H

#include "sip/location.h"

/* Copies a binding with its strings; the owner gives them back by binding_clear. */
void binding_copy(struct binding *to, const struct binding *from);
void binding_clear(struct binding *b);

#endif
