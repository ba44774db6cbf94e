"""What checkouts leave when nobody takes them up: each kind of trouble, made for real, is listed by its name."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from commandside.commands import CheckOut, CheckoutFields
from commandside.handlers.context import Context
from commandside.saga.starting import Terms, start
from counterfoil.doctor.findings import TOLD_LIMIT_COUNT
from domain.aggregates import Cart, StockItem
from domain.identity import cart_stream, checkout_stream, stock_stream
from domain.values import Cause
from tests.integration.doctor.conftest import Surgery
from tests.sealed import SEALED
from tests.unit.command_api.shop import ADDRESS, CommandShop, check_out, fill_cart

NO_ORDER = "01a1f86a-98ee-778a-a897-52d906e6d62b"


async def bought(shop: CommandShop, name: str, token: str = "tok_ok", status: int = 201) -> str:
    """The order of somebody of that name."""
    shopper = shop.client(sub=name)
    await fill_cart(shopper)
    answer = await check_out(shopper, "key", token)
    assert answer.status_code == status, answer.text
    await shop.write_side.capturing.drain()
    return str(answer.json()["order_id"])


async def pending(shop: CommandShop, name: str = "ada") -> str:
    """A checkout that the provider says nothing about."""
    shop.provider.unreachable = True
    return await bought(shop, name, status=202)


async def test_in_a_healthy_shop_there_is_nothing(surgery: Surgery) -> None:
    async with surgery.shop(is_open_now=True) as shop:
        await bought(shop, "placed")
        shopper = shop.client(sub="declined")
        await fill_cart(shopper)
        assert (await check_out(shopper, "key", "tok_declined")).status_code == 402
        cancelled = await bought(shop, "cancelled")
        assert (await shop.client(sub="cancelled").post(f"/v1/orders/{cancelled}/cancel")).status_code == 200
        await bought(shop, "pending", "tok_slow_60000", status=202)  # and has its ten minutes left

    examination = await surgery.examine()

    assert examination.count == 0
    assert [away.partition(":")[0] for away in examination.not_asked] == ["provider", "kafka", "valkey"]


async def test_an_empty_log_is_healthy(surgery: Surgery) -> None:
    assert await surgery.found() == {}


async def test_what_was_long_ago_and_has_ended_is_no_trouble(surgery: Surgery) -> None:
    async with surgery.shop() as shop:
        await bought(shop, "placed")
        order_id = await pending(shop, "expired")
        surgery.clock.advance(minutes=11)
        shop.provider.unreachable = False
        await shop.write_side.resumption.sweep()
        assert (await shop.order(order_id))["status"] == "payment_failed"
    assert await surgery.found() == {}


@pytest.mark.parametrize("sealed", [{}, SEALED], ids=["plain", "sealed"])
async def test_where_nobody_sweeps(surgery: Surgery, sealed: dict[str, Any]) -> None:
    surgery.settings = sealed
    async with surgery.shop() as shop:
        order_id = await pending(shop)

    examination = await surgery.examine()

    found = {finding.check.name: finding.troubles for finding in examination.findings if finding.count}
    assert set(found) == {"checkout-overdue", "sweep-late", "reservation-overdue"}
    (overdue,) = found["checkout-overdue"]
    assert (overdue.what, overdue.detail) == (f"order {order_id}", "started, of customer:ada")
    assert overdue.since is not None
    assert 2_000 < (examination.asked_at - overdue.since).total_seconds() < 3_600
    assert found["reservation-overdue"][0].what == f"LAMP@main, order {order_id}"


async def test_a_request_that_was_never_answered(surgery: Surgery) -> None:
    """Its process died over it."""
    async with surgery.shop() as shop:
        shopper = shop.client(sub="ada")
        await fill_cart(shopper)
        order_id = uuid7()
        wanted = CheckoutFields.model_validate({"shipping_address": ADDRESS, "payment_token": "tok_ok"})
        command = CheckOut(owner="customer:ada", idempotency_key="key", order_id=order_id, wanted=wanted)
        context = Context(Cause(surgery.clock(), "customer:ada", "r1", "r1"))
        terms: Terms = shop.write_side.saga._terms
        await shop.write_side.writer.execute(
            partial(start, command=command, context=context, shop=shop.write_side.shop, terms=terms)
        )
    assert await surgery.found() == {
        "checkout-overdue": 1,
        "sweep-late": 1,
        "reservation-overdue": 1,
        "receipt-unanswered": 1,
    }


async def test_a_provider_that_never_says_whether_it_charged(surgery: Surgery) -> None:
    async with surgery.shop() as shop:
        await pending(shop)
        surgery.clock.advance(minutes=11)
        await shop.write_side.resumption.sweep()
    assert await surgery.found() == {"payment-unsettled": 1, "sweep-late": 1}


async def test_a_refund_that_is_not_made(surgery: Surgery) -> None:
    async with surgery.shop() as shop:
        order_id = await bought(shop, "ada")
        shop.provider.unreachable = True
        assert (await shop.client(sub="ada").post(f"/v1/orders/{order_id}/cancel")).status_code == 200

    examination = await surgery.examine()

    found = {finding.check.name: finding.troubles for finding in examination.findings if finding.count}
    assert set(found) == {"refund-overdue", "sweep-late"}
    assert "1999 GBP in minor units" in found["refund-overdue"][0].detail


async def test_an_order_whose_money_is_not_taken(surgery: Surgery) -> None:
    async with surgery.shop() as shop:
        await bought(shop, "ada", "tok_capture_error_then_ok")
        await bought(shop, "bob")

    examination = await surgery.examine()

    found = {finding.check.name: finding.troubles for finding in examination.findings if finding.count}
    assert set(found) == {"capture-overdue", "sweep-late"}
    assert [trouble.detail for trouble in found["capture-overdue"]] == ["1999 GBP in minor units, 0 attempts"]


async def test_an_unfinished_checkout_that_nothing_would_take_up(surgery: Surgery) -> None:
    async with surgery.shop() as shop:
        order_id = await pending(shop)
    surgery.tamper("DELETE FROM log.unfinished_checkouts WHERE checkout_id = %s", checkout_stream(UUID(order_id)))
    assert await surgery.found() == {"checkout-overdue": 1, "reservation-overdue": 1, "checkout-forgotten": 1}


@pytest.mark.parametrize("there_is_one", [True, False])
async def test_work_that_is_done_or_never_was(surgery: Surgery, there_is_one: bool) -> None:
    async with surgery.shop() as shop:
        order_id = UUID(await bought(shop, "ada")) if there_is_one else uuid7()
    surgery.tamper("INSERT INTO log.unfinished_checkouts VALUES (%s, now())", checkout_stream(order_id))
    assert await surgery.found() == {"work-left-over": 1}


@pytest.mark.parametrize("reservation_id", ["an order that never was", NO_ORDER, "ended"])
async def test_stock_that_nobody_gives_back(surgery: Surgery, reservation_id: str) -> None:
    async with surgery.shop() as shop:
        ended = await bought(shop, "ada")
    async with surgery.store() as store:
        item: Any = None
        for step in (await store.load({(stream := stock_stream("LAMP", "main")): 0}))[stream]:
            item = step.mutate(item)
        assert isinstance(item, StockItem)
        order_id = ended if reservation_id == "ended" else reservation_id
        later = surgery.clock() + timedelta(days=1)
        item.reserve(order_id, 2, later, Cause(surgery.clock(), "somebody", "c", "c"))
        await store.append(item.collect_events(), {})
    assert await surgery.found() == {"reservation-orphaned": 1}


async def test_a_cart_that_an_ended_order_holds(surgery: Surgery) -> None:
    async with surgery.shop() as shop:
        order_id = await bought(shop, "ada")
        await fill_cart(shop.client(sub="ada"))
    async with surgery.store() as store:
        cart: Any = None
        for step in (await store.load({(stream := cart_stream("customer:ada")): 0}))[stream]:
            cart = step.mutate(cart)
        assert isinstance(cart, Cart)
        cart.begin_checkout(order_id, Cause(surgery.clock(), "somebody", "c", "c"))
        await store.append(cart.collect_events(), {})
    assert await surgery.found() == {"cart-held": 1}


async def test_a_stream_that_cannot_be_read_keeps_nobody_from_the_others(surgery: Surgery) -> None:
    async with surgery.shop() as shop:
        gap = UUID(await bought(shop, "bob", "tok_webhook", status=202))
        spoilt = UUID(await pending(shop, "ada"))
        await pending(shop, "cyd")
    change = "UPDATE log.stored_events SET state = 'x' WHERE originator_id = %s AND originator_version = 1"
    surgery.tamper(change, checkout_stream(spoilt))
    surgery.tamper(
        "UPDATE log.stored_events SET originator_version = 7 WHERE originator_id = %s AND originator_version = 2",
        checkout_stream(gap),
    )
    found = await surgery.found()
    assert found == {"checkout-overdue": 1, "sweep-late": 1, "reservation-overdue": 3, "stream-unreadable": 2}


async def test_of_very_many_the_first_are_told_and_all_are_counted(surgery: Surgery) -> None:
    with_psycopg = "INSERT INTO log.unfinished_checkouts VALUES (%s, now())"
    for _ in range(TOLD_LIMIT_COUNT + 5):
        surgery.tamper(with_psycopg, uuid7())
    examination = await surgery.examine()
    (finding,) = [finding for finding in examination.findings if finding.count]
    assert (finding.count, len(finding.troubles)) == (TOLD_LIMIT_COUNT + 5, TOLD_LIMIT_COUNT)
