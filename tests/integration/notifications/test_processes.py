"""Customers are written to by the parts of a shop as they are started: in one process, and through Kafka."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from redis.asyncio import Redis

from commandside.event_store.postgres import PostgresEventStore
from domain.aggregates import Order
from projections.keys import Keys
from streams.notifications.outbox import Outbox
from streams.notifications.postman import AT_ONCE_LIMIT_LETTERS
from tests.integration.notifications.mail_server import Mailbox
from tests.integration.readside.shop import collected
from tests.integration.readside.test_processes import process, status
from tests.integration.signals.selling import order
from tests.waiting import eventually

WITHIN_SECONDS = 60
ORDERS_COUNT = 60
# Until a letter that a postman died with is anybody's again, and some time to send it.
CLAIMED_WITHIN_SECONDS = 150
Start = Callable[[str], AbstractContextManager[tuple[str, Any]]]


@pytest.fixture
def event_store(database_url: str) -> Any:
    store = PostgresEventStore(database_url)
    yield store
    store.close()


@pytest.fixture
def start(database_url: str, redis_url: str, smtp_url: str, tmp_path: Path) -> Start:
    environment = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "COUNTERFOIL_VAR": str(tmp_path / "var"),
        "COUNTERFOIL_SMTP_URL": smtp_url,
        "COUNTERFOIL_MAIL_FROM": "The Shop <orders@shop.example>",
        "COUNTERFOIL_MAIL_TO_TEMPLATE": "{customer_id}@customers.example",
    }

    def started(part: str, **more: str) -> AbstractContextManager[tuple[str, Any]]:
        port_name = f"COUNTERFOIL_{part.upper()}_PORT"
        return process(part, port_name, tmp_path / part, **environment, **more)

    return started


def placed_now(number: int) -> Order:
    return order(number, "lamp", at=datetime.now(UTC))


async def told_of(mailbox: Mailbox) -> Counter[UUID]:
    return Counter(UUID(key.strip("<").rpartition(".2@")[0]) for key in mailbox.keys.elements())


FORMS = pytest.mark.parametrize(
    "parts", [("projector",), pytest.param(("relay", "worker"), marks=pytest.mark.long)], ids=["embedded", "kafka"]
)


@FORMS
async def test_every_order_from_now_on_is_told_of_once(
    parts: tuple[str, ...],
    start: Any,
    event_store: PostgresEventStore,
    redis_client: Redis,
    mailbox: Mailbox,
    request: pytest.FixtureRequest,
) -> None:
    await event_store.append(collected(placed_now(1)), {})
    more = {"KAFKA_URL": request.getfixturevalue("own_kafka").address} if "worker" in parts else {}
    with ExitStack() as running:
        urls = [running.enter_context(start(part, **more))[0] for part in parts]
        await is_ready(urls[-1])
        await eventually(lambda: since(redis_client), bool, WITHIN_SECONDS)
        made = [placed_now(number) for number in range(10, 20)]
        await event_store.append(collected(*made), {})
        await eventually(partial(told_of, mailbox), lambda told: len(told) >= len(made), WITHIN_SECONDS)
        await eventually(Outbox(redis_client).waiting_count, lambda count: count == 0, WITHIN_SECONDS)
        async with httpx.AsyncClient(timeout=10) as client:
            metrics = (await client.get(f"{urls[-1]}/metrics")).text
    assert await told_of(mailbox) == Counter(each.id for each in made)
    assert 'counterfoil_notifications_total{outcome="sent"} 10.0' in metrics


@pytest.mark.long
@pytest.mark.timeout(300)
@FORMS
async def test_every_order_is_told_of_though_the_process_is_killed_in_the_middle(
    parts: tuple[str, ...],
    start: Any,
    event_store: PostgresEventStore,
    redis_client: Redis,
    mailbox: Mailbox,
    request: pytest.FixtureRequest,
) -> None:
    before = [placed_now(number) for number in range(1, 4)]
    await event_store.append(collected(*before), {})
    more = {"KAFKA_URL": request.getfixturevalue("own_kafka").address} if "worker" in parts else {}
    *helping, posting = parts
    mailbox.slow_seconds = 0.02
    with ExitStack() as running:
        for part in helping:
            running.enter_context(start(part, **more))
        with start(posting, **more) as (url, killed):
            await is_ready(url)
            await eventually(lambda: since(redis_client), bool, WITHIN_SECONDS)
            made = [placed_now(number) for number in range(10, 10 + ORDERS_COUNT)]
            await event_store.append(collected(*made), {})
            await eventually(partial(told_of, mailbox), lambda told: len(told) > 5, WITHIN_SECONDS)
            killed.kill()
            killed.wait()
        with start(posting, **more):
            await eventually(partial(told_of, mailbox), lambda told: len(told) >= ORDERS_COUNT, CLAIMED_WITHIN_SECONDS)
            await eventually(Outbox(redis_client).waiting_count, lambda count: count == 0, WITHIN_SECONDS)
    told = await told_of(mailbox)
    assert set(told) == {each.id for each in made}, "nobody is told of what came before letters were switched on"
    assert sum(told.values()) - len(told) <= AT_ONCE_LIMIT_LETTERS, "only those that were in its hands come again"


async def since(client: Redis) -> int:
    held: Any = await client.hvals(Keys().checkpoint("notifications"))
    return max(map(int, held), default=0)


async def is_ready(url: str) -> None:
    async with httpx.AsyncClient(timeout=10) as client:
        await eventually(partial(status, client, f"{url}/readyz"), lambda answered: answered == 200, WITHIN_SECONDS)
