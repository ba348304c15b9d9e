# SPDX-License-Identifier: GPL-3.0-or-later
"""The ladder: which way the tunnel takes, how soon, and what a call notices when that way is shut."""

import os
import time

from lab.agents import HRAC, Hrac, Hras
from lab.certificates import Authority
from lab.dns import Dns
from lab.front import Interceptor
from lab.rawsip import Endpoint
from lab.scenes import Pair
from lab.squid import Squid
from lab.talk import Talk
from lab.wait import expect, wait_for
from lab.world import DMZ_PROXY, HRAS

HTTPS, HTTP = f"https://{HRAS}/", f"http://{HRAS}/"
DEAD = "203.0.113.99"       # nobody has it: packets to it vanish
SETTLED_S = 5.0
LEFT_MS = 1000
OPEN_DOORS = {"auth": {"require": "none"}}


def _both(lab, **more):
    """Changes for HRAS and HRAC by which HRAS is reached by https and by http."""
    authority = Authority(lab)
    certificate, key = authority.sign(HRAS)
    hras = {"tunnel": {"listen": [f"https:{HRAS}:443", f"http:{HRAS}:80"],
                       "certificate": certificate, "key": key}, **OPEN_DOORS}
    return hras, {"tunnel": {"url": [HTTPS, HTTP], "ca": authority.ca, **more}}


def _tunnel(hrac):
    return hrac.status()["tunnels"][0]


def _goes(hrac, route, timeout=10.0):
    hrac.wait_status(lambda s: s["tunnels"][0]["route"] == route
                     and s["tunnels"][0]["state"] == "up", f"the way {route}", timeout)


def _settled(lab, what, hrac):
    """Starts it and waits for the tunnel; how long that took."""
    begin = time.monotonic()
    hrac.start()
    hrac.wait_tunnel(timeout=20)
    took = time.monotonic() - begin
    lab.measured(f"{what}: settled after {took:.2f} s; bar {SETTLED_S:.0f} s")
    expect(took < SETTLED_S, f"settled after {took:.2f} s")


def _block(firewall, what):
    firewall.nft(f"add rule inet firewall cut {what} counter drop\n")


def _block_https(firewall):
    _block(firewall, "tcp dport 443")
    _block(firewall, "tcp sport 443")


def _went_on(talk, what, since, bar_ms):
    talk.say()
    talk.all_said_arrives()
    talk.voice_flows(1.0)
    talk.measure(what, since, bar_ms)
    talk.went_on()


# -- The start --

def test_the_best_way_is_taken_when_all_work(lab):
    hras, hrac = _both(lab)
    pair = Pair(lab, hras, hrac)
    tunnel = _tunnel(pair.hrac)
    expect((tunnel["rung"], tunnel["route"]) == ("stream", HTTPS), f"the best: {tunnel}")
    expect(tunnel["refused"] == [], f"nothing better was refused: {tunnel['refused']}")


def test_behind_black_holes_the_proxy_is_found(lab):
    office = lab.office(behind_proxy=True)
    Squid(office.proxy)
    hras, hrac = _both(lab, proxy=f"http://{DMZ_PROXY}:3128")
    Hras(lab, hras).start()
    client = Hrac(office, hrac)
    _settled(lab, "https and http swallowed, by proxy", client)
    tunnel = _tunnel(client)
    expect(tunnel["rung"] == "proxy" and tunnel["transport"] == "https via proxy", f"{tunnel}")
    expect([r["route"] for r in tunnel["refused"]] == [HTTPS, HTTP], f"{tunnel['refused']}")


def test_what_holds_bodies_back_is_polled(lab):
    office = lab.office(behind_proxy=True)
    proxy = Interceptor(office.proxy, Authority(lab), streaming=False)
    Hras(lab, OPEN_DOORS).start()
    client = Hrac(office, {"tunnel": {"url": HTTP, "proxy": proxy.url}})
    begin = time.monotonic()
    client.start()
    client.wait_status(lambda s: s["tunnels"][0]["rung"] == "poll"
                       and s["tunnels"][0]["state"] == "up", "polling", 20)
    took = time.monotonic() - begin
    lab.measured(f"a proxy that holds bodies back: polled after {took:.2f} s; bar {SETTLED_S:.0f} s")
    expect(took < SETTLED_S, f"settled after {took:.2f} s")
    transport = _tunnel(client)["transport"]
    expect(transport == "http via proxy, polled", f"the status names it: {transport}")
    alice = Endpoint(office.p1, "alice", HRAC)
    expect(alice.register().status == 200, "and it works")


def test_the_second_hras_when_the_first_is_dead(lab):
    Hras(lab).start()
    client = Hrac(lab.office(), {"tunnel": {"url": [f"http://{DEAD}/", HTTP]}})
    _settled(lab, "the first HRAS dead", client)
    expect(_tunnel(client)["route"] == HTTP, "the second")


class _Other(Hras):
    """Another HRAS, elsewhere."""

    def __init__(self, lab, address):
        super().__init__(lab, {
            "store": lab.path("other.db"),
            "tunnel": {"listen": [f"{address}:80"]},
            "sip": {"listen": [f"udp:{address}:5060"]}, "media": {"address": address}})
        self.host = lab.internet.host("other", f"{address}/24")
        self.name = "other"


def test_hras_dies_and_comes_back(lab):
    """The other one is taken when it stays away, and it again when it is back and nobody speaks."""
    other = "203.0.113.12"
    home, away = Hras(lab).start(), _Other(lab, other).start()
    client = Hrac(lab.office(), {"tunnel": {"url": [HTTP, f"http://{other}/"]}}).start()
    _goes(client, HTTP)
    home.kill()
    since = time.monotonic()
    _goes(client, f"http://{other}/", 20)
    away.wait_tunnel(agent="office")
    lab.measured(f"HRAS killed: the other one is in use after {time.monotonic() - since:.1f} s")
    home.start()
    since = time.monotonic()
    _goes(client, HTTP, 60)
    lab.measured(f"HRAS is back: in use again after {time.monotonic() - since:.1f} s")
    home.wait_tunnel(agent="office")


test_hras_dies_and_comes_back.seconds = 40


# -- Names --

def _named(lab, records):
    """An office that may ask the name server, which has these records."""
    office = lab.office()
    office.firewall.nft('add rule inet firewall forward iifname "lan" oifname "wan" '
                        "udp dport 53 accept\n")
    dns = Dns(lab, records)
    path = lab.write("resolv.conf", f"nameserver {dns.host.address}\n")
    office.hrac.run("mount", "--bind", path, os.path.realpath("/etc/resolv.conf"))
    return office, dns


def test_a_dead_address_of_the_name_costs_little(lab):
    office, dns = _named(lab, [f"host-record=hras.example.org,{DEAD}",
                               f"host-record=hras.example.org,{HRAS}"])
    Hras(lab).start()
    client = Hrac(office, {"tunnel": {"url": "http://hras.example.org/"}})
    begin = time.monotonic()
    client.start()
    client.wait_tunnel()
    took = time.monotonic() - begin
    lab.measured(f"a name with a dead address: settled after {took:.2f} s")
    expect(took < 1.5, f"it took {took:.2f} s")
    expect("hras.example.org" in dns.questions(), "the name was asked for")


def test_the_name_gets_another_address_in_mid_call(lab):
    office, dns = _named(lab, [f"addn-hosts={lab.write('hosts', f'{HRAS} hras.example.org')}",
                               "local-ttl=0"])
    lab.hras_host.ip("address add 203.0.113.11/24 dev eth0")
    pair = Pair(lab, {"tunnel": {"listen": ["0.0.0.0:80"]}, **OPEN_DOORS},
                {"tunnel": {"url": "http://hras.example.org/"}}, office)
    talk = Talk(pair)
    lab.write("hosts", "203.0.113.11 hras.example.org")
    dns.process.child.send_signal(1)
    since = time.time()
    _block(office.firewall, f"ip daddr {HRAS} tcp dport 80")
    _went_on(talk, "the name has another address", since, LEFT_MS)
    peer = _tunnel(pair.hrac)["peer"]
    expect(peer == "203.0.113.11:80", f"by the new address: {peer}")
    talk.hang_up()


# -- In mid-call --

def test_https_is_blocked_in_mid_call_and_comes_back(lab):
    hras, hrac = _both(lab)
    pair = Pair(lab, hras, hrac)
    talk = Talk(pair)
    since = time.time()
    _block_https(pair.office.firewall)
    _went_on(talk, "https blocked, http left", since, LEFT_MS)
    tunnel = _tunnel(pair.hrac)
    expect(tunnel["route"] == HTTP, f"over http: {tunnel['route']}")
    expect(tunnel["refused"][0]["route"] == HTTPS, f"and why: {tunnel['refused']}")
    expect(tunnel["reconnect_causes"]["route_change"] == 1, f"{tunnel['reconnect_causes']}")
    since = time.time()
    pair.office.firewall.open_again()
    _goes(pair.hrac, HTTPS, 60)
    lab.measured(f"https works again: taken after {time.time() - since:.1f} s")
    _went_on(talk, "back to https", since, 100)
    talk.hang_up()


test_https_is_blocked_in_mid_call_and_comes_back.seconds = 45


def test_the_address_of_hrac_changes_in_mid_call(lab):
    """Phones speak to one address of HRAC; the tunnel leaves by another one, which is taken away."""
    office = lab.office()
    out = "address {} 192.168.1.{}/24 dev eth0", "route replace default via 192.168.1.1 src 192.168.1.{}"
    office.hrac.ip(out[0].format("add", 50), out[1].format(50))
    pair = Pair(lab, OPEN_DOORS, office=office)
    talk = Talk(pair)
    since = time.time()
    office.hrac.ip(out[0].format("add", 51), out[1].format(51), out[0].format("del", 50))
    _went_on(talk, "another address of HRAC", since, LEFT_MS)
    causes = _tunnel(pair.hrac)["reconnect_causes"]
    expect(causes.get("network_change", 0) >= 1, f"it knows why: {causes}")
    talk.hang_up()


def test_an_address_that_phones_were_told_is_lost(lab):
    pair = Pair(lab)
    pair.office.hrac.ip("address add 192.168.1.50/24 dev eth0",
                        f"address del {HRAC}/24 dev eth0")
    pair.hrac.process.wait_output(rf"has lost {HRAC}, the address of sip.listen")
    pair.office.hrac.ip(f"address add {HRAC}/24 dev eth0")
    pair.hrac.process.wait_output(rf"{HRAC}, the address of sip.listen, is back")


# -- Nothing --

def test_nothing_gets_through(lab):
    """One line with the reason, 503 from the first second on, and back by itself."""
    hras, hrac = _both(lab)
    pair = Pair(lab, hras, hrac)
    alice = Endpoint(pair.office.p1, "alice", HRAC)
    pair.office.firewall.close_all()
    pair.hrac.wait_no_tunnel()
    expect(pair.hrac.get("/healthz")[0] == 503, "not healthy")
    answer = alice.ask("OPTIONS", "sip:bob@example.com")
    expect(answer.status == 503, f"503, not {answer.start}")
    pair.hrac.process.wait_output("nothing gets through to HRAS", timeout=15)
    lines = [line for line in pair.hrac.process.output().splitlines() if "nothing gets" in line]
    expect(len(lines) == 1, f"one line: {lines}")
    for words in (HTTPS, HTTP, "timed out while connecting (a firewall?)"):
        expect(words in lines[0], f"{words} is not in: {lines[0]}")
    pair.office.firewall.open_again()
    begin = time.monotonic()
    pair.hrac.wait_tunnel(timeout=30)
    lab.measured(f"the firewall opens again: up after {time.monotonic() - begin:.1f} s")
    wait_for("health", lambda: pair.hrac.get("/healthz")[0] == 200)
    expect(alice.register().status == 200, "and it works")


test_nothing_gets_through.seconds = 40
