# SPDX-License-Identifier: GPL-3.0-or-later
"""What passes between the agents is theirs alone, whatever carries it."""

import sys
import time

from lab import relay
from lab.agents import Hrac, Hras
from lab.capture import Capture
from lab.scenes import Pair, all_quiet, both_hear, connect, hang_up
from lab.talk import Talk
from lab.wait import expect
from lab.world import DMZ_PROXY, HRAS

OPEN = {"tunnel": {"seal": "false"}}
READABLE = (b"SIP/2.0", b"INVITE sip:", b"a=rtpmap")


def _readable_of_a_call(lab, hras=None, hrac=None):
    """Makes a call over plain http: which of READABLE were in the tunnel, and the cipher shown."""
    office = lab.office()
    capture = Capture(lab.internet)
    pair = Pair(lab, hras, hrac, office)
    ciphers = {agent.status()["tunnels"][0]["cipher"] for agent in (pair.hras, pair.hrac)}
    expect(len(ciphers) == 1, f"both show the same cipher: {ciphers}")
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob)
    hang_up(alice, bob)
    all_quiet(pair)
    passed = b"".join(p.payload for p in capture.stop()
                      if office.wan_address in p.hosts and p.protocol == "tcp")
    expect(b"/vofw/1/up/" in passed, "the tunnel was captured")
    return {text for text in READABLE if text in passed}, ciphers.pop()


def test_over_plain_http_nothing_of_a_call_is_readable(lab):
    readable, cipher = _readable_of_a_call(lab)
    expect(not readable, f"readable in the tunnel: {readable}")
    expect(cipher in ("AES-256-GCM", "ChaCha20-Poly1305"), f"sealed by {cipher}")


def test_without_the_seal_all_of_a_call_is_readable(lab):
    readable, cipher = _readable_of_a_call(lab, OPEN, OPEN)
    expect(readable == set(READABLE), f"readable in the tunnel: {readable}")
    expect(cipher == "none", f"sealed by {cipher}")


def test_hras_demands_the_seal_and_both_say_so(lab):
    server = Hras(lab).start()
    client = Hrac(lab.office(), OPEN).start()
    client.process.wait_output("HRAS demands that the tunnel is sealed")
    server.process.wait_output(r"refused agent \"?office\"?.*tunnel.seal is false")
    expect(client.status()["tunnels"][0]["cipher"] is None, "there is no session")
    client.stop()
    client.options["tunnel"]["seal"] = "true"
    client.start()
    client.wait_tunnel()


def _recorded(packets, begin):
    """What a client said on each TCP connection to HRAS whose first bytes are these."""
    said = {}
    for packet in packets:
        if packet.protocol == "tcp" and packet.target == (HRAS, 80) and packet.payload:
            said[packet.source] = said.get(packet.source, b"") + packet.payload
    return [data for data in said.values() if data.startswith(begin)]


def _say_again(lab, data):
    """The first line that HRAS answers to that, said by a stranger; b"" when it only hangs up."""
    sock = lab.out2.connect((HRAS, 80))
    try:
        sock.sendall(data)
        return sock.recv(1000).split(b"\r\n", 1)[0]
    except OSError:
        return b""
    finally:
        sock.close()


def test_what_was_recorded_is_worth_nothing(lab):
    capture = Capture(lab.internet)
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob)
    packets = capture.stop()
    sessions = pair.hras.counter("gateway_sessions")
    for begin in (b"POST /vofw/1/up/", b"GET /vofw/1/down/"):
        recorded = _recorded(packets, begin)
        expect(recorded, f"{begin} was captured")
        for data in recorded:
            answer = _say_again(lab, data)
            expect(answer.startswith(b"HTTP/1.1 409"), f"said again, it is answered {answer}")
    for data in _recorded(packets, b"POST /vofw/1/open"):
        answer = _say_again(lab, data)      # a HELLO may be asked again, and opens nothing
        expect(answer.split()[1:2] in ([b"200"], [b"403"]), f"the opening: {answer}")
    expect(pair.hras.counter("gateway_sessions") == sessions, "no session was opened")
    both_hear(alice, bob)
    hang_up(alice, bob)


def test_a_middlebox_that_changes_bytes_costs_a_connection_and_no_call(lab):
    office = lab.office(behind_proxy=True)
    box = office.proxy.spawn("relay", [sys.executable, relay.__file__, "3128", HRAS, "80",
                                       "--spoil", "30000"])
    box.wait_output("ready")
    pair = Pair(lab, {"auth": {"require": "none"}},
                {"tunnel": {"url": f"http://{DMZ_PROXY}:3128/"}}, office)
    talk = Talk(pair)
    since = time.time()
    box.wait_output("spoilt(?s:.*)spoilt(?s:.*)spoilt", timeout=20)
    talk.say()
    talk.all_said_arrives()
    talk.voice_flows(2.0)
    talk.measure("bytes changed on the way, on each connection", since, 500)
    talk.went_on()
    talk.hang_up()
    unsealed = sum(a.counter("tunnel_streams_unsealed") for a in (pair.hras, pair.hrac))
    expect(unsealed >= 3, f"{unsealed} connections were closed for it")
    output = pair.hras.process.output() + pair.hrac.process.output()
    expect("has not sealed for it" in output, "the log says why")
