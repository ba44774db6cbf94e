"""What the log has told, and somebody has not taken in: views, search, the relay, letters; and dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import redis.exceptions

from counterfoil.doctor.bounds import CONSUMER_LAG_WITHIN, in_words
from counterfoil.doctor.findings import Check, Trouble
from counterfoil.processes import dead_letters, status
from projections.generations import Generations
from projections.valkey import open_redis
from streams.dead_letters import DeadLetter, RedisDeadLetters
from streams.notifications import postman
from streams.notifications import projection as notifications
from streams.status import Consumer

if TYPE_CHECKING:
    from datetime import datetime

    from counterfoil.settings import Settings

BEHIND: Final = Check(
    "consumer-behind",
    in_words(CONSUMER_LAG_WITHIN),
    "It has not taken in what the log has: see that its process runs (projector; with Kafka relay and worker).",
)
DEAD_LETTER: Final = Check(
    "dead-letter",
    "none",
    "An event could not be applied and its stream stands still there, or a letter was given up: `dead-letters list` "
    "says why, `dead-letters retry` tries it again.",
)
CHECKS: Final = (BEHIND, DEAD_LETTER)


class StoreAway(Exception):
    """It could not be looked at; the text says why."""


async def look(settings: Settings, now: datetime) -> tuple[list[Trouble], list[str]]:
    """What is behind, and what could not be asked. `settings` has a REDIS_URL. Raises StoreAway."""
    found = await status.ask(settings)
    away = {part.name: part.says for part in found.parts if part.says is not None}
    if "valkey" in away:
        raise StoreAway(away["valkey"])
    troubles = [trouble for consumer in found.consumers for trouble in _behind(consumer, settings, now)]
    try:
        troubles += await _dead_letters(settings)
    except (redis.exceptions.RedisError, OSError) as error:
        raise StoreAway(str(error)) from error
    return troubles, [f"opensearch: {away['opensearch']}"] if "opensearch" in away else []


def _behind(consumer: Consumer, settings: Settings, now: datetime) -> Iterator[Trouble]:
    if consumer.name == notifications.NAME and settings.smtp_url is None:
        return  # was fed once, and nobody is written to any more
    if consumer.lag_seconds > CONSUMER_LAG_WITHIN.total_seconds():
        since = now - timedelta(seconds=consumer.lag_seconds)
        yield Trouble(BEHIND, consumer.name, f"{consumer.events_behind:,} events behind", since)


async def _dead_letters(settings: Settings) -> list[Trouble]:
    assert settings.redis_url is not None
    troubles = []
    async with open_redis(settings.redis_url, timeout_seconds=dead_letters.REDIS_TIMEOUT_SECONDS) as client:
        for name in dead_letters.PROJECTIONS:
            letters = RedisDeadLetters(client, await dead_letters.keys_of(Generations(client), name))
            set_aside = await letters.streams_set_aside(name)
            for letter in await letters.letters(name):
                if letter.stream_id in set_aside or name == postman.NAME or not letter.is_of_a_stream:
                    troubles.append(Trouble(DEAD_LETTER, f"{name}, stream {letter.stream_id}", _said(letter)))
                    set_aside.pop(letter.stream_id, None)
            for stream_id, position in set_aside.items():  # whose letter was dropped
                troubles.append(
                    Trouble(DEAD_LETTER, f"{name}, stream {stream_id}", f"set aside at position {position}")
                )
    return troubles


def _said(letter: DeadLetter) -> str:
    return f"position {letter.position}, {letter.topic}: {' '.join(letter.reason.split())}"
