"""Virtual time: what takes an hour takes none, and who is first is the dice's to say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from counterfoil.simulation.dice import Part, dice_of
from counterfoil.simulation.loop import Endless, Stalled, VirtualLoop


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


def test_an_hour_takes_no_time(loop: VirtualLoop) -> None:
    began = time.monotonic()

    loop.run_until_complete(asyncio.sleep(3_600))

    assert loop.time() == 3_600
    assert time.monotonic() - began < 10


def test_timeouts_are_in_virtual_time(loop: VirtualLoop) -> None:
    async def wait() -> None:
        async with asyncio.timeout(60):
            await loop.create_future()

    with pytest.raises(TimeoutError):
        loop.run_until_complete(wait())
    assert loop.time() == 60


def test_after_a_jump_all_that_was_due_is_due_in_its_order(loop: VirtualLoop) -> None:
    happened: list[tuple[str, float]] = []

    async def note(name: str, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        happened.append((name, loop.time()))

    async def all_of_them() -> None:
        notes = asyncio.gather(note("second", 20), note("first", 10), note("last", 1_000))
        await asyncio.sleep(1)
        loop.jump(100)
        await notes

    loop.run_until_complete(all_of_them())
    assert happened == [("first", 101), ("second", 101), ("last", 1_000)]


def test_waiting_for_what_never_comes_is_found(loop: VirtualLoop) -> None:
    with pytest.raises(Stalled):
        loop.run_until_complete(loop.create_future())


def test_going_round_in_circles_is_found() -> None:
    loop = VirtualLoop(callbacks_limit_count=1_000)

    def circle() -> None:
        loop.call_soon(circle)

    circle()
    with pytest.raises(Endless):
        loop.run_until_complete(loop.create_future())
    loop.close()


def order_of(seed: int | None) -> list[int]:
    loop = VirtualLoop(dice_of(seed, Part.ORDER) if seed is not None else None)
    happened: list[int] = []

    async def act(number: int) -> None:
        await asyncio.sleep(1)
        happened.append(number)

    async def all_of_them() -> None:
        await asyncio.gather(*(act(number) for number in range(10)))

    loop.run_until_complete(all_of_them())
    loop.close()
    return happened


def test_without_dice_it_is_first_come_first_served() -> None:
    assert order_of(None) == list(range(10))


def test_with_dice_it_is_theirs_to_say_and_the_same_each_time() -> None:
    assert order_of(1) == order_of(1) != order_of(2)
    assert sorted(order_of(1)) == list(range(10))
