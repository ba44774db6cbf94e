from __future__ import annotations

import asyncio

import pytest

from queryside.fallback.breaker import Breaker, CircuitOpen


class Down(Exception):
    pass


class Store:
    """Answers, or raises Down; and tells whether it holds what it ought to."""

    def __init__(self) -> None:
        self.is_down = False
        self.is_whole = True
        self.asked_count = 0
        self.now_seconds = 0.0
        self.gate: asyncio.Event | None = None
        self.breaker = Breaker(
            "store", (Down,), self._is_back, failures_limit_count=3, pause_seconds=1, longest_pause_seconds=4,
            clock=lambda: self.now_seconds,
        )  # fmt: skip

    async def ask(self) -> str:
        self.asked_count += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.is_down:
            raise Down
        return "answer"

    async def fail(self, times: int = 3) -> None:
        self.is_down = True
        for _ in range(times):
            with pytest.raises(Down):
                await self.breaker.call(self.ask)
        self.asked_count = 0

    def state(self) -> str:
        return self.breaker.state

    async def refuses(self) -> None:
        with pytest.raises(CircuitOpen):
            await self.breaker.call(self.ask)

    async def _is_back(self) -> bool:
        if self.is_down:
            raise Down
        return self.is_whole


@pytest.fixture
def store() -> Store:
    return Store()


async def test_gives_what_the_store_gives(store: Store) -> None:
    assert await store.breaker.call(store.ask) == "answer"
    assert store.state() == "closed"


async def test_opens_after_so_many_failures_in_a_row(store: Store) -> None:
    await store.fail(2)
    store.is_down = False
    await store.breaker.call(store.ask)
    await store.fail(2)
    assert store.state() == "closed"
    await store.fail(1)
    assert store.state() == "open"
    await store.refuses()
    assert store.asked_count == 0


async def test_other_errors_are_answers(store: Store) -> None:
    async def wrong() -> None:
        raise ValueError

    for _ in range(5):
        with pytest.raises(ValueError):
            await store.breaker.call(wrong)
    assert store.state() == "closed"


async def test_tries_again_after_the_pause_and_closes(store: Store) -> None:
    await store.fail()
    store.is_down = False
    await store.refuses()
    store.now_seconds = 1
    assert store.state() == "half_open"
    assert await store.breaker.call(store.ask) == "answer"
    assert store.state() == "closed"


async def test_pauses_twice_as_long_each_time_within_the_limit(store: Store) -> None:
    await store.fail()
    for pause_seconds in (1, 2, 4, 4):
        store.now_seconds += pause_seconds - 0.5
        assert store.state() == "open"
        store.now_seconds += 0.5
        with pytest.raises(Down):
            await store.breaker.call(store.ask)
    store.now_seconds += 4
    store.is_down = False
    await store.breaker.call(store.ask)
    await store.fail()
    store.now_seconds += 1
    assert store.state() == "half_open"


async def test_stays_open_until_the_store_holds_what_it_ought_to(store: Store) -> None:
    await store.fail()
    store.is_down, store.is_whole = False, False
    store.now_seconds = 1
    await store.refuses()
    assert (store.state(), store.asked_count) == ("open", 0)
    store.now_seconds, store.is_whole = 3, True
    assert await store.breaker.call(store.ask) == "answer"


async def test_one_at_a_time_tries_while_it_is_half_open(store: Store) -> None:
    await store.fail()
    store.is_down, store.now_seconds, store.gate = False, 1, asyncio.Event()
    first = asyncio.create_task(store.breaker.call(store.ask))
    await asyncio.sleep(0)
    await store.refuses()
    store.gate.set()
    assert await first == "answer"
    assert store.asked_count == 1


async def test_one_who_goes_away_while_trying_leaves_the_place_to_others(store: Store) -> None:
    await store.fail()
    store.is_down, store.now_seconds, store.gate = False, 1, asyncio.Event()
    first = asyncio.create_task(store.breaker.call(store.ask))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    store.gate.set()
    assert await store.breaker.call(store.ask) == "answer"


async def test_those_under_way_when_it_opened_do_not_open_it_for_longer(store: Store) -> None:
    store.gate = asyncio.Event()
    under_way = [asyncio.create_task(store.breaker.call(store.ask)) for _ in range(9)]
    await asyncio.sleep(0)
    store.is_down = True
    store.gate.set()
    await asyncio.gather(*under_way, return_exceptions=True)
    store.now_seconds, store.is_down = 1, False
    assert await store.breaker.call(store.ask) == "answer"
