from __future__ import annotations

from typing import Any

import pytest

from tests.unit.command_api.shop import CommandShop

LAMP = {
    "sku": "MOON",
    "title": "Moon lamp",
    "category": ["Home", "Lamps"],
    "price": {"amount": 1999, "currency": "GBP"},
}


async def test_a_product_is_added_once(shop: CommandShop) -> None:
    added = await shop.operator.post("/v1/products", json=LAMP)
    assert (added.status_code, added.json()) == (201, {"product_id": "MOON", "version": 1})
    assert added.headers["ETag"] == '"1"'
    assert int(added.headers["Counterfoil-Position"]) == await shop.store.last_position()
    again = await shop.operator.post("/v1/products", json=LAMP)
    assert (again.status_code, again.json()["type"]) == (409, "/problems/product-exists")


async def test_only_what_is_given_changes(shop: CommandShop) -> None:
    full = {**LAMP, "brand": "Selene", "description": "Glows.", "attributes": {"watts": 5, "dimmable": True}}
    await shop.operator.post("/v1/products", json=full)
    before = await shop.store.last_position()
    changed = await shop.operator.patch("/v1/products/MOON", json={"title": "Sun lamp", "description": None})
    assert changed.status_code == 200
    assert shop.topics(before) == ["product.revised.v1"]
    state = (await shop.operator.get("/v1/audit/product/MOON")).json()["state"]
    assert state["details"]["title"] == "Sun lamp"
    assert (state["details"]["description"], state["details"]["brand"]) == (None, "Selene")
    assert state["details"]["attributes"] == {"watts": 5, "dimmable": True}


async def test_a_change_to_what_it_is_already_changes_nothing(shop: CommandShop) -> None:
    await shop.operator.post("/v1/products", json=LAMP)
    before = await shop.store.last_position()
    same = {"title": "Moon lamp", "price": LAMP["price"], "status": "active"}
    assert (await shop.operator.patch("/v1/products/MOON", json=same)).status_code == 200
    assert shop.topics(before) == []


async def test_a_refused_change_changes_nothing_of_it(shop: CommandShop) -> None:
    await shop.operator.post("/v1/products", json=LAMP)
    before = await shop.store.last_position()
    mixed = {"title": "Other", "price": {"amount": 1, "currency": "EUR"}}
    refused = await shop.operator.patch("/v1/products/MOON", json=mixed)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/currency-mismatch")
    assert shop.topics(before) == []


async def test_stock_is_received_and_adjusted(shop: CommandShop) -> None:
    await shop.operator.post("/v1/products", json=LAMP)
    url = "/v1/inventory/MOON"
    received = await shop.operator.post(f"{url}/receive", json={"warehouse_id": "w1", "quantity": 10})
    figures = {"sku": "MOON", "warehouse_id": "w1", "on_hand": 10, "reserved": 0, "available": 10}
    assert (received.status_code, received.json()) == (200, figures)
    lost = {"warehouse_id": "w1", "quantity_delta": -4, "reason": "broken"}
    assert (await shop.operator.post(f"{url}/adjust", json=lost)).json()["available"] == 6
    too_many = await shop.operator.post(f"{url}/adjust", json={**lost, "quantity_delta": -7})
    assert (too_many.status_code, too_many.json()["type"]) == (409, "/problems/below-reserved")
    elsewhere = {"warehouse_id": "w2", "quantity_delta": 1, "reason": "found"}
    assert (await shop.operator.post(f"{url}/adjust", json=elsewhere)).status_code == 404


async def test_stock_of_no_product_is_not_received(shop: CommandShop) -> None:
    before = await shop.store.last_position()
    refused = await shop.operator.post("/v1/inventory/GHOST/receive", json={"warehouse_id": "w1", "quantity": 1})
    assert refused.status_code == 404
    assert shop.topics(before) == []


@pytest.mark.parametrize("url", ["https://a.example/\x00", "https://a.example/\x1f", "https://a.example/\x7f\x9b"])
async def test_an_image_is_no_address_with_control_characters_in_it(shop: CommandShop, url: str) -> None:
    await refused_field(shop, "images.0", images=[url])


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**53 + 1, 10**18, 10**400])
async def test_a_whole_number_that_is_not_exact_everywhere_is_no_attribute(shop: CommandShop, number: int) -> None:
    await refused_field(shop, "attributes.serial", attributes={"serial": number})


async def test_attributes_keep_their_types_up_to_where_they_are_exact(shop: CommandShop) -> None:
    given = {"most": 2**53 - 1, "least": 1 - 2**53, "half": 0.5, "large": 1e300, "yes": True, "text": str(10**18)}
    assert (await shop.operator.post("/v1/products", json={**LAMP, "attributes": given})).status_code == 201
    kept = (await shop.operator.get("/v1/audit/product/MOON")).json()["state"]["details"]["attributes"]
    assert kept == given
    assert {name: type(value) for name, value in kept.items()} == {name: type(value) for name, value in given.items()}


async def refused_field(shop: CommandShop, field: str, **changes: Any) -> None:
    await shop.operator.post("/v1/products", json=LAMP)
    before = await shop.store.last_position()
    for answer in (
        await shop.operator.post("/v1/products", json={**LAMP, "sku": "OTHER", **changes}),
        await shop.operator.patch("/v1/products/MOON", json=changes),
    ):
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-input")
        assert all(fault["field"].startswith(f"body.{field}") for fault in answer.json()["errors"])
    assert shop.topics(before) == []
