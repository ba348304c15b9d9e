/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/proxy/pac.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

/*
 * What the process is told on stdin: the URL, the host, each with its line's end, then the script.
 * What it says on stdout: one byte, 'A' for an answer or 'E' for what went wrong, the text, and a
 * line's end, by which we know that nothing lacks.
 */
struct pac_job {
	pac_cb *cb;
	void *arg;
	pid_t pid;
	int fd; /* its stdout */
	struct event readable, deadline;
	char said[PAC_ANSWER_MAX];
	size_t said_n;
};

/* Of what it says only what can be shown and parsed safely is kept. */
static void
make_printable(char *s)
{
	for (; *s != '\0'; s++) {
		if (*s < ' ' || *s > '~')
			*s = '?';
	}
}

/* Ends the process, whatever it does, and takes it away; a killed one is gone at once. */
static void
job_free(struct pac_job *j)
{
	kill(j->pid, SIGKILL);
	while (waitpid(j->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	event_del(&j->readable);
	event_del(&j->deadline);
	close(j->fd);
	mem_free(j);
}

static void
job_over(struct pac_job *j, const char *answer, const char *cause)
{
	pac_cb *cb = j->cb;
	void *arg = j->arg;
	char text[PAC_ANSWER_MAX];

	snprintf(text, sizeof(text), "%s", answer != NULL ? answer : cause);
	make_printable(text);
	job_free(j);
	cb(arg, answer != NULL ? text : NULL, answer != NULL ? "" : text);
}

static void
job_said(struct pac_job *j)
{
	char *end = memchr(j->said, '\n', j->said_n);

	if (end == NULL) {
		job_over(j, NULL, "the PAC script broke its interpreter");
		return;
	}
	*end = '\0';
	if (j->said[0] == 'A')
		job_over(j, j->said + 1, NULL);
	else
		job_over(j, NULL, j->said + 1);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct pac_job *j = arg;
	ssize_t n;

	(void)what;
	n = read(fd, j->said + j->said_n, sizeof(j->said) - j->said_n);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		j->said_n += (size_t)n;
	if (n <= 0 || j->said_n == sizeof(j->said) || memchr(j->said, '\n', j->said_n) != NULL)
		job_said(j);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	job_over(arg, NULL, "the PAC script takes too long (it may wait for the DNS)");
}

static bool
write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w < 0)
			return false;
		p += w;
		n -= (size_t)w;
	}
	return true;
}

/* A file without a name that holds the question; -1 on failure. */
static int
write_question(const char *script, size_t n, const char *url, const char *host)
{
	char *head = mem_printf("%s\n%s\n", url, host);
	int fd = memfd_create("pac", MFD_CLOEXEC);

	if (fd >= 0 &&
	    (!write_all(fd, head, strlen(head)) || !write_all(fd, script, n) ||
		lseek(fd, 0, SEEK_SET) < 0)) {
		close(fd);
		fd = -1;
	}
	mem_free(head);
	return fd;
}

/*
 * posix_spawn, since this process may have threads of libraries, whose locks a mere fork would
 * inherit; and since the new process is to know none of our secrets.
 */
static int
spawn(const char *program, int in, int out, pid_t *pid)
{
	/* A script that asks a dead name server is to have some time left for the rest. */
	static char resolver[] = "RES_OPTIONS=timeout:1 attempts:1";
	static char leaks[] = "ASAN_OPTIONS=detect_leaks=0";
	static char name[] = PAC_CHILD_NAME;
	char *const argv[] = { name, NULL }, *const envp[] = { resolver, leaks, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	int err;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addclosefrom_np(&files, 3);
	err = posix_spawn(pid, program, &files, &attr, argv, envp);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return err;
}

static struct pac_job *
job_new(struct event_base *base, pid_t pid, int fd, pac_cb *cb, void *arg)
{
	static const struct timeval limit = { PAC_TIME_MS / 1000, PAC_TIME_MS % 1000 * 1000 };
	struct pac_job *j = mem_zalloc(sizeof(*j));

	j->cb = cb;
	j->arg = arg;
	j->pid = pid;
	j->fd = fd;
	event_assign(&j->readable, base, fd, EV_READ | EV_PERSIST, on_readable, j);
	evtimer_assign(&j->deadline, base, on_deadline, j);
	event_add(&j->readable, NULL);
	event_add(&j->deadline, &limit);
	return j;
}

struct pac_job *
pac_evaluate(struct event_base *base, const char *program, const char *script, size_t n,
    const char *url, const char *host, pac_cb *cb, void *arg)
{
	int question, pipes[2], err;
	pid_t pid;

	question = write_question(script, n, url, host);
	if (question < 0)
		return NULL;
	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0) {
		close(question);
		return NULL;
	}
	err = spawn(program, question, pipes[1], &pid);
	close(question);
	close(pipes[1]);
	if (err != 0) {
		close(pipes[0]);
		errno = err;
		return NULL;
	}
	return job_new(base, pid, pipes[0], cb, arg);
}

void
pac_cancel(struct pac_job *j)
{
	if (j != NULL)
		job_free(j);
}
