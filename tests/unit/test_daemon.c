/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/daemon.h"
#include "base/err.h"

/*
 * A small daemon that tells each step on stdout, which is a pipe to the test. The "file" of its
 * configuration is a word that says how it shall behave.
 */
struct tiny {
	struct event_base *base;
	const char *conf;
};

static int loads;

static int
tiny_load(const char *file, void **conf)
{
	loads++;
	if (strcmp(file, "bad") == 0 || (strcmp(file, "bad-later") == 0 && loads > 1)) {
		fprintf(stderr, "%s:1: bad\n", file);
		return ERR_MALFORMED;
	}
	*conf = strdup(file);
	dprintf(STDOUT_FILENO, "load\n");
	return 0;
}

static void
tiny_unload(void *conf)
{
	dprintf(STDOUT_FILENO, "unload\n");
	free(conf);
}

static int
tiny_start(struct event_base *base, void *conf, void **state)
{
	struct tiny *t;
	struct rlimit limit;

	if (strcmp(conf, "no-start") == 0)
		return ERR_IN_USE;
	t = malloc(sizeof(*t));
	*t = (struct tiny){ .base = base, .conf = conf };
	*state = t;
	raise(SIGPIPE);
	getrlimit(RLIMIT_NOFILE, &limit);
	dprintf(STDOUT_FILENO, "start%s\n", limit.rlim_cur == limit.rlim_max ? "" : " small");
	return 0;
}

static void
tiny_reload(void *state, void *conf)
{
	(void)state;
	dprintf(STDOUT_FILENO, "reload\n");
	free(conf);
}

static void
tiny_stop(void *state)
{
	struct tiny *t = state;

	dprintf(STDOUT_FILENO, "stop\n");
	if (strcmp(t->conf, "hangs") != 0)
		event_base_loopexit(t->base, NULL);
}

static void
tiny_free(void *state)
{
	struct tiny *t = state;

	dprintf(STDOUT_FILENO, "free\n");
	free((void *)(uintptr_t)t->conf);
	free(t);
}

static int
tiny_look(const void *conf, const char *value, bool json)
{
	dprintf(STDOUT_FILENO, "look %s%s%s\n", (const char *)conf, value == NULL ? "" : " long",
	    json ? " json" : "");
	return 1;
}

static const struct daemon_action look = { .name = "look",
	.values = "long",
	.help = "look around",
	.help_value = "look around for long",
	.run = tiny_look };

static const struct daemon tiny = {
	.name = "tiny",
	.summary = "a small daemon",
	.load = tiny_load,
	.unload = tiny_unload,
	.start = tiny_start,
	.reload = tiny_reload,
	.stop = tiny_stop,
	.free = tiny_free,
	.action = &look,
};

struct child {
	pid_t pid;
	int out; /* its stdout and stderr */
	char said[4096];
	size_t said_n;
};

/* Runs the tiny daemon with one or two arguments more. */
static struct child
run(const char *a, const char *b, const char *c)
{
	struct child child = { 0 };
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	child.pid = fork();
	if (child.pid == 0) {
		const char *argv[] = { "tiny", a, b, c, NULL };
		int argc = 1;

		while (argv[argc] != NULL)
			argc++;
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		loads = 0;
		exit(daemon_main(&tiny, argc, (char **)(uintptr_t)argv));
	}
	close(fds[1]);
	child.out = fds[0];
	return child;
}

/* Reads until the child has said `text` since the last time; or until its end, when NULL. */
static void
expect(struct child *c, const char *text)
{
	struct pollfd p = { .fd = c->out, .events = POLLIN };
	ssize_t n;

	while (text == NULL || strstr(c->said, text) == NULL) {
		if (poll(&p, 1, 20000) != 1)
			fail_msg("no \"%s\" in: %s", text == NULL ? "end" : text, c->said);
		n = read(c->out, c->said + c->said_n, sizeof(c->said) - 1 - c->said_n);
		if (n <= 0 && text != NULL)
			fail_msg("no \"%s\" in: %s", text, c->said);
		if (n <= 0)
			break;
		c->said_n += (size_t)n;
		c->said[c->said_n] = '\0';
	}
}

static int
end_of(struct child *c)
{
	int status;

	expect(c, NULL);
	close(c->out);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
daemon_runs_reloads_and_ends_in_order(void **state)
{
	struct child c = run("-c", "good", NULL);

	(void)state;
	expect(&c, "start\n");
	kill(c.pid, SIGHUP);
	expect(&c, "reload\n");
	kill(c.pid, SIGTERM);
	assert_int_equal(end_of(&c), 0);
	assert_string_equal(c.said, "load\nstart\nload\nreload\nstop\nfree\n");
}

static void
daemon_keeps_its_configuration_when_the_new_one_is_bad(void **state)
{
	struct child c = run("-c", "bad-later", NULL);

	(void)state;
	expect(&c, "start\n");
	kill(c.pid, SIGHUP);
	expect(&c, "bad-later:1: bad\n");
	kill(c.pid, SIGINT);
	assert_int_equal(end_of(&c), 0);
	assert_null(strstr(c.said, "reload"));
	assert_non_null(strstr(c.said, "stop\nfree\n"));
}

static void
daemon_that_hangs_in_its_stop_ends_at_the_second_signal(void **state)
{
	struct child c = run("-c", "hangs", NULL);

	(void)state;
	expect(&c, "start\n");
	kill(c.pid, SIGTERM);
	expect(&c, "stop\n");
	kill(c.pid, SIGTERM);
	assert_int_equal(end_of(&c), 0);
	assert_string_equal(c.said, "load\nstart\nstop\nfree\n");
}

static void
daemon_that_hangs_in_its_stop_ends_by_itself_in_the_end(void **state)
{
	struct child c = run("-c", "hangs", NULL);

	(void)state;
	expect(&c, "start\n");
	kill(c.pid, SIGTERM);
	assert_int_equal(end_of(&c), 0);
	assert_string_equal(c.said, "load\nstart\nstop\nfree\n");
}

static void
daemon_that_cannot_start_gives_its_configuration_back(void **state)
{
	struct child c = run("-c", "no-start", NULL);

	(void)state;
	assert_int_equal(end_of(&c), 1);
	assert_string_equal(c.said, "load\nunload\n");
}

static void
check_option_starts_nothing(void **state)
{
	struct child good = run("-t", "-c", "good"), bad = run("-t", "-c", "bad");

	(void)state;
	assert_int_equal(end_of(&good), 0);
	assert_string_equal(good.said, "load\nunload\n");
	assert_int_equal(end_of(&bad), 1);
	assert_string_equal(bad.said, "bad:1: bad\n");
}

static void
wrong_command_line_gets_the_usage_and_exit_1(void **state)
{
	static const char *const lines[][3] = { { NULL }, { "-t" }, { "-x" }, { "-c" },
		{ "-c", "good", "more" }, { "-c", "good", "--json" } };

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct child c = run(lines[i][0], lines[i][1], lines[i][2]);

		assert_int_equal(end_of(&c), 1);
		assert_non_null(strstr(c.said, "usage: tiny -c FILE"));
		assert_null(strstr(c.said, "load"));
	}
}

static void
an_action_runs_instead_of_the_daemon(void **state)
{
	struct child plain = run("-cgood", "--look", NULL);
	struct child full = run("-cgood", "--look=long", "--json");
	struct child check = run("-cgood", "--look", "-t");

	(void)state;
	assert_int_equal(end_of(&plain), 1);
	assert_string_equal(plain.said, "load\nlook good\nunload\n");
	assert_int_equal(end_of(&full), 1);
	assert_string_equal(full.said, "load\nlook good long json\nunload\n");
	assert_int_equal(end_of(&check), 0);
	assert_string_equal(check.said, "load\nunload\n");
}

static void
an_action_without_a_good_configuration_exits_2(void **state)
{
	struct child bad = run("-cbad", "--look", NULL), none = run("--look", NULL, NULL);
	struct child wrong = run("-cgood", "--look=short", NULL);

	(void)state;
	assert_int_equal(end_of(&bad), 2);
	assert_string_equal(bad.said, "bad:1: bad\n");
	assert_int_equal(end_of(&none), 2);
	assert_int_equal(end_of(&wrong), 2);
	assert_non_null(strstr(wrong.said, "usage: tiny"));
}

static void
version_and_help_are_told_on_request(void **state)
{
	struct child version = run("-V", NULL, NULL), help = run("-h", NULL, NULL);

	(void)state;
	assert_int_equal(end_of(&version), 0);
	assert_string_equal(version.said, "tiny (VoFW) " PACKAGE_VERSION "\n");
	assert_int_equal(end_of(&help), 0);
	assert_non_null(strstr(help.said, "a small daemon"));
	assert_non_null(strstr(help.said, "--look=long"));
}

static void
systemd_is_told_of_each_state(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 20 };
	static const char *const told[] = { "READY=1", "RELOADING=1", "READY=1", "STOPPING=1" };
	socklen_t len = sizeof(sa_family_t);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct child c;

	(void)state;
	/* Linux gives it an abstract name of its own choice. */
	assert_int_equal(bind(fd, (const struct sockaddr *)&un, len), 0);
	len = sizeof(un);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&un, &len), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	un.sun_path[0] = '@';
	setenv("NOTIFY_SOCKET", un.sun_path, 1);
	c = run("-c", "good", NULL);
	unsetenv("NOTIFY_SOCKET");
	for (size_t i = 0; i < 4; i++) {
		char text[64];
		ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

		assert_true(n > 0);
		text[n] = '\0';
		assert_string_equal(text, told[i]);
		if (i == 0)
			kill(c.pid, SIGHUP);
		if (i == 2)
			kill(c.pid, SIGTERM);
	}
	assert_int_equal(end_of(&c), 0);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(daemon_runs_reloads_and_ends_in_order),
		cmocka_unit_test(daemon_keeps_its_configuration_when_the_new_one_is_bad),
		cmocka_unit_test(daemon_that_hangs_in_its_stop_ends_at_the_second_signal),
		cmocka_unit_test(daemon_that_hangs_in_its_stop_ends_by_itself_in_the_end),
		cmocka_unit_test(daemon_that_cannot_start_gives_its_configuration_back),
		cmocka_unit_test(check_option_starts_nothing),
		cmocka_unit_test(wrong_command_line_gets_the_usage_and_exit_1),
		cmocka_unit_test(an_action_runs_instead_of_the_daemon),
		cmocka_unit_test(an_action_without_a_good_configuration_exits_2),
		cmocka_unit_test(version_and_help_are_told_on_request),
		cmocka_unit_test(systemd_is_told_of_each_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
