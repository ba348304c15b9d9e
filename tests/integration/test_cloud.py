# SPDX-License-Identifier: GPL-3.0-or-later
"""HRAS in a cloud: its own address is private, and a NAT in front of it turns a public one into it,
one to one. What it tells of itself must be the public one."""

from lab.agents import DOMAIN
from lab.capture import Capture, assert_hidden
from lab.netns import Namespace, Wire
from lab.scenes import INSIDE_SECRETS, Pair, all_quiet, both_hear, connect, hang_up
from lab.wait import expect, wait_for
from lab.world import HRAS

PRIVATE = "10.0.0.5"
_NAT = f"""
table ip cloud {{
	chain in {{
		type nat hook prerouting priority -100
		iifname "wan" ip daddr {HRAS} dnat to {PRIVATE}
	}}
	chain out {{
		type nat hook postrouting priority 100
		oifname "wan" ip saddr {PRIVATE} snat to {HRAS}
	}}
}}
"""
_CLOUD = {
    "tunnel": {"listen": [f"http:{PRIVATE}:80", f"udp:{PRIVATE}:443"]},
    "sip": {"listen": [f"udp:{PRIVATE}:5060", f"tcp:{PRIVATE}:5060"], "advertise": HRAS},
    "media": {"address": PRIVATE, "advertise": HRAS},
}


def _into_the_cloud(lab):
    """HRAS's host behind a NAT that has its address."""
    lab.hras_host.ip("addr flush dev eth0")
    nat = Namespace(lab, "cloud-nat")
    nat.sysctl("net.ipv4.ip_forward", 1)
    lab.internet.plug(nat, HRAS + "/24", device="wan")
    cloud = Wire(lab, "cloud")
    cloud.plug(nat, "10.0.0.1/24", device="lan")
    lab.hras_host = cloud.host("hras", PRIVATE + "/24", "10.0.0.1")
    nat.nft(_NAT)


def test_an_hras_behind_one_to_one_nat(lab):
    """Both call each other, hear each other and hang up; nobody hears of the private address."""
    _into_the_cloud(lab)
    office = lab.office()
    office.firewall.open_udp(443)
    pair = Pair(lab, _CLOUD, office=office)
    pair.hrac.wait_status(lambda s: s["tunnels"][0]["transport"] == "udp + http",
                          "voice to go by UDP, to the public address")
    captures = Capture(lab.internet), Capture(pair.office.lan, "lan")
    alice, bob = pair.inside(answer="auto"), pair.outside(answer="auto")
    for row in wait_for("both to be registered", lambda: (
            lambda rows: rows if len(rows) == 2 else None)(pair.hras.registrations())):
        expect(row["aor"].endswith(DOMAIN), f"registered: {row}")
    for caller, called, ender in ((alice, bob, bob), (bob, alice, bob)):
        connect(caller, called)
        both_hear(caller, called)
        hang_up(ender, alice if ender is bob else bob)
        all_quiet(pair)
    assert_hidden(captures[0].stop(), HRAS, INSIDE_SECRETS + [PRIVATE])
    for packet in captures[1].stop():
        expect(PRIVATE.encode() not in packet.payload, f"the LAN hears of it: {packet}")
