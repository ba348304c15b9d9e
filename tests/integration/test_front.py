# SPDX-License-Identifier: GPL-3.0-or-later
"""HRAS's side of TLS, and what may stand in front of it or in between: certificates that are renewed,
certificates of agents, interception, reverse proxies."""

import signal
import time

from lab.agents import Hrac, Hras
from lab.browser import Browser
from lab.certificates import Authority, serial, shown_serial
from lab.front import BEHIND, Interceptor, haproxy, nginx
from lab.scenes import Pair, all_quiet, both_hear, connect, hang_up
from lab.talk import Talk
from lab.wait import expect, wait_for
from lab.world import HRAS


def _https(authority, **more):
    """Changes for HRAS and for HRAC that make the tunnel https."""
    certificate, key = authority.sign(HRAS)
    return ({"tunnel": {"listen": [f"https:{HRAS}:443"], "certificate": certificate, "key": key,
                        **more}},
            {"tunnel": {"url": f"https://{HRAS}/", "ca": authority.ca}})


# -- Certificates --

def test_a_certificate_is_renewed_in_mid_call(lab):
    """SIGHUP: new connections are shown the new one, and the voice has no gap; rubbish is refused."""
    authority = Authority(lab)
    hras, hrac = _https(authority)
    hras["auth"] = {"require": "none"}
    hrac["tunnel"]["rotate_bytes"] = "32K"          # new connections all the time
    pair = Pair(lab, hras, hrac)
    certificate, key = hras["tunnel"]["certificate"], hras["tunnel"]["key"]
    first = serial(certificate)
    expect(shown_serial(lab.out2, HRAS) == first, "the first certificate is shown")
    talk = Talk(pair)
    since = time.time()
    authority.sign(HRAS, days=30)
    second = serial(certificate)
    pair.hras.process.signal(signal.SIGHUP)
    wait_for("the new certificate", lambda: shown_serial(lab.out2, HRAS) == second)
    talk.say()
    stranger = Authority(lab, "stranger").sign(HRAS)[1]
    with open(stranger, encoding="ascii") as other, open(key, "w", encoding="ascii") as file:
        file.write(other.read())
    pair.hras.process.signal(signal.SIGHUP)
    pair.hras.process.wait_output("key do not match")
    pair.hras.process.wait_output("the configuration in use stays")
    expect(shown_serial(lab.out2, HRAS) == second, "which is still shown")
    talk.say()
    talk.all_said_arrives()
    talk.voice_flows(2.0)
    talk.measure("a certificate renewed, and a broken one refused", since, 150)
    talk.went_on()
    tunnel = pair.hrac.status()["tunnels"][0]
    expect(tunnel["reconnects"] == 0, f"the session is the first one: {tunnel}")
    talk.hang_up()


test_a_certificate_is_renewed_in_mid_call.seconds = 15


def test_the_end_of_a_certificate_is_told(lab):
    """In the log, the status and the page, until it is renewed."""
    authority = Authority(lab)
    server = Hras(lab, _https(authority)[0]).start()
    expires = server.status()["certificate_expires"]
    expect(0 < expires - time.time() <= 2 * 86400, f"its end is told: {expires}")
    expect(server.counter("certificate_expires") == expires, "as a metric as well")
    server.process.wait_output("tunnel.certificate ends within 2 days")
    page = Browser(lab.hras_host)
    page.open("http://127.0.0.1:8081/")
    page.wait_text("certificate ends within 2 days")
    authority.sign(HRAS, days=30)
    server.process.signal(signal.SIGHUP)
    wait_for("its new end", lambda: server.status()["certificate_expires"] > expires + 86400)
    wait_for("the page to be content", lambda: page.evaluate(
        "document.getElementById('certificate').hidden"))


def test_agents_need_a_certificate_of_their_own(lab):
    """With client_ca: the office by its own comes in, and neither without nor with another's."""
    authority, agents = Authority(lab), Authority(lab, "agents")
    hras, hrac = _https(authority, client_ca=agents.ca)
    own, other = agents.sign("office", kind="DNS"), agents.sign("branch", kind="DNS")
    hrac["tunnel"].update(client_certificate=own[0], client_key=own[1])
    pair = Pair(lab, hras, hrac)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob)
    hang_up(alice, bob)
    pair.hrac.stop()
    pair.hrac.options["tunnel"].update(client_certificate=None, client_key=None)
    pair.hrac.start()
    pair.hrac.process.wait_output("HRAS wants a certificate of this agent")
    pair.hras.process.wait_output(
        rf"refused {pair.office.wan_address}:[0-9]+, whose certificate: it showed none")
    pair.hrac.stop()
    pair.hrac.options["tunnel"].update(client_certificate=other[0], client_key=other[1])
    pair.hrac.start()
    pair.hras.process.wait_output(r"refused agent .*office.*: its certificate has another name")
    expect(pair.hrac.status()["tunnels"][0]["state"] != "up", "no tunnel")
    pair.hras.options["tunnel"]["listen"].append(f"http:{HRAS}:80")
    status, said = pair.hras.check()
    expect(status == 1 and "client_ca" in said, f"-t knows that http is no lock: {said}")


# -- Reverse proxies --

_BEHIND = {"tunnel": {"listen": [f"http:{BEHIND}"]}}


def _in_call(pair, alice, bob, seconds=3.0):
    """What the two hear of each other in a call that goes well, and the round trip meanwhile."""
    connect(alice, bob)
    both_hear(alice, bob)
    both_hear(alice, bob, seconds)
    rtt_ms = pair.hrac.status()["tunnels"][0]["rtt_ms"]
    hang_up(alice, bob)
    all_quiet(pair)
    return rtt_ms


def _shows_whose_connection_it_is(pair):
    tunnel = pair.hras.status()["tunnels"][0]
    expect(tunnel["peer"].startswith("127.0.0.1:"), f"the proxy's own connection: {tunnel}")
    expect(tunnel["forwarded_for"] == pair.office.wan_address, f"and whose it is: {tunnel}")
    pair.hras.process.wait_output(
        rf"office.* from 127.0.0.1:[0-9]+ for {pair.office.wan_address}: session")


def test_behind_haproxy(lab):
    authority = Authority(lab)
    haproxy(lab, authority)
    pair = Pair(lab, _BEHIND, {"tunnel": {"url": f"https://{HRAS}/", "ca": authority.ca}})
    rtt_ms = _in_call(pair, pair.inside(), pair.outside(answer="auto"))
    lab.measured(f"round trip by haproxy: {rtt_ms:.1f} ms")
    expect(rtt_ms < 40, f"nothing is held back: {rtt_ms:.1f} ms")
    _shows_whose_connection_it_is(pair)


def test_haproxy_without_http_no_delay_holds_voice_back(lab):
    """Why the example has it."""
    authority = Authority(lab)
    haproxy(lab, authority, {"	option http-no-delay": "	no option http-no-delay"})
    pair = Pair(lab, _BEHIND, {"tunnel": {"url": f"https://{HRAS}/", "ca": authority.ca}})
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    wait_for("some seconds of voice",
             lambda: pair.hras.calls()[0]["streams"][0]["from_inside"]["packets"] > 150)
    rtt_ms = pair.hrac.status()["tunnels"][0]["rtt_ms"]
    lab.measured(f"round trip by haproxy without http-no-delay: {rtt_ms:.1f} ms")
    expect(rtt_ms > 40, f"it would do without: {rtt_ms:.1f} ms")
    hang_up(alice, bob)


def test_behind_nginx(lab):
    authority = Authority(lab)
    nginx(lab, authority)
    pair = Pair(lab, _BEHIND, {"tunnel": {"url": f"https://{HRAS}/", "ca": authority.ca}})
    rtt_ms = _in_call(pair, pair.inside(), pair.outside(answer="auto"))
    lab.measured(f"round trip by nginx: {rtt_ms:.1f} ms")
    expect(rtt_ms < 40, f"nothing is held back: {rtt_ms:.1f} ms")
    _shows_whose_connection_it_is(pair)


# -- Interception --

def _intercepted(lab, streaming):
    office = lab.office(behind_proxy=True)
    authority = Authority(lab)
    proxy = Interceptor(office.proxy, authority, streaming)
    hras, hrac = _https(authority)
    hrac["tunnel"].update(proxy=proxy.url, ca=proxy.ca)
    return office, proxy, hras, hrac


def test_an_interceptor_that_is_not_trusted_is_named(lab):
    office, _, hras, hrac = _intercepted(lab, streaming=True)
    hrac["tunnel"]["ca"] = Authority(lab, "another").ca
    Hras(lab, hras).start()
    client = Hrac(office, hrac).start()
    client.process.wait_output(
        r"certificate of HRAS is not trusted: it is signed by .*mitmproxy.* \(TLS is intercepted")
    expect(client.status()["tunnels"][0]["state"] != "up", "no tunnel")


def test_tls_is_intercepted_and_streams(lab):
    office, _, hras, hrac = _intercepted(lab, streaming=True)
    pair = Pair(lab, hras, hrac, office)
    rtt_ms = _in_call(pair, pair.inside(), pair.outside(answer="auto"))
    lab.measured(f"round trip by mitmproxy: {rtt_ms:.1f} ms")


def test_tls_is_intercepted_and_bodies_are_held_back(lab):
    """Until they are whole: what a virus scanner does. The rung that polls bears it, and what the
    interceptor reads is sealed."""
    office, proxy, hras, hrac = _intercepted(lab, streaming=False)
    hrac["tunnel"]["connections_max"] = 2       # it is written in Python, and each request costs it
    pair = Pair(lab, hras, hrac, office)
    rtt_ms = _in_call(pair, pair.inside(), pair.outside(answer="auto"))
    tunnel = pair.hrac.status()["tunnels"][0]
    lab.measured(f"round trip by mitmproxy that holds back: {rtt_ms:.1f} ms, {tunnel['transport']}")
    expect(tunnel["rung"] == "poll", f"found by itself: {tunnel}")
    pair.hrac.stop()
    proxy.process.stop()
    with open(proxy.flows, "rb") as file:
        seen = file.read()
    lab.measured(f"{len(seen)} bytes were read by the interceptor")
    expect(b"/vofw/1/" in seen and len(seen) > 100000, f"it saw the bodies: {len(seen)} bytes")
    for word in (b"SIP/2.0", b"alice", b"INVITE"):
        expect(word not in seen, f"{word} can be read by the interceptor")
