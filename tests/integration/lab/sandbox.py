# SPDX-License-Identifier: GPL-3.0-or-later
"""The walls around a test: namespaces for network, mounts and processes, and for users where we are
not root. When the first process in it ends, the kernel ends all others and takes down the rest."""

import functools
import os
import subprocess


@functools.cache
def _prefix():
    base = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]
    if os.geteuid() != 0:
        base += ["--user", "--map-root-user"]
    # A container may not let us mount a fresh /proc; nothing here depends on it.
    for extra in (["--mount-proc"], []):
        done = subprocess.run(base + extra + ["true"], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return base + extra, None
    return base, done.stderr.strip()


def command(arguments):
    """`arguments` as a command that runs inside new walls."""
    return _prefix()[0] + arguments


def why_not():
    """None when sandboxes can be made here, else the reason."""
    return _prefix()[1]
