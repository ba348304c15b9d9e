# SPDX-License-Identifier: GPL-3.0-or-later
"""Another time for an agent: its monotonic clock by a time namespace, its wall clock by a small
library in front of the C library, which reads how wrong it is from a file that may change.

    clocks.py SECONDS COMMAND...    runs COMMAND with the monotonic and the boot clock ahead"""

import ctypes
import os
import struct
import subprocess
import sys

from .process import SANITIZERS

_CLONE_NEWTIME = 0x80
_WALL = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long *ahead;

__attribute__((constructor)) static void
begin(void)
{
	const char *name = getenv("VOFW_TEST_WALL");
	int fd = name == NULL ? -1 : open(name, O_RDONLY);
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		abort();
	ahead = p;
	close(fd);
}

int
clock_gettime(clockid_t id, struct timespec *t)
{
	static int (*real)(clockid_t, struct timespec *);
	int err;

	if (real == NULL)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	err = real(id, t);
	if (err == 0 && ahead != NULL && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		t->tv_sec += *ahead;
	return err;
}

time_t
time(time_t *out)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (out != NULL)
		*out = t.tv_sec;
	return t.tv_sec;
}

int
gettimeofday(struct timeval *out, void *zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	out->tv_sec = t.tv_sec;
	out->tv_usec = t.tv_nsec / 1000;
	return 0;
}
"""


class Clocks:
    """The clocks of `agent`, which is not started yet: so many seconds ahead of everybody's."""

    def __init__(self, agent, monotonic=0, wall=0):
        lab = agent.lab
        self.path = lab.path(f"{agent.name}.wall")
        self.wall(wall)
        source = lab.write("wall.c", _WALL)
        library = lab.path("wall.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        agent.environment.update(
            LD_PRELOAD=library, VOFW_TEST_WALL=self.path,
            ASAN_OPTIONS=SANITIZERS["ASAN_OPTIONS"] + ":verify_asan_link_order=0")
        agent.prefix = [sys.executable, "-m", "lab.clocks", str(monotonic)]
        agent.environment["PYTHONPATH"] = os.path.dirname(os.path.dirname(__file__))

    def wall(self, seconds):
        """From now on its wall clock is so far ahead (or, negative, behind)."""
        # Into the same file: it is mapped.
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as file:
            file.write(struct.pack("l", seconds))


def _run(seconds, command):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWTIME) != 0:
        sys.exit(f"no time namespace: {os.strerror(ctypes.get_errno())}")
    with open("/proc/self/timens_offsets", "w", encoding="ascii") as file:
        file.write(f"monotonic {seconds} 0\nboottime {seconds} 0\n")
    fd = os.open("/proc/self/ns/time_for_children", os.O_RDONLY)
    if libc.setns(fd, _CLONE_NEWTIME) != 0:
        sys.exit(f"not into the time namespace: {os.strerror(ctypes.get_errno())}")
    os.close(fd)
    os.execvp(command[0], command)


if __name__ == "__main__":
    _run(int(sys.argv[1]), sys.argv[2:])
