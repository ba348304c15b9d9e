# SPDX-License-Identifier: GPL-3.0-or-later
"""The instruments themselves: what the other tests believe is proved here."""

import random

from lab import audio
from lab.baresip import Phone
from lab.capture import Capture, assert_hidden
from lab.certificates import Authority
from lab.linphone import Linphone
from lab.sipp import Sipp, recv, reply, sdp, send
from lab.squid import Squid
from lab.wait import Failure, Timeout, expect
from lab.world import DMZ_PROXY


def refuses(what, action, *arguments):
    """The action must fail; an instrument that always agrees is none."""
    try:
        action(*arguments)
    except (Failure, OSError):
        return
    raise Failure(f"{what} was not refused")


def test_an_ear_knows_one_voice_from_another(lab):
    alice, bob = audio.Ear(lab.voice("alice")), audio.Ear(lab.voice("bob"))
    noise = random.Random(1)
    heard = [s + noise.randint(-200, 200) for s in audio.read_wav(lab.voice("alice"))[30000:70000]]
    right, wrong = audio.compare(heard, alice), audio.compare(heard, bob)
    expect(right.share == 1.0 and right.correlation > 0.95, f"its own voice: {right}")
    expect(wrong.share == 0.0 and wrong.correlation < 0.3, f"another's voice: {wrong}")
    silence = audio.compare([0] * 16000, alice)
    expect(silence.share == 0.0, f"silence: {silence}")


def test_an_ear_measures_what_is_missing(lab):
    ear = audio.Ear(lab.voice("alice"))
    voice = audio.read_wav(lab.voice("alice"))
    match = audio.compare(voice[8000:32000] + voice[32000 + 9600:60000], ear)
    expect(abs(match.lost_ms - 1200) < 5, f"1200 ms are missing, but: {match}")
    expect(audio.compare(voice[8000:40000], ear).lost_ms == 0, "nothing is missing")


def test_two_phones_on_one_wire_hear_each_other(lab):
    office = lab.office()
    capture = Capture(office.lan)
    alice, bob = Phone(office.p1, "alice"), Phone(office.p2, "bob", answer="auto")
    alice.dial("sip:bob@192.168.1.12")
    alice.wait_event("CALL_ESTABLISHED")
    alice.wait_heard(bob)
    bob.wait_heard(alice)
    refuses("hearing oneself", lambda: alice.wait_heard(alice, timeout=1))
    alice.hangup()
    bob.wait_closed()
    packets = capture.stop()
    expect(sum(packet.is_rtp for packet in packets) > 100, "RTP was captured")
    expect(sum(packet.is_sip for packet in packets) >= 6, "SIP was captured")
    refuses("a capture that shows addresses", assert_hidden, packets, "192.168.1.12",
            ["192.168.1.11"])
    refuses("a capture of nothing", assert_hidden, [], "192.168.1.12", ["192.168.1.11"])


def test_the_firewall_lets_nothing_out_but_the_web(lab):
    office = lab.office()
    server = lab.hras_host.socket(bind=("0.0.0.0", 5060), timeout=0.5)
    phone = office.p1.socket()
    phone.sendto(b"hello", (lab.hras_host.address, 5060))
    refuses("UDP to the Internet", server.recvfrom, 100)
    refuses("TCP to another port", office.p1.connect, (lab.hras_host.address, 5060), 0.5)
    with lab.listener(lab.hras_host, 80) as web:
        inside = office.p1.connect((lab.hras_host.address, 80))
        outside, source = web.accept()
        expect(source[0] == office.wan_address, f"masqueraded, not {source}")
        inside.sendall(b"up")
        expect(outside.recv(10) == b"up", "the web passes")
        office.firewall.cut()
        inside.sendall(b"lost")
        outside.settimeout(0.5)
        refuses("data on a cut connection", outside.recv, 10)
        office.p1.connect((lab.hras_host.address, 80)).close()
        web.accept()[0].close()


def test_the_firewall_can_reset_what_it_carries(lab):
    office = lab.office()
    with lab.listener(lab.hras_host, 443) as web:
        inside = office.p1.connect((lab.hras_host.address, 443))
        outside = web.accept()[0]
        office.firewall.cut(reset=True)
        inside.sendall(b"x")
        refuses("a reset connection", inside.recv, 10)
        office.firewall.close_all()
        outside.close()
        refuses("a closed firewall", office.p1.connect, (lab.hras_host.address, 443), 0.5)
        office.firewall.open_again()
        office.p1.connect((lab.hras_host.address, 443)).close()


def test_two_offices_have_the_same_addresses(lab):
    office, branch = lab.office(), lab.branch()
    expect(office.p1.address == branch.p1.address, "the same")
    with lab.listener(lab.hras_host, 80) as web:
        sources = set()
        for place in (office, branch):
            place.p1.connect((lab.hras_host.address, 80)).close()
            sources.add(web.accept()[1][0])
        expect(sources == {"203.0.113.5", "203.0.113.6"}, f"two firewalls, but {sources}")


def test_waiting_ends(lab):
    office = lab.office()
    phone = Phone(office.p1, "alice")
    try:
        phone.wait_event("CALL_ESTABLISHED", timeout=0.2)
    except Timeout:
        return
    raise Failure("waiting for what never comes has ended well")


def test_sipp_calls_sipp(lab):
    office = lab.office()
    called = Sipp(office.p2, [
        recv("INVITE", rrs=True), reply(180, "Ringing"), reply(200, "OK", body=sdp()), recv("ACK"),
        send("INVITE", body=sdp(version=2)), recv(200, rrs=True), send("ACK"),
        recv("BYE"), reply(200, "OK")], user="bob", echo=True)
    caller = Sipp(office.p1, [
        send("INVITE", body=sdp()), recv(100, optional=True), recv(180, optional=True),
        recv(200, rrs=True), send("ACK"),
        recv("INVITE"), reply(200, "OK", body=sdp(version=2)), recv("ACK"),
        send("BYE", cseq=2), recv(200)], user="alice", to="bob", proxy=office.p2.address)
    caller.finished()
    called.finished()
    lost = Sipp(office.p1, [send("OPTIONS"), recv(200, timeout=500)], to="bob",
                proxy=office.p2.address, timeout=5)
    refuses("a call to nobody", lost.finished)


def test_a_linphone_and_a_baresip_hear_each_other(lab):
    office = lab.office()
    carol, bob = Linphone(office.p1, "carol"), Phone(office.p2, "bob", answer="auto")
    carol.dial("sip:bob@192.168.1.12")
    carol.wait_established()
    bob.wait_heard(carol)
    carol.wait_heard(bob)
    carol.hangup()
    bob.wait_closed()


def test_squid_is_the_only_way_out(lab):
    office = lab.office(behind_proxy=True)
    squid = Squid(office.proxy, password="sesame")
    with lab.listener(lab.hras_host, 80) as web:
        refuses("a way around the proxy", office.p1.connect, (lab.hras_host.address, 80), 0.5)
        for credentials, status in (("b2ZmaWNlOndyb25n", 407), ("b2ZmaWNlOnNlc2FtZQ==", 200)):
            client = office.p1.connect((DMZ_PROXY, 3128))
            client.sendall(f"GET http://{lab.hras_host.address}/x HTTP/1.1\r\nHost: h\r\n"
                           f"Proxy-Authorization: Basic {credentials}\r\n\r\n".encode())
            if status == 200:
                server = web.accept()[0]
                server.recv(1000)
                server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup")
            answer = client.recv(1000).split(b"\r\n")[0]
            expect(f" {status} ".encode() in answer, f"{status} expected, not {answer}")
    expect("/x" in squid.log(), "squid has logged it")


def test_an_authority_vouches_for_its_own_only(lab):
    good, other = Authority(lab), Authority(lab, "other")
    certificate, _ = good.sign("203.0.113.10")
    lab.internet.run("openssl", "verify", "-CAfile", good.ca, certificate)
    refuses("a stranger's signature", lab.internet.run, "openssl", "verify", "-CAfile", other.ca,
            certificate)
