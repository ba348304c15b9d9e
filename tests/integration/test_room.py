# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls are let in as far as there is room for them in the tunnel, and no further."""

import re
import signal

from lab.agents import HRAC, Hrac
from lab.capture import Capture, assert_hidden
from lab.scenes import INSIDE_SECRETS, Pair, all_quiet, both_hear, connect, hang_up
from lab.sipp import Sipp, pause, recv, reply, sdp, send
from lab.wait import expect, wait_for
from lab.world import HRAS

CALLED = [recv("INVITE"), reply(180), reply(200, body=sdp()), recv("ACK"),
          recv("INVITE"), reply(200, body=sdp(version=2)), recv("ACK"), recv("BYE"), reply(200)]


def _offer(endpoint, port):
    return sdp(port=port).replace("[local_ip]", endpoint.host.address)


def _room(agent):
    return agent.status()["tunnels"][0]["room"]


def _call(alice, dave, port):
    """A call between two bare endpoints; the 200."""
    alice.send(alice.request("INVITE", "sip:dave@example.com", body=_offer(alice, port)))
    invite = dave.receive(condition=lambda m: m.method == "INVITE" and not m.status)
    dave.reply(invite, 200, "OK", body=_offer(dave, port))
    answer = alice.final()
    expect(answer.status == 200, f"the call is let in, not {answer.start}")
    alice.send(alice.in_dialog("ACK", answer, cseq=1))
    return answer


def _hang_up(alice, dave, answer):
    alice.send(alice.in_dialog("BYE", answer))
    dave.reply(dave.receive(condition=lambda m: m.method == "BYE"), 200, "OK")
    expect(alice.final().status == 200, "the call has ended")


def _refused(caller, called, port):
    """One call more is answered 503, with both headers; the answer."""
    answer = caller.ask("INVITE", f"sip:{called}@example.com", body=_offer(caller, port))
    expect(answer.status == 503, f"503, not {answer.start}")
    expect(1 <= int(answer["Retry-After"]) <= 20, f"Retry-After: {answer['Retry-After']}")
    expect(re.fullmatch(r'399 example\.com "The line [a-z ]+ full"', answer["Warning"]),
           f"Warning: {answer['Warning']}")
    return answer


def _reload(agent):
    agent.write()
    agent.process.signal(signal.SIGHUP)


def test_beyond_bandwidth_max_a_new_call_is_503(lab):
    """Room for three calls, by the configuration of HRAC: the smaller of the two. Two of SIPp, which
    speak inside their calls while the tunnel is full, and one by hand."""
    pair = Pair(lab, hras={"auth": {"require": "none"}, "tunnel": {"bandwidth_max": "1G"}},
                hrac={"tunnel": {"bandwidth_max": "349"}})
    capture = pair.watch_outside()
    for agent in (pair.hras, pair.hrac):
        wait_for(f"{agent.name} to know the smaller cap",
                 lambda a=agent: _room(a)["bandwidth_max_kbit"] == 349)
    pair.registered("bob", lab.out1, HRAS)
    alice = pair.inside_endpoint("alice", port=5062)
    dave = pair.outside_endpoint("dave", lab.out2, port=5062)
    expect(dave.register().status == 200, "dave is registered")
    expect(alice.register().status == 200, "alice is registered")
    called = Sipp(lab.out1, CALLED, user="bob", calls=2)
    caller = Sipp(pair.office.p2, [
        send("INVITE", body=sdp()), recv(100, optional=True), recv(180, optional=True),
        recv(200, rrs=True), send("ACK"), pause(5000), send("INVITE", body=sdp(version=2)),
        recv(100, optional=True), recv(200), send("ACK"), pause(500), send("BYE"), recv(200)],
        user="carol", to="bob", proxy=HRAC, calls=2)
    pair.hras.wait_calls(2, "up")
    third = _call(alice, dave, 6000)
    expect(_room(pair.hras)["calls"] == 3, f"three places are taken: {_room(pair.hras)}")
    _refused(alice, "dave", 6010)
    outside = _refused(dave, "alice", 6010)
    expect("office" not in outside.text, f"no name of the inside: {outside}")
    _hang_up(alice, dave, third)
    third = _call(alice, dave, 6020)        # the next one is let in
    _refused(alice, "dave", 6030)
    caller.finished()
    called.finished()
    pair.hras.wait_calls(1)
    expect(_room(pair.hras)["refused"] == 3, f"three were refused: {_room(pair.hras)}")
    expect(pair.hras.counter("calls_refused_bandwidth") == 3, "and counted")
    expect(re.search(r"warn vcit: agent office: a call is refused with 503: .* of the 349 of "
                     r"bandwidth_max", pair.hras.process.output()), "the log says why")
    _hang_up(alice, dave, third)
    all_quiet(pair)
    assert_hidden(capture.stop(), HRAS, INSIDE_SECRETS)


def test_a_cap_that_is_configured_anew_counts_without_a_new_tunnel(lab):
    """SIGHUP on either side, with a call up that is not touched."""
    pair = Pair(lab)
    alice, dave = pair.inside_endpoint("alice"), pair.outside_endpoint("dave")
    expect(dave.register().status == 200, "dave is registered")
    expect(_room(pair.hras)["bandwidth_max_kbit"] is None, "no cap at first")
    first = _call(alice, dave, 6000)
    for agent, other, kbit in ((pair.hras, pair.hrac, 150), (pair.hrac, pair.hras, 120)):
        agent.options["tunnel"]["bandwidth_max"] = kbit
        _reload(agent)
        for a in (agent, other):
            wait_for(f"{a.name} to know {kbit}",
                     lambda a=a, k=kbit: _room(a)["bandwidth_max_kbit"] == k)
        _refused(alice, "dave", 6010)
    del pair.hras.options["tunnel"]["bandwidth_max"]
    _reload(pair.hras)
    _refused(alice, "dave", 6010)
    pair.hrac.options["tunnel"]["bandwidth_max"] = 0
    _reload(pair.hrac)
    wait_for("no cap", lambda: _room(pair.hras)["bandwidth_max_kbit"] is None)
    second = _call(alice, dave, 6020)
    tunnel = pair.hras.status()["tunnels"][0]
    expect(tunnel["reconnects"] == 0, "the tunnel is the first one")
    for call in (first, second):
        _hang_up(alice, dave, call)
    all_quiet(pair)


def test_a_full_office_does_not_keep_others_from_calling(lab):
    """Two offices: the line of the one is full, the other calls on."""
    pair = Pair(lab, hras={"agent office": {"bandwidth_max": "150"},
                           "agent branch": {"secret": "branch-secret"}})
    branch = lab.branch()
    Hrac(branch).start().wait_tunnel()
    pair.hras.wait_tunnel(agent="branch")
    alice, dave = pair.inside_endpoint("alice"), pair.outside_endpoint("dave")
    carol = pair.inside_endpoint("carol", branch.p1)
    expect(dave.register().status == 200 and alice.register().status == 200, "both are registered")
    first = _call(alice, dave, 6000)
    second = _call(carol, dave, 6010)
    _refused(alice, "dave", 6020)
    _refused(carol, "alice", 6020)          # which needs room in both
    rooms = {t["agent"]: t["room"] for t in pair.hras.status()["tunnels"]}
    expect(rooms["office"]["refused"] == 2 and rooms["branch"]["refused"] == 0, f"{rooms}")
    expect(rooms["branch"]["bandwidth_max_kbit"] is None, f"{rooms}")
    _hang_up(alice, dave, first)
    _hang_up(carol, dave, second)
    pair.hras.wait_calls(0)


def _kbit_on_the_wire(packets, seconds):
    """(up, down) of the tunnel's IP packets in the last so many seconds."""
    end = packets[-1].time
    late = [p for p in packets if p.protocol == "tcp" and p.time > end - seconds]
    return [sum(p.length for p in late if port(p) == 80) * 8 / 1000 / seconds
            for port in (lambda p: p.target[1], lambda p: p.source[1])]


def test_what_is_measured_is_what_is_on_the_wire(lab):
    """The estimate of both agents counts the headers of IP and TCP, and the acknowledgements."""
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob)
    capture = Capture(pair.office.firewall, device="wan")
    packets = wait_for("six seconds of voice on the wire", lambda: (
        lambda p: p if p and p[-1].time - p[0].time > 6 else None)(capture.packets()), timeout=15)
    wire = _kbit_on_the_wire(packets, 5)
    for agent in (pair.hras, pair.hrac):
        shown = _room(agent)["bandwidth_kbit"]
        for way, real in zip(("up", "down"), wire):
            expect(0.85 * real <= shown[way] <= 1.15 * real,
                   f"{agent.name} shows {shown[way]} kbit/s {way}, {real:.1f} pass")
    hang_up(alice, bob)
