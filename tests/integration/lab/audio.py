# SPDX-License-Identifier: GPL-3.0-or-later
"""Voices and ears: a signal of its own for each phone, and the comparison of what another phone
recorded with it. 16 bit, mono, 8 kHz throughout."""

import array
import math
import os
import random
import struct
import sys
import wave

RATE = 8000
FRAME = RATE // 50          # 20 ms
GOOD = 0.9                  # a window correlated as well as this is the same sound
_MIN_RMS = 100.0            # below it a window holds no speech that could be compared


def make_voice(path, name, seconds=60):
    """Writes a WAV with something like speech: syllables of varied length, loudness and pitch with
    pauses between them. `name` alone decides how it sounds, and no two names sound alike."""
    chance = random.Random("voice of " + name)
    samples = array.array("h")
    while len(samples) < seconds * RATE:
        _add_syllable(samples, chance)
        samples.extend([0] * int(chance.uniform(0.03, 0.12) * RATE))
    del samples[seconds * RATE:]
    temporary = f"{path}.{os.getpid()}"
    with wave.open(temporary, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(_little_endian(samples).tobytes())
    os.replace(temporary, path)


def _add_syllable(samples, chance):
    n = int(chance.uniform(0.08, 0.25) * RATE)
    loudness = chance.uniform(2500, 7000)
    pitch = chance.uniform(90, 280)
    glide = chance.uniform(-0.3, 0.3) / n
    partials = [(k, chance.uniform(0.1, 1.0), chance.uniform(0, 6.3)) for k in (1, 3, 5, 8)]
    total = sum(weight for _, weight, _ in partials)
    phase, sin, noise = 0.0, math.sin, chance.random
    for i in range(n):
        phase += 2 * math.pi * pitch * (1 + glide * i) / RATE
        tone = sum(weight * sin(k * phase + start) for k, weight, start in partials) / total
        envelope = sin(math.pi * (i + 0.5) / n)
        samples.append(int(loudness * envelope * (0.8 * tone + 0.4 * (noise() - 0.5))))


def _little_endian(samples):
    if sys.byteorder == "big":
        samples = array.array("h", samples)
        samples.byteswap()
    return samples


def read_wav(path):
    """The samples of a 16 bit mono 8 kHz WAV; also of one that is still being written, whose header
    says 0 for the length, or is nothing but zeros yet."""
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < 44:
        raise ValueError(f"{path}: no WAV yet")
    begin = 44
    if data[:4] != b"\0\0\0\0":
        begin = _data_chunk(path, data)
    samples = array.array("h")
    samples.frombytes(data[begin:len(data) - (len(data) - begin) % 2])
    return _little_endian(samples)


def _data_chunk(path, data):
    at, form = 12, None
    while at + 8 <= len(data):
        chunk, length = data[at:at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if chunk == b"fmt ":
            channels, rate, _, _, bits = struct.unpack_from("<HIIHH", data, at + 10)
            form = (rate, channels, bits)
        if chunk == b"data":
            break
        at += 8 + length + (length & 1)
    if form != (RATE, 1, 16):
        raise ValueError(f"{path}: (rate, channels, bits) {form}")
    return at + 8


def seconds(samples):
    return len(samples) / RATE


def _dot(a, b):
    return sum(map(int.__mul__, a, b))


def _correlation(a, b):
    """Normalised, -1..1; of lists of the same length."""
    energy = _dot(a, a) * _dot(b, b)
    return _dot(a, b) / math.sqrt(energy) if energy else 0.0


def _envelope(samples):
    """The loudness of each 5 ms."""
    step = RATE // 200
    magnitude = list(map(abs, samples))
    return [sum(magnitude[i:i + step]) for i in range(0, len(magnitude) - step + 1, step)]


class Window:
    """A piece of a recording found again in the voice it came from."""

    def __init__(self, at_s, correlation, lag):
        self.at_s = at_s                # where it begins in the recording
        self.correlation = correlation  # with the voice, at `lag`
        self.lag = lag                  # samples: voice position = recording position + lag

    def __repr__(self):
        return f"{self.at_s:.2f} s: {self.correlation:.3f} at {self.lag / RATE:+.3f} s"


class Ear:
    """Finds pieces of recordings in one voice. It remembers where the last piece was found, since
    the next is nearly always beside it."""

    def __init__(self, voice_path):
        self.voice = list(read_wav(voice_path))
        self.envelope = _envelope(self.voice)
        self.lag = None

    def window(self, recording, start, length):
        """The best place in the voice for recording[start : start + length]."""
        piece = list(recording[start:start + length])
        if math.sqrt(_dot(piece, piece) / max(1, len(piece))) < _MIN_RMS:
            return Window(start / RATE, 0.0, self.lag or 0)
        if self.lag is not None:
            found = self._fine(piece, start, [self.lag])
            if found.correlation < GOOD:
                found = self._fine(piece, start, range(self.lag - 2 * FRAME, self.lag + 2 * FRAME))
            if found.correlation >= GOOD:
                self.lag = found.lag
                return found
        found = max((self._fine(piece, start, range(lag - 60, lag + 60))
                     for lag in self._coarse(piece, start)),
                    key=lambda window: window.correlation)
        if found.correlation >= GOOD:
            self.lag = found.lag
        return found

    def _coarse(self, piece, start, best=3):
        """The likeliest lags by the loudness alone."""
        shape = _envelope(piece)
        mean = sum(shape) / len(shape)
        shape = [round(value - mean) for value in shape]
        step, n = RATE // 200, len(shape)
        scores = []
        total = sum(self.envelope[:n])
        squares = sum(value * value for value in self.envelope[:n])
        for i in range(len(self.envelope) - n):
            score = _dot(shape, self.envelope[i:i + n])
            spread = squares - total * total / n
            scores.append((score / math.sqrt(spread + 1), i))
            entering, leaving = self.envelope[i + n], self.envelope[i]
            total += entering - leaving
            squares += entering * entering - leaving * leaving
        scores.sort(reverse=True)
        return [i * step - start for _, i in scores[:best]]

    def _fine(self, piece, start, lags):
        best = Window(start / RATE, -1.0, 0)
        for lag in lags:
            begin = start + lag
            if begin < 0 or begin + len(piece) > len(self.voice):
                continue
            value = _correlation(piece, self.voice[begin:begin + len(piece)])
            if value > best.correlation:
                best = Window(start / RATE, value, lag)
        return best


class Match:
    """How much of a recording is one voice."""

    def __init__(self, windows, length):
        self.windows = windows
        self.length = length  # samples of a window
        self.good = [window for window in windows if window.correlation >= GOOD]

    @property
    def share(self):
        """Of the windows, those that hold the voice: 0..1."""
        return len(self.good) / len(self.windows) if self.windows else 0.0

    @property
    def correlation(self):
        """The median over all windows."""
        values = sorted(window.correlation for window in self.windows)
        return values[len(values) // 2] if values else 0.0

    @property
    def lost_ms(self):
        """How much of the voice is missing between the first and the last good window. A phone that
        gets no packets records nothing, so a gap shows as a jump in the voice."""
        if len(self.good) < 2:
            return 0.0
        return max(0.0, (self.good[-1].lag - self.good[0].lag) * 1000 / RATE)

    def __str__(self):
        return (f"correlation {self.correlation:.3f}, {len(self.good)} of {len(self.windows)} "
                f"windows good, {self.lost_ms:.0f} ms lost")


def compare(recording, ear, begin=0, window_s=0.5):
    """Compares recording[begin:] (samples) with the voice of `ear`, window by window."""
    length = int(window_s * RATE)
    windows = [ear.window(recording, start, length)
               for start in range(begin, len(recording) - length + 1, length)]
    return Match(windows, length)
