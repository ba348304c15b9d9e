# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input and bad luck: what hostile, broken or forgetful neighbours get."""

import re
import socket
import time

from lab.agents import HRAC, Hrac, Hras
from lab.rawsip import Endpoint
from lab.scenes import Pair, all_quiet, both_hear, connect, hang_up
from lab.sipp import Sipp, pause, recv, reply, sdp, send
from lab.wait import Failure, Timeout, expect, wait_for
from lab.world import HRAS


def _offer(endpoint, port=6000):
    return sdp(port=port).replace("[local_ip]", endpoint.host.address)


# -- SIP that is none --

def _garbled(endpoint):
    """(what is wrong, the bytes, whether an answer can be asked for)."""
    good = endpoint.request("OPTIONS", "sip:example.com")
    yield "no Via", re.sub(r"Via:.*\r\n", "", good), False
    # Without one of these there can be no answer that its sender would recognize (§8.2.6.2).
    yield "no Call-ID", re.sub(r"Call-ID:.*\r\n", "", good), False
    yield "no CSeq", re.sub(r"CSeq:.*\r\n", "", good), False
    yield "no To", re.sub(r"To:.*\r\n", "", good), False
    yield "no From", re.sub(r"From:.*\r\n", "", good), False
    yield "CSeq of another method", good.replace("CSeq: 1 OPTIONS", "CSeq: 1 BYE"), True
    yield "a number that is none", good.replace("CSeq: 1 ", "CSeq: 99999999999999999999 "), True
    yield "a body that is cut", good.replace("Content-Length: 0", "Content-Length: 500"), True
    yield "SIP/3.0", good.replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia", 1), False
    yield "only a line", "OPTIONS sip:example.com SIP/2.0\r\n\r\n", False
    yield "no SIP at all", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", False
    yield "zeros", b"\0" * 400, False
    yield "all bytes", bytes(range(256)) * 4, False
    yield "keep-alive", b"\r\n\r\n", False
    yield "a single byte", b"\xff", False
    yield "an endless header", good.replace("Max-Forwards", "X: " + "a" * 60000 + "\r\nMax-Forwards"), \
        False
    yield "a thousand headers", good.replace("Max-Forwards", "X: 1\r\n" * 1000 + "Max-Forwards"), \
        False
    yield "a response to nobody", good.replace("OPTIONS sip:example.com SIP/2.0", "SIP/2.0 200 OK"), \
        False
    yield "unclosed brackets", good.replace("<sip:alice@", "<<<sip:alice@"), False
    yield "an unclosed quote", good.replace("From: <", 'From: "alice <'), False
    yield "commas", good.replace("Max-Forwards: 70", "Max-Forwards: 70\r\nRoute: ,,,,,"), False


def _survives_garbage(endpoint, calls):
    for what, data, answerable in _garbled(endpoint):
        endpoint.send(data)
        if answerable:
            try:
                answer = endpoint.final(3)
            except Timeout:
                raise Failure(f"{what}: no answer") from None
            expect(400 <= answer.status < 500, f"{what}: {answer.start}")
    endpoint.socket.settimeout(0.1)
    for cut in range(0, 400, 7):
        endpoint.send(endpoint.request("INVITE", "sip:bob@example.com", body=_offer(endpoint))
                      .encode()[:cut])
    try:
        while True:
            endpoint.receive(0.3)
    except Timeout:
        pass
    expect(endpoint.ask("OPTIONS", "sip:example.com").status == 200, "it still answers")
    calls.wait_calls(1, "up")


def test_malformed_sip_from_outside(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    _survives_garbage(pair.outside_endpoint("mallory", lab.out2), pair.hras)
    both_hear(alice, bob)
    hang_up(alice, bob)


def test_malformed_sip_from_inside(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    _survives_garbage(pair.inside_endpoint("carol", pair.office.p2), pair.hras)
    both_hear(alice, bob)
    hang_up(alice, bob)


def test_malformed_sip_over_tcp(lab):
    """Message borders are found by Content-Length; what cannot be framed closes that connection."""
    pair = Pair(lab)
    for host, address in ((lab.out2, HRAS), (pair.office.p2, HRAC)):
        endpoint = Endpoint(host, "dave", address)
        text = endpoint.request("OPTIONS", "sip:example.com").replace("SIP/2.0/UDP", "SIP/2.0/TCP")
        stream = host.connect((address, 5060))
        stream.settimeout(5)
        for piece in (text[:30], text[30:200], text[200:] + text.replace("z9hG4bK", "z9hG4bKx")):
            stream.sendall(piece.encode())
            time.sleep(0.05)    # so that the pieces arrive as pieces
        answers = b""
        while answers.count(b"SIP/2.0 200") < 2:
            answers += stream.recv(65536)
        try:
            stream.sendall(b"Content-Length: -1\r\n\r\n" + b"\xff" * 100000)
        except ConnectionError:
            pass
        wait_for("the connection to be closed", lambda: _closed(stream))
        expect(endpoint.ask("OPTIONS", "sip:example.com").status == 200, "it still answers")
        endpoint.close()


def _closed(stream):
    try:
        return stream.recv(65536) == b""
    except ConnectionError:
        return True


def test_an_sdp_that_cannot_be_read_is_488(lab):
    pair = Pair(lab)
    alice, bob = pair.inside_endpoint(), pair.outside_endpoint()
    expect(bob.register().status == 200, "bob is registered")
    good = _offer(alice)
    for body in ("hello\n", "v=0\n", good.replace("m=audio 6000", "m=audio 99999"),
                 good.replace("IN IP4 192.168.1.11", "IN IP9 elsewhere"), good[:good.index("m=audio") + 9],
                 "\0\1\2"):
        try:
            answer = alice.ask("INVITE", "sip:bob@example.com", body=body)
        except Timeout:
            raise Failure(f"{body!r}: no answer") from None
        expect(answer.status == 488, f"{body!r}: 488, not {answer.start}")
    try:
        passed = bob.receive(0.3, lambda m: m.method == "INVITE")
    except Timeout:
        pair.hras.wait_calls(0)
        return
    raise Failure(f"it was passed on: {passed}")


# -- What runs out --

def _hold_calls(pair, alice, bob, number):
    """Sets up that many calls between two bare endpoints, one after the other."""
    answers = []
    for i in range(number):
        alice.send(alice.request("INVITE", "sip:bob@example.com", body=_offer(alice, 6000 + 2 * i)))
        invite = bob.receive(condition=lambda m: m.method == "INVITE" and not m.status)
        bob.reply(invite, 200, "OK", body=_offer(bob, 7000 + 2 * i))
        answers.append(alice.final())
        expect(answers[-1].status == 200, f"call {i}: {answers[-1].start}")
        alice.send(alice.in_dialog("ACK", answers[-1], cseq=1))
    pair.hras.wait_calls(number)
    return answers


def _one_more_is_503(pair, alice, bob, number):
    expect(bob.register().status == 200, "bob is registered")
    answers = _hold_calls(pair, alice, bob, number)
    refused = alice.ask("INVITE", "sip:bob@example.com", body=_offer(alice, 6100))
    expect(refused.status == 503, f"503, not {refused.start}")
    alice.send(alice.in_dialog("BYE", answers[0]))
    bye = bob.receive(condition=lambda m: m.method == "BYE")
    bob.reply(bye, 200, "OK")
    expect(alice.final().status == 200, "one call has ended")
    pair.hras.wait_calls(number - 1)

    def rings():
        try:
            invite = bob.receive(0.2, lambda m: m.method == "INVITE" and not m.status)
        except Timeout:
            return False
        bob.reply(invite, 486, "Busy Here")
        return True
    wait_for("the place to be free again", lambda: (
        alice.send(alice.request("INVITE", "sip:bob@example.com", body=_offer(alice, 6100))),
        rings())[1], timeout=10)


def test_no_free_port_outside_is_503(lab):
    pair = Pair(lab, hras={"media": {"ports": "20000-20005", "linger": "200ms"}})
    _one_more_is_503(pair, pair.inside_endpoint(), pair.outside_endpoint(), 3)


def test_no_free_port_inside_is_503(lab):
    pair = Pair(lab, hras={"media": {"linger": "200ms"}}, hrac={"media": {"ports": "20000-20003"}})
    _one_more_is_503(pair, pair.inside_endpoint(), pair.outside_endpoint(), 2)


def test_a_full_table_is_503(lab):
    pair = Pair(lab, hras={"calls_max": 2})
    _one_more_is_503(pair, pair.inside_endpoint(), pair.outside_endpoint(), 2)


def test_a_port_that_another_program_has(lab):
    """Media ports that are taken by others are passed over."""
    office = lab.office()
    taken = [host.socket(bind=(address, port)) for host, address in
             ((lab.hras_host, HRAS), (office.hrac, HRAC)) for port in range(20000, 20008)]
    pair = Pair(lab, hras={"media": {"ports": "20000-20015"}},
                hrac={"media": {"ports": "20000-20015"}}, office=office)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob)
    hang_up(alice, bob)
    expect(len(taken) == 16, "they were taken all the time")


def test_an_address_in_use_is_named(lab):
    office = lab.office()
    for kind, host, address in (("udp", lab.hras_host, f"{HRAS}:5060"),
                                ("tcp", lab.hras_host, f"{HRAS}:80"),
                                ("tcp", lab.hras_host, "127.0.0.1:8081"),
                                ("udp", office.hrac, f"{HRAC}:5060")):
        ip, port = address.split(":")
        holder = host.socket(socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM,
                             (ip, int(port)))
        if kind == "tcp":
            holder.listen()
        agent = Hras(lab) if host is lab.hras_host else Hrac(office)
        agent.name += f"-{kind}-{port}"     # so that each has a log of its own
        agent.start(ready=False)
        agent.process.expected = 1
        expect(agent.process.wait() == 1, f"{address}: exit status 1")
        expect(re.search(rf"{re.escape(address)}.*in use", agent.process.output()),
               f"{address} and the reason are named:\n{agent.process.output()}")
        holder.close()


# -- Configuration --

def test_a_wrong_configuration_starts_nothing(lab):
    wrong = [
        (Hras, {"domains": None}, "domains"),
        (Hras, {"colour": "blue"}, "colour"),
        (Hras, {"media": {"ports": "30000-20000"}}, "ports"),
        (Hras, {"sip": {"listen": ["udp:nowhere"]}}, "nowhere"),
        (Hras, {"tunnel": {"certificate": "/nonexistent.pem"}}, "certificate"),
        (Hras, {"auth": {"require": "perhaps"}}, "perhaps"),
        (Hras, {"internal_calls": "sometimes"}, "sometimes"),
        (Hrac, {"tunnel": {"url": "ftp://203.0.113.10/"}}, "ftp"),
        (Hrac, {"tunnel": {"secret": None}}, "secret"),
        (Hrac, {"tunnel": {"connections_max": 0}}, "connections_max"),
        (Hrac, {"media": {"address": "the attic"}}, "attic"),
        (Hrac, {"media": {"max_age": "5 years"}}, "max_age"),
    ]
    office = lab.office()
    for number, (kind, changes, word) in enumerate(wrong):
        agent = kind(lab if kind is Hras else office, changes)
        agent.name = f"wrong{number}"
        status, said = agent.check()
        expect(status == 1, f"-t with {changes}: {status}")
        expect(re.search(rf"{re.escape(agent.name)}\.conf:\d+: .*{word}.*expected", said),
               f"file, line, reason and what was expected:\n{said}")
        agent.start(ready=False)
        agent.process.expected = 1
        expect(agent.process.wait() == 1, f"started with {changes}")
    for kind in (Hras, Hrac):
        status, said = kind(lab if kind is Hras else office).check()
        expect(status == 0, f"a good configuration: {status} {said}")
    missing = lab.hras_host.spawn("missing", [lab.binary("hras"), "-c", lab.path("none.conf")])
    expect(missing.wait() == 1 and "none.conf" in missing.output(), "a missing file is named")


# -- Media --

def test_a_call_without_media_is_ended(lab):
    pair = Pair(lab, hras={"media": {"timeout": "3s"}})
    pair.registered("bob", lab.out1, HRAS)
    called = Sipp(lab.out1, [recv("INVITE", rrs=True), reply(200, "OK", body=sdp()), recv("ACK"),
                             recv("BYE", timeout=20000), reply(200, "OK")], user="bob")
    caller = Sipp(pair.office.p1, [
        send("INVITE", body=sdp()), recv(100, optional=True), recv(200, rrs=True), send("ACK"),
        recv("BYE", timeout=20000), reply(200, "OK")], user="alice", to="bob", proxy=HRAC)
    caller.finished()
    called.finished()
    all_quiet(pair)


def test_a_held_call_is_not_ended(lab):
    pair = Pair(lab, hras={"media": {"timeout": "2s"}})
    alice, bob = pair.inside(), pair.outside_endpoint()
    expect(bob.register().status == 200, "bob is registered")
    alice.dial("sip:bob@example.com")
    invite = bob.receive(condition=lambda m: m.method == "INVITE")
    bob.reply(invite, 200, "OK", body=_offer(bob) + "a=inactive\n")
    alice.wait_event("CALL_ESTABLISHED")
    held_since = time.monotonic()
    pair.hras.wait_calls(1, "held")
    try:
        bob.receive(6, lambda m: m.method == "BYE")
    except Timeout:
        expect(time.monotonic() - held_since > 5, "it was held for longer than the timeout")
        pair.hras.wait_calls(1, "held")
        return
    raise Failure("a held call was ended")


def test_voice_of_a_stranger_is_dropped(lab):
    """What comes to a call's port from another address is no part of the call."""
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    capture = pair.watch_outside()
    connect(alice, bob)
    both_hear(alice, bob, 1.0)
    ports = {p.target[1] for p in capture.stop()
             if p.is_rtp and p.target[0] == HRAS and p.source[0] == bob.address}
    expect(len(ports) == 1, f"one media port: {ports}")
    stranger = lab.out2.socket(bind=(lab.out2.address, 10000))
    noise = b"\x80\x00" + bytes(10) + bytes(range(160))
    since = alice.now()
    before = pair.hras.wait_calls(1)[0]["streams"][0]["from_outside"]["packets"]
    for number in range(150):
        stranger.sendto(noise[:2] + number.to_bytes(2, "big") + noise[4:], (HRAS, ports.copy().pop()))
        time.sleep(0.005)
    alice.wait_heard(bob, 2.0, since)
    match = alice.match(bob, since)
    expect(match.share == 1.0 and match.lost_ms == 0, f"alice hears bob alone: {match}")
    dropped = sum(value for name, value in pair.hras.status()["counters"].items()
                  if "foreign" in name)
    expect(dropped >= 150, f"they were counted: {dropped}")
    after = pair.hras.wait_calls(1)[0]["streams"][0]["from_outside"]["packets"]
    expect(after - before < 2.0 * 50 * 8, f"they are not bob's: {after - before}")
    try:
        stranger.settimeout(0.2)
        stranger.recv(2000)
    except socket.timeout:
        hang_up(alice, bob)
        return
    raise Failure("the stranger was given bob's voice")


def test_a_phone_behind_nat_outside(lab):
    """bob's SDP names an address that nobody can reach; his real one is learnt."""
    pair = Pair(lab)
    alice, bob = pair.inside(answer="auto"), pair.outside_endpoint()
    expect(bob.register().status == 200, "bob is registered")
    text = bob.request("INVITE", "sip:alice@example.com",
                       body=sdp(port=6000).replace("[local_ip]", "10.1.2.3"))
    bob.send(text)
    challenge = bob.final()
    bob.ack_failure("sip:alice@example.com", challenge)
    bob.send(bob.request("INVITE", "sip:alice@example.com", cseq=2,
                         body=sdp(port=6000).replace("[local_ip]", "10.1.2.3"),
                         headers=bob.credentials(challenge, "INVITE", "sip:alice@example.com"),
                         call_id=challenge["Call-ID"]))
    answer = bob.final()
    expect(answer.status == 200, f"answered: {answer.start}")
    bob.send(bob.in_dialog("ACK", answer, cseq=2))
    media = lab.out1.socket(bind=(lab.out1.address, 6000))
    port = int(re.search(r"m=audio (\d+)", answer.body).group(1))
    media.settimeout(0.1)
    heard = 0
    for number in range(100):
        media.sendto(b"\x80\x00" + number.to_bytes(2, "big") + (number * 160).to_bytes(4, "big")
                     + b"abcd" + b"\xff" * 160, (HRAS, port))
        try:
            heard += len(media.recv(2000)) == 172
        except socket.timeout:
            pass
    expect(heard > 30, f"alice's voice arrives at bob's real address: {heard} packets")
    bob.send(bob.in_dialog("BYE", answer, cseq=3))
    alice.wait_closed()


def test_ports_go_back_after_every_kind_of_end(lab):
    """With room for two calls only: answered, refused, cancelled and failed ones in turn."""
    pair = Pair(lab, hras={"media": {"ports": "20000-20003", "linger": "0ms"}})
    pair.registered("bob", lab.out1, HRAS)
    ends = {
        "answered": ([recv("INVITE", rrs=True), reply(200, "OK", body=sdp()), recv("ACK"),
                      recv("BYE"), reply(200, "OK")],
                     [send("INVITE", body=sdp()), recv(100, optional=True), recv(200, rrs=True),
                      send("ACK"), pause(50), send("BYE"), recv(200)]),
        "refused": ([recv("INVITE"), reply(180, "Ringing", body=sdp()), reply(603, "Decline"),
                     recv("ACK")],
                    [send("INVITE", body=sdp()), recv(100, optional=True),
                     recv(180, optional=True), recv(603), send("ACK")]),
    }
    for _ in range(2):
        for name, (callee, caller) in ends.items():
            called = Sipp(lab.out1, callee, user="bob", calls=5)
            calling = Sipp(pair.office.p1, caller, user="alice", to="bob", proxy=HRAC, calls=5,
                           limit=1)
            try:
                calling.finished()
                called.finished()
            except Failure as failure:
                raise Failure(f"{name}: {failure}") from failure
            all_quiet(pair)
