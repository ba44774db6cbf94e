from __future__ import annotations

from typing import Any

from tests.unit.command_api.shop import CommandShop, check_out, fill_cart


def quantities(cart: dict[str, Any]) -> dict[str, int]:
    return {item["product_id"]: item["quantity"] for item in cart["items"]}


async def test_the_first_write_gives_a_guest_a_cookie_and_the_next_ones_keep_it(shop: CommandShop) -> None:
    guest = shop.client()
    first = await fill_cart(guest, quantity=2)
    cookie = first.headers["Set-Cookie"]
    assert cookie.startswith("cf_session=") and "HttpOnly" in cookie and "SameSite=Lax" in cookie
    second = await fill_cart(guest)
    assert "Set-Cookie" not in second.headers
    assert (second.json()["cart_id"], quantities(second.json())) == (first.json()["cart_id"], {"LAMP": 3})


async def test_the_cart_adds_up(shop: CommandShop) -> None:
    await shop.given_product("VASE", price=550, stock=3)
    guest = shop.client()
    await fill_cart(guest, quantity=2)
    cart = (await fill_cart(guest, "VASE", 3)).json()
    assert cart["items"][1] == {
        "product_id": "VASE",
        "title": "A VASE",
        "quantity": 3,
        "unit_price": {"amount": 550, "currency": "GBP"},
        "line_total": {"amount": 1650, "currency": "GBP"},
    }
    assert cart["subtotal"] == {"amount": 2 * 1999 + 3 * 550, "currency": "GBP"}
    assert cart["warnings"] == []


async def test_more_than_there_is_cannot_go_in(shop: CommandShop) -> None:
    guest = shop.client()
    await fill_cart(guest, quantity=9)
    before = await shop.store.last_position()
    refused = await guest.post("/v1/cart/items", json={"product_id": "LAMP", "quantity": 2})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/insufficient-stock")
    assert refused.json()["available"] == 10
    assert shop.topics(before) == []


async def test_what_is_refused_sets_no_cookie(shop: CommandShop) -> None:
    refused = await shop.client().post("/v1/cart/items", json={"product_id": "NOTHING", "quantity": 1})
    assert refused.status_code == 404
    assert "Set-Cookie" not in refused.headers


async def test_a_quantity_is_changed_and_zero_removes(shop: CommandShop) -> None:
    guest = shop.client()
    await fill_cart(guest, quantity=2)
    changed = await guest.put("/v1/cart/items/LAMP", json={"quantity": 5})
    assert quantities(changed.json()) == {"LAMP": 5}
    removed = await guest.put("/v1/cart/items/LAMP", json={"quantity": 0})
    assert (removed.status_code, quantities(removed.json())) == (200, {})
    assert (await guest.put("/v1/cart/items/LAMP", json={"quantity": 1})).status_code == 404
    assert (await guest.put("/v1/cart/items/LAMP", json={"quantity": 11})).status_code == 404


async def test_removing_what_is_not_there_changes_nothing(shop: CommandShop) -> None:
    guest = shop.client()
    await fill_cart(guest)
    before = await shop.store.last_position()
    assert quantities((await guest.delete("/v1/cart/items/VASE")).json()) == {"LAMP": 1}
    assert shop.topics(before) == []
    assert quantities((await guest.delete("/v1/cart/items/LAMP")).json()) == {}


async def test_a_cart_is_cleared(shop: CommandShop) -> None:
    guest = shop.client()
    await fill_cart(guest)
    cleared = await guest.delete("/v1/cart")
    assert (cleared.status_code, quantities(cleared.json())) == (200, {})


async def test_who_has_no_cart_sees_an_empty_one_and_none_is_made(shop: CommandShop) -> None:
    before = await shop.store.last_position()
    answer = await shop.client().delete("/v1/cart")
    assert (answer.status_code, answer.json()["items"], answer.json()["version"]) == (200, [], 0)
    assert shop.topics(before) == []


async def test_at_sign_in_the_higher_quantity_of_each_product_stays(shop: CommandShop) -> None:
    for sku in ("VASE", "MUG"):
        await shop.given_product(sku, stock=10)
    customer, guest = shop.client(sub="ada"), shop.client()
    await fill_cart(customer, "LAMP", 2)
    await fill_cart(customer, "VASE", 1)
    await fill_cart(guest, "VASE", 4)
    await fill_cart(guest, "MUG", 3)
    await fill_cart(guest, "LAMP", 1)
    customer.cookies.update(guest.cookies)
    merged = await customer.post("/v1/cart/merge")
    assert merged.status_code == 200
    assert quantities(merged.json()) == {"LAMP": 2, "VASE": 4, "MUG": 3}
    assert "Max-Age=0" in merged.headers["Set-Cookie"]
    # The guest's cart is closed: nothing of it is left to merge again, or to buy.
    assert quantities((await guest.delete("/v1/cart/items/NOTHING")).json()) == {}
    customer.cookies.update(guest.cookies)
    assert quantities((await customer.post("/v1/cart/merge")).json()) == {"LAMP": 2, "VASE": 4, "MUG": 3}


async def test_merging_without_a_guests_cart_changes_nothing(shop: CommandShop) -> None:
    customer = shop.client(sub="ada")
    await fill_cart(customer)
    before = await shop.store.last_position()
    assert quantities((await customer.post("/v1/cart/merge")).json()) == {"LAMP": 1}
    assert shop.topics(before) == []


async def test_merging_needs_a_customer(shop: CommandShop) -> None:
    guest = shop.client()
    await fill_cart(guest)
    refused = await guest.post("/v1/cart/merge")
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_a_stale_version_is_refused(shop: CommandShop) -> None:
    guest = shop.client()
    seen = (await fill_cart(guest)).headers["ETag"]
    await fill_cart(guest)
    before = await shop.store.last_position()
    stale = await guest.put("/v1/cart/items/LAMP", json={"quantity": 5}, headers={"If-Match": seen})
    assert (stale.status_code, stale.json()["type"]) == (412, "/problems/stale-version")
    assert shop.topics(before) == []
    assert (await check_out(guest, "k")).status_code == 201


async def test_another_price_or_an_end_of_sale_is_warned_of(shop: CommandShop) -> None:
    await shop.given_product("VASE", price=500, stock=5)
    guest = shop.client()
    await fill_cart(guest)
    await fill_cart(guest, "VASE")
    await shop.operator.patch("/v1/products/LAMP", json={"price": {"amount": 999, "currency": "GBP"}})
    await shop.operator.patch("/v1/products/VASE", json={"status": "inactive"})
    cart = (await guest.delete("/v1/cart/items/NOTHING")).json()
    assert cart["warnings"] == [
        {
            "type": "price_changed",
            "product_id": "LAMP",
            "old": {"amount": 1999, "currency": "GBP"},
            "new": {"amount": 999, "currency": "GBP"},
        },
        {"type": "unavailable", "product_id": "VASE"},
    ]
    refused = await check_out(guest, "k")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/product-unavailable")


async def test_currencies_do_not_mix(shop: CommandShop) -> None:
    body = {"sku": "EURO", "title": "E", "category": ["Home"], "price": {"amount": 1, "currency": "EUR"}}
    await shop.operator.post("/v1/products", json=body)
    await shop.given_stock("EURO", 5)
    guest = shop.client()
    await fill_cart(guest)
    refused = await guest.post("/v1/cart/items", json={"product_id": "EURO", "quantity": 1})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/currency-mismatch")
    assert quantities((await guest.delete("/v1/cart/items/NOTHING")).json()) == {"LAMP": 1}
