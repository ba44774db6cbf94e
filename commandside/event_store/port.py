from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from commandside.event_store.snapshots import Snapshot
from domain.events import AnyEvent, Recorded


class Evolution(Protocol):
    """An event, or a snapshot in place of a stream's first ones."""

    @property
    def originator_version(self) -> int: ...

    def mutate(self, aggregate: Any) -> Any: ...


class EventStore(Protocol):
    """The log. Two backends, Postgres and (for unit tests and simulations) memory: one contract suite holds both."""

    async def append(
        self,
        events: Sequence[AnyEvent],
        work: Mapping[UUID, datetime | None],
        reads: Mapping[UUID, int] | None = None,
    ) -> Sequence[int]:
        """All or nothing; returns a position for each event, ascending. Durable when it returns.

        `work` maps checkouts to when they are due next, or to None once finished; it is kept with the events. `reads`
        maps streams that the decisions read, and do not write, to the versions they had.
        Raises VersionConflict when one of all these streams has gone on, StoreUnavailable.
        """
        ...

    async def check(self, reads: Mapping[UUID, int]) -> int:
        """The last position of the log, if these streams still have these versions (0: are empty).

        Raises VersionConflict if not, StoreUnavailable.
        """
        ...

    async def load(self, after: Mapping[UUID, int]) -> Mapping[UUID, Sequence[Evolution]]:
        """Per stream the events after the version given for it. A stream without any is left out.

        A stream wanted from its beginning (0) may start with a snapshot. Raises StoreUnavailable.
        """
        ...

    async def history(self, stream_id: UUID, after: int = 0, limit: int | None = None) -> list[Recorded]:
        """A stream with positions: `limit` events after that version, or all of them. Raises StoreUnavailable."""
        ...

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keeps it in place of an older one. Raises StoreUnavailable."""
        ...

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Waits until no other process is in its turn; others wait until it is left, or its process is gone.

        It keeps nobody from appending who does not ask for a turn. Raises StoreUnavailable, also when the wait is long.
        """
        ...

    async def last_position(self) -> int:
        """0 when the log is empty."""
        ...

    async def due_work(self, now: datetime, limit: int) -> list[UUID]:
        """Unfinished checkouts that are due, the longest waiting first."""
        ...
