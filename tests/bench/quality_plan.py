# SPDX-License-Identifier: GPL-3.0-or-later
"""Which jobs: those of the command line, the decisive ones, all of them. Jobs at the same point stand
together, so that what is compared is measured in the same minute."""

SCENARIOS = {
    "steady": {}, "blackout": {"seconds": 20, "loss": 0}, "sip": {},
    "narrow": {"loss": 1, "queue": 100},
    "flapping": {"seconds": 24, "loss": 0}, "stepping": {"seconds": 32, "rtt": 20, "loss": 0},
    "jitter": {"jitter": 30, "loss": 0},
}
NARROW_KBIT = {1: 100}             # else of each call
NARROW_KBIT_PER_CALL = 86
VOFW = ("vofw",)


def job(options, system, **point):
    result = {"system": system, "tls": False, "squid": False, "cc": "cubic", "scenario": "steady",
              "calls": 20, "rtt": 80, "loss": 0, "burst": 0, "jitter": 0, "rate": 0, "queue": 0,
              "warm_up": options.warm_up, "seconds": options.seconds, "seed": options.seed,
              "real_time": options.real_time, "tunnel": {}}
    scenario = point.get("scenario", "steady")
    result.update(point)
    result.update(SCENARIOS[scenario])
    if scenario == "narrow":
        calls = result["calls"]
        result["queue"] = point.get("queue") or result["queue"]
        result["rate"] = point.get("rate") or NARROW_KBIT.get(calls, NARROW_KBIT_PER_CALL * calls)
    if system in VOFW and options.tunnel:
        result["tunnel"] = dict(word.split("=", 1) for word in options.tunnel)
    return result


def expand(options):
    """Every combination of what the command line lists."""
    jobs, seen = [], set()
    names = ("scenario", "calls", "rtt", "loss", "burst", "jitter", "rate", "queue")
    points = [{}]
    for name in names:
        points = [{**point, name: value} for point in points for value in getattr(options, name)]
    for point in points:
        for system in options.systems:
            for cc in options.cc if system != "udp" else options.cc[:1]:
                ours = system in VOFW
                made = job(options, system, cc=cc, tls=options.tls and ours,
                           squid=options.squid and ours, **point)
                if repr(made) not in seen:
                    seen.add(repr(made))
                    jobs.append(made)
    return jobs


# -- The decisive cells --

QUICK = [{"loss": 0}, {"loss": 1}, {"loss": 2}, {"loss": 5}, {"rtt": 20, "loss": 2},
         {"rtt": 160, "loss": 2}, {"calls": 1, "loss": 2}, {"burst": 60},
         {"scenario": "blackout"}, {"scenario": "narrow"}, {"scenario": "narrow", "calls": 1}]
QUICK_SECONDS = 15


def quick(options):
    """Some four minutes on two cores."""
    options.seconds = min(options.seconds, QUICK_SECONDS)
    jobs = [job(options, system, **{"loss": 0, **point}) for point in QUICK
            for system in ("udp", "vofw")]
    return jobs + [job(options, "vofw", **point) for point in sip_points(20)]


def sip_points(calls):
    """Call setup on an idle clean line, and at 5 % loss with so many calls."""
    return [{"scenario": "sip", "calls": 0, "loss": 0},
            {"scenario": "sip", "calls": calls, "loss": 5}]


# -- Everything --

LOSSES, RTTS, BURSTS = (0, 0.5, 1, 2, 5), (20, 80, 160), (20, 60, 120)
PEERS = ("turn", "openvpn", "softether", "shim")
CHANGING = ("flapping", "stepping", "jitter")


def cells(calls):
    return [{"calls": n, "rtt": rtt, "loss": loss} for n in calls for rtt in RTTS
            for loss in LOSSES]


def bursts():
    return [{"calls": n, "rtt": rtt, "loss": 0, "burst": burst} for n in (20, 1)
            for rtt in RTTS for burst in BURSTS]


def core(options):
    """Every cell: plain UDP and the pair."""
    return [job(options, system, **point) for point in cells((20, 1)) + bursts() + cells((200,))
            for system in ("udp", "vofw")]


def variants(options):
    """The pair in all its ways out, and with the other congestion control."""
    ways = ({"cc": "bbr"}, {"tls": True}, {"squid": True}, {"tls": True, "squid": True},
            {"tls": True, "squid": True, "cc": "bbr"})
    return [job(options, system, **point, **way) for point in cells((20, 200))
            for system, way in [("udp", {}), *(("vofw", way) for way in ways)]
            if point["calls"] == 20 or point["loss"] in (0, 2, 5)]


def peers(options):
    return [job(options, system, **point, cc=cc) for point in cells((20,)) + cells((1, 200))
            for cc in ("cubic", "bbr") for system in PEERS
            if point["calls"] == 20 or point["loss"] in (0, 1, 5)]


def scenarios(options):
    points = [{"scenario": "blackout"}, {"scenario": "blackout", "rtt": 20},
              {"scenario": "narrow"}, {"scenario": "narrow", "calls": 1},
              {"scenario": "narrow", "rtt": 20}] + [{"scenario": name} for name in CHANGING]
    jobs = [job(options, system, **{**point, "cc": cc}) for point in points
            for system, cc in (("udp", "cubic"), ("vofw", "cubic"), ("vofw", "bbr"),
                               ("turn", "cubic"), ("openvpn", "cubic"))]
    return jobs + [job(options, system, **point, rtt=rtt) for calls in (20, 200)
                   for rtt in RTTS for point in sip_points(calls) for system in ("udp", "vofw")]


PARTS = {"core": core, "scenarios": scenarios, "peers": peers, "variants": variants}


def matrix(options):
    """The parts that --matrix names; a job that two parts ask for is done once."""
    jobs = []
    for part in options.matrix.split(","):
        for made in sum((f(options) for f in PARTS.values()), []) if part == "all" else \
                PARTS[part](options):
            if made not in jobs:
                jobs.append(made)
    return jobs
