from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterfoil.payment_provider import courier as courier_module
from counterfoil.payment_provider.books import Books
from counterfoil.payment_provider.clerk import Clerk
from counterfoil.payment_provider.courier import LONGEST_PAUSE_SECONDS, MAX_ATTEMPTS_COUNT, Courier, pause_seconds
from counterfoil.payment_provider.tokens import plan_for
from counterfoil.payment_provider.wire import Amount, AuthoriseRequest
from tests.fixtures.ports import free_port
from tests.waiting import eventually


@pytest.fixture
def clerk(tmp_path: Path) -> Iterator[Clerk]:
    clerk = Clerk(Books(tmp_path / "books.sqlite"))
    yield clerk
    clerk.close()


async def test_an_event_that_nobody_takes_is_given_up_and_said_so(
    clerk: Clerk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(courier_module, "FIRST_PAUSE_SECONDS", 0.001)
    clerk.books.authorise(
        "k", AuthoriseRequest("o", Amount(1, "GBP"), "tok_webhook"), plan_for("tok_webhook"), 1.0, 1.0
    )
    clerk.books.settle_due(2.0)
    courier = Courier(clerk, f"http://127.0.0.1:{free_port()}/", "secret", max_attempts_count=3)

    delivering = asyncio.create_task(courier.deliver_forever())
    await eventually(lambda: clerk.do(clerk.books.summary), lambda summary: summary.webhooks.abandoned == 1)
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)

    levels = [record.levelno for record in caplog.records if record.name == courier_module.log.name]
    assert levels == [logging.WARNING, logging.WARNING, logging.ERROR]


async def test_work_that_comes_in_is_not_kept_waiting(clerk: Clerk) -> None:
    settled = asyncio.Event()
    settling = asyncio.create_task(clerk.settle_forever(settled.set))
    async with asyncio.timeout(5):
        await settled.wait()
        request = AuthoriseRequest("o", Amount(1, "GBP"), "tok_slow_0")
        await clerk.do(clerk.books.authorise, "k", request, plan_for(request.token), 1.0, 1.0)
        clerk.expect_work()
        await eventually(lambda: clerk.do(clerk.books.find, "k"), lambda payment: payment.status == "authorised")
    settling.cancel()
    await asyncio.gather(settling, return_exceptions=True)


async def test_books_that_fail_end_what_depends_on_them(tmp_path: Path) -> None:
    clerk = Clerk(Books(tmp_path / "books.sqlite"))
    clerk.books.close()

    with pytest.raises(Exception, match="closed database"):
        async with asyncio.timeout(5):
            await clerk.settle_forever(lambda: None)
    with pytest.raises(Exception, match="closed database"):
        async with asyncio.timeout(5):
            await Courier(clerk, "http://127.0.0.1:1/", "secret").deliver_forever()
    clerk.close()


def test_pauses_grow_to_a_bound_and_outlive_a_reservation() -> None:
    pauses = [pause_seconds(attempts_count) for attempts_count in range(1, MAX_ATTEMPTS_COUNT + 1)]

    assert pauses[0] <= 0.25
    assert max(pauses) <= LONGEST_PAUSE_SECONDS
    assert sum(pauses) > 30 * 60
    assert pause_seconds(10_000) <= LONGEST_PAUSE_SECONDS
