# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of a test.

    LAN 192.168.1.0/24                                   Internet 203.0.113.0/24
      .5  hrac    .11 p1    .12 p2 --- .1 firewall .5 --- .10 hras    .20 out1    .21 out2
    branch LAN 192.168.1.0/24, the same addresses
      .5  hrac    .11 p1    .12 p2 --- .1 firewall .6 ---
"""

import os
import re
import socket
import struct

from . import audio
from .netns import Namespace, Wire
from .wait import Failure

HRAS = "203.0.113.10"
INSIDE = "192.168.1."
DMZ_PROXY = "10.99.0.2"

_RULES = """
table inet firewall {{
	chain mark_new {{
		type filter hook forward priority -20
		ct state new ct mark set 1
	}}
	chain cut {{
		type filter hook forward priority -10
	}}
	chain forward {{
		type filter hook forward priority 0; policy drop
		ct state invalid drop
		ct state established,related accept
		{pass_rules}
		counter comment "everything else"
	}}
	chain to_the_firewall_itself {{
		type filter hook input priority 0; policy drop
		ct state established,related accept
		icmp type echo-request accept
	}}
	chain nat {{
		type nat hook postrouting priority 100
		oifname "wan" masquerade
	}}
}}
"""
_WEB = "tcp dport { 80, 443 } tcp flags & (fin | syn | rst | ack) == syn counter accept"


class Firewall(Namespace):
    """The packet filter between a LAN and the Internet: only the web gets out, nothing gets in."""

    def __init__(self, lab, name, behind_proxy=False):
        super().__init__(lab, name)
        self.epoch = 1
        self.sysctl("net.ipv4.ip_forward", 1)
        if behind_proxy:
            rules = (f'iifname "lan" ip daddr {DMZ_PROXY} tcp dport 3128 counter accept\n\t\t'
                     f'iifname "dmz" oifname "wan" {_WEB}')
        else:
            rules = f'iifname "lan" oifname "wan" {_WEB}'
        self.nft(_RULES.format(pass_rules=rules))

    def cut(self, reset=False):
        """Every connection through the firewall is dead from now on: its packets vanish, or are
        answered by RST. New connections are not touched."""
        self.epoch += 1
        how = "reject with tcp reset" if reset else "drop"
        self.nft(f"flush chain inet firewall mark_new\n"
                 f"add rule inet firewall mark_new ct state new ct mark set {self.epoch}\n"
                 f"flush chain inet firewall cut\n"
                 f"add rule inet firewall cut meta l4proto tcp ct state established "
                 f"ct mark != {self.epoch} counter {how}\n")

    def cut_one(self, port):
        """Packets of the one connection that comes from `port` of the LAN vanish from now on."""
        self.nft(f"add rule inet firewall cut tcp sport {port} counter drop\n"
                 f"add rule inet firewall cut tcp dport {port} counter drop\n")

    def struck(self):
        """How many packets the rules of cut, cut_one, lose and close_all have hit."""
        chain = self.run("nft", "list", "chain", "inet", "firewall", "cut")
        return sum(int(n) for n in re.findall(r"counter packets (\d+)", chain))

    def forget_idle(self, seconds):
        """Connections that were silent for so long are forgotten, and their packets dropped."""
        self.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)
        self.sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", seconds)

    def lose(self, percent):
        """So many of the packets of established connections vanish, by chance, both ways."""
        self.nft(f"add rule inet firewall cut ct state established "
                 f"numgen random mod 1000 < {round(percent * 10)} counter drop\n")

    def open_udp(self, port):
        """UDP to this port gets out, too, and its answers in. The NAT gives it any port."""
        self.nft(f'add rule inet firewall forward iifname "lan" oifname "wan" udp dport {port} '
                 f'counter accept\n'
                 f'insert rule inet firewall nat oifname "wan" udp dport {port} '
                 f'masquerade random,fully-random\n')

    def close_udp(self):
        """UDP vanishes from now on, until open_again."""
        self.nft("add rule inet firewall cut meta l4proto udp counter drop\n")

    def lose_udp(self, percent):
        """So many of the UDP packets vanish, by chance, both ways."""
        self.nft(f"add rule inet firewall cut meta l4proto udp "
                 f"numgen random mod 1000 < {round(percent * 10)} counter drop\n")

    def forget(self):
        """Every connection and every mapping of the NAT is forgotten, as when it restarts."""
        flush = struct.pack("=IHHII", 20, 0x102, 5, 1, 0) + struct.pack("=BBH", 0, 0, 0)
        with self.inside():
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as s:
                s.send(flush)
                error = struct.unpack_from("=i", s.recv(4096), 16)[0]
        if error:
            raise Failure(f"conntrack: {os.strerror(-error)}")

    def close_all(self, reset=False):
        """Nothing passes any more, or is answered by RST, until open_again."""
        how = "meta l4proto tcp counter reject with tcp reset" if reset else "counter drop"
        self.nft(f"flush chain inet firewall cut\nadd rule inet firewall cut {how}\n")

    def open_again(self):
        self.nft("flush chain inet firewall cut\n")

    def ruleset(self):
        return self.run("nft", "list", "ruleset")


class Office:
    """A LAN with two phones and a place for HRAC, behind a firewall of its own."""

    def __init__(self, lab, name, wan_address, behind_proxy=False):
        self.lab = lab
        self.name = name
        self.firewall = Firewall(lab, f"{name}-firewall", behind_proxy)
        self.lan = Wire(lab, f"{name}-lan")
        self.lan.plug(self.firewall, INSIDE + "1/24", device="lan")
        lab.internet.plug(self.firewall, wan_address + "/24", device="wan")
        gateway = INSIDE + "1"
        self.hrac = self.lan.host(f"{name}-hrac", INSIDE + "5/24", gateway)
        self.p1 = self.lan.host(f"{name}-p1", INSIDE + "11/24", gateway)
        self.p2 = self.lan.host(f"{name}-p2", INSIDE + "12/24", gateway)
        self.wan_address = wan_address
        self.proxy = None
        if behind_proxy:
            self.dmz = Wire(lab, f"{name}-dmz")
            self.dmz.plug(self.firewall, "10.99.0.1/24", device="dmz")
            self.proxy = self.dmz.host(f"{name}-proxy", DMZ_PROXY + "/24", "10.99.0.1")


class Lab:
    """One test's world. Its files are in `directory`; `binaries` has hrac/hrac and hras/hras."""

    def __init__(self, directory, binaries):
        self.directory = directory
        self.binaries = binaries
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TERM": "dumb",
            "HOME": directory,
        }
        self.processes = []
        self.internet = Wire(self, "internet")
        self.hras_host = self.internet.host("hras", HRAS + "/24")
        self.out1 = self.internet.host("out1", "203.0.113.20/24")
        self.out2 = self.internet.host("out2", "203.0.113.21/24")

    def office(self, behind_proxy=False):
        return Office(self, "office", "203.0.113.5", behind_proxy)

    def branch(self):
        """A second office whose LAN has the very same addresses."""
        return Office(self, "branch", "203.0.113.6")

    @staticmethod
    def listener(host, port):
        """A TCP socket that waits on every address of `host`."""
        sock = host.socket(socket.SOCK_STREAM, ("0.0.0.0", port))
        sock.listen()
        return sock

    def path(self, name):
        return os.path.join(self.directory, name)

    def voice(self, name):
        """The WAV of a voice, made when it is first asked for."""
        path = self.path(f"voice-{name}.wav")
        if not os.path.exists(path):
            audio.make_voice(path, name)
        return path

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def binary(self, name):
        path = os.path.join(self.binaries, name, name)
        if not os.access(path, os.X_OK):
            raise Failure(f"{path} is not there: build first, or set VOFW_BIN_DIR")
        return path

    @staticmethod
    def measured(text):
        """A figure that the run's output shows, also when the test passes."""
        print(f"measured: {text}", flush=True)

    def keep(self, process):
        self.processes.append(process)
        return process

    def close(self):
        """Ends what still runs, the youngest first. What was wrong with it, a line each."""
        problems = []
        for process in reversed(self.processes):
            problems += process.finish()
        return problems

    def story(self, lines=15):
        """The ends of all logs, for the reader of a failure."""
        return "\n".join(f"--- {process.name}\n{process.tail(lines)}"
                         for process in self.processes)
