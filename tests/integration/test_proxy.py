# SPDX-License-Identifier: GPL-3.0-or-later
"""The way out by a proxy, of every kind that a company may have. The direct way is closed: the
firewall lets only the proxy out."""

import os
import re
import signal
import time

from lab.agents import Hrac, Hras
from lab.certificates import Authority
from lab.kerberos import Realm
from lab.proxies import OldProxy, SocksProxy, Tinyproxy, WebServer, name_hosts, pac
from lab.scenes import Pair, all_quiet, both_hear, connect, hang_up
from lab.squid import Squid
from lab.wait import expect, wait_for
from lab.world import DMZ_PROXY, HRAS

PROXY = f"http://{DMZ_PROXY}:3128"
LOGIN = {"proxy_user": "office", "proxy_password": "sesame"}


class Site:
    """An office behind a proxy; HRAS listens for http and for https."""

    def __init__(self, lab):
        self.lab = lab
        self.office = lab.office(behind_proxy=True)
        self.authority = Authority(lab)
        self.certificate, self.key = self.authority.sign(HRAS)
        self.pair = self.phones = None

    def start(self, environment=None, **tunnel):
        """The pair, over http."""
        hras = {"tunnel": {"listen": [f"http:{HRAS}:80", f"https:{HRAS}:443"],
                           "certificate": self.certificate, "key": self.key}}
        self.pair = Pair.__new__(Pair)
        self.pair.lab, self.pair.office = self.lab, self.office
        self.pair.hras = Hras(self.lab, hras).start()
        self.pair.hrac = Hrac(self.office, {"tunnel": {"ca": self.authority.ca, **tunnel}})
        self.pair.hrac.environment = environment or {}
        self.pair.hrac.start()
        self.up("http via proxy")
        return self.pair

    def up(self, transport):
        """The tunnel is up by that way; the status."""
        status = self.pair.hrac.wait_status(
            lambda s: s["tunnels"][0]["state"] == "up"
            and s["tunnels"][0]["transport"].split(", ")[0] == transport, transport)
        self.pair.hras.wait_tunnel(agent="office")
        return status

    def call(self, seconds=1.0):
        """Voice both ways, by the same two phones each time."""
        if self.phones is None:
            self.phones = self.pair.inside(), self.pair.outside(answer="auto")
        connect(*self.phones)
        both_hear(*self.phones, seconds)
        hang_up(*self.phones)
        all_quiet(self.pair)

    def over_tls(self):
        """The same through CONNECT."""
        self.pair.hrac.stop()
        self.pair.hrac.options["tunnel"]["url"] = f"https://{HRAS}/"
        self.pair.hrac.start()
        return self.up("https via proxy")

    def no_secret_is_told(self, *secrets):
        for agent in (self.pair.hras, self.pair.hrac):
            for secret in secrets:
                expect(secret not in agent.process.output(), f"{secret} in the log of {agent.name}")


def _by_password(lab, scheme):
    site = Site(lab)
    squid = Squid(site.office.proxy, password="sesame", schemes=[scheme])
    site.start(proxy=PROXY, **LOGIN)
    site.call()
    site.over_tls()
    site.call()
    site.no_secret_is_told("sesame")
    print(f"{scheme}: {squid.answers(407)} times 407, {squid.answers(200)} times 200")
    return squid


def test_basic(lab):
    squid = _by_password(lab, "basic")
    expect(squid.answers(407) <= 2, f"each start learns what is wanted, and no request asks again: "
           f"{squid.answers(407)} times 407")


def test_digest(lab):
    _by_password(lab, "digest")


def test_ntlm(lab):
    _by_password(lab, "ntlm")


def test_negotiate_by_a_ticket_and_by_a_keytab(lab):
    site = Site(lab)
    name_hosts(lab, {"proxy.example.com": DMZ_PROXY})
    realm = Realm(site.office.p2)
    agent = realm.service("vofw/office")
    Squid(site.office.proxy, schemes=["negotiate"], service=realm.service("HTTP/proxy.example.com"))
    pair = site.start(realm.ticket(site.office.hrac, agent), proxy="http://proxy.example.com:3128")
    site.call()
    pair.hrac.environment = {**realm.environment, "KRB5_CLIENT_KTNAME": agent.keytab,
                             "KRB5CCNAME": "MEMORY:"}
    site.over_tls()
    site.call()
    pair.hrac.stop()
    pair.hrac.environment = realm.environment
    pair.hrac.start()
    pair.hrac.process.wait_output(r"wants a Kerberos ticket.* offers Negotiate: ")


def test_kerberos_that_does_not_answer_holds_up_nothing_else(lab):
    site = Site(lab)
    name_hosts(lab, {"proxy.example.com": DMZ_PROXY})
    realm = Realm(site.office.p2)
    agent = realm.service("vofw/office")
    Squid(site.office.proxy, schemes=["negotiate"], service=realm.service("HTTP/proxy.example.com"))
    environment = realm.ticket(site.office.hrac, agent)
    realm.process.signal(signal.SIGSTOP)    # it accepts connections, and says nothing
    hrac = Hrac(site.office, {"tunnel": {"proxy": "http://proxy.example.com:3128"}})
    hrac.environment = environment
    hrac.start()
    wait_for("a question to the KDC", lambda: "192.168.1.12:88" in site.office.hrac.run(
        "ss", "-Htn", "state", "established"))
    slowest = 0.0
    for _ in range(20):
        begin = time.monotonic()
        hrac.status()
        slowest = max(slowest, time.monotonic() - begin)
        time.sleep(0.05)
    print(f"slowest answer of the status page: {1000 * slowest:.0f} ms")
    expect(slowest < 0.5, f"{slowest:.1f} s")
    Hras(lab).start()
    realm.process.signal(signal.SIGCONT)
    hrac.wait_tunnel(timeout=30)


def test_tls_with_the_proxy_itself(lab):
    site = Site(lab)
    Squid(site.office.proxy, password="sesame", tls=site.authority.sign(DMZ_PROXY))
    pair = site.start(proxy=f"https://{DMZ_PROXY}:3128", **LOGIN)
    site.call()
    site.over_tls()
    site.call()
    pair.hrac.stop()
    pair.hrac.options["tunnel"]["ca"] = Authority(lab, "stranger").ca
    pair.hrac.start()
    pair.hrac.process.wait_output("the certificate of the proxy is not trusted")


def test_a_proxy_of_http_1_0(lab):
    site = Site(lab)
    tinyproxy = Tinyproxy(site.office.proxy)
    site.start(proxy=PROXY)
    site.call()
    site.over_tls()
    site.call()
    expect("CONNECT" in tinyproxy.log(), "it went through tinyproxy")


def test_a_proxy_that_takes_only_bodies_of_known_length(lab):
    site = Site(lab)
    proxy = OldProxy(site.office.proxy)
    pair = site.start(proxy=PROXY)
    pair.hrac.wait_status(lambda s: "polled up" in s["tunnels"][0]["transport"], "polled up")
    site.call()
    print(f"{proxy.refused} bodies were refused, {proxy.passed} requests passed")
    pair.hrac.process.wait_output(r"no body of unknown length \(HTTP 411\), so it is polled")


def test_socks(lab):
    site = Site(lab)
    socks = SocksProxy(site.office.proxy, "office", "sesame")
    site.start(proxy=f"socks5://{DMZ_PROXY}:3128", **LOGIN)
    site.call()
    site.over_tls()
    expect(socks.passed > 0, "it went through the SOCKS proxy")
    site.no_secret_is_told("sesame")


def test_a_pac_file_names_a_dead_proxy_and_one_that_lives(lab):
    site = Site(lab)
    Squid(site.office.proxy)
    dead = site.office.p2.address
    file = lab.write("proxy.pac", pac(f"PROXY {dead}:3128; PROXY {DMZ_PROXY}:3128; DIRECT"))
    site.start(proxy=f"pac:{file}")
    site.call()


def test_a_pac_file_from_the_web(lab):
    site = Site(lab)
    Squid(site.office.proxy, password="sesame")
    web = WebServer(site.office.p2, pac(f"PROXY {DMZ_PROXY}:3128"))
    site.start(proxy=f"pac:http://{site.office.p2.address}/proxy.pac", **LOGIN)
    expect(set(web.asked) == {"/proxy.pac"} and len(web.asked) <= 3,
           f"it is fetched, again when the network changed, and not for each question: {web.asked}")
    site.call()


def test_the_environment_and_a_file_of_credentials(lab):
    site = Site(lab)
    Squid(site.office.proxy, password="se:s@me")
    pair = site.start({"http_proxy": f"http://office:se%3As%40me@{DMZ_PROXY}:3128",
                       "no_proxy": "localhost,.example.com"})
    site.call()
    pair.hrac.stop()
    file = lab.write("login", "office:se:s@me\n")
    os.chmod(file, 0o600)
    pair.hrac.environment = {"HTTPS_PROXY": f"{DMZ_PROXY}:3128"}
    pair.hrac.options["tunnel"].update(url=f"https://{HRAS}/", proxy_credentials=file)
    pair.hrac.start()
    site.up("https via proxy")
    site.no_secret_is_told("se:s@me", "se%3As%40me")
    os.chmod(file, 0o644)
    pair.hrac.stop()
    pair.hrac.start()
    pair.hrac.process.wait_output("login is not made use of: others may read it")
    pair.hrac.process.wait_output("the proxy wants a user and a password .*offers Basic")


def test_a_wrong_password_is_said_once_and_tried_seldom(lab):
    """Accounts are locked after a few wrong passwords."""
    site = Site(lab)
    squid = Squid(site.office.proxy, password="sesame", schemes=["digest", "basic"])
    hrac = Hrac(site.office, {"tunnel": {"proxy": PROXY, "proxy_user": "office",
                                         "proxy_password": "mellon"}}).start()
    hrac.process.wait_output("the proxy refuses our user or password")
    attempts = squid.answers(407)
    begin = time.monotonic()
    expect(attempts <= 2, f"one question and one attempt: {attempts} times 407")
    before = hrac.counter("uplink_handshakes")
    wait_for("some more attempts to open the tunnel",
             lambda: hrac.counter("uplink_handshakes") >= before + 4, 25)
    expect(squid.answers(407) == attempts, f"none reached the proxy: {squid.log()}")
    lines = [line for line in hrac.process.output().splitlines() if "refuses our" in line]
    expect(len(lines) == 1, f"one line, not {lines}")
    expect(re.search(rf"{PROXY} offers Digest, Basic", lines[0]), f"all is named: {lines[0]}")
    expect("mellon" not in hrac.process.output(), "no password in the log")
    print(f"{attempts} times 407, and none in the next {time.monotonic() - begin:.1f} s")
