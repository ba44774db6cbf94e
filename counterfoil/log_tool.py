"""How a tool of the command line runs that works through the log, or fills it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import uvloop

from counterfoil.collecting import collect_seldom

# It may have ten thousand events in hand, of dozens of objects each, and nobody waits for a reply.
YOUNG_LIMIT_OBJECTS: Final = 200_000
_Result = TypeVar("_Result")


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """What `work` returns. Raises what it does, and KeyboardInterrupt for a Ctrl-C that it does not hear itself."""
    collect_seldom(YOUNG_LIMIT_OBJECTS)
    return uvloop.run(work)
