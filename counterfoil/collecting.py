"""How Python's garbage collector is set in the processes that serve, and in the tools that work through the log."""

from __future__ import annotations

import gc

YOUNG_LIMIT_OBJECTS = 50_000
OLDER_LIMIT_COLLECTIONS = 20


def collect_nothing_yet() -> None:
    """While a process imports what it needs: to look for garbage there is a tenth of the time that it takes."""
    gc.disable()


def collect_seldom(young_limit_objects: int = YOUNG_LIMIT_OBJECTS) -> None:
    """Once a process has imported what it needs: that is never garbage, and need not be looked at again and again.

    A page of events, or a batch of commands, is tens of thousands of objects that live just as long as they are worked
    on, and reference counts free them. The default, a collection every 700 objects, spends its time finding that out.
    """
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(young_limit_objects, OLDER_LIMIT_COLLECTIONS, OLDER_LIMIT_COLLECTIONS)
