# SPDX-License-Identifier: GPL-3.0-or-later
"""Two SIP phones for the benchmarks, played by one program: an outside one that registers and
answers everything, and an inside one that calls it as often as asked. Their voice is rtp_load's
affair; what matters here is which addresses the pair gave to either side."""

import selectors
import socket
import time

RESEND_S = 0.5
AT_A_TIME = 20


class Failure(Exception):
    pass


class Message:
    """A SIP message, its headers in order and by their long names."""

    SHORT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact",
             "l": "content-length", "c": "content-type"}

    def __init__(self, data):
        head, _, self.body = data.decode(errors="replace").partition("\r\n\r\n")
        self.start, *lines = head.split("\r\n")
        self.headers = []
        for line in lines:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            self.headers.append((self.SHORT.get(name, name), value.strip()))
        self.status = int(self.start.split()[1]) if self.start.startswith("SIP/2.0") else 0
        self.method = self.first("cseq").split()[-1]

    def all(self, name):
        return [value for n, value in self.headers if n == name]

    def first(self, name):
        return (self.all(name) or [""])[0]

    def routes(self):
        return [r.strip() for value in self.all("record-route") for r in value.split(",")]

    def media(self):
        """HOST:PORT of the first stream."""
        host = port = None
        for line in self.body.splitlines():
            if line.startswith("c=") and host is None:
                host = line.split()[2]
            if line.startswith("m=") and port is None:
                port = line.split()[1]
        if host is None or port in (None, "0"):
            raise Failure(f"no media in {self.start}")
        return f"{host}:{port}"


def contact_uri(message):
    value = message.first("contact")
    return value[value.index("<") + 1:value.index(">")] if "<" in value else value


class Phone:
    """A UDP socket and the words that go through it."""

    def __init__(self, user, address, media, proxy):
        self.user, self.media = user, media
        self.host, port = address.split(":")
        self.port = int(port)
        proxy_host, proxy_port = proxy.split(":")
        self.proxy = (proxy_host, int(proxy_port))
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((self.host, self.port))
        self.branch = 0

    def close(self):
        self.socket.close()

    def receive(self, timeout):
        self.socket.settimeout(timeout)
        try:
            data, self.peer = self.socket.recvfrom(65536)
        except (socket.timeout, BlockingIOError):
            return None
        return Message(data)

    def sdp(self):
        host, port = self.media.split(":")
        return (f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
                f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n")

    def contact(self):
        return f"<sip:{self.user}@{self.host}:{self.port}>"

    def send(self, start, headers, body="", to=None):
        lines = [start] + [f"{name}: {value}" for name, value in headers]
        if body:
            lines.append("Content-Type: application/sdp")
        lines.append(f"Content-Length: {len(body)}")
        self.socket.sendto(("\r\n".join(lines) + "\r\n\r\n" + body).encode(), to or self.proxy)

    def request(self, method, uri, dialog, body=""):
        """`dialog`: name, value of From, To, Call-ID, CSeq, Route."""
        self.branch += 1
        via = f"SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{self.user}{self.branch};rport"
        self.send(f"{method} {uri} SIP/2.0",
                  [("Via", via), ("Max-Forwards", "70"), *dialog, ("Contact", self.contact())],
                  body)

    def answer(self, request, status, body=""):
        to = request.first("to")
        if "tag=" not in to:
            to += ";tag=answered"
        self.send(f"SIP/2.0 {status}",
                  [("Via", v) for v in request.all("via")] +
                  [("Record-Route", r) for r in request.all("record-route")] +
                  [("From", request.first("from")), ("To", to),
                   ("Call-ID", request.first("call-id")), ("CSeq", request.first("cseq")),
                   ("Contact", self.contact())], body, self.peer)

    def register(self, domain, expires=3600):
        aor = f"<sip:{self.user}@{domain}>"
        dialog = [("From", aor + ";tag=r"), ("To", aor), ("Call-ID", f"register-{self.user}"),
                  ("CSeq", f"{int(time.time())} REGISTER"), ("Expires", str(expires))]
        for _ in range(10):
            self.request("REGISTER", f"sip:{domain}", dialog)
            answer = self.receive(RESEND_S)
            if answer is not None and answer.status == 200:
                return
            if answer is not None and answer.status > 200:
                raise Failure(f"REGISTER got {answer.start}")
        raise Failure("REGISTER got no answer")


class Call:
    def __init__(self, number, uri):
        self.uri = uri
        self.id = f"bench-{number}"
        self.sent_at = 0
        self.answer = None
        self.ended = False

    def dialog(self, caller, cseq):
        me = f"<sip:{caller.user}@example.com>;tag=c"
        if self.answer is None:
            return [("From", me), ("To", f"<{self.uri}>"), ("Call-ID", self.id), ("CSeq", cseq)]
        return [("From", me), ("To", self.answer.first("to")), ("Call-ID", self.id),
                ("CSeq", cseq)] + [("Route", r) for r in reversed(self.answer.routes())]


class Phones:
    """Makes calls from `caller` to `callee` and ends them all in order."""

    def __init__(self, caller, callee, domain="example.com"):
        self.caller, self.callee = caller, callee
        self.uri = f"sip:{callee.user}@{domain}"
        self.calls = {}            # by Call-ID
        self.dialled_n = 0
        self.callee_media = {}
        self.selector = selectors.DefaultSelector()
        self.selector.register(caller.socket, selectors.EVENT_READ, self.on_caller)
        self.selector.register(callee.socket, selectors.EVENT_READ, self.on_callee)

    def on_callee(self):
        message = self.callee.receive(0)
        if message is None or message.status:
            return
        if message.method == "INVITE":
            self.callee_media[message.first("call-id")] = message.media()
            self.callee.answer(message, "200 OK", self.callee.sdp())
        elif message.method != "ACK":
            self.callee.answer(message, "200 OK")

    def on_caller(self):
        message = self.caller.receive(0)
        call = self.calls.get(message.first("call-id")) if message is not None else None
        if call is None or message.status < 200:
            return
        if message.status >= 300:
            raise Failure(f"{message.method} got {message.start}")
        if message.method == "BYE":
            call.ended = True
            return
        call.answer = message
        self.caller.request("ACK", contact_uri(message), call.dialog(self.caller, "1 ACK"))

    def turn(self):
        for key, _ in self.selector.select(0.05):
            key.data()

    def work(self, calls, done, ask, timeout):
        """Asks for each call, AT_A_TIME at a time, until done(call) is true for all."""
        waiting, asked = list(reversed(calls)), []
        deadline = time.monotonic() + timeout
        while waiting or asked:
            asked = [call for call in asked if not done(call)]
            while waiting and len(asked) < AT_A_TIME:
                call = waiting.pop()
                call.sent_at = 0
                asked.append(call)
            now = time.monotonic()
            for call in asked:
                if now - call.sent_at > RESEND_S:
                    call.sent_at = now
                    ask(call)
            if now > deadline:
                raise Failure(f"{len(waiting) + len(asked)} of {len(calls)} calls got no answer")
            if asked:
                self.turn()

    def dial(self, number, timeout=120):
        """Where the phones of each call shall send: ("HOST:PORT" inside, outside)."""
        new = [Call(self.dialled_n + i, self.uri) for i in range(number)]
        self.dialled_n += number
        self.calls.update((call.id, call) for call in new)

        def invite(call):
            self.caller.request("INVITE", self.uri, call.dialog(self.caller, "1 INVITE"),
                                self.caller.sdp())
        self.work(new, lambda call: call.answer is not None, invite, timeout)
        return [(call.answer.media(), self.callee_media[call.id]) for call in new]

    def last(self):
        """The call that was dialled last."""
        return list(self.calls.values())[-1]

    def hang_up(self, timeout=120, only=None):
        """Ends all calls that were answered, or only that one."""
        def bye(call):
            self.caller.request("BYE", contact_uri(call.answer),
                                call.dialog(self.caller, "2 BYE"))
        ending = [only] if only else [call for call in self.calls.values()
                                      if call.answer is not None]
        self.work(ending, lambda call: call.ended, bye, timeout)
        self.calls = {key: call for key, call in self.calls.items() if call not in ending}
