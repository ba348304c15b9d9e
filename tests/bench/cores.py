# SPDX-License-Identifier: GPL-3.0-or-later
"""What a measurement asks of the machine's cores."""

import contextlib
import os
import subprocess
import sys


@contextlib.contextmanager
def awake_cores():
    """A virtual core that sleeps is slow to wake: what nobody else wants, an idle task spins away."""
    spinners = [subprocess.Popen([sys.executable, "-c", "import os\n"
                                  "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n"
                                  "while True: pass"]) for _ in range(os.cpu_count())]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()
