from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar, cast
from uuid import UUID

import msgspec
import psycopg
import psycopg_pool
import structlog
from eventsourcing.persistence import MapperDeserialisationError, PersistenceError, StoredEvent
from eventsourcing.postgres import PostgresDatastore

from commandside.event_store.errors import OutcomeUnknown, StoreUnavailable, VersionConflict
from commandside.event_store.loop_recorder import LoopRecorder
from commandside.event_store.mapper import EventMapper
from commandside.event_store.port import Evolution
from commandside.event_store.recorder import BatchRecorder
from commandside.event_store.schema import SCHEMA
from commandside.event_store.snapshots import Snapshot, SnapshotMapper
from commandside.event_store.turns import Turns
from domain.events import AnyEvent, Recorded

# The server gives up before we do: then we hear of it, and nothing waits there for nobody.
SERVERS_SHARE: Final = 0.8
_T = TypeVar("_T")
_log = structlog.get_logger(__name__)
# What a server that is away, starting, or out of connections looks like.
_AWAY = (PersistenceError, psycopg_pool.PoolTimeout, psycopg_pool.TooManyRequests)


class PostgresEventStore:
    """EventStore on Postgres. What the writer waits for runs on its loop, the library's calls in threads of our own."""

    def __init__(
        self,
        database_url: str,
        *,
        pool_size_connections: int = 1,
        pool_overflow_connections: int = 4,
        connect_timeout_seconds: float = 2.0,
        append_attempts_limit_count: int = 3,
        attempt_pause_seconds: float = 0.1,
        answer_timeout_seconds: float = 15.0,
        mapper: EventMapper | None = None,
    ) -> None:
        self._mapper = mapper or EventMapper()
        self._snapshots = SnapshotMapper(self._mapper)
        self._attempts_limit_count = append_attempts_limit_count
        self._attempt_pause_seconds = attempt_pause_seconds
        self._answer_timeout_seconds = answer_timeout_seconds
        self._datastore = _datastore(
            database_url, pool_size_connections, pool_overflow_connections, connect_timeout_seconds
        )
        self._recorder = BatchRecorder(self._datastore)
        self._hot = LoopRecorder(
            self._recorder,
            database_url,
            max(2, math.ceil(connect_timeout_seconds)),
            answer_timeout_seconds * SERVERS_SHARE,
        )
        self._turns = Turns(database_url, connect_timeout_seconds)
        self._threads = ThreadPoolExecutor(pool_size_connections + pool_overflow_connections, "event-store")

    async def append(
        self,
        events: Sequence[AnyEvent],
        work: Mapping[UUID, datetime | None],
        reads: Mapping[UUID, int] | None = None,
    ) -> Sequence[int]:
        return await self._on_loop(self._append(events, work, reads or {}), late=OutcomeUnknown)

    async def check(self, reads: Mapping[UUID, int]) -> int:
        try:
            return await self._on_loop(self._hot.check(reads))
        except psycopg.errors.UniqueViolation as error:
            raise VersionConflict(str(error)) from error

    async def load(self, after: Mapping[UUID, int]) -> Mapping[UUID, Sequence[Evolution]]:
        return await self._on_loop(self._load(after))

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        await self._in_thread(lambda: self._recorder.save_snapshot(self._snapshots.to_stored(snapshot)))

    async def history(self, stream_id: UUID, after: int = 0, limit: int | None = None) -> list[Recorded]:
        def read() -> list[Recorded]:
            return [
                Recorded(position, self._mapper.to_domain_event(stored))
                for position, stored in self._recorder.select_history(stream_id, after, limit)
            ]

        return await self._in_thread(read)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        try:
            await self._in_thread(self._turns.take)
        except BaseException:
            # The lock may be given yet, when nobody waits for it any more: then it goes back at once.
            self._threads.submit(self._turns.leave)
            raise
        try:
            yield
        finally:
            await self._in_thread(self._turns.leave)

    async def last_position(self) -> int:
        return await self._in_thread(lambda: self._recorder.max_notification_id() or 0)

    async def due_work(self, now: datetime, limit: int) -> list[UUID]:
        return await self._in_thread(lambda: self._recorder.select_due_work(now, limit))

    async def ping(self) -> None:
        """Raises StoreUnavailable."""

        def ask() -> None:
            with self._datastore.get_connection() as conn:
                conn.execute("SELECT 1 FROM log.stored_events LIMIT 1")

        await self._in_thread(ask)

    def close(self) -> None:
        self._hot.close()
        self._threads.shutdown(wait=True)
        self._turns.close()
        self._datastore.close()

    async def _append(
        self,
        events: Sequence[AnyEvent],
        work: Mapping[UUID, datetime | None],
        reads: Mapping[UUID, int],
    ) -> Sequence[int]:
        stored = [self._mapper.to_stored_event(event) for event in events]
        sent_count = 0
        for attempt in range(1, self._attempts_limit_count + 1):
            try:
                await self._hot.open()
                sent_count += 1
                return await self._hot.append(stored, work, reads)
            except psycopg.IntegrityError as error:
                # The commit of an earlier attempt, whose answer was lost, looks like somebody else's: see whose it is.
                # Without such an attempt it is somebody else's, even if it says the same.
                if sent_count > 1:
                    positions = await self._in_thread(partial(self._positions_if_ours, events, stored))
                    if positions:
                        return positions
                raise VersionConflict(str(error)) from error
            except psycopg.errors.QueryCanceled as error:
                # It took too long, and the server rolled it back: another attempt would take as long.
                raise (OutcomeUnknown if sent_count > 1 else StoreUnavailable)(str(error)) from error
            except psycopg.Error as error:
                _log.warning("append failed", attempt=attempt, error=str(error))
                if attempt == self._attempts_limit_count:
                    raise (OutcomeUnknown if sent_count else StoreUnavailable)(str(error)) from error
                await asyncio.sleep(self._attempt_pause_seconds * attempt)
        raise AssertionError("unreachable")

    def _positions_if_ours(self, events: Sequence[AnyEvent], stored: Sequence[StoredEvent]) -> list[int]:
        """Empty unless every one of these events is stored as it is here."""
        found = self._recorder.select_positions(stored)
        ours = [found.get((event.originator_id, event.originator_version)) for event in events]
        if not all(row and row[1] == event.state for row, event in zip(ours, stored, strict=True)):
            return []
        return [row[0] for row in ours if row]

    async def _load(self, after: Mapping[UUID, int]) -> dict[UUID, list[Evolution]]:
        streams: dict[UUID, list[Evolution]] = {}
        unreadable: set[UUID] = set()
        for stored in await self._hot.select_streams(after, self._snapshots.topics):
            stream_id = cast(UUID, stored.originator_id)
            found: Evolution
            if stored.topic in self._snapshots.topics:
                try:
                    found = self._snapshots.to_snapshot(stored)
                except (msgspec.MsgspecError, MapperDeserialisationError) as error:
                    _log.warning("snapshot not readable", stream_id=str(stream_id), error=str(error))
                    unreadable.add(stream_id)
                    continue
            elif stream_id in unreadable:
                continue
            else:
                found = self._mapper.to_domain_event(stored)
            streams.setdefault(stream_id, []).append(found)
        # A snapshot is a shortcut: without it the stream is read from its beginning.
        whole = await self._hot.select_streams(dict.fromkeys(unreadable, 0), []) if unreadable else []
        for stored in whole:
            streams.setdefault(cast(UUID, stored.originator_id), []).append(self._mapper.to_domain_event(stored))
        return streams

    async def _on_loop(self, call: Awaitable[_T], late: type[StoreUnavailable] = StoreUnavailable) -> _T:
        try:
            async with asyncio.timeout(self._answer_timeout_seconds):
                return await call
        except psycopg.errors.UniqueViolation:
            raise
        except psycopg.Error as error:
            raise StoreUnavailable(str(error)) from error
        except TimeoutError as error:
            raise late(f"no answer within {self._answer_timeout_seconds} s") from error

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        try:
            async with asyncio.timeout(self._answer_timeout_seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except _AWAY as error:
            raise StoreUnavailable(str(error)) from error
        except TimeoutError as error:  # a server that hangs holds its thread, but not who asked
            raise StoreUnavailable(f"no answer within {self._answer_timeout_seconds} s") from error


class _Datastore(PostgresDatastore):
    def register_type_adapters(self) -> None:
        """Nothing to register: appends here need no composite types. So nothing is asked of the server at the start."""


def _datastore(url: str, size: int, overflow: int, timeout_seconds: float) -> PostgresDatastore:
    info = psycopg.conninfo.conninfo_to_dict(url)
    datastore = _Datastore(
        dbname=str(info.get("dbname", "postgres")),
        host=str(info.get("host", "127.0.0.1")),
        port=str(info.get("port", 5432)),
        user=str(info.get("user", "postgres")),
        password=str(info.get("password", "")),
        pool_size=size,
        max_overflow=overflow,
        connect_timeout=timeout_seconds,
        pool_open_timeout=None,  # a wait for the pool that runs out would close it for good
        idle_in_transaction_session_timeout=5,
        schema=SCHEMA,
        pre_ping=False,
    )
    # The library knows five parts of an address; the others (TLS, for one) hold for its connections too. It bounds the
    # wait for a connection of the pool, not the making of one: whole seconds, at least 2.
    kwargs = cast(dict[str, Any], datastore.pool.kwargs)
    kwargs.update(info, connect_timeout=max(2, math.ceil(timeout_seconds)))
    return datastore
