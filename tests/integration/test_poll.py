# SPDX-License-Identifier: GPL-3.0-or-later
"""Middleboxes that hold bodies back until they are whole: voice goes in many short requests."""

import os
import sys
import time

from lab.certificates import Authority
from lab.front import BEHIND, Interceptor
from lab.proxies import Tinyproxy
from lab.scenes import Pair, both_hear, connect, hang_up
from lab.squid import Squid
from lab.talk import LATE_MS, Talk
from lab.wait import expect, wait_for
from lab.world import DMZ_PROXY, HRAS

PROXY = f"http://{DMZ_PROXY}:3128"
OPEN_DOORS = {"auth": {"require": "none"}}

_NGINX = """
worker_processes 1;
error_log {log};
pid {pid};
events {{ worker_connections 4096; }}
http {{
	client_body_temp_path {temporary}; proxy_temp_path {temporary};
	fastcgi_temp_path {temporary}; uwsgi_temp_path {temporary}; scgi_temp_path {temporary};
	access_log off;
	map $host $hras_connection {{ default "{connection}"; }}
	upstream hras {{ server {behind}; keepalive 64; }}
	server {{
		listen {address}:80;
		location / {{
			proxy_pass http://hras;
			proxy_http_version {version};
			proxy_set_header Connection $hras_connection;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_ignore_headers X-Accel-Buffering;
			proxy_buffering {down};
			proxy_request_buffering {up};
			client_max_body_size 0;
		}}
	}}
}}
"""


def _nginx(lab, up="on", down="on", version="1.1"):
    """nginx at HRAS's public address, HRAS behind it. What comes in chunks, which HTTP/1.0 has not, it
    passes on whatever it is told."""
    config = lab.write("nginx.conf", _NGINX.format(
        log=lab.path("nginx-error.log"), pid=lab.path("nginx.pid"), temporary=lab.path("nginx"),
        behind=BEHIND, address=HRAS, up=up, down=down,
        version=version, connection="" if version == "1.1" else "close"))
    lab.hras_host.spawn("nginx", ["nginx", "-c", config, "-p", lab.directory, "-e",
                                  lab.path("nginx-error.log"),
                                  "-g", "daemon off; master_process off;"])
    wait_for("nginx", lambda: lab.hras_host.connect((HRAS, 80)))


def _pair(lab, office=None, behind=False, **tunnel):
    hras = {**OPEN_DOORS, **({"tunnel": {"listen": [f"http:{BEHIND}"]}} if behind else {})}
    return Pair(lab, hras, {"tunnel": tunnel}, office)


def _holder(host, *options):
    """lab/holder.py on port 3128 of `host`."""
    script = os.path.join(os.path.dirname(__file__), "lab", "holder.py")
    process = host.spawn("holder", [sys.executable, script, host.address, "3128", *options])
    process.wait_output("ready")


def _delays(speaker, listener, since):
    """How long the packets of voice were on their way, ms, in order; how many did not come."""
    until = time.time() - LATE_MS / 1000
    numbers = [n for n, at in enumerate(list(speaker.sent)) if since <= at <= until]
    came = sorted(1000 * (listener.came[n] - speaker.sent[n]) for n in numbers
                  if n in listener.came)
    return came, len(numbers) - len(came)


class _Heard:
    """What came of the voice of one way in the last seconds."""

    def __init__(self, way, speaker, listener, since):
        came, self.lost = _delays(speaker.voice, listener.voice, since)
        self.n = len(came) + self.lost
        self.way, self.p50 = way, came[len(came) // 2] if came else 1e9
        at = [came[len(came) * share // 100] for share in (50, 95, 99)] if came else []
        self.text = (f"{way}: delay p50, p95, p99 {', '.join(f'{ms:.1f}' for ms in at)} ms; "
                     f"{self.lost} of {self.n} packets missing")


def _talk(pair, what, p50_ms, seconds=4.0, missing=0.01):
    """A call in which all that is said arrives, and its voice in time: half of it within p50_ms. A
    busy machine gets a few attempts at that."""
    talk = Talk(pair)
    talk.voice_flows(1.0)
    for _ in range(4):
        since = time.time()
        while time.time() < since + seconds:
            talk.say()
            time.sleep(0.5)     # the talk
        talk.all_said_arrives()
        time.sleep(LATE_MS / 1000)
        heard = [_Heard("out", talk.alice, talk.bob, since),
                 _Heard("in", talk.bob, talk.alice, since)]
        bad = [h.text for h in heard if h.p50 > p50_ms or h.lost > missing * h.n or h.n < 100]
        if not bad:
            break
    for h in heard:
        pair.lab.measured(f"{what}, {h.text}")
    expect(not bad, f"{what}: {bad}")
    talk.went_on()
    talk.hang_up()


def _polls(agent):
    """How many streams of one burst there were."""
    return agent.counter("tunnel_streams_bounded")


def test_nginx_that_buffers_both_ways(lab):
    _nginx(lab)
    pair = _pair(lab, behind=True, transport="poll")
    _talk(pair, "nginx, buffering both ways", 25)
    carol = pair.inside("carol", pair.office.p2)
    dave = pair.outside("dave", lab.out2, answer="auto")
    connect(carol, dave)
    both_hear(carol, dave, 3.0)
    hang_up(carol, dave)
    expect(_polls(pair.hrac) > 500, f"each burst is a request: {_polls(pair.hrac)}")


def _chosen(pair, what, words):
    """Left to itself, the tunnel polls the direction that is held back, and no other: `words` of HRAC
    and of HRAS."""
    words = dict(zip((pair.hrac, pair.hras), words))
    for agent, transport in words.items():
        agent.wait_status(lambda s, t=transport: s["tunnels"][0]["transport"] == t, transport)
    _talk(pair, what, 25)
    for agent, transport in words.items():
        tunnel = agent.status()["tunnels"][0]
        expect(tunnel["transport"] == transport, f"{agent.name}: {tunnel['transport']}")


def test_buffering_both_ways_is_found_out(lab):
    _nginx(lab, version="1.0")
    pair = _pair(lab, behind=True)
    _chosen(pair, "nginx, buffering both ways and left to itself",
            ("http, polled", "http via proxy, polled"))
    tunnel = pair.hrac.status()["tunnels"][0]
    expect(tunnel["rung"] == "poll", f"the rung is told: {tunnel['rung']}")


def test_only_what_goes_down_is_buffered(lab):
    office = lab.office(behind_proxy=True)
    _holder(office.proxy, "--down")
    _chosen(_pair(lab, office, proxy=PROXY), "a proxy that holds back what goes down",
            ("http via proxy, polled down", "http, polled down"))


def test_only_what_goes_up_is_buffered(lab):
    _nginx(lab, down="off")
    _chosen(_pair(lab, behind=True), "nginx, buffering what goes up",
            ("http, polled up", "http via proxy, polled up"))


def test_a_proxy_of_http_1_0_that_holds_all_back(lab):
    """Half of the round trip of 40 ms, and at most 10 ms more."""
    office = lab.office(behind_proxy=True)
    _holder(office.proxy, "--old", "--up", "--down", "--delay", "20")
    pair = _pair(lab, office, transport="poll", proxy=PROXY)
    _talk(pair, "a proxy of HTTP/1.0, round trip 40 ms", 30)


def test_tinyproxy(lab):
    office = lab.office(behind_proxy=True)
    Tinyproxy(office.proxy, "LogLevel Critical")    # else it waits for the disk at each line
    pair = _pair(lab, office, transport="poll", proxy=PROXY)
    _talk(pair, "tinyproxy", 25)


def test_squid(lab):
    office = lab.office(behind_proxy=True)
    Squid(office.proxy)
    pair = _pair(lab, office, transport="poll", proxy=PROXY)
    _talk(pair, "squid", 25)


def test_an_interceptor_that_reads_each_body_whole(lab):
    office = lab.office(behind_proxy=True)
    authority = Authority(lab)
    proxy = Interceptor(office.proxy, authority, streaming=False)
    certificate, key = authority.sign(HRAS)
    pair = Pair(lab, {**OPEN_DOORS, "tunnel": {"listen": [f"https:{HRAS}:443"],
                                               "certificate": certificate, "key": key}},
                {"tunnel": {"url": f"https://{HRAS}/", "proxy": proxy.url, "ca": proxy.ca,
                            "transport": "poll"}}, office)
    _talk(pair, "mitmproxy, each body whole", 60, missing=0.03)


def test_a_call_goes_on_when_all_connections_of_polls_are_cut(lab):
    _nginx(lab)
    pair = _pair(lab, behind=True, transport="poll")
    talk = Talk(pair)
    since = time.time()
    pair.office.firewall.cut()
    talk.say()
    talk.all_said_arrives()
    talk.voice_flows(1.0)
    talk.measure("all connections of polls dropped", since, 500)
    talk.went_on()
    talk.hang_up()


def test_the_idle_wire(lab):
    """Without calls a request each way every four seconds does."""
    pair = _pair(lab, transport="poll")
    before, begin = _polls(pair.hrac), time.monotonic()
    pair.hrac.wait_status(lambda s: s["counters"]["tunnel_streams_bounded"] >= before + 4,
                          "two heartbeats", 15)
    took = time.monotonic() - begin
    pair.lab.measured(f"idle: 4 requests in {took:.1f} s")
    expect(took > 5.0, "no more than that")
