from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from psycopg.errors import UniqueViolation
from psycopg.pq.abc import PGresult
from psycopg.sql import Composed

from commandside.event_store import binary_arrays as arrays
from commandside.event_store.loop_connection import LoopConnection
from commandside.event_store.recorder import BatchRecorder, Reads, Work

_NOTHING: Final = arrays.uuids([])
_TRUE: Final = b"\x01"


class LoopRecorder:
    """The statements of a BatchRecorder that the writer waits for, asked on its event loop.

    On two connections: what is missing in memory is read while a batch is being committed. Raises psycopg.Error.
    """

    def __init__(
        self,
        recorder: BatchRecorder,
        database_url: str,
        connect_timeout_seconds: int,
        statement_timeout_seconds: float,
    ) -> None:
        self._append = _numbered(recorder.append_statement)
        self._check = _numbered(recorder.check_statement)
        self._load = _numbered(recorder.load_statement)
        self._fast_forward = _numbered(recorder.fast_forward_statement)
        self._appending = LoopConnection(database_url, connect_timeout_seconds, statement_timeout_seconds)
        self._reading = LoopConnection(database_url, connect_timeout_seconds, statement_timeout_seconds)

    async def open(self) -> None:
        """So that an append is sent at once: what fails before that was not done."""
        await self._appending.open()

    async def append(self, stored_events: Sequence[StoredEvent], work: Work, reads: Reads) -> list[int]:
        """`work` maps checkouts to when they are due, None once finished; `reads` maps streams to versions they had.

        All or nothing. Raises psycopg.errors.UniqueViolation when a stream has gone on.
        """
        positions = await self._appending.fetch(
            self._append,
            arrays.uuids([event.originator_id for event in stored_events]),  # type: ignore[misc]
            arrays.bigints([event.originator_version for event in stored_events]),
            arrays.topics([event.topic for event in stored_events]),
            arrays.byteas([event.state for event in stored_events]),
            arrays.uuids(work) if work else _NOTHING,
            arrays.times(list(work.values())),
            arrays.uuids(reads) if reads else _NOTHING,
            arrays.bigints(reads.values()),
        )
        return [_whole(positions, row, 0) for row in range(positions.ntuples)]

    async def check(self, reads: Reads) -> int:
        """The last position of the log, if these streams still have these versions. Raises UniqueViolation if not."""
        found = await self._reading.fetch(self._check, arrays.uuids(reads), arrays.bigints(reads.values()))
        if found.get_value(0, 1) == _TRUE:
            raise UniqueViolation("a stream that was read has been written since")
        return _whole(found, 0, 0)

    async def select_streams(self, after: Mapping[UUID, int], snapshot_topics: list[str]) -> list[StoredEvent]:
        """The events of many streams, each after the version that is given for it, in stream order.

        A stream that is wanted from its beginning starts with its snapshot, where there is one under one of the topics.
        """
        ids, versions = arrays.uuids(after), arrays.bigints(after.values())
        if 0 in after.values():
            found = await self._reading.fetch(self._load, ids, versions, arrays.topics(snapshot_topics))
        else:
            found = await self._reading.fetch(self._fast_forward, ids, versions)
        return [_stored(found, row) for row in range(found.ntuples)]

    def close(self) -> None:
        self._appending.close()
        self._reading.close()


def _stored(found: PGresult, row: int) -> StoredEvent:
    value = found.get_value
    stream_id, topic, state = value(row, 0), value(row, 2), value(row, 3)
    assert stream_id is not None and topic is not None and state is not None
    return StoredEvent(UUID(bytes=stream_id), _whole(found, row, 1), topic.decode(), state)


def _whole(found: PGresult, row: int, column: int) -> int:
    value = found.get_value(row, column)
    assert value is not None
    return int.from_bytes(value, signed=True)


def _numbered(statement: Composed) -> str:
    """As Postgres wants its parameters: $1, $2 …"""
    first, *others = statement.as_string().split("%b")
    return first + "".join(f"${number}{text}" for number, text in enumerate(others, start=1))
