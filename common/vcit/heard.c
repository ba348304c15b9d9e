/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "vcit/row.h"

void
vcit_leg_heard(struct vcit *v, uint32_t face, uint32_t number, const struct heard *h)
{
	struct leg *leg = vcit_leg_find(v, face, number);

	if (leg == NULL)
		return;
	heard_add(&v->heard, h, &leg->heard);
	leg->heard = *h;
}

struct heard_sum
vcit_take_heard(struct vcit *v)
{
	struct heard_sum sum = v->heard;

	v->heard = (struct heard_sum){ 0 };
	return sum;
}

/* The one who listens to the phone of `leg` is served by ourselves, or by the peer's agent. */
struct heard
vcit_heard_of(const struct leg *leg)
{
	struct media_stats s;

	media_leg_stats(leg->media, &s);
	if (s.to_phone)
		return media_heard(&s);
	return leg->peer != NULL ? leg->peer->heard : (struct heard){ 0 };
}

void
vcit_each_heard(struct vcit *v, unsigned part, unsigned parts, vcit_heard_cb *cb, void *arg)
{
	struct heard h;

	for (struct leg *leg = v->legs; leg != NULL; leg = leg->hh.next) {
		if (leg->number % parts != part || !leg->is_rtp)
			continue;
		h = vcit_heard_of(leg);
		if (h.packets == leg->told_packets)
			continue;
		leg->told_packets = h.packets;
		cb(arg, leg->row->side[leg->side].face->number, leg->number, &h);
	}
}
