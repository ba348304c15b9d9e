/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sip/msg.h"
#include "sip/uri.h"

static osip_uri_t *
parsed(const char *s)
{
	osip_uri_t *uri = uri_parse(s);

	if (uri == NULL)
		fail_msg("%s is a URI", s);
	return uri;
}

static void
a_literal_host_has_the_default_port_of_its_scheme(void **state)
{
	static const struct {
		const char *uri, *addr;
	} cases[] = {
		{ "sip:a@192.0.2.1", "192.0.2.1:5060" },
		{ "sips:a@192.0.2.1", "192.0.2.1:5061" },
		{ "sip:192.0.2.1:5070", "192.0.2.1:5070" },
		{ "sip:a@[2001:db8::1]", "[2001:db8::1]:5060" },
		{ "sip:a@[2001:db8::1]:5070;transport=tcp", "[2001:db8::1]:5070" },
		{ "sip:a@example.com", NULL },
	};
	char text[ADDR_STR_MAX];
	struct addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		osip_uri_t *uri = parsed(cases[i].uri);

		assert_int_equal(uri_literal(uri, &a), cases[i].addr != NULL);
		if (cases[i].addr != NULL)
			assert_string_equal(addr_str(&a, text), cases[i].addr);
		osip_uri_free(uri);
	}
}

static void
the_transport_parameter_names_the_protocol(void **state)
{
	osip_uri_t *uri = parsed("sip:a@b;transport=TCP");

	(void)state;
	assert_int_equal(uri_proto(uri, SIP_UDP), SIP_TCP);
	uri_param_remove(uri, "Transport");
	assert_int_equal(uri_proto(uri, SIP_UDP), SIP_UDP);
	assert_null(uri_param(uri, "transport"));
	osip_uri_free(uri);
	uri = parsed("sip:a@b;transport=sctp;lr");
	assert_int_equal(uri_proto(uri, SIP_TCP), SIP_TCP);
	assert_string_equal(uri_param(uri, "LR"), "");
	osip_uri_free(uri);
	uri = parsed("sips:a@b");
	assert_int_equal(uri_proto(uri, SIP_UDP), SIP_TLS);
	osip_uri_free(uri);
}

static void
only_sip_uris_with_a_host_are_sip(void **state)
{
	osip_uri_t *uri = parsed("SIP:a@b");

	(void)state;
	assert_true(uri_is_sip(uri));
	osip_uri_free(uri);
	uri = parsed("tel:+15550100");
	assert_false(uri_is_sip(uri));
	osip_uri_free(uri);
	assert_false(uri_is_sip(NULL));
	assert_null(uri_parse("no uri"));
}

static void
a_uri_that_becomes_ours_keeps_nothing_of_what_it_was(void **state)
{
	osip_uri_t *uri = parsed("sips:alice:secret@192.0.2.1:5070;user=phone;x=y?Subject=z");
	struct sip_listener here = { .proto = SIP_TCP };
	char *text;

	(void)state;
	assert_int_equal(addr_parse("[2001:db8::5]:5060", 0, &here.addr), 0);
	uri_set_here(uri, "token", &here, false);
	text = uri_text(uri);
	assert_string_equal(text, "sip:token@[2001:db8::5]:5060;transport=tcp");
	osip_free(text);
	here.proto = SIP_UDP;
	uri_set_here(uri, NULL, &here, true);
	text = uri_text(uri);
	assert_string_equal(text, "sip:[2001:db8::5]:5060;lr");
	osip_free(text);
	osip_uri_free(uri);
}

static void
a_port_is_a_number_or_none(void **state)
{
	osip_uri_t *uri = parsed("sip:a@b");

	(void)state;
	assert_int_equal(uri_port(uri), 0);
	uri_set_host(uri, "c", 65535);
	assert_int_equal(uri_port(uri), 65535);
	osip_free(uri->port);
	uri->port = osip_strdup("65536");
	assert_int_equal(uri_port(uri), 0);
	osip_uri_free(uri);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_literal_host_has_the_default_port_of_its_scheme),
		cmocka_unit_test(the_transport_parameter_names_the_protocol),
		cmocka_unit_test(only_sip_uris_with_a_host_are_sip),
		cmocka_unit_test(a_uri_that_becomes_ours_keeps_nothing_of_what_it_was),
		cmocka_unit_test(a_port_is_a_number_or_none),
	};

	sip_msg_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
