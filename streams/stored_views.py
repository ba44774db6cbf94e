"""What Valkey holds of a view: its keys, page by page, and what was written against what is there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any, Final, cast

import redis.exceptions
from redis.asyncio import Redis

from projections.generations import ViewName
from projections.keys import ROOT, Keys
from projections.writes import PutDocument, PutEntry, PutLevel, Write

SCAN_COUNT: Final = 1_000
DROP_COUNT: Final = 500
LISTS: Final = "orders"  # beside the views of single orders
_ABOUT = ("checkpoint", "dead-letters", "set-aside", "retries", "offsets")

# What a key holds under the names that a write has for it; an exception where the key is of another type.
Stored = dict[str, bytes] | redis.exceptions.ResponseError


async def key_pages(client: Redis, keys: Keys, family: str) -> AsyncIterator[list[str]]:
    """Of the generation's `<family>:…` keys, each at least once if it is there all the while, some at a time."""
    cursor, pattern = 0, f"{keys.prefix}:{family}:*"
    while True:
        cursor, page = await client.scan(cursor, match=pattern, count=SCAN_COUNT)
        if page:
            yield [key.decode() for key in dict.fromkeys(cast(list[bytes], page))]
        if cursor == 0:
            return


async def drop_generations(client: Redis, view: ViewName, spared: Collection[int]) -> int:
    """Removes every key of the view that is of none of the generations `spared`. Returns how many views there were."""
    dropped_count = 0
    kept = {Keys.of(number).prefix for number in spared}
    for family in (view, LISTS) if view == "order" else (view,):
        # Their checkpoints go first: whoever still writes there is refused.
        async for page in key_pages(client, Keys(f"{ROOT}:*"), "checkpoint"):
            await _drop(client, [key for key in page if key.endswith(f":checkpoint:{view}")], kept)
        async for page in key_pages(client, Keys(f"{ROOT}:*"), family):
            dropped_count += await _drop(client, page, kept)
    for about in _ABOUT:
        async for page in key_pages(client, Keys(f"{ROOT}:*"), about):
            await _drop(client, [key for key in page if key.endswith(f":{about}:{view}")], kept)
    return dropped_count


async def _drop(client: Redis, page: Sequence[str], kept_prefixes: Collection[str]) -> int:
    gone = [key for key in page if (prefix := _prefix(key)) is not None and prefix not in kept_prefixes]
    for first in range(0, len(gone), DROP_COUNT):
        await client.unlink(*gone[first : first + DROP_COUNT])
    return len(gone)


def _prefix(key: str) -> str | None:
    """`counterfoil:<number>`, None for a key that is of no generation."""
    root, number, *_ = key.split(":", 2)
    return f"{root}:{number}" if root == ROOT and number.isdecimal() else None


async def read_stored(client: Redis, writes: Sequence[Write]) -> list[Stored]:
    """What there is in the place of each write, in one round trip: as `expected_fields` has it. Empty: nothing."""
    async with client.pipeline(transaction=False) as pipeline:
        for write in writes:
            match write:
                case PutDocument():
                    pipeline.hgetall(write.key)
                case PutLevel():
                    pipeline.hget(write.key, write.field)
                case PutEntry():
                    pipeline.zscore(write.key, write.member)
        answers = await pipeline.execute(raise_on_error=False)
    return [_stored(write, answer) for write, answer in zip(writes, answers, strict=True)]


def expected_fields(write: Write) -> dict[str, bytes]:
    """What a key holds once this was written: field -> value; of a sorted set member -> score."""
    match write:
        case PutDocument():
            return {"version": b"%d" % write.version, **write.fields}
        case PutLevel():
            level = write.level
            return {write.field: b"%d %d %d" % (level.version, level.on_hand, level.reserved)}
        case PutEntry():
            return {write.member: b"0"}


def stored_version(write: Write, stored: dict[str, bytes]) -> int | None:
    """Which version of its stream is there; None for nothing, -1 for what is no version. An entry has none."""
    if not stored:
        return None
    match write:
        case PutDocument():
            return _number(stored.get("version", b""))
        case PutLevel():
            return _number(stored[write.field].partition(b" ")[0])
        case PutEntry():
            return None


def _number(text: bytes) -> int:
    return int(text) if text.isdigit() else -1


def _stored(write: Write, answer: Any) -> Stored:
    if isinstance(answer, redis.exceptions.ResponseError):
        return answer
    if isinstance(answer, Exception):
        raise answer
    match write:
        case PutDocument():
            fields = cast(dict[bytes, bytes], answer)
            return {name.decode(errors="replace"): value for name, value in fields.items()}
        case PutLevel():
            return {} if answer is None else {write.field: answer}
        case PutEntry():
            return {} if answer is None else {write.member: b"%g" % answer}
