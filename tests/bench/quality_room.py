# SPDX-License-Identifier: GPL-3.0-or-later
"""Room on the machine: how many measurements may run at a time, of all who measure on it."""

import contextlib
import fcntl
import os
import tempfile
import time

BIG_CALLS = 20                     # more calls than these and a job has the machine for itself


class Room:
    """`places` that are shared by lock files with whoever else measures here."""

    def __init__(self, places):
        self.places = places
        self.closed = False        # whoever still waits for a place gives up
        self.directory = os.path.join(tempfile.gettempdir(), f"vofw-quality-room-{os.geteuid()}")
        os.makedirs(self.directory, exist_ok=True)

    def _open(self, name):
        return os.open(os.path.join(self.directory, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
                       0o600)

    def _take_one(self, taken):
        """The lock file of a free place that is not among those taken, or None."""
        for place in range(self.places):
            if place in taken:
                continue
            fd = self._open(f"place{place}")
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return place, fd
            except BlockingIOError:
                os.close(fd)
        return None

    def _check(self):
        if self.closed:
            raise InterruptedError("no more measurements")

    def _is_first(self, queue):
        self._check()
        try:
            fcntl.flock(queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    @contextlib.contextmanager
    def for_job(self, job):
        """Waits for as many places as the job needs; one waits at a time, so that none starves."""
        need = self.places if job["calls"] > BIG_CALLS else 1
        taken = {}
        queue = self._open("queue")
        try:
            while not self._is_first(queue):
                time.sleep(0.1)
            while len(taken) < need:
                self._check()
                place = self._take_one(taken)
                if place is None:
                    time.sleep(0.1)
                else:
                    taken[place[0]] = place[1]
            fcntl.flock(queue, fcntl.LOCK_UN)
            yield
        finally:
            os.close(queue)
            for fd in taken.values():
                os.close(fd)

