# SPDX-License-Identifier: GPL-3.0-or-later
"""Others who carry voice through a firewall over TCP, as Debian has them. Each runs as its manual
recommends for voice (TCP_NODELAY where there is such an option) and otherwise as it comes."""

import os
import shutil
import socket
import subprocess

from quality_lab import (INSIDE_AGENT, INSIDE_PHONE, MEDIA_PORT, OUTSIDE_AGENT, OUTSIDE_PHONE,
                         wait_for)
from quality_systems import FIRST_PORT, OURS, System

INSIDE_TUNNEL, OUTSIDE_TUNNEL = "10.7.0.1", "10.7.0.2"
PROBE_PORT = 7


class Turn(System):
    """coturn outside; inside a client with a TCP connection for each call, as browsers have."""

    name = "turn"
    needs = ("turnserver", "coturn")
    adapts = True
    port = 3478

    def open(self):
        world = self.world
        world.outside.spawn("turnserver", [
            "turnserver", "-n", "--no-auth", "--no-tls", "--no-dtls", "--no-cli", "-L",
            OUTSIDE_AGENT, "-E", OUTSIDE_AGENT, "-p", str(self.port), "--min-port", "20000",
            "--max-port", "29999", "--log-file", "stdout", "--simple-log", "--pidfile",
            world.path("turnserver.pid"), "--db", world.path("turn.db")])
        wait_for("turnserver", lambda: world.outside.connect((OUTSIDE_AGENT, self.port)))
        client = world.inside.spawn("turn-client", [
            world.binary("tests/bench/turn_client"), f"{OUTSIDE_AGENT}:{self.port}",
            str(self.calls), INSIDE_AGENT, str(FIRST_PORT), f"{INSIDE_PHONE}:{MEDIA_PORT}",
            f"{OUTSIDE_PHONE}:{MEDIA_PORT}"])
        client.wait_output("^ready", timeout=120)
        relayed = client.output().split()[:self.calls]
        self.lines = [(f"{INSIDE_AGENT}:{FIRST_PORT + 2 * call}", outside)
                      for call, outside in enumerate(relayed)]


class Vpn(System):
    """A tunnel for everything: the phones speak to each other through it."""

    adapts = True

    def through(self, inside_device, outside_device):
        """From now on both networks reach each other by these devices only."""
        self.world.inside.ip(f"route replace {OUTSIDE_PHONE}/32 dev {inside_device} "
                             f"via {OUTSIDE_TUNNEL} src {INSIDE_PHONE}")
        self.world.outside.ip(f"route replace {INSIDE_PHONE}/32 dev {outside_device} "
                              f"via {INSIDE_TUNNEL} src {OUTSIDE_PHONE}")
        listener = self.world.outside.socket(socket.SOCK_STREAM, (OUTSIDE_PHONE, PROBE_PORT))
        listener.listen()
        wait_for("the tunnel", lambda: self.world.inside.connect((OUTSIDE_PHONE, PROBE_PORT)),
                 timeout=30)
        listener.close()
        super().open()


class OpenVpn(Vpn):
    name = "openvpn"
    needs = ("openvpn", "openvpn")
    port = 1194

    def _certificate(self, name):
        """A certificate of its own: (file, key, fingerprint)."""
        file, key = self.world.path(f"{name}.pem"), self.world.path(f"{name}.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        f"/CN={name}", "-keyout", key, "-out", file],
                       check=True, capture_output=True)
        text = subprocess.run(["openssl", "x509", "-in", file, "-noout", "-fingerprint", "-sha256"],
                              check=True, capture_output=True, text=True).stdout
        return file, key, text.strip().split("=")[1]

    def _start(self, site, own, other, here, there, *role):
        return site.spawn("openvpn", [
            "openvpn", "--dev", "tun0", "--dev-type", "tun", "--ifconfig", here, there,
            "--cert", own[0], "--key", own[1], "--peer-fingerprint", other[2],
            "--socket-flags", "TCP_NODELAY", "--verb", "3", *role])

    def open(self):
        world = self.world
        inside, outside = self._certificate("client"), self._certificate("server")
        started = [
            self._start(world.outside, outside, inside, OUTSIDE_TUNNEL, INSIDE_TUNNEL,
                        "--proto", "tcp-server", "--lport", str(self.port), "--tls-server",
                        "--dh", "none", "--local", OUTSIDE_AGENT),
            self._start(world.inside, inside, outside, INSIDE_TUNNEL, OUTSIDE_TUNNEL,
                        "--proto", "tcp-client", "--remote", OUTSIDE_AGENT, str(self.port),
                        "--nobind", "--tls-client", "--connect-retry", "1")]
        for process in started:
            process.wait_output("Initialization Sequence Completed", timeout=30)
        self.through("tun0", "tun0")


class SoftEther(Vpn):
    """SoftEther VPN over TCP, as its client makes it, only without its acceleration over UDP: no
    firewall of the kind would let that pass. Both ends are layer 2: an Ethernet between them."""

    name = "softether"
    needs = ("vpnserver", "softether-vpnserver softether-vpnclient softether-vpncmd")
    port = 443
    STATE = ("/var/lib", "/var/log", "/run")    # it writes there, and where else it is told to

    SERVER = """HubCreate voice /PASSWORD:secret
BridgeCreate voice /DEVICE:voice /TAP:yes
Hub voice
UserCreate office /GROUP:none /REALNAME:none /NOTE:none
UserPasswordSet office /PASSWORD:secret
"""
    CLIENT = """NicCreate voice
AccountCreate voice /SERVER:{server} /HUB:voice /USERNAME:office /NICNAME:voice
AccountPasswordSet voice /PASSWORD:secret /TYPE:standard
AccountDetailSet voice /MAXTCP:1 /INTERVAL:1 /TTL:0 /HALF:no /BRIDGE:no /MONITOR:no /NOTRACK:no \
/NOQOS:no /DISABLEUDP:yes
AccountConnect voice
"""

    def _command(self, site, where, kind, script):
        file = self.world.write(f"softether-{kind}", script)
        site.run("vpncmd", where, f"/{kind}", f"/IN:{file}", timeout=60)

    def open(self):
        for directory in self.STATE:
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", directory], check=True)
            os.makedirs(os.path.join(directory, "softether"))
        world, server = self.world, f"{OUTSIDE_AGENT}:{self.port}"
        for site, program in ((world.outside, "vpnserver"), (world.inside, "vpnclient")):
            site.spawn(program, [program, "execsvc"])
        wait_for("vpnserver", lambda: world.outside.connect((OUTSIDE_AGENT, self.port)), 20)
        wait_for("vpnclient", lambda: world.inside.connect(("127.0.0.1", 9931)), 20)
        self._command(world.outside, server, "SERVER", self.SERVER)
        self._command(world.inside, "localhost", "CLIENT", self.CLIENT.format(server=server))
        for site, device, address in ((world.inside, "vpn_voice", INSIDE_TUNNEL),
                                      (world.outside, "tap_voice", OUTSIDE_TUNNEL)):
            with site.inside():
                wait_for(device, lambda: socket.if_nametoindex(device), 30)
            site.ip(f"address add {address}/24 dev {device}", f"link set {device} up")
        self.through("vpn_voice", "tap_voice")


SYSTEMS = {**OURS, **{kind.name: kind for kind in (Turn, OpenVpn, SoftEther)}}


def missing(kind):
    """None if the system can run here, else why it cannot."""
    if kind.needs is None:
        return None
    program, package = kind.needs
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")
    return None if found else f"not installed (Debian's package {package})"
