# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured: nothing at all, the bare TCP shim, and the pair of agents. Each is a context
manager; `lines` says where the phones of each call send, `pids` which processes relay."""

import os
import subprocess
import time
import urllib.request

from phones import Failure, Phone, Phones

INSIDE_PHONE = "127.0.0.11"
OUTSIDE_PHONE = "127.0.0.12"
HRAC = "127.0.0.2"
HRAS = "127.0.0.3"
MEDIA_PORT = 40000                # of all inside and of all outside phones
FIRST_PORT = 20000                # of an agent

HRAS_CONF = """
domains = {{ "example.com" }}
log_level = warn
tunnel {{ listen = {{ {listen} }} seal = {seal} {server} }}
agent "office" {{ secret = "bench" }}
sip {{ listen = {{ "udp:{HRAS}:5060" }} }}
media {{ address = "{HRAS}" }}
status {{ listen = "127.0.0.1:8081" }}
auth {{ require = "none" }}
"""
HRAC_CONF = """
log_level = warn
tunnel {{ url = "{scheme}://127.0.0.1:8000/" {client}
	agent = "office"
	secret = "bench"
	connections_max = {connections} seal = {seal} }}
sip {{ listen = {{ "udp:{HRAC}:5060" }} }}
media {{ address = "{HRAC}" }}
status {{ listen = "127.0.0.1:8080" }}
"""


def cpu_ns(pid):
    """What the scheduler says that all threads of a process ran."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
            total += int(f.read().split()[0])
    return total


def rss_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


WIRE = """
table inet bench {
	counter wire { }
	chain out {
		type filter hook output priority 0;
		tcp dport { 7000, 8000 } counter name wire
		tcp sport { 7000, 8000 } counter name wire
		udp dport 8000 counter name wire
		udp sport 8000 counter name wire
	}
}
"""


def count_wire():
    """From now on what the relays say to each other is counted, as a firewall between them would."""
    subprocess.run(["nft", "-f", "-"], input=WIRE, text=True, check=True)


def wire():
    """TCP segments and datagrams, and their bytes, IP headers included, between the two processes."""
    text = subprocess.run(["nft", "list", "counter", "inet", "bench", "wire"],
                          capture_output=True, text=True, check=True).stdout.split()
    return int(text[text.index("packets") + 1]), int(text[text.index("bytes") + 1])


class Relay:
    def __init__(self, calls):
        self.calls = calls
        self.processes = []

    def start(self, *command, **options):
        process = subprocess.Popen(command, text=True, **options)
        self.processes.append(process)
        return process

    def __enter__(self):
        try:
            self.open()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *what):
        self.stop()

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def pids(self):
        return [process.pid for process in self.processes]

    def memory_per_call_kb(self):
        return None


class Direct(Relay):
    """Phone to phone over loopback: what the generator and the kernel alone take."""
    name = "direct"

    def open(self):
        self.lines = [(f"{OUTSIDE_PHONE}:{MEDIA_PORT}", f"{INSIDE_PHONE}:{MEDIA_PORT}")
                      ] * self.calls


class Shim(Relay):
    name = "TCP shim"

    def __init__(self, calls, programs):
        super().__init__(calls)
        self.program = os.path.join(programs, "tests/bench/tcp_shim")

    def open(self):
        for role, host, phone in (("connect", HRAC, INSIDE_PHONE),
                                  ("listen", HRAS, OUTSIDE_PHONE)):
            self.start(self.program, role, "7000", str(self.calls), host, str(FIRST_PORT),
                       phone, str(MEDIA_PORT), stdout=subprocess.PIPE)
        for process in self.processes:
            if process.stdout.readline() != "ready\n":
                raise Failure("the shim did not start")
        ports = range(FIRST_PORT, FIRST_PORT + 2 * self.calls, 2)
        self.lines = [(f"{HRAC}:{port}", f"{HRAS}:{port}") for port in ports]


class Pair(Relay):
    """hrac and hras as they are, their legs set up by real calls."""
    name = "VoFW"
    listen = '"127.0.0.1:8000"'
    scheme, server, client = "http", "", ""   # and what else stands in the tunnel sections

    def __init__(self, calls, programs, directory, connections=64, wrapper=(), seal=True):
        super().__init__(calls)
        self.seal = "true" if seal else "false"
        self.programs, self.directory = programs, directory
        self.connections, self.wrapper = connections, wrapper
        self.phones = None

    def open(self):
        self.start_agents()
        caller = Phone("caller", f"{INSIDE_PHONE}:5070", f"{INSIDE_PHONE}:{MEDIA_PORT}",
                       f"{HRAC}:5060")
        callee = Phone("callee", f"{OUTSIDE_PHONE}:5070", f"{OUTSIDE_PHONE}:{MEDIA_PORT}",
                       f"{HRAS}:5060")
        callee.register("example.com")
        self.phones = Phones(caller, callee)
        self.before = [rss_kb(pid) for pid in self.pids]
        self.lines = self.phones.dial(self.calls)

    def start_agents(self):
        for name, conf in (("hras", HRAS_CONF), ("hrac", HRAC_CONF)):
            path = os.path.join(self.directory, name + ".conf")
            with open(path, "w") as f:
                f.write(conf.format(HRAC=HRAC, HRAS=HRAS, connections=self.connections,
                                    seal=self.seal, listen=self.listen, scheme=self.scheme,
                                    server=self.server, client=self.client))
            with open(os.path.join(self.directory, name + ".log"), "w") as log:
                self.start(*self.wrapper, os.path.join(self.programs, name, name), "-c", path,
                           stderr=log)
        self.processes.reverse()          # the inside one first, as the shim's
        self.wait_up()

    def wait_up(self, timeout=10):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if any(process.poll() is not None for process in self.processes):
                break
            try:
                with urllib.request.urlopen("http://127.0.0.1:8080/healthz", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.05)
        raise Failure(f"the tunnel is not up; see {self.directory}/*.log")

    def memory_per_call_kb(self):
        return [(rss_kb(pid) - was) / self.calls for pid, was in zip(self.pids, self.before)]

    def stop(self):
        if self.phones is not None:
            self.phones.caller.close()
            self.phones.callee.close()
        super().stop()


class PairByUdp(Pair):
    """The same, with voice in datagrams."""
    name = "VoFW, UDP"
    listen = '"127.0.0.1:8000", "udp:127.0.0.1:8000"'


class PairByTls(Pair):
    """The same over https, by a certificate made for it."""
    name = "VoFW, https"
    scheme = "https"

    def start_agents(self):
        certificate, key = (os.path.join(self.directory, name) for name in ("cert.pem", "key.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=bench",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key,
                        "-out", certificate], check=True, capture_output=True)
        self.server = f'certificate = "{certificate}" key = "{key}"'
        self.client = f'ca = "{certificate}"'
        super().start_agents()
