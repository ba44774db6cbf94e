from __future__ import annotations

from collections.abc import Collection
from typing import Protocol, TypeVar
from uuid import UUID

from domain.aggregates import EventSourced

A = TypeVar("A", bound=EventSourced)


class Aggregates(Protocol):
    """What a decision sees of the world: aggregates by stream, as of now, and a way to put in new ones."""

    def load(self, stream_ids: Collection[UUID]) -> None:
        """Has these streams loaded together: without it each `find` of one that is not loaded is a round trip."""
        ...

    def find(self, kind: type[A], stream_id: UUID) -> A | None:
        """The aggregate, or None where the stream is empty. What is triggered on it is appended with the decision."""
        ...

    def find_all(self, kind: type[A], stream_ids: Collection[UUID]) -> dict[UUID, A]:
        """Those of the streams that are not empty: asked for together they are loaded together."""
        ...

    def add(self, aggregate: EventSourced) -> None:
        """Takes in an aggregate that this decision started, on a stream that it has found to be empty."""
        ...
