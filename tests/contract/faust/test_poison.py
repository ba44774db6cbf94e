"""Messages that no program can read: each is put aside where it can be listed, and no worker ends because of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from counterfoil.processes import dead_letters
from counterfoil.settings import Settings
from domain.aggregates import Cart
from projections.generations import VIEW_NAMES
from projections.keys import Keys
from queryside.views import Views
from streams.agents import Share
from streams.dead_letters import DeadLetter, RedisDeadLetters
from streams.signals.page_view_buckets import NAME as PAGE_VIEWS
from streams.signals.page_view_topic import TOPIC as PAGE_VIEWS_TOPIC
from streams.topics import TOPICS
from tests.contract.faust.shop import WITHIN_SECONDS, Shop
from tests.integration.readside.shop import cart, cause, collected, product, stock
from tests.waiting import eventually

pytestmark = pytest.mark.long
UNKNOWN = "cart.unknown.v9"


def envelope(subject: Cart, event_type: str, position: int, version: int, data: dict[str, Any]) -> bytes:
    """Well-formed, whatever is in it."""
    said = {"specversion": "1.0", "id": f"{subject.id}:{version}", "source": "/counterfoil/cart", "type": event_type}
    place = {"subject": str(subject.id), "position": position, "streamversion": version, "data": data}
    return json.dumps(said | place).encode()


async def test_whatever_is_in_the_topics_the_worker_goes_on_and_says_what_it_put_aside(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped, misfit, good = cart("customer:ada"), cart("customer:bob"), cart("customer:cyd")
    first = await shop.happened(collected(product(), stock(), stopped, misfit, good))
    for one in (stopped, misfit, good):
        one.clear(cause())
    rows = await shop.happened(collected(stopped, misfit, good))
    worker = await shop.ready_worker()
    shop.relay(first)
    for topic in (*TOPICS, PAGE_VIEWS_TOPIC):
        shop.topics.send_raw(topic, None)
    shop.topics.send_raw("cart-events", b"no envelope", key=b"somebody")
    for poisoned, event_type, data in ((stopped, UNKNOWN, {}), (misfit, "cart.cleared.v1", {"timestamp": "never"})):
        message = envelope(poisoned, event_type, 2**62, poisoned.version, data)
        shop.topics.send_raw("cart-events", message, key=str(poisoned.id).encode())
    elsewhere = envelope(good, UNKNOWN, 2**62, 9, {})
    shop.topics.send_raw("cart-events", elsewhere, key=another_partition(good))
    shop.relay(rows[len(first) :])
    await shop.until_all_hold(rows[-1][0])
    held = await Views(shop.redis).positions(VIEW_NAMES)
    assert set(held) == {rows[-1][0]}, "and no further: what cannot be read proves no position"
    assert worker.process.poll() is None

    letters = RedisDeadLetters(shop.redis)
    assert set(await letters.streams_set_aside("cart")) == {stopped.id, misfit.id}
    versions = [int(await shop.redis.hget(Keys().cart(str(one.id)), "version") or 0) for one in (stopped, misfit, good)]
    assert versions == [stopped.version - 1, misfit.version - 1, good.version], "none goes on past a hole"

    async def of_the_cart() -> list[DeadLetter]:
        return await letters.letters("cart")

    kept = await eventually(of_the_cart, lambda kept: len(kept) == 5, WITHIN_SECONDS)
    for what, said in {
        "a message without a value": ("key whoever", ""),
        "malformed": ("cart-events, partition", "no envelope"),
        UNKNOWN: ("offset", UNKNOWN),
        "timestamp": (f"key {misfit.id}", "never"),
        "of a stream of another partition": ("offset", UNKNOWN),
    }.items():
        (letter,) = [each for each in kept if what in each.reason and (what != UNKNOWN or each.is_of_a_stream)]
        assert said[0] in letter.reason
        assert said[1] in (letter.message or "")
    for view in VIEW_NAMES:
        assert any("without a value" in each.reason for each in await letters.letters(view))

    await eventually(lambda: letters.letters(PAGE_VIEWS), lambda kept: len(kept) == 1, WITHIN_SECONDS)
    settings = Settings(database_url=shop.database_url, redis_url=shop.redis_url)
    capsys.readouterr()
    count = await dead_letters._show(str(settings.redis_url), None, as_json=False)
    listed = capsys.readouterr().out
    assert count == listed.count("\n") >= 10
    assert f"{PAGE_VIEWS_TOPIC}, partition" in listed
    nameless = next(each for each in kept if not each.is_of_a_stream)
    assert await letters.drop("cart", nameless.stream_id) == 1

    await letters.want_retry("cart", stopped.id)
    await letters.want_retry("cart", misfit.id)
    await eventually(lambda: letters.streams_set_aside("cart"), lambda them: them == {}, WITHIN_SECONDS)
    assert int(await shop.redis.hget(Keys().cart(str(stopped.id)), "version") or 0) == stopped.version, "the log has it"


def another_partition(one: Cart) -> bytes:
    """A key that goes to one that is not the cart's."""
    share = Share("cart", "cart-events", 8)
    own = share.number_of(one.id)
    return next(str(c.id).encode() for c in map(cart, map(str, range(100))) if share.number_of(c.id) != own)
