# SPDX-License-Identifier: GPL-3.0-or-later
"""Media besides one plain stream of G.711."""

from lab.agents import HRAC, Hrac, Hras
from lab.baresip import Phone
from lab.capture import Capture
from lab.scenes import Pair, assert_outside_knows_nothing, both_hear, connect, hang_up
from lab.sipp import sdp
from lab.wait import expect, wait_for
from lab.world import HRAS

EF, AF31 = 46, 26


def test_rtcp_passes_both_ways(lab):
    pair = Pair(lab)
    outside, lan = pair.watch_outside(), Capture(pair.office.lan)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)

    def reports(capture, source, target):
        return [p for p in capture.packets()
                if p.is_rtcp and p.source[0] == source and p.target[0] == target]
    for capture, source, target in ((outside, bob.address, HRAS), (outside, HRAS, bob.address),
                                    (lan, alice.address, HRAC), (lan, HRAC, alice.address)):
        found = wait_for(f"RTCP from {source} to {target}",
                         lambda c=capture, s=source, t=target: reports(c, s, t), 15)
        ports = {p.target[1] % 2 for p in found}
        expect(ports == {1}, f"on odd ports: {found[:2]}")
    hang_up(alice, bob)


test_rtcp_passes_both_ways.seconds = 15


def test_rtcp_on_the_port_of_rtp(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(mux=True), pair.outside(answer="auto", mux=True)
    capture = pair.watch_outside()
    connect(alice, bob)
    both_hear(alice, bob)
    wait_for("RTCP on even ports", lambda: any(
        p.is_rtcp and p.source[0] == HRAS and p.target[1] % 2 == 0 for p in capture.packets()), 15)
    hang_up(alice, bob)


test_rtcp_on_the_port_of_rtp.seconds = 15


def test_voice_and_signalling_are_marked(lab):
    pair = Pair(lab)
    outside, lan = pair.watch_outside(), Capture(pair.office.lan)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob, 1.0)
    hang_up(alice, bob)
    for capture, agent in ((outside, HRAS), (lan, HRAC)):
        ours = [p for p in capture.stop() if p.source[0] == agent and p.protocol == "udp"]
        voice = {p.dscp for p in ours if p.is_rtp}
        signalling = {p.dscp for p in ours if p.is_sip}
        expect(voice == {EF}, f"{agent}: voice is EF, not {voice}")
        expect(signalling == {AF31}, f"{agent}: SIP is AF31, not {signalling}")


def test_srtp_passes(lab):
    _secured(lab, "srtp-mand", "srtp")


def test_dtls_srtp_passes(lab):
    _secured(lab, "dtls_srtp", "dtls_srtp")


def _secured(lab, encryption, module):
    pair = Pair(lab)
    capture = pair.watch_outside()
    options = {"extra": f";mediaenc={encryption}", "modules": (module,)}
    alice, bob = pair.inside(**options), pair.outside(answer="auto", **options)
    connect(alice, bob)
    both_hear(alice, bob)
    hang_up(alice, bob)
    text = b"".join(p.payload for p in capture.packets() if p.is_sip)
    expect(b"SAVP" in text, "it was secured")
    assert_outside_knows_nothing(capture)


def test_a_second_stream_that_is_refused(lab):
    """Audio and video are offered, video is answered with port 0: one stream is left."""
    pair = Pair(lab)
    alice, bob = pair.inside_endpoint(), pair.outside_endpoint()
    expect(bob.register().status == 200, "bob is registered")
    video = "m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    alice.send(alice.request("INVITE", "sip:bob@example.com",
                             body=_body(alice, 6000) + video.format(port=6002)))
    invite = bob.receive(condition=lambda m: m.method == "INVITE")
    offered = [line.split() for line in invite.body.split("\r\n") if line.startswith("m=")]
    expect([line[0] for line in offered] == ["m=audio", "m=video"], f"both in order: {offered}")
    expect(all(20000 <= int(line[1]) <= 29999 for line in offered), f"ports of HRAS: {offered}")
    bob.reply(invite, 200, "OK", body=_body(bob, 7000) + video.format(port=0))
    answer = alice.final()
    answered = [line.split()[:2] for line in answer.body.split("\r\n") if line.startswith("m=")]
    expect(answered[1] == ["m=video", "0"], f"video is refused: {answered}")
    alice.send(alice.in_dialog("ACK", answer, cseq=1))
    streams = [(s["kind"], s["iport"], s["oport"]) for s in
               pair.hras.wait_calls(1, "up")[0]["streams"]]
    expect(streams[0] == ("audio", 6000, 7000), f"audio stands: {streams}")
    media_in, media_out = (host.socket(bind=(host.address, port)) for host, port in
                           ((pair.office.p1, 6000), (lab.out1, 7000)))
    out_port, in_port = int(offered[0][1]), int(answered[0][1].split("=")[-1])
    for source, agent, port, sink in ((media_in, HRAC, in_port, media_out),
                                      (media_out, HRAS, out_port, media_in)):
        packet = b"\x80\x00\x00\x01" + bytes(8) + b"voice" * 30
        source.sendto(packet, (agent, port))
        expect(sink.recv(2000) == packet, "the packet arrives as it was")
    alice.send(alice.in_dialog("BYE", answer))
    bob.reply(bob.receive(condition=lambda m: m.method == "BYE"), 200, "OK")
    expect(alice.final().status == 200, "ended")
    pair.hras.wait_calls(0)


def _body(endpoint, port):
    return sdp(port=port).replace("[local_ip]", endpoint.host.address)


def test_hrac_on_the_same_machine_as_the_phone(lab):
    """A laptop in a hotel: HRAC is reached by the loopback address."""
    office = lab.office()
    hras = Hras(lab).start()
    hrac = Hrac(office, {"sip": {"listen": ["udp:127.0.0.1:5060"]},
                         "media": {"address": "127.0.0.1"}}).start()
    hrac.wait_tunnel()
    alice = Phone(office.hrac, "alice", "127.0.0.1")
    bob = Phone(lab.out1, "bob", HRAS)
    for caller, called in ((alice, bob), (bob, alice)):
        connect(caller, called, answer=True)
        both_hear(alice, bob)
        hang_up(caller, called)
    hras.wait_calls(0)
