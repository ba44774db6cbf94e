"""Partitions are dealt out anew at any moment: whoever asks about one that others have now is not to die of it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry

from streams.app import ViewApp, create_app
from streams.metrics import WorkerMetrics
from streams.signals.page_view_agent import PageViewAgent
from streams.signals.page_view_buckets import NAME
from streams.signals.page_view_topic import TOPIC
from tests.waiting import eventually

MINE, TAKEN_AWAY = TP(TOPIC, 0), TP(TOPIC, 1)


class ConsumerOfOnePartition:
    """Asked about a partition as aiokafka's consumer is (AIOKafkaConsumer.highwater)."""

    def highwater(self, tp: TP) -> int:
        assert tp == MINE, "Partition is not assigned"
        return 12


@pytest.fixture
async def app() -> ViewApp:
    app = create_app("127.0.0.1:1")
    app.consumer = cast(Any, ConsumerOfOnePartition())
    return app


async def test_of_a_partition_that_others_have_nothing_is_known(app: ViewApp) -> None:
    assert app.highwater(MINE) == 12
    assert app.highwater(TAKEN_AWAY) is None


async def test_page_views_are_counted_on_after_one_of_two_partitions_was_taken_away(app: ViewApp) -> None:
    registry = CollectorRegistry()
    nothing = cast(Any, None)
    agent = PageViewAgent(2, nothing, nothing, WorkerMetrics(registry), nothing, nothing)
    agent._next_offsets = {agent.share.partition(0): 5, agent.share.partition(1): 7}
    keeping = asyncio.create_task(agent.keep(app.highwater))

    async def lag() -> float | None:
        assert not keeping.done(), keeping.exception()
        return registry.get_sample_value("counterfoil_projection_lag_messages", {"projection": NAME})

    try:
        await eventually(lag, lambda lag: lag == 7, 10)
    finally:
        keeping.cancel()
        await asyncio.wait([keeping], timeout=10)
