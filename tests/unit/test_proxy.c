/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "log/log.h"
#include "sip_world.h"

static const struct world_cfg relay = { SIP_AUTH_NONE, false };
static const struct world_cfg direct = { SIP_AUTH_NONE, true };

static void
hang_up(struct phone *by, struct dialog *d, struct phone *other)
{
	struct world *w = by->w;
	struct sent *bye;

	dialog_request(d, by, "BYE");
	bye = world_expect(w, "BYE", other->flow.face);
	assert_true(addr_equal(&bye->to.peer, &other->flow.peer));
	phone_answer(other, bye, 200);
	sent_free(bye);
	world_expect_dropped(w, "200", by->flow.face);
}

static void
inside_calls_outside_and_hangs_up(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice, olga;
	struct dialog da, db;
	struct sent *ack;

	(void)state;
	phone_init(&alice, w, OFFICE, "alice", "192.168.1.20:5062");
	phone_init(&olga, w, OUTSIDE, "olga", "198.51.100.7:5060");
	phone_registered(&olga);
	call_up(&alice, &olga, "sip:olga@example.com", &da, &db);
	ack = world_expect(w, "ACK", OUTSIDE);
	assert_true(addr_equal(&ack->to.peer, &olga.flow.peer));
	sent_free(ack);
	hang_up(&alice, &da, &olga);
	dialog_clear(&da);
	dialog_clear(&db);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inside_calls_outside_and_hangs_up),
	};

	(void)direct;
	sip_msg_init();
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
