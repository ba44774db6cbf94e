"""How busy this machine is just now: other tests use it as well."""

from __future__ import annotations

import subprocess
import sys
import time

FULL_OF_WORK = "import time\nfor number in range(5_000_000): pass\nprint(time.process_time())"
TIMEOUT_SECONDS = 60


def as_busy_as_it_is(limit_seconds: float) -> float:
    """The limit of a machine that does nothing else, as much longer as a process takes now than it computes for."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", FULL_OF_WORK], check=True, capture_output=True, timeout=TIMEOUT_SECONDS
    )
    return limit_seconds * max(1.0, (time.monotonic() - began) / float(done.stdout))
