"""A request fails half way: what it did is answered as done, and what it only began is not said to be undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from commandside.event_store import StoreUnavailable
from commandside.payments.port import PaymentKeyReused
from commandside.writer import Busy, Contended
from tests.unit.command_api.conftest import Clock
from tests.unit.command_api.shop import CommandShop, check_out, fill_cart
from tests.unit.command_api.test_capturing import placed
from tests.unit.command_api.test_checkout import PRICE, UNTOUCHED
from tests.unit.command_api.test_store_away import UNKNOWN

FailAfter = Callable[[int, Exception], None]


@pytest.fixture
def fail_after(shop: CommandShop, monkeypatch: pytest.MonkeyPatch) -> FailAfter:
    """From now on the writer takes so many commands, and fails the others."""
    execute = shop.write_side.writer.execute

    def failing(taken_count: int, error: Exception) -> None:
        left = taken_count

        async def one(decide: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise error
            return await execute(decide)

        monkeypatch.setattr(shop.write_side.writer, "execute", one)

    return failing


@pytest.mark.parametrize("error", [Busy("full"), Contended("others won"), StoreUnavailable("gone")])
async def test_a_checkout_that_was_begun_is_not_told_that_nothing_was_done(
    shop: CommandShop, clock: Clock, fail_after: FailAfter, error: Exception
) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    fail_after(1, error)

    told = await check_out(shopper, "key-1")

    assert (told.status_code, told.json()["type"]) == (503, "/problems/store-unavailable")
    assert UNKNOWN in told.json()["detail"]
    fail_after(1_000, error)
    assert (await check_out(shopper, "key-1")).json()["type"] == "/problems/in-progress"
    clock.advance(minutes=1)
    await shop.write_side.resumption.sweep()
    again = await check_out(shopper, "key-1")
    assert (again.status_code, again.json()["status"]) == (201, "placed")


@pytest.mark.parametrize("error", [Busy("full"), Contended("others won"), StoreUnavailable("gone")])
async def test_what_was_cancelled_is_answered_as_cancelled_though_its_refund_has_to_wait(
    shop: CommandShop, clock: Clock, fail_after: FailAfter, error: Exception
) -> None:
    shopper = shop.client(sub="ada")
    order_id = await placed(shopper)
    await shop.write_side.capturing.drain()

    fail_after(2, error)
    cancelled = await shopper.post(f"/v1/orders/{order_id}/cancel")

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert cancelled.json()["payment"]["status"] == "captured"
    fail_after(1_000, error)
    clock.advance(minutes=1)
    await shop.write_side.resumption.sweep()
    assert shop.provider.refunded() == {order_id: PRICE}


async def test_a_fault_of_the_adapters_does_not_undo_the_answer(
    shop: CommandShop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shopper = shop.client(sub="ada")
    order_id = await placed(shopper)
    await shop.write_side.capturing.drain()

    async def faulty(*_: Any) -> None:
        raise PaymentKeyReused("used with another amount")

    with monkeypatch.context() as away:
        away.setattr(shop.provider, "refund", faulty)
        cancelled = await shopper.post(f"/v1/orders/{order_id}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    clock.advance(minutes=1)
    await shop.write_side.resumption.sweep()
    assert shop.provider.refunded() == {order_id: PRICE}


async def test_what_costs_nothing_is_withdrawn_without_the_provider(shop: CommandShop, fail_after: FailAfter) -> None:
    await shop.given_product("LEAFLET", price=0, stock=10)
    shopper = shop.client(sub="ada")
    await fill_cart(shopper, "LEAFLET")
    fail_after(1, Busy("full"))
    assert (await check_out(shopper, "key-1")).status_code == 503
    fail_after(1_000, Busy("full"))
    order_id = next(str(each.event.originator_id) for each in shop.log() if each.event.TOPIC == "order.submitted.v1")
    shop.provider.unreachable = True

    cancelled = await shopper.post(f"/v1/orders/{order_id}/cancel")

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert await shop.stock("LEAFLET") == UNTOUCHED
