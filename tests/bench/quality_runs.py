# SPDX-License-Identifier: GPL-3.0-or-later
"""The measurements: each takes a world with its line and a system on it, and gives a dictionary.

A job says what to measure: system, tls, squid, cc, scenario, calls, rtt, loss, burst, jitter, rate,
queue (0: none), warm_up, seconds. What is measured is the time after `warm_up`; the line is clean
while calls are set up, and bad from the first packet of voice on."""

import time

from quality_lab import Load, World
from quality_stats import Dump, facts, facts_of_phases, percentile, recovery, series
from quality_peers import SYSTEMS

BURST_EVERY_MS = 2000
BLACKOUT_AT_S, BLACKOUT_S = 5, 3
SIP_CALLS = 100
# Beyond these the instruments were disturbed: how late the line let packets out, and the generator
# was behind its plan.
LATE_US = {"p99": 500, "max": 15_000}
BEHIND_US = 15_000


def of_line(job):
    """What the job's line does besides its delay."""
    return {"loss_pct": job["loss"], "jitter_ms": job["jitter"], "burst_ms": job["burst"],
            "burst_every_ms": BURST_EVERY_MS if job["burst"] else 0,
            "rate_kbit": job["rate"], "queue_ms": job["queue"]}


def changes(job):
    """Scenarios in which the line changes: [(second of the measured time, settings)]."""
    scenario, seconds = job["scenario"], job["seconds"]
    if scenario == "blackout":
        return [(BLACKOUT_AT_S, {"on": 0}), (BLACKOUT_AT_S + BLACKOUT_S, {"on": 1})]
    if scenario == "flapping":
        return [(at, {"loss_pct": 5 if at % 8 == 4 else 0}) for at in range(0, seconds, 4)]
    if scenario == "stepping":
        return [(at, {"delay_ms": 80 if at % 16 == 8 else 10}) for at in range(0, seconds, 8)]
    return []


class Measurement:
    """The voice of one run: the line's counters around the measured time and all delays."""

    def __init__(self, world, system, timeline=()):
        job = world.job
        warm_up = job["warm_up"] if system.adapts else min(3, job["warm_up"])
        load = Load(world, system, warm_up, job["seconds"])
        try:
            load.wait("measuring")
            begun = time.time_ns()
            world.line.reset()
            self.changed_ns = [self._change(world, begun, *change) for change in timeline]
            load.wait("sent")
            counted = world.line.stats().values()
            self.generator = load.results()
        finally:
            load.stop()
        self.line = {name: sum(way[name] for way in counted)
                     for name in ("bytes", "packets", "tcp_packets", "overrun")}
        self.line_late_us = {name: max(way[f"late_{name}_us"] for way in counted)
                             for name in LATE_US}
        self.dump = Dump(load.dump)

    @staticmethod
    def _change(world, begun, at_s, settings):
        time.sleep(max(0, begun / 1e9 + at_s - time.time()))
        world.line.set(**settings)
        return time.time_ns()

    def result(self):
        sent = self.generator["sent"]
        return {"in": facts(self.dump.ways["in"]), "out": facts(self.dump.ways["out"]),
                "bytes": self.line["bytes"] / sent, "packets": self.line["packets"] / sent,
                "tcp_share": self.line["tcp_packets"] / max(1, self.line["packets"]),
                "duplicates": self.generator["duplicates"],
                "suspect": self._suspect()}

    def _suspect(self):
        """What makes the run worth less; empty if nothing does."""
        doubts = []
        if self.generator["behind_us"] > BEHIND_US:
            doubts.append(f"generator {self.generator['behind_us'] / 1000:.0f} ms behind")
        doubts += [f"line {late / 1000:.1f} ms late ({name})"
                   for name, late in self.line_late_us.items() if late > LATE_US[name]]
        if self.line["overrun"]:
            doubts.append(f"line overrun {self.line['overrun']} times")
        if self.generator["send_failed"]:
            doubts.append(f"{self.generator['send_failed']} not sent")
        return doubts


def run_voice(world, system):
    job = world.job
    timeline = changes(job)
    measured = Measurement(world, system, timeline)
    result = measured.result()
    if job["scenario"] == "blackout":
        end_ms = (measured.changed_ns[-1] - measured.dump.begin_ns) / 1e6
        for way in ("in", "out"):
            least = 1000 * result[way]["min"] if result[way]["min"] is not None else 0
            result[way]["again"], result[way]["steady"] = recovery(
                measured.dump, way, end_ms, least)
    if job["scenario"] != "steady":
        phases = [at * 1000 for at, settings in timeline if "delay_ms" in settings] or [0]
        result["series"] = {way: series(measured.dump, way, phases) for way in ("in", "out")}
        if len(phases) > 1:
            for way in ("in", "out"):
                result[way].update(facts_of_phases(measured.dump, way, phases))
    return result


def run_sip(world, system):
    """Calls set up one after another, with the voice of `calls` others in the background."""
    job = world.job
    phones = getattr(system, "dialled", None) or system.phones()
    load = Load(world, system, 0, 600) if job["calls"] else None
    took = []
    try:
        if load is not None:
            load.wait("measuring")
            time.sleep(job["warm_up"])
        for _ in range(job.get("setups", SIP_CALLS)):
            begun = time.monotonic()
            phones.dial(1, timeout=30)
            took.append((time.monotonic() - begun) * 1000)
            phones.hang_up(only=phones.last(), timeout=30)
    finally:
        if load is not None:
            load.stop()
    took.sort()
    return {"setup": {"calls": len(took), "p50": percentile(took, .5), "p95": percentile(took, .95),
                      "max": took[-1]}}


def run_job(job, directory):
    """In a sandbox: the job's world, system and measurement; the result."""
    world = World(job, directory)
    world.line.set(delay_ms=job["rtt"] / 2)
    started = time.time()
    try:
        with SYSTEMS[job["system"]](world) as system:
            world.line.set(**of_line(job))
            result = (run_sip if job["scenario"] == "sip" else run_voice)(world, system)
            world.line.set(loss_pct=0, burst_ms=0, burst_every_ms=0)
            return {"job": job, "time": int(started), **result, "told": system.told()}
    except Exception:
        print(world.story())
        raise
