# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls between real phones in every direction; the voice is compared both ways."""

from lab.agents import HRAC, Hrac
from lab.baresip import Phone
from lab.capture import Capture
from lab.dns import ADDRESS, Dns
from lab.linphone import Linphone
from lab.rawsip import Endpoint
from lab.scenes import (Pair, all_quiet, assert_outside_knows_nothing, both_hear, connect,
                        hang_up)
from lab.sipp import Sipp, pause, recv, reply, sdp, send
from lab.wait import expect
from lab.world import HRAS


def test_inside_calls_outside(lab):
    pair = Pair(lab)
    capture = pair.watch_outside()
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob)
    call = pair.hras.wait_calls(1, "up")[0]
    stream = call["streams"][0]
    expect(stream["kind"] == "audio" and stream["iip"] == alice.address
           and stream["oip"] == bob.address, f"the row names both phones: {stream}")
    expect("alice" in call["from"] and "bob" in call["to"], f"the row names both people: {call}")
    for way in ("from_inside", "from_outside"):
        expect(stream[way]["packets"] > 90 and stream[way]["lost"] == 0 and stream[way]["mos"] > 4,
               f"{way}: {stream[way]}")
    expect(len(pair.hrac.calls()) == 1, "HRAC shows the call, too")
    hang_up(alice, bob)
    all_quiet(pair)
    pair.hrac.wait_calls(0)
    packets = capture.packets()
    through = [p for p in packets if pair.office.wan_address in p.hosts and p.protocol != "icmp"]
    strange = [p for p in through if p.protocol != "tcp" or HRAS not in p.hosts
               or 80 not in (p.source[1], p.target[1])]
    expect(through and not strange, f"only web traffic passes the firewall, but: {strange[:3]}")
    assert_outside_knows_nothing(capture)


def test_outside_calls_inside(lab):
    pair = Pair(lab)
    capture = pair.watch_outside()
    alice, bob = pair.inside(answer="auto"), pair.outside()
    connect(bob, alice)
    both_hear(alice, bob)
    stream = pair.hras.wait_calls(1, "up")[0]["streams"][0]
    expect((stream["iip"], stream["oip"]) == (alice.address, bob.address),
           f"inside is inside, whoever calls: {stream}")
    hang_up(bob, alice)
    all_quiet(pair)
    assert_outside_knows_nothing(capture)


def test_the_called_one_hangs_up(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside()
    connect(alice, bob, answer=True)
    both_hear(alice, bob, 1.0)
    hang_up(bob, alice)
    connect(bob, alice, answer=True)
    both_hear(alice, bob, 1.0)
    hang_up(alice, bob)
    all_quiet(pair)


def test_calls_over_tcp(lab):
    pair = Pair(lab)
    alice = pair.inside(transport="tcp")
    bob = pair.outside(transport="tcp", answer="auto")
    connect(alice, bob)
    both_hear(alice, bob)
    hang_up(bob, alice)
    carol = pair.inside("carol", pair.office.p2, transport="udp", answer="auto")
    connect(bob, carol)
    both_hear(bob, carol)
    hang_up(bob, carol)


def test_outside_calls_outside(lab):
    """HRAS is a proxy like any other, also where no office is concerned."""
    pair = Pair(lab)
    bob, dave = pair.outside(), pair.outside("dave", lab.out2, answer="auto")
    connect(bob, dave)
    both_hear(bob, dave)
    hang_up(dave, bob)
    all_quiet(pair)


def test_many_calls_at_a_time_each_with_its_own_voice(lab):
    """Four people, two calls, all voices different."""
    pair = Pair(lab)
    alice, carol = pair.inside(), pair.inside("carol", pair.office.p2)
    bob, dave = pair.outside(answer="auto"), pair.outside("dave", lab.out2, answer="auto")
    connect(alice, bob)
    connect(carol, dave)
    both_hear(alice, bob)
    both_hear(carol, dave)
    pair.hras.wait_calls(2, "up")
    hang_up(alice, bob)
    both_hear(carol, dave)
    hang_up(dave, carol)
    all_quiet(pair)


def _voice_on_the_lan(pair, alice, carol):
    """A call from p1 to p2 of one office: the packets on the LAN after it was answered."""
    connect(alice, carol)
    capture = Capture(pair.office.lan)
    both_hear(alice, carol)
    hang_up(alice, carol)
    return capture.stop()


def test_inside_calls_inside_and_the_voice_goes_direct(lab):
    pair = Pair(lab, hras={"internal_calls": "direct"})
    alice, carol = pair.inside(), pair.inside("carol", pair.office.p2, answer="auto")
    packets = _voice_on_the_lan(pair, alice, carol)
    phones = {alice.address, carol.address}
    voice = [p for p in packets if p.is_rtp]
    expect(len(voice) > 100 and all(p.hosts == phones for p in voice),
           f"voice from phone to phone, but {[p for p in voice if p.hosts != phones][:2]}")
    byes = [p for p in packets if p.payload.startswith(b"BYE ")]
    expect(byes and all(p.hosts == phones for p in byes), f"BYE from phone to phone: {byes}")
    all_quiet(pair)


def test_inside_calls_inside_by_relay(lab):
    pair = Pair(lab, hras={"internal_calls": "relay"})
    alice, carol = pair.inside(), pair.inside("carol", pair.office.p2, answer="auto")
    packets = _voice_on_the_lan(pair, alice, carol)
    voice = [p for p in packets if p.is_rtp]
    expect(len(voice) > 200 and all(HRAC in p.hosts for p in voice),
           f"all voice by HRAC, but {[p for p in voice if HRAC not in p.hosts][:2]}")
    all_quiet(pair)


def test_two_branch_offices_with_the_same_addresses(lab):
    pair = Pair(lab, hras={"agent branch": {"secret": "branch-secret"}})
    branch = lab.branch()
    Hrac(branch).start().wait_tunnel()
    pair.hras.wait_tunnel(agent="branch")
    alice = pair.inside()
    carol = Phone(branch.p1, "carol", HRAC, answer="auto")
    expect(alice.address == carol.address, "both phones have the same address")
    connect(alice, carol)
    both_hear(alice, carol)
    hang_up(alice, carol)
    alice.host.run("ip", "neighbour", "flush", "all")
    dave = Phone(branch.p2, "dave", HRAC)
    connect(dave, alice, answer=True)
    both_hear(dave, alice)
    hang_up(alice, dave)
    all_quiet(pair)


def test_linphone_inside_baresip_outside(lab):
    pair = Pair(lab)
    capture = pair.watch_outside()
    carol = Linphone(pair.office.p1, "carol", HRAC)
    bob = pair.outside(answer="auto")
    carol.dial(bob.uri)
    carol.wait_established()
    bob.wait_heard(carol)
    carol.wait_heard(bob)
    carol.hangup()
    bob.wait_closed()
    pair.hras.wait_calls(0)
    assert_outside_knows_nothing(capture)


def test_linphone_outside_baresip_inside(lab):
    pair = Pair(lab)
    dave = Linphone(lab.out1, "dave", HRAS)
    alice = pair.inside(answer="auto")
    dave.dial(alice.uri)
    dave.wait_established()
    alice.wait_heard(dave)
    dave.wait_heard(alice)
    alice.hangup()
    dave.wait_closed()
    all_quiet(pair)


CALLED = [recv("INVITE", rrs=True), reply(180, "Ringing"), reply(200, "OK", body=sdp()),
          recv("ACK"), recv("BYE"), reply(200, "OK")]


def test_sipp_calls_sipp_many_times(lab):
    pair = Pair(lab)
    capture = pair.watch_outside()
    pair.registered("bob", lab.out1, HRAS)
    called = Sipp(lab.out1, CALLED, user="bob", calls=60)
    caller = Sipp(pair.office.p1, [
        send("INVITE", body=sdp()), recv(100, optional=True), recv(180, optional=True),
        recv(200, rrs=True), send("ACK"), pause(1500), send("BYE"), recv(200)],
        user="alice", to="bob", proxy=HRAC, calls=60, rate=20)
    pair.hras.wait_status(lambda status: status["calls"] >= 20, "20 calls at a time")
    caller.finished()
    called.finished()
    pair.hras.wait_calls(0)
    assert_outside_knows_nothing(capture)


def test_sipp_from_outside_proves_who_it_is(lab):
    pair = Pair(lab)
    pair.registered("alice", pair.office.p1, HRAC)
    called = Sipp(pair.office.p1, CALLED, user="alice", calls=10)
    caller = Sipp(lab.out1, [
        send("INVITE", body=sdp()), recv(100, optional=True), recv(407, auth=True), send("ACK"),
        send("INVITE", body=sdp()), recv(100, optional=True), recv(180, optional=True),
        recv(200, rrs=True), send("ACK"), pause(200), send("BYE"), recv(200)],
        user="bob", to="alice", proxy=HRAS, calls=10)
    caller.finished()
    called.finished()
    all_quiet(pair)


def test_a_phone_that_knows_only_the_agent(lab):
    """Its domain is HRAC's address, for want of a field for an outbound proxy."""
    pair = Pair(lab)
    alice = pair.inside(domain=HRAC)
    bob = pair.outside(domain=HRAS, answer="auto")
    pair.hras.wait_registered("alice", "bob")
    since = alice.mark()
    alice.dial(f"sip:bob@{HRAC}")
    alice.wait_event("CALL_ESTABLISHED", since=since)
    both_hear(alice, bob)
    hang_up(alice, bob)


def test_the_next_hop_is_found_by_dns(lab):
    """NAPTR, SRV and A (RFC 3263): alice calls into a domain that is not ours."""
    dns = Dns(lab, ["naptr-record=partner.example,10,100,s,SIP+D2U,,_sip._udp.partner.example",
                    "srv-host=_sip._udp.partner.example,sip.partner.example,5080,10",
                    f"host-record=sip.partner.example,{lab.out2.address}"])
    pair = Pair(lab, hras={"dns_servers": [ADDRESS]})
    capture = pair.watch_outside()
    alice, dave = pair.inside_endpoint(), Endpoint(lab.out2, "dave", HRAS, port=5080)
    alice.send(alice.request("INVITE", "sip:dave@partner.example"))
    invite = dave.receive(condition=lambda m: m.method == "INVITE")
    expect(invite.start.split()[1] == "sip:dave@partner.example", f"as dialled: {invite.start}")
    dave.reply(invite, 486, "Busy Here")
    refused = alice.final()
    expect(refused.status == 486, f"the answer comes back: {refused.start}")
    alice.ack_failure("sip:dave@partner.example", refused)
    for name in ("NAPTR", "SRV", "sip.partner.example"):
        expect(name in dns.questions(), f"{name} was asked for:\n{dns.questions()}")
    answer = alice.ask("MESSAGE", "sip:x@nowhere.example", timeout=10)
    expect(answer.status in (404, 480, 500, 503), f"a name that is not: {answer.start}")
    assert_outside_knows_nothing(capture)
