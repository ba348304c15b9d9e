# SPDX-License-Identifier: GPL-3.0-or-later
"""Headless Chromium, spoken to in the DevTools protocol over a pair of pipes."""

import base64
import json
import os
import select
import subprocess
import time

from .wait import Timeout, wait_for

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--remote-debugging-pipe"]


class Browser:
    """One Chromium on `host` with one page. It is ended with the laboratory."""

    def __init__(self, host, name="chromium"):
        self.name = f"{host.name}-{name}"
        self.number = 0
        self.buffer = b""
        self.requests = []              # the URL of everything that the page asked for
        self.seen = ""
        self.complaints = []            # what it wrote to its console as errors
        log = open(host.lab.path(f"{self.name}.log"), "ab")
        # Chromium reads commands from descriptor 3 and answers on 4.
        command = ["sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >&2', "sh", "chromium", *FLAGS,
                   f"--user-data-dir={host.lab.path(self.name)}", "about:blank"]
        with host.inside(), log:
            self.child = host.lab.keep(self) and subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env={**host.lab.environment, "HOME": host.lab.path("")})
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    def _read(self, deadline):
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.child.stdout], [], [], left)[0]:
                raise Timeout("Chromium does not answer")
            got = os.read(self.child.stdout.fileno(), 1 << 16)
            if not got:
                raise Timeout("Chromium has ended")
            self.buffer += got
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def _note(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"].get("text", "exception"))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])

    def call(self, method, timeout=30.0, session=None, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        self.child.stdin.write(json.dumps(message).encode() + b"\0")
        self.child.stdin.flush()
        deadline = time.monotonic() + timeout
        while True:
            answer = self._read(deadline)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise Timeout(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def ask(self, method, **params):
        """A command to the page."""
        return self.call(method, session=self.session, **params)

    def open(self, url):
        self.ask("Page.navigate", url=url)

    def evaluate(self, expression):
        """The value of a JavaScript expression in the page."""
        return self.ask("Runtime.evaluate", expression=expression,
                        returnByValue=True)["result"].get("value")

    def text(self):
        """What a reader sees."""
        self.seen = self.evaluate("document.body.innerText") or ""
        return self.seen

    def wait_text(self, *words, timeout=20.0):
        """Waits until all the words are on the page; its text."""
        def seen():
            text = self.text()
            return text if all(word in text for word in words) else None
        return wait_for(f"{words} on the page", seen, timeout, every=0.1)

    def window(self, width, height, mobile=False):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=mobile)

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

    def tail(self, lines=15):
        """For the story of a failed test: what a reader saw last."""
        return "\n".join(self.seen.splitlines()[-3 * lines:])

    def finish(self):
        self.child.terminate()
        try:
            self.child.wait(5.0)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(5.0)
        self.child.stdin.close()
        self.child.stdout.close()
        return []
