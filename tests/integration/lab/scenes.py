# SPDX-License-Identifier: GPL-3.0-or-later
"""What most tests begin with: the pair, two phones, a call with voice both ways."""

from .agents import HRAC, Hrac, Hras
from .baresip import Phone
from .capture import Capture, assert_hidden
from .rawsip import Endpoint
from .wait import expect, wait_for
from .world import HRAS, INSIDE

INSIDE_SECRETS = [INSIDE + last for last in ("1", "5", "11", "12")]


class Pair:
    """An office with its HRAC, and HRAS, and the tunnel between them, which is up. `hras` and
    `hrac` are changes of their configurations."""

    def __init__(self, lab, hras=None, hrac=None, office=None):
        self.lab = lab
        self.office = office or lab.office()
        self.hras = Hras(lab, hras).start()
        self.hrac = Hrac(self.office, hrac).start()
        self.hrac.wait_tunnel()
        self.hras.wait_tunnel(agent=self.office.name)

    def inside(self, user="alice", host=None, **options):
        """A baresip in the office (on p1 if not told otherwise)."""
        return Phone(host or self.office.p1, user, HRAC, **options)

    def outside(self, user="bob", host=None, **options):
        """A baresip on the Internet."""
        return Phone(host or self.lab.out1, user, HRAS, **options)

    def inside_endpoint(self, user="alice", host=None, **options):
        """A bare socket in the office that speaks SIP to HRAC."""
        return Endpoint(host or self.office.p1, user, HRAC, **options)

    def outside_endpoint(self, user="bob", host=None, **options):
        return Endpoint(host or self.lab.out1, user, HRAS, **options)

    def registered(self, user, host, proxy, port=5060):
        """Leaves a binding of `user` to that host and port, for a SIPp that waits there."""
        endpoint = Endpoint(host, user, proxy, port=port)
        answer = endpoint.register()
        endpoint.close()
        expect(answer.status == 200, f"{user} is registered, not: {answer.start}")

    def watch_outside(self):
        """A capture on the Internet, for assert_outside_knows_nothing."""
        return Capture(self.lab.internet)


def all_quiet(pair):
    """No call is left, and nothing that belonged to one: legs, ports."""
    for agent in (pair.hras, pair.hrac):
        agent.wait_calls(0)
        for gauge in ("media_legs", "ports_in_use"):
            wait_for(f"{agent.name}: {gauge} to be 0",
                     lambda a=agent, g=gauge: a.status()["counters"].get(g, 0) == 0)


def assert_outside_knows_nothing(capture):
    """Ends the capture: no inside address was in what HRAS and outside phones told each other."""
    return assert_hidden(capture.stop(), HRAS, INSIDE_SECRETS)


def connect(caller, called, answer=False):
    """`caller` dials `called`, who answers by itself, or is made to; until both are connected."""
    marks = caller.mark(), called.mark()
    caller.dial(called.uri)
    if answer:
        called.wait_event("CALL_INCOMING", since=marks[1])
        called.answer()
    caller.wait_event("CALL_ESTABLISHED", since=marks[0])
    called.wait_event("CALL_ESTABLISHED", since=marks[1])


def both_hear(a, b, seconds=2.0, timeout=15.0):
    """What each of the two hears from now on is the other's voice."""
    since_a, since_b = a.now(), b.now()
    return (a.wait_heard(b, seconds, since_a, timeout), b.wait_heard(a, seconds, since_b, timeout))


def hang_up(by, other):
    """`by` hangs up, and both phones know it."""
    marks = by.mark(), other.mark()
    by.hangup()
    by.wait_closed(since=marks[0])
    other.wait_closed(since=marks[1])
