# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures on a wire, and what can be asked of them."""

import os
import socket
import struct
import sys

from .wait import Failure


class Packet:
    """One IPv4 packet. `length` is that of the whole IP packet, `payload` what UDP or TCP carry."""

    __slots__ = ("time", "dscp", "length", "protocol", "source", "target", "flags", "payload")

    def __init__(self, time, data):
        header = (data[0] & 15) * 4
        self.time = time
        self.dscp = data[1] >> 2
        self.length = struct.unpack_from("!H", data, 2)[0]
        self.protocol = {6: "tcp", 17: "udp", 1: "icmp"}.get(data[9], str(data[9]))
        source, target = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
        ports, self.flags, begin = (0, 0), 0, header
        if self.protocol in ("tcp", "udp"):
            ports = struct.unpack_from("!HH", data, header)
            begin = header + 8
        if self.protocol == "tcp":
            self.flags = data[header + 13]
            begin = header + (data[header + 12] >> 4) * 4
        self.source, self.target = (source, ports[0]), (target, ports[1])
        self.payload = data[begin:self.length]

    @property
    def syn(self):
        """It opens a TCP connection."""
        return self.protocol == "tcp" and self.flags & 0x12 == 0x02

    @property
    def hosts(self):
        return {self.source[0], self.target[0]}

    @property
    def is_sip(self):
        return b"SIP/2.0" in self.payload[:2000].split(b"\r\n", 1)[0]

    @property
    def is_rtp(self):
        return (self.protocol == "udp" and len(self.payload) >= 12
                and self.payload[0] >> 6 == 2 and not 192 <= self.payload[1] <= 223)

    @property
    def is_rtcp(self):
        return (self.protocol == "udp" and len(self.payload) >= 8
                and self.payload[0] >> 6 == 2 and 192 <= self.payload[1] <= 223)

    def __repr__(self):
        return (f"{self.time:.3f} {self.protocol} {self.source[0]}:{self.source[1]} > "
                f"{self.target[0]}:{self.target[1]} {len(self.payload)} {self.payload[:60]!r}")


def read_pcap(path):
    """The IPv4 packets of a file in the classic format, also of one still being written."""
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < 24:
        return []
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    packets, at = [], 24
    while at + 16 <= len(data):
        second, micro, kept, _ = struct.unpack_from(order + "IIII", data, at)
        frame = data[at + 16:at + 16 + kept]
        at += 16 + kept
        if len(frame) == kept >= 34 and frame[12:14] == b"\x08\x00":
            packets.append(Packet(second + micro / 1e6, frame[14:]))
    return packets


class Capture:
    """All packets of one device of a namespace, from now on. On a Wire it sees each once."""

    def __init__(self, namespace, name="capture", device="br0"):
        self.path = namespace.lab.path(f"{namespace.name}-{name}.pcap")
        self.process = namespace.spawn(
            name, [sys.executable, os.path.join(os.path.dirname(__file__), "sniffer.py"), device,
                   self.path])
        self.process.wait_output("listening on")

    def packets(self):
        """What was seen so far."""
        return read_pcap(self.path)

    def stop(self):
        """Ends the capture; all packets."""
        self.process.stop()
        return self.packets()


def assert_hidden(packets, agent, secrets, tunnel_ports=(80, 443)):
    """Failure when a packet from or to `agent` (HRAS) names one of `secrets` (inside addresses, as
    text or in binary form) in what it carries. The tunnel itself is left out: it ends there.
    Gives the number of SIP messages that were searched; none is a Failure, too."""
    needles = [secret.encode() for secret in secrets]
    binary = [socket.inet_aton(secret) for secret in secrets]
    sip = 0
    for packet in packets:
        if agent not in packet.hosts or packet.protocol not in ("udp", "tcp"):
            continue
        if packet.protocol == "tcp" and {packet.source[1], packet.target[1]} & set(tunnel_ports):
            continue
        sip += packet.is_sip
        text = not packet.is_rtp
        for needle in needles + ([] if packet.is_rtp else binary):
            if text and needle in packet.payload:
                raise Failure(f"an inside address left: {needle!r} in {packet!r}:\n"
                              + packet.payload.decode(errors="replace"))
    if not sip:
        raise Failure("no SIP message was captured on the outside wire: nothing was proved")
    return sip
