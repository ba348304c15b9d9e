# SPDX-License-Identifier: GPL-3.0-or-later
"""`hrac --doctor`, and what it found."""

import json

from .agents import AgentProcess
from .process import SANITIZERS
from .wait import expect


class Doctor:
    """One run over the configuration of an Hrac, under way; several may run side by side, and the
    Hrac itself too. Its name is that of the Hrac."""

    def __init__(self, hrac, *options):
        command = [hrac.lab.binary("hrac"), "--doctor", *options, "-c", hrac.write()]
        with hrac.host.inside():
            self.process = hrac.lab.keep(AgentProcess(
                hrac.lab, f"{hrac.name}-doctor{''.join(options)}", command,
                env={**SANITIZERS, **(getattr(hrac, "environment", None) or {})}))

    def ends(self, status, timeout=40):
        """It ends with this status; what it printed."""
        ended = self.process.wait(timeout)
        self.process.expected = ended
        output = self.process.output()
        expect(ended == status, f"exit status {ended} instead of {status}:\n{output}")
        return output


class Facts:
    """What a run with --json found out."""

    def __init__(self, hrac, status, *options, doctor=None):
        output = (doctor or Doctor(hrac, "--json", *options)).ends(status)
        self.all = json.loads(output[output.index("{"):output.rindex("}") + 1])
        self.ok, self.advice, self.rung = (self.all[key] for key in ("ok", "advice", "rung"))
        self.routes, self.udp = self.all["routes"], self.all["udp"]
        expect(self.ok == (status == 0), f"ok is what the exit status says: {self.all}")

    def route(self, url, proxy=None):
        found = [r for r in self.routes if r["url"] == url and r["proxy"] == proxy]
        expect(len(found) == 1, f"one route to {url} by {proxy}: {self.routes}")
        return found[0]

    def best(self):
        return self.routes[self.all["route"]]

    def advises(self, words):
        expect(words in self.advice, f"the advice has '{words}': {self.advice}")

    def says(self, verdict, topic, words=""):
        """A line of that kind is there."""
        expect(any(line["verdict"] == verdict and line["topic"] == topic and words in line["text"]
                   for line in self.all["lines"]),
               f"'{verdict} {topic} ... {words}' is said:\n{json.dumps(self.all['lines'], indent=1)}")
