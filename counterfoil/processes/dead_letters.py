"""What the command line does about events that could not be applied. The bookkeeping is one: embedded or on Kafka."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
from rich.console import Console

from counterfoil.embedded.errors import CannotStartError
from projections.generations import VIEW_NAMES, Generations
from projections.keys import Keys
from projections.valkey import open_redis
from streams.dead_letters import DeadLetter, DeadLetters, RedisDeadLetters
from streams.notifications import postman
from streams.notifications import projection as notifications
from streams.signals import page_view_buckets as page_views
from streams.signals import sales_projection as sales

if TYPE_CHECKING:
    from counterfoil.settings import Settings

# Whoever feeds a projection looks for it every two seconds.
RETRY_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.2
REDIS_TIMEOUT_SECONDS = 5.0
PROJECTIONS = (*VIEW_NAMES, "search", sales.NAME, notifications.NAME, postman.NAME, page_views.NAME)


def show(settings: Settings, projection: str | None, *, as_json: bool = False) -> int:
    """Prints the letters, newest first, of one projection or of all, each on a line. Returns how many there are."""
    return asyncio.run(_show(_redis_url(settings), projection, as_json))


def try_again(settings: Settings, projection: str, stream_id: UUID) -> bool:
    """Has whoever feeds the projection try the stream again, and prints how that went. True when it is whole now."""
    return asyncio.run(_try_again(_redis_url(settings), projection, stream_id))


def drop(settings: Settings, projection: str, stream_id: UUID) -> int:
    """Removes the letters of the stream; it stays set aside until it can be applied. Returns how many there were."""
    return asyncio.run(_drop(_redis_url(settings), projection, stream_id))


async def _show(redis_url: str, projection: str | None, as_json: bool) -> int:
    count = 0
    async with open_redis(redis_url, timeout_seconds=REDIS_TIMEOUT_SECONDS) as client:
        generations = Generations(client)
        for name in PROJECTIONS if projection is None else (projection,):
            letters = RedisDeadLetters(client, await keys_of(generations, name))
            set_aside = await letters.streams_set_aside(name)
            for letter in await letters.letters(name):
                is_set_aside = letter.stream_id in set_aside
                print(_json(name, letter, is_set_aside) if as_json else _line(name, letter, is_set_aside))
                count += 1
    if not count and not as_json:
        print("There are no dead letters.")
    return count


async def _try_again(redis_url: str, projection: str, stream_id: UUID) -> bool:
    async with open_redis(redis_url, timeout_seconds=REDIS_TIMEOUT_SECONDS) as client:
        letters = RedisDeadLetters(client, await keys_of(Generations(client), projection))
        if not await _is_to_be_tried(letters, projection, stream_id):
            Console().print(f"Stream {stream_id} is not set aside by {projection!r}.")
            return False
        await letters.want_retry(projection, stream_id)
        if not await _tried(letters, projection, stream_id):
            Console().print("Nobody has tried it yet: it is tried as soon as the projector, or a worker, runs.")
            return False
        whole = stream_id not in await letters.streams_set_aside(projection)
        Console().print("It could be applied." if whole else "It still cannot be applied; the log says why.")
        return whole


async def _is_to_be_tried(letters: DeadLetters, projection: str, stream_id: UUID) -> bool:
    """A letter to a customer that was given up sets no stream aside: the others about the order are sent."""
    if projection == postman.NAME:
        return any(letter.stream_id == stream_id for letter in await letters.letters(projection))
    return stream_id in await letters.streams_set_aside(projection)


async def _tried(letters: DeadLetters, projection: str, stream_id: UUID) -> bool:
    try:
        async with asyncio.timeout(RETRY_TIMEOUT_SECONDS):
            while stream_id in await letters.retries_wanted(projection):  # noqa: ASYNC110 (another process sees to it)
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        return False
    return True


async def _drop(redis_url: str, projection: str, stream_id: UUID) -> int:
    async with open_redis(redis_url, timeout_seconds=REDIS_TIMEOUT_SECONDS) as client:
        letters = RedisDeadLetters(client, await keys_of(Generations(client), projection))
        dropped_count = await letters.drop(projection, stream_id)
    Console().print(f"{dropped_count} dropped.")
    return dropped_count


async def keys_of(generations: Generations, projection: str) -> Keys:
    """Of the live generation; what is not a view has only one."""
    for view in VIEW_NAMES:
        if view == projection:
            return Keys.of((await generations.standing(view)).live)
    if projection not in PROJECTIONS:
        raise CannotStartError(f"There is no projection {projection!r}: it is one of {', '.join(PROJECTIONS)}.")
    return Keys()


def _line(projection: str, letter: DeadLetter, is_set_aside: bool) -> str:
    """However narrow the terminal: a table would cut the id. It begins with what `retry` and `drop` are to be given."""
    if not letter.is_of_a_stream:
        state = "a message of no stream"
    else:
        state = "set aside" if is_set_aside else "no longer set aside"
    what = f"position {letter.position}, version {letter.version}, {letter.topic}, {state}"
    return f"{projection} {letter.stream_id} {what}: {' '.join(letter.reason.split())}"


def _json(projection: str, letter: DeadLetter, is_set_aside: bool) -> str:
    told = {"projection": projection, **msgspec.to_builtins(letter), "set_aside": is_set_aside}
    return msgspec.json.encode(told).decode()


def _redis_url(settings: Settings) -> str:
    if settings.redis_url is None:
        raise CannotStartError("There are no dead letters to look at: set REDIS_URL, or start the shop.")
    return settings.redis_url
