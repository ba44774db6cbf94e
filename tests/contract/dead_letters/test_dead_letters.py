"""What every place for dead letters does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from projections.keys import Keys
from projections.valkey import open_redis
from streams.dead_letters import LETTERS_LIMIT_COUNT, DeadLetter, DeadLetters, RedisDeadLetters
from tests.fakes.dead_letters import MemoryDeadLetters


@pytest.fixture(params=["memory", "valkey"])
async def dead_letters(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[DeadLetters]:
    if request.param == "memory":
        yield MemoryDeadLetters()
        return
    async with open_redis(redis_url) as client:
        yield RedisDeadLetters(client, Keys("test"))


def letter(number: int, stream: int = 1) -> DeadLetter:
    return DeadLetter(number, UUID(int=stream), number, "order.placed.v1", "KeyError: 's9'")


async def test_without_any_there_are_none(dead_letters: DeadLetters) -> None:
    assert await dead_letters.letters("order") == []
    assert await dead_letters.streams_set_aside("order") == {}


async def test_a_letter_is_kept_as_it_was_and_sets_its_stream_aside(dead_letters: DeadLetters) -> None:
    await dead_letters.put("order", letter(7))
    assert await dead_letters.letters("order") == [letter(7)]
    assert await dead_letters.streams_set_aside("order") == {UUID(int=1): 7}


async def test_each_projection_has_its_own(dead_letters: DeadLetters) -> None:
    await dead_letters.put("order", letter(7))
    assert await dead_letters.letters("cart") == []
    assert await dead_letters.streams_set_aside("cart") == {}


async def test_a_stream_taken_back_leaves_its_letters(dead_letters: DeadLetters) -> None:
    await dead_letters.put("order", letter(7, stream=1))
    await dead_letters.put("order", letter(8, stream=2))
    await dead_letters.take_back("order", UUID(int=1))
    assert await dead_letters.streams_set_aside("order") == {UUID(int=2): 8}
    assert await dead_letters.letters("order") == [letter(8, stream=2), letter(7, stream=1)]


async def test_of_very_many_the_latest_are_kept(dead_letters: DeadLetters) -> None:
    for number in range(LETTERS_LIMIT_COUNT + 2):
        await dead_letters.put("order", letter(number))
    kept = await dead_letters.letters("order")
    assert [kept[0].position, kept[-1].position, len(kept)] == [LETTERS_LIMIT_COUNT + 1, 2, LETTERS_LIMIT_COUNT]


async def test_a_retry_is_wanted_until_it_is_done(dead_letters: DeadLetters) -> None:
    await dead_letters.want_retry("order", UUID(int=1))
    await dead_letters.want_retry("order", UUID(int=2))
    await dead_letters.retry_done("order", UUID(int=1))
    assert await dead_letters.retries_wanted("order") == {UUID(int=2)}
    assert await dead_letters.retries_wanted("cart") == set()


async def test_to_drop_the_letters_of_a_stream_leaves_it_aside(dead_letters: DeadLetters) -> None:
    for number, stream in ((7, 1), (8, 2), (9, 1)):
        await dead_letters.put("order", letter(number, stream))
    assert await dead_letters.drop("order", UUID(int=1)) == 2
    assert await dead_letters.drop("order", UUID(int=1)) == 0
    assert await dead_letters.letters("order") == [letter(8, stream=2)]
    assert set(await dead_letters.streams_set_aside("order")) == {UUID(int=1), UUID(int=2)}
