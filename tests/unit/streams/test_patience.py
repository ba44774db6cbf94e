"""Trying again while a store is away, and nothing more than that while it is there."""

from __future__ import annotations

import asyncio
import gc

import pytest

from streams.patience import Patience


class Store:
    """Is away for the first so many calls."""

    def __init__(self, away_count: int, error: Exception) -> None:
        self.calls_count = 0
        self._away_count = away_count
        self._error = error

    async def ask(self) -> str:
        self.calls_count += 1
        if self.calls_count <= self._away_count:
            raise self._error
        return "here"


def patience(noted: list[int], outage_limit_seconds: float = 5.0) -> Patience:
    return Patience(
        "shop",
        lambda: noted.append(1),
        first_pause_seconds=0.001,
        longest_pause_seconds=0.002,
        outage_limit_seconds=outage_limit_seconds,
    )


async def test_what_succeeds_is_done_once_and_nobody_hears_of_it() -> None:
    noted, store = list[int](), Store(0, OSError())
    assert await patience(noted).until_done(store.ask) == "here"
    assert (store.calls_count, noted) == (1, [])


@pytest.mark.parametrize("away_count", [1, 2, 5])
async def test_a_store_that_is_away_is_asked_until_it_is_back(away_count: int) -> None:
    noted, store = list[int](), Store(away_count, OSError("away"))
    waiting = patience(noted)
    assert await waiting.until_done(store.ask) == "here"
    assert (store.calls_count, len(noted)) == (away_count + 1, away_count)
    assert waiting.trouble is None


async def test_what_is_wrong_is_told_meanwhile() -> None:
    waiting = Patience("shop", lambda: None, first_pause_seconds=30)
    trying = asyncio.create_task(waiting.until_done(Store(9, OSError("away")).ask))
    await asyncio.sleep(0.01)
    assert waiting.trouble == "OSError: away"
    trying.cancel()
    await asyncio.wait([trying], timeout=5)
    assert trying.cancelled()


async def test_an_outage_that_outlasts_the_limit_is_raised() -> None:
    with pytest.raises(OSError, match="away"):
        await patience([], outage_limit_seconds=0.02).until_done(Store(10_000, OSError("away")).ask)


@pytest.mark.parametrize("away_count", [1, 2])
async def test_another_error_is_raised_at_once(away_count: int) -> None:
    store = Store(away_count, ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await patience([]).until_done(store.ask)
    assert store.calls_count == 1


async def test_what_succeeds_leaves_nothing_for_the_garbage_collector() -> None:
    """Feeding a view asks for it a thousand times a second: collecting what that left stopped all of it."""
    waiting, store = patience([]), Store(0, OSError())
    await waiting.until_done(store.ask)
    gc.collect()
    for _ in range(100):
        await waiting.until_done(store.ask)
    assert gc.collect() < 100
