from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from counterfoil.imports.in_flight import in_flight


async def test_no_more_than_the_limit_are_under_way_and_all_are_done() -> None:
    now, most, done = 0, 0, []

    async def do(thing: int) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        done.append(thing)

    assert await in_flight(range(100), do, limit_count=7)
    assert (most, sorted(done)) == (7, list(range(100)))


async def test_those_of_one_key_follow_one_another() -> None:
    under_way: Counter[str] = Counter()
    order: list[str] = []

    async def do(thing: str) -> None:
        under_way[thing[0]] += 1
        assert under_way[thing[0]] == 1
        await asyncio.sleep(0.001 if thing.endswith("1") else 0)
        under_way[thing[0]] -= 1
        order.append(thing)

    assert await in_flight(["a1", "a2", "b1", "a3", "b2"], do, limit_count=5, key=lambda thing: thing[0])
    assert [thing for thing in order if thing[0] == "a"] == ["a1", "a2", "a3"]
    assert [thing for thing in order if thing[0] == "b"] == ["b1", "b2"]


async def test_the_first_failure_ends_it_as_it_is() -> None:
    async def do(thing: int) -> None:
        if thing == 3:
            raise LookupError("three")
        await asyncio.sleep(0)

    with pytest.raises(LookupError, match="three"):
        await in_flight(range(10), do, limit_count=2)


async def test_asked_to_stop_it_begins_nothing_more_and_ends_what_it_began() -> None:
    done: list[int] = []

    async def do(thing: int) -> None:
        await asyncio.sleep(0)
        done.append(thing)

    assert not await in_flight(range(100), do, limit_count=3, stopping=lambda: len(done) >= 5)
    assert 5 <= len(done) <= 8
