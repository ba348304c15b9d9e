# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad lines: what loss, dead connections and impatient proxies do to voice."""

import time

from lab.capture import Capture
from lab.scenes import Pair, all_quiet, both_hear, connect, hang_up
from lab.squid import Squid
from lab.wait import expect
from lab.world import DMZ_PROXY, HRAS


def _missing_ms(listener, speaker, since=0):
    match = listener.match(speaker, since)
    print(f"{listener.user} heard {speaker.user}: {match}")
    return match.lost_ms


def test_a_vanished_peer_is_noticed_within_five_seconds(lab):
    pair = Pair(lab)
    pair.office.firewall.close_all()
    begin = time.monotonic()
    noticed = {}
    for agent in (pair.hrac, pair.hras):
        agent.wait_no_tunnel()
        noticed[agent.name] = time.monotonic() - begin
    print(noticed)
    expect(max(noticed.values()) < 6.0, f"noticed after {noticed}")


def test_one_dead_connection_of_many(lab):
    """One of the TCP connections that carry the voice falls silent; the others take over."""
    pair = Pair(lab)
    capture = Capture(pair.office.firewall, device="wan")
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob)
    since = alice.now(), bob.now()
    carried = {}
    for packet in capture.stop():
        if packet.protocol == "tcp" and packet.source[0] == pair.office.wan_address:
            carried[packet.source[1]] = carried.get(packet.source[1], 0) + len(packet.payload)
    busiest = max(carried, key=carried.get)
    pair.office.firewall.cut_one(busiest)
    both_hear(alice, bob, 3.0, timeout=20)
    for listener, speaker, start in ((alice, bob, since[0]), (bob, alice, since[1])):
        missing = _missing_ms(listener, speaker, max(0, start - 8000))
        expect(missing < 500, f"{listener.user} missed {missing:.0f} ms of {speaker.user}")
    hang_up(alice, bob)
    all_quiet(pair)


def test_two_percent_of_all_packets_are_lost(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    pair.office.firewall.lose(2)
    connect(alice, bob)
    both_hear(alice, bob, 1.0, timeout=20)
    time.sleep(8)       # talk for a while: the claim is about a share of it
    stream = pair.hras.calls()[0]["streams"][0]
    for listener, speaker in ((alice, bob), (bob, alice)):
        share = _missing_ms(listener, speaker) / (len(listener.heard()) / 8)
        expect(share < 0.02, f"{listener.user} missed {100 * share:.2f} % of {speaker.user}")
    print(stream)
    hang_up(alice, bob)
    all_quiet(pair)


def test_a_proxy_that_cuts_whatever_is_old(lab):
    """squid ends each connection after 8 seconds, and each answer that is silent for 5."""
    office = lab.office(behind_proxy=True)
    Squid(office.proxy, more="client_lifetime 8 seconds\nread_timeout 5 seconds")
    pair = Pair(lab, hrac={"tunnel": {"proxy": f"http://{DMZ_PROXY}:3128"}}, office=office)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob)
    since = alice.now(), bob.now()
    for listener, speaker, start in ((alice, bob, since[0]), (bob, alice, since[1])):
        listener.wait_recorded(16.0, start)
        missing = _missing_ms(listener, speaker, start)
        expect(missing < 2000, f"{listener.user} missed {missing:.0f} ms of {speaker.user}")
    hang_up(alice, bob)
    all_quiet(pair)


test_a_proxy_that_cuts_whatever_is_old.seconds = 30
