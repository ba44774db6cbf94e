"""A page view is counted without anybody waiting for it, and sampled where there are too many."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from queryside.page_views import PageViewRecorder
from tests.waiting import eventually

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Sink:
    def __init__(self) -> None:
        self.puts: list[Mapping[str, int]] = []
        self.is_away = False
        self.slow_seconds = 0.0

    async def put(self, counts: Mapping[str, int], at: datetime) -> None:
        assert at == AT
        await asyncio.sleep(self.slow_seconds)
        if self.is_away:
            raise OSError("away")
        self.puts.append(counts)


def recorder(sink: Sink | None, products_limit_count: int = 3) -> PageViewRecorder:
    return PageViewRecorder(
        sink,
        products_limit_count=products_limit_count,
        flush_seconds=0.01,
        put_timeout_seconds=0.05,
        now=lambda: AT,
    )


async def test_views_between_two_flushes_go_together() -> None:
    sink = Sink()
    async with recorder(sink) as recording:
        for sku in ("lamp", "chair", "lamp"):
            recording.seen(sku)
    assert sink.puts == [{"lamp": 2, "chair": 1}]
    assert (recording.recorded_count, recording.dropped_count) == (3, 0)


async def test_they_are_handed_on_before_the_end_too() -> None:
    sink = Sink()
    async with recorder(sink) as recording:
        recording.seen("lamp")
        await eventually(lambda: asyncio.sleep(0, sink.puts), bool)
        assert sink.puts == [{"lamp": 1}]


async def test_under_load_products_that_come_too_late_are_left_out_and_counted() -> None:
    sink = Sink()
    async with recorder(sink) as recording:
        for number in range(10):
            recording.seen(f"sku-{number}")
        recording.seen("sku-0")
    assert sink.puts == [{"sku-0": 2, "sku-1": 1, "sku-2": 1}]
    assert (recording.recorded_count, recording.dropped_count) == (4, 7)


async def test_a_sink_that_is_away_or_slow_costs_the_views_and_nothing_else() -> None:
    sink = Sink()
    async with recorder(sink) as recording:
        sink.is_away = True
        recording.seen("lamp")
        await eventually(lambda: asyncio.sleep(0, recording.dropped_count), lambda count: count == 1)
        sink.is_away, sink.slow_seconds = False, 1.0
        recording.seen("lamp")
        await eventually(lambda: asyncio.sleep(0, recording.dropped_count), lambda count: count == 2)
        sink.slow_seconds = 0
        recording.seen("chair")
    assert sink.puts == [{"chair": 1}]


async def test_where_nobody_is_to_know_nothing_is_kept() -> None:
    async with recorder(None) as recording:
        recording.seen("lamp")
    assert (recording.recorded_count, recording.dropped_count) == (0, 0)
