# SPDX-License-Identifier: GPL-3.0-or-later
"""The world of one measurement: two sites and the line between them.

    inside 10.1.0.0/16 --------------------- line --- outside 10.2.0.0/16
      .0.5 HRAC  .0.11 phones       10.9.0.1   10.9.0.2   .0.5 HRAS  .0.11 phones

With a web proxy in between, the line begins behind it:

    inside -- 10.8.0.1   10.8.0.2 proxy -- 10.9.0.1 line 10.9.0.2 -- outside

All of it lives in a sandbox (see tests/integration/lab) and vanishes with it.
"""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "integration")]

from wan import Wan                                                 # noqa: E402
from lab.netns import Namespace                                     # noqa: E402
from lab.process import Process                                     # noqa: E402
from lab.wait import Failure, wait_for                              # noqa: E402,F401

INSIDE_PHONE, OUTSIDE_PHONE, MEDIA_PORT = "10.1.0.11", "10.2.0.11", 40000
INSIDE_AGENT, OUTSIDE_AGENT = "10.1.0.5", "10.2.0.5"
PROXY = "10.8.0.2"
LINE_NEAR, LINE_FAR = "10.9.0.1", "10.9.0.2"
PROGRAMS = os.environ.get("VOFW_BIN_DIR", os.path.join(HERE, "..", ".."))
RELAY_PRIORITY = ("chrt", "-r", "25")      # over whatever else the machine does, ...
METER_PRIORITY = ("chrt", "-f", "40")      # ... and the instruments (wan: 30) over what they measure


def may_be_real_time():
    """Whether this user may ask for real-time priority."""
    return subprocess.run([*METER_PRIORITY, "true"], capture_output=True, check=False
                          ).returncode == 0


def allow_congestion_controls(names):
    """A namespace may only choose what the whole machine allows; that list grows if it must. What
    was added (it stays until the machine starts again)."""
    path = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"
    with open(path, encoding="ascii") as f:
        allowed = f.read().split()
    added = [name for name in names if name not in allowed]
    if added:
        with open(path, "w", encoding="ascii") as f:
            f.write(" ".join(allowed + added))
    return added


class Site(Namespace):
    """A host that is a whole network: its addresses are on its loopback."""

    def __init__(self, world, name, *addresses):
        super().__init__(world, name)
        self.address = addresses[0] if addresses else PROXY
        for address in addresses:
            self.ip(f"address add {address}/32 dev lo")
        self.sysctl("net.ipv4.ip_forward", 1)
        self.sysctl("net.ipv4.tcp_congestion_control", world.job["cc"])
        self.path = f"/proc/{os.getpid()}/fd/{self.fd}"

    def spawn(self, name, command, **options):
        return super().spawn(name, [*self.lab.relay_priority, *command], **options)


class World:
    """Made for one job in a directory of its own, and closed after it."""

    def __init__(self, job, directory):
        self.job, self.directory = job, directory
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C",
                            "HOME": directory}
        self.processes = []
        self.relay_priority = RELAY_PRIORITY if job["real_time"] else ()
        self.meter_priority = METER_PRIORITY if job["real_time"] else ()
        self.inside = Site(self, "inside", INSIDE_AGENT, INSIDE_PHONE)
        self.outside = Site(self, "outside", OUTSIDE_AGENT, OUTSIDE_PHONE)
        self.proxy = Site(self, "proxy") if job["squid"] else None
        near = self.proxy or self.inside
        self.line = Wan(self.binary("tests/bench/wan"), f"{near.path}:wan0:{LINE_NEAR}/24",
                        f"{self.outside.path}:wan0:{LINE_FAR}/24", job["seed"])
        near.ip("route add 10.2.0.0/16 dev wan0")
        self.outside.ip("route add 10.1.0.0/16 dev wan0")
        if self.proxy is not None:
            self._join_proxy()

    def _join_proxy(self):
        self.inside.ip(f"link add eth0 type veth peer name eth0 netns {self.proxy.path}",
                       "address add 10.8.0.1/24 dev eth0", "link set eth0 up",
                       f"route add default via {PROXY}")
        self.proxy.ip(f"address add {PROXY}/24 dev eth0", "link set eth0 up")

    # -- What the laboratory's classes ask of their lab --

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def binary(self, name):
        path = os.path.join(PROGRAMS, name)
        if not os.access(path, os.X_OK):
            raise Failure(f"{path} is not there: build first, or set VOFW_BIN_DIR")
        return path

    def keep(self, process):
        self.processes.append(process)
        return process

    def story(self):
        return "\n".join(f"--- {process.name}\n{process.tail(6)}" for process in self.processes)


class Load:
    """rtp_load, the phones of all calls of `system`, while it runs."""

    def __init__(self, world, system, warm_up_s, seconds, drain_ms=2000):
        self.dump = world.path("delays")
        self.process = subprocess.Popen(
            [*world.meter_priority, world.binary("tests/bench/rtp_load"), "-d", str(drain_ms),
             "-o", self.dump, f"{world.inside.path}@{INSIDE_PHONE}:{MEDIA_PORT}",
             f"{world.outside.path}@{OUTSIDE_PHONE}:{MEDIA_PORT}", str(warm_up_s), str(seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for inside, outside in system.lines:
            self.process.stdin.write(f"{inside} {outside}\n")
        self.process.stdin.close()

    def wait(self, word):
        line = self.process.stdout.readline()
        if line.strip() != word:
            raise Failure(f"the generator failed: {line}")

    def results(self):
        """When all is over: name -> number."""
        words = [word.split("=") for word in self.process.stdout.read().split()]
        if self.process.wait() != 0:
            raise Failure("the generator failed")
        return {name: int(value) for name, value in words}

    def stop(self):
        self.process.kill()
        self.process.wait()
