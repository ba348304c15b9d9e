# SPDX-License-Identifier: GPL-3.0-or-later
"""RTP with G.711 (PCMU): what a wire carried to a phone, and a socket that speaks and listens."""

import array
import socket
import threading
import time

from . import audio
from .hearing import Hearing

_BIAS = 0x84


def _decode(code):
    code = ~code & 0xff
    magnitude = (((code & 15) << 3) + _BIAS) << (code >> 4 & 7)
    return _BIAS - magnitude if code & 0x80 else magnitude - _BIAS


def encode(sample):
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32635) + _BIAS
    exponent = max(0, magnitude.bit_length() - 8)
    return ~(sign | exponent << 4 | magnitude >> exponent + 3 & 15) & 0xff


_TO_LINEAR = [_decode(code) for code in range(256)]


def to_samples(payload):
    return [_TO_LINEAR[code] for code in payload]


def _voice_of(packets):
    """The samples of RTP packets (header and payload) in the order of their sequence numbers, each
    once, as a jitter buffer of any length would give them. Nothing stands for what is missing."""
    frames, last = {}, {}
    for data in packets:
        if data[1] & 0x7f != 0:     # another payload type: DTMF, comfort noise
            continue
        source, number = data[8:12], int.from_bytes(data[2:4], "big")
        before = last.get(source, number)
        number = before + ((number - before + 0x8000) & 0xffff) - 0x8000
        last[source] = max(before, number)
        frames.setdefault((list(last).index(source), number), data[12 + 4 * (data[0] & 15):])
    samples = array.array("h")
    for key in sorted(frames):
        samples.extend(to_samples(frames[key]))
    return samples


class Tap(Hearing):
    """What a phone was sent, taken from a capture of its wire: for phones that stop recording."""

    def __init__(self, phone, capture):
        self.user, self.voice = phone.user, phone.voice
        self.address, self.capture = phone.address, capture

    def heard(self):
        return _voice_of(p.payload for p in self.capture.packets()
                         if p.is_rtp and p.target[0] == self.address)


class Talker(Hearing):
    """The media half of a phone: speaks with the voice of `user` to `target` from the moment that
    is known, and keeps what it hears."""

    def __init__(self, host, user, port):
        self.user, self.address, self.port = user, host.address, port
        self.voice = host.lab.voice(user)
        self._socket = host.socket(bind=(host.address, port), timeout=None)
        self._heard = []
        self._ended = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def speak(self, target):
        threading.Thread(target=self._speak, args=(target,), daemon=True).start()

    def _speak(self, target):
        samples = audio.read_wav(self.voice)
        begin = time.monotonic()
        for number in range(len(samples) // audio.FRAME):
            at = number * audio.FRAME
            payload = bytes(map(encode, samples[at:at + audio.FRAME]))
            header = (b"\x80\x00" + number.to_bytes(2, "big") + at.to_bytes(4, "big")
                      + self.port.to_bytes(4, "big"))
            if self._ended.wait(max(0.0, begin + number / 50 - time.monotonic())):
                return
            self._socket.sendto(header + payload, target)

    def _listen(self):
        while True:
            try:
                data = self._socket.recv(2000)
            except (OSError, socket.timeout):
                return
            if len(data) > 12 and not 192 <= data[1] <= 223:
                self._heard.append(data)

    def heard(self):
        return _voice_of(list(self._heard))

    def close(self):
        self._ended.set()
        self._socket.close()
