from __future__ import annotations

from typing import Any

import pytest

from counterfoil.imports.product_rows import BadRow, ProductRow, parse

GOOD: dict[str, Any] = {"sku": "L-1", "title": "Lamp", "category": "Home/Lamps", "price": "19.99"}


def row(**changes: Any) -> ProductRow:
    return parse(GOOD | changes, "GBP")


def test_a_row_of_text_is_a_product() -> None:
    found = row(
        description="A lamp", brand="Tarn", currency="EUR", image_urls="https://a.example/1 https://a.example/2",
        seller_id="s-1", kind="goods", rating="4.25", review_count="12", warehouse_id="leeds", quantity="7",
        **{"attributes.colour": "red", "attributes.size": ""},
    )  # fmt: skip
    add = found.add
    assert (add.sku, add.title, add.category, add.brand) == ("L-1", "Lamp", ("Home", "Lamps"), "Tarn")
    assert (add.price.amount, add.price.currency) == (1999, "EUR")
    assert add.images == ("https://a.example/1", "https://a.example/2")
    assert add.attributes == {"colour": "red"}
    assert found.rate is not None
    assert (found.rate.rating_hundredths, found.rate.review_count) == (425, 12)
    assert [(each.warehouse_id, each.quantity) for each in found.stock] == [("leeds", 7)]


def test_an_object_is_one_too() -> None:
    found = parse(
        {
            "sku": "L-1", "title": "Lamp", "category": ["Home / Garden", "Lamps"], "price_minor": 1999,
            "attributes": {"height": 4.5, "dimmable": True}, "rating": 5, "review_count": 0,
            "stock": [{"warehouse_id": "a", "quantity": 1}, {"warehouse_id": "b", "quantity": 0}],
        },
        "GBP",
    )  # fmt: skip
    assert found.add.category == ("Home / Garden", "Lamps")
    assert (found.add.price.amount, found.add.price.currency) == (1999, "GBP")
    assert found.add.attributes == {"height": 4.5, "dimmable": True}
    assert [(each.warehouse_id, each.quantity) for each in found.stock] == [("a", 1)]


@pytest.mark.parametrize(
    ("path", "category"),
    [
        ("Home", ("Home",)),
        ("Home / Lamps", ("Home", "Lamps")),
        (r"Bed \/ Bath/Towels", ("Bed / Bath", "Towels")),
        (r"A\\/B", ("A\\", "B")),
    ],
)
def test_a_slash_parts_the_steps_of_a_category(path: str, category: tuple[str, ...]) -> None:
    assert row(category=path).add.category == category


@pytest.mark.parametrize(
    ("price", "currency", "minor"),
    [("5", "GBP", 500), ("5.5", "GBP", 550), ("1500", "JPY", 1500), ("1.234", "KWD", 1234), (19.99, "GBP", 1999)],
)
def test_a_price_is_exact_in_its_currency(price: object, currency: str, minor: int) -> None:
    assert row(price=price, currency=currency).add.price.amount == minor


def test_what_the_file_does_not_have_is_left_alone_and_what_is_empty_is_taken_away() -> None:
    assert row().given == {"title", "category", "price"}
    emptied = row(brand="", image_urls="")
    assert emptied.given == {"title", "category", "price", "brand", "images"}
    assert (emptied.add.brand, emptied.add.images) == (None, ())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sku": "a b"}, "sku: String should match pattern"),
        ({"title": " "}, "title: String should have at least 1 character"),
        ({"category": ""}, "category: Tuple should have at least 1 item"),
        ({"category": "A//"}, None),
        ({"price": ""}, "price: is missing"),
        ({"price": "-1"}, "price.amount: Input should be greater than or equal to 0"),
        ({"price": "1.999"}, "price: 1.999 is finer than GBP goes"),
        ({"price": "1,5"}, "price: '1,5' is not a number"),
        ({"price": "NaN"}, "price: 'NaN' is not a number"),
        ({"price": True}, "price: True is not a number"),
        ({"price_minor": "5"}, "price: either price or price_minor, not both"),
        ({"currency": "pounds"}, "price.currency"),
        ({"image_urls": "ftp://x"}, "images.0"),
        ({"image_urls": "https://a.example/\x00"}, "images.0: Value error, must not contain control characters"),
        ({"image_urls": ["https://a.example/\x7f"]}, "images.0: Value error, must not contain control characters"),
        ({"attributes": {"serial": 2**53}}, "attributes.serial"),
        ({"rating": "5.1", "review_count": "1"}, "rating: is from 0 to 5, not 5.1"),
        ({"rating": "4"}, "rating and review_count: come together"),
        ({"quantity": "4"}, "warehouse_id and quantity: come together"),
        ({"warehouse_id": "a", "quantity": "-4"}, "quantity: Input should be greater than or equal to 1"),
        ({"warehouse_id": "a", "quantity": "4.5"}, "quantity: 4.5 is not a whole number"),
        ({"limit_per_customer": "0"}, "limit_per_customer: Input should be greater than or equal to 1"),
        ({"limit_per_customer": "1.5"}, "limit_per_customer: 1.5 is not a whole number"),
        ({"kind": "gift"}, "kind: Input should be 'goods' or 'service'"),
        ({"kind": "service", "warehouse_id": "a", "quantity": "4"}, "a service has no stock"),
        ({"colour": "red"}, "unknown: colour"),
        ({"attributes": "red"}, "attributes: must be an object"),
        ({"stock": [3]}, "stock: must be a list of {warehouse_id, quantity}"),
        ({"title": 5}, "title: must be text, not 5"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(changes: dict[str, Any], reason: str | None) -> None:
    if reason is None:
        assert row(**changes).add.category == ("A",)
        return
    with pytest.raises(BadRow) as refusal:
        row(**changes)
    assert str(refusal.value).startswith(reason)
