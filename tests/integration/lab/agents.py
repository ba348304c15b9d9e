# SPDX-License-Identifier: GPL-3.0-or-later
"""HRAC and HRAS as a test sees them: a configuration, a process, and the facts they tell."""

import http.client
import json
import os
import re
import signal

from .process import SANITIZERS, Process
from .wait import Failure, wait_for
from .world import HRAS, INSIDE

HRAC = INSIDE + "5"
DOMAIN = "example.com"
PASSWORD = "wonderland"
USERS = ("alice", "bob", "carol", "dave")
_SANITIZER = re.compile(r"^.*(?:ERROR: (?:Address|Leak)Sanitizer|runtime error:).*$", re.M)


def conf_text(options):
    """A configuration file. {"store": "x", "tunnel": {...}, "user alice": {...}}: a dictionary is
    a section, its name quoted if it has one; None leaves an option out."""
    def value(v):
        if isinstance(v, (list, tuple)):
            return "{ " + ", ".join(value(item) for item in v) + " }"
        return f'"{v}"'
    lines = []
    for key, content in options.items():
        if isinstance(content, dict):
            kind, _, title = key.partition(" ")
            inner = conf_text(content).replace("\n", "\n\t").rstrip()
            title = f' "{title}"' if title else ""
            lines.append(f"{kind}{title} {{\n\t{inner}\n}}")
        elif content is not None:
            lines.append(f"{key} = {value(content)}")
    return "\n".join(lines) + "\n"


def merged(base, changes):
    """`base` with `changes`, section by section."""
    result = dict(base)
    for key, content in changes.items():
        if isinstance(content, dict) and isinstance(result.get(key), dict):
            content = merged(result[key], content)
        result[key] = content
    return result


class Agent:
    """One daemon on one host. `changes` are laid over the usual configuration."""

    program = None
    status_port = None

    def __init__(self, host, changes=None, name=None):
        self.host, self.lab = host, host.lab
        self.name = name or host.name
        self.options = merged(self.defaults(), changes or {})
        self.environment = {}   # of the process, besides what all have
        self.prefix = []        # of its command, see clocks.py
        self.process = None

    def defaults(self):
        raise NotImplementedError

    # -- Its life --

    def write(self):
        return self.lab.write(f"{self.name}.conf", conf_text(self.options))

    def start(self, ready=True):
        """Starts it and waits until its status answers."""
        with self.host.inside():
            self.process = self.lab.keep(AgentProcess(
                self.lab, self.name,
                [*self.prefix, self.lab.binary(self.program), "-c", self.write()],
                env={**SANITIZERS, **self.environment}))
        if ready:
            self.wait_status(lambda status: True, f"{self.name} to answer")
        return self

    def check(self):
        """`-t`: (exit status, what it said)."""
        with self.host.inside():
            process = AgentProcess(self.lab, f"{self.name}-check",
                                   [self.lab.binary(self.program), "-t", "-c", self.write()],
                                   env=SANITIZERS)
        return process.wait(), process.output()

    def kill(self):
        """SIGKILL: it can tell nobody."""
        self.process.expected = -signal.SIGKILL
        self.process.kill()

    def cpu_s(self):
        """The processor's time that it has used so far."""
        with open(f"/proc/{self.process.child.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        """SIGTERM, as an administrator would."""
        status = self.process.stop()
        if status != 0:
            raise Failure(f"{self.name} ended with {status}:\n{self.process.tail()}")

    # -- What it tells --

    def get(self, path, timeout=5.0):
        """(HTTP status, body) of a page of its status server."""
        connection = http.client.HTTPConnection("127.0.0.1", self.status_port)
        connection.sock = self.host.connect(("127.0.0.1", self.status_port), timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def json(self, path):
        status, body = self.get(path)
        if status != 200:
            raise Failure(f"{self.name}: {path}: {status} {body}")
        return json.loads(body)

    def status(self):
        return self.json("/api/status")

    def calls(self):
        return self.json("/api/calls")["calls"]

    def registrations(self):
        return self.json("/api/registrations")["registrations"]

    def counter(self, name):
        return self.status()["counters"][name]

    def wait_status(self, condition, what, timeout=10.0):
        """Waits until condition(status); that status."""
        def ask():
            if not self.process.running:
                raise Failure(f"{self.name} has ended ({self.process.child.returncode}):\n"
                              + self.process.tail())
            status = self.status()
            return status if condition(status) else None
        return wait_for(what, ask, timeout)

    def wait_tunnel(self, state="up", agent=None, timeout=10.0):
        """Waits until the tunnel (of `agent`) has this state."""
        def right(status):
            states = [t["state"] for t in status["tunnels"] if agent in (None, t["agent"])]
            return state in states
        return self.wait_status(right, f"{self.name}: tunnel {state}", timeout)

    def wait_no_tunnel(self, timeout=15.0):
        """Waits until no tunnel is up."""
        return self.wait_status(lambda status: all(t["state"] != "up" for t in status["tunnels"]),
                                f"{self.name}: no tunnel", timeout)

    def wait_calls(self, number, state=None, timeout=10.0):
        """Waits until there are so many calls (in that state); the calls."""
        def ask():
            calls = self.calls()
            fitting = [call for call in calls if state in (None, call["state"])]
            return (calls or [True]) if len(fitting) == number else None
        return wait_for(f"{self.name}: {number} calls {state or ''}", ask, timeout)

    def wait_registered(self, *users, timeout=10.0):
        """Waits until each of the users is registered."""
        def ask():
            known = json.dumps(self.registrations())
            return all(f"{user}@" in known for user in users)
        wait_for(f"{self.name}: {' '.join(users)} registered", ask, timeout)


class AgentProcess(Process):
    """A daemon: it must end in order when asked to, and no sanitizer may have complained."""

    expected = 0

    def finish(self):
        problems = []
        if not self.running and self.child.returncode != self.expected:
            problems.append(f"{self.name} ended by itself: {self.child.returncode}")
        elif self.running and self.stop() != self.expected:
            problems.append(f"{self.name} ended with {self.child.returncode} on SIGTERM")
        complaint = _SANITIZER.search(self.output())
        if complaint:
            problems.append(f"{self.name}: {complaint.group(0)}")
        return problems


class Hras(Agent):
    """The outside agent on 203.0.113.10."""

    program, status_port = "hras", 8081

    def __init__(self, lab, changes=None):
        super().__init__(lab.hras_host, changes, "hras")

    def defaults(self):
        return {
            "domains": [DOMAIN],
            "store": self.lab.path("hras.db"),
            "tunnel": {"listen": [f"{HRAS}:80"], "grace": "30s"},
            "agent office": {"secret": "office-secret"},
            "sip": {"listen": [f"udp:{HRAS}:5060", f"tcp:{HRAS}:5060"]},
            "media": {"address": HRAS, "ports": "20000-29999"},
            "status": {"listen": "127.0.0.1:8081"},
            "auth": {"require": "outside"},
            **{f"user {user}": {"password": PASSWORD} for user in USERS},
        }


class Hrac(Agent):
    """The inside agent on 192.168.1.5 of an office."""

    program, status_port = "hrac", 8080

    def __init__(self, office, changes=None):
        self.office = office
        super().__init__(office.hrac, changes)

    def defaults(self):
        name = self.office.name
        return {
            "tunnel": {"url": f"http://{HRAS}/", "agent": name, "secret": f"{name}-secret"},
            "sip": {"listen": [f"udp:{HRAC}:5060", f"tcp:{HRAC}:5060"]},
            "media": {"address": HRAC, "ports": "20000-29999"},
            "status": {"listen": "127.0.0.1:8080"},
        }
