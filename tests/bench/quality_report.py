# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of results: a line at once, tables, verdicts, plots."""

import json

from quality_names import both, mean, point, where, who, worst
from quality_plots import plot_all
from quality_verdicts import judge

SUMMARY_FROM = 40                  # results: from there on one wants to see them together first


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


def summary(results):
    """MOS and what was bad, a table for each number of calls and each figure: lines down, systems
    across. Only if there is something to compare."""
    cells = [result for result in results if "in" in result and
             result["job"]["scenario"] == "steady"]
    names = sorted({who(result["job"]) for result in cells},
                   key=lambda name: (name != "udp", not name.startswith("vofw"), name))
    if len(names) < 2:
        return
    for calls in sorted({result["job"]["calls"] for result in cells}):
        rows = {}
        for result in ordered(cells):
            job = result["job"]
            if job["calls"] == calls:
                rows.setdefault(where(job), {})[who(job)] = result
        for title, show in FIGURES:
            print(f"{title}, {calls} call{'s' * (calls > 1)}:\n")
            print_table(["line", *names],
                        [[line_, *(show(row[name]) if name in row else "" for name in names)]
                         for line_, row in rows.items()])


FIGURES = (
    ("MOS, mean of both directions", lambda r: f"{mean(r, 'mos'):.2f}"),
    ("Late or lost at minimum + 60 ms, % (+ 100 ms)",
     lambda r: f"{mean(r, 'bad60'):.2f} ({mean(r, 'bad100'):.2f})"),
    ("One-way delay p50 / p99, ms",
     lambda r: "{:.0f} / {:.0f}".format(*(worst(r, name) or 0 for name in ("p50", "p99")))),
    ("Bytes (IP packets) on the line for each packet of voice",
     lambda r: f"{r['bytes']:.0f} ({r['packets']:.2f})"),
)


def write(results, options):
    """Everything that was asked for; how many bars were missed."""
    if len(results) > SUMMARY_FROM:
        summary(results)
    tables(results)
    verdicts = judge(results)
    if verdicts:
        print_table(["line", "system", "bar", "measured", ""],
                    [[*words, "met" if met else "MISSED"] for words, met in verdicts])
        print(f"{sum(met for _, met in verdicts)} of {len(verdicts)} bars met.\n")
    if options.plots:
        for path in plot_all(results, options.plots):
            print(f"- {path}")
    return sum(not met for _, met in verdicts)
