# SPDX-License-Identifier: GPL-3.0-or-later
"""`hrac --doctor`: what stands in the way is found and named, and what gets through is measured."""

import os
import sys

from lab.agents import Hrac, Hras
from lab.certificates import Authority
from lab.doctor import Doctor, Facts
from lab.front import BEHIND, Interceptor
from lab.scenes import Pair, both_hear, connect, hang_up
from lab.squid import Squid
from lab.wait import expect, wait_for
from lab.world import DMZ_PROXY, HRAS

PROXY = f"http://{DMZ_PROXY}:3128"
HTTP, HTTPS = f"http://{HRAS}/", f"https://{HRAS}/"


def _hrac(office, name, **tunnel):
    """The configuration of an HRAC that is not started, under a name of its own."""
    hrac = Hrac(office, {"tunnel": tunnel})
    hrac.name = name
    return hrac


def _https(lab):
    """An HRAS for http and https; the authority that signed its certificate."""
    authority = Authority(lab)
    certificate, key = authority.sign(HRAS)
    Hras(lab, {"tunnel": {"listen": [f"http:{HRAS}:80", f"https:{HRAS}:443"],
                          "certificate": certificate, "key": key}}).start()
    return authority


def _all_begun(*doctors):
    return [(hrac, Doctor(hrac, "--json")) for hrac in doctors]


def test_an_open_network_in_mid_call(lab):
    """All is well, and it says so; the HRAC that runs there and its call are not disturbed."""
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    both_hear(alice, bob)
    mark = bob.now()
    visitor = _hrac(pair.office, "visitor")
    spoken, printed = Doctor(visitor), Facts(visitor, 0)
    expect(printed.rung == "stream", f"the rung is stream: {printed.rung}")
    route = printed.route(HTTP)
    expect(route["works"] and route["up"]["body"] == route["down"]["body"] == "streams", f"{route}")
    for way in ("up", "down"):
        expect(route[way]["idle_ok_s"] == 10 and route[way]["idle_cut_s"] is None, f"{route}")
        expect(route[way]["kbit"] > 1000 and route[way]["segments"] > 0, f"{route}")
    expect(0 < route["rtt_min_ms"] <= route["rtt_ms"] < 500, f"{route}")
    expect(printed.all["calls"] > 10 and printed.all["mos"] > 3.5, f"{printed.all}")
    expect(printed.udp is None, f"HRAS takes no datagrams: {printed.udp}")
    expect(printed.all["hosts"][0]["addresses"][0]["tcp"] == "open", f"{printed.all['hosts']}")
    text = spoken.ends(0)
    for words in ("OK  secret   HRAS knows agent \"office\"", "OK  get ", "OK  post ",
                  "Calls will work, by stream"):
        expect(words in text, f"'{words}' is printed:\n{text}")
    both_hear(alice, bob)
    lost = bob.match(alice, mark).lost_ms
    print(f"bob missed {lost:.0f} ms")
    expect(lost <= 100, f"bob missed {lost:.0f} ms while the doctor was there")
    tunnel = pair.hrac.status()["tunnels"][0]
    expect(tunnel["reconnects"] == 0, f"the session is the first one: {tunnel}")
    expect(pair.hras.counter("gateway_visits") == 2, "two visits")
    hang_up(alice, bob)


test_an_open_network_in_mid_call.seconds = 25


def test_datagrams_that_pass_and_that_do_not(lab):
    """Two offices, one of whose firewalls lets UDP out, by a NAT that gives other ports."""
    Hras(lab, {"tunnel": {"listen": [f"http:{HRAS}:80", f"udp:{HRAS}:443"]},
               "agent branch": {"secret": "branch-secret"}}).start()
    closed, opened = lab.office(), lab.branch()
    opened.firewall.nft('insert rule inet firewall forward iifname "lan" udp dport 443 accept\n'
                        "flush chain inet firewall nat\n"
                        'add rule inet firewall nat oifname "wan" meta l4proto udp masquerade '
                        "to :50000-50999\n"
                        'add rule inet firewall nat oifname "wan" masquerade')
    (_, shut), (_, wide) = _all_begun(_hrac(closed, "shut"), _hrac(opened, "wide"))
    facts = Facts(None, 0, doctor=shut)
    expect(facts.rung == "stream" and not facts.udp["possible"], f"{facts.udp}")
    facts.advises("lets UDP out to port 443")
    facts = Facts(None, 0, doctor=wide)
    print(facts.udp, facts.rung)
    udp = facts.udp
    expect(facts.rung == "udp" and udp["possible"] and udp["answered"] >= 48, f"{udp}")
    expect(udp["address"] == f"{HRAS}:443" and udp["nat"] and not udp["port_kept"], f"{udp}")
    expect(udp["mapped"].startswith(opened.wan_address + ":50"), f"{udp}")
    expect(udp["local"].startswith("192.168.1.5:") and udp["rtt_ms"] < 500, f"{udp}")
    facts.says("OK", "nat", "other ports")


test_datagrams_that_pass_and_that_do_not.seconds = 20


def test_what_is_wrong_is_named(lab):
    """The secret, the name, the address, the port, the certificate, another web server, the file."""
    office = lab.office()
    authority = _https(lab)
    mute = lab.listener(lab.out1, 443)             # takes connections and says nothing
    office.firewall.nft("insert rule inet firewall forward ip daddr 203.0.113.21 drop")
    cases = {
        "secret": ({"secret": "another"}, "secret", "tunnel.secret"),
        "agent": ({"agent": "nobody"}, "secret", "tunnel.agent"),
        "name": ({"url": "http://no-such-host.invalid/"}, "name", "No name server"),
        "dropped": ({"url": "http://203.0.113.21/"}, "tcp", "let TCP out"),
        "refused": ({"url": "http://203.0.113.20/"}, "tcp", "let TCP out"),
        "mute": ({"url": "http://203.0.113.20:443/"}, "hras", "is not HRAS"),
        "ca": ({"url": HTTPS}, "tls", "tunnel.ca"),
        "file": ({"url": HTTPS, "ca": lab.write("no.pem", "rubbish\n")}, "tls", ""),
    }
    doctors = {name: Doctor(_hrac(office, name, **changes), "--json")
               for name, (changes, _, _) in cases.items()}
    for name, (_, stopped_at, advice) in cases.items():
        facts = Facts(None, 1, doctor=doctors[name])
        print(name, "|", facts.routes[0]["error"], "|", facts.advice)
        expect(facts.routes[0]["stopped_at"] == stopped_at, f"{name}: {facts.routes}")
        facts.advises(advice)
        facts.says("NO", "calls")
        if name in ("dropped", "refused"):
            door = facts.all["hosts"][0]["addresses"][0]["tcp"]
            expect(door == {"dropped": "silent"}.get(name, name), f"{name}: {door}")
        if name == "ca":
            tls = facts.routes[0]["tls"]
            expect(not tls["trusted"] and tls["issuer"] == "laboratory ca", f"{tls}")
    good = Facts(_hrac(office, "good", url=HTTPS, ca=authority.ca), 0)
    tls = good.best()["tls"]
    expect(tls["trusted"] and tls["intercepted"] is False and tls["version"] == "TLSv1.3", f"{tls}")
    broken = Hrac(office, {"tunnel": {"url": "ftp://x/"}})
    broken.name = "broken"
    Doctor(broken).ends(2)
    mute.close()


test_what_is_wrong_is_named.seconds = 25


def test_a_proxy_that_asks_who_we_are(lab):
    """The direct way is closed; squid wants Basic, and forbids CONNECT."""
    office = lab.office(behind_proxy=True)
    authority = _https(lab)
    Squid(office.proxy, password="sesame",
          more="acl CONNECT method CONNECT\nhttp_access deny CONNECT")
    way = {"proxy": PROXY, "url": [HTTPS, HTTP], "ca": authority.ca}
    right = _hrac(office, "right", proxy_user="office", proxy_password="sesame", **way)
    wrong = _hrac(office, "wrong", proxy_user="office", proxy_password="open", **way)
    nobody = _hrac(office, "nobody", **way)
    (_, right), (_, wrong), (_, nobody) = _all_begun(right, wrong, nobody)
    for doctor in (wrong, nobody):
        facts = Facts(None, 1, doctor=doctor)
        expect(facts.route(HTTP, PROXY)["stopped_at"] == "proxy", f"{facts.routes}")
        expect(facts.route(HTTP, PROXY)["proxy_schemes"] == "Basic", f"{facts.routes}")
        expect(facts.route(HTTP)["stopped_at"] == "tcp", f"{facts.routes}")
        facts.advises("tunnel.proxy_password")
    facts = Facts(None, 0, doctor=right)
    expect(facts.rung == "proxy" and facts.best()["url"] == HTTP, f"{facts.routes}")
    closed = facts.route(HTTPS, PROXY)
    expect(closed["stopped_at"] == "proxy" and closed["connect_status"] == 403, f"{closed}")
    facts.says("NO", "connect", "forbids")


test_a_proxy_that_asks_who_we_are.seconds = 25

_NGINX = """
worker_processes 1;
error_log {directory}/nginx-error.log;
pid {directory}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
	client_body_temp_path {directory}/nginx-body;
	proxy_temp_path {directory}/nginx-proxy;
	fastcgi_temp_path {directory}/nginx-fastcgi;
	uwsgi_temp_path {directory}/nginx-uwsgi;
	scgi_temp_path {directory}/nginx-scgi;
	access_log off;
	proxy_ignore_headers X-Accel-Buffering;
	server {{
		listen {address}:80;
		location /both/ {{
			proxy_pass http://{behind}/;
		}}
		location /up/ {{
			proxy_pass http://{behind}/;
			proxy_http_version 1.1;
			proxy_buffering off;
		}}
	}}
}}
"""


def test_what_holds_bodies_back_is_found_in_its_direction(lab):
    """nginx with its defaults (its limit of 1 MB does no harm), and up alone; a proxy, down alone."""
    office = lab.office()
    Hras(lab, {"tunnel": {"listen": [f"http:{BEHIND}", f"http:{HRAS}:8000"]}}).start()
    config = lab.write("nginx.conf", _NGINX.format(directory=lab.directory, address=HRAS,
                                                   behind=BEHIND))
    lab.hras_host.spawn("nginx", ["nginx", "-c", config, "-p", lab.directory,
                                  "-e", lab.path("nginx-error.log"),
                                  "-g", "daemon off; master_process off;"])
    wait_for("nginx", lambda: lab.hras_host.connect((HRAS, 80)))
    proxy = lab.internet.host("proxy", "203.0.113.99/24")
    script = os.path.join(os.path.dirname(__file__), "lab", "holder.py")
    proxy.spawn("holder", [sys.executable, script, proxy.address, "80", "--down"]).wait_output("ready")
    doctors = _all_begun(_hrac(office, "both", url=HTTP + "both/"),
                         _hrac(office, "up", url=HTTP + "up/"),
                         # The firewall lets no port 8000 out: the proxy is the only way.
                         _hrac(office, "down", url=f"http://{HRAS}:8000/",
                               proxy=f"http://{proxy.address}:80"))
    for hrac, doctor in doctors:
        facts = Facts(None, 0, doctor=doctor)
        best = facts.best()
        print(hrac.name, best)
        for way in ("up", "down"):
            if hrac.name in ("both", way):
                expect(best[way]["body"] == "held" and best[way]["held_ms"] >= 3000, f"{best}")
            else:
                expect(best[way]["body"] == "streams" and best[way]["held_ms"] < 90, f"{best}")
        expect(best["up"]["kbit"] and best["down"]["kbit"], f"{best}")
        expect(facts.rung == "poll", f"the rung is poll: {facts.rung}")
        facts.advises("scanning and buffering")


test_what_holds_bodies_back_is_found_in_its_direction.seconds = 25


def test_tls_that_is_opened_on_the_way(lab):
    """mitmproxy is trusted, or not; either way it is seen that the certificate is not HRAS's."""
    office = lab.office(behind_proxy=True)
    authority = _https(lab)
    interceptor = Interceptor(office.proxy, authority, streaming=True)
    way = {"url": HTTPS, "proxy": interceptor.url}
    (_, trusting), (_, strict) = _all_begun(
        _hrac(office, "trusting", ca=interceptor.ca, **way),
        _hrac(office, "strict", ca=authority.ca, **way))
    facts = Facts(None, 1, doctor=strict)
    route = facts.route(HTTPS, interceptor.url)
    expect(route["stopped_at"] == "tls" and "mitmproxy" in route["tls"]["issuer"], f"{route}")
    facts.advises("mitmproxy")
    facts.advises("tunnel.ca")
    facts = Facts(None, 0, doctor=trusting)
    tls = facts.best()["tls"]
    expect(tls["trusted"] and tls["intercepted"] is True, f"{tls}")
    facts.says("??", "tls", "mitmproxy")


test_tls_that_is_opened_on_the_way.seconds = 30


def test_what_cuts_silent_connections_is_found(lab):
    """A firewall that forgets them after 4 s, and a proxy that ends an answer after 3 s."""
    office = lab.office()
    Hras(lab).start()
    office.firewall.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)
    office.firewall.sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", 4)
    branch = lab.branch()
    proxy = lab.internet.host("proxy", "203.0.113.99/24")
    Squid(proxy, more="read_timeout 3 seconds")
    by_proxy = _hrac(branch, "impatient", proxy="http://203.0.113.99:3128", transport="proxy",
                     agent="office", secret="office-secret")
    branch.firewall.nft("insert rule inet firewall forward tcp dport 3128 accept")
    (_, forgetful), (_, impatient) = _all_begun(_hrac(office, "forgetful"), by_proxy)
    for doctor in (forgetful, impatient):
        facts = Facts(None, 0, doctor=doctor)
        best = facts.best()
        print(facts.rung, best["down"], best["up"])
        expect(best["down"]["idle_cut_s"] in (3, 4, 5), f"{best}")
        expect(best["down"]["idle_ok_s"] == 2, f"{best}")
        facts.says("NO", "idle", "a silent GET is cut after")
        facts.advises("silent connections")


test_what_cuts_silent_connections_is_found.seconds = 25
