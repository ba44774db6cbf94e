from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest

from commandside.audit import EVENTS_LIMIT_COUNT
from commandside.audit import PAGE_LIMIT_EVENTS as PAGE
from domain.aggregates import StockItem
from domain.events import Recorded
from tests.strategies import cause
from tests.unit.command_api.conftest import Clock
from tests.unit.command_api.shop import CommandShop, check_out, fill_cart


async def test_a_stock_figure_can_be_explained(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper, quantity=4)
    order_id = (await check_out(shopper, "k")).json()["order_id"]
    audit = (await shop.operator.get("/v1/audit/stock/LAMP@main")).json()
    assert (audit["kind"], audit["id"], audit["version"], audit["state"]["available"]) == ("stock", "LAMP@main", 4, 6)
    told = [(event["version"], event["topic"], event["actor"]) for event in audit["events"]]
    assert told == [
        (1, "stock.opened.v1", "operator:olga"),
        (2, "stock.received.v1", "operator:olga"),
        (3, "stock.reserved.v1", "customer:ada"),
        (4, "stock.committed.v1", "customer:ada"),
    ]
    assert audit["events"][2]["data"]["reservation_id"] == order_id
    assert audit["events"][2]["correlation_id"] == order_id
    positions = [event["position"] for event in audit["events"]]
    assert positions == sorted(positions)


async def test_travel_in_time(shop: CommandShop, clock: Clock) -> None:
    clock.advance(hours=1)
    await shop.given_stock("LAMP", 5)
    clock.advance(hours=1)
    await shop.given_stock("LAMP", 5)
    url = "/v1/audit/stock/LAMP@main"
    assert (await shop.operator.get(url)).json()["state"]["on_hand"] == 20
    assert (await shop.operator.get(f"{url}?version=2")).json()["state"]["on_hand"] == 10
    at = "2026-03-01T13:30:00Z"
    then = (await shop.operator.get(url, params={"at": at})).json()
    assert (then["version"], then["state"]["on_hand"], len(then["events"])) == (3, 15, 3)
    with_zone = (await shop.operator.get(f"{url}?at=2026-03-01T14:30:00+01:00")).json()
    assert with_zone["version"] == 3


@pytest.mark.parametrize("kind", ["product", "stock", "cart", "order", "checkout"])
async def test_every_kind_has_its_history(shop: CommandShop, kind: str) -> None:
    shopper = shop.client(sub="ada")
    cart_id = (await fill_cart(shopper)).json()["cart_id"]
    order_id = (await check_out(shopper, "k")).json()["order_id"]
    ids = {"product": "LAMP", "stock": "LAMP@main", "cart": cart_id, "order": order_id, "checkout": order_id}
    for roles in (["auditor"], ["operator"]):
        audit = await shop.client(sub="x", roles=roles).get(f"/v1/audit/{kind}/{ids[kind]}")
        assert audit.status_code == 200
        assert audit.json()["version"] == len(audit.json()["events"])
        assert "tok_ok" not in audit.text
    for stranger, status in ((shop.client(), 401), (shopper, 403)):
        assert (await stranger.get(f"/v1/audit/{kind}/{ids[kind]}")).status_code == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("stock/LAMP", 404),
        ("stock/LAMP@nowhere", 404),
        ("product/GHOST", 404),
        ("order/nonsense", 404),
        ("cart/01a1f86a-98ee-778a-a897-52d906e6d62b", 404),
        ("receipt/x", 404),
        ("product/LAMP?version=2", 404),
        ("product/LAMP?version=0", 422),
        ("product/LAMP?version=x", 422),
        ("product/LAMP?version=99999999999999999999999", 422),
        ("product/LAMP?at=2025-01-01T00:00:00Z", 404),
        ("product/LAMP?at=yesterday", 422),
        ("product/LAMP?at=2026-03-01T12:00:00", 422),
        ("product/LAMP?version=1%26at=2026-03-01T12:00:00Z", 422),
    ],
)
async def test_what_is_not_there_or_not_a_question(shop: CommandShop, path: str, status: int) -> None:
    assert (await shop.operator.get(f"/v1/audit/{path}")).status_code == status


async def test_a_stream_of_another_kind_is_not_shown_as_one(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    cart_id = (await fill_cart(shopper)).json()["cart_id"]
    assert (await shop.operator.get(f"/v1/audit/order/{cart_id}")).status_code == 404


async def given_a_hot_item(shop: CommandShop, events_count: int, *, later_from: int | None = None) -> None:
    """One unit comes in with each event after the first; those after `later_from` a year later."""
    item = StockItem.open("HOT", "main", cause())
    for number in range(1, events_count):
        item.receive(1, cause(minutes=525_600 if later_from is not None and number >= later_from else 0))
    await shop.store.append(item.collect_events(), {})


async def test_of_a_long_history_the_last_events_are_listed_and_the_state_is_of_all(shop: CommandShop) -> None:
    newest = EVENTS_LIMIT_COUNT + 100
    await given_a_hot_item(shop, newest)
    url = "/v1/audit/stock/HOT@main"
    for version, first in ((newest, 101), (newest - 50, 51), (EVENTS_LIMIT_COUNT, 1), (100, 1)):
        answer = await shop.operator.get(f"{url}?version={version}")
        audit = answer.json()
        assert (audit["version"], audit["state"]["on_hand"]) == (version, version - 1)
        assert [event["version"] for event in audit["events"]] == list(range(first, version + 1))
        assert answer.headers["ETag"] == f'"{version}"'
        assert answer.headers["Counterfoil-Position"] == str(audit["events"][-1]["position"])
    assert (await shop.operator.get(url)).json() == (await shop.operator.get(f"{url}?version={newest}")).json()


@pytest.mark.parametrize(
    ("question", "pages"),
    [
        ("?version=1", [(0, 1)]),
        ("?version=2000", [(0, PAGE)]),
        ("?version=2001", [(0, PAGE), (PAGE, 1)]),
        ("?at=2026-03-01T12:00:00Z", [(0, PAGE)]),
        ("", [(0, PAGE), (PAGE, PAGE), (2 * PAGE, PAGE)]),
        (f"?version={2 * PAGE + 501}", [(0, PAGE), (PAGE, PAGE), (2 * PAGE, 501)]),
    ],
)
async def test_no_more_is_read_than_the_question_needs_a_page_at_a_time(
    shop: CommandShop, monkeypatch: pytest.MonkeyPatch, question: str, pages: list[tuple[int, int]]
) -> None:
    await given_a_hot_item(shop, 2 * PAGE + 500, later_from=700)
    real, asked = shop.store.history, []

    async def history(stream_id: UUID, after: int = 0, limit: int | None = None) -> list[Recorded]:
        asked.append((after, limit))
        return await real(stream_id, after, limit)

    monkeypatch.setattr(shop.store, "history", history)
    answer = await shop.operator.get(f"/v1/audit/stock/HOT@main{question}")
    assert asked == pages
    version = {"?at=2026-03-01T12:00:00Z": 700, "": 2 * PAGE + 500}.get(question)
    if version is not None:
        assert (answer.json()["version"], answer.json()["state"]["on_hand"]) == (version, version - 1)
    assert answer.status_code == (404 if question.endswith("501") else 200)


async def test_the_page_says_how_many_are_listed(shop: CommandShop) -> None:
    listed = shop.app.openapi()["components"]["schemas"]["AuditAnswer"]["properties"]["events"]
    assert listed["maxItems"] == EVENTS_LIMIT_COUNT
    assert f"{EVENTS_LIMIT_COUNT:,}" in listed["description"]


@pytest.mark.parametrize(("owner", "step"), [(StockItem, "replay"), (msgspec.json, "encode")])
async def test_others_are_answered_while_a_history_is_replayed_and_written(
    shop: CommandShop, monkeypatch: pytest.MonkeyPatch, owner: Any, step: str
) -> None:
    """The step goes on when somebody else has been answered: on the loop itself it would wait in vain."""
    real: Callable[..., Any] = getattr(owner, step)
    begun, answered = threading.Event(), threading.Event()
    in_time: list[bool] = []

    def waits(*given: Any) -> Any:
        begun.set()
        in_time.append(answered.wait(timeout=3))
        return real(*given)

    monkeypatch.setattr(owner, step, waits)
    audit = asyncio.create_task(shop.operator.get("/v1/audit/stock/LAMP@main"))
    assert await asyncio.to_thread(begun.wait, 3)
    assert (await shop.client().get("/healthz")).status_code == 200
    answered.set()
    assert (await audit).status_code == 200
    assert in_time == [True]


async def test_what_a_payment_was_made_with_is_shown_to_nobody(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    order_id = (await check_out(shopper, "key-1", "tok_ok")).json()["order_id"]
    told = await shop.operator.get(f"/v1/audit/checkout/{order_id}")
    assert told.json()["state"]["payment_token"] == told.json()["events"][0]["data"]["payment_token"] == "(not shown)"
    assert "tok_ok" not in told.text
