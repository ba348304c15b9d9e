/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "sip/sdp.h"

#define HEAD                                  \
	"v=0\r\n"                             \
	"o=alice 123 456 IN IP4 10.1.2.3\r\n" \
	"s=call\r\n"
#define CONN "c=IN IP4 10.1.2.3\r\n"
#define TIME "t=0 0\r\n"
#define BASE HEAD CONN TIME

static struct sdp
parsed(const char *text)
{
	struct sdp s;

	assert_int_equal(sdp_parse(text, strlen(text), &s), 0);
	return s;
}

static int
parse_error(const char *text)
{
	struct sdp s;

	return sdp_parse(text, strlen(text), &s);
}

static void
assert_addr(const struct addr *a, const char *want)
{
	char str[ADDR_STR_MAX];

	assert_string_equal(addr_str(a, str), want);
}

/* Rewrites for an agent at `host` that gives the i-th stream the ports 20000 + 10i and one more. */
static const char *
rewritten_for(const char *host, const char *text)
{
	static struct buf out;
	struct sdp was = parsed(text);
	struct sdp_rewrite rw = { .n = was.n };

	assert_int_equal(addr_parse(host, 0, &rw.address), 0);
	for (size_t i = 0; i < was.n; i++) {
		if (was.stream[i].port == 0)
			continue;
		rw.port[i].rtp = (uint16_t)(20000 + 10 * i);
		rw.port[i].rtcp = (uint16_t)(rw.port[i].rtp + 1);
	}
	buf_free(&out);
	buf_init(&out, 2 * SDP_MAX);
	assert_int_equal(sdp_rewrite(text, strlen(text), &rw, &out), 0);
	assert_int_equal(buf_append(&out, "", 1), 0);
	return (const char *)buf_data(&out);
}

static const char *
rewritten(const char *text)
{
	return rewritten_for("192.0.2.1", text);
}

static void
parse_reads_the_session_address_for_a_stream_without_its_own(void **state)
{
	struct sdp s = parsed(BASE "m=audio 5004 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n");

	(void)state;
	assert_int_equal(s.n, 1);
	assert_int_equal(s.stream[0].kind, SDP_AUDIO);
	assert_true(s.stream[0].udp && s.stream[0].rtp);
	assert_false(s.stream[0].mux);
	assert_addr(&s.stream[0].rtp_addr, "10.1.2.3:5004");
	assert_addr(&s.stream[0].rtcp_addr, "10.1.2.3:5005");
	assert_int_equal(s.stream[0].direction, SDP_SENDRECV);
	assert_int_equal(s.stream[0].clock_rate, 8000);
}

static void
parse_prefers_the_address_of_the_stream(void **state)
{
	struct sdp s = parsed(BASE "m=audio 5004 RTP/AVP 0\r\nc=IN IP4 10.9.9.9/127\r\n"
				   "m=video 6000 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\n");

	(void)state;
	assert_addr(&s.stream[0].rtp_addr, "10.9.9.9:5004");
	assert_addr(&s.stream[1].rtp_addr, "10.1.2.3:6000");
	assert_int_equal(s.stream[1].kind, SDP_VIDEO);
	assert_int_equal(s.stream[1].clock_rate, 90000);
}

static void
parse_takes_the_first_of_several_addresses_of_a_stream(void **state)
{
	struct sdp s = parsed(HEAD TIME "m=audio 5004/2 RTP/AVP 0\r\nc=IN IP4 10.0.0.1\r\n"
					"c=IN IP4 10.0.0.2\r\n");

	(void)state;
	assert_addr(&s.stream[0].rtp_addr, "10.0.0.1:5004");
}

static void
parse_reads_ipv6(void **state)
{
	struct sdp s = parsed("v=0\r\no=- 1 1 IN IP6 2001:db8::5\r\ns=-\r\n"
			      "c=IN IP6 2001:db8::5\r\nt=0 0\r\nm=audio 5004 RTP/AVP 0\r\n");

	(void)state;
	assert_addr(&s.stream[0].rtp_addr, "[2001:db8::5]:5004");
}

static void
parse_bears_lf_alone_blanks_and_a_cut_last_line(void **state)
{
	struct sdp s = parsed("v=0\no=Cisco  Systems UA 1 2 IN  IP4 10.1.2.3\ns=\n"
			      "c=IN  IP4\t10.1.2.3 \n\nt=0 0\nm=audio  5004  RTP/AVP  0 8 \n"
			      "a=sendonly");

	(void)state;
	assert_addr(&s.stream[0].rtp_addr, "10.1.2.3:5004");
	assert_int_equal(s.stream[0].direction, SDP_SENDONLY);
}

static void
parse_leaves_the_address_unset_for_names_groups_and_hold(void **state)
{
	struct sdp s = parsed(HEAD TIME "m=audio 1 RTP/AVP 0\r\nc=IN IP4 phone.example.com\r\n"
					"m=audio 2 RTP/AVP 0\r\nc=IN IP4 224.2.1.1/127/3\r\n"
					"m=audio 4 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n"
					"m=audio 6 RTP/AVP 0\r\nc=IN IP6 ff02::1\r\n"
					"m=audio 8 RTP/AVP 0\r\nc=IN IP4 255.255.255.255\r\n");

	(void)state;
	for (size_t i = 0; i < s.n; i++) {
		assert_false(addr_is_set(&s.stream[i].rtp_addr));
		assert_false(addr_is_set(&s.stream[i].rtcp_addr));
		assert_int_equal(s.stream[i].zero_address, i == 2);
	}
}

static void
parse_reads_where_rtcp_goes(void **state)
{
	struct sdp s = parsed(BASE "m=audio 5004 RTP/AVP 0\r\na=rtcp:6000\r\n"
				   "m=audio 5006 RTP/AVP 0\r\na=rtcp:6002 IN IP4 10.7.7.7\r\n"
				   "m=audio 5008 RTP/AVP 0\r\na=rtcp-mux\r\n"
				   "m=audio 65535 RTP/AVP 0\r\n"
				   "m=audio 5010 RTP/AVP 0\r\na=rtcp:banana\r\n");

	(void)state;
	assert_addr(&s.stream[0].rtcp_addr, "10.1.2.3:6000");
	assert_addr(&s.stream[1].rtcp_addr, "10.7.7.7:6002");
	assert_addr(&s.stream[2].rtcp_addr, "10.1.2.3:5009");
	assert_true(s.stream[2].mux);
	assert_false(s.stream[1].mux);
	assert_false(addr_is_set(&s.stream[3].rtcp_addr));
	assert_addr(&s.stream[4].rtcp_addr, "10.1.2.3:5011");
}

static void
parse_takes_the_direction_of_the_session_unless_the_stream_has_one(void **state)
{
	struct sdp s = parsed(BASE "a=inactive\r\nm=audio 5004 RTP/AVP 0\r\n"
				   "m=audio 5006 RTP/AVP 0\r\na=recvonly\r\n");

	(void)state;
	assert_int_equal(s.stream[0].direction, SDP_INACTIVE);
	assert_int_equal(s.stream[1].direction, SDP_RECVONLY);
}

static void
parse_tells_transports_apart(void **state)
{
	static const struct {
		const char *proto;
		bool udp, rtp;
	} want[] = {
		{ "RTP/AVP", true, true },
		{ "RTP/SAVPF", true, true },
		{ "UDP/TLS/RTP/SAVPF", true, true },
		{ "udptl", true, false },
		{ "UDPTL", true, false },
		{ "UDP/DTLS/SCTP", true, false },
		{ "TCP/MSRP", false, false },
		{ "TCP/RTP/AVP", false, false },
		{ "carrier-pigeon", false, false },
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
		struct sdp s;

		snprintf(text, sizeof(text), BASE "m=audio 5004 %s 0\r\n", want[i].proto);
		s = parsed(text);
		assert_int_equal(s.stream[0].udp, want[i].udp);
		assert_int_equal(s.stream[0].rtp, want[i].rtp);
	}
}

static void
parse_reads_the_clock_of_the_first_format(void **state)
{
	struct sdp s = parsed(BASE "m=audio 2 RTP/AVP 96 0\r\na=rtpmap:0 PCMU/8000\r\n"
				   "a=rtpmap:96 opus/48000/2\r\n"
				   "m=audio 4 RTP/AVP 9\r\nm=audio 6 RTP/AVP 11\r\n"
				   "m=video 8 RTP/AVP 31\r\nm=audio 10 RTP/AVP 97\r\n"
				   "a=rtpmap:97 x/0\r\nm=audio 12 RTP/AVP\r\n");

	(void)state;
	assert_int_equal(s.stream[0].clock_rate, 48000);
	assert_int_equal(s.stream[1].clock_rate, 8000);
	assert_int_equal(s.stream[2].clock_rate, 44100);
	assert_int_equal(s.stream[3].clock_rate, 90000);
	assert_int_equal(s.stream[4].clock_rate, 8000);
	assert_int_equal(s.stream[5].clock_rate, 8000);
}

static void
parse_refuses_what_is_no_sdp(void **state)
{
	(void)state;
	assert_int_equal(parse_error(""), ERR_MALFORMED);
	assert_int_equal(parse_error("hello"), ERR_MALFORMED);
	assert_int_equal(parse_error("v=1\r\n"), ERR_MALFORMED);
	assert_int_equal(parse_error("v=0\r\ns=-\r\n"), ERR_MALFORMED);
	assert_int_equal(parse_error("s=-\r\n" BASE), ERR_MALFORMED);
	assert_int_equal(parse_error("v=0\r\no=a b c\r\n"), ERR_MALFORMED);
	assert_int_equal(parse_error(HEAD TIME "m=audio 5004 RTP/AVP 0\r\n"), ERR_MALFORMED);
	assert_int_equal(parse_error(BASE "m=audio x RTP/AVP 0\r\n"), ERR_MALFORMED);
	assert_int_equal(parse_error(BASE "m=audio 65536 RTP/AVP 0\r\n"), ERR_MALFORMED);
	assert_int_equal(parse_error(BASE "m=audio -1 RTP/AVP 0\r\n"), ERR_MALFORMED);
	assert_int_equal(parse_error(BASE "m=audio 5004\r\n"), ERR_MALFORMED);
	assert_int_equal(parse_error(HEAD "c=ATM NSAP 47\r\n"), ERR_MALFORMED);
	assert_int_equal(parse_error(BASE "nonsense\r\n"), ERR_MALFORMED);
	assert_int_equal(parse_error(BASE "i=one\rc=IN IP4 10.0.0.9\r\n"), ERR_MALFORMED);
	assert_int_equal(sdp_parse(BASE "i=\0\r\n", sizeof(BASE "i=\0\r\n") - 1,
			     &(struct sdp){ 0 }),
	    ERR_MALFORMED);
}

static void
parse_accepts_a_refused_stream_without_any_address(void **state)
{
	struct sdp s = parsed(HEAD TIME "m=audio 0 RTP/AVP 0\r\n");

	(void)state;
	assert_int_equal(s.n, 1);
	assert_int_equal(s.stream[0].port, 0);
	assert_false(addr_is_set(&s.stream[0].rtp_addr));
}

static void
parse_refuses_more_streams_or_bytes_than_its_caps(void **state)
{
	char *text = calloc(1, SDP_MAX + 2);
	struct sdp s;

	(void)state;
	strcpy(text, BASE);
	for (int i = 0; i < SDP_STREAMS_MAX; i++)
		strcat(text, "m=audio 5004 RTP/AVP 0\r\n");
	assert_int_equal(parse_error(text), 0);
	strcat(text, "m=audio 5004 RTP/AVP 0\r\n");
	assert_int_equal(parse_error(text), ERR_TOO_BIG);
	assert_int_equal(sdp_parse(text, SDP_MAX + 1, &s), ERR_TOO_BIG);
	free(text);
}

static void
parse_cut_anywhere_neither_crashes_nor_invents_streams(void **state)
{
	static const char text[] = BASE "m=audio 5004 RTP/AVP 0\r\na=rtcp:6000 IN IP4 10.7.7.7\r\n"
					"a=rtpmap:0 PCMU/8000\r\nm=video 6000 RTP/AVP 99\r\n";

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		char *cut = malloc(n + 1);
		struct sdp s;

		memcpy(cut, text, n);
		if (sdp_parse(cut, n, &s) == 0)
			assert_true(s.n <= 2);
		free(cut);
	}
}

static void
rewrite_names_the_agent_and_nothing_else_changes(void **state)
{
	(void)state;
	assert_string_equal(
	    rewritten(BASE "b=AS:64\r\nm=audio 5004 RTP/SAVP 0 101\r\n"
			   "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc+/=\r\n"
			   "a=fingerprint:sha-256 AB:CD\r\na=setup:actpass\r\na=unheard-of\r\n"),
	    "v=0\r\no=alice 123 456 IN IP4 192.0.2.1\r\ns=call\r\nc=IN IP4 192.0.2.1\r\n"
	    "t=0 0\r\nb=AS:64\r\nm=audio 20000 RTP/SAVP 0 101\r\n"
	    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc+/=\r\n"
	    "a=fingerprint:sha-256 AB:CD\r\na=setup:actpass\r\na=unheard-of\r\n");
}

static void
rewrite_changes_the_family_with_the_agent(void **state)
{
	(void)state;
	assert_string_equal(rewritten_for("2001:db8::1", BASE "m=audio 5004 RTP/AVP 0\r\n"),
	    "v=0\r\no=alice 123 456 IN IP6 2001:db8::1\r\ns=call\r\nc=IN IP6 2001:db8::1\r\n"
	    "t=0 0\r\nm=audio 20000 RTP/AVP 0\r\n");
	assert_string_equal(rewritten("v=0\r\no=- 1 1 IN IP6 fd00::5\r\ns=-\r\nt=0 0\r\n"
				      "m=audio 5004 RTP/AVP 0\r\nc=IN IP6 fd00::5\r\n"),
	    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"
	    "m=audio 20000 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\n");
}

static void
rewrite_keeps_the_old_form_of_hold(void **state)
{
	(void)state;
	assert_string_equal(rewritten(HEAD
				"c=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 5004 RTP/AVP 0\r\n"),
	    "v=0\r\no=alice 123 456 IN IP4 192.0.2.1\r\ns=call\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
	    "m=audio 20000 RTP/AVP 0\r\n");
}

static void
rewrite_takes_out_every_way_around_the_relay(void **state)
{
	const char *out =
	    rewritten(BASE "a=ice-lite\r\na=ice-options:trickle\r\n"
			   "m=audio 5004 RTP/AVP 0\r\na=ice-ufrag:x\r\na=ice-pwd:y\r\n"
			   "a=candidate:1 1 UDP 2130706431 10.8.8.8 5004 typ host\r\n"
			   "a=remote-candidates:1 10.8.8.8 5004\r\n"
			   "a=altc:1 IP4 10.8.8.8 5004\r\na=end-of-candidates\r\n"
			   "a=source-filter: incl IN IP4 * 10.8.8.8\r\na=ptime:20\r\n");

	(void)state;
	assert_string_equal(out,
	    "v=0\r\no=alice 123 456 IN IP4 192.0.2.1\r\ns=call\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
	    "m=audio 20000 RTP/AVP 0\r\na=ptime:20\r\n");
}

static void
rewrite_hides_the_phones_address_in_lines_it_does_not_know(void **state)
{
	const char *out =
	    rewritten("v=0\r\no=10.1.2.3 1 1 IN IP4 10.1.2.3\r\n"
		      "s=call from 10.1.2.3, not 10.1.2.34 nor 110.1.2.3\r\n" CONN TIME
		      "m=message 5004 TCP/MSRP *\r\na=path:msrp://10.1.2.3:5004/s;tcp\r\n");

	(void)state;
	assert_non_null(strstr(out, "o=192.0.2.1 1 1 IN IP4 192.0.2.1\r\n"));
	assert_non_null(strstr(out, "s=call from 192.0.2.1, not 10.1.2.34 nor 110.1.2.3\r\n"));
	assert_non_null(strstr(out, "a=path:msrp://192.0.2.1:5004/s;tcp\r\n"));
}

static void
rewrite_moves_rtcp_with_the_voice(void **state)
{
	const char *out = rewritten(BASE "m=audio 5004 RTP/AVP 0\r\na=rtcp:6000 IN IP4 10.7.7.7\r\n"
					 "a=ptime:20\r\n"
					 "m=audio 5006 RTP/AVP 0\r\na=rtcp:5006\r\na=rtcp-mux\r\n");

	(void)state;
	assert_non_null(strstr(out, "m=audio 20000 RTP/AVP 0\r\na=rtcp:20001\r\na=ptime:20\r\n"));
	assert_non_null(strstr(out, "m=audio 20010 RTP/AVP 0\r\na=rtcp:20010\r\na=rtcp-mux\r\n"));
	assert_null(strstr(out, "10.7.7.7"));
}

static void
rewrite_says_where_rtcp_is_when_it_is_not_on_the_next_port(void **state)
{
	static const char text[] = BASE "m=audio 5004 RTP/AVP 0\r\na=ptime:20\r\n"
					"m=image 5006 udptl t38\r\n";
	struct sdp_rewrite rw = { .n = 2, .port = { { 30000, 31001 }, { 30002, 31003 } } };
	struct buf out;

	(void)state;
	assert_int_equal(addr_parse("192.0.2.1", 0, &rw.address), 0);
	buf_init(&out, SDP_MAX);
	assert_int_equal(sdp_rewrite(text, strlen(text), &rw, &out), 0);
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_non_null(strstr((const char *)buf_data(&out),
	    "m=audio 30000 RTP/AVP 0\r\na=ptime:20\r\na=rtcp:31001\r\nm=image 30002 udptl t38\r\n"));
	assert_null(strstr((const char *)buf_data(&out), "31003"));
	buf_free(&out);
}

static void
rewrite_of_a_refused_stream_has_port_zero_and_no_rtcp(void **state)
{
	static const char text[] = BASE "m=audio 5004/2 RTP/AVP 0\r\na=rtcp:6000\r\n"
					"m=message 5006 TCP/MSRP *\r\n";
	struct sdp_rewrite rw = { .n = 2 };
	struct buf out;

	(void)state;
	assert_int_equal(addr_parse("192.0.2.1", 0, &rw.address), 0);
	buf_init(&out, SDP_MAX);
	assert_int_equal(sdp_rewrite(text, strlen(text), &rw, &out), 0);
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_non_null(strstr((const char *)buf_data(&out),
	    "m=audio 0 RTP/AVP 0\r\nm=message 0 TCP/MSRP *\r\n"));
	buf_free(&out);
}

static void
rewrite_appends_nothing_when_it_fails(void **state)
{
	static const char text[] = BASE "m=audio 5004 RTP/AVP 0\r\n";
	struct sdp_rewrite rw = { .n = 1, .port = { { 30000, 30001 } } };
	struct buf out;

	(void)state;
	assert_int_equal(addr_parse("192.0.2.1", 0, &rw.address), 0);
	buf_init(&out, 40);
	assert_int_equal(buf_append(&out, "before", 6), 0);
	assert_int_equal(sdp_rewrite(text, strlen(text), &rw, &out), ERR_FULL);
	rw.n = 2;
	assert_int_equal(sdp_rewrite(text, strlen(text), &rw, &out), ERR_MALFORMED);
	assert_int_equal(sdp_rewrite("v=9", 3, &rw, &out), ERR_MALFORMED);
	assert_int_equal(buf_len(&out), 6);
	assert_memory_equal(buf_data(&out), "before", 6);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_reads_the_session_address_for_a_stream_without_its_own),
		cmocka_unit_test(parse_prefers_the_address_of_the_stream),
		cmocka_unit_test(parse_takes_the_first_of_several_addresses_of_a_stream),
		cmocka_unit_test(parse_reads_ipv6),
		cmocka_unit_test(parse_bears_lf_alone_blanks_and_a_cut_last_line),
		cmocka_unit_test(parse_leaves_the_address_unset_for_names_groups_and_hold),
		cmocka_unit_test(parse_reads_where_rtcp_goes),
		cmocka_unit_test(
		    parse_takes_the_direction_of_the_session_unless_the_stream_has_one),
		cmocka_unit_test(parse_tells_transports_apart),
		cmocka_unit_test(parse_reads_the_clock_of_the_first_format),
		cmocka_unit_test(parse_refuses_what_is_no_sdp),
		cmocka_unit_test(parse_accepts_a_refused_stream_without_any_address),
		cmocka_unit_test(parse_refuses_more_streams_or_bytes_than_its_caps),
		cmocka_unit_test(parse_cut_anywhere_neither_crashes_nor_invents_streams),
		cmocka_unit_test(rewrite_names_the_agent_and_nothing_else_changes),
		cmocka_unit_test(rewrite_changes_the_family_with_the_agent),
		cmocka_unit_test(rewrite_keeps_the_old_form_of_hold),
		cmocka_unit_test(rewrite_takes_out_every_way_around_the_relay),
		cmocka_unit_test(rewrite_hides_the_phones_address_in_lines_it_does_not_know),
		cmocka_unit_test(rewrite_moves_rtcp_with_the_voice),
		cmocka_unit_test(rewrite_says_where_rtcp_is_when_it_is_not_on_the_next_port),
		cmocka_unit_test(rewrite_of_a_refused_stream_has_port_zero_and_no_rtcp),
		cmocka_unit_test(rewrite_appends_nothing_when_it_fails),
	};

	return cmocka_run_group_tests_name("sdp", tests, NULL, NULL);
}
