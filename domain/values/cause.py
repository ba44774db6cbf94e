from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an event happens: who asked for it, when, and what it follows from.

    `at` is timezone-aware UTC. `causation_id` names the command (or the event) that led directly here,
    `correlation_id` the whole conversation it belongs to.
    """

    at: datetime
    actor: str
    causation_id: str
    correlation_id: str
