# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of results: a line at once, tables, verdicts, plots."""

import json

from quality_names import both, point, where, who, worst
from quality_plots import plot_all
from quality_verdicts import judge

def load(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def line(result):
    """One line of text."""
    job = result["job"]
    text = f"{where(job):32} {who(job):18}"
    if "failed" in result:
        return f"{text} FAILED: {result['failed']} {result.get('log', '')}"
    if "setup" in result:
        setup = result["setup"]
        return (f"{text} setup p50 {setup['p50']:.0f} p95 {setup['p95']:.0f} "
                f"max {setup['max']:.0f} ms")
    two = "{0[0]:.2f}/{0[1]:.2f}".format
    text += (f" MOS {two(both(result, 'mos'))} p10 {two(both(result, 'mos_p10'))} "
             f"bad60 {two(both(result, 'bad60'))} bad100 {two(both(result, 'bad100'))} "
             f"lost {two(both(result, 'lost'))} % "
             f"min {result['in']['min']}/{result['out']['min']} "
             f"p50 {result['in']['p50']}/{result['out']['p50']} "
             f"p99 {result['in']['p99']}/{result['out']['p99']} ms, {result['bytes']:.0f} B")
    if "again" in result["in"]:
        again = [f"{value:.0f}" if value is not None else "never" for name in ("again", "steady")
                 for value in both(result, name)]
        text += f" again {'/'.join(again[:2])} steady {'/'.join(again[2:])} ms"
    if result["suspect"]:
        text += f" SUSPECT: {', '.join(result['suspect'])}"
    return text


# -- Tables --

def print_table(head, rows):
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def ordered(results):
    return sorted(results, key=lambda r: (point(r["job"]), r["job"]["system"] != "udp",
                                          who(r["job"])))


def voice_row(result):
    shares = [f"{worst(result, name):.2f}" for name in ("mos", "mos_p10", "bad60", "bad100", "lost")]
    again = "-"
    if "again" in result["in"]:
        values = both(result, "again")
        again = "never" if None in values else f"{max(values):.0f}"
    return [where(result["job"]), who(result["job"]), *shares, str(worst(result, "p99")), again,
            f"{result['bytes']:.0f}", f"{result['packets']:.2f}", "; ".join(result["suspect"])]


def tables(results):
    good = ordered(result for result in results if "failed" not in result)
    voice = [voice_row(result) for result in good if "setup" not in result]
    if voice:
        print("The worse direction of each; bad is late or lost, with a buffer of so many ms beyond "
              "the minimum.\n")
        print_table(["line", "system", "MOS", "p10 of calls", "bad at 60, %", "at 100, %", "lost, %",
                     "p99, ms", "again, ms", "bytes", "packets", ""], voice)
    setup = [[where(result["job"]), who(result["job"]), str(result["setup"]["calls"]),
              *(f"{result['setup'][name]:.0f}" for name in ("p50", "p95", "max"))]
             for result in good if "setup" in result]
    if setup:
        print_table(["line", "system", "calls set up", "p50, ms", "p95, ms", "max, ms"], setup)
    for result in results:
        if "failed" in result:
            print(f"- {where(result['job'])}, {who(result['job'])}: {result['failed']}")


def write(results, options):
    """Everything that was asked for; how many bars were missed."""
    tables(results)
    verdicts = judge(results)
    if verdicts:
        print_table(["line", "system", "bar", "measured", ""],
                    [[*words, "met" if met else "MISSED"] for words, met in verdicts])
    if options.plots:
        for path in plot_all(results, options.plots):
            print(f"- {path}")
    return sum(not met for _, met in verdicts)
