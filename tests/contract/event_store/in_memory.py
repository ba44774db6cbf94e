from __future__ import annotations

from collections.abc import Callable
from typing import Final

from commandside.event_store import EventStore
from commandside.event_store.memory import MemoryEventStore
from counterfoil.simulation.log import SimulatedLog

IN_MEMORY: Final[dict[str, Callable[[], EventStore]]] = {"memory": MemoryEventStore, "simulated": SimulatedLog}
