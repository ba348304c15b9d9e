# SPDX-License-Identifier: GPL-3.0-or-later
"""What a listener hears is known, at both agents and for both directions."""

import threading
import time

from lab.agents import HRAC
from lab.scenes import Pair, all_quiet, connect, hang_up
from lab.sipp import sdp
from lab.wait import expect, wait_for
from lab.world import HRAS

FRAME_S, PERIOD = 0.02, 50
PERIODS = 14


def _say(sock, target, lost=(), late=()):
    """A stream of voice on its beat. Of each PERIOD packets those of `lost` are never sent, and those
    of `late` 100 ms too late."""
    due = sorted((n * FRAME_S + (0.1 if n % PERIOD in late else 0), n)
                 for n in range(PERIOD * PERIODS) if n % PERIOD not in lost)
    begin = time.monotonic()
    for when, number in due:
        time.sleep(max(0.0, begin + when - time.monotonic()))
        sock.sendto(b"\x80\x00" + number.to_bytes(2, "big") + (160 * number).to_bytes(4, "big")
                    + b"VoFW" + bytes(160), target)


def _mos(heard):
    """By the E-model, at a playout of 60 ms and packets of 20."""
    missed = 100 * (heard["lost"] + heard["late"]) / (heard["packets"] + heard["lost"])
    r = 94.2 - 0.024 * (heard["delay_ms"] + 80) - 95 * missed / (missed + 25.1)
    return 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6


def _body(endpoint, port):
    return sdp(port=port).replace("[local_ip]", endpoint.host.address)


def _audio_port(message):
    return int(next(line for line in message.body.split("\r\n")
                    if line.startswith("m=audio")).split()[1])


def _heard(agent, way, packets):
    """What `agent` knows of it once so many packets were heard."""
    def ask():
        heard = agent.calls()[0]["streams"][0][way]["heard"]
        return heard if heard and heard["packets"] >= packets else None
    return wait_for(f"{agent.name}: {packets} packets heard {way}", ask, 15)


def test_both_agents_know_what_is_heard_on_both_sides(lab):
    pair = Pair(lab)
    alice, bob = pair.inside_endpoint(), pair.outside_endpoint()
    expect(bob.register().status == 200, "bob is registered")
    alice.send(alice.request("INVITE", "sip:bob@example.com", body=_body(alice, 6000)))
    invite = bob.receive(condition=lambda m: m.method == "INVITE")
    bob.reply(invite, 200, "OK", body=_body(bob, 7000))
    answer = alice.final()
    alice.send(alice.in_dialog("ACK", answer, cseq=1))
    pair.hras.wait_calls(1, "up")
    media_in, media_out = (host.socket(bind=(host.address, port)) for host, port in
                           ((pair.office.p1, 6000), (lab.out1, 7000)))
    # Alice's voice has gaps of three packets before it comes to the pair; of bob's, some is late.
    speakers = [threading.Thread(target=_say, args=arguments) for arguments in (
        (media_in, (HRAC, _audio_port(answer)), (10, 11, 12), ()),
        (media_out, (HRAS, _audio_port(invite)), (), (30,)))]
    for speaker in speakers:
        speaker.start()
    for speaker in speakers:
        speaker.join()

    gaps, delays = [], []
    for agent in (pair.hras, pair.hrac):
        gaps.append(_heard(agent, "from_inside", PERIODS * (PERIOD - 3)))
        delays.append(_heard(agent, "from_outside", PERIODS * PERIOD))
    print(gaps, delays)
    # A machine that stands still makes more packets late, but it loses none.
    for heard in gaps:
        expect(heard["lost"] == 3 * PERIODS, f"what was never sent is lost: {heard}")
        expect(heard["bursts"] >= PERIODS - 2 and heard["burst_longest"] >= 3
               and heard["burst_mean"] > 2, f"three in a row: {heard}")
    for heard in delays:
        expect(heard["lost"] == 0, f"nothing is lost: {heard}")
        expect(heard["late"] >= PERIODS and heard["bursts"] >= PERIODS - 2,
               f"one of fifty is late: {heard}")
    for heard in gaps + delays:
        expect(heard["late"] < 0.25 * heard["packets"], f"most are in time: {heard}")
        expect(abs(heard["mos"] - _mos(heard)) < 0.02, f"MOS {_mos(heard):.3f}: {heard}")
    for first, second in (gaps, delays):
        same = ("packets", "lost", "late", "burst_longest")
        expect([first[k] for k in same] == [second[k] for k in same],
               f"both know the same: {first}, {second}")
    stream = pair.hras.calls()[0]["streams"][0]
    expect(stream["from_inside"]["mos"] == stream["from_inside"]["heard"]["mos"],
           "MOS is the listener's")
    _told_over_time(pair)
    alice.send(alice.in_dialog("BYE", answer))
    bob.reply(bob.receive(condition=lambda m: m.method == "BYE"), 200, "OK")
    expect(alice.final().status == 200, "ended")
    all_quiet(pair)


def _told_over_time(pair):
    """The history of each agent has both sides, and /metrics the last sample's names."""
    for agent in (pair.hras, pair.hrac):
        def seen(a=agent):
            history = a.json("/api/history")
            lost = [v for v in history["heard_outside"]["lost_percent"] if v]
            late = [v for v in history["heard_inside"]["late_percent"] if v]
            return (history, lost, late) if lost and late else None
        history, lost, late = wait_for(f"{agent.name}: loss in the history", seen, 15)
        expect(max(lost) > 3 and max(late) > 1, f"{agent.name}: {lost} {late}")
        expect(history["interval_s"] * history["points"] == 900, "it is of 15 minutes")
        expect(1 in history["calls"] and history["tunnels"][0]["agent"] == "office", "and whole")
        expect([v for v in history["tunnels"][0]["bytes_per_packet_up"] if v and v > 180],
               f"bytes of a packet: {history['tunnels'][0]}")
        text = agent.get("/metrics")[1]
        for name in ('vofw_heard_streams{listener="inside"}', 'vofw_tunnel_min_rtt_ms{agent="office"}',
                     'vofw_tunnel_redundancy{agent="office",direction="down"}'):
            expect(name in text, f"{agent.name}: {name} is in /metrics")


test_both_agents_know_what_is_heard_on_both_sides.seconds = 30


def test_the_line_of_a_tunnel_is_told(lab):
    """What the agents know of a line that loses every twentieth packet."""
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    pair.office.firewall.lose(5)
    connect(alice, bob)
    for agent in (pair.hras, pair.hrac):
        def told(status):
            tunnel = status["tunnels"][0]
            ways = tunnel["up"], tunnel["down"]
            return tunnel if (tunnel["srtt_ms"] > 0 and tunnel["min_rtt_ms"] > 0
                              and any(way["loss_level"] > 0 for way in ways)
                              and all(way["redundancy"] != "none" and way["bytes_per_packet"]
                                      for way in ways)) else None
        tunnel = told(agent.wait_status(told, f"{agent.name}: loss is told", 30))
        print(agent.name, tunnel)
        expect(tunnel["srtt_ms"] >= tunnel["min_rtt_ms"], f"the least is the least: {tunnel}")
        for way in (tunnel["up"], tunnel["down"]):
            expect(way["connections"] > 0 and way["connections_wanted"] > 0, f"{way}")
            expect(way["bytes_per_packet"] > way["body_bytes_per_packet"] > 180, f"{way}")
    hang_up(alice, bob)
    all_quiet(pair)


test_the_line_of_a_tunnel_is_told.seconds = 30
