# SPDX-License-Identifier: GPL-3.0-or-later
"""What bad luck gets: connections that die in every way there is, under a call with voice both ways.
Each test tells the gap in the voice; the call goes on, and no SIP message is lost."""

import os
import signal
import sys
import time

from lab import relay
from lab.agents import HRAC, Hrac, Hras, merged
from lab.capture import Capture
from lab.clocks import Clocks
from lab.rawsip import Endpoint
from lab.scenes import Pair
from lab.sipp import sdp
from lab.squid import Squid
from lab.talk import Talk
from lab.wait import expect, wait_for
from lab.world import DMZ_PROXY, HRAS


OPEN_DOORS = {"auth": {"require": "none"}}


def _pair(lab, hras=None, **more):
    return Pair(lab, hras={**OPEN_DOORS, **(hras or {})}, **more)


def _through_trouble(talk, what, trouble, bar_ms, meanwhile=None, for_s=0):
    """Trouble comes over a call, and SIP is sent while it lasts. What it was is told together with
    the gaps in the voice, none of which is longer than bar_ms. `trouble` begins it, `meanwhile` happens
    in it; it lasts for `for_s` at least, and SIP is sent twice a second."""
    since = time.time()
    for step in (trouble, talk.say, meanwhile):
        if step:
            step()
    while time.time() < since + for_s:
        time.sleep(0.5)     # the trouble itself
        talk.say()
    talk.say()
    talk.all_said_arrives()
    talk.voice_flows(2.0)
    talk.measure(what, since, bar_ms)
    talk.went_on()
    talk.hang_up()


# -- The firewall --

def test_all_connections_dropped(lab):
    pair = _pair(lab)
    _through_trouble(Talk(pair), "all connections dropped", pair.office.firewall.cut, 500)
    expect(pair.office.firewall.struck() > 0, "packets were dropped")


def test_all_connections_reset(lab):
    pair = _pair(lab)
    _through_trouble(Talk(pair), "all connections reset",
                     lambda: pair.office.firewall.cut(reset=True), 500)
    expect(pair.office.firewall.struck() > 0, "packets were answered by RST")


def test_one_connection_of_each_direction_black_holed(lab):
    pair = _pair(lab)
    capture = Capture(pair.office.firewall, device="wan")
    talk = Talk(pair)
    carried = {"out": {}, "in": {}}
    for packet in capture.stop():
        if packet.protocol == "tcp" and pair.office.wan_address in packet.hosts:
            out = packet.source[0] == pair.office.wan_address
            port = (packet.source if out else packet.target)[1]
            ports = carried["out" if out else "in"]
            ports[port] = ports.get(port, 0) + len(packet.payload)
    busiest = {max(ports, key=ports.get) for ports in carried.values()}
    expect(len(busiest) == 2, f"a GET and a POST: {carried}")
    _through_trouble(talk, "one connection black-holed, each way",
                     lambda: [pair.office.firewall.cut_one(port) for port in busiest], 250)
    expect(pair.office.firewall.struck() > 0, "packets were dropped")


def test_all_black_holed_for_three_seconds(lab):
    pair = _pair(lab)
    talk = Talk(pair)
    firewall = pair.office.firewall

    def black_out():
        talk.say()
        time.sleep(3.0)     # the trouble itself
        firewall.open_again()
    _through_trouble(talk, "all black-holed for 3 s", firewall.close_all, 3500, black_out)


def test_half_a_second_of_darkness(lab):
    pair = _pair(lab)
    talk = Talk(pair)
    firewall = pair.office.firewall

    def black_out():
        time.sleep(0.5)     # the trouble itself
        firewall.open_again()
    _through_trouble(talk, "all black-holed for 0.5 s", firewall.close_all, 1000, black_out)


def _nothing_came(capture, seconds):
    """From HRAS through the firewall."""
    last = [p.time for p in capture.packets() if p.protocol == "tcp" and p.source[0] == HRAS]
    return bool(last) and time.time() - last[-1] >= seconds


def test_idle_connections_are_forgotten(lab):
    """The firewall forgets what was silent for 3 s, less than a heartbeat: a call rings all the same."""
    pair = _pair(lab)
    talk = Talk(pair)
    talk.hang_up()
    pair.office.firewall.forget_idle(3)
    pair.hrac.wait_status(lambda s: s["tunnels"][0]["connections"] == 1, "one pair again", 45)
    capture = Capture(pair.office.lan)
    wait_for("3 s of silence", lambda: _nothing_came(capture, 3.1), 60)
    begin, seen = time.time(), len(talk.alice.got)
    talk.bob.send(talk.bob.request("INVITE", "sip:alice@example.com", body=talk.bob.offer()))
    wait_for("alice to ring", lambda: any(m.method == "INVITE" for _, m in talk.alice.got[seen:]))
    took_ms = 1000 * (time.time() - begin)
    lab.measured(f"idle connections forgotten: alice rings after {took_ms:.0f} ms; bar 5000 ms")
    expect(took_ms < 5000, "it rings within 5 s")
    expect(talk.bob.final().status == 200, "it is answered")


test_idle_connections_are_forgotten.seconds = 50


# -- Middleboxes --

def _relayed(lab, *options, hrac=None):
    """A pair whose connections pass lab/relay.py, and that."""
    office = lab.office(behind_proxy=True)
    box = office.proxy.spawn("relay", [sys.executable, relay.__file__, "3128", HRAS, "80", *options])
    box.wait_output("ready")
    changes = merged(hrac or {}, {"tunnel": {"url": f"http://{DMZ_PROXY}:3128/"}})
    return _pair(lab, hrac=changes, office=office), box


def test_a_middlebox_cuts_after_10_s(lab):
    pair, box = _relayed(lab, "--life", "10")
    _through_trouble(Talk(pair), "each connection cut after 10 s", None, 250,
                     for_s=14)
    expect(box.output().count("cut: old") > 4, f"they were cut:\n{box.output()}")


def test_a_middlebox_cuts_after_64_kb(lab):
    """One call fills that in 14 s on two connections."""
    hrac = {"tunnel": {"connections_max": 2}}
    pair, box = _relayed(lab, "--bytes", "65536", hrac=hrac)
    _through_trouble(Talk(pair), "each body cut after 64 KB", None, 250,
                     for_s=20)
    expect(box.output().count("cut: long") > 1, f"they were cut:\n{box.output()}")


test_a_middlebox_cuts_after_10_s.seconds = 25
test_a_middlebox_cuts_after_64_kb.seconds = 30


def test_a_middlebox_throttles_some(lab):
    pair, box = _relayed(lab, "--throttle", "20", "--every", "3")
    _through_trouble(Talk(pair), "each third connection has 20 bytes/s", None, 500,
                     for_s=5)
    expect(box.output().count("throttled") >= 2, "some were throttled")


def test_squid_cuts_after_10_s_and_64_kb(lab):
    office = lab.office(behind_proxy=True)
    squid = Squid(office.proxy, more="client_lifetime 10 seconds\nread_timeout 5 seconds\n"
          "request_body_max_size 64 KB\nreply_body_max_size 64 KB")
    pair = _pair(lab, hrac={"tunnel": {"proxy": f"http://{DMZ_PROXY}:3128"}}, office=office)
    _through_trouble(Talk(pair), "squid cuts after 10 s and 64 KB", None, 500,
                     for_s=14)
    expect(squid.log().count("/vofw/1/") > 6, f"connections were cut:\n{squid.log()}")


test_squid_cuts_after_10_s_and_64_kb.seconds = 35


def test_squid_is_restarted(lab):
    office = lab.office(behind_proxy=True)
    squid = Squid(office.proxy)
    pair = _pair(lab, hrac={"tunnel": {"proxy": f"http://{DMZ_PROXY}:3128"}}, office=office)
    talk = Talk(pair)

    def restart():
        squid.process.stop()
        Squid(office.proxy)
    _through_trouble(talk, "squid restarted", restart, None)


# -- The agents --

def test_hrac_is_killed(lab):
    pair = _pair(lab)
    talk = Talk(pair)

    def restart():
        pair.hrac.kill()
        talk.say()
        pair.hrac.start()
        pair.hrac.wait_tunnel()

    def again():
        talk.insist()
        wait_for("HRAC to be taught", lambda: pair.hrac.calls())
        talk.insist()
    _through_trouble(talk, "HRAC killed and started again", restart, None, again)


def test_hras_is_killed(lab):
    """Its calls are gone with it; but HRAC is told at once, and no person has to do anything."""
    pair = _pair(lab)
    talk = Talk(pair)
    before = pair.hrac.status()["tunnels"][0]
    pair.hras.kill()
    begin = time.monotonic()
    pair.hras.start()
    up = time.monotonic()
    pair.hras.wait_tunnel(agent="office")
    took = time.monotonic() - up
    lab.measured(f"HRAS killed: answers after {up - begin:.2f} s, HRAC registered {took:.2f} s later")
    expect(took < 1.0, f"at once, not after {took:.2f} s")
    wait_for("alice to be told", lambda: any(m.method == "BYE" for _, m in talk.alice.got))
    talk.say()
    talk.all_said_arrives()
    expect(before["state"] == "up", "it was up")


# -- Time --

DAY = 86400


def test_the_clocks_of_the_two_ends_differ(lab):
    """HRAC was started 40 days before HRAS by its own account and lives two years ago; in the call
    both wall clocks jump, forth and back."""
    pair = Pair.__new__(Pair)
    pair.lab, pair.office = lab, lab.office()
    pair.hras, pair.hrac = Hras(lab, OPEN_DOORS), Hrac(pair.office)
    clocks = Clocks(pair.hras, wall=3 * DAY), Clocks(pair.hrac, 40 * DAY, -730 * DAY)
    pair.hras.start()
    pair.hrac.start()
    pair.hrac.wait_tunnel()
    talk = Talk(pair)
    year = time.gmtime(time.time() - 730 * DAY).tm_year
    expect(pair.hrac.process.output().startswith(str(year)), "HRAC lives in another year")
    expect(os.readlink(f"/proc/{pair.hrac.process.child.pid}/ns/time")
           != os.readlink("/proc/self/ns/time"), "and in another monotonic time")

    def jumps():
        for hras_s, hrac_s in ((0, 0), (-3 * DAY, 730 * DAY), (3600, -3600)):
            for clock, seconds in zip(clocks, (hras_s, hrac_s)):
                clock.wall(seconds)
            talk.say()
            time.sleep(1.5)     # long enough for a heartbeat
    _through_trouble(talk, "clocks that differ and jump", jumps, 60)
    expect(pair.hrac.wait_tunnel() and len(pair.hras.registrations()) == 2, "all goes on")


def test_hrac_sleeps_and_wakes(lab):
    """A laptop: nothing runs for 7 s, and for HRAS its connections are dead by then."""
    pair = _pair(lab)
    talk = Talk(pair)

    def sleep():
        pair.hrac.process.signal(signal.SIGSTOP)
        time.sleep(7.0)     # the trouble itself
        pair.hrac.process.signal(signal.SIGCONT)
        pair.hras.wait_tunnel()
    _through_trouble(talk, "HRAC slept for 7 s", sleep, 7500)


def test_hras_is_replaced_behind_dead_connections(lab):
    """HRAS is killed and started again, and nobody tells HRAC: no FIN, no RST. It finds out."""
    pair = _pair(lab)
    time.sleep(10.5)    # one that has just begun is renewed with hesitation
    pair.office.firewall.cut()
    pair.hras.kill()
    pair.hras.start()
    begin = time.monotonic()
    pair.hras.wait_tunnel(agent="office")
    took_ms = 1000 * (time.monotonic() - begin)
    lab.measured(f"HRAS replaced behind half-open connections: HRAC is back after {took_ms:.0f} ms; "
                 "bar 5000 ms")
    expect(took_ms < 5000, "it is back within 5 s")


# -- Nothing at all --

DARK_S = 40


def _is_503_at_once(phone):
    begin = time.monotonic()
    answer = phone.ask("INVITE", "sip:bob@example.com",
                       body=sdp(port=6000).replace("[local_ip]", phone.host.address))
    expect(answer.status == 503, f"503, not {answer.start}")
    expect(time.monotonic() - begin < 0.5, "at once")


def _dark(lab, what, office, line):
    """HRAC is started where nothing gets through: it says so in one line, goes on trying without
    haste, and refuses calls from the first second to the last; then the way opens."""
    capture = Capture(office.lan)
    hrac = Hrac(office).start()
    phone = Endpoint(office.p1, "alice", HRAC)
    _is_503_at_once(phone)
    hrac.process.wait_output(line)
    time.sleep(DARK_S)      # the trouble itself
    _is_503_at_once(phone)
    lines = [x for x in hrac.process.output().splitlines() if " warn " in x or " error " in x]
    tries = sum(p.syn for p in capture.packets())
    share = 100 * hrac.cpu_s() / DARK_S
    lab.measured(f"{what} for {DARK_S} s: {len(lines)} lines of trouble, {tries} SYNs, "
                 f"{share:.1f} % of a processor")
    expect(1 <= len(lines) <= 4, "\n".join(lines))
    expect(3 <= tries <= 2 * DARK_S, f"{tries} SYNs")
    expect(share < 5, f"{share:.1f} % of a processor")
    Hras(lab).start()
    office.firewall.open_again()
    hrac.wait_tunnel(timeout=30)
    expect(phone.register().status == 200, "and it works")


def test_where_everything_is_swallowed(lab):
    office = lab.office()
    office.firewall.close_all()
    _dark(lab, "everything swallowed", office, r"warn uplink: .*connect")


def test_where_everything_is_refused(lab):
    office = lab.office()
    office.firewall.close_all(reset=True)
    _dark(lab, "everything refused", office, r"warn uplink: .*refused")


test_where_everything_is_swallowed.seconds = 60
test_where_everything_is_refused.seconds = 60
