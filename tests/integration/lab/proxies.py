# SPDX-License-Identifier: GPL-3.0-or-later
"""Other proxies than squid, and how a client is told of them."""

import http.server
import os
import re
import socket
import socketserver
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


def _serve(host, port, handler):
    """A server of threads on that port of `host`, as long as the test runs."""
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.request_queue_size = 128
    with host.inside():
        server = socketserver.ThreadingTCPServer((host.address, port), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _pass_on(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _join(one, other):
    """Carries bytes both ways until both ends are done."""
    back = threading.Thread(target=_pass_on, args=(other, one), daemon=True)
    back.start()
    _pass_on(one, other)
    back.join()


class OldProxy:
    """A proxy that knows HTTP/1.0 and nothing else: one request a connection, no CONNECT, no
    chunks, 411 for a body whose length is not told. `refused` counts those."""

    def __init__(self, host):
        self.refused = 0
        self.passed = 0
        proxy = self

        class Handler(socketserver.StreamRequestHandler):
            """One request."""

            def handle(self):
                method, url, _ = self.rfile.readline(4096).decode().split()
                head = b""
                while (line := self.rfile.readline(65536)).strip():
                    if not re.match(rb"(?i)(proxy-)?connection:", line):
                        head += line
                found = re.match(r"http://([0-9.]+)(?::(\d+))?(/.*)", url)
                if b"chunked" in head.lower():
                    proxy.refused += 1
                if b"chunked" in head.lower() or not found:
                    code = "411 Length Required" if found else "501 Not Implemented"
                    self.wfile.write(f"HTTP/1.0 {code}\r\nContent-Length: 0\r\n\r\n".encode())
                    return
                proxy.passed += 1
                length = re.search(rb"(?im)^content-length: *(\d+)", head)
                body = self.rfile.read(int(length.group(1))) if length else b""
                with host.connect((found.group(1), int(found.group(2) or 80)), 60) as server:
                    server.sendall(f"{method} {found.group(3)} HTTP/1.0\r\n".encode() + head
                                   + b"\r\n" + body)
                    _pass_on(server, self.connection)

        self.server = _serve(host, 3128, Handler)


class SocksProxy:
    """SOCKS 5 with user and password (RFC 1928, 1929)."""

    def __init__(self, host, user, password):
        self.passed = 0
        proxy = self
        login = b"\x01" + b"".join(bytes([len(part)]) + part.encode() for part in (user, password))

        class Handler(socketserver.StreamRequestHandler):
            """One connection."""

            def handle(self):
                self.rfile.read(self.rfile.read(2)[1])
                self.wfile.write(b"\x05\x02")
                good = self.rfile.read(len(login)) == login
                self.wfile.write(b"\x01" + (b"\x00" if good else b"\x01"))
                if not good:
                    return
                kind = self.rfile.read(4)[3]
                where = (socket.inet_ntoa(self.rfile.read(4)) if kind == 1 else
                         self.rfile.read(self.rfile.read(1)[0]).decode())
                port = int.from_bytes(self.rfile.read(2), "big")
                with host.connect((where, port), 60) as server:
                    proxy.passed += 1
                    self.wfile.write(b"\x05\x00\x00\x01" + bytes(6))
                    _join(self.connection, server)

        self.server = _serve(host, 3128, Handler)


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
