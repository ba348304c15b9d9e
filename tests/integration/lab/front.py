# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in front of HRAS, run by the files of conf/examples, and what intercepts TLS."""

import os

from .wait import wait_for
from .world import HRAS

_EXAMPLES = os.path.join(os.path.dirname(__file__), "..", "..", "..", "conf", "examples")
BEHIND = "127.0.0.1:8000"       # where HRAS listens in the examples


def _example(lab, name, changes):
    """The file of conf/examples with some of its words changed, each of which it must have."""
    with open(os.path.join(_EXAMPLES, name), encoding="utf-8") as file:
        text = file.read()
    for old, new in changes.items():
        if old not in text:
            raise ValueError(f"{name} has no {old}")
        text = text.replace(old, new)
    return lab.write(name, text)


def haproxy(lab, authority, changes=None):
    """haproxy at HRAS's public address."""
    certificate, key = authority.sign(HRAS)
    both = lab.path("haproxy.pem")
    with open(both, "w", encoding="ascii") as file:
        for part in (certificate, key):
            with open(part, encoding="ascii") as source:
                file.write(source.read())
    config = _example(lab, "haproxy.cfg", {"/etc/haproxy/hras.pem": both, **(changes or {})})
    process = lab.hras_host.spawn("haproxy", ["haproxy", "-db", "-f", config])
    wait_for("haproxy", lambda: lab.hras_host.connect((HRAS, 443)))
    return process


def nginx(lab, authority, changes=None):
    """nginx at HRAS's public address."""
    certificate, key = authority.sign(HRAS)
    config = _example(lab, "nginx.conf", {
        "/etc/nginx/hras.pem": certificate, "/etc/nginx/hras.key": key,
        "/var/log/nginx/error.log": lab.path("nginx-error.log"),
        "/run/nginx.pid": lab.path("nginx.pid"), **(changes or {})})
    temporary = " ".join(f"{kind}_temp_path {lab.path('nginx-' + kind)};" for kind in
                         ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(config, encoding="utf-8") as file:
        text = file.read()
    lab.write("nginx.conf", text.replace("http {\n", f"http {{\n\t{temporary}\n", 1))
    process = lab.hras_host.spawn("nginx", ["nginx", "-c", config, "-p", lab.directory,
                                            "-e", lab.path("nginx-error.log"),
                                            "-g", "daemon off; master_process off;"])
    wait_for("nginx", lambda: lab.hras_host.connect((HRAS, 443)))
    return process


class Interceptor:
    """mitmproxy on `host`: an HTTP proxy that opens TLS and closes it again with its own
    certificates; `ca` is the authority that companies have their machines trust. `trusts` is the
    one that it trusts itself. Without `streaming` it holds each body back until it is whole, and keeps
    all that it saw in `flows`."""

    port = 3128

    def __init__(self, host, trusts, streaming):
        lab = host.lab
        directory = lab.path("mitmproxy")
        os.makedirs(directory, exist_ok=True)
        command = ["mitmdump", "--mode", "regular", "--listen-host", host.address,
                   "--listen-port", str(self.port), "--set", f"confdir={directory}",
                   "--set", f"ssl_verify_upstream_trusted_ca={trusts.ca}", "--set", "http2=false",
                   "--set", "flow_detail=0"]
        self.flows = lab.path("mitmproxy/flows")
        command += ["--set", "stream_large_bodies=1"] if streaming else ["-w", self.flows]
        self.process = host.spawn("mitmproxy", command)
        self.ca = os.path.join(directory, "mitmproxy-ca-cert.pem")
        self.url = f"http://{host.address}:{self.port}"
        wait_for("mitmproxy", lambda: host.connect((host.address, self.port)), timeout=30)
