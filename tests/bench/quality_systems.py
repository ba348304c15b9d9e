# SPDX-License-Identifier: GPL-3.0-or-later
"""What carries the voice over the line: nothing (plain UDP), the pair of agents, the bare TCP shim.
The peers are in quality_peers. Each is a context manager; `lines` says where the phones of each call
send."""

from phones import Phone, Phones
from quality_lab import (INSIDE_AGENT, INSIDE_PHONE, MEDIA_PORT, OUTSIDE_AGENT, OUTSIDE_PHONE,
                         PROXY)

from lab.agents import Agent, merged
from lab.certificates import Authority
from lab.squid import Squid

FIRST_PORT = 20000
SIP_PORT, PHONE_PORT = 5060, 5070
DOMAIN = "example.com"


class System:
    """Nothing in between. `calls` may be 0 for one that only carries SIP."""

    name = "udp"
    needs = None                   # (a program, Debian's package of it), if it is not ours
    adapts = False                 # whether it takes a while to learn the line

    def __init__(self, world):
        self.world = world
        self.calls = world.job["calls"]
        self.lines = []

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, *what):
        self.close()

    def open(self):
        self.lines = [(f"{OUTSIDE_PHONE}:{MEDIA_PORT}", f"{INSIDE_PHONE}:{MEDIA_PORT}")
                      ] * self.calls

    def close(self):
        """The processes end with the world."""

    def told(self):
        """What the system itself says at the end, to be kept with the result."""
        return {}

    def phones(self):
        """The two SIP phones that `pair_of_phones` makes, for measurements of call setup."""
        return pair_of_phones(self.world, f"{OUTSIDE_PHONE}:{PHONE_PORT}", None)


def pair_of_phones(world, proxy_inside, proxy_outside):
    """A caller inside and a callee outside, who registers if there is someone to register with."""
    with world.inside.inside():
        caller = Phone("caller", f"{INSIDE_PHONE}:{PHONE_PORT}", f"{INSIDE_PHONE}:{MEDIA_PORT}",
                       proxy_inside)
    with world.outside.inside():
        callee = Phone("callee", f"{OUTSIDE_PHONE}:{PHONE_PORT}",
                       f"{OUTSIDE_PHONE}:{MEDIA_PORT}",
                       proxy_outside or f"{INSIDE_PHONE}:{PHONE_PORT}")
    if proxy_outside is not None:
        callee.register(DOMAIN)
    return Phones(caller, callee)


class Udp(System):
    pass


class Shim(System):
    name = "shim"
    adapts = True

    def open(self):
        program = self.world.binary("tests/bench/tcp_shim")
        ends = ((self.world.outside, "listen", OUTSIDE_AGENT, OUTSIDE_PHONE),
                (self.world.inside, "connect", INSIDE_AGENT, INSIDE_PHONE))
        started = [site.spawn("shim", [program, role, f"{OUTSIDE_AGENT}:7000", str(self.calls),
                                       agent, str(FIRST_PORT), phone, str(MEDIA_PORT)])
                   for site, role, agent, phone in ends]
        for process in started:
            process.wait_output("^ready")
        ports = range(FIRST_PORT, FIRST_PORT + 2 * self.calls, 2)
        self.lines = [(f"{INSIDE_AGENT}:{port}", f"{OUTSIDE_AGENT}:{port}") for port in ports]


class Daemon(Agent):
    """An agent of the pair, at the priority of what is measured."""

    def __init__(self, site, program, status_port, options):
        self.program, self.status_port = program, status_port
        self.options = options
        self.host, self.lab, self.name = site, site.lab, program
        self.process = None

    def start(self, ready=True):
        self.process = self.host.spawn(
            self.program, [self.lab.binary(f"{self.program}/{self.program}"), "-c", self.write()])
        if ready:
            self.wait_status(lambda status: True, f"{self.name} to answer")
        return self


class Vofw(System):
    name = "vofw"
    adapts = True

    def open(self):
        job = self.world.job
        hras_tunnel, hrac_tunnel = self._tunnel(job["tls"])
        if job["squid"]:
            Squid(self.world.proxy)
            hrac_tunnel["proxy"] = f"http://{PROXY}:3128"
        self.hras = Daemon(self.world.outside, "hras", 8081, {
            "domains": [DOMAIN], "log_level": "warn", "tunnel": hras_tunnel,
            "agent office": {"secret": "bench"}, "auth": {"require": "none"},
            **self._face(OUTSIDE_AGENT, 8081)}).start()
        self.hrac = Daemon(self.world.inside, "hrac", 8080, merged({
            "log_level": "warn", "tunnel": hrac_tunnel, **self._face(INSIDE_AGENT, 8080)},
            {"tunnel": job.get("tunnel", {})})).start()
        self.hrac.wait_tunnel(timeout=20)
        self.dialled = self.phones()
        self.lines = self.dialled.dial(self.calls)

    def _tunnel(self, tls):
        """The tunnel sections of both: HRAS's and HRAC's."""
        hrac = {"agent": "office", "secret": "bench", "url": f"http://{OUTSIDE_AGENT}/"}
        if not tls:
            return {"listen": [f"{OUTSIDE_AGENT}:80"]}, hrac
        authority = Authority(self.world)
        certificate, key = authority.sign(OUTSIDE_AGENT)
        return ({"listen": [f"{OUTSIDE_AGENT}:443"], "certificate": certificate, "key": key},
                {**hrac, "url": f"https://{OUTSIDE_AGENT}/", "ca": authority.ca})

    def _face(self, address, status_port):
        return {"sip": {"listen": [f"udp:{address}:{SIP_PORT}"]}, "media": {"address": address},
                "status": {"listen": f"127.0.0.1:{status_port}"}}

    def phones(self):
        return pair_of_phones(self.world, f"{INSIDE_AGENT}:{SIP_PORT}",
                              f"{OUTSIDE_AGENT}:{SIP_PORT}")

    def told(self):
        return {agent.name: {"tunnels": status["tunnels"],
                             "counters": {name: n for name, n in status["counters"].items() if n}}
                for agent in (self.hrac, self.hras) for status in [agent.status()]}


OURS = {kind.name: kind for kind in (Udp, Vofw, Shim)}
