"""Who is said to have caused what the saga does by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.values import Cause

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Causes:
    clock: Clock

    def of(self, actor: str, causation_id: str, order_id: str) -> Cause:
        return Cause(self.clock(), f"system:{actor}", causation_id, order_id)

    def of_checkout(self, order_id: UUID) -> Cause:
        """What the saga does of its own accord for this order."""
        return self.of("checkout", f"checkout:{order_id}", str(order_id))
