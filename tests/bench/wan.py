# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces and the WAN emulator between two of them, for Python. Needs root."""

import contextlib
import ctypes
import os
import subprocess

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(LIBC, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name + ": " + os.strerror(ctypes.get_errno()))


class Namespace:
    """A network of its own, gone with the last process and descriptor that uses it."""

    def __init__(self):
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            call("unshare", CLONE_NEWNET)
            self.fd = os.open("/proc/self/ns/net", os.O_RDONLY)
            call("setns", home, CLONE_NEWNET)
        finally:
            os.close(home)
        self.path = f"/proc/{os.getpid()}/fd/{self.fd}"

    @contextlib.contextmanager
    def inside(self):
        """Sockets made and processes started within belong to it. For programs of one thread."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        call("setns", self.fd, CLONE_NEWNET)
        try:
            yield
        finally:
            call("setns", home, CLONE_NEWNET)
            os.close(home)

    def close(self):
        os.close(self.fd)


class Wan:
    """The running emulator; `a` and `b` are NETNS:IFNAME:ADDR/PREFIX."""

    def __init__(self, program, a, b, seed=1):
        self.process = subprocess.Popen([program, "--a", a, "--b", b, "--seed", str(seed)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("the WAN emulator did not start")

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer or answer.startswith("error"):
            raise RuntimeError(f"{command}: {answer or 'the WAN emulator is gone'}")
        return answer

    def set(self, which="both", **values):
        self.ask(f"set {which} " + " ".join(f"{name}={value}" for name, value in values.items()))

    def reset(self):
        self.ask("reset")

    def stats(self):
        """{"ab": {name: number}, "ba": ...}"""
        result, which = {}, None
        for word in self.ask("stats").split():
            name, equals, value = word.partition("=")
            if equals:
                result[which][name] = float(value) if "." in value else int(value)
            else:
                which = word
                result[which] = {}
        return result

    def cpu_ns(self):
        with open(f"/proc/{self.process.pid}/schedstat") as f:
            return int(f.read().split()[0])

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()
