"""The way to the write side: commands at the time of the file, and looks at what is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

from commandside.aggregates import Aggregates
from commandside.handlers.context import Context
from commandside.write_side import WriteSide
from counterfoil.imports.retail.clock import FileClock
from domain.aggregates import EventSourced
from domain.values import Cause

ACTOR: Final = "system:import"
PAGE_STREAMS: Final = 2_000

T = TypeVar("T")
Look = Callable[[EventSourced | None], T]


class Desk:
    """Where the import stands in the shop. `clock` is the write side's too."""

    def __init__(self, write_side: WriteSide, clock: FileClock) -> None:
        self.write_side = write_side
        self.clock = clock

    def context(self, invoice: str, at: datetime, expected_version: int | None = None) -> Context:
        """As of now it is `at`, on behalf of this invoice (or of the opening)."""
        self.clock.at = at
        return Context(Cause(at, ACTOR, f"import:retail:{invoice}", f"import:retail:{invoice}"), expected_version)

    async def look(self, stream_ids: Sequence[UUID], at_one: Look[T]) -> dict[UUID, T]:
        """What `at_one` says of each stream; None stands for a stream that is not there. Nothing is written."""
        seen: dict[UUID, T] = {}
        for first in range(0, len(stream_ids), PAGE_STREAMS):
            page = stream_ids[first : first + PAGE_STREAMS]

            def read(aggregates: Aggregates, page: Sequence[UUID] = page) -> dict[UUID, T]:
                found = aggregates.find_all(EventSourced, page)
                return {stream_id: at_one(found.get(stream_id)) for stream_id in page}

            seen.update((await self.write_side.writer.execute(read)).result)
        return seen
