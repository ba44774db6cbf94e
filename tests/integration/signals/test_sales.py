"""Every placed order is counted once, whatever happens to the events that say so."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
from redis.asyncio import Redis

from projections.keys import Keys
from projections.recorded import Recorded
from projections.signals import keys
from projections.signals.sale import LINES_LIMIT_COUNT
from projections.signals.trending import SALE_WEIGHT, minute_of
from projections.writes import CheckpointLost
from queryside.signals import AlsoBought, BoughtWith
from streams.signals.sales_projection import SalesProjection
from streams.signals.sales_script import BOUGHT_WITH_GATHERED_LIMIT_SKUS, BOUGHT_WITH_KEPT_LIMIT_SKUS
from tests.integration.readside.shop import START
from tests.integration.signals.selling import NOW, Log, cause, counted_pairs, order, pairs, scores, submitted


def projection(client: Redis, log: Log, partition: str = "0") -> SalesProjection:
    return SalesProjection(client, log.streams, lambda: NOW, partition=partition)


async def test_goods_of_one_order_are_bought_together_both_ways(redis_client: Redis) -> None:
    log = Log(order(1, "lamp", "bulb", "shade"), order(2, "lamp", "bulb"), order(3, "chair"))
    await projection(redis_client, log).apply(log.events, log.position)
    assert await counted_pairs(redis_client) == pairs(("lamp", "bulb", "shade"), ("lamp", "bulb"))
    found = await AlsoBought(redis_client).top("lamp", 10)
    assert found == [BoughtWith("bulb", 2), BoughtWith("shade", 1)]
    assert await AlsoBought(redis_client).top("chair", 10) == []


async def test_services_and_repeated_lines_are_no_pairs(redis_client: Redis) -> None:
    log = Log(order(1, "lamp", "lamp", "bulb", services=["gift-wrap"]))
    await projection(redis_client, log).apply(log.events, log.position)
    assert await counted_pairs(redis_client) == pairs(("lamp", "bulb"))


async def test_an_order_counts_when_it_is_placed_and_not_before(redis_client: Redis) -> None:
    pending, refused, cancelled = submitted(1, "a", "b"), submitted(2, "a", "b"), submitted(3, "a", "b")
    refused.fail_payment("declined", cause())
    cancelled.cancel(None, cause())
    log = Log(pending, refused, cancelled)
    sales = projection(redis_client, log)
    await sales.apply(log.events, log.position)
    assert await counted_pairs(redis_client) == {}
    pending.place("pay", True, cause())
    await sales.apply(log.record(pending), log.position)
    assert await counted_pairs(redis_client) == pairs(("a", "b"))


async def test_one_that_was_submitted_long_before_is_read_again(redis_client: Redis) -> None:
    log = Log(order(1, "a", "b"))
    await projection(redis_client, log).apply(log.events[:1], 1)
    await projection(redis_client, log).apply(log.events[1:], 2)
    assert await counted_pairs(redis_client) == pairs(("a", "b"))


async def test_an_order_of_very_many_lines_counts_its_first(redis_client: Redis) -> None:
    skus = [f"sku-{number}" for number in range(LINES_LIMIT_COUNT + 10)]
    log = Log(order(1, *skus))
    await projection(redis_client, log).apply(log.events, log.position)
    assert await counted_pairs(redis_client) == pairs(skus[:LINES_LIMIT_COUNT])


async def test_of_very_many_the_most_often_bought_are_kept(redis_client: Redis) -> None:
    many = [f"sku-{number}" for number in range(BOUGHT_WITH_GATHERED_LIMIT_SKUS + 1)]
    favourites = many[:3]
    log = Log(*(order(n + 1, "lamp", sku) for n, sku in enumerate([*favourites, *favourites, *many])))
    await projection(redis_client, log).apply(log.events, log.position)
    assert await redis_client.zcard(keys.bought_with("lamp")) == BOUGHT_WITH_KEPT_LIMIT_SKUS
    top = await AlsoBought(redis_client).top("lamp", 3)
    assert {each.sku for each in top} == set(favourites)
    assert {each.orders_count for each in top} == {3}


async def test_sales_trend_in_the_minute_in_which_they_were_made(redis_client: Redis) -> None:
    later = START + timedelta(minutes=5)
    log = Log(order(1, "lamp", "bulb"), order(2, "lamp", at=START + timedelta(seconds=30)), order(3, "lamp", at=later))
    await projection(redis_client, log).apply(log.events, log.position)
    assert await scores(redis_client, minute_of(START)) == {"lamp": 2 * SALE_WEIGHT, "bulb": SALE_WEIGHT}
    assert await scores(redis_client, minute_of(later)) == {"lamp": SALE_WEIGHT}


async def test_an_old_sale_is_counted_without_a_bucket(redis_client: Redis) -> None:
    old = NOW - timedelta(hours=3)
    log = Log(order(1, "lamp", "bulb", at=old))
    await projection(redis_client, log).apply(log.events, log.position)
    assert await counted_pairs(redis_client) == pairs(("lamp", "bulb"))
    assert not await redis_client.exists(keys.bucket(minute_of(old)))


async def test_told_again_and_behind_its_checkpoint_nothing_changes(redis_client: Redis) -> None:
    log = Log(order(1, "a", "b"), order(2, "b", "c"))
    sales = projection(redis_client, log)
    await sales.apply(log.events, log.position)
    await sales.apply(log.events, log.position)
    await projection(redis_client, log).apply(log.events[:3], 3)
    assert await counted_pairs(redis_client) == pairs(("a", "b"), ("b", "c"))
    assert await scores(redis_client, minute_of(START)) == {"a": SALE_WEIGHT, "b": 2 * SALE_WEIGHT, "c": SALE_WEIGHT}
    assert await projection(redis_client, log).checkpoint() == log.position


async def test_one_that_comes_late_is_counted_all_the_same(redis_client: Redis) -> None:
    log = Log(order(1, "a", "b"), order(2, "b", "c"))
    sales = projection(redis_client, log)
    await sales.apply(log.events[2:], log.position)
    await sales.apply(log.events[:2], log.position)
    assert await counted_pairs(redis_client) == pairs(("a", "b"), ("b", "c"))


async def test_an_order_whose_placing_was_missed_is_counted_by_what_follows(redis_client: Redis) -> None:
    packed = order(1, "a", "b")
    packed.pack("s1", cause())
    log = Log(packed)
    sales = projection(redis_client, log)
    await sales.apply(log.events[2:], log.position)
    await sales.apply(log.events[:2], log.position)
    assert await counted_pairs(redis_client) == pairs(("a", "b"))


async def test_a_repaired_order_is_counted_once(redis_client: Redis) -> None:
    log = Log(order(1, "a", "b"), submitted(2, "c", "d"))
    sales = projection(redis_client, log)
    await sales.apply([], log.position)
    for each in (1, 1, 2):
        await sales.repair(log.events[2 * each - 2].event.originator_id)
    assert await counted_pairs(redis_client) == pairs(("a", "b"))
    assert await sales.checkpoint() == log.position


async def test_a_store_that_lost_its_checkpoint_is_noticed_and_nothing_counted(redis_client: Redis) -> None:
    log = Log(order(1, "a", "b"), order(2, "c", "d"))
    sales = projection(redis_client, log)
    await sales.apply(log.events[:2], 2)
    await redis_client.flushdb()
    with pytest.raises(CheckpointLost):
        await sales.apply(log.events[2:], log.position)
    assert await counted_pairs(redis_client) == {}
    assert await sales.checkpoint() == 0


@pytest.mark.parametrize("seed", range(5))
async def test_duplicates_losses_and_disorder_from_several_partitions_change_nothing(
    redis_client: Redis, seed: int
) -> None:
    random = Random(seed)  # noqa: S311 (the same every time)
    bought = [random.sample("abcdefgh", random.randrange(1, 6)) for _ in range(120)]
    orders = [order(number + 1, *skus) for number, skus in enumerate(bought)]
    for each in orders:
        each.pack("s1", cause())
    log = Log(*orders)
    lost = {recorded.position for recorded in log.events[1::3] if random.random() < 0.3}
    told = [recorded for recorded in log.events if recorded.position not in lost]
    told += random.sample(told, len(told) // 2)
    random.shuffle(told)
    shares = [projection(redis_client, log, f"order-events:{number}") for number in range(3)]
    while told:
        batch, told = told[:17], told[17:]
        await random.choice(shares).apply(batch, max(recorded.position for recorded in batch))
    assert await counted_pairs(redis_client) == pairs(*bought)
    sold = [sku for skus in bought for sku in skus]
    expected = {sku: sold.count(sku) * SALE_WEIGHT for sku in set(sold)}
    assert await scores(redis_client, minute_of(START)) == expected


async def test_a_large_batch_is_counted_whole(redis_client: Redis) -> None:
    skus = [f"sku-{number}" for number in range(40)]
    log = Log(*(order(number, *skus) for number in range(1, 9)))
    sales = projection(redis_client, log)
    await sales.apply(log.events, log.position)
    counts = await counted_pairs(redis_client)
    assert len(counts) == 40 * 39
    assert set(counts.values()) == {8}
    assert await redis_client.hget(Keys().checkpoint("sales"), "0") == b"%d" % log.position


async def test_what_is_none_of_its_business_moves_its_checkpoint(redis_client: Redis) -> None:
    log = Log(submitted(1, "a", "b"))
    batch = [Recorded(7, log.events[0].event)]
    await projection(redis_client, log).apply(batch, 7)
    assert await projection(redis_client, log).checkpoint() == 7
