# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a state instead of sleeping."""

import time


class Failure(AssertionError):
    """What a test expected and did not find; told without a traceback."""


class Timeout(Failure):
    """A state that did not come in time."""


def wait_for(what, condition, timeout=10.0, every=0.03):
    """Polls `condition` until it gives something true and returns that.

    `what` is the state in words, for the message of the Timeout. A Timeout's text ends with the
    last exception of `condition`, if it had one: OSError, KeyError and the like only mean "not
    yet" here.
    """
    end = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = None
        except (OSError, LookupError, ValueError, EOFError) as error:
            last = error
        if time.monotonic() >= end:
            why = f" ({last!r})" if last is not None else ""
            raise Timeout(f"waited {timeout:g} s in vain for {what}{why}")
        time.sleep(every)


def expect(truth, what):
    """A test's claim: Failure(what) when it is not true."""
    if not truth:
        raise Failure(what)
