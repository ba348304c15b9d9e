# SPDX-License-Identifier: GPL-3.0-or-later
"""Voice by UDP beside the HTTP session, where the firewall lets it out; and what happens when it
does no more. Each test is one call between two phones of which each packet is timed."""

import os
import time

from lab.capture import Capture
from lab.scenes import Pair
from lab.talk import Talk
from lab.wait import Failure, expect, wait_for
from lab.world import HRAS

PORT = 443
EF = 46


def _pair(lab, udp=True, listen=f"udp:{HRAS}:{PORT}", **hrac):
    """The pair, through a firewall that lets UDP out as well, on it as soon as it is up."""
    office = lab.office()
    if udp:
        office.firewall.open_udp(PORT)
    pair = Pair(lab, hras={"auth": {"require": "none"},
                           "tunnel": {"listen": [f"{HRAS}:80", listen]}}, office=office, **hrac)
    if udp:
        _by_udp(pair)
    return pair


def _tunnel(agent):
    return agent.status()["tunnels"][0]


def _by_udp(pair, timeout=5.0):
    """Waits until voice of both ends goes by UDP; how long that took, s."""
    since = time.time()
    for agent in (pair.hrac, pair.hras):
        agent.wait_status(lambda s: s["tunnels"][0]["transport"] == "udp + http",
                          f"{agent.name}: voice goes by UDP", timeout)
    return time.time() - since


def _by_streams(pair, timeout=5.0):
    since = time.time()
    for agent in (pair.hrac, pair.hras):
        agent.wait_status(lambda s: s["tunnels"][0]["transport"] == "http",
                          f"{agent.name}: voice goes by streams", timeout)
    return time.time() - since


def _strangers_are_not_answered(pair, recorded):
    """Garbage, what was recorded, and that with a bit changed: nothing is said, and nothing moves."""
    before = _tunnel(pair.hras)["datagrams"]["peer"]
    stranger = pair.lab.out1.socket(timeout=0.5)
    changed = bytes([*recorded[-1][:-1], recorded[-1][-1] ^ 1])
    for data in (b"", os.urandom(300), b"\x40" + bytes(60), recorded[-1], changed, recorded[0][:40]):
        stranger.sendto(data, (HRAS, PORT))
    try:
        answer = stranger.recv(2000)
        raise Failure(f"a stranger is answered: {answer!r}")
    except TimeoutError:
        pass
    counters = pair.hras.status()["counters"]
    expect(counters["gateway_datagrams_unknown"] >= 3, "strangers are counted")
    expect(counters["tunnel_datagrams_replayed"] + counters["tunnel_datagrams_forged"] >= 3,
           "so is what was recorded")
    expect(_tunnel(pair.hras)["datagrams"]["peer"] == before, "voice goes where it went")


def test_voice_goes_by_udp_and_is_sealed(lab):
    pair = _pair(lab)
    talk = Talk(pair)
    capture = Capture(lab.internet)
    since = time.time()
    time.sleep(4)               # so long is counted
    packets, seconds = capture.stop(), time.time() - since
    of_pair = [p for p in packets if p.hosts == {HRAS, pair.office.wan_address}]
    udp = [p for p in of_pair if p.protocol == "udp"]
    tcp = [p for p in of_pair if p.protocol == "tcp"]
    voice = [p for p in udp if len(p.payload) > 172]
    expect(len(voice) > 90 * seconds, f"{len(voice)} datagrams of voice in {seconds:.1f} s")
    expect(all(PORT in (p.source[1], p.target[1]) and p.dscp == EF for p in udp), "marked EF")
    expect(not any(p.is_rtp or p.is_rtcp for p in udp), "no header of RTP is to be seen")
    spoken = [talk.alice.voice.payload(n)[:40] for n in range(0, 200)]
    expect(not any(text in p.payload for p in udp for text in spoken), "nor what was spoken")
    expect(sum(p.length for p in tcp) < 0.1 * sum(p.length for p in udp), "the streams rest")
    expect(_tunnel(pair.hrac)["rung"] == "udp", "the best rung")
    tunnel = _tunnel(pair.hrac)["datagrams"]
    host, port = tunnel["mapped"].rsplit(":", 1)
    expect(host == pair.office.wan_address and int(port) in {p.source[1] for p in udp},
           f"the address that the NAT made: {tunnel}")
    expect(_tunnel(pair.hras)["datagrams"]["peer"] == tunnel["mapped"], "HRAS tells the same")
    lab.measured(f"UDP: {sum(p.length for p in of_pair) / seconds / 100:.0f} bytes on the wire for "
                 f"each packet of voice, {sum(p.length for p in tcp) / seconds / 100:.0f} of them TCP; "
                 f"plain RTP takes 200")
    _strangers_are_not_answered(pair, [p.payload for p in voice if p.target[0] == HRAS])
    talk.say()
    talk.all_said_arrives()
    talk.measure("voice by UDP", since, 40)
    talk.went_on()
    talk.hang_up()


def test_udp_blocked_in_mid_call(lab):
    pair = _pair(lab)
    talk = Talk(pair)
    since = time.time()
    pair.office.firewall.close_udp()
    talk.say()
    left = _by_streams(pair)
    talk.all_said_arrives()
    talk.voice_flows(2.0)
    talk.measure("UDP blocked in mid-call", since, 500)
    expect(pair.office.firewall.struck() > 0, "datagrams were dropped")
    expect(left < 2.0, f"left after {left:.2f} s")
    expect(_tunnel(pair.hrac)["datagrams"]["left_why"] == "silence", "why is told")
    pair.office.firewall.open_again()
    since = time.time()
    back = _by_udp(pair, timeout=25)
    talk.voice_flows(1.0)
    lab.measured(f"UDP blocked: left after {left:.2f} s; back {back:.1f} s after it was open again")
    talk.measure("the way back to UDP", since, 40)
    talk.went_on()
    talk.hang_up()


def test_udp_that_loses_is_left(lab):
    pair = _pair(lab)
    talk = Talk(pair)
    since = time.time()
    pair.office.firewall.lose_udp(10)
    left = _by_streams(pair)
    talk.voice_flows(2.0)
    lab.measured(f"UDP that loses 10 %: left after {left:.2f} s")
    talk.measure("UDP that loses 10 %", since, 100)
    expect(left < 2.5, f"left after {left:.2f} s")
    expect(_tunnel(pair.hrac)["datagrams"]["left_why"] == "loss", "why is told")
    talk.went_on()
    talk.hang_up()


def test_nat_forgets_everything_in_mid_call(lab):
    pair = _pair(lab)
    talk = Talk(pair)
    before = _tunnel(pair.hrac)["datagrams"]["mapped"]
    since = time.time()
    pair.office.firewall.forget()
    wait_for("another address of the NAT",
             lambda: _tunnel(pair.hras)["datagrams"]["peer"] != before)
    talk.say()
    talk.all_said_arrives()
    talk.voice_flows(2.0)
    talk.measure("the NAT forgot everything; voice by UDP", since, 100)
    wait_for("HRAC knows its new address",
             lambda: _tunnel(pair.hrac)["datagrams"]["mapped"] ==
             _tunnel(pair.hras)["datagrams"]["peer"], timeout=12)
    talk.went_on()
    talk.hang_up()


def test_udp_that_never_gets_out_costs_nothing(lab):
    pair = _pair(lab, udp=False)
    talk = Talk(pair)
    since = time.time()
    talk.voice_flows(3.0)
    tunnel = _tunnel(pair.hrac)
    expect(tunnel["transport"] == "http" and tunnel["datagrams"]["state"] == "unknown",
           f"by streams: {tunnel}")
    why = [r["why"] for r in tunnel["refused"] if r["route"] == f"udp:{HRAS}:{PORT}"]
    expect(tunnel["rung"] == "stream" and why == ["is not answered"],
           f"it is told why not by UDP: {tunnel['refused']}")
    talk.measure("a firewall without UDP", since, 40)
    talk.hang_up()


def test_udp_on_any_address_of_hras(lab):
    """HRAS tells the address by which the agent came, and answers from it."""
    pair = _pair(lab, listen=f"udp:0.0.0.0:{PORT}")
    talk = Talk(pair)
    expect(_tunnel(pair.hrac)["datagrams"]["peer"] == f"{HRAS}:{PORT}", "it is told")
    talk.hang_up()


def test_transport_stream_sends_no_datagram(lab):
    office = lab.office()
    office.firewall.open_udp(PORT)
    capture = Capture(lab.internet)
    pair = Pair(lab, hras={"auth": {"require": "none"},
                           "tunnel": {"listen": [f"{HRAS}:80", f"udp:{HRAS}:{PORT}"]}},
                hrac={"tunnel": {"transport": "stream"}}, office=office)
    talk = Talk(pair)
    talk.hang_up()
    between = [p for p in capture.stop() if p.hosts == {HRAS, office.wan_address}]
    expect(between and all(p.protocol == "tcp" for p in between), "no UDP passes")
