"""A limit per customer is shown while there is one, and is no matter of search."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from domain.aggregates import Product
from domain.events import AnyEvent
from domain.values import Money, ProductDetails
from projections import product_page
from projections.search import listing
from tests.strategies import cause


def history(*limits: int | None) -> list[AnyEvent]:
    lamp = Product.add("lamp", ProductDetails("Lamp", ("Home",)), Money(1_999, "GBP"), cause())
    for limit in limits:
        lamp.limit(limit, cause())
    return lamp.collect_events()


def shown(events: list[AnyEvent]) -> dict[str, object]:
    view = None
    for event in events:
        view = product_page.evolve(view, event)
    assert view is not None
    members: dict[str, object] = msgspec.json.decode(msgspec.json.encode(view.page))
    return members


def test_a_limit_is_shown() -> None:
    page = shown(history(3))
    assert (page["limit_per_customer"], page["version"]) == (3, 2)


def test_without_one_the_page_has_no_such_member() -> None:
    for events in (history(), history(3, None)):
        page = shown(events)
        assert "limit_per_customer" not in page
        assert page["version"] == len(events)
        assert {"description", "brand", "rating", "seller_id"} <= page.keys()  # null is said of these


def test_search_follows_its_version_and_nothing_else() -> None:
    added, limited = history(3)
    before = listing.evolve(None, added)
    assert listing.evolve(before, limited) == replace(before, version=2)
