"""A catalogue's file comes in, through the handlers, once."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from commandside.commands import AddProduct, ReceiveStock
from commandside.commands.fields import MoneyField
from commandside.event_store.memory import MemoryEventStore
from commandside.handlers.catalogue import add_product
from commandside.handlers.context import Context
from commandside.handlers.inventory import receive_stock
from counterfoil import wiring
from counterfoil.imports.errors import ImportStopped
from counterfoil.imports.products import ProductsReport, import_products
from counterfoil.imports.records import Rejected
from counterfoil.imports.stopping import Stopping, never
from counterfoil.progress import shown_on
from counterfoil.settings import Settings
from domain.aggregates import Product, StockItem, StockLocations
from domain.identity import product_stream, stock_locations_stream, stock_stream
from domain.values import Cause
from tests.fakes.payments import FakePaymentProvider

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HEADER = "sku,title,brand,category,price,rating,review_count,warehouse_id,quantity,attributes.colour"


class Shop:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = MemoryEventStore()
        self.write_side = wiring.write_side(
            Settings(var=folder / "var"), self.store, FakePaymentProvider(), lambda: NOW
        )

    async def take_in(
        self, content: str, name: str = "x.csv", stopping: Stopping = never
    ) -> tuple[ProductsReport, list[Rejected]]:
        path = self.folder / name
        path.write_text(content)
        await self.write_side.start(resume=False)
        try:
            with shown_on(Console(file=io.StringIO())) as progress:
                return await import_products(self.write_side, path, progress, lambda: NOW, stopping)
        finally:
            await self.write_side.stop()

    def topics(self, after: int = 0) -> list[str]:
        return [recorded.event.TOPIC for recorded in self.store.log(after)]

    async def product(self, sku: str) -> Product:
        return Product.replay([each.event for each in await self.store.history(product_stream(sku))])

    async def on_hand(self, sku: str, warehouse_id: str) -> int:
        events = [each.event for each in await self.store.history(stock_stream(sku, warehouse_id))]
        return StockItem.replay(events).on_hand


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def counts(report: ProductsReport) -> tuple[int, int, int, int]:
    return (report.rows_count, report.added_count, report.changed_count, report.received_count)


async def test_a_new_product_is_added_rated_and_stocked(shop: Shop) -> None:
    report, rejected = await shop.take_in(f"{HEADER}\nL-1,Lamp,Tarn,Home/Lamps,19.99,4.5,12,leeds,7,red\n")
    product = await shop.product("L-1")
    assert (product.details.title, product.details.category, product.details.brand) == (
        "Lamp",
        ("Home", "Lamps"),
        "Tarn",
    )
    assert (product.price.amount, product.price.currency) == (1999, "GBP")
    assert (product.rating_hundredths, product.review_count) == (450, 12)
    assert product.details.attributes == {"colour": "red"}
    assert await shop.on_hand("L-1", "leeds") == 7
    assert (counts(report), rejected) == ((1, 1, 0, 1), [])
    assert {recorded.event.timestamp for recorded in shop.store.log()} == {NOW}


async def test_the_same_file_again_changes_nothing(shop: Shop) -> None:
    content = HEADER + "\n" + "".join(f"L-{n},Lamp,,Home,{n}.50,4,{n},leeds,{n},red\n" for n in range(1, 200))
    first, _ = await shop.take_in(content)
    position = await shop.store.last_position()

    again, rejected = await shop.take_in(content)

    assert counts(first) == (199, 199, 0, 199)
    assert (counts(again), rejected) == ((199, 0, 0, 0), [])
    assert await shop.store.last_position() == position


async def test_a_limit_per_customer_comes_stays_and_goes_as_the_file_says(shop: Shop) -> None:
    columns = "sku,title,category,price"
    limits = []
    for header, cell in (("limit_per_customer", "2"), ("brand", "Tarn"), ("limit_per_customer", "")):
        _, rejected = await shop.take_in(f"{columns},{header}\nL-1,Lamp,Home,5,{cell}\n")
        assert rejected == []
        limits.append((await shop.product("L-1")).limit_per_customer)
    assert limits == [2, 2, None]
    line = '{"sku":"L-1","title":"Lamp","category":"Home","price":5,"limit_per_customer":3}'
    _, rejected = await shop.take_in(line, "x.jsonl")
    assert (rejected, (await shop.product("L-1")).limit_per_customer) == ([], 3)


async def test_what_differs_is_changed_and_what_the_file_lacks_stays(shop: Shop) -> None:
    await shop.take_in(f"{HEADER}\nL-1,Lamp,Tarn,Home/Lamps,19.99,4.5,12,leeds,7,red\n")
    position = await shop.store.last_position()

    report, _ = await shop.take_in("sku,title,category,price\nL-1,Lamp,Home/Lamps,24.99\n")

    assert shop.topics(position) == ["product.repriced.v1"]
    product = await shop.product("L-1")
    assert (product.price.amount, product.details.brand, product.review_count) == (2499, "Tarn", 12)
    assert counts(report) == (1, 0, 1, 0)


async def test_a_column_that_is_empty_takes_away(shop: Shop) -> None:
    await shop.take_in("sku,title,brand,category,price\nL-1,Lamp,Tarn,Home,1\n")
    await shop.take_in("sku,title,brand,category,price\nL-1,Lamp,,Home,1\n")
    assert (await shop.product("L-1")).details.brand is None


async def test_opening_stock_is_received_where_there_never_was_any(shop: Shop) -> None:
    await shop.take_in("sku,title,category,price,warehouse_id,quantity\nL-1,Lamp,Home,1,leeds,7\n")
    report, rejected = await shop.take_in(
        "sku,title,category,price,warehouse_id,quantity\nL-1,Lamp,Home,1,leeds,9\nL-1,Lamp,Home,1,bath,4\n"
    )
    assert (await shop.on_hand("L-1", "leeds"), await shop.on_hand("L-1", "bath")) == (7, 4)
    events = [each.event for each in await shop.store.history(stock_locations_stream("L-1"))]
    assert StockLocations.replay(events).warehouse_ids == ["leeds", "bath"]
    assert (counts(report), rejected) == ((2, 0, 0, 1), [])


async def test_lines_of_one_product_come_in_the_order_of_the_file(shop: Shop) -> None:
    lines = [f"L-1,Lamp {number},Home,1" for number in range(300)]
    report, _ = await shop.take_in("sku,title,category,price\n" + "\n".join(lines))
    assert (await shop.product("L-1")).details.title == "Lamp 299"
    assert counts(report) == (300, 1, 299, 0)


async def test_json_lines(shop: Shop) -> None:
    row: dict[str, Any] = {
        "sku": "L-1", "title": "Lamp", "category": ["Home"], "price_minor": 5, "attributes": {"watts": 4.5},
        "stock": [{"warehouse_id": "leeds", "quantity": 1}, {"warehouse_id": "bath", "quantity": 2}],
    }  # fmt: skip
    report, _ = await shop.take_in(json.dumps(row) + "\n", "x.jsonl")
    assert (await shop.product("L-1")).details.attributes == {"watts": 4.5}
    assert (await shop.on_hand("L-1", "leeds"), await shop.on_hand("L-1", "bath")) == (1, 2)
    assert counts(report) == (1, 1, 0, 2)


async def test_a_bad_line_is_rejected_and_stops_nothing_else(shop: Shop) -> None:
    await shop.take_in("sku,title,category,price,currency,kind\nE-1,Lamp,Home,1,EUR,goods\n")
    position = await shop.store.last_position()
    report, rejected = await shop.take_in(
        "sku,title,category,price,kind,warehouse_id,quantity\n"
        "L-1,,Home,1,,,\n"
        "L-2,Lamp,Home,1,,,\n"
        "L-3,Lamp,Home\n"
        "E-1,Other,Home,1,,leeds,5\n"
        "L-2,Lamp,Home,1,service,,\n"
    )
    assert [each.line for each in rejected] == [2, 4, 5, 6]
    assert rejected[2].reason == "Amounts in EUR and GBP cannot be put together."
    assert rejected[3].reason == "'L-2' is there as goods: that cannot be changed."
    assert shop.topics(position) == ["product.added.v1"], "of a line that is refused nothing is done"
    assert counts(report) == (5, 1, 0, 0)


async def test_a_service_that_was_made_otherwise_gets_no_stock(shop: Shop) -> None:
    await shop.take_in("sku,title,category,price,kind\nWRAP,Wrapping,Services,1,service\n")
    _, rejected = await shop.take_in(
        "sku,title,category,price,warehouse_id,quantity\nWRAP,Wrapping,Services,1,leeds,5\n"
    )
    assert [each.reason for each in rejected] == ["'WRAP' is a service: it has no stock."]


async def test_a_product_that_came_by_http_is_changed_and_its_stock_left(shop: Shop) -> None:
    await shop.write_side.start(resume=False)
    context = Context(Cause(NOW, "operator:1", "c", "c"))
    price = MoneyField(amount=1, currency="GBP")
    add = AddProduct(sku="L-1", title="Lamp", category=("Home",), price=price)
    await shop.write_side.execute(add_product, add, context)
    receive = ReceiveStock(sku="L-1", warehouse_id="leeds", quantity=3)
    await shop.write_side.execute(receive_stock, receive, context)
    await shop.write_side.stop()

    report, _ = await shop.take_in(f"{HEADER}\nL-1,Lamp,Tarn,Home/Lamps,19.99,4.5,12,leeds,7,red\n")

    assert (await shop.product("L-1")).price.amount == 1999
    assert await shop.on_hand("L-1", "leeds") == 3
    assert counts(report) == (1, 0, 1, 0)


async def test_columns_that_mean_nothing_are_named_before_anything_is_done(shop: Shop) -> None:
    with pytest.raises(ImportStopped, match="columns that mean nothing here: colour, Titel"):
        await shop.take_in("sku,title,colour,Titel\nL-1,Lamp,red,Lampe\n")
    assert shop.topics() == []


async def test_asked_to_stop_it_stops_and_the_same_file_goes_on(shop: Shop) -> None:
    content = "sku,title,category,price\n" + "".join(f"L-{number},Lamp,Home,1\n" for number in range(2_000))

    def some_are_there() -> bool:
        return len(shop.topics()) > 0

    stopped, _ = await shop.take_in(content, stopping=some_are_there)
    there = stopped.added_count
    finished, _ = await shop.take_in(content)

    assert not stopped.finished
    assert 0 < there < 2_000
    assert (finished.finished, finished.added_count) == (True, 2_000 - there)
