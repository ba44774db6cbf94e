"""What Valkey holds of a view and the log knows nothing of; and what a key must be in itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final, cast
from uuid import UUID

import redis.exceptions
from redis.asyncio import Redis

from projections.generations import ViewName
from projections.keys import Keys
from projections.vocabulary import product_stream, stock_stream
from projections.writes import PutEntry
from streams.log_pages import LogPages
from streams.stored_views import LISTS, key_pages
from streams.verify_differences import Difference
from streams.view_feeds import VIEWS

# Most lists have a few entries, and some may have many thousands. So many of each of so many are held at a time; of
# their orders a thousand.
LISTS_AT_ONCE_COUNT: Final = 100
ENTRIES_AT_ONCE_COUNT: Final = 1_000


class Strangers:
    """A stored key was made of an event that is in the log by the time the log is asked: no false alarm."""

    def __init__(self, view: ViewName, client: Redis, keys: Keys, log: LogPages) -> None:
        self._name = view
        self._view: Any = VIEWS[view](keys)
        self._redis = client
        self._keys = keys
        self._log = log
        self.keys_count = 0

    async def differences(self) -> AsyncIterator[Difference]:
        async for page in key_pages(self._redis, self._keys, self._name):
            self.keys_count += len(page)
            for difference in await (self._levels(page) if self._name == "stock" else self._documents(page)):
                yield difference
        if self._name == "order":
            async for page in key_pages(self._redis, self._keys, LISTS):
                self.keys_count += len(page)
                for first in range(0, len(page), LISTS_AT_ONCE_COUNT):
                    async for difference in self._entries(page[first : first + LISTS_AT_ONCE_COUNT]):
                        yield difference

    async def _documents(self, page: Sequence[str]) -> list[Difference]:
        ids = {key: self._stream_of(key) for key in page}
        known = await self._log.firsts([stream_id for stream_id in ids.values() if stream_id])
        return [Difference("extra key", key, None, "", None) for key, found in ids.items() if found not in known]

    async def _levels(self, page: Sequence[str]) -> list[Difference]:
        differing: list[Difference] = []
        stocks: dict[str, dict[str, bytes]] = {}
        async with self._redis.pipeline(transaction=False) as pipeline:
            for key in page:
                pipeline.hgetall(key)
            answers = await pipeline.execute(raise_on_error=False)
        for key, answer in zip(page, answers, strict=True):
            if isinstance(answer, redis.exceptions.ResponseError):
                differing.append(Difference("wrong type", key, None, str(answer), "a hash"))
            elif isinstance(answer, Exception):
                raise answer
            elif answer:
                stocks[key] = {_text(name): value for name, value in cast(dict[bytes, bytes], answer).items()}
        ids = {(key, name): self._stock_of(key, name) for key, fields in stocks.items() for name in fields}
        known = await self._log.firsts([stream_id for stream_id in ids.values() if stream_id])
        for key, fields in stocks.items():
            ours = [name for name in fields if ids[key, name] in known]
            differing += _in_itself(key, fields, ours)
        return differing

    def _stock_of(self, key: str, field: str) -> UUID | None:
        return stock_stream(key.removeprefix(self._keys.stock("")), field[1:]) if field.startswith("@") else None

    async def _entries(self, keys: Sequence[str]) -> AsyncIterator[Difference]:
        """Of several lists: so many entries of each, until all are through."""
        cursors = dict.fromkeys(keys, 0)
        while cursors:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key, cursor in cursors.items():
                    pipeline.zscan(key, cursor, count=ENTRIES_AT_ONCE_COUNT)
                answers = await pipeline.execute(raise_on_error=False)
            members: list[tuple[str, str]] = []
            unfinished: dict[str, int] = {}
            for key, answer in zip(cursors, answers, strict=True):
                if isinstance(answer, redis.exceptions.ResponseError):
                    yield Difference("wrong type", key, None, str(answer), "a sorted set")
                elif isinstance(answer, Exception):
                    raise answer
                else:
                    cursor, scanned = answer
                    members += [(key, _text(member)) for member, _ in cast(list[tuple[bytes, float]], scanned)]
                    if cursor != 0:
                        unfinished[key] = cursor
            for first in range(0, len(members), ENTRIES_AT_ONCE_COUNT):
                for difference in await self._extra(members[first : first + ENTRIES_AT_ONCE_COUNT]):
                    yield difference
            cursors = unfinished

    async def _extra(self, members: Sequence[tuple[str, str]]) -> list[Difference]:
        """Of these entries (key, member), those that no order has made."""
        ids = [_uuid(member.partition(":")[2]) for _, member in members]
        known = await self._log.firsts([stream_id for stream_id in ids if stream_id])
        entries = {stream_id: self._entry(first.event) for stream_id, first in known.items()}
        return [
            Difference("extra entry", key, member, "", None)
            for stream_id, (key, member) in zip(ids, members, strict=True)
            if stream_id is None or entries.get(stream_id) != PutEntry(key, member)
        ]

    def _entry(self, event: Any) -> PutEntry:
        """Where an order stands in the list of its shopper."""
        writes = self._view.writes(self._view.slot(event), self._view.evolve(None, event))
        return next(write for write in writes if isinstance(write, PutEntry))

    def _stream_of(self, key: str) -> UUID | None:
        name = key.removeprefix(f"{self._keys.prefix}:{self._name}:")
        return product_stream(name) if self._name == "product" else _uuid(name)


def _in_itself(key: str, fields: dict[str, bytes], ours: Sequence[str]) -> Iterator[Difference]:
    """`ours` are the fields whose streams there are; beside them there is the sum of them all."""
    if not ours:
        yield Difference("extra key", key, None, " ".join(f"{n}={_text(v)}" for n, v in fields.items()), None)
        return
    for name, value in fields.items():
        if name not in ours and name != "available":
            yield Difference("extra field", key, name, _text(value), None)
    total = str(sum(_available(fields[name]) for name in ours))
    stored = _text(fields["available"]) if "available" in fields else None
    if stored != total:
        yield Difference("wrong sum", key, "available", stored, total)


def _uuid(text: str) -> UUID | None:
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None


def _available(level: bytes) -> int:
    try:
        _, on_hand, reserved = level.split(b" ")
        return int(on_hand) - int(reserved)
    except ValueError:
        return 0  # which the comparison with its stream has told already


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
