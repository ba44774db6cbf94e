"""The hour slides: what falls out of it no longer counts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from redis.asyncio import Redis

from projections.signals import keys
from projections.signals.trending import (
    BUCKET_GATHERED_LIMIT_SKUS,
    BUCKET_KEPT_LIMIT_SKUS,
    SALE_WEIGHT,
    VIEW_WEIGHT,
    kept_for_seconds,
    minute_of,
    window,
)
from projections.valkey import open_redis
from queryside.errors import StoreUnavailable
from queryside.signals import AlsoBought, Trend, Trending
from streams.signals.page_view_buckets import Mark, PageViewBuckets, PageViews
from streams.signals.sales_projection import SalesProjection
from tests.fixtures.ports import free_port
from tests.integration.signals.selling import NOW, Log, order, scores

HOUR = timedelta(hours=1)


def buckets(client: Redis) -> PageViewBuckets:
    return PageViewBuckets(client, lambda: NOW)


def test_the_window_is_an_hour_of_whole_minutes_up_to_this_one() -> None:
    minutes = window(NOW)
    assert (len(minutes), minutes[-1]) == (60, minute_of(NOW))
    assert minute_of(NOW + timedelta(seconds=59)) == minute_of(NOW)


def test_a_bucket_is_kept_for_two_hours_and_none_far_ahead() -> None:
    this = minute_of(NOW)
    assert kept_for_seconds(this - 120, NOW) == 60
    assert kept_for_seconds(this - 121, NOW) == 0
    assert kept_for_seconds(this, NOW) == 121 * 60
    assert kept_for_seconds(this, NOW + timedelta(seconds=59)) == 121 * 60 - 59
    assert kept_for_seconds(this + 60, NOW) == 181 * 60
    assert kept_for_seconds(this + 61, NOW) == 0


def test_a_sale_says_more_than_a_view() -> None:
    assert SALE_WEIGHT > VIEW_WEIGHT > 0


async def test_views_and_sales_of_the_hour_are_added_up(redis_client: Redis) -> None:
    await buckets(redis_client).put({"lamp": 3, "chair": 40}, NOW)
    await buckets(redis_client).put({"lamp": 2}, NOW - timedelta(minutes=59))
    await buckets(redis_client).put({"chair": 1_000, "old": 1}, NOW - HOUR)
    log = Log(order(1, "lamp", "bulb", at=NOW - timedelta(minutes=1)))
    await SalesProjection(redis_client, log.streams, lambda: NOW).apply(log.events, log.position)
    top = await Trending(redis_client).top(10, NOW)
    assert top == [Trend("chair", 40), Trend("lamp", SALE_WEIGHT + 5), Trend("bulb", SALE_WEIGHT)]
    assert await Trending(redis_client).top(1, NOW) == [Trend("chair", 40)]
    later = await Trending(redis_client).top(10, NOW + timedelta(minutes=59, seconds=30))
    assert later == [Trend("chair", 40), Trend("lamp", 3)]


async def test_nothing_trends_where_nothing_happens(redis_client: Redis) -> None:
    assert await Trending(redis_client).top(10, NOW) == []


async def test_the_sum_is_made_once_for_everybody_and_soon_made_anew(redis_client: Redis) -> None:
    await buckets(redis_client).put({"lamp": 3}, NOW)
    trending = Trending(redis_client)
    await trending.top(10, NOW)
    await buckets(redis_client).put({"chair": 9}, NOW)
    assert await trending.top(10, NOW) == [Trend("lamp", 3)]
    (kept,) = [key async for key in redis_client.scan_iter(match=f"{keys.TRENDING_NOW}:*")]
    assert 0 < await redis_client.ttl(kept) <= 5
    await redis_client.delete(kept)
    assert await trending.top(10, NOW) == [Trend("chair", 9), Trend("lamp", 3)]


@pytest.mark.parametrize("count", [0, -1, 101])
async def test_how_many_can_be_asked_for_is_bounded(redis_client: Redis, count: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 100"):
        await Trending(redis_client).top(count, NOW)
    with pytest.raises(ValueError, match="from 1 to 100"):
        await AlsoBought(redis_client).top("lamp", count)


async def test_without_valkey_the_readers_say_so() -> None:
    async with open_redis(f"redis://127.0.0.1:{free_port()}/0") as nobody:
        with pytest.raises(StoreUnavailable):
            await Trending(nobody).top(10, NOW)
        with pytest.raises(StoreUnavailable):
            await AlsoBought(nobody).top("lamp", 10)


async def test_a_bucket_that_gathers_too_many_keeps_the_highest(redis_client: Redis) -> None:
    many = {f"sku-{number}": 1 for number in range(BUCKET_GATHERED_LIMIT_SKUS)}
    await buckets(redis_client).put(many, NOW)
    await buckets(redis_client).put({"lamp": 7}, NOW)
    held = await scores(redis_client, minute_of(NOW))
    assert len(held) == BUCKET_KEPT_LIMIT_SKUS
    assert held["lamp"] == 7


async def test_buckets_are_forgotten(redis_client: Redis) -> None:
    """Two hours after their minute, by the clock of whoever counts: the store's need not agree with it."""
    await buckets(redis_client).put({"lamp": 1}, NOW)
    log = Log(order(1, "lamp", at=NOW - timedelta(minutes=30)))
    await SalesProjection(redis_client, log.streams, lambda: NOW).apply(log.events, log.position)
    of_views = await redis_client.ttl(keys.bucket(minute_of(NOW)))
    of_sales = await redis_client.ttl(keys.bucket(minute_of(NOW) - 30))
    assert 121 * 60 - 30 < of_views <= 121 * 60
    assert 91 * 60 - 30 < of_sales <= 91 * 60


async def test_what_is_too_old_or_far_ahead_gets_no_bucket(redis_client: Redis) -> None:
    await buckets(redis_client).put({"lamp": 1}, NOW - 3 * HOUR)
    await buckets(redis_client).put({"lamp": 1}, NOW + 3 * HOUR)
    assert await redis_client.dbsize() == 0


async def test_a_part_of_kafka_is_counted_once(redis_client: Redis) -> None:
    views = [PageViews("lamp", 2, NOW), PageViews("chair", 1, NOW), PageViews("lamp", 1, NOW)]
    mark = Mark("offsets", "product-views:3", 12)
    await buckets(redis_client).add(views, mark)
    await buckets(redis_client).add(views, mark)
    await buckets(redis_client).add(views[:1], Mark("offsets", "product-views:3", 11))
    assert await scores(redis_client, minute_of(NOW)) == {"lamp": 3, "chair": 1}
    await buckets(redis_client).add(views[:1], Mark("offsets", "product-views:4", 1))
    assert await scores(redis_client, minute_of(NOW)) == {"lamp": 5, "chair": 1}
    assert await redis_client.hgetall("offsets") == {b"product-views:3": b"12", b"product-views:4": b"1"}
