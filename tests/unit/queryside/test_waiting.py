from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from queryside.errors import NotThereInTime, StoreUnavailable, TooManyWaiting
from queryside.waiting import Waiting
from tests.waiting import eventually


class Numbers:
    def __init__(self, **numbers: int) -> None:
        self.numbers = numbers
        self.reads: list[tuple[str, ...]] = []
        self.error: StoreUnavailable | None = None

    async def read(self, keys: Sequence[str]) -> list[int]:
        self.reads.append(tuple(keys))
        if self.error:
            raise self.error
        return [self.numbers.get(key, 0) for key in keys]

    async def were_read(self, times: int) -> None:
        async def reads_count() -> int:
            return len(self.reads)

        await eventually(reads_count, lambda count: count >= times)


async def test_what_is_there_already_is_not_waited_for() -> None:
    numbers = Numbers(product=5)
    await Waiting(numbers.read, timeout_seconds=1).until("product", 5)
    assert len(numbers.reads) == 1


async def test_it_waits_until_the_number_is_reached() -> None:
    numbers = Numbers(product=5)
    waiting = asyncio.create_task(Waiting(numbers.read, timeout_seconds=5, poll_seconds=0.001).until("product", 6))
    await numbers.were_read(3)
    assert not waiting.done()
    numbers.numbers["product"] = 7
    await waiting


async def test_what_does_not_come_in_time_is_said_to_be_late() -> None:
    with pytest.raises(NotThereInTime) as raised:
        await Waiting(Numbers().read, timeout_seconds=0.02, poll_seconds=0.001).until("product", 1)
    assert raised.value.status == 503
    assert raised.value.retry_after_seconds == 1


async def test_all_who_wait_share_one_poll_and_nobody_waiting_means_none() -> None:
    numbers = Numbers()
    waiting = Waiting(numbers.read, timeout_seconds=5, poll_seconds=0.001)
    many = [asyncio.create_task(waiting.until(key, 1)) for key in ("a", "b") * 50]
    await numbers.were_read(5)
    assert set(numbers.reads) == {("a", "b")}
    numbers.numbers = {"a": 1, "b": 1}
    await asyncio.gather(*many)
    reads = len(numbers.reads)
    await asyncio.sleep(0.02)
    assert len(numbers.reads) <= reads + 1


async def test_only_so_many_may_wait() -> None:
    waiting = Waiting(Numbers().read, timeout_seconds=5, waiters_limit_count=2)
    two = [asyncio.create_task(waiting.until("a", 1)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyWaiting):
        await waiting.until("a", 1)
    for task in two:
        task.cancel()
    await asyncio.gather(*two, return_exceptions=True)
    numbers = Numbers(a=1)
    await Waiting(numbers.read, timeout_seconds=1, waiters_limit_count=1).until("a", 1)


async def test_what_is_held_is_not_refused_because_others_wait() -> None:
    numbers = Numbers(product=5)
    waiting = Waiting(numbers.read, timeout_seconds=5, waiters_limit_count=2)
    two = [asyncio.create_task(waiting.until("product", 6)) for _ in range(2)]
    await numbers.were_read(3)
    with pytest.raises(TooManyWaiting):
        await waiting.until("product", 6)
    await waiting.until("product", 1)
    await waiting.until("product", 5)
    numbers.numbers["product"] = 6
    await asyncio.gather(*two)


async def test_what_is_far_out_of_reach_is_refused_at_once_and_takes_no_place() -> None:
    numbers = Numbers(product=5)
    waiting = Waiting(numbers.read, timeout_seconds=60, waiters_limit_count=2, ahead_limit_count=100)
    async with asyncio.timeout(5):
        refused = await asyncio.gather(
            *(waiting.until("product", 2**63 - 1) for _ in range(1_000)), return_exceptions=True
        )
        with pytest.raises(NotThereInTime):
            await waiting.until("product", 5 + 101)
    assert {type(error) for error in refused} == {NotThereInTime}
    within_reach = asyncio.create_task(waiting.until("product", 5 + 100))
    reads = len(numbers.reads)
    await numbers.were_read(reads + 2)
    assert not within_reach.done()
    numbers.numbers["product"] = 105
    await within_reach


class Gated(Numbers):
    """Each read answers with the numbers as they are when it begins, and not before it is let through."""

    def __init__(self, **numbers: int) -> None:
        super().__init__(**numbers)
        self.gate = asyncio.Semaphore(0)

    async def read(self, keys: Sequence[str]) -> list[int]:
        found = await super().read(keys)
        await self.gate.acquire()
        return found


async def test_all_who_ask_while_a_number_is_read_share_the_next_look() -> None:
    numbers = Gated(a=1, b=1)
    waiting = Waiting(numbers.read, timeout_seconds=5)
    first = asyncio.create_task(waiting.until("a", 1))
    await numbers.were_read(1)
    others = [asyncio.create_task(waiting.until(key, 1)) for key in ("a", "b") * 50]
    await asyncio.sleep(0)
    numbers.gate.release()
    numbers.gate.release()
    await asyncio.gather(first, *others)
    assert numbers.reads == [("a",), ("a", "b")]


async def test_a_look_that_began_before_is_not_taken_for_the_present() -> None:
    numbers = Gated(a=1)
    waiting = Waiting(numbers.read, timeout_seconds=5)
    early = asyncio.create_task(waiting.until("a", 1))
    await numbers.were_read(1)
    numbers.numbers["a"] = 2
    late = asyncio.create_task(waiting.until("a", 2))
    await asyncio.sleep(0)
    numbers.gate.release()
    numbers.gate.release()
    await asyncio.gather(early, late)
    assert len(numbers.reads) == 2


async def test_who_goes_away_does_not_take_the_number_from_the_others() -> None:
    numbers = Gated(a=1)
    waiting = Waiting(numbers.read, timeout_seconds=5)
    leaves, stays = (asyncio.create_task(waiting.until("a", 1)) for _ in range(2))
    await numbers.were_read(1)
    leaves.cancel()
    numbers.gate.release()
    await stays
    assert leaves.cancelled()


async def test_only_so_many_are_looked_up_at_once() -> None:
    numbers = Gated(a=1, b=1, c=1)
    waiting = Waiting(numbers.read, timeout_seconds=5, looks_limit_keys=1)
    under_way = asyncio.create_task(waiting.until("a", 1))
    await numbers.were_read(1)
    next_one = asyncio.create_task(waiting.until("b", 1))
    await asyncio.sleep(0)
    with pytest.raises(TooManyWaiting):
        await waiting.until("c", 1)
    numbers.gate.release()
    numbers.gate.release()
    await asyncio.gather(under_way, next_one)


async def test_a_look_that_is_not_answered_in_time_is_given_up() -> None:
    with pytest.raises(StoreUnavailable):
        await Waiting(Gated(a=1).read, timeout_seconds=5, look_timeout_seconds=0.02).until("a", 1)


async def test_the_time_that_a_look_takes_does_not_make_late_what_is_there() -> None:
    numbers = Gated(a=1)
    asked = asyncio.create_task(Waiting(numbers.read, timeout_seconds=0.001).until("a", 1))
    await numbers.were_read(1)
    await asyncio.sleep(0.02)  # longer than anybody waits
    numbers.gate.release()
    await asked


async def test_a_store_that_does_not_answer_is_told_to_those_who_wait() -> None:
    numbers = Numbers()
    numbers.error = StoreUnavailable("away")
    waiting = Waiting(numbers.read, timeout_seconds=1)
    with pytest.raises(StoreUnavailable):
        await waiting.until("a", 1)
    numbers.error, numbers.numbers = None, {"a": 1}
    await waiting.until("a", 1)


class Hanging:
    """Never answers, and knows whether it is being asked."""

    def __init__(self) -> None:
        self.asked_now = 0

    async def read(self, keys: Sequence[str]) -> list[int]:
        self.asked_now += 1
        try:
            await asyncio.Event().wait()
            raise AssertionError
        finally:
            self.asked_now -= 1


async def test_when_it_is_closed_nothing_is_being_read_any_more() -> None:
    numbers = Hanging()
    waiting = Waiting(numbers.read, timeout_seconds=5, look_timeout_seconds=0.01)
    with pytest.raises(StoreUnavailable):
        await waiting.until("a", 1)
    assert numbers.asked_now == 1
    await waiting.aclose()
    assert numbers.asked_now == 0


async def test_where_looking_is_slow_it_is_done_less_often() -> None:
    numbers = Numbers()

    async def read_slowly(keys: Sequence[str]) -> list[int]:
        await asyncio.sleep(0.02)
        return await numbers.read(keys)

    waiting = Waiting(read_slowly, timeout_seconds=0.5, poll_seconds=0.001, polling_share=0.1)
    with pytest.raises(NotThereInTime):
        await waiting.until("a", 1)
    assert 2 <= len(numbers.reads) <= 5, "of half a second, 50 ms and the first look"


async def test_after_a_slow_look_the_next_one_is_not_far() -> None:
    numbers = Numbers()
    pauses_seconds = iter([0, 0.2])

    async def read(keys: Sequence[str]) -> list[int]:
        await asyncio.sleep(next(pauses_seconds, 0))
        return await numbers.read(keys)

    waiting = Waiting(read, timeout_seconds=5, poll_seconds=0.001, polling_share=0.01, pause_limit_seconds=0.05)
    waits = asyncio.create_task(waiting.until("a", 1))
    await numbers.were_read(2)
    numbers.numbers["a"] = 1
    async with asyncio.timeout(2):  # and not the twenty seconds that its share would be
        await waits
