# SPDX-License-Identifier: GPL-3.0-or-later
"""The way through the firewall: proxies, TLS, secrets, and everything that can go wrong with a
connection while a call is up."""

import re
import time

from lab.agents import HRAC, Hrac, Hras
from lab.baresip import Phone
from lab.capture import Capture
from lab.certificates import Authority
from lab.rawsip import Endpoint
from lab.rtp import Tap
from lab.scenes import Pair, all_quiet, both_hear, connect, hang_up
from lab.sipp import sdp
from lab.squid import Squid
from lab.wait import Timeout, expect, wait_for
from lab.world import DMZ_PROXY, HRAS

ONE_PAIR = 1        # a GET and a POST
SHORT_GRACE = {"tunnel": {"grace": "5s"}}


def _a_call_works(pair):
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob)
    hang_up(alice, bob)
    all_quiet(pair)


def _tls(lab, authority=None):
    """Changes for HRAS and for HRAC that make the tunnel https."""
    authority = authority or Authority(lab)
    certificate, key = authority.sign(HRAS)
    return ({"tunnel": {"listen": [f"{HRAS}:443"], "certificate": certificate, "key": key}},
            {"tunnel": {"url": f"https://{HRAS}/", "ca": authority.ca}})


# -- Proxies and TLS --

def test_through_squid(lab):
    office = lab.office(behind_proxy=True)
    squid = Squid(office.proxy)
    pair = Pair(lab, hrac={"tunnel": {"proxy": f"http://{DMZ_PROXY}:3128"}}, office=office)
    transport = pair.hrac.status()["tunnels"][0]["transport"]
    expect(transport == "http via proxy", f"the status names the way: {transport}")
    _a_call_works(pair)
    pair.hrac.stop()
    wait_for("the requests in squid's log", lambda: "/vofw/1/" in squid.log())


def test_through_squid_with_a_password(lab):
    office = lab.office(behind_proxy=True)
    Squid(office.proxy, password="sesame")
    tunnel = {"proxy": f"http://{DMZ_PROXY}:3128", "proxy_user": "office",
              "proxy_password": "sesame"}
    pair = Pair(lab, hrac={"tunnel": tunnel}, office=office)
    _a_call_works(pair)
    pair.hrac.stop()
    pair.hrac.options["tunnel"]["proxy_password"] = "wrong"
    pair.hrac.start()
    pair.hrac.process.wait_output(r"proxy refuses our user or password")
    expect("sesame" not in pair.hrac.process.output(), "no password in the log")


def test_tls(lab):
    hras, hrac = _tls(lab)
    office = lab.office()
    capture = Capture(lab.internet)
    pair = Pair(lab, hras, hrac, office)
    expect(pair.hrac.status()["tunnels"][0]["transport"] == "https", "the status names the way")
    _a_call_works(pair)
    for packet in capture.stop():
        if office.wan_address in packet.hosts:
            expect(b"SIP/2.0" not in packet.payload, f"readable in the tunnel: {packet}")


def test_tls_through_squid(lab):
    office = lab.office(behind_proxy=True)
    squid = Squid(office.proxy)
    hras, hrac = _tls(lab)
    hrac["tunnel"]["proxy"] = f"http://{DMZ_PROXY}:3128"
    _a_call_works(Pair(lab, hras, hrac, office))
    expect(squid is not None, "squid lives")


def test_one_hras_serves_http_and_https(lab):
    hras, hrac = _tls(lab)
    hras["tunnel"]["listen"] = [f"http:{HRAS}:80", f"https:{HRAS}:443"]
    hras["agent branch"] = {"secret": "branch-secret"}
    pair = Pair(lab, hras, hrac)
    branch = Hrac(lab.branch()).start()
    branch.wait_tunnel()
    pair.hras.wait_tunnel(agent="branch")
    ways = {row["agent"]: row["transport"] for row in pair.hras.status()["tunnels"]}
    expect(ways == {"office": "https", "branch": "http"}, f"each by its own way: {ways}")
    alice, bob = pair.inside(), Phone(branch.office.p1, "bob", HRAC, answer="auto")
    connect(alice, bob)
    both_hear(alice, bob)
    hang_up(alice, bob)


def test_a_certificate_of_a_stranger_is_refused(lab):
    hras, hrac = _tls(lab)
    hrac["tunnel"]["ca"] = Authority(lab, "stranger").ca
    server = Hras(lab, hras).start()
    client = Hrac(lab.office(), hrac).start()
    client.process.wait_output("certificate of HRAS is not trusted")
    expect(client.status()["tunnels"][0]["state"] != "up", "no tunnel")
    expect(server.status()["tunnels"][0]["state"] == "down", "nor for HRAS")
    expect(client.get("/healthz")[0] == 503, "it is not healthy")


def test_a_wrong_secret_is_said_once_and_counted(lab):
    server = Hras(lab).start()
    office = lab.office()
    client = Hrac(office, {"tunnel": {"secret": "a wrong one"}}).start()
    server.process.wait_output(rf"refused agent \"?office\"? from {office.wan_address}.*secret")
    client.process.wait_output("secret")
    start = time.monotonic()
    wait_for("a second attempt", lambda: server.counter("gateway_refused") >= 2, 65)
    expect(time.monotonic() - start > 20, "it tries again slowly")
    lines = [line for line in client.process.output().splitlines() if "secret" in line]
    expect(len(lines) == 1, f"one line, not {lines}")
    expect(client.status()["tunnels"][0]["state"] != "up", "no tunnel")
    text = client.process.output() + server.process.output()
    expect("a wrong one" not in text and "office-secret" not in text, "no secret in the logs")


test_a_wrong_secret_is_said_once_and_counted.seconds = 50


def test_an_unknown_agent_is_refused_alike(lab):
    server = Hras(lab).start()
    client = Hrac(lab.office(), {"tunnel": {"agent": "nobody"}}).start()
    server.process.wait_output("refused agent")
    client.process.wait_output("secret")
    expect(client.status()["tunnels"][0]["state"] != "up", "no tunnel")


# -- Bad luck in mid-call --

def _gap_ms(listener, speaker, since):
    """How much of the speaker's voice is missing in the recording from one second before."""
    return listener.match(speaker, max(0, since - 8000)).lost_ms


def test_the_firewall_drops_all_connections_in_mid_call(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob)
    since = alice.now(), bob.now()
    pair.office.firewall.cut()
    both_hear(alice, bob, 3.0, timeout=25)
    for listener, speaker, start in ((alice, bob, since[0]), (bob, alice, since[1])):
        gap = _gap_ms(listener, speaker, start)
        print(f"{listener.user} missed {gap:.0f} ms of {speaker.user}")
        expect(gap < 6000, f"{listener.user} missed {gap:.0f} ms")
    expect(len(pair.hras.calls()) == 1, "it is the same call")
    hang_up(alice, bob)
    all_quiet(pair)


test_the_firewall_drops_all_connections_in_mid_call.seconds = 25


def test_the_firewall_resets_all_connections_in_mid_call(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob)
    since = alice.now(), bob.now()
    pair.office.firewall.cut(reset=True)
    both_hear(alice, bob, 3.0, timeout=25)
    for listener, speaker, start in ((alice, bob, since[0]), (bob, alice, since[1])):
        gap = _gap_ms(listener, speaker, start)
        print(f"{listener.user} missed {gap:.0f} ms of {speaker.user}")
        expect(gap < 3000, f"{listener.user} missed {gap:.0f} ms")
    hang_up(bob, alice)
    all_quiet(pair)


def test_connections_are_cut_while_a_call_is_set_up(lab):
    """No SIP message is lost: the call is answered and ended over what replaces the cut ones."""
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside()
    alice.dial(bob.uri)
    bob.wait_event("CALL_INCOMING")
    pair.office.firewall.cut()
    bob.answer()
    alice.wait_event("CALL_ESTABLISHED", timeout=15)
    both_hear(alice, bob)
    pair.office.firewall.cut()
    alice.hangup()
    bob.wait_closed(15)
    all_quiet(pair)


test_connections_are_cut_while_a_call_is_set_up.seconds = 25


def test_hrac_is_killed_and_restarted_in_mid_call(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob)
    pair.hrac.kill()
    pair.hrac.start()
    pair.hrac.wait_tunnel()
    both_hear(alice, bob, 3.0)
    expect(len(pair.hrac.calls()) == 1, "HRAS has taught it the call again")
    hang_up(alice, bob)
    all_quiet(pair)
    connect(bob, pair.inside("carol", pair.office.p2, answer="auto"))


def test_hrac_is_killed_and_restarted_while_it_rings(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside()
    bob.dial(alice.uri)
    alice.wait_event("CALL_INCOMING")
    bob.wait_event("CALL_RINGING")
    pair.hrac.kill()
    pair.hrac.start()
    pair.hrac.wait_tunnel()
    alice.answer()
    bob.wait_event("CALL_ESTABLISHED", timeout=15)
    both_hear(alice, bob)
    hang_up(bob, alice)


def test_the_tunnel_is_gone_for_good(lab):
    """Both phones get BYE: bob from HRAS, alice from HRAC, which has it in its last will."""
    pair = Pair(lab, hras=SHORT_GRACE)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob, 1.0)
    pair.office.firewall.close_all()
    bob.wait_closed(30)
    alice.wait_closed(30)
    pair.hras.wait_calls(0)
    pair.hrac.wait_no_tunnel()
    pair.office.firewall.open_again()
    pair.hrac.wait_tunnel(timeout=45)
    connect(alice, bob)
    both_hear(alice, bob, 1.0)
    hang_up(alice, bob)


test_the_tunnel_is_gone_for_good.seconds = 45


def test_hras_ends_in_order_and_both_phones_know(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob, 1.0)
    pair.hras.stop()
    bob.wait_closed()
    alice.wait_closed()


def test_hras_is_killed_and_restarted_in_mid_call(lab):
    """Its table is gone, so the call cannot go on; the inside phone is told, and can call anew."""
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob, 1.0)
    since = alice.mark()
    pair.hras.kill()
    pair.hras.start()
    pair.hras.wait_tunnel(agent="office", timeout=30)
    alice.wait_closed(30, since)
    bob.hangup()
    carol = pair.inside("carol", pair.office.p2, answer="auto")
    connect(bob, carol)
    both_hear(bob, carol, 1.0)
    hang_up(bob, carol)


def test_503_while_the_tunnel_is_down(lab):
    office = lab.office()
    hrac = Hrac(office).start()
    alice = Endpoint(office.p1, "alice", HRAC)
    for method in ("INVITE", "REGISTER", "OPTIONS"):
        body = sdp(port=6000).replace("[local_ip]", alice.host.address)
        start = time.monotonic()
        answer = alice.ask(method, "sip:bob@example.com", body=body if method == "INVITE" else "")
        expect(answer.status == 503, f"{method}: 503, not {answer.start}")
        expect(int(answer["Retry-After"].split(";")[0]) > 0, "with Retry-After")
        expect(time.monotonic() - start < 1, "at once")
    expect(hrac.get("/healthz")[0] == 503, "not healthy")
    Hras(lab).start()
    hrac.wait_tunnel(timeout=30)
    expect(hrac.get("/healthz")[0] == 200, "healthy")
    expect(alice.register().status == 200, "and it works")


# -- Traffic on the firewall --

def _pairs(capture):
    """The TCP connections that were opened."""
    return sum(packet.syn for packet in capture.packets())


def _pass_time(seconds):
    """Sleeps; the longest time that a sleep of 50 ms took too long."""
    worst, end = 0.0, time.monotonic() + seconds
    while (before := time.monotonic()) < end:
        time.sleep(0.05)
        worst = max(worst, time.monotonic() - before - 0.05)
    return worst


def test_an_idle_tunnel_costs_less_than_100_bytes_a_second(lab):
    office = lab.office()
    capture = Capture(office.firewall, device="wan")
    pair = Pair(lab, office=office)
    pair.registered("alice", office.p1, HRAC)
    wait_for("the probe to be over", lambda: len(office.hrac.run(
        "ss", "-Htn", "state", "established", "dport", "=", ":80").splitlines()) == 2)
    opened = _pairs(capture)
    for attempt in range(3):
        quiet = Capture(office.firewall, f"idle{attempt}", device="wan")
        begin = time.time()
        stall = _pass_time(32)  # the claim is about a time in which nothing happens
        packets = [p for p in quiet.stop() if HRAS in p.hosts]
        seconds = time.time() - begin
        if stall < 0.5:         # else this machine stood still: heartbeats were late by its fault
            break
    rate = sum(p.length for p in packets) / seconds
    print(f"idle: {rate:.1f} bytes/s in {len(packets) / seconds:.2f} packets/s, "
          f"{opened} connections")
    expect(packets, "it is kept alive")
    expect(rate < 100, f"{rate:.0f} bytes/s")
    expect(not any(p.syn for p in packets), "no new connection")
    late = [p for p in packets if p.time > begin + 12]  # that of the handshake has ended by then
    expect(len({frozenset((p.source, p.target)) for p in late}) == 2, "one GET and one POST")


test_an_idle_tunnel_costs_less_than_100_bytes_a_second.seconds = 42


def test_all_pairs_stand_before_the_voice_starts(lab):
    pair = Pair(lab, hrac={"tunnel": {"connections_max": 3}})
    alice, bob = pair.inside(), pair.outside()

    def pairs(agent):
        return agent.status()["tunnels"][0]["connections"]
    expect(pairs(pair.hrac) == pairs(pair.hras) == ONE_PAIR, "one pair while idle")
    alice.dial(bob.uri)
    bob.wait_event("CALL_INCOMING")
    for agent in (pair.hrac, pair.hras):
        wait_for(f"three pairs at {agent.name}", lambda a=agent: pairs(a) == 3 * ONE_PAIR)
    bob.answer()
    alice.wait_event("CALL_ESTABLISHED")
    both_hear(alice, bob)
    hang_up(alice, bob)
    for agent in (pair.hrac, pair.hras):
        wait_for(f"one pair again at {agent.name}", lambda a=agent: pairs(a) == ONE_PAIR, 45)


test_all_pairs_stand_before_the_voice_starts.seconds = 45


def test_rotation_costs_no_voice(lab):
    """Each connection lives for 8 KB here: many are replaced, and nothing is lost by it."""
    patient = {"max_age": "2000ms"}     # what a busy machine makes late is not the point
    pair = Pair(lab, hras={"media": patient},
                hrac={"tunnel": {"rotate_bytes": "8K", "connections_max": 2}, "media": patient})
    capture = Capture(pair.office.firewall, device="wan")
    alice, bob = pair.inside(), pair.outside(answer="auto")
    ears = Tap(alice, Capture(pair.office.lan)), Tap(bob, Capture(lab.internet))
    connect(alice, bob)
    for ear, speaker in zip(ears, (bob, alice)):
        ear.wait_recorded(9.0)
        match = ear.match(speaker)
        expect(match.lost_ms < 1 and match.share == 1.0, f"{ear.user}: {match}")
    expect(_pairs(capture) > 12, f"connections were replaced: {_pairs(capture)}")
    hang_up(alice, bob)


test_rotation_costs_no_voice.seconds = 20


def test_two_boxes_with_one_name(lab):
    """The second HRAC of the same name takes the place of the first; nothing breaks."""
    pair = Pair(lab)
    branch = lab.branch()
    twin = Hrac(branch, {"tunnel": {"agent": "office", "secret": "office-secret"}}).start()
    twin.process.wait_output(r"session [0-9a-f]+")
    pair.hras.wait_tunnel(agent="office")


def test_strangers_at_the_web_port_disturb_nobody(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    for junk in (b"\x00\xff" * 500, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                 b"POST /vofw/1/open HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n",
                 b"POST /vofw/1/up/1/1/00 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                 b"5\r\n\xff\xff\xff\xff\xff\r\n",
                 b"GET /vofw/1/down/ffffffffffffffff/1/" + b"0" * 32 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                 b"GET " + b"a" * 100000, b""):
        sock = lab.out2.connect((HRAS, 80))
        try:
            sock.sendall(junk)
            sock.settimeout(0.3)
            answer = sock.recv(1000)
            expect(not re.match(rb"HTTP/1\.1 2", answer), f"{junk[:40]} is welcomed: {answer}")
        except OSError:
            pass
        if junk:
            sock.close()
    both_hear(alice, bob)
    hang_up(alice, bob)


def test_many_half_open_strangers_do_not_keep_hrac_out(lab):
    server = Hras(lab).start()
    strangers = [lab.out2.connect((HRAS, 80)) for _ in range(400)]
    for sock in strangers:
        try:
            sock.sendall(b"GET / HT")
        except OSError:
            pass
    client = Hrac(lab.office()).start()
    client.wait_tunnel(timeout=15)
    expect(server.get("/healthz")[0] == 200, "healthy")
    try:
        server.wait_tunnel("down", timeout=1)
    except Timeout:
        return
    raise AssertionError("the tunnel went down")
