/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The process in which a PAC script runs; the only user of libpacparser. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <pacparser.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/mem.h"
#include "hrac/proxy/pac.h"

#define QUESTION_MAX (PAC_SCRIPT_MAX + 4096)
#define MEMORY_MAX (512UL * 1024 * 1024)

static char trouble[256]; /* the first that the library complained of */

static void
limit(__rlimit_resource_t what, rlim_t most)
{
	const struct rlimit r = { most, most };

	(void)setrlimit(what, &r);
}

/* What a script never needs it cannot have, should it take over its interpreter. */
static void
confine(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	limit(RLIMIT_CPU, PAC_TIME_MS / 1000 + 1);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_NOFILE, 32);
#ifndef __SANITIZE_ADDRESS__ /* whose shadow alone is larger */
	limit(RLIMIT_AS, MEMORY_MAX);
#endif
}

static int __attribute__((format(printf, 1, 0))) on_trouble(const char *fmt, va_list ap)
{
	size_t n = strlen(trouble);

	return vsnprintf(trouble + n, sizeof(trouble) - n, fmt, ap);
}

/*
 * The address that this host has towards the world, for myIpAddress(): by the route, without a
 * packet; else of the first interface that is up, as there may be no way out but by the proxy.
 */
static bool
find_own_address(char text[static ADDR_HOST_MAX])
{
	struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct ifaddrs *list = NULL, *i;
	socklen_t len = sizeof(in4);
	bool found = false;
	struct addr a;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	in4.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1 is nobody's */
	if (fd >= 0 && connect(fd, (struct sockaddr *)&in4, len) == 0 &&
	    getsockname(fd, (struct sockaddr *)&in4, &len) == 0) {
		addr_from_sockaddr((struct sockaddr *)&in4, &a);
		found = true;
	}
	if (fd >= 0)
		close(fd);
	if (!found && getifaddrs(&list) == 0) {
		for (i = list; i != NULL && !found; i = i->ifa_next) {
			if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET ||
			    (i->ifa_flags & IFF_UP) == 0 || (i->ifa_flags & IFF_LOOPBACK) != 0)
				continue;
			addr_from_sockaddr(i->ifa_addr, &a);
			found = true;
		}
		freeifaddrs(list);
	}
	if (found)
		addr_host(&a, text);
	return found;
}

/* All of stdin, with a NUL. */
static char *
read_question(void)
{
	char *text = mem_alloc(QUESTION_MAX + 1);
	size_t used = 0;
	ssize_t n;

	while (used < QUESTION_MAX && (n = read(0, text + used, QUESTION_MAX - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	return text;
}

static void
say(char kind, const char *text)
{
	char line[PAC_ANSWER_MAX];
	int n;

	/* One line; a text that does not fit is cut, as its end is the mark that all has come. */
	n = snprintf(line, sizeof(line) - 1, "%c%s", kind, text);
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	for (int i = 1; i < n; i++) {
		if (line[i] == '\n')
			line[i] = ' ';
	}
	line[n] = '\n';
	if (write(1, line, (size_t)n + 1) < 0)
		_exit(1);
}

/* The library's own words begin with the names of its file and function. */
static const char *
trouble_told(void)
{
	const char *colon = trouble;
	size_t n = strlen(trouble);

	while (n > 0 && strchr(" \n", trouble[n - 1]) != NULL)
		trouble[--n] = '\0';
	for (int i = 0; i < 2 && strncmp(trouble, "pacparser.c:", 12) == 0; i++)
		colon += strcspn(colon, ":") + (strchr(colon, ':') != NULL);
	return colon + strspn(colon, " ");
}

static void
say_trouble(const char *what)
{
	const char *told = trouble_told();
	char text[sizeof(trouble) + 64];

	snprintf(text, sizeof(text), "%s%s%s", what, told[0] == '\0' ? "" : ": ", told);
	say('E', text);
}

static int
answer(char *question)
{
	char own[ADDR_HOST_MAX], *rest = question;
	char *url = strsep(&rest, "\n"), *host = strsep(&rest, "\n");
	const char *found;

	if (rest == NULL)
		return 1;
	if (find_own_address(own))
		pacparser_setmyip(own);
	pacparser_set_error_printer(on_trouble);
	pacparser_enable_microsoft_extensions();
	if (!pacparser_init()) {
		say_trouble("the interpreter of PAC scripts does not start");
		return 1;
	}
	if (!pacparser_parse_pac_string(rest)) {
		say_trouble("the PAC script is no JavaScript that runs");
		return 1;
	}
	found = pacparser_find_proxy(url, host);
	if (found == NULL && rest[strspn(rest, " \t\r\n")] == '<') {
		say_trouble("it is a web page (a login page?)");
		return 1;
	}
	if (found == NULL) {
		say_trouble("the PAC script has no working FindProxyForURL");
		return 1;
	}
	say('A', found);
	return 0;
}

int
pac_child(void)
{
	char *question;
	int status;

	confine();
	question = read_question();
	status = answer(question);
	mem_free(question);
	return status;
}
