"""Compares the live view with the log: every stream of the one, every key of the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

from redis.asyncio import Redis

from projections.generations import Generations, ViewName
from projections.keys import Keys
from projections.recorded import Recorded
from projections.writes import PutEntry, Write
from streams.dead_letters import RedisDeadLetters
from streams.log_pages import LogPages
from streams.stored_views import Stored, expected_fields, read_stored, stored_version
from streams.verify_differences import Difference, What, compared
from streams.verify_strangers import Strangers
from streams.view_feeds import VIEWS

PAGE_SIZE_EVENTS: Final = 5_000


class Verification:
    """While the shop sells: what seems to differ is looked at again, on its own, in an order that proves it.

    First the view's position, then what is stored, then the stream: what is stored was made of events that are in the
    stream by then, and the events up to the position are in what is stored. So a stored version is compared with the
    stream up to that very version, and may be later than the position, never earlier.
    """

    def __init__(self, view: ViewName, client: Redis, log: LogPages) -> None:
        self._name = view
        self._redis = client
        self._log = log
        self._generations = Generations(client)
        self.generation = 0
        self.streams_count = 0
        self.keys_count = 0
        self.position = 0
        """Where the view stood at the end."""

    async def differences(self) -> AsyncIterator[Difference]:
        """Raises the stores' errors. Events that cannot be applied end a stream's comparison before them."""
        self.generation = (await self._generations.standing(self._name)).live
        keys = Keys.of(self.generation)
        letters = RedisDeadLetters(self._redis, keys)
        set_aside = await letters.streams_set_aside(self._name)
        one = _Streams(VIEWS[self._name](keys), self._redis, keys, self._log, set_aside)
        async for streams in self._log.by_stream(PAGE_SIZE_EVENTS):
            self.streams_count += len(streams)
            for stream_id in await one.suspicious(streams):
                for difference in await one.differences(stream_id):
                    yield difference
        strangers = Strangers(self._name, self._redis, keys, self._log)
        async for difference in strangers.differences():
            yield difference
        self.keys_count = strangers.keys_count
        self.position = await one.position()


class _Streams:
    def __init__(self, view: Any, client: Redis, keys: Keys, log: LogPages, set_aside: Collection[UUID]) -> None:
        self._view = view
        self._redis = client
        self._checkpoint_key = keys.checkpoint(view.name)
        self._log = log
        self._set_aside = set_aside

    async def position(self) -> int:
        """Up to which the view claims to hold everything."""
        return min(map(int, await self._redis.hvals(self._checkpoint_key)), default=0)

    async def suspicious(self, streams: dict[UUID, list[Recorded]]) -> list[UUID]:
        """Those that do not read as their events say: because they are wrong, or because they went on meanwhile."""
        found: list[UUID] = []
        owners: list[UUID] = []
        writes: list[Write] = []
        for stream_id, stream in streams.items():
            try:
                made = self._writes(stream)
            except Exception:  # an event that cannot be applied, which `differences` is to say
                found.append(stream_id)
                continue
            writes += made
            owners += [stream_id] * len(made)
        for write, stored, stream_id in zip(writes, await read_stored(self._redis, writes), owners, strict=True):
            if stored != expected_fields(write):
                found.append(stream_id)
        return list(dict.fromkeys(found))

    async def differences(self, stream_id: UUID) -> list[Difference]:
        """Proved, as the class above says."""
        first = await self._log.firsts([stream_id])
        writes = self._writes(list(first.values()))  # the places: they are the same at every version
        position = await self.position()
        stored = await read_stored(self._redis, writes)
        stream = (await self._log.streams([stream_id])).get(stream_id, [])
        least_version = sum(recorded.position <= position for recorded in stream)
        found: list[Difference] = []
        for place, write in enumerate(writes):
            found += self._compared(place, write, stored[place], stream, least_version)
        return found

    def _compared(
        self, place: int, write: Write, stored: Stored, stream: Sequence[Recorded], least_version: int
    ) -> Iterator[Difference]:
        if isinstance(stored, Exception):
            yield Difference("wrong type", write.key, None, str(stored), type(write).__name__)
            return
        version = stored_version(write, stored)
        try:
            if isinstance(write, PutEntry):  # the same at every version, from the first on
                if stored or least_version:
                    yield from compared(write, stored, expected_fields(write))
            elif version is None:
                if least_version:
                    due = expected_fields(self._writes(stream[:least_version])[place])
                    yield from compared(write, {}, due)
            elif not 0 < version <= len(stream):
                yield from compared(write, stored, expected_fields(self._writes(stream)[place]))
            else:
                if version < least_version:
                    yield self._stale(write, version, least_version, stream[0].event.originator_id)
                yield from compared(write, stored, expected_fields(self._writes(stream[:version])[place]))
        except Exception as error:
            yield Difference("cannot be replayed", write.key, None, None, f"{type(error).__name__}: {error}")

    def _stale(self, write: Write, version: int, least_version: int, stream_id: UUID) -> Difference:
        what: What = "set aside" if stream_id in self._set_aside else "stale version"
        return Difference(what, write.key, _version_field(write), str(version), str(least_version))

    def _writes(self, stream: Sequence[Recorded]) -> Sequence[Write]:
        view = None
        for recorded in stream:
            view = self._view.evolve(view, recorded.event)
        writes: Sequence[Write] = self._view.writes(self._view.slot(stream[0].event), view)
        return writes


def _version_field(write: Write) -> str:
    return getattr(write, "field", "version")
