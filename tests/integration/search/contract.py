"""What every search engine does, whatever it is made of. A subclass provides the fixture `index`."""

from __future__ import annotations

from decimal import Decimal

import pytest

from queryside.search import InvalidCursor, SearchQuery
from queryside.search.query import Sort
from tests.integration.search.shop import Shop
from tests.integration.search.small_shop import SORTS, Index, facet, found_skus, skus, small_shop
from tests.integration.search.suggest_contract import SuggestContract
from tests.integration.search.words_contract import WordsContract


class SearchContract(WordsContract, SuggestContract):
    # -- filters

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            (SearchQuery(category=("Home",)), {"lamp-red", "lamp-blue", "lamp-old", "chair-red"}),
            (SearchQuery(category=("Home", "Lamps")), {"lamp-red", "lamp-blue", "lamp-old"}),
            (SearchQuery(category=("Lamps",)), set()),
            (SearchQuery(category=("Home", "Lamps", "Red")), set()),
            (SearchQuery(brands=("Relic",)), {"lamp-old", "chair-red"}),
            (SearchQuery(brands=("Relic", "Lumen")), {"lamp-red", "lamp-blue", "lamp-old", "chair-red"}),
            (SearchQuery(brands=("No such",)), set()),
            (SearchQuery(price_min=2500, price_max=9900), {"lamp-red", "lamp-blue", "lamp-old"}),
            (SearchQuery(price_max=700), {"mug", "wrap"}),
            (SearchQuery(price_min=2**53), set()),
            (SearchQuery(min_rating=Decimal("4.5")), {"lamp-red", "chair-red"}),
            (SearchQuery(min_rating=Decimal("3.8")), {"lamp-red", "lamp-blue", "chair-red"}),
            (SearchQuery(min_rating=Decimal("3.801")), {"lamp-red", "chair-red"}),
            (SearchQuery(min_rating=Decimal("1E-300")), {"lamp-red", "lamp-blue", "chair-red"}),
            (SearchQuery(min_rating=Decimal(0), category=("Kitchen",)), {"mug"}),
            (SearchQuery(in_stock=True), {"lamp-red", "lamp-blue", "wrap"}),
            (SearchQuery(text="red", in_stock=True), {"lamp-red"}),
            (SearchQuery(text="red", brands=("Relic",), price_min=1, category=("Home",)), {"chair-red"}),
        ],
    )
    async def test_filters(self, index: Index, query: SearchQuery, expected: set[str]) -> None:
        engine = await index(small_shop())
        assert found_skus(await engine.search(query)) == expected

    async def test_a_hidden_product_is_nowhere_until_it_is_shown_again(self, index: Index) -> None:
        shop = small_shop()
        shop.deactivate("mug")
        engine = await index(shop)
        assert (await engine.search(SearchQuery(text="mug"))).total == 0
        everything = await engine.search(SearchQuery())
        assert "mug" not in skus(everything)
        assert "Kitchen" not in facet(everything.facets.categories)
        assert not await engine.has_category(("Kitchen",))
        assert ("Kitchen",) not in {category.path for category in await engine.categories()}
        shop.activate("mug")
        engine = await index(shop)
        assert skus(await engine.search(SearchQuery(text="mug"))) == ["mug"]
        assert await engine.has_category(("Kitchen",))

    async def test_a_revised_product_is_found_by_its_new_words_only(self, index: Index) -> None:
        shop = small_shop()
        shop.revise("mug", "Porcelain beaker", category=("Kitchen", "Cups"), brand="Relic")
        engine = await index(shop)
        assert (await engine.search(SearchQuery(text="café"))).total == 0
        result = await engine.search(SearchQuery(text="beaker", category=("Kitchen", "Cups"), brands=("Relic",)))
        assert skus(result) == ["mug"]

    async def test_the_longest_names_and_figures(self, index: Index) -> None:
        shop = Shop()
        path = tuple("".join(chr(0x1F300 + (name * 131 + at * 17) % 700) for at in range(100)) for name in range(8))
        brand = "".join(chr(0x4E00 + at * 37) for at in range(100))
        sku = "S" * 64
        shop.add(sku, "x" * 300, category=path, brand=brand, price=10**12, description="word " * 2000)
        shop.add("b", "Thing", category=path[:7], attributes={"huge": 1e300, "tiny": 5e-324, "whole": 2**53})
        shop.receive(sku, 10**9)
        shop.revise(sku, "y" * 300, category=path, brand=brand, description="z" * 10_000)
        engine = await index(shop)
        result = await engine.search(SearchQuery(text=sku, category=path, brands=(brand,), price_min=10**12))
        assert skus(result) == [sku]
        assert facet(result.facets.brands) == {brand: 1}
        assert result.products[0].availability.quantity == 10**9
        assert skus(await engine.search(SearchQuery(category=path[:7], sort="price_asc"))) == ["b", sku]

    # -- what a product says

    async def test_what_a_product_says(self, index: Index) -> None:
        shop = Shop()
        shop.add("x", "Thing", category=["A", "B/C"], brand="Brand", price=1234, images=["https://images.example/1"])
        shop.rate("x", 433, 3)
        shop.receive("x", 4)
        shop.receive("x", 3, "MAN")
        shop.reserve("x", 1)
        engine = await index(shop)
        (product,) = (await engine.search(SearchQuery())).products
        assert product.model_dump(mode="json") == {
            "product_id": "x",
            "title": "Thing",
            "brand": "Brand",
            "category": ["A", "B/C"],
            "price": {"amount": 1234, "currency": "GBP"},
            "images": ["https://images.example/1"],
            "rating": 4.33,
            "review_count": 3,
            "availability": {"status": "in_stock", "quantity": 6},
        }

    async def test_a_product_without_brand_category_or_rating(self, index: Index) -> None:
        shop = Shop()
        shop.add("x", "Thing", category=[])
        engine = await index(shop)
        result = await engine.search(SearchQuery(text="thing"))
        (product,) = result.products
        assert (product.brand, product.category, product.rating, product.review_count) == (None, (), None, 0)
        assert result.facets.categories == result.facets.brands == result.facets.ratings == ()

    async def test_availability(self, index: Index) -> None:
        engine = await index(small_shop())
        result = await engine.search(SearchQuery())
        stock = {product.product_id: product.availability for product in result.products}
        assert {sku: (found.status, found.quantity) for sku, found in stock.items()} == {
            "lamp-red": ("in_stock", 10),
            "lamp-blue": ("low_stock", 4),
            "lamp-old": ("out_of_stock", 0),
            "chair-red": ("out_of_stock", 0),
            "mug": ("out_of_stock", 0),
            "wrap": ("in_stock", None),
        }

    # -- orders

    @pytest.mark.parametrize(
        ("sort", "expected"),
        [
            ("price_asc", ["wrap", "mug", "lamp-red", "lamp-blue", "lamp-old", "chair-red"]),
            ("price_desc", ["chair-red", "lamp-old", "lamp-blue", "lamp-red", "mug", "wrap"]),
            ("rating", ["chair-red", "lamp-red", "lamp-blue", "lamp-old", "mug", "wrap"]),
            ("newest", ["wrap", "mug", "chair-red", "lamp-old", "lamp-blue", "lamp-red"]),
            ("bestselling", ["lamp-blue", "mug", "chair-red", "lamp-old", "lamp-red", "wrap"]),
            ("relevance", ["lamp-blue", "mug", "chair-red", "lamp-old", "lamp-red", "wrap"]),
        ],
    )
    async def test_sorts(self, index: Index, sort: Sort, expected: list[str]) -> None:
        engine = await index(small_shop())
        assert skus(await engine.search(SearchQuery(sort=sort))) == expected

    async def test_what_sold_more_comes_first_among_equals(self, index: Index) -> None:
        shop = Shop()
        for sku in ("a", "b", "c"):
            shop.add(sku, "Same thing")
        shop.sell("o", c=2, b=1)
        engine = await index(shop)
        assert skus(await engine.search(SearchQuery(text="same thing"))) == ["c", "b", "a"]

    async def test_cancelled_and_returned_units_are_not_sold(self, index: Index) -> None:
        shop = Shop()
        for sku in ("a", "b", "c", "d"):
            shop.add(sku, "Thing")
        shop.sell("o1", a=9)
        shop.cancel("o1")
        shop.sell("o2", b=5)
        shop.request_return("o2", "r1", b=3)
        shop.receive_return("o2", "r1")
        shop.sell("o3", c=4)
        shop.request_return("o3", "r1", c=4)
        shop.submit("o4", d=8)
        shop.fail_payment("o4")
        shop.sell("o5", d=1)
        engine = await index(shop)
        assert skus(await engine.search(SearchQuery(sort="bestselling"))) == ["c", "b", "d", "a"]

    # -- pages

    @pytest.mark.parametrize("sort", SORTS)
    @pytest.mark.parametrize("text", [None, "thing"])
    @pytest.mark.parametrize("limit", [1, 7, 100])
    async def test_pages_hold_every_product_once_in_order(
        self, index: Index, sort: Sort, text: str | None, limit: int
    ) -> None:
        shop = Shop()
        for number in range(23):
            shop.add(f"p{number:02d}", "Thing", price=100 * (number % 3))
            if number % 2:
                shop.rate(f"p{number:02d}", 100 * (number % 5), reviews=number % 2)
        shop.sell("o", p03=2, p17=2, p05=1)
        engine = await index(shop)
        whole = await engine.search(SearchQuery(text=text, sort=sort, limit=100))
        assert len(set(skus(whole))) == 23
        paged: list[str] = []
        cursor = None
        while True:
            page = await engine.search(SearchQuery(text=text, sort=sort, limit=limit, cursor=cursor))
            assert 0 < len(page.products) <= limit
            assert page.total == 23
            assert page.facets == whole.facets
            paged += skus(page)
            cursor = page.next_cursor
            if cursor is None:
                break
            assert len(page.products) == limit
        assert paged == skus(whole)

    async def test_the_page_may_change_its_size(self, index: Index) -> None:
        engine = await index(small_shop())
        first = await engine.search(SearchQuery(sort="price_asc", limit=1))
        rest = await engine.search(SearchQuery(sort="price_asc", limit=50, cursor=first.next_cursor))
        assert skus(first) + skus(rest) == ["wrap", "mug", "lamp-red", "lamp-blue", "lamp-old", "chair-red"]

    @pytest.mark.parametrize(
        "other",
        [
            {"text": "red"},
            {"sort": "price_desc"},
            {"category": ("Home",)},
            {"brands": ("Lumen",)},
            {"price_min": 1},
            {"price_max": 1},
            {"min_rating": Decimal(1)},
            {"in_stock": True},
        ],
    )
    async def test_a_cursor_of_another_search_is_refused(self, index: Index, other: dict[str, object]) -> None:
        engine = await index(small_shop())
        cursor = (await engine.search(SearchQuery(limit=1))).next_cursor
        assert cursor is not None
        with pytest.raises(InvalidCursor):
            await engine.search(SearchQuery(**{"limit": 1, "cursor": cursor, **other}))  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "cursor", ["", "x", "null", "🔥", "W10", "eyJhIjoxfQ", "A" * 2000, "//", "WyJhIiwxLCJiIl0"]
    )
    async def test_garbage_for_a_cursor_is_refused(self, index: Index, cursor: str) -> None:
        engine = await index(small_shop())
        with pytest.raises(InvalidCursor):
            await engine.search(SearchQuery(cursor=cursor))

    # -- facets

    async def test_facets_of_everything(self, index: Index) -> None:
        engine = await index(small_shop())
        facets = (await engine.search(SearchQuery(limit=1))).facets
        assert facet(facets.categories) == {
            "Home": 4, "Home/Lamps": 3, "Home/Furniture": 1, "Kitchen": 1, "Services": 1
        }  # fmt: skip
        assert facet(facets.brands) == {"Lumen": 2, "Relic": 2}
        assert facet(facets.price_ranges) == {"0-999": 2, "2500-4999": 2, "5000-9999": 1, "10000-24999": 1}
        assert facet(facets.ratings) == {"4": 2, "3": 3, "2": 3, "1": 3}
        assert [value.value for value in facets.categories][:2] == ["Home", "Home/Lamps"]

    @pytest.mark.parametrize("text", [None, "desk lamp or chair or mug or wrapping or lantern"])
    async def test_each_facet_ignores_its_own_filter_and_no_other(self, index: Index, text: str | None) -> None:
        engine = await index(small_shop())
        query = {"category": ("Home", "Lamps"), "brands": ("Lumen",), "price_max": 3000, "min_rating": Decimal(4)}
        result = await engine.search(SearchQuery(text=text, **query))  # type: ignore[arg-type]
        assert skus(result) == ["lamp-red"]
        for own, name in [
            ("category", "categories"), ("brands", "brands"), ("price_max", "price_ranges"), ("min_rating", "ratings")
        ]:  # fmt: skip
            without = {key: value for key, value in query.items() if key != own}
            elsewhere = await engine.search(SearchQuery(text=text, **without))  # type: ignore[arg-type]
            assert getattr(result.facets, name) == getattr(elsewhere.facets, name), name

    async def test_a_facet_tells_how_many_would_be_found(self, index: Index) -> None:
        engine = await index(small_shop())
        facets = (await engine.search(SearchQuery(text="red or lamp"))).facets
        for category in facets.categories:
            assert (
                await engine.search(SearchQuery(text="red or lamp", category=category.path))
            ).total == category.count
        for brand in facets.brands:
            assert (await engine.search(SearchQuery(text="red or lamp", brands=(brand.value,)))).total == brand.count
        for rating in facets.ratings:
            query = SearchQuery(text="red or lamp", min_rating=Decimal(rating.value))
            assert (await engine.search(query)).total == rating.count
        for prices in facets.price_ranges:
            query = SearchQuery(text="red or lamp", price_min=prices.price_min, price_max=prices.price_max)
            assert (await engine.search(query)).total == prices.count

    async def test_a_facet_holds_so_many_values_the_most_frequent(self, index: Index) -> None:
        shop = Shop()
        for number in range(60):
            shop.add(f"p{number:02d}", "Thing", brand=f"Brand {number:02d}", category=[f"Category {number:02d}"])
        shop.add("more", "Thing", brand="Brand 59", category=["Category 59"])
        engine = await index(shop)
        facets = (await engine.search(SearchQuery(text="thing"))).facets
        assert len(facets.brands) == len(facets.categories) == 50
        assert [value.value for value in facets.brands[:2]] == ["Brand 59", "Brand 00"]

    # -- categories

    async def test_categories(self, index: Index) -> None:
        engine = await index(small_shop())
        assert {category.path: category.count for category in await engine.categories()} == {
            ("Home", "Lamps"): 3, ("Home", "Furniture"): 1, ("Kitchen",): 1, ("Services",): 1
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("path", "there"),
        [
            (("Home",), True),
            (("Home", "Lamps"), True),
            (("Lamps",), False),
            (("Home", "Lamps", "X"), False),
            (("",), False),
        ],
    )
    async def test_has_category(self, index: Index, path: tuple[str, ...], there: bool) -> None:
        engine = await index(small_shop())
        assert await engine.has_category(path) is there

    async def test_position(self, index: Index) -> None:
        shop = Shop()
        assert await (await index(shop)).position() == 0
        shop.add("x", "Thing")
        assert await (await index(shop)).position() == shop.position
