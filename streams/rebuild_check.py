"""What has to be right before a generation is swapped in: a sample of its streams, replayed alone, and all its sums."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, cast
from uuid import UUID

from redis.asyncio import Redis

from projections.generations import ViewName
from projections.keys import Keys
from projections.sums import FIRST_TOPICS, units_moved
from projections.views import View, read_level
from projections.vocabulary import product_stream, stock_stream
from projections.writes import Write
from streams.log_pages import LogPages
from streams.stored_views import LISTS, expected_fields, key_pages, read_stored

WINDOW_POSITIONS: Final = 10_000
SCANS_LIMIT_COUNT: Final = 4
# KEYS: sorted sets, a page of them. One answer for all: of a million lists, answers are most of what counting costs.
_ENTRIES: Final = """
local count = 0
for _, key in ipairs(KEYS) do count = count + redis.call('ZCARD', key) end
return count
"""


@dataclass(frozen=True, slots=True)
class Checked:
    """`sums` and `digests` are those of the log first, those of the store second."""

    position: int
    seed: int
    streams_count: int
    digests: tuple[str, str]
    sums: tuple[Mapping[str, int], Mapping[str, int]]
    differing: Sequence[str] = field(default=())

    @property
    def is_right(self) -> bool:
        return self.digests[0] == self.digests[1] and self.sums[0] == self.sums[1]


async def check(
    view: View[Any],
    client: Redis,
    keys: Keys,
    log: LogPages,
    set_aside: Collection[UUID],
    seed: int,
    streams_count: int,
) -> Checked:
    """Of a generation that stands at its checkpoint while it is looked at. Streams set aside are left out."""
    position = int(await client.hget(keys.checkpoint(view.name), "0") or 0)
    sample = [stream_id for stream_id in await log.sample(seed, streams_count, position) if stream_id not in set_aside]
    writes = await _replayed(view, log, sample, position)
    stored = await read_stored(client, writes)
    expected = [expected_fields(write) for write in writes]
    differing = [write.key for write, fields, held in zip(writes, expected, stored, strict=True) if fields != held]
    in_store: dict[str, int] = {}
    in_log = await log_sums(cast(ViewName, view.name), log, position, set_aside)
    for _ in range(SCANS_LIMIT_COUNT):  # SCAN gives a key twice where the table grows meanwhile
        in_store = await stored_sums(cast(ViewName, view.name), client, keys, set_aside)
        if in_store == in_log:
            break
    digests = (_digest(writes, expected), _digest(writes, stored))
    return Checked(position, seed, len(sample), digests, (in_log, in_store), differing)


async def _replayed(view: View[Any], log: LogPages, sample: Sequence[UUID], position: int) -> list[Write]:
    writes: list[Write] = []
    for first in range(0, len(sample), 100):
        for stream in (await log.streams(sample[first : first + 100], position)).values():
            evolved = None
            for recorded in stream:
                evolved = view.evolve(evolved, recorded.event)
            writes += view.writes(view.slot(stream[0].event), evolved)
    return writes


def _digest(writes: Sequence[Write], held: Sequence[object]) -> str:
    digest = blake2b(digest_size=8)
    for write, fields in zip(writes, held, strict=True):
        named = sorted(fields.items()) if isinstance(fields, dict) else str(fields)
        digest.update(f"{write.key} {named}\n".encode())
    return digest.hexdigest()


async def log_sums(view: ViewName, log: LogPages, up_to: int, set_aside: Collection[UUID]) -> dict[str, int]:
    """From the events alone, by counting and adding up: nothing of what makes the views is used."""
    beginnings = await log.count([FIRST_TOPICS[view]], up_to, set_aside)
    sums = dict.fromkeys(_names(view), beginnings)
    if view == "stock":
        sums |= {"on hand": 0, "reserved": 0, "available": 0}
        async for states in log.states(up_to, WINDOW_POSITIONS):
            for stream_id, topic, state in states:
                if set_aside and stream_id in set_aside:  # hardly ever, and to look a UUID up is dear
                    continue
                on_hand, reserved = units_moved(topic, state)
                sums["on hand"] += on_hand
                sums["reserved"] += reserved
                sums["available"] += on_hand - reserved
    return sums


async def stored_sums(view: ViewName, client: Redis, keys: Keys, set_aside: Collection[UUID]) -> dict[str, int]:
    """From all keys of the generation."""
    sums = dict.fromkeys(_names(view), 0)
    async for page in key_pages(client, keys, view):
        if view == "stock":
            await _add_levels(client, keys, page, set_aside, sums)
        else:
            sums["streams"] += sum(_stream_of(view, keys, key) not in set_aside for key in page)
    if view == "order":
        entries = client.register_script(_ENTRIES)
        async for page in key_pages(client, keys, LISTS):
            sums["list entries"] += int(await entries(keys=page))
        sums["list entries"] -= sum([await client.exists(keys.order(str(stream_id))) for stream_id in set_aside])
    return sums


async def _add_levels(
    client: Redis, keys: Keys, page: Sequence[str], set_aside: Collection[UUID], sums: dict[str, int]
) -> None:
    async with client.pipeline(transaction=False) as pipeline:
        for key in page:
            pipeline.hgetall(key)
        found = cast(list[dict[bytes, bytes]], await pipeline.execute())
    for key, fields in zip(page, found, strict=True):
        sku = key.removeprefix(keys.stock(""))
        sums["available"] += int(fields.pop(b"available", 0))
        for name, value in fields.items():
            level = read_level(value)
            if stock_stream(sku, name[1:].decode()) in set_aside:
                sums["available"] -= level.available
                continue
            sums["streams"] += 1
            sums["on hand"] += level.on_hand
            sums["reserved"] += level.reserved


def _names(view: ViewName) -> tuple[str, ...]:
    match view:
        case "stock":
            return ("streams", "on hand", "reserved", "available")
        case "order":
            return ("streams", "list entries")
        case _:
            return ("streams",)


def _stream_of(view: ViewName, keys: Keys, key: str) -> UUID:
    name = key.removeprefix(f"{keys.prefix}:{view}:")
    return product_stream(name) if view == "product" else UUID(name)
