"""The payment provider is away: who has begun is seen to, who comes is told so before anything is held."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from commandside.payments.port import CaptureOutcome, Payment
from commandside.writer import Busy
from domain.values import Money
from tests.unit.command_api.conftest import Clock
from tests.unit.command_api.shop import CommandShop, check_out, fill_cart
from tests.waiting import eventually

UNTOUCHED = {"on_hand": 10, "reserved": 0, "committed": 0, "available": 10}


@pytest.fixture
async def away(tmp_path: Path, clock: Clock) -> AsyncIterator[CommandShop]:
    """A shop whose circuit has opened, for longer than a test takes."""
    settings: dict[str, Any] = {
        "payments_open_seconds": 300,
        "payments_failures_to_open": 1,
        "checkout_answer_within_seconds": 1.0,
    }
    async with CommandShop(tmp_path, clock, **settings).running() as shop:
        await shop.given_product("LAMP", price=1999, stock=10)
        shop.provider.unreachable = True
        await fill_cart(first := shop.client(sub="first"))
        assert (await check_out(first, "first")).status_code == 202
        yield shop


def problem_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"]


async def test_a_new_checkout_is_refused_before_anything_is_held(away: CommandShop) -> None:
    shopper = away.client()
    await fill_cart(shopper)
    before, stock, calls = await away.store.last_position(), await away.stock("LAMP"), dict(away.provider.calls)
    refused = await check_out(shopper, "key-1")
    assert problem_of(refused) == (503, "/problems/payments-unavailable")
    assert refused.headers["content-type"] == "application/problem+json"
    assert 1 <= int(refused.headers["Retry-After"]) <= 300
    assert away.topics(before) == []
    assert (await away.stock("LAMP"), away.provider.calls) == (stock, calls)


async def test_who_has_an_answer_is_told_it_again(away: CommandShop) -> None:
    again = await check_out(away.client(sub="first"), "first")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")


async def test_what_costs_nothing_needs_no_provider(away: CommandShop) -> None:
    await away.given_product("LEAFLET", price=0, stock=5)
    shopper = away.client()
    await fill_cart(shopper, "LEAFLET")
    assert (await check_out(shopper, "key-1")).status_code == 201


async def test_a_rule_of_the_shop_is_told_all_the_same(away: CommandShop) -> None:
    shopper = away.client()
    await fill_cart(shopper)
    expected = {"amount": 1, "currency": "GBP"}
    assert problem_of(await check_out(shopper, "key-1", expected_total=expected)) == (409, "/problems/price-changed")


async def test_carts_and_the_catalogue_go_on(away: CommandShop) -> None:
    await away.given_product("DESK", price=100, stock=1)
    assert (await fill_cart(away.client(), "DESK")).status_code == 200


async def test_the_same_key_is_served_when_the_provider_is_back_and_what_was_begun_ends(
    tmp_path: Path, clock: Clock
) -> None:
    settings: dict[str, Any] = {
        "payments_open_seconds": 5,
        "payments_failures_to_open": 1,
        "checkout_answer_within_seconds": 0.5,
    }
    async with CommandShop(tmp_path, clock, **settings).running() as shop:
        await shop.given_product("LAMP", price=1999, stock=10)
        shop.provider.unreachable = True
        first, second = shop.client(sub="first"), shop.client(sub="second")
        await fill_cart(first)
        await fill_cart(second)
        pending = await check_out(first, "first")
        assert pending.status_code == 202
        refused = await check_out(second, "second")
        assert problem_of(refused) == (503, "/problems/payments-unavailable")
        shop.provider.unreachable = False

        served = await eventually(lambda: check_out(second, "second"), lambda answer: answer.status_code != 503)

        assert (served.status_code, "Idempotent-Replayed" in served.headers) == (201, False)
        clock.advance(minutes=1)
        await shop.write_side.resumption.sweep()
        assert (await shop.order(pending.json()["order_id"]))["status"] == "placed"
        assert await shop.stock("LAMP") == UNTOUCHED | {"on_hand": 8, "committed": 2, "available": 8}


async def test_when_it_is_back_all_that_is_due_is_done_at_once(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"payments_open_seconds": 0.1, "payments_failures_to_open": 1}
    async with CommandShop(tmp_path, clock, **settings).running() as shop:
        await shop.given_product("LAMP", price=1999, stock=10)
        orders = [await placed_and_not_taken(shop, f"shopper-{number}") for number in range(5)]
        shop.provider.unreachable = True
        clock.advance(minutes=1)
        await shop.write_side.resumption.sweep()
        assert shop.provider.captured() == {}
        shop.provider.unreachable = False
        await asyncio.sleep(0.15)  # the circuit may be tried
        capture = shop.provider.capture

        async def takes_its_time(payment: Payment, amount: Money) -> CaptureOutcome:
            await asyncio.sleep(0.02)
            return await capture(payment, amount)

        monkeypatch.setattr(shop.provider, "capture", takes_its_time)
        clock.advance(minutes=1)

        assert await shop.write_side.resumption.sweep() == 5

        assert set(shop.provider.captured()) == set(orders)


async def placed_and_not_taken(shop: CommandShop, name: str) -> str:
    """As after a crash between the placing and the taking."""
    shopper = shop.client(sub=name)
    await fill_cart(shopper)
    with pytest.MonkeyPatch.context() as crashed:
        crashed.setattr(shop.write_side.capturing, "soon", lambda unfinished: None)
        order_id: str = (await check_out(shopper, name)).json()["order_id"]
    return order_id


async def test_what_was_begun_keeps_no_other_waiting(
    away: CommandShop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands may be due: nobody waits for an answer that is known not to come."""
    monkeypatch.setattr(away.write_side.resumption, "_settle_within_seconds", 3_600)
    calls = dict(away.provider.calls)
    clock.advance(minutes=1)
    async with asyncio.timeout(5):
        assert await away.write_side.resumption.sweep() == 1
    assert away.topics(0)[-1] == "checkout.postponed.v1"
    assert away.provider.calls == calls


async def test_behind_a_full_batch_the_next_one_follows(
    away: CommandShop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await away.given_product("LEAFLET", price=0, stock=5)
    for name in ("ada", "bo"):
        shopper = away.client(sub=name)
        await fill_cart(shopper, "LEAFLET")
        with monkeypatch.context() as failing:
            failing.setattr(away.write_side.saga, "conclude", _busy)
            assert (await check_out(shopper, "k")).status_code == 503
    monkeypatch.setattr(away.write_side.resumption, "_batch_limit_checkouts", 1)
    monkeypatch.setattr(away.write_side.resumption, "_pause_seconds", 3_600)
    clock.advance(minutes=1)
    away.write_side.resumption.start()

    async def sold() -> int:
        return int((await away.stock("LEAFLET"))["committed"])

    await eventually(sold, lambda count: count == 2)


async def _busy(*_: Any) -> None:
    raise Busy("full")


async def test_a_webhook_concludes_while_it_is_open(away: CommandShop) -> None:
    order_id = (await check_out(away.client(sub="first"), "first")).json()["order_id"]
    event = {
        "event_id": "evt",
        "type": "payment.authorised",
        "key": order_id,
        "order_id": order_id,
        "reference": "pay",
        "amount": {"amount": 1999, "currency": "GBP"},
        "created_at": "2026-03-01T12:00:00Z",
    }
    assert (await away.deliver_webhook(json.dumps(event).encode())).status_code == 200
    assert (await away.order(order_id))["status"] == "placed"
