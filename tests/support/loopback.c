/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/support/loopback.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define WAIT_US (10 * CLOCK_S)

char *
loopback_file(const char *text)
{
	char *name = mem_strdup("/tmp/vofw-test-XXXXXX");
	int fd = mkstemp(name);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	close(fd);
	return name;
}

void
loopback_file_free(char *name)
{
	unlink(name);
	mem_free(name);
}

int
loopback_udp(struct addr *out)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);

	addr_parse("127.0.0.1", 0, out);
	if (fd < 0 || bind(fd, &out->u.sa, addr_len(out)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&ss, &n) != 0)
		abort();
	addr_from_sockaddr((struct sockaddr *)&ss, out);
	return fd;
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

bool
loopback_wait(struct event_base *base, loopback_cond *cond, void *arg)
{
	static const struct timeval often = { 0, 5000 };
	struct event *tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
	uint64_t until_us = clock_us() + WAIT_US;

	event_add(tick, &often);
	while (!cond(arg) && clock_us() < until_us)
		event_base_loop(base, EVLOOP_ONCE);
	event_free(tick);
	return cond(arg);
}
