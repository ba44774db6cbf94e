from __future__ import annotations

import pytest

from projections.search.listing import Listing, evolve
from projections.search.state import State, keys_of
from projections.search.state import evolve as evolve_state
from projections.versions import VersionGap
from tests.integration.search.shop import Shop
from tests.integration.search.small_shop import small_shop


def listing_after(shop: Shop) -> Listing:
    listing = None
    for recorded in shop.history:
        listing = evolve(listing, recorded.event)
    assert listing is not None
    return listing


def test_follows_its_product() -> None:
    shop = Shop()
    shop.add("a", "Lamp", price=100)
    added = listing_after(shop)
    assert (added.listed, added.price.amount, added.rating_hundredths) == (True, 100, None)
    shop.reprice("a", 200)
    shop.revise("a", "Lantern", brand="B")
    shop.rate("a", 410, reviews=7)
    shop.deactivate("a")
    now = listing_after(shop)
    assert (now.listed, now.price.amount, now.details.title, now.details.brand) == (False, 200, "Lantern", "B")
    assert (now.rating_hundredths, now.review_count, now.version) == (410, 7, 5)
    assert now.added_at_microseconds == added.added_at_microseconds == 1_767_603_600_000_000
    shop.activate("a")
    assert listing_after(shop).listed


def test_nobody_s_rating_is_no_rating() -> None:
    shop = Shop()
    shop.add("a", "Lamp")
    shop.rate("a", 500, reviews=0)
    assert listing_after(shop).rating_hundredths is None


def test_a_gap_is_an_error() -> None:
    shop = Shop()
    shop.add("a", "Lamp")
    shop.reprice("a", 2)
    with pytest.raises(VersionGap):
        evolve(None, shop.history[1].event)


def test_a_batch_needs_the_rows_it_is_about_and_leaves_those_before_as_they_were() -> None:
    shop = small_shop()
    events = [recorded.event for recorded in shop.history]
    keys = keys_of(events)
    before = State()
    after = evolve_state(before, events)
    assert before == State()
    assert keys.skus == set(after.listings)
    assert keys.places == set(after.levels)
    assert keys.order_ids == set(after.sales)
    assert evolve_state(after, events) == after
