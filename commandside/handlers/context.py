from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from domain.aggregates import EventSourced
from domain.errors import StaleVersion
from domain.pricing import Tariff
from domain.values import Cause


@dataclass(frozen=True, slots=True)
class Context:
    """What comes with a command: who, when and why, and the version its sender believes to be current (If-Match)."""

    cause: Cause
    expected_version: int | None = None

    def ensure_current(self, aggregate: EventSourced | None) -> None:
        """Raises StaleVersion. A stream that is not there yet has version 0."""
        version = aggregate.version if aggregate is not None else 0
        if self.expected_version is not None and self.expected_version != version:
            raise StaleVersion(self.expected_version, version)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler says: the version of the stream it changed, and a body of plain JSON values."""

    version: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shop:
    """The terms that decisions are taken on."""

    currency: str
    tariff: Tariff
