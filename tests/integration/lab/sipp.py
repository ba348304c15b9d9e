# SPDX-License-Identifier: GPL-3.0-or-later
"""SIPp, both roles. A scenario is a list of steps, written in Python and run as SIPp's XML:

    Sipp(host, [send("INVITE", sdp=True), recv(100, optional=True), recv(200, rrs=True),
                send("ACK"), pause(500), send("BYE"), recv(200)], to="bob").finished()
"""

import itertools

from .wait import Failure

SDP = """v=0
o=sipp 1 {version} IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=audio {port} RTP/AVP 0
a=rtpmap:0 PCMU/8000
{more}"""


def sdp(port="[media_port]", version=1, more=""):
    """A session description with one G.711 stream."""
    return SDP.format(port=port, version=version, more=more).rstrip("\n") + "\n"


# -- Steps --

def send(method, body=None, cseq=None, headers="", kind="application/sdp", retrans=500):
    """A request: the first of the dialog, or one inside it once a response was received with
    rrs=True. ACK and CANCEL take the number of the INVITE by themselves."""
    return ("send", {"method": method, "body": body, "cseq": cseq, "headers": headers,
                     "kind": kind, "retrans": retrans})


def reply(status, reason="", body=None, headers="", retrans=None):
    """A response to the request received last."""
    return ("reply", {"status": status, "reason": reason or "Whatever", "body": body,
                      "headers": headers, "retrans": retrans or (500 if status >= 200 else None)})


def recv(what, optional=False, rrs=False, auth=False, timeout=10000):
    """A response (a number) or a request (its method) that must come."""
    return ("recv", {"what": what, "optional": optional, "rrs": rrs, "auth": auth,
                     "timeout": timeout})


def pause(milliseconds):
    return ("pause", milliseconds)


_FIRST = """{method} {uri} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]
From: <sip:{user}@{domain}>;tag=[call_number]x{user}
To: <{uri}>
Call-ID: [call_id]
CSeq: {cseq} {method}
Contact: <sip:{user}@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
"""
_CALLER_AGAIN = """{method} [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]
[routes]
From: <sip:{user}@{domain}>;tag=[call_number]x{user}
[last_To:]
Call-ID: [call_id]
CSeq: {cseq} {method}
Contact: <sip:{user}@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
"""
# What belongs to the INVITE's own transaction: the ACK of a failure, and CANCEL.
_SAME_HOP = """{method} {uri} SIP/2.0
[last_Via:]
From: <sip:{user}@{domain}>;tag=[call_number]x{user}
{to}
Call-ID: [call_id]
CSeq: {cseq} {method}
Max-Forwards: 70
"""
_CALLEE = """{method} [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]
[routes]
From: {me}
To: {peer}
Call-ID: [call_id]
CSeq: {cseq} {method}
Contact: <sip:{user}@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
"""
_REPLY = """SIP/2.0 {status} {reason}
[last_Via:]
[last_From:]
[last_To:]{tag}
[last_Call-ID:]
[last_CSeq:]
[last_Record-Route:]
Contact: <sip:{user}@[local_ip]:[local_port];transport=[transport]>
"""


class _Writer:
    """Turns steps into XML, following the dialog as far as the messages need it."""

    def __init__(self, user, to, domain):
        self.words = {"user": user, "domain": domain, "uri": f"sip:{to}@{domain}"}
        self.cseq = 0
        self.dialog = False      # a 2xx to our INVITE was awaited
        self.final = None        # the last final response that was awaited
        self.called = False      # we received the INVITE
        self.method = None       # of the request received last
        self.auth = False

    def scenario(self, steps):
        body = "".join(getattr(self, "_" + kind)(what) for kind, what in steps)
        return ('<?xml version="1.0" encoding="us-ascii"?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n'
                f'<scenario name="vofw">\n{body}{self._used()}</scenario>\n')

    def _used(self):
        """SIPp refuses a variable that is set and never used."""
        return '<Reference variables="me,peer,toh"/>\n' if self.called else ""

    def _send(self, step):
        method = step["method"]
        words = dict(self.words, method=method)
        if method not in ("ACK", "CANCEL"):
            self.cseq = step["cseq"] or self.cseq + 1
        words["cseq"] = self.cseq
        if method == "ACK" and (self.final or 0) >= 300:
            template, words["to"] = _SAME_HOP, "[last_To:]"
        elif method == "CANCEL":
            template, words["to"] = _SAME_HOP, "To: <{uri}>".format(**words)
        elif self.called:
            template, words["me"], words["peer"] = _CALLEE, "[$me]", "[$peer]"
        else:
            template = _CALLER_AGAIN if self.dialog else _FIRST
        text = template.format(**words) + step["headers"]
        if self.auth and method != "ACK":
            text += "[authentication]\n"
            self.auth = False
        retrans = "" if method == "ACK" or not step["retrans"] else f' retrans="{step["retrans"]}"'
        return self._message(text, step["body"], step["kind"], retrans)

    def _reply(self, step):
        tag = "" if self.called and self.method != "INVITE" else ";tag=[call_number]y"
        text = _REPLY.format(**self.words, status=step["status"], reason=step["reason"], tag=tag)
        retrans = (f' retrans="{step["retrans"]}"'
                   if step["retrans"] and self.method == "INVITE" else "")
        return self._message(text + step["headers"], step["body"], "application/sdp", retrans)

    @staticmethod
    def _message(text, body, kind, attributes):
        if body:
            text += f"Content-Type: {kind}\n"
        text += "Content-Length: [len]\n\n" + (body or "")
        return f"<send{attributes}><![CDATA[\n{text}]]></send>\n"

    def _recv(self, step):
        what = step["what"]
        attributes = f' timeout="{step["timeout"]}"' if not step["optional"] else ""
        attributes += ' optional="true"' if step["optional"] else ""
        attributes += ' rrs="true"' if step["rrs"] else ""
        attributes += ' auth="true"' if step["auth"] else ""
        if isinstance(what, int):
            self.auth = self.auth or step["auth"]
            if what >= 200 and not step["optional"]:
                self.final = what
                self.dialog = self.dialog or (what < 300 and step["rrs"])
            return f'<recv response="{what}"{attributes}/>\n'
        self.method = what
        action = ""
        if what == "INVITE" and not self.called:
            self.called = True
            action = ('<action><ereg regexp=".*" search_in="hdr" header="From:" assign_to="peer"/>'
                      '<ereg regexp=".*" search_in="hdr" header="To:" assign_to="toh"/>'
                      '<assignstr assign_to="me" value="[$toh];tag=[call_number]y"/></action>')
        if not action:
            return f'<recv request="{what}"{attributes}/>\n'
        return f'<recv request="{what}"{attributes}>{action}</recv>\n'

    @staticmethod
    def _pause(milliseconds):
        return f'<pause milliseconds="{milliseconds}"/>\n'


_serial = itertools.count(1)


class Sipp:
    """A running SIPp. `proxy` is where the caller sends to; a called one just waits.

    calls/rate: so many calls, so many begun a second. echo: RTP goes back to where it came from.
    """

    def __init__(self, host, steps, user="sipp", to="nobody", proxy=None, port=5060,
                 media_port=6000, transport="udp", password="wonderland", calls=1, rate=10,
                 limit=1000, echo=False, timeout=60, domain="example.com", extra=()):
        number = next(_serial)
        self.name = f"sipp-{user}-{number}"
        xml_text = _Writer(user, to, domain).scenario(steps)
        scenario = host.lab.write(f"{self.name}.xml", xml_text)
        mode = {"udp": "u1", "tcp": "t1"}[transport]
        self.messages = host.lab.path(f"{self.name}.messages")
        self.errors = host.lab.path(f"{self.name}.errors")
        command = ["sipp", "-sf", scenario, "-i", host.address, "-p", port, "-t", mode,
                   "-mi", host.address, "-mp", media_port, "-m", calls, "-r", rate, "-l", limit,
                   "-au", user, "-ap", password, "-nostdin", "-timeout", f"{timeout}s",
                   "-timeout_error", "-skip_rlimit", "-trace_err", "-error_file", self.errors,
                   "-trace_msg", "-message_file", self.messages, "-max_socket", 1000]
        command += ["-rtp_echo"] if echo else []
        command += list(extra)
        command += [f"{proxy}:5060" if proxy else host.address]
        self.process = host.spawn(self.name, command)

    def read(self, path):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def finished(self, timeout=30):
        """Waits until the scenario was played to its end; the messages that were exchanged."""
        status = self.process.wait(timeout)
        if status != 0:
            raise Failure(f"{self.name} ended with {status}:\n{self.read(self.errors)[-3000:]}")
        return self.read(self.messages)

    def stop(self):
        self.process.stop()

