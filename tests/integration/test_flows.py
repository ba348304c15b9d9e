# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to calls besides talking: CANCEL, busy, hold, re-INVITE, early media, and requests
that are no calls."""

import re

from lab.agents import HRAC
from lab.capture import Capture
from lab.rtp import Talker, Tap
from lab.scenes import (Pair, all_quiet, assert_outside_knows_nothing, both_hear, connect,
                        hang_up)
from lab.sipp import Sipp, pause, recv, reply, sdp, send
from lab.wait import Timeout, expect, wait_for
from lab.world import HRAS


def test_cancel_from_inside(lab):
    pair = Pair(lab)
    capture = pair.watch_outside()
    alice, bob = pair.inside(), pair.outside()
    alice.dial(bob.uri)
    bob.wait_event("CALL_INCOMING")
    alice.wait_event("CALL_RINGING")
    pair.hras.wait_calls(1, "ringing")
    alice.hangup()
    bob.wait_closed()
    alice.wait_closed()
    pair.hras.wait_calls(0)
    assert_outside_knows_nothing(capture)


def test_cancel_from_outside(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside()
    bob.dial(alice.uri)
    alice.wait_event("CALL_INCOMING")
    bob.wait_event("CALL_RINGING")
    bob.hangup()
    alice.wait_closed()
    all_quiet(pair)


def test_cancel_is_answered_by_487(lab):
    pair = Pair(lab)
    bob = pair.outside()
    caller = Sipp(pair.office.p1, [
        send("INVITE", body=sdp()), recv(100, optional=True), recv(180), pause(200),
        send("CANCEL"), recv(200), recv(487), send("ACK")], user="alice", to="bob", proxy=HRAC)
    caller.finished()
    bob.wait_closed()
    all_quiet(pair)


def test_busy(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside()
    alice.dial(bob.uri)
    bob.wait_event("CALL_INCOMING")
    bob.hangup()
    reason = alice.wait_closed()
    expect("486" in reason, f"alice is told 486, not {reason}")
    since = bob.mark()
    bob.dial(alice.uri)
    alice.wait_event("CALL_INCOMING")
    alice.hangup()
    reason = bob.wait_closed(since=since)
    expect("486" in reason, f"bob is told 486, not {reason}")
    all_quiet(pair)


def test_nobody_answers(lab):
    pair = Pair(lab)
    bob = pair.outside_endpoint()
    expect(bob.register().status == 200, "bob is registered")
    alice = pair.inside()
    alice.dial("sip:bob@example.com")
    invite = bob.receive(condition=lambda m: m.method == "INVITE" and not m.status)
    bob.reply(invite, 180, "Ringing")
    alice.wait_event("CALL_RINGING")
    bob.reply(invite, 480, "Temporarily Unavailable")
    reason = alice.wait_closed()
    expect("480" in reason, f"alice is told 480, not {reason}")
    ack = bob.receive(condition=lambda m: m.method == "ACK")
    expect(ack["CSeq"].split()[0] == invite["CSeq"].split()[0], "the failure is acknowledged")
    all_quiet(pair)


def test_a_phone_that_has_vanished_is_408(lab):
    """Registered, but switched off: the answer comes when timer B has run out."""
    pair = Pair(lab)
    pair.registered("bob", lab.out1, HRAS)
    alice = pair.inside_endpoint()
    answer = alice.ask("INVITE", "sip:bob@example.com", body=sdp_of(alice), timeout=45)
    expect(answer.status == 408, f"408, not {answer.start}")
    all_quiet(pair)


test_a_phone_that_has_vanished_is_408.seconds = 40


def sdp_of(endpoint, port=6000):
    """An offer as this bare endpoint would make it."""
    return (sdp(port=port).replace("[local_ip]", endpoint.host.address))


def test_nobody_of_that_name(lab):
    pair = Pair(lab)
    alice = pair.inside_endpoint()
    answer = alice.ask("INVITE", "sip:carol@example.com", body=sdp_of(alice))
    expect(answer.status == 480, f"known, but not registered: 480, not {answer.start}")
    answer = alice.ask("INVITE", "sip:xavier@example.com", body=sdp_of(alice))
    expect(answer.status in (404, 480), f"unknown: 404, not {answer.start}")
    all_quiet(pair)


def test_hold_and_resume(lab):
    pair = Pair(lab)
    capture = pair.watch_outside()
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob, 1.0)
    # baresip records only up to its first re-INVITE: from here on what the phones are sent counts.
    ears = Tap(alice, Capture(pair.office.lan)), Tap(bob, capture)
    for holder in (alice, bob):
        holder.hold()
        pair.hras.wait_calls(1, "held")
        holder.resume()
        pair.hras.wait_calls(1, "up")
        since = ears[0].now(), ears[1].now()
        ears[0].wait_heard(bob, 2.0, since[0])
        ears[1].wait_heard(alice, 2.0, since[1])
    hang_up(alice, bob)
    all_quiet(pair)
    assert_outside_knows_nothing(capture)


def test_reinvite_moves_the_media(lab):
    pair = Pair(lab)
    pair.registered("bob", lab.out1, HRAS)
    called = Sipp(lab.out1, [
        recv("INVITE", rrs=True), reply(200, "OK", body=sdp()), recv("ACK"),
        recv("INVITE"), reply(200, "OK", body=sdp(version=2)), recv("ACK"),
        send("INVITE", body=sdp(port=6020, version=3)), recv(100, optional=True), recv(200),
        send("ACK"), recv("BYE"), reply(200, "OK")], user="bob")
    caller = Sipp(pair.office.p1, [
        send("INVITE", body=sdp()), recv(100, optional=True), recv(200, rrs=True), send("ACK"),
        pause(1000), send("INVITE", body=sdp(port=6010, version=2)), recv(100, optional=True),
        recv(200), send("ACK"), recv("INVITE"), reply(200, "OK", body=sdp(port=6010, version=3)),
        recv("ACK"), pause(1000), send("BYE"), recv(200)], user="alice", to="bob", proxy=HRAC)

    def ports():
        stream = pair.hras.calls()[0]["streams"][0]
        return stream["iport"], stream["oport"]
    wait_for("the first ports", lambda: ports() == (6000, 6000))
    wait_for("the moved ports", lambda: ports() == (6010, 6020))
    inside, outside = caller.finished(), called.finished()
    pair.hras.wait_calls(0)
    expect("c=IN IP4 " + HRAS in outside and "c=IN IP4 " + HRAC in inside,
           "each phone was given the agent of its own side")


def test_early_media(lab):
    """bob's network plays something to alice before he answers, and hears her, too."""
    pair = Pair(lab)
    bob, talker = pair.outside_endpoint(), Talker(lab.out1, "bob", 7000)
    expect(bob.register().status == 200, "bob is registered")
    alice = pair.inside()
    ear = Tap(alice, Capture(pair.office.lan))
    alice.dial("sip:bob@example.com")
    invite = bob.receive(condition=lambda m: m.method == "INVITE")
    answer = sdp_of(bob, 7000)
    bob.reply(invite, 183, "Session Progress", body=answer)
    talker.speak((HRAS, media_port(invite)))
    alice.wait_event("CALL_PROGRESS")
    ear.wait_heard(talker)
    talker.wait_heard(alice)
    expect(not any(e["type"] == "CALL_ESTABLISHED" for e in alice.events), "not answered yet")
    bob.reply(invite, 200, "OK", body=answer)
    alice.wait_event("CALL_ESTABLISHED")
    ear.wait_heard(talker, since=ear.now())
    talker.wait_heard(alice, since=talker.now())
    alice.hangup()
    bob.reply(bob.receive(condition=lambda m: m.method == "BYE"), 200, "OK")
    alice.wait_closed()
    all_quiet(pair)


def media_port(message):
    """Where a session description wants the voice."""
    return int(re.search(r"m=audio (\d+)", message.body).group(1))


def test_offer_in_the_200(lab):
    pair = Pair(lab)
    capture = pair.watch_outside()
    pair.registered("bob", lab.out1, HRAS)
    called = Sipp(lab.out1, [
        recv("INVITE", rrs=True), reply(200, "OK", body=sdp()), recv("ACK"), recv("BYE"),
        reply(200, "OK")], user="bob")
    caller = Sipp(pair.office.p1, [
        send("INVITE"), recv(100, optional=True), recv(200, rrs=True), send("ACK", body=sdp()),
        pause(500), send("BYE"), recv(200)], user="alice", to="bob", proxy=HRAC)
    inside, outside = caller.finished(), called.finished()
    expect("c=IN IP4 " + HRAC in inside, "the offer inside names HRAC")
    expect("c=IN IP4 " + HRAS in outside, "the answer outside names HRAS")
    pair.hras.wait_calls(0)
    assert_outside_knows_nothing(capture)


def test_message_passes_both_ways(lab):
    pair = Pair(lab)
    capture = pair.watch_outside()
    alice, bob = pair.inside_endpoint(), pair.outside_endpoint()
    expect(alice.register().status == 200 and bob.register().status == 200, "both registered")
    alice.send(alice.request("MESSAGE", "sip:bob@example.com", body="Hello,\nbob", kind="text/plain"))
    message = bob.receive(condition=lambda m: m.method == "MESSAGE")
    expect(message.body == "Hello,\r\nbob", f"the body as it was, not {message.body!r}")
    bob.reply(message, 200, "OK")
    expect(alice.final().status == 200, "the answer comes back")
    expect(pair.hras.status()["calls"] == 0, "a message is no call")
    assert_outside_knows_nothing(capture)


def test_an_unknown_method_passes(lab):
    pair = Pair(lab)
    alice, bob = pair.inside_endpoint(), pair.outside_endpoint()
    expect(alice.register().status == 200 and bob.register().status == 200, "both registered")
    alice.send(alice.request("FROBNICATE", "sip:bob@example.com"))
    request = bob.receive(condition=lambda m: m.method == "FROBNICATE")
    bob.reply(request, 299, "Frobnicated")
    expect(alice.final().status == 299, "the answer comes back")


def test_options_to_a_phone_and_to_the_pair(lab):
    pair = Pair(lab)
    alice, bob = pair.inside_endpoint(), pair.outside_endpoint()
    expect(bob.register().status == 200, "bob is registered")
    alice.send(alice.request("OPTIONS", "sip:bob@example.com"))
    request = bob.receive(condition=lambda m: m.method == "OPTIONS")
    bob.reply(request, 200, "OK", headers="X-Who: bob")
    expect(alice.final().get("X-Who") == "bob", "answered by bob")
    for endpoint, agent in ((alice, HRAC), (bob, HRAS)):
        for uri in (f"sip:{agent}", "sip:example.com"):
            answer = endpoint.ask("OPTIONS", uri)
            expect(answer.status == 200, f"OPTIONS {uri}: {answer.start}")


def test_requests_that_have_come_too_far(lab):
    pair = Pair(lab)
    alice, bob = pair.inside_endpoint(), pair.outside_endpoint()
    expect(bob.register().status == 200, "bob is registered")
    alice.send(alice.request("MESSAGE", "sip:bob@example.com").replace("Max-Forwards: 70",
                                                                       "Max-Forwards: 0"))
    expect(alice.final().status == 483, "no hop is left")
    answer = alice.ask("MESSAGE", "sip:bob@example.com", headers="Proxy-Require: telepathy")
    expect(answer.status == 420 and "telepathy" in answer.get("Unsupported"),
           f"420 with what is not supported, not {answer}")
    try:
        stray = bob.receive(0.5, lambda m: m.method == "MESSAGE")
    except Timeout:
        return
    raise AssertionError(f"it was passed on: {stray}")


def test_a_retransmitted_request_is_passed_on_once(lab):
    pair = Pair(lab)
    alice, bob = pair.inside_endpoint(), pair.outside_endpoint()
    expect(bob.register().status == 200, "bob is registered")
    text = alice.request("MESSAGE", "sip:bob@example.com", body="once", kind="text/plain")
    for _ in range(3):
        alice.send(text)
    first = bob.receive(condition=lambda m: m.method == "MESSAGE")
    bob.reply(first, 200, "OK")
    expect(alice.final().status == 200, "answered")
    alice.send(text)
    expect(alice.final().status == 200, "answered again, from memory")
    try:
        bob.receive(0.4, lambda m: m.method == "MESSAGE")
    except Timeout:
        return
    raise AssertionError("bob had it twice")


def test_transfer(lab):
    """bob hands alice on to dave: REFER passes, and alice calls dave by herself."""
    pair = Pair(lab)
    capture = pair.watch_outside()
    alice, bob = pair.inside(), pair.outside(answer="auto")
    dave = pair.outside("dave", lab.out2, answer="auto")
    connect(alice, bob)
    both_hear(alice, bob, 1.0)
    bob.command("transfer", dave.uri)
    dave.wait_event("CALL_ESTABLISHED")
    both_hear(alice, dave)
    alice.hangup()
    dave.wait_closed()
    pair.hras.wait_calls(0)
    assert_outside_knows_nothing(capture)
