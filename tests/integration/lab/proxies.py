# SPDX-License-Identifier: GPL-3.0-or-later
"""Other proxies than squid, and how a client is told of them."""

import http.server
import os
import subprocess
import threading

from .wait import wait_for

_TINYPROXY = """
Port 3128
Listen {address}
Timeout 600
MaxClients 300
LogLevel Info
{more}
"""


class Tinyproxy:
    """Debian's tinyproxy on port 3128 of `host`: it speaks HTTP/1.0 to those behind it."""

    def __init__(self, host, more=""):
        config = host.lab.write("tinyproxy.conf", _TINYPROXY.format(address=host.address, more=more))
        self.process = host.spawn("tinyproxy", ["tinyproxy", "-d", "-c", config])
        wait_for("tinyproxy", lambda: host.connect((host.address, 3128)))

    def log(self):
        return self.process.output()


def pac(rules):
    """A PAC script that gives `rules` for every URL."""
    return f'function FindProxyForURL(url, host) {{ return "{rules}"; }}\n'


class WebServer:
    """A web server on port 80 of `host` that gives one text to all who ask."""

    def __init__(self, host, text):
        self.text = text
        self.asked = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """One request."""

            def do_GET(self):
                server.asked.append(self.path)
                body = server.text.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        with host.inside():
            self.server = http.server.ThreadingHTTPServer((host.address, 80), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def name_hosts(lab, names):
    """{"proxy.example.com": "10.99.0.2"} in /etc/hosts, as this test alone sees it."""
    text = "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n"
                                             for name, address in names.items())
    subprocess.run(["mount", "--bind", lab.write("hosts", text), os.path.realpath("/etc/hosts")],
                   check=True, capture_output=True)
