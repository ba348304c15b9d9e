# SPDX-License-Identifier: GPL-3.0-or-later
"""A baresip that speaks with a voice of its own and records what it hears."""

import glob
import json
import os
import socket
import threading

from . import audio
from .hearing import Hearing
from .wait import Failure, Timeout, wait_for

MODULES = "/usr/lib/baresip/modules"

_CONFIG = """
poll_method epoll
sip_listen {address}:5060
call_local_timeout 120
call_max_calls 4
audio_source aufile,{voice}
audio_player aubridge,ear
audio_alert aubridge,bell
audio_txmode thread
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
audio_buffer 20-160
rtp_ports 10000-10100
rtcp_mux {mux}
jitter_buffer_delay 5-10
rtp_stats yes
module_path {path}
module g711.so
module sndfile.so
module aufile.so
module aubridge.so
{modules}module_tmp account.so
module_app ctrl_tcp.so
module_app menu.so
snd_path .
ctrl_tcp_listen {address}:4444
"""


class Phone(Hearing):
    """One baresip, registered as `user`.

    proxy      where it sends everything: the agent of its side, "192.168.1.5"
    answer     "auto", "manual" or "early" (answers 183 with SDP, then waits)
    register   False: it only calls by its proxy, and can be called by its address
    extra      more parameters of the account; `modules` more of baresip's modules
    """

    def __init__(self, host, user, proxy=None, answer="manual", password="wonderland",
                 transport="udp", register=True, domain="example.com", extra="", modules=(),
                 mux=False):
        lab = host.lab
        self.host, self.user, self.domain, self.address = host, user, domain, host.address
        self.directory = lab.path(f"{host.name}-{user}")
        os.makedirs(self.directory, exist_ok=True)
        self.voice = lab.voice(user)
        # Names relative to its directory: baresip cuts those that are longer than 127 bytes.
        self._write("config", _CONFIG.format(
            address=host.address, voice=os.path.relpath(self.voice, self.directory), path=MODULES,
            mux="yes" if mux else "no",
            modules="".join(f"module {module}.so\n" for module in modules)))
        outbound = f';outbound="sip:{proxy};transport={transport}"' if proxy else ""
        interval = 600 if register and proxy else 0
        self._write("accounts",
                    f"<sip:{user}@{domain};transport={transport}>;auth_user={user}"
                    f";auth_pass={password}{outbound};regint={interval};answermode={answer}"
                    f";audio_codecs=pcmu;mwi=no;pubint=0{extra}\n")
        self._write("contacts", "")
        self.events = []
        self._token = 0
        self._answers = {}
        self._changed = threading.Condition()
        self.process = host.spawn(f"baresip-{user}", ["baresip", "-f", ".", "-s"],
                                  cwd=self.directory)
        self.control = wait_for(f"baresip of {user}", lambda: host.connect((host.address, 4444)))
        self.control.settimeout(None)
        threading.Thread(target=self._listen, daemon=True).start()
        if interval:
            # Not by its event: that may have come before anybody listened.
            self.process.wait_output(r"\} 200 OK .*binding")

    def _write(self, name, text):
        with open(os.path.join(self.directory, name), "w", encoding="ascii") as file:
            file.write(text)

    # -- Control --

    def _listen(self):
        data = b""
        while True:
            try:
                more = self.control.recv(65536)
            except OSError:
                more = b""
            if not more:
                return
            data += more
            while b":" in data:
                length, rest = data.split(b":", 1)
                if len(rest) <= int(length):
                    break
                text, data = rest[:int(length)], rest[int(length) + 1:]
                self._take(json.loads(text))

    def _take(self, message):
        with self._changed:
            if message.get("event"):
                self.events.append(message)
            else:
                self._answers[message.get("token")] = message
            self._changed.notify_all()

    def command(self, name, params=""):
        """A command of baresip's menu; its answer's text."""
        with self._changed:
            self._token += 1
            token = str(self._token)
        text = json.dumps({"command": name, "params": params, "token": token}).encode()
        self.control.sendall(b"%d:%s," % (len(text), text))
        with self._changed:
            if not self._changed.wait_for(lambda: token in self._answers, 5):
                raise Failure(f"{self.user}: baresip did not answer to {name}")
            answer = self._answers.pop(token)
        if not answer.get("ok"):
            raise Failure(f"{self.user}: {name} {params}: {answer.get('data')}")
        return answer.get("data", "")

    def mark(self):
        """The present, for wait_event(since=...)."""
        with self._changed:
            return len(self.events)

    def wait_event(self, kind, timeout=10.0, since=0):
        """Waits for an event like CALL_ESTABLISHED; the event."""
        def find():
            return next((event for event in self.events[since:] if event["type"] == kind), None)
        with self._changed:
            if not self._changed.wait_for(find, timeout):
                seen = " ".join(event["type"] for event in self.events)
                raise Timeout(f"{self.user}: waited {timeout:g} s in vain for {kind}; had: {seen}")
            return find()

    def wait_closed(self, timeout=10.0, since=0):
        """The end of the call; the reason that baresip gives for it."""
        return self.wait_event("CALL_CLOSED", timeout, since).get("param", "")

    # -- What a person does --

    @property
    def uri(self):
        return f"sip:{self.user}@{self.domain}"

    def dial(self, uri):
        self.command("dial", uri)

    def answer(self):
        self.command("accept")

    def hangup(self):
        self.command("hangup")

    def hold(self):
        self.command("hold")

    def resume(self):
        self.command("resume")

    def message(self, uri, text):
        self.command("message", f"{uri} {text}")

    # -- What it heard --

    def recordings(self):
        """WAV files of what it heard, one a call, the oldest first."""
        return sorted(glob.glob(os.path.join(self.directory, "*dec.wav")), key=os.path.getmtime)

    def heard(self):
        """The samples of the last recording so far."""
        found = self.recordings()
        if not found:
            raise LookupError(f"{self.user} has recorded nothing")
        return audio.read_wav(found[-1])

    def close(self):
        try:
            self.control.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.process.stop()
