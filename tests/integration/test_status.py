# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of both agents: the page in a real browser, the JSON and the metrics."""

import re

from lab.browser import Browser
from lab.scenes import Pair, both_hear, connect, hang_up
from lab.wait import expect, wait_for

OUTSIDE_PAGE = "http://127.0.0.1:8081/"
INSIDE_PAGE = "http://127.0.0.1:8080/"


def test_the_page_follows_a_call_by_itself(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    outside, inside = Browser(pair.hras.host), Browser(pair.office.hrac)
    for browser, url in ((outside, OUTSIDE_PAGE), (inside, INSIDE_PAGE)):
        browser.open(url)
        browser.wait_text("tunnel up", "No call is up.", "http")
    outside.wait_text("alice@example.com", "bob@example.com", "inside, office")
    connect(alice, bob)
    both_hear(alice, bob, 1.0)
    # Nobody reloads the page: it learns of the call, and of its end, on its own.
    for browser in (outside, inside):
        browser.wait_text("sip:alice@example.com → sip:bob@example.com", "MOS 4.", alice.address)
        # And draws what was heard on both sides, from the first samples on.
        for title in ("Heard inside", "Heard outside", "Packets heard", "Round trip", "Connections"):
            wait_for(f"a line under {title}", lambda b=browser, t=title: b.evaluate(
                f"!!document.querySelector('svg[aria-label^=\"{t}\"] path[d^=M]')"), 20)
    said = outside.evaluate('''(() => { const area = document.querySelector('.plot .area');
        const box = area.getBoundingClientRect();
        area.dispatchEvent(new PointerEvent('pointermove', { clientX: box.left + box.width / 2 }));
        return area.title; })()''')
    expect(said.endswith("s ago"), f"the pointer asks when: {said}")
    inside.screenshot(lab.path("page-inside.png"))
    outside.screenshot(lab.path("page-outside.png"))
    hang_up(alice, bob)
    for browser in (outside, inside):
        browser.wait_text("No call is up.")
        expect(not browser.complaints, f"the console is silent: {browser.complaints}")
        strange = [url for url in browser.requests
                   if not url.startswith(("http://127.0.0.1:", "data:", "about:"))]
        expect(not strange, f"the page asks nobody else: {strange}")


def test_the_page_reads_on_a_phone(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    browser = Browser(pair.hras.host)
    browser.window(375, 800, mobile=True)
    browser.open(OUTSIDE_PAGE)
    browser.wait_text("sip:alice@example.com → sip:bob@example.com")
    width = browser.evaluate("document.documentElement.scrollWidth")
    expect(width <= 375, f"nothing is wider than the screen: {width}")
    browser.screenshot(lab.path("page-phone.png"))
    hang_up(alice, bob)


def test_the_page_says_that_the_tunnel_is_down(lab):
    pair = Pair(lab)
    browser = Browser(pair.office.hrac)
    browser.open(INSIDE_PAGE)
    browser.wait_text("tunnel up")
    pair.hras.kill()
    browser.wait_text("The tunnel of office is down")
    expect(pair.hrac.get("/healthz")[0] == 503, "health is 503")
    pair.hras.start()
    browser.wait_text("tunnel up")
    expect(pair.hrac.get("/healthz")[0] == 200, "health is 200 again")


def test_metrics_can_be_read_by_prometheus(lab):
    pair = Pair(lab)
    sample = re.compile(r'^vofw_[a-z0-9_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? -?[0-9.e+-]+$')
    for agent in (pair.hras, pair.hrac):
        status, text = agent.get("/metrics")[:2]
        text = text.decode() if isinstance(text, bytes) else text
        lines = text.splitlines()
        expect(status == 200 and 'vofw_tunnel_up{agent="office"} 1' in lines, "the tunnel is up")
        names = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
        expect(len(names) == len(set(names)) > 40, "each metric is told once")
        bad = [line for line in lines if not line.startswith("# ") and not sample.match(line)]
        expect(not bad, f"every line is a sample: {bad[:3]}")
        with_help = {line.split()[2] for line in lines if line.startswith("# HELP ")}
        expect(set(names) <= with_help, "each metric is explained")


def test_the_status_json_is_what_the_manual_says(lab):
    pair = Pair(lab)
    for agent, role in ((pair.hras, "hras"), (pair.hrac, "hrac")):
        wait_for("the round trip", lambda a=agent: a.status()["tunnels"][0]["rtt_ms"] > 0)
        status = agent.status()
        expect(status["role"] == role and status["uptime_s"] >= 0 and status["version"], status)
        tunnel = status["tunnels"][0]
        expect(tunnel["agent"] == "office" and tunnel["state"] == "up"
               and tunnel["transport"] == "http" and tunnel["connections"] == 1, f"{tunnel}")
        expect(status["calls"] == 0 and status["registrations"] == 0 and status["counters"], status)
        expect(agent.json("/api/calls") == {"calls": []}, "no calls")
        expect(agent.json("/api/registrations") == {"registrations": []}, "no registrations")
        expect(status["heard"]["inside"]["streams"] == 0 and tunnel["srtt_ms"] == tunnel["rtt_ms"]
               and tunnel["up"]["redundancy"] and tunnel["down"]["bytes_per_packet"] is None
               and tunnel["guarded"] is False, f"{tunnel} {status['heard']}")
        history = agent.json("/api/history")
        expect(len(history["calls"]) < history["points"] == 180, "a short history")
        expect(agent.json("/api/events")["events"][0]["text"], "the last event")
    expect(pair.outside_endpoint().register().status == 200, "bob is registered")
    status = pair.hras.status()
    expect(status["registrations"] == status["counters"]["registrations"] == 1,
           f"one phone is counted once: {status['counters']['registrations']}")
