# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces, held by a file descriptor: no name, no mount, no process is needed."""

import contextlib
import ctypes
import os
import socket
import subprocess

from .process import Process
from .wait import Failure

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _own_fd():
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Namespace:
    """One network namespace: a host, a wire or a packet filter of the laboratory."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name
        home = _own_fd()
        try:
            _check(_libc.unshare(CLONE_NEWNET), "unshare")
            self.fd = _own_fd()
        finally:
            _check(_libc.setns(home, CLONE_NEWNET), "setns")
            os.close(home)
        self.ip("link set lo up")

    @contextlib.contextmanager
    def inside(self):
        """The calling thread is in the namespace; what it starts or opens there stays there."""
        home = _own_fd()
        _check(_libc.setns(self.fd, CLONE_NEWNET), "setns")
        try:
            yield
        finally:
            _check(_libc.setns(home, CLONE_NEWNET), "setns")
            os.close(home)

    def run(self, *command, text=None, fds=(), timeout=20):
        """Runs a short command to its end; its stdout. Failure with its stderr if it fails."""
        with self.inside():
            done = subprocess.run(command, input=text, text=True, capture_output=True,
                                  pass_fds=fds, timeout=timeout, check=False)
        if done.returncode != 0:
            raise Failure(f"{self.name}: {' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def spawn(self, name, command, **options):
        """Starts a Process here; it is ended with the laboratory at the latest."""
        with self.inside():
            return self.lab.keep(Process(self.lab, f"{self.name}-{name}", command, **options))

    def ip(self, *lines, fds=()):
        """ip(8) commands, all in one run."""
        self.run("ip", "-batch", "-", text="\n".join(lines) + "\n", fds=fds)

    def nft(self, ruleset):
        """Loads an nftables script, all of it or nothing."""
        self.run("nft", "-f", "-", text=ruleset)

    def sysctl(self, key, value):
        with self.inside():
            with open("/proc/sys/" + key.replace(".", "/"), "w", encoding="ascii") as file:
                file.write(str(value))

    def socket(self, kind=socket.SOCK_DGRAM, bind=None, timeout=5.0):
        """A socket that belongs to this namespace for ever after."""
        with self.inside():
            sock = socket.socket(socket.AF_INET, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.settimeout(timeout)
        if bind:
            sock.bind(bind)
        return sock

    def connect(self, address, timeout=5.0):
        """A TCP connection from here."""
        sock = self.socket(socket.SOCK_STREAM, timeout=timeout)
        try:
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        return sock

    def close(self):
        os.close(self.fd)


class Host(Namespace):
    """A machine with one address on one wire."""

    def __init__(self, lab, name, address):
        super().__init__(lab, name)
        self.address = address
        self.wire = None


class Wire(Namespace):
    """An Ethernet: a bridge in a namespace of its own, where a capture sees every packet."""

    def __init__(self, lab, name):
        super().__init__(lab, name)
        self.ports = 0
        self.ip("link add br0 type bridge", "link set br0 up promisc on")

    def plug(self, host, address, device="eth0", gateway=None):
        """A cable from `host` to this wire; `address` with its prefix length."""
        port = f"p{self.ports}"
        self.ports += 1
        self.ip(f"link add {port} type veth peer name {device} netns /proc/self/fd/{host.fd}",
                f"link set {port} master br0 up", fds=(host.fd,))
        host.ip(f"address add {address} dev {device}", f"link set {device} up",
                *([f"route add default via {gateway}"] if gateway else []))

    def host(self, name, address, gateway=None):
        """A new machine on this wire."""
        machine = Host(self.lab, name, address.split("/")[0])
        machine.wire = self
        self.plug(machine, address, gateway=gateway)
        return machine
