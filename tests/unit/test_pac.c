/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PAC scripts, each in a process of its own: this program plays HRAC's main for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/mem.h"
#include "hrac/proxy/pac.h"

struct result {
	struct event_base *base;
	unsigned n;
	bool answered;
	char text[PAC_ANSWER_MAX];
};

static void
on_pac(void *arg, const char *answer, const char *cause)
{
	struct result *r = arg;

	r->n++;
	r->answered = answer != NULL;
	snprintf(r->text, sizeof(r->text), "%s", answer != NULL ? answer : cause);
	event_base_loopbreak(r->base);
}

static void
ask(struct result *r, const char *script, size_t n)
{
	memset(r, 0, sizeof(*r));
	r->base = event_base_new();
	assert_non_null(pac_evaluate(r->base, PAC_PROGRAM_SELF, script, n,
	    "http://203.0.113.10:81/", "203.0.113.10", on_pac, r));
	event_base_dispatch(r->base);
	assert_int_equal(r->n, 1);
	event_base_free(r->base);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left of it */
}

static void
expect_answer(const char *body, const char *answer)
{
	char *script = mem_printf("function FindProxyForURL(url, host) { %s }", body);
	struct result r;

	ask(&r, script, strlen(script));
	mem_free(script);
	if (!r.answered)
		print_message("%s\n", r.text);
	assert_true(r.answered);
	assert_string_equal(r.text, answer);
}

static void
expect_trouble(const char *script, const char *part)
{
	struct result r;

	ask(&r, script, strlen(script));
	assert_false(r.answered);
	if (strstr(r.text, part) == NULL)
		fail_msg("\"%s\" does not tell of \"%s\"", r.text, part);
}

static void
a_script_is_told_the_url_and_the_host(void **state)
{
	(void)state;
	expect_answer("return 'PROXY a:3128; DIRECT';", "PROXY a:3128; DIRECT");
	expect_answer("return url + ' ' + host;", "http://203.0.113.10:81/ 203.0.113.10");
	expect_answer(
	    "return isInNet(host, '203.0.113.0', '255.255.255.0') ? 'PROXY in:1' : 'DIRECT';",
	    "PROXY in:1");
	expect_answer("return shExpMatch(url, 'http://*:81/') ? 'PROXY m:1' : 'DIRECT';",
	    "PROXY m:1");
	expect_answer("return typeof(myIpAddress()) + '' + (myIpAddress() != '');", "stringtrue");
}

static void
what_an_answer_has_besides_printable_text_does_not_come_through(void **state)
{
	(void)state;
	expect_answer("return 'PROXY a:1\\n\\r\\x01\\x80E';", "PROXY a:1 ???E");
	expect_answer("return '';", "");
}

static void
a_script_that_is_wrong_is_told_so(void **state)
{
	(void)state;
	expect_trouble("", "FindProxyForURL");
	expect_trouble("<html>Please log in</html>", "a login page?");
	expect_trouble("function (", "no JavaScript");
	expect_trouble("function FindProxyForURL(url, host) { return nobody; }", "FindProxyForURL");
	expect_trouble("var a = 1;", "FindProxyForURL");
}

static void
a_script_that_never_ends_is_killed(void **state)
{
	uint64_t start = clock_us();

	(void)state;
	expect_trouble("function FindProxyForURL(url, host) { for (;;); }", "takes too long");
	assert_in_range(clock_us() - start, PAC_TIME_MS * CLOCK_MS - 100 * CLOCK_MS,
	    (PAC_TIME_MS + 2000) * CLOCK_MS);
}

static void
a_script_that_breaks_its_interpreter_harms_nobody(void **state)
{
	(void)state;
	/* It calls itself until the stack is at its end. */
	expect_trouble("function f(x) { return f(x + 1) + f(x + 2); }"
		       "function FindProxyForURL(url, host) { return f(1); }",
	    "PAC script");
}

static void
a_script_of_the_largest_size_is_read(void **state)
{
	static const char end[] = "function FindProxyForURL(url, host) { return 'DIRECT'; }";
	char *script = mem_alloc(PAC_SCRIPT_MAX);
	struct result r;

	(void)state;
	memset(script, '\n', PAC_SCRIPT_MAX);
	memcpy(script + PAC_SCRIPT_MAX - strlen(end), end, strlen(end));
	ask(&r, script, PAC_SCRIPT_MAX);
	mem_free(script);
	assert_true(r.answered);
	assert_string_equal(r.text, "DIRECT");
}

static void
a_cancelled_evaluation_says_nothing(void **state)
{
	static const char script[] = "function FindProxyForURL(url, host) { for (;;); }";
	struct result r = { .base = event_base_new() };
	struct pac_job *j;

	(void)state;
	j = pac_evaluate(r.base, PAC_PROGRAM_SELF, script, strlen(script), "http://h/", "h", on_pac,
	    &r);
	assert_non_null(j);
	pac_cancel(j);
	event_base_loop(r.base, EVLOOP_NONBLOCK);
	assert_int_equal(r.n, 0);
	event_base_free(r.base);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void
a_program_that_is_not_there_is_told_at_once(void **state)
{
	struct event_base *base = event_base_new();

	(void)state;
	assert_null(pac_evaluate(base, "/nowhere", "", 0, "http://h/", "h", on_pac, NULL));
	event_base_free(base);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_script_is_told_the_url_and_the_host),
		cmocka_unit_test(what_an_answer_has_besides_printable_text_does_not_come_through),
		cmocka_unit_test(a_script_that_is_wrong_is_told_so),
		cmocka_unit_test(a_script_that_never_ends_is_killed),
		cmocka_unit_test(a_script_that_breaks_its_interpreter_harms_nobody),
		cmocka_unit_test(a_script_of_the_largest_size_is_read),
		cmocka_unit_test(a_cancelled_evaluation_says_nothing),
		cmocka_unit_test(a_program_that_is_not_there_is_told_at_once),
	};

	if (argc > 0 && strcmp(argv[0], PAC_CHILD_NAME) == 0)
		return pac_child();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
