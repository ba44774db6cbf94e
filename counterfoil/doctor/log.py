"""The log as the doctor reads it: which streams to look at, told by topics alone, and those streams, in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, Self
from uuid import UUID

import psycopg
from eventsourcing.persistence import MapperDeserialisationError

from commandside.event_store.mapper import EventMapper
from commandside.event_store.port import EventStore, Evolution
from domain.aggregates import Checkout
from domain.identity import checkout_stream

CONNECT_TIMEOUT_SECONDS: Final = 5
# On a log of many millions a pass over all topics takes minutes.
STATEMENT_TIMEOUT_SECONDS: Final = 600
PAGE_SIZE_STREAMS: Final = 200


class Log:
    """Postgres, read only. A stream's state may be sealed: candidates are found by topics, which never are."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], store: EventStore, mapper: EventMapper) -> None:
        self._connection = connection
        self._store = store
        self._mapper = mapper
        self.now = datetime.now(UTC)
        self.unreadable: dict[UUID | None, str] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str, store: EventStore, mapper: EventMapper) -> AsyncIterator[Self]:
        """Raises psycopg.Error."""
        settings = {
            "statement_timeout": STATEMENT_TIMEOUT_SECONDS * 1_000,
            "default_transaction_read_only": "on",
            "cursor_tuple_fraction": 1.0,  # all rows are wanted: else a cursor goes by the index, stream after stream
            "jit": "off",
        }
        connection = await psycopg.AsyncConnection.connect(
            database_url,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        )
        async with connection:
            yield cls(connection, store, mapper)

    def topics(self, *event_types: type) -> list[str]:
        """Those under which events of these types are stored, old ones too."""
        return self._mapper.topics_of(event_types)

    async def rows(self, query: str, params: Mapping[str, Any], page_size_rows: int) -> AsyncIterator[list[Any]]:
        """The rows in pages, which Postgres keeps until they are fetched. Raises psycopg.Error."""
        async with self._connection.transaction(), self._connection.cursor(name="doctor") as cursor:
            await cursor.execute(query.encode(), params)
            while page := await cursor.fetchmany(page_size_rows):
                yield page

    async def streams(
        self, query: str, page_size_streams: int = PAGE_SIZE_STREAMS, **topics: list[str]
    ) -> AsyncIterator[Mapping[UUID, Sequence[Evolution]]]:
        """The streams that `query` names, each with what it is made of. Raises psycopg.Error, StoreUnavailable."""
        async for page in self.rows(query, topics, page_size_streams):
            yield await self.load(row[0] for row in page)

    async def load(self, ids: Iterable[UUID]) -> Mapping[UUID, Sequence[Evolution]]:
        """Streams that cannot be read are noted in `unreadable`, and left out. Raises StoreUnavailable."""
        wanted = dict.fromkeys(ids, 0)
        try:
            return await self._store.load(wanted)
        except MapperDeserialisationError as error:
            if len(wanted) == 1:
                self.unreadable.update(dict.fromkeys(wanted, str(error)))
                return {}
        readable: dict[UUID, Sequence[Evolution]] = {}
        for stream_id in wanted:
            readable.update(await self.load([stream_id]))
        return readable

    def made(self, stream_id: UUID, history: Sequence[Evolution]) -> Any:
        """The aggregate; None, and noted, where these events make none."""
        aggregate: Any = None
        try:
            for step in history:
                aggregate = step.mutate(aggregate)
        except Exception as error:  # whatever it is that does not fit together, somebody has to look at that stream
            self.unreadable[stream_id] = f"{type(error).__name__}: {error}"
            return None
        return aggregate

    async def checkouts(self, order_ids: Iterable[str]) -> dict[str, Checkout | None]:
        """By order id; None where there is no such checkout, and none at all of those that cannot be read.

        Raises StoreUnavailable.
        """
        found: dict[str, Checkout | None] = {}
        wanted = iter(dict.fromkeys(order_ids))
        while page := list(islice(wanted, PAGE_SIZE_STREAMS)):
            ids = {order_id: checkout_stream(UUID(order_id)) for order_id in page if _is_uuid(order_id)}
            histories = await self.load(ids.values())
            for order_id in page:
                stream_id = ids.get(order_id)
                checkout = None
                if stream_id is not None and stream_id in histories:
                    checkout = self.made(stream_id, histories[stream_id])
                if stream_id not in self.unreadable:
                    found[order_id] = checkout
        return found


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
