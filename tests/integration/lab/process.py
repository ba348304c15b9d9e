# SPDX-License-Identifier: GPL-3.0-or-later
"""Children of a test: each with a log file, each ended by its process id."""

import re
import signal
import subprocess

from .wait import Timeout, wait_for

SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99",
}


class Process:
    """A running program whose output goes to DIRECTORY/NAME.log."""

    def __init__(self, lab, name, command, stdin=None, env=None, cwd=None):
        self.name = name
        self.command = command
        self.log = lab.path(f"{name}.log")
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                [str(part) for part in command], stdout=log, stderr=subprocess.STDOUT,
                stdin=stdin if stdin is not None else subprocess.DEVNULL, cwd=cwd,
                env={**lab.environment, **(env or {})})

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def tail(self, lines=15):
        return "\n".join(self.output().splitlines()[-lines:])

    @property
    def running(self):
        return self.child.poll() is None

    def wait_output(self, pattern, timeout=10.0):
        """Waits for a line that the regular expression `pattern` finds; the match."""
        def seen():
            found = re.search(pattern, self.output(), re.M)
            if not found and not self.running:
                raise Timeout(f"{self.name} ended ({self.child.returncode}) before it said "
                              f"/{pattern}/:\n{self.tail()}")
            return found
        return wait_for(f"/{pattern}/ from {self.name}", seen, timeout)

    def wait(self, timeout=10.0):
        """Waits for its end; the exit status."""
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Timeout(f"{self.name} did not end in {timeout:g} s:\n{self.tail()}") from None

    def signal(self, number):
        if self.running:
            self.child.send_signal(number)

    def stop(self, timeout=5.0):
        """SIGTERM, and SIGKILL to one that does not listen; the exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self):
        """SIGKILL; the exit status."""
        self.signal(signal.SIGKILL)
        return self.child.wait(5.0)

    def finish(self):
        """The test is over: ends it. What was wrong with it, a line each."""
        self.stop()
        return []
