/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "sip/msg.h"
#include "sip_corpus.h"

static struct sip_msg *
parse(const char *text)
{
	struct sip_msg *m = NULL;

	assert_int_equal(sip_msg_parse(text, strlen(text), &m), 0);
	return m;
}

static struct sip_msg *
parse_corpus(const char *name)
{
	struct sip_msg *m = NULL;
	size_t n;
	char *data = sip_corpus(name, &n);

	assert_int_equal(sip_msg_parse(data, n, &m), 0);
	free(data);
	return m;
}

static const char invite[] =
    "INVITE sip:bob@example.org SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKtop;rport\r\n"
    "Via: SIP/2.0/TCP 192.0.2.2;branch=z9hG4bKsecond, SIP/2.0/UDP third.example.com\r\n"
    "Max-Forwards: 70\r\n"
    "From: \"Alice, A.\" <sip:alice@example.com;x=y>;tag=ft\r\n"
    "To: <sip:bob@example.org>\r\n"
    "Call-ID: abc@host\r\n"
    "CSeq: 314159 INVITE\r\n"
    "Contact: <sip:alice@192.0.2.1>\r\n"
    "Route: <sip:a.example.com;lr>, <sip:b.example.com;lr>\r\n"
    "Route: <sip:c.example.com;lr>\r\n"
    "X-Mixed-Case: Keep, This ;as=it is\r\n"
    "k: timer\r\n"
    "Expires: 120\r\n"
    "Timestamp: 54\r\n"
    "Content-Type: application/sdp\r\n"
    "Content-Length: 5\r\n"
    "\r\n"
    "v=0\r\n";

static void
msg_gives_every_field_by_its_accessor(void **state)
{
	struct sip_msg *m = parse(invite);
	char buf[100];
	const char *why;
	size_t n;

	(void)state;
	assert_int_equal(sip_msg_check(m, &why), 0);
	assert_true(sip_msg_is_request(m));
	assert_int_equal(sip_msg_method(m), SIP_INVITE);
	assert_string_equal(sip_msg_method_str(m), "INVITE");
	assert_int_equal(sip_msg_status(m), 0);
	assert_string_equal(sip_msg_call_id(m, buf, sizeof(buf)), "abc@host");
	assert_null(sip_msg_call_id(m, buf, 8));
	assert_int_equal(sip_msg_cseq(m), 314159);
	assert_string_equal(sip_msg_from_tag(m), "ft");
	assert_string_equal(sip_msg_to_tag(m), "");
	assert_string_equal(sip_msg_from_uri(m, buf, sizeof(buf)), "sip:alice@example.com");
	assert_string_equal(sip_msg_to_uri(m, buf, sizeof(buf)), "sip:bob@example.org");
	assert_string_equal(sip_msg_to_uri(m, buf, 5), "");
	assert_string_equal(sip_msg_branch(m), "z9hG4bKtop");
	assert_string_equal(sip_msg_header(m, "expires"), "120");
	assert_string_equal(sip_msg_header(m, "Supported"), "timer");
	assert_string_equal(sip_msg_header(m, "k"), "timer");
	assert_null(sip_msg_header(m, "Require"));
	assert_string_equal(sip_msg_body(m, &n), "v=0\r\n");
	assert_int_equal(n, 5);
	assert_true(sip_msg_body_is(m, "application/SDP"));
	assert_false(sip_msg_body_is(m, "application/sd"));
	sip_msg_free(m);
}

/* Where `needle` begins in `text`; fails when it is not there, or twice. */
static size_t
place(const char *text, const char *needle)
{
	const char *at = strstr(text, needle);

	if (at == NULL || strstr(at + 1, needle) != NULL)
		fail_msg("\"%s\" should be there once in:\n%s", needle, text);
	return (size_t)(at - text);
}

static void
msg_encodes_what_it_parsed_in_the_order_of_each_list(void **state)
{
	struct sip_msg *m = parse(invite);
	char *text;
	size_t n;

	(void)state;
	assert_int_equal(sip_msg_encode(m, &text, &n), 0);
	assert_int_equal(strlen(text), n);
	assert_int_equal(place(text, "INVITE sip:bob@example.org SIP/2.0\r\n"), 0);
	assert_true(place(text, "z9hG4bKtop") < place(text, "z9hG4bKsecond"));
	assert_true(place(text, "z9hG4bKsecond") < place(text, "third.example.com"));
	assert_true(place(text, "sip:a.example.com;lr") < place(text, "sip:b.example.com;lr"));
	assert_true(place(text, "sip:b.example.com;lr") < place(text, "sip:c.example.com;lr"));
	place(text, "\r\nFrom: \"Alice, A.\" <sip:alice@example.com;x=y>;tag=ft\r\n");
	place(text, "\r\nX-Mixed-Case: Keep, This ;as=it is\r\n");
	place(text, "\r\nSupported: timer\r\n");
	place(text, "\r\nMax-Forwards: 70\r\n");
	place(text, "\r\nContent-Length: 5\r\n\r\nv=0\r\n");
	mem_free(text);
	sip_msg_free(m);
}

static void
msg_splits_lists_at_commas_outside_quotes_and_brackets(void **state)
{
	static const char text[] =
	    "OPTIONS sip:a@b.c SIP/2.0\r\n"
	    "m: \"A, \\\"B\" <sip:a@b.c;x=1,2>;y=\"3,4\" , ,<sip:d@e.f>\r\n\r\n";
	struct sip_msg *m = parse(text);
	osip_contact_t *c;

	(void)state;
	assert_int_equal(osip_list_size(&m->osip->contacts), 2);
	c = osip_list_get(&m->osip->contacts, 0);
	assert_string_equal(c->displayname, "\"A, \\\"B\"");
	assert_string_equal(c->url->username, "a");
	c = osip_list_get(&m->osip->contacts, 1);
	assert_string_equal(c->url->username, "d");
	sip_msg_free(m);
}

static void
msg_encoded_and_parsed_again_is_the_same(void **state)
{
	struct sip_msg *m = parse(invite), *copy, *again;
	char *a, *b;
	size_t a_n, b_n;

	(void)state;
	copy = sip_msg_clone(m);
	sip_msg_free(m);
	assert_int_equal(sip_msg_encode(copy, &a, &a_n), 0);
	again = parse(a);
	assert_int_equal(sip_msg_encode(again, &b, &b_n), 0);
	assert_string_equal(a, b);
	mem_free(a);
	mem_free(b);
	sip_msg_free(copy);
	sip_msg_free(again);
}

static void
msg_shows_a_change_made_directly_in_the_structure(void **state)
{
	struct sip_msg *m = parse(invite);
	char *text;
	size_t n;

	(void)state;
	assert_int_equal(sip_msg_encode(m, &text, &n), 0);
	mem_free(text);
	osip_free(m->osip->req_uri->host);
	m->osip->req_uri->host = osip_strdup("changed.example.net");
	assert_int_equal(sip_msg_encode(m, &text, &n), 0);
	place(text, "INVITE sip:bob@changed.example.net SIP/2.0");
	mem_free(text);
	sip_msg_free(m);
}

static void
msg_header_set_leaves_one_value_and_remove_none(void **state)
{
	struct sip_msg *m =
	    parse("OPTIONS sip:a@b SIP/2.0\r\nX-A: 1\r\nx-a: 2\r\ns: hello\r\n\r\n");

	(void)state;
	assert_string_equal(sip_msg_header(m, "X-A"), "1");
	sip_msg_header_set(m, "X-a", "3");
	assert_string_equal(sip_msg_header(m, "X-A"), "3");
	sip_msg_header_remove(m, "X-A");
	assert_null(sip_msg_header(m, "X-A"));
	assert_string_equal(sip_msg_header(m, "Subject"), "hello");
	sip_msg_header_set(m, "Subject", "bye\r\nX-Evil: 1");
	assert_string_equal(sip_msg_header(m, "s"), "bye");
	sip_msg_header_remove(m, "s");
	assert_null(sip_msg_header(m, "Subject"));
	sip_msg_free(m);
}

static void
msg_body_set_replaces_body_and_type(void **state)
{
	struct sip_msg *m = parse(invite);
	char *text;
	size_t n;

	(void)state;
	sip_msg_body_set(m, "text/plain", "a\0b", 3);
	assert_int_equal(sip_msg_encode(m, &text, &n), 0);
	place(text, "Content-Type: text/plain\r\n");
	assert_memory_equal(text + n - 24, "Content-Length: 3\r\n\r\na\0b", 24);
	mem_free(text);
	sip_msg_body_set(m, NULL, NULL, 0);
	assert_null(sip_msg_body(m, &n));
	assert_int_equal(sip_msg_encode(m, &text, &n), 0);
	assert_null(strstr(text, "Content-Type"));
	place(text, "Content-Length: 0\r\n\r\n");
	mem_free(text);
	sip_msg_free(m);
}

static void
msg_sdp_is_found_in_a_multipart_body_and_replaced_alone(void **state)
{
	struct sip_msg *m = parse_corpus("mpart01");
	const char *sdp, *body, *why;
	size_t n, before, after;

	(void)state;
	assert_int_equal(sip_msg_check(m, &why), 0);
	sip_msg_body(m, &before);
	sdp = sip_msg_sdp(m, &n);
	assert_non_null(sdp);
	assert_memory_equal(sdp, "v=0\r\n", 5);
	assert_memory_equal(sdp + n - 8, "31 LPC\r\n", 8);
	after = before - n + 4;
	sip_msg_sdp_set(m, "v=1\n", 4);
	sdp = sip_msg_sdp(m, &n);
	assert_int_equal(n, 4);
	assert_memory_equal(sdp, "v=1\n", 4);
	body = sip_msg_body(m, &n);
	assert_int_equal(n, after);
	assert_memory_equal(body + n - 24, "\r\n--7a9cbec02ceef655--\r\n", 24);
	sip_msg_free(m);
}

static void
msg_without_sdp_has_none_and_setting_changes_nothing(void **state)
{
	struct sip_msg *m =
	    parse("MESSAGE sip:a@b SIP/2.0\r\nContent-Type: text/plain\r\n\r\nhello");
	const char *body;
	size_t n;

	(void)state;
	assert_null(sip_msg_sdp(m, &n));
	sip_msg_sdp_set(m, "v=0", 3);
	body = sip_msg_body(m, &n);
	assert_int_equal(n, 5);
	assert_memory_equal(body, "hello", 5);
	sip_msg_free(m);
}

static void
msg_response_copies_what_belongs_to_it(void **state)
{
	struct sip_msg *m = parse(invite), *r = sip_msg_response(m, 486, NULL, "tt");
	char buf[100];
	const char *why;

	(void)state;
	assert_int_equal(sip_msg_check(r, &why), 0);
	assert_false(sip_msg_is_request(r));
	assert_int_equal(sip_msg_status(r), 486);
	assert_string_equal(r->osip->reason_phrase, "Busy Here");
	assert_int_equal(sip_msg_method(r), SIP_INVITE);
	assert_int_equal(osip_list_size(&r->osip->vias), 3);
	assert_string_equal(sip_msg_branch(r), "z9hG4bKtop");
	assert_string_equal(sip_msg_call_id(r, buf, sizeof(buf)), "abc@host");
	assert_string_equal(sip_msg_to_tag(r), "tt");
	assert_string_equal(sip_msg_from_tag(r), "ft");
	assert_null(sip_msg_header(r, "Timestamp"));
	sip_msg_free(r);
	r = sip_msg_response(m, 100, "Wait", "tt");
	assert_string_equal(sip_msg_to_tag(r), "");
	assert_string_equal(sip_msg_header(r, "Timestamp"), "54");
	assert_string_equal(r->osip->reason_phrase, "Wait");
	sip_msg_free(r);
	sip_msg_free(m);
}

static void
msg_refuses_what_is_too_big(void **state)
{
	size_t cap = SIP_MSG_MAX + 1;
	char *big = mem_alloc(cap + 1);
	struct sip_msg *m = NULL;
	size_t n;

	(void)state;
	n = (size_t)sprintf(big, "OPTIONS sip:a@b SIP/2.0\r\nX: ");
	memset(big + n, 'x', cap - n);
	memcpy(big + cap - 4, "\r\n\r\n", 4);
	assert_int_equal(sip_msg_parse(big, cap, &m), ERR_TOO_BIG);
	memcpy(big + cap - 5, "\r\n\r\n", 4);
	assert_int_equal(sip_msg_parse(big, cap - 1, &m), 0);
	/* The header field is shorter than Content-Length and thus too long for the wire. */
	assert_int_equal(sip_msg_encode(m, &big, &n), ERR_TOO_BIG);
	sip_msg_free(m);
	mem_free(big);
}

static void
msg_refuses_more_header_fields_than_its_cap(void **state)
{
	char text[SIP_HEADERS_MAX * 8 + 100], *p = text;
	struct sip_msg *m = NULL;

	(void)state;
	p += sprintf(p, "OPTIONS sip:a@b SIP/2.0\r\n");
	for (int i = 0; i < SIP_HEADERS_MAX; i++)
		p += sprintf(p, "X: y\r\n");
	strcpy(p, "\r\n");
	assert_int_equal(sip_msg_parse(text, strlen(text), &m), 0);
	sip_msg_free(m);
	strcpy(p, "X: y\r\n\r\n");
	assert_int_equal(sip_msg_parse(text, strlen(text), &m), ERR_TOO_BIG);
	strcpy(p, "without colon\r\n\r\n");
	assert_int_equal(sip_msg_parse(text, strlen(text), &m), ERR_TOO_BIG);
}

/* An unescaped line end in a URI must never become a line of a message that we send. */
static void
msg_never_encodes_an_escaped_line_end_as_a_line_end(void **state)
{
	struct sip_msg *m = parse_corpus("crlf_injection");
	char *text;
	size_t n;

	(void)state;
	assert_int_equal(sip_msg_encode(m, &text, &n), 0);
	assert_null(strstr(text, "\nX-Evil"));
	assert_null(strstr(text, "\rX-Evil"));
	mem_free(text);
	sip_msg_free(m);
}

static void
msg_keeps_a_strange_but_valid_message_readable(void **state)
{
	struct sip_msg *m = parse_corpus("wsinv");
	char buf[200];
	const char *why;
	osip_via_t *via;

	(void)state;
	assert_int_equal(sip_msg_check(m, &why), 0);
	assert_string_equal(sip_msg_to_tag(m), "1918181833n");
	assert_string_equal(sip_msg_from_tag(m), "98asjd8");
	assert_string_equal(sip_msg_from_uri(m, buf, sizeof(buf)), "sip:jdrosen@example.com");
	assert_int_equal(sip_msg_cseq(m), 9);
	assert_string_equal(sip_msg_header(m, "Max-Forwards"), "0068");
	assert_string_equal(sip_msg_header(m, "Subject"), "");
	assert_string_equal(sip_msg_header(m, "newfangledheader"),
	    "newfangled value continued newfangled value");
	assert_string_equal(sip_msg_header(m, "UnknownHeaderWithUnusualValue"), ";;,,;;,;");
	assert_int_equal(osip_list_size(&m->osip->vias), 3);
	via = osip_list_get(&m->osip->vias, 1);
	assert_string_equal(via->host, "spindle.example.com");
	assert_string_equal(via->protocol, "TCP");
	via = osip_list_get(&m->osip->vias, 2);
	assert_string_equal(via->host, "192.168.255.111");
	assert_int_equal(osip_list_size(&m->osip->contacts), 1);
	assert_int_equal(osip_list_size(&m->osip->routes), 1);
	sip_msg_free(m);
}

/*
 * The messages of RFC 4475, shortened to their point, and some of our own: what the parser says,
 * and then the check. -1: dropped; 0: good; else the status that answers it.
 */
static const struct {
	const char *name;
	int err;
	int status;
} torture[] = {
	{ "wsinv", 0, 0 },      /* §3.1.1.1 */
	{ "intmeth", 0, 0 },    /* §3.1.1.2, without its NUL: see "nul" */
	{ "esc01", 0, 0 },      /* §3.1.1.3 */
	{ "escnull", 0, -1 },   /* §3.1.1.4: valid, but C strings end there: refused */
	{ "lwsdisp", 0, 0 },    /* §3.1.1.6 */
	{ "longreq", 0, 0 },    /* §3.1.1.7 */
	{ "dblreq", 0, 0 },     /* §3.1.1.8 */
	{ "semiuri", 0, 0 },    /* §3.1.1.9 */
	{ "transports", 0, 0 }, /* §3.1.1.10 */
	{ "mpart01", 0, 0 },    /* §3.1.1.11 */
	{ "unreason", 0, 0 },   /* §3.1.1.12 */
	{ "noreason", 0, 0 },   /* §3.1.1.13 */
	{ "noreason_no_space", 0, 0 },
	{ "badinv01", 0, -1 },  /* §3.1.2.1: no Via to answer by */
	{ "clerr", 0, 400 },    /* §3.1.2.2 */
	{ "ncl", 0, 400 },      /* §3.1.2.3 */
	{ "scalar02", 0, 400 }, /* §3.1.2.4 */
	{ "scalarlg", 0, -1 },  /* §3.1.2.5 */
	{ "quotbal", 0, -1 },   /* §3.1.2.6: no To to answer with */
	{ "ltgtruri", 0, 400 }, /* §3.1.2.7 */
	{ "lwsruri", 0, 400 },  /* §3.1.2.8 */
	{ "lwsstart", 0, 400 }, /* §3.1.2.9 */
	{ "trws", 0, 400 },     /* §3.1.2.10 */
	{ "escruri", 0, 0 },    /* §3.1.2.11: may be taken or refused */
	{ "baddate", 0, 0 },    /* §3.1.2.12: not ours to look at */
	{ "regbadct", 0, 400 }, /* §3.1.2.13 */
	{ "badaspec", 0, -1 },  /* §3.1.2.14: no To to answer with */
	{ "baddn", 0, -1 },     /* §3.1.2.15: no From to answer with */
	{ "badvers", 0, 505 },  /* §3.1.2.16 */
	{ "badvers_via", 0, -1 },
	{ "mismatch01", 0, 400 },        /* §3.1.2.17 */
	{ "mismatch02", 0, 400 },        /* §3.1.2.18 */
	{ "bigcode", ERR_MALFORMED, 0 }, /* §3.1.2.19 */
	{ "code_700", 0, -1 },
	{ "badbranch", 0, 0 }, /* §3.2.1: for the transaction layer */
	{ "insuf", 0, -1 },    /* §3.3.1 */
	{ "unkscm", 0, 416 },  /* §3.3.2 */
	{ "novelsc", 0, 416 }, /* §3.3.3 */
	{ "unksm2", 0, 0 },    /* §3.3.4: for the registrar */
	{ "regaut01", 0, 0 },  /* §3.3.7 */
	{ "multi01", 0, 400 }, /* §3.3.8 */
	{ "mcl01", 0, 400 },   /* §3.3.9 */
	{ "zeromf", 0, 0 },    /* §3.3.11: for the proxy */
	{ "cparam01", 0, 0 },  /* §3.3.12 */
	{ "regescrt", 0, 0 },  /* §3.3.14 */
	{ "inv2543", 0, 0 },   /* §3.4.1 */
	{ "v6", 0, 0 },        /* RFC 5118 §4.1 */
	{ "v6_bad", 0, 400 },
	{ "long_list", ERR_TOO_BIG, 0 },
	{ "keepalive_first", 0, 0 },
	{ "lf_only", 0, 0 },
	{ "nul", ERR_MALFORMED, 0 },
	{ "lone_cr", ERR_MALFORMED, 0 },
	{ "unended", 0, 400 },
	{ "digest", 0, 0 },
	{ "challenge", 0, 0 },
	{ "request_2_in_1", 0, 0 },
	{ "crlf_injection", 0, 0 },
	{ "uri_of_five", 0, 400 },
	{ "uri_scheme_space", 0, 400 },
	{ "content_type_half", 0, 400 },
};

static void
msg_answers_the_torture_messages_as_they_deserve(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(torture) / sizeof(torture[0]); i++) {
		struct sip_msg *m = NULL;
		const char *why;
		size_t n;
		char *data = sip_corpus(torture[i].name, &n);
		int err = sip_msg_parse(data, n, &m), status;

		free(data);
		if (err != torture[i].err)
			fail_msg("%s: parse gives %d", torture[i].name, err);
		if (err != 0)
			continue;
		status = sip_msg_check(m, &why);
		if (status != torture[i].status)
			fail_msg("%s: check gives %d (%s)", torture[i].name, status, why);
		if (status > 0)
			assert_true(*why != '\0');
		sip_msg_free(m);
	}
}

static void
msg_cut_at_every_byte_neither_crashes_nor_passes_the_check(void **state)
{
	const char *why;

	(void)state;
	for (size_t n = 0; n < sizeof(invite) - 1; n++) {
		char *cut = mem_alloc(n); /* exact, so that the sanitizer guards its end */
		struct sip_msg *m = NULL;

		memcpy(cut, invite, n);
		if (sip_msg_parse(cut, n, &m) == 0) {
			assert_int_not_equal(sip_msg_check(m, &why), 0);
			sip_msg_free(m);
		}
		mem_free(cut);
	}
}

static void
msg_that_is_no_sip_is_malformed(void **state)
{
	static const char *const no_sip[] = { "", "\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "hello",
		"SIP/2.0", "SIP/2.0 2 OK\r\n\r\n", "INVITE", "INVITE SIP/2.0\r\n\r\n",
		" INVITE sip:a@b SIP/2.0\r\n\r\n", "INVITE sip:a@b SIP/2.0\r\n folded\r\n\r\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(no_sip) / sizeof(no_sip[0]); i++) {
		struct sip_msg *m = NULL;

		assert_int_equal(sip_msg_parse(no_sip[i], strlen(no_sip[i]), &m), ERR_MALFORMED);
		assert_null(m);
	}
}

static void
status_phrase_is_never_null(void **state)
{
	(void)state;
	assert_string_equal(sip_status_phrase(404), "Not Found");
	assert_string_equal(sip_status_phrase(299), "Unknown");
}

static void
random_hex_is_hex_and_different_each_time(void **state)
{
	char a[2 * 40 + 1], b[2 * 40 + 1];

	(void)state;
	sip_random_hex(a, 40);
	sip_random_hex(b, 40);
	assert_int_equal(strlen(a), 80);
	assert_int_equal(strspn(a, "0123456789abcdef"), 80);
	assert_string_not_equal(a, b);
}

static int
set_up(void **state)
{
	(void)state;
	sip_msg_init();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(msg_gives_every_field_by_its_accessor),
		cmocka_unit_test(msg_encodes_what_it_parsed_in_the_order_of_each_list),
		cmocka_unit_test(msg_splits_lists_at_commas_outside_quotes_and_brackets),
		cmocka_unit_test(msg_encoded_and_parsed_again_is_the_same),
		cmocka_unit_test(msg_shows_a_change_made_directly_in_the_structure),
		cmocka_unit_test(msg_header_set_leaves_one_value_and_remove_none),
		cmocka_unit_test(msg_body_set_replaces_body_and_type),
		cmocka_unit_test(msg_sdp_is_found_in_a_multipart_body_and_replaced_alone),
		cmocka_unit_test(msg_without_sdp_has_none_and_setting_changes_nothing),
		cmocka_unit_test(msg_response_copies_what_belongs_to_it),
		cmocka_unit_test(msg_refuses_what_is_too_big),
		cmocka_unit_test(msg_refuses_more_header_fields_than_its_cap),
		cmocka_unit_test(msg_never_encodes_an_escaped_line_end_as_a_line_end),
		cmocka_unit_test(msg_keeps_a_strange_but_valid_message_readable),
		cmocka_unit_test(msg_answers_the_torture_messages_as_they_deserve),
		cmocka_unit_test(msg_cut_at_every_byte_neither_crashes_nor_passes_the_check),
		cmocka_unit_test(msg_that_is_no_sip_is_malformed),
		cmocka_unit_test(status_phrase_is_never_null),
		cmocka_unit_test(random_hex_is_hex_and_different_each_time),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
