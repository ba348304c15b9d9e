# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job and its result are called, and the two directions of a result taken together."""

POINT = ("scenario", "calls", "rtt", "loss", "burst", "jitter", "rate", "queue")
WHO = ("system", "tls", "squid", "cc")


def point(job):
    return tuple(job[name] for name in POINT)


def key(job):
    """What makes two jobs the same measurement."""
    return tuple(job[name] for name in WHO) + point(job) + (
        job["seconds"], tuple(sorted(job["tunnel"].items())))


def who(job):
    name = job["system"]
    if name == "udp":
        return name
    name += "".join(f"+{extra}" for extra in ("tls", "squid") if job[extra])
    return name if job["cc"] == "cubic" else f"{name} ({job['cc']})"


def where(job):
    words = [] if job["scenario"] == "steady" else [job["scenario"]]
    words += [f"{job['calls']} call{'s' * (job['calls'] != 1)}", f"RTT {job['rtt']}", f"loss {job['loss']}"]
    words += [f"{name} {job[name]}" for name in ("burst", "jitter", "rate") if job[name]]
    return " ".join(words)


def both(result, name):
    return result["in"][name], result["out"][name]


def mean(result, name):
    """Of both directions."""
    return sum(both(result, name)) / 2


def worst(result, name):
    """The worse of both directions."""
    values = [value for value in both(result, name) if value is not None]
    if not values:
        return None
    return min(values) if name.startswith("mos") else max(values)
