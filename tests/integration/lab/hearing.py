# SPDX-License-Identifier: GPL-3.0-or-later
"""What every phone of the laboratory can do: record, and be asked whom it hears."""

from . import audio
from .wait import wait_for


class Hearing:
    """The listening half of a phone; a subclass has `user`, `voice` and heard()."""

    user = None
    voice = None
    needed_share = 1.0      # of the windows, for wait_heard

    def heard(self):
        """The samples of the last call so far; LookupError or ValueError when there are none."""
        raise NotImplementedError

    def _ear_for(self, voice):
        ears = self.__dict__.setdefault("_ears", {})
        if voice not in ears:
            ears[voice] = audio.Ear(voice)
        return ears[voice]

    def now(self):
        """The length of the recording in samples, for wait_heard(since=...)."""
        try:
            return len(self.heard())
        except (LookupError, ValueError, OSError):
            return 0

    def wait_recorded(self, seconds, since=0, timeout=60.0):
        """Waits until so much was recorded after sample `since`, whatever it is."""
        wait_for(f"{self.user} to record {seconds:g} s",
                 lambda: self.now() >= since + seconds * audio.RATE, timeout, every=0.2)

    def match(self, speaker, since=0):
        """How much of the recording after sample `since` is the voice of the phone `speaker`."""
        return audio.compare(self.heard(), self._ear_for(speaker.voice), since)

    def wait_heard(self, speaker, seconds=2.0, since=0, timeout=15.0):
        """Waits until the last `seconds` of the recording are the voice of the phone `speaker`,
        all of them recorded after sample `since`; the Match."""
        length = int(seconds * audio.RATE)

        def listen():
            samples = self.heard()
            if len(samples) < since + length:
                raise ValueError(f"{len(samples) / audio.RATE:.1f} s recorded, "
                                 f"{since / audio.RATE:.1f} s of them before")
            match = audio.compare(samples, self._ear_for(speaker.voice), len(samples) - length)
            if match.share < self.needed_share:
                raise ValueError(str(match))
            return match
        return wait_for(f"{self.user} to hear {speaker.user}", listen, timeout, every=0.1)
