# SPDX-License-Identifier: GPL-3.0-or-later
"""A SIP endpoint made of a bare socket, for what no well-behaved phone would say."""

import hashlib
import itertools
import re
import socket
import time

from .wait import Failure, Timeout

_serial = itertools.count(1)


class Message:
    """A SIP message, read loosely."""

    def __init__(self, data):
        head, _, self.body = data.decode(errors="replace").partition("\r\n\r\n")
        lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
        self.text = data.decode(errors="replace")
        self.start = lines[0]
        self.headers = [tuple(part.strip() for part in line.split(":", 1))
                        for line in lines[1:] if ":" in line]

    @property
    def status(self):
        """0 for a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self):
        return self.start.split()[0] if not self.status else self["CSeq"].split()[1]

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def __getitem__(self, name):
        values = self.all(name)
        if not values:
            raise KeyError(f"no {name} in {self.start}")
        return values[0]

    def get(self, name, default=""):
        values = self.all(name)
        return values[0] if values else default

    def __str__(self):
        return self.text


class Endpoint:
    """One address of record on one socket. It does nothing by itself."""

    def __init__(self, host, user, proxy, port=5060, domain="example.com", password="wonderland"):
        self.host, self.user, self.proxy, self.port = host, user, proxy, port
        self.domain, self.password = domain, password
        self.socket = host.socket(bind=(host.address, port))
        self.contact = f"<sip:{user}@{host.address}:{port}>"

    def send(self, data):
        """Bytes or text as they are; lines may end with a bare newline."""
        if isinstance(data, str):
            data = data.replace("\r\n", "\n").replace("\n", "\r\n").encode()
        self.socket.sendto(data, (self.proxy, 5060))

    def request(self, method, uri, body="", headers="", to=None, cseq=1, call_id=None, via=True,
                kind="application/sdp", tag="here"):
        """A request outside any dialog, as text; `headers` are added as they are."""
        n = next(_serial)
        lines = [f"{method} {uri} SIP/2.0"]
        if via:
            lines.append(f"Via: SIP/2.0/UDP {self.host.address}:{self.port};rport"
                         f";branch=z9hG4bK{n}x{time.time_ns()}")
        lines += [
            f"From: <sip:{self.user}@{self.domain}>;tag={tag}",
            f"To: {to or '<' + uri + '>'}",
            f"Call-ID: {call_id or f'{n}.{time.time_ns()}@{self.host.address}'}",
            f"CSeq: {cseq} {method}",
            f"Contact: {self.contact}",
            "Max-Forwards: 70"]
        if headers:
            lines += headers.strip().split("\n")
        if body:
            lines.append(f"Content-Type: {kind}")
        body = body.replace("\r\n", "\n").replace("\n", "\r\n")
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def receive(self, timeout=5.0, condition=lambda message: True):
        """The next message that fits; others are passed over."""
        end = time.monotonic() + timeout
        seen = []
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise Timeout(f"{self.user}: no fitting message in {timeout:g} s; had: {seen}")
            self.socket.settimeout(left)
            try:
                data = self.socket.recvfrom(65535)[0]
            except socket.timeout:
                continue
            if not data.strip():
                continue
            message = Message(data)
            if condition(message):
                return message
            seen.append(message.start)

    def final(self, timeout=5.0):
        """The next final response."""
        return self.receive(timeout, lambda message: message.status >= 200)

    def ask(self, method, uri, timeout=5.0, **more):
        """Sends a request and waits for its final response."""
        self.send(self.request(method, uri, **more))
        answer = self.final(timeout)
        if method == "INVITE" and answer.status >= 300:
            self.ack_failure(uri, answer)
        return answer

    def ack_failure(self, uri, answer):
        self.send(f"ACK {uri} SIP/2.0\nVia: {answer['Via']}\nFrom: {answer['From']}\n"
                  f"To: {answer['To']}\nCall-ID: {answer['Call-ID']}\n"
                  f"CSeq: {answer['CSeq'].split()[0]} ACK\nMax-Forwards: 70\n"
                  "Content-Length: 0\n\n")

    def reply(self, request, status, reason="Whatever", body="", headers="", tag="there"):
        """A response to what was received."""
        lines = [f"SIP/2.0 {status} {reason}"]
        for name in ("Via", "Record-Route", "From", "Call-ID", "CSeq"):
            lines += [f"{name}: {value}" for value in request.all(name)]
        to = request["To"]
        lines.append(f"To: {to}" + ("" if "tag=" in to or status == 100 else f";tag={tag}"))
        lines.append(f"Contact: {self.contact}")
        if headers:
            lines += headers.strip().split("\n")
        if body:
            lines.append("Content-Type: application/sdp")
        body = body.replace("\r\n", "\n").replace("\n", "\r\n")
        lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines) + "\r\n\r\n" + body)

    def in_dialog(self, method, answer, cseq=2, body="", headers=""):
        """A caller's request in the dialog that the 2xx `answer` made, as text."""
        routes = ", ".join(answer.all("Record-Route")).split(",")
        routes = "".join(f"Route: {route.strip()}\n" for route in reversed(routes) if route.strip())
        target = answer["Contact"].strip().strip("<>").split(">")[0]
        return self.request(method, target, to=answer["To"], call_id=answer["Call-ID"], cseq=cseq,
                            body=body, headers=routes + headers)

    def register(self, expires=600, contact=None, password=None, algorithm=None):
        """REGISTER, answering one challenge; the last response."""
        uri = f"sip:{self.domain}"
        call_id = f"reg{next(_serial)}.{time.time_ns()}"
        to = f"<sip:{self.user}@{self.domain}>"
        headers = f"Expires: {expires}"
        answer = self.ask("REGISTER", uri, headers=headers, to=to, call_id=call_id)
        if answer.status not in (401, 407):
            return answer
        credentials = self.credentials(answer, "REGISTER", uri, password, algorithm)
        return self.ask("REGISTER", uri, headers=f"{headers}\n{credentials}", to=to,
                        call_id=call_id, cseq=2)

    def credentials(self, answer, method, uri, password=None, algorithm=None):
        """The header that answers the challenge in `answer`: the first one, or that with the
        algorithm asked for."""
        kind, name = (("WWW-Authenticate", "Authorization") if answer.status == 401 else
                      ("Proxy-Authenticate", "Proxy-Authorization"))
        for text in answer.all(kind):
            words = dict(re.findall(r'(\w+)="?([^",]+)"?', text))
            if algorithm is None or words.get("algorithm", "MD5").upper() == algorithm:
                break
        else:
            raise Failure(f"no challenge for {algorithm} in {answer}")
        digest = hashlib.sha256 if words.get("algorithm", "").upper() == "SHA-256" else hashlib.md5

        def h(*parts):
            return digest(":".join(parts).encode()).hexdigest()
        ha1 = h(self.user, words["realm"], password or self.password)
        response = h(ha1, words["nonce"], "00000001", "abcdef", "auth", h(method, uri))
        return (f'{name}: Digest username="{self.user}", realm="{words["realm"]}", '
                f'nonce="{words["nonce"]}", uri="{uri}", response="{response}", qop=auth, '
                f'nc=00000001, cnonce="abcdef", algorithm={words.get("algorithm", "MD5")}'
                + (f', opaque="{words["opaque"]}"' if "opaque" in words else ""))

    def close(self):
        self.socket.close()
