"""From the product page to what is trending: through Valkey in one process, through Kafka beyond it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer
from redis.asyncio import Redis

from ops.server import Server
from queryside.signals import Trend, Trending
from streams.signals.page_view_buckets import PageViews
from streams.signals.page_view_topic import COUNT_LIMIT_VIEWS, TOPIC, NotPageViews, PageViewTopic, decode, encode
from tests.contract.faust.kafka_log import KafkaLog
from tests.fixtures.ports import free_port
from tests.integration.readside.shop import MemoryShop, product
from tests.integration.readside.test_processes import process, status
from tests.waiting import eventually

WITHIN_SECONDS = 60
VIEWS_COUNT = 7
AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
async def environment(database_url: str, redis_url: str, redis_client: Redis, tmp_path: Path) -> dict[str, str]:
    """Of a shop with a lamp and a chair in its views."""
    await MemoryShop(redis_client).happened(product("lamp"), product("chair"))
    return {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "COUNTERFOIL_VAR": str(tmp_path / "var")}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10) as client:
        yield client


async def look_at_pages(client: httpx.AsyncClient, query_url: str) -> None:
    await eventually(partial(status, client, f"{query_url}/readyz"), lambda answered: answered == 200, WITHIN_SECONDS)
    for sku, count in (("lamp", VIEWS_COUNT), ("chair", 1)):
        for _ in range(count):
            assert (await client.get(f"{query_url}/v1/products/{sku}")).status_code == 200
    assert (await client.get(f"{query_url}/v1/products/nothing")).status_code == 404


async def until_they_trend(redis_client: Redis) -> None:
    trending = Trending(redis_client, kept_seconds=1)
    await eventually(
        lambda: trending.top(10, datetime.now(UTC)),
        lambda top: top == [Trend("lamp", VIEWS_COUNT), Trend("chair", 1)],
        WITHIN_SECONDS,
    )


async def test_in_one_process(
    environment: dict[str, str], redis_client: Redis, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    with process("query-api", "COUNTERFOIL_QUERY_PORT", tmp_path / "query", **environment) as (query_url, _):
        await look_at_pages(client, query_url)
        await until_they_trend(redis_client)
        metrics = (await client.get(f"{query_url}/metrics")).text
    assert f'counterfoil_page_views_total{{outcome="recorded"}} {VIEWS_COUNT + 1}.0' in metrics


@pytest.mark.long
async def test_through_kafka_each_is_counted_once_and_what_is_damaged_is_put_aside(
    environment: dict[str, str], redis_client: Redis, client: httpx.AsyncClient, own_kafka: Server, tmp_path: Path
) -> None:
    environment["KAFKA_URL"] = own_kafka.address
    with process("worker", "COUNTERFOIL_WORKER_PORT", tmp_path / "worker", **environment) as (worker_url, worker):
        ready = partial(status, client, f"{worker_url}/readyz")
        await eventually(ready, lambda answered: answered == 200, WITHIN_SECONDS)
        KafkaLog(own_kafka.address).send_raw(TOPIC, b"no page views")
        with process("query-api", "COUNTERFOIL_QUERY_PORT", tmp_path / "query", **environment) as (query_url, _):
            await look_at_pages(client, query_url)
            await until_they_trend(redis_client)
        worker.kill()
        worker.wait()
    with process("worker", "COUNTERFOIL_WORKER_PORT", tmp_path / "again", **environment) as (worker_url, _):
        async with PageViewTopic(own_kafka.address) as topic:
            await topic.put({"lamp": 1}, datetime.now(UTC))
        trending = Trending(redis_client, kept_seconds=1)
        await eventually(
            lambda: trending.top(1, datetime.now(UTC)),
            lambda top: top == [Trend("lamp", VIEWS_COUNT + 1)],
            WITHIN_SECONDS,
        )
    assert await first_value(own_kafka.address, f"{TOPIC}-dead-letters") == b"no page views"


@pytest.mark.long
async def test_while_kafka_is_down_pages_are_served_as_fast_and_views_are_lost_and_counted(
    environment: dict[str, str], client: httpx.AsyncClient, tmp_path: Path
) -> None:
    environment["KAFKA_URL"] = f"127.0.0.1:{free_port()}"
    with process("query-api", "COUNTERFOIL_QUERY_PORT", tmp_path / "query", **environment) as (query_url, _):
        await look_at_pages(client, query_url)

        async def lost() -> bool:
            metrics = (await client.get(f"{query_url}/metrics")).text
            return f'counterfoil_page_views_total{{outcome="lost"}} {VIEWS_COUNT + 1}.0' in metrics

        await eventually(lost, bool, WITHIN_SECONDS)
        answer = await client.get(f"{query_url}/v1/products/lamp")
        assert answer.status_code == 200
        assert answer.elapsed.total_seconds() < 1


def test_a_message_says_which_product_how_often_and_when() -> None:
    views = PageViews("lamp", 3, AT)
    assert decode(encode(views)) == views


@pytest.mark.parametrize(
    "message",
    [
        None,
        b"",
        b"{}",
        b'{"sku":"\xff","count":1,"at":"2026-03-01T12:00:00Z"}',
        b'{"sku":"lamp","count":0,"at":"2026-03-01T12:00:00Z"}',
        b'{"sku":"","count":1,"at":"2026-03-01T12:00:00Z"}',
        b'{"sku":"lamp","count":1,"at":"2026-03-01T12:00:00"}',
        b'{"sku":"lamp","count":"many","at":"2026-03-01T12:00:00Z"}',
        b'{"sku":"lamp","count":%d,"at":"2026-03-01T12:00:00Z"}' % (COUNT_LIMIT_VIEWS + 1),
    ],
)
def test_what_is_none_is_refused(message: bytes | None) -> None:
    with pytest.raises(NotPageViews):
        decode(message)


async def first_value(kafka_url: str, topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka_url, auto_offset_reset="earliest")
    await consumer.start()
    try:
        value: bytes | None = (await consumer.getone()).value
        return value
    finally:
        await consumer.stop()
