/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

#define HUGE_N (SIZE_MAX / 2 + 1)

static void
mem_gives_room_even_for_nothing(void **state)
{
	void *blocks[] = { mem_alloc(0), mem_zalloc(0), mem_calloc(0, 8), mem_calloc(8, 0),
		mem_zalloc_lines(0), mem_realloc(NULL, 0), mem_dup(NULL, 0) };

	(void)state;
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		assert_non_null(blocks[i]);
		mem_free(blocks[i]);
	}
	mem_free(NULL);
	mem_wipe_free(NULL, 0);
}

static void
mem_zalloc_lines_gives_zeroes_at_the_beginning_of_a_line(void **state)
{
	static const char zeroes[100];

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		char *p = mem_alloc(100), *lines;

		memset(p, 'x', 100);
		mem_free(p);
		lines = mem_zalloc_lines(100);
		assert_int_equal((uintptr_t)lines % MEM_LINE, 0);
		assert_memory_equal(lines, zeroes, sizeof(zeroes));
		mem_free(lines);
	}
}

static void
mem_zalloc_and_calloc_give_zeroes(void **state)
{
	static const char zeroes[64];
	char *a = mem_zalloc(64), *b = mem_calloc(8, 8);

	(void)state;
	assert_memory_equal(a, zeroes, 64);
	assert_memory_equal(b, zeroes, 64);
	mem_free(a);
	mem_wipe_free(b, 64);
}

static void
mem_copies_are_copies_and_end_with_nul(void **state)
{
	char *dup = mem_dup("a\0b", 3), *copy = mem_strdup("text"),
	     *text = mem_printf("%d%s", 1, "x");

	(void)state;
	assert_memory_equal(dup, "a\0b", 4);
	assert_string_equal(copy, "text");
	assert_string_equal(text, "1x");
	assert_null(mem_strdup(NULL));
	dup = mem_realloc(dup, 1000);
	assert_memory_equal(dup, "a\0b", 4);
	mem_free(dup);
	mem_free(copy);
	mem_free(text);
}

/* What a child says on stderr, which must die of SIGABRT. */
static void
dies_with_a_line(void (*body)(void))
{
	char said[8192] = ""; /* the sanitizer may have its word before ours */
	int fds[2], status;
	size_t said_n = 0;
	pid_t pid;
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		signal(SIGABRT, SIG_DFL); /* cmocka would jump back into the test */
		body();
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], said + said_n, sizeof(said) - 1 - said_n)) > 0)
		said_n += (size_t)n;
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_non_null(strstr(said, "out of memory\n"));
}

static void *volatile kept;

static void
ask_too_much(void)
{
	kept = mem_alloc(HUGE_N);
}

static void
ask_a_product_that_overflows(void)
{
	kept = mem_calloc(HUGE_N, 2);
}

static void
dup_so_much_that_the_nul_overflows(void)
{
	kept = mem_dup("", SIZE_MAX);
}

static void
mem_aborts_rather_than_giving_too_little(void **state)
{
	(void)state;
	dies_with_a_line(ask_too_much);
	dies_with_a_line(ask_a_product_that_overflows);
	dies_with_a_line(dup_so_much_that_the_nul_overflows);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mem_gives_room_even_for_nothing),
		cmocka_unit_test(mem_zalloc_and_calloc_give_zeroes),
		cmocka_unit_test(mem_zalloc_lines_gives_zeroes_at_the_beginning_of_a_line),
		cmocka_unit_test(mem_copies_are_copies_and_end_with_nul),
		cmocka_unit_test(mem_aborts_rather_than_giving_too_little),
	};

	/* ASan must answer a wish that is too large with NULL, as malloc does. It reads this once. */
	if (argc == 1) {
		setenv("ASAN_OPTIONS", "allocator_may_return_null=1:handle_abort=0", 1);
		execl("/proc/self/exe", argv[0], "again", (char *)NULL);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
