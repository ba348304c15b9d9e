# SPDX-License-Identifier: GPL-3.0-or-later
"""What a listener would have heard: from the delays of all packets to late shares and MOS.

A listener is a playout buffer of fixed depth: it plays each packet MINIMUM + 60 ms after it was sent,
MINIMUM being the least delay of the direction (that of one packet in a thousand, for a single one
may be the instruments' error), and a packet that is not there by then is as bad as
a lost one. MOS is the E-model of G.107 as Cole and Rosenbluth reduced it, for G.711 with
concealment of losses.
"""

import array
import struct

NEVER = 0xffffffff                 # of a packet that did not come
PACKET_MS = 20
PLAYOUT_MS = 60                    # beyond the minimum
MINIMUM = 0.001
_HEAD = struct.Struct("=IIQ")      # struct dump of rtp_load.c
BASIC_R, ROBUSTNESS, CODEC_MS = 94.2, 25.1, 20


# -- The E-model --

def rating(delay_ms, bad_percent):
    """R of a mouth-to-ear delay and of a share of packets that are late or lost, in percent."""
    by_delay = 0.024 * delay_ms + (0.11 * (delay_ms - 177.3) if delay_ms > 177.3 else 0)
    return BASIC_R - by_delay - 95 * bad_percent / (bad_percent + ROBUSTNESS)


def mos_of_rating(r):
    if r <= 0:
        return 1.0
    if r >= 100:
        return 4.5
    return 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6


def mos(minimum_ms, bad_percent, playout_ms=PLAYOUT_MS):
    return mos_of_rating(rating(CODEC_MS + minimum_ms + playout_ms, bad_percent))


# -- Delays --

class Dump:
    """What rtp_load wrote: `ways` has "in" and "out", each an array of delays in us for each call."""

    def __init__(self, path):
        with open(path, "rb") as f:
            calls, self.packets, self.begin_ns = _HEAD.unpack(f.read(_HEAD.size))
            self.ways = {way: [self._row(f) for _ in range(calls)] for way in ("in", "out")}
        self.calls = calls

    def _row(self, f):
        row = array.array("I")
        row.fromfile(f, self.packets)
        return row

    def sent_ms(self, call, packet):
        """When it was sent, from the begin of the measured time."""
        return (packet + call / self.calls) * PACKET_MS


def percentile(ordered, share):
    return ordered[int(share * (len(ordered) - 1))] if ordered else None


def bad_n(row, limit_us):
    """Late or lost; what never came has the greatest delay of all."""
    return sum(delay > limit_us for delay in row)


def _ms(us):
    return None if us is None else round(us / 1000, 2)


def facts(rows):
    """The figures of one direction; shares are in percent, times in ms."""
    ordered = sorted(delay for row in rows for delay in row if delay != NEVER)
    sent = sum(len(row) for row in rows)
    result = {"sent": sent, "lost": 100 * (sent - len(ordered)) / sent,
              "min": _ms(percentile(ordered, MINIMUM)), "p50": _ms(percentile(ordered, .5)),
              "p99": _ms(percentile(ordered, .99)), "max": _ms(percentile(ordered, 1))}
    if not ordered:
        return {**result, "bad60": 100.0, "bad100": 100.0, "mos": 1.0, "mos_p10": 1.0}
    least = percentile(ordered, MINIMUM)
    per_call = [bad_n(row, least + PLAYOUT_MS * 1000) for row in rows]
    each = sorted(mos(least / 1000, 100 * bad / len(row)) for bad, row in zip(per_call, rows))
    bad = 100 * sum(per_call) / sent
    return {**result, "bad60": bad,
            "bad100": 100 * sum(bad_n(row, least + 100_000) for row in rows) / sent,
            "mos": mos(least / 1000, bad), "mos_p10": percentile(each, .1)}


def phase_of(phases, ms):
    """Which of the phases that begin at these moments (the first at 0) has the moment `ms`."""
    return max(i for i, at in enumerate(phases) if at <= ms)


def by_phase(dump, way, phases):
    """The delays of a direction by phase. `phases` are the moments (in ms, from 0) at which the line
    got another delay: a listener's buffer has followed it, so each phase has a minimum of its own."""
    result = [[] for _ in phases]
    for call, row in enumerate(dump.ways[way]):
        for packet, delay in enumerate(row):
            result[phase_of(phases, dump.sent_ms(call, packet))].append(delay)
    return result


def facts_of_phases(dump, way, phases):
    """Shares and MOS of a direction whose line changes its delay, each the mean of its phases."""
    told = [facts([delays]) for delays in by_phase(dump, way, phases)]
    return {name: sum(f[name] for f in told) / len(told) for name in ("bad60", "bad100", "mos", "mos_p10")}


def series(dump, way, phases, bin_ms=200):
    """The direction over time: for each bin its begin in s, the share late or lost in percent and
    the p99 delay in ms (None if nothing came); phases as in by_phase."""
    bins = [[] for _ in range(-(-dump.packets * PACKET_MS // bin_ms))]
    for call, row in enumerate(dump.ways[way]):
        for packet, delay in enumerate(row):
            bins[int(dump.sent_ms(call, packet) / bin_ms)].append(delay)
    limits = [facts([delays])["min"] for delays in by_phase(dump, way, phases)]
    result = []
    for b, delays in enumerate(bins):
        least = limits[phase_of(phases, b * bin_ms)] or 0
        bad = bad_n(delays, 1000 * (least + PLAYOUT_MS))
        came = sorted(delay for delay in delays if delay != NEVER)
        result.append((b * bin_ms / 1000, round(100 * bad / max(1, len(delays)), 2),
                       _ms(percentile(came, .99))))
    return result


def recovery(dump, way, end_ms, minimum_us, steady_ms=500):
    """After a black-out that ended at `end_ms`: in how many ms voice was there again, as (the first
    packet that arrived in time, the first that began half a second with at most 5 % bad). None if
    it never was."""
    limit = minimum_us + PLAYOUT_MS * 1000
    sent = sorted((dump.sent_ms(call, packet), delay) for call, row in enumerate(dump.ways[way])
                  for packet, delay in enumerate(row))
    arrived = [at + delay / 1000 for at, delay in sent if delay <= limit]
    first = min((at - end_ms for at in arrived if at >= end_ms), default=None)
    steady = None
    after = [(at, delay) for at, delay in sent if at >= end_ms - limit / 1000]
    for at, delay in after:
        if delay > limit or at + delay / 1000 < end_ms or at > after[-1][0] - steady_ms:
            continue
        window = [d for t, d in after if at <= t < at + steady_ms]
        if bad_n(window, limit) <= 0.05 * len(window):
            steady = at + delay / 1000 - end_ms
            break
    return first, steady
