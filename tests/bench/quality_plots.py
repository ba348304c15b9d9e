# SPDX-License-Identifier: GPL-3.0-or-later
"""Plots of results, as SVG: MOS over loss, and what changing lines do to voice over time."""

import os

from quality_names import mean, who

PANEL_W, PANEL_H, LEFT, TOP, GAP, BELOW, LINE_H = 300, 190, 52, 34, 62, 64, 18
# Each system has its colour in every plot; the pair's is the strong one.
COLOURS = {"udp": "#555555", "vofw": "#c0392b", "turn": "#2471a3", "openvpn": "#1e8449",
           "softether": "#b9770e", "shim": "#7d3c98"}
NAMES = {"udp": "plain UDP", "vofw": "VoFW", "turn": "coturn", "openvpn": "OpenVPN",
         "softether": "SoftEther", "shim": "bare TCP"}
DASHES = {"cubic": "", "bbr": "6 3"}
SCENARIOS = {"flapping": "loss 0 and 5 %, changing every 4 s", "stepping": "RTT 20 and 160 ms, "
             "changing every 8 s", "jitter": "jitter of 30 ms"}


class Panel:
    """A diagram with its axes; x and y run linearly over `xs` and `ys` (lists of ticks)."""

    def __init__(self, column, row, title, xs, ys, x_name, y_name):
        self.x0 = LEFT + column * (PANEL_W + GAP)
        self.y0 = TOP + row * (PANEL_H + BELOW)
        self.xs, self.ys = xs, ys
        self.parts = [f'<text x="{self.x0}" y="{self.y0 - 10}" class="t">{title}</text>']
        for y in ys:
            at = self.y(y)
            self.parts.append(f'<line x1="{self.x0}" y1="{at}" x2="{self.x0 + PANEL_W}" y2="{at}" '
                              f'class="g"/><text x="{self.x0 - 6}" y="{at + 4}" class="e">{y:g}'
                              "</text>")
        for x in xs:
            self.parts.append(f'<text x="{self.x(x)}" y="{self.y0 + PANEL_H + 16}" class="m">{x:g}'
                              "</text>")
        self.parts.append(f'<text x="{self.x0 + PANEL_W / 2}" y="{self.y0 + PANEL_H + 32}" '
                          f'class="m">{x_name}</text>')
        middle = self.y0 + PANEL_H / 2
        self.parts.append(f'<text x="{self.x0 - 38}" y="{middle}" class="m" transform="rotate(-90 '
                          f'{self.x0 - 38} {middle})">{y_name}</text>')

    def x(self, value):
        return round(self.x0 + PANEL_W * (value - self.xs[0]) / (self.xs[-1] - self.xs[0]), 1)

    def y(self, value):
        value = min(max(value, self.ys[0]), self.ys[-1])
        return round(self.y0 + PANEL_H * (1 - (value - self.ys[0]) / (self.ys[-1] - self.ys[0])), 1)

    def curve(self, points, colour, dash="", width=1.8, dots=False):
        shape = " ".join(f"{self.x(x)},{self.y(y)}" for x, y in points)
        self.parts.append(f'<polyline points="{shape}" stroke="{colour}" stroke-width="{width}" '
                          f'stroke-dasharray="{dash}" fill="none"/>')
        if dots:
            self.parts += [f'<circle cx="{self.x(x)}" cy="{self.y(y)}" r="2.6" fill="{colour}"/>'
                           for x, y in points]


def legend(entries, y, width):
    """Its parts, line by line from `y` down, and how many lines there are."""
    parts, x, lines = [], LEFT, 1
    for text, colour, dash in entries:
        room = 50 + 7 * len(text)
        if x + room > width and x > LEFT:
            x, y, lines = LEFT, y + LINE_H, lines + 1
        parts.append(f'<line x1="{x}" y1="{y - 4}" x2="{x + 26}" y2="{y - 4}" stroke="{colour}" '
                     f'stroke-width="2.4" stroke-dasharray="{dash}"/>'
                     f'<text x="{x + 31}" y="{y}">{text}</text>')
        x += room
    return parts, lines


def save(path, panels, entries, columns, rows):
    width = LEFT + columns * (PANEL_W + GAP)
    height = TOP + rows * (PANEL_H + BELOW) - 6
    explained, lines = legend(entries, height + 8, width)
    height += lines * LINE_H + 6
    parts = [part for panel in panels for part in panel.parts] + explained
    with open(path, "w", encoding="utf-8") as f:
        f.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
                f'width="{width}" height="{height}" font-family="sans-serif" font-size="12">\n'
                "<style>.m{text-anchor:middle}.e{text-anchor:end}.g{stroke:#ddd}"
                ".t{font-weight:bold}</style>\n"
                f'<rect width="{width}" height="{height}" fill="#fff"/>\n'
                + "\n".join(parts) + "\n</svg>\n")


def entry(job):
    """Its place in a legend: (name, colour, dashes)."""
    name = NAMES[job["system"]]
    if job["system"] != "udp":
        name += "".join(f" {extra}" for extra, on in (("https", job["tls"]),
                                                      ("squid", job["squid"])) if on)
        name += f" ({job['cc'].upper()})"
    dash = "2 3" if job["tls"] or job["squid"] else DASHES[job["cc"]]
    return name, COLOURS[job["system"]], dash


def in_order(entries):
    """The entries of a legend: plain UDP, the pair, the peers."""
    colours = list(COLOURS.values())
    return sorted(entries.values(), key=lambda e: (colours.index(e[1]), e[2]))


def by_loss(results, calls):
    """{(rtt, who): {loss: result}} of plain random loss."""
    found = {}
    for result in results:
        job = result["job"]
        if "in" in result and job["scenario"] == "steady" and job["calls"] == calls and \
                not (job["burst"] or job["jitter"] or job["rate"]):
            found.setdefault((job["rtt"], who(job)), {})[job["loss"]] = result
    return {key: row for key, row in found.items() if len(row) > 1}


def plot_mos(results, calls, path):
    """MOS over loss, a panel for each RTT."""
    found = by_loss(results, calls)
    rtts = sorted({rtt for rtt, _ in found})
    panels, entries = [], {}
    for column, rtt in enumerate(rtts):
        panel = Panel(column, 0, f"RTT {rtt:g} ms, {calls} call{'s' if calls > 1 else ''}",
                      [0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 4.5], "random loss each way, %", "MOS")
        for (of, name), row in sorted(found.items()):
            if of != rtt:
                continue
            told = entry(next(iter(row.values()))["job"])
            entries[name] = told
            panel.curve([(loss, mean(row[loss], "mos")) for loss in sorted(row)], *told[1:],
                        width=2.6 if name == "vofw" else 1.6, dots=True)
        panels.append(panel)
    if panels:
        save(path, panels, in_order(entries), len(rtts), 1)
    return bool(panels)


def worse_direction(series):
    """Of each moment the worse of both directions: [(s, share, p99)]."""
    return [(at, max(share, other), max((p for p in (p99, other_p99) if p is not None), default=None))
            for (at, share, p99), (_, other, other_p99) in zip(series["in"], series["out"])]


def plot_changing(results, path, systems=("udp", "vofw")):
    """What was late or lost, and the delay, over time, of the worse direction; a row for each changing
    line."""
    rows, entries, panels = [], {}, []
    for scenario in SCENARIOS:
        of = [r for r in results if "series" in r and r["job"]["scenario"] == scenario and
              r["job"]["cc"] == "cubic" and who(r["job"]) in systems]
        if of:
            rows.append((scenario, of))
    for row, (scenario, of) in enumerate(rows):
        seconds = max(r["job"]["seconds"] for r in of)
        xs = list(range(0, seconds + 1, 4))
        bad = Panel(0, row, SCENARIOS[scenario], xs, [0, 10, 20, 30, 40, 50], "s",
                    "late or lost, % of 200 ms")
        delay = Panel(1, row, "", xs, [0, 50, 100, 150, 200], "s", "p99 of the delay, ms")
        for result in sorted(of, key=lambda r: r["job"]["system"] == "vofw"):
            told = entry(result["job"])
            entries[told[0]] = told
            series = worse_direction(result["series"])
            bad.curve([(at, share) for at, share, _ in series], told[1], width=1.4)
            delay.curve([(at, p99) for at, _, p99 in series if p99 is not None], told[1],
                        width=1.4)
        panels += [bad, delay]
    if panels:
        save(path, panels, in_order(entries), 2, len(rows))
    return bool(panels)


def plot_all(results, directory):
    """Whatever the results give; the names of the files."""
    os.makedirs(directory, exist_ok=True)
    good = [result for result in results if "failed" not in result]
    made = []
    for calls in sorted({result["job"]["calls"] for result in good}):
        path = os.path.join(directory, f"mos-{calls}.svg")
        if plot_mos(good, calls, path):
            made.append(path)
    path = os.path.join(directory, "changing.svg")
    if plot_changing(good, path):
        made.append(path)
    return made
