"""How fast this machine is just now: other tests use it as well."""

from __future__ import annotations

import subprocess
import sys
import time

STARTS_OF_A_SHOP_COUNT = 6
IMPORT_TIMEOUT_SECONDS = 60


def with_what_it_takes_now(limit_seconds: float) -> float:
    """The limit, or what as many starts of a part take, one after the other, as a shop's start is worth on a machine
    that does nothing else: whichever is longer.
    """
    began = time.monotonic()
    importing = [sys.executable, "-c", "import counterfoil.processes.query_api"]
    subprocess.run(importing, check=True, timeout=IMPORT_TIMEOUT_SECONDS)
    return max(limit_seconds, STARTS_OF_A_SHOP_COUNT * (time.monotonic() - began))
