"""The same log gives the same bytes, whether it is followed in one process or comes through Kafka to many."""

from __future__ import annotations

import signal
from random import Random

import pytest

from projections.keys import Keys
from tests.contract.faust.busy_shop import events
from tests.contract.faust.kafka_log import PARTITIONS_COUNT, envelopes
from tests.contract.faust.shop import WITHIN_SECONDS, Shop
from tests.waiting import eventually


async def test_in_order_in_one_worker(shop: Shop) -> None:
    rows = await shop.happened(events(seed=1))
    worker = await shop.ready_worker()
    shop.relay(rows)
    await shop.until_all_hold(rows[-1][0])
    partitions = await shop.redis.hgetall(Keys().checkpoint("order"))
    assert len(partitions) == PARTITIONS_COUNT, "every partition counts, also those that nothing was sent to"
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(30) in (0, -signal.SIGTERM), worker.log.read_text()[-3_000:]
    assert await shop.views() == await shop.embedded()


@pytest.mark.long
async def test_with_two_workers_of_which_one_is_killed_duplicates_losses_and_disorder(shop: Shop) -> None:
    rows = await shop.happened(events(seed=2))
    last_of_stream = {row[1]: row[0] for row in rows}
    random, topics = Random(2), shop.topics  # noqa: S311 (the same every time)
    first = await shop.ready_worker()
    parts = [rows[begin::4] for begin in range(4)]  # of every stream a quarter: later events come before earlier ones
    topics.send(envelopes(parts[3]))
    second = shop.start_worker()  # the partitions are dealt out anew while the next part is on its way
    topics.send(envelopes(parts[1]))
    await eventually(second.is_ready, bool, WITHIN_SECONDS)
    topics.send(envelopes(parts[1][: len(parts[1]) // 2]))
    first.process.kill()
    kept = [row for row in parts[0] + parts[2] if last_of_stream[row[1]] == row[0] or random.random() < 0.8]
    random.shuffle(kept)
    topics.send(envelopes(kept))
    topics.send(envelopes([row for row in rows if last_of_stream[row[1]] == row[0]]))
    topics.mark(rows[-1][0])
    await shop.until_all_hold(rows[-1][0])
    assert await shop.views() == await shop.embedded()


@pytest.mark.long
async def test_a_shop_that_went_over_from_one_process_to_workers(shop: Shop) -> None:
    """What the views hold already is not taken back: their position never falls."""
    happened = events(seed=3)
    await shop.happened(happened[: len(happened) // 2])
    await shop.embedded()
    held = await shop.held_position()
    assert held > 0
    await shop.ready_worker()
    assert await shop.held_position() >= held
    rows = await shop.happened(happened[len(happened) // 2 :])
    shop.relay(rows)
    await shop.until_all_hold(rows[-1][0])
    assert await shop.views() == await shop.embedded()
