# SPDX-License-Identifier: GPL-3.0-or-later
"""A running call between two bare phones of which each packet is timed: what bad luck does to the
voice, and to SIP that is sent meanwhile.

The phones repeat nothing. A SIP message that is lost on its way through the pair is missing at the
other end, and one that arrives twice is seen twice."""

import re
import socket
import struct
import threading
import time

from . import audio
from .rawsip import Endpoint, Message
from .rtp import encode
from .sipp import sdp
from .wait import Failure, expect, wait_for

PTIME_MS = 20
STALL_MS = 60       # a packet sent so late: this machine had no time for us
LATE_MS = 200       # voice that comes so long after it was spoken is as good as lost
_SO_TIMESTAMPNS = 35


class Voice:
    """The media half of a phone: speaks from now on and notes when each packet of the other one
    came, by the kernel's clock. Each packet carries when it was sent."""

    def __init__(self, host, user, port):
        self.user, self.port = user, port
        self.sent = []                  # time of each packet; its index is its number
        self.stalls = []                # (time, ms) of those that left too late
        self.came = {}                  # number -> when it came first, s since 1970
        self.twice = 0
        self.payloads = {}
        self._samples = audio.read_wav(host.lab.voice(user))
        self._socket = host.socket(bind=(host.address, port), timeout=None)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._ended = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def speak(self, target):
        threading.Thread(target=self._speak, args=(target,), daemon=True).start()

    def payload(self, number):
        """What packet `number` of this phone carries."""
        at = number * audio.FRAME % (len(self._samples) - audio.FRAME)
        return bytes(map(encode, self._samples[at:at + audio.FRAME]))

    def _speak(self, target):
        begin = time.monotonic()
        for number in range(0x10000):
            if self._ended.wait(max(0.0, begin + number * PTIME_MS / 1000 - time.monotonic())):
                return
            late_ms = 1000 * (time.monotonic() - begin) - number * PTIME_MS
            if late_ms > STALL_MS:
                self.stalls.append((time.time(), late_ms))
            header = struct.pack("!BBHII", 0x80, 0, number, number * audio.FRAME, self.port)
            self.sent.append(time.time())
            self._socket.sendto(header + self.payload(number), target)

    def _listen(self):
        while True:
            try:
                data, about, _, _ = self._socket.recvmsg(2000, 100)
            except OSError:
                return
            if len(data) <= 12 or 192 <= data[1] <= 223:
                continue
            second, nano = struct.unpack("qq", about[0][2])
            number = int.from_bytes(data[2:4], "big")
            if number in self.came:
                self.twice += 1
                continue
            self.payloads[number] = data[12:]
            self.came[number] = second + nano / 1e9

    def close(self):
        self._ended.set()
        self._socket.close()


class Gap:
    """What a listener missed of a speaker in some time: the longest run of packets that did not
    come, or not within LATE_MS, and all of them; milliseconds of voice."""

    def __init__(self, speaker, listener, since, until):
        run = self.longest_ms = self.all_ms = 0
        for number, at in enumerate(list(speaker.sent)):
            if not since <= at <= until:
                continue
            came = listener.came.get(number)
            missing = came is None or came - at > LATE_MS / 1000
            run = run + PTIME_MS if missing else 0
            self.longest_ms = max(self.longest_ms, run)
            self.all_ms += PTIME_MS * missing


class Bare(Endpoint):
    """A phone of Endpoint and Voice. It answers what is asked of it at once, by itself."""

    def __init__(self, host, user, proxy):
        super().__init__(host, user, proxy)
        self.voice = Voice(host, user, 6000)
        self.got = []                   # all that came, (time, Message)
        self._taken = []
        self._changed = threading.Condition()
        self.remote = None              # where its voice goes
        self.socket.settimeout(None)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                data = self.socket.recv(65535)
            except OSError:
                return
            if not data.strip():
                continue
            message = Message(data)
            with self._changed:
                self.got.append((time.time(), message))
                self._changed.notify_all()
            if not message.status:
                self._answer(message)

    def _answer(self, message):
        if message.method == "INVITE":
            self._speak_to(message)
        if message.method != "ACK":
            self.reply(message, 200, "OK", body=self.offer() if message.method == "INVITE" else "")

    def _speak_to(self, message):
        host = re.search(r"^c=IN IP4 (\S+)", message.body, re.M).group(1)
        port = re.search(r"^m=audio (\d+)", message.body, re.M).group(1)
        if self.remote is None:
            self.remote = (host, int(port))
            self.voice.speak(self.remote)

    def offer(self):
        return sdp(port=6000).replace("[local_ip]", self.host.address)

    def receive(self, timeout=5.0, condition=lambda message: True):
        """The next message that fits and that nobody was given yet."""
        def find():
            for _, message in self.got:
                if message not in self._taken and condition(message):
                    self._taken.append(message)
                    return message
            return None
        with self._changed:
            message = self._changed.wait_for(find, timeout)
        if message is None:
            raise Failure(f"{self.user}: no fitting message in {timeout:g} s; had: "
                          f"{[m.start for _, m in self.got]}")
        return message

    def call(self, uri):
        """Calls, and speaks when answered; the 200."""
        self.send(self.request("INVITE", uri, body=self.offer()))
        answer = self.final(10)
        expect(answer.status == 200, f"answered: {answer.start}")
        self._speak_to(answer)
        self.send(self.in_dialog("ACK", answer, cseq=1))
        return answer

    def arrivals(self, call_id):
        """When requests of this Call-ID came, each transaction once."""
        found = {}
        for at, message in list(self.got):
            if not message.status and message.get("Call-ID") == call_id:
                found.setdefault(message.all("Via")[0], at)
        return list(found.values())

    def answers(self, call_id):
        """The final responses to a request of ours."""
        return [m for _, m in list(self.got)
                if m.status >= 200 and m.get("Call-ID") == call_id]

    def close(self):
        self.voice.close()
        super().close()


class Talk:
    """alice inside and bob outside, registered, in a call with voice both ways."""

    def __init__(self, pair):
        self.pair = pair
        self.alice = Bare(pair.office.p1, "alice", pair.hrac.host.address)
        self.bob = Bare(pair.lab.out1, "bob", pair.hras.host.address)
        for phone in (self.alice, self.bob):
            expect(phone.register().status == 200, f"{phone.user} is registered")
        self.dialog = self.alice.call("sip:bob@example.com")
        self.said = []
        self.voice_flows(1.0)

    def voice_flows(self, seconds=1.0, timeout=20.0):
        """Waits until for so long nothing was missing, either way."""
        def flows():
            now = time.time() - LATE_MS / 1000
            return all(gap.all_ms == 0 and len(speaker.sent) > 0 and speaker.sent[0] < now - seconds
                       for speaker, gap in self._gaps(now - seconds, now))
        wait_for("voice both ways", flows, timeout)

    def _gaps(self, since, until):
        for speaker, listener in ((self.alice, self.bob), (self.bob, self.alice)):
            yield speaker.voice, Gap(speaker.voice, listener.voice, since, until)

    def say(self):
        """A MESSAGE each way, sent once."""
        for speaker, listener in ((self.alice, self.bob), (self.bob, self.alice)):
            # A Call-ID without an address passes the pair as it is.
            call_id = f"said-{len(self.said)}"
            text = speaker.request("MESSAGE", f"sip:{listener.user}@example.com", body="hello",
                                   kind="text/plain", call_id=call_id)
            self.said.append((speaker, listener, call_id, text))
            speaker.send(text)

    def insist(self):
        """Sends what is not answered once more, as a phone does when nobody answers."""
        for speaker, _, call_id, text in self.said:
            if not speaker.answers(call_id):
                speaker.send(text)

    def all_said_arrives(self, timeout=10.0):
        """Each MESSAGE arrives, once, and so does its answer."""
        for speaker, listener, call_id, _ in self.said:
            wait_for(f"the answer to {speaker.user}'s MESSAGE {call_id}",
                     lambda s=speaker, c=call_id: s.answers(c), timeout)
            answer = speaker.answers(call_id)[0]
            expect(answer.status == 200, f"{speaker.user}'s MESSAGE: {answer.start}")
            n = len(listener.arrivals(call_id))
            expect(n == 1, f"{speaker.user}'s MESSAGE came {n} times")

    def _stall_ms(self, since):
        """For how long this machine stood still since then, by what the phones noticed of it."""
        return max((ms for phone in (self.alice, self.bob) for at, ms in phone.voice.stalls
                    if at >= since), default=0)

    def measure(self, what, since, bar_ms=None):
        """Tells what was missing since then; both gaps are within the bar. While this machine had no
        time for the phones it had none for the agents: that is told, and added to the bar twice."""
        until = time.time() - LATE_MS / 1000
        stall_ms = self._stall_ms(since)
        gaps = {speaker.user: gap for speaker, gap in self._gaps(since, until)}
        out, back = gaps["alice"], gaps["bob"]
        self.pair.lab.measured(
            f"{what}: gap out {out.longest_ms} ms, in {back.longest_ms} ms; missing out "
            f"{out.all_ms} ms, in {back.all_ms} ms; SIP messages {len(self.said)}"
            + (f"; bar {bar_ms} ms" if bar_ms else "")
            + (f"; this machine stood still for {stall_ms:.0f} ms" if stall_ms else ""))
        for user, gap in gaps.items():
            expect(bar_ms is None or gap.longest_ms <= bar_ms + 2 * stall_ms,
                   f"{what}: {gap.longest_ms} ms of {user}'s voice are missing in a row")

    def went_on(self):
        """It is still one call and the same; nothing came twice; what came is what was said."""
        for agent in (self.pair.hras, self.pair.hrac):
            expect(len(agent.wait_calls(1, "up")) == 1, f"{agent.name}: one call")
        for speaker, listener in ((self.alice, self.bob), (self.bob, self.alice)):
            expect(listener.voice.twice == 0, f"{listener.voice.twice} packets came twice")
            for number, payload in list(listener.voice.payloads.items())[::10]:
                expect(payload == speaker.voice.payload(number), f"packet {number} is another")

    def hang_up(self):
        self.alice.send(self.alice.in_dialog("BYE", self.dialog))
        expect(self.alice.final().status == 200, "BYE is answered")
        for agent in (self.pair.hras, self.pair.hrac):
            agent.wait_calls(0)
