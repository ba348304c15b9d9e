# SPDX-License-Identifier: GPL-3.0-or-later
"""The bars that the pair must reach, each beside what was measured. What is compared is the mean of
both directions; what stands for itself is the worse of them."""

from quality_names import both, mean, point, where, who, worst

NOISE_MOS = 0.02                   # of two measurements of the same thing
BETTER_FROM_LOSS, BETTER_MOS = 2, 0.15
BAD_MAX = {20: 0.3}                # percent at 60 ms, by calls
NARROW_TIMES, NARROW_NOISE = 1.2, 0.1
AGAIN_MAX_MS = 400


def bytes_limit(job):
    """How many times plain UDP's bytes are allowed; None where nothing is said."""
    if job["scenario"] != "steady" or job["burst"] or job["jitter"]:
        return None
    if job["loss"] == 0:
        if job["calls"] == 1:
            return 1.4
        return 1.1 if job["tls"] else 1.0
    return 1.6 if job["loss"] == 5 and job["calls"] >= 20 else None


def judge_steady(result, udp):
    job = result["job"]
    margin = -NOISE_MOS if job["loss"] < BETTER_FROM_LOSS else BETTER_MOS
    ours, theirs = mean(result, "mos"), mean(udp, "mos")
    least = "not below" if margin < 0 else f"at least {margin} over"
    yield f"MOS {least} plain UDP's {theirs:.2f}", f"{ours:.2f}", ours >= theirs + margin
    limit = BAD_MAX.get(job["calls"])
    if limit is not None and not job["burst"]:
        bad = worst(result, "bad60")
        yield f"at most {limit} % bad at 60 ms", f"{bad:.2f} %", bad <= limit
    times = bytes_limit(job)
    if times is not None:
        ratio = result["bytes"] / udp["bytes"]
        yield f"at most {times} x plain UDP's bytes", f"{ratio:.2f} x", ratio <= times + 0.005


def judge_narrow(result, udp):
    ours, theirs = mean(result, "bad60"), mean(udp, "bad60")
    yield (f"bad at 60 ms at most {NARROW_TIMES} x plain UDP's {theirs:.2f} %", f"{ours:.2f} %",
           ours <= NARROW_TIMES * theirs + NARROW_NOISE)


def judge_blackout(result, _udp):
    values = both(result, "again")
    yield (f"voice in time within {AGAIN_MAX_MS} ms of its end",
           "never" if None in values else f"{max(values):.0f} ms",
           None not in values and max(values) <= AGAIN_MAX_MS)


def judge_changing(result, udp):
    ours, theirs = mean(result, "mos"), mean(udp, "mos")
    yield (f"MOS not below plain UDP's {theirs:.2f}", f"{ours:.2f}", ours >= theirs - NOISE_MOS)


def judge_sip(result, idle):
    limit = idle["setup"]["p95"] + 2 * result["job"]["rtt"] + 200
    p95 = result["setup"]["p95"]
    yield f"p95 of call setup at most {limit:.0f} ms", f"{p95:.0f} ms", p95 <= limit


JUDGES = {"steady": judge_steady, "narrow": judge_narrow, "blackout": judge_blackout,
          "flapping": judge_changing, "stepping": judge_changing,
          "jitter": judge_changing}


def reference(result, results):
    """What it is compared with: plain UDP at the same point, or call setup on an idle line."""
    job = result["job"]
    for other in results:
        theirs = other["job"]
        if job["scenario"] == "sip":
            if "setup" in other and theirs["calls"] == 0 and theirs["rtt"] == job["rtt"] and \
                    who(theirs) == who(job):
                return other
        elif theirs["system"] == "udp" and point(theirs) == point(job):
            return other
    return None


def judge(results):
    """[((where, who, bar, measured), whether it was met)]"""
    verdicts = []
    good = [result for result in results if "failed" not in result]
    for result in good:
        job = result["job"]
        judges = judge_sip if job["scenario"] == "sip" else JUDGES.get(job["scenario"])
        other = reference(result, good)
        if job["system"] != "vofw" or judges is None or other is None or other is result:
            continue
        verdicts += [((where(job), who(job), bar, measured), met)
                     for bar, measured, met in judges(result, other)]
    return verdicts
