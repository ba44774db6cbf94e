"""What every search engine suggests while one types."""

from __future__ import annotations

import pytest

from tests.integration.search.shop import Shop
from tests.integration.search.small_shop import Index, small_shop


class SuggestContract:
    @pytest.fixture
    def index(self) -> Index:
        raise NotImplementedError

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("l", ["Lamps", "Lumen", "Blue desk lamp", "Red desk lamp", "Vintage lantern"]),
            ("lamp", ["Lamps", "Blue desk lamp", "Red desk lamp"]),
            ("LAMPS", ["Lamps"]),
            ("desk la", ["Blue desk lamp", "Red desk lamp"]),
            ("la desk red", ["Red desk lamp"]),
            ("cafe", ["Café mug"]),
            ("Café", ["Café mug"]),
            ("kit", ["Kitchen"]),
            ("lume", ["Lumen"]),
            ("mp", []),
            ("qwxyzzy", []),
            ("", []),
            (" ", []),
        ],
    )
    async def test_suggests_what_has_words_that_begin_so(self, index: Index, text: str, expected: list[str]) -> None:
        engine = await index(small_shop())
        assert list(await engine.suggest(text)) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("vintge", ["Vintage lantern"]),
            ("lantre", ["Vintage lantern"]),
            ("kithc", ["Kitchen"]),
            ("furnitrue", ["Furniture"]),
            ("red dsek", ["Red desk lamp"]),
        ],
    )
    async def test_a_slip_is_forgiven(self, index: Index, text: str, expected: list[str]) -> None:
        engine = await index(small_shop())
        assert list(await engine.suggest(text)) == expected

    async def test_what_sold_more_comes_first_and_ten_are_enough(self, index: Index) -> None:
        shop = Shop()
        for number in range(30):
            shop.add(f"p{number:02d}", f"Thing {number:02d}", category=[])
        shop.sell("o1", p07=1, p21=3)
        shop.sell("o2", p07=5)
        shop.sell("o3", p03=9)
        shop.cancel("o3")
        engine = await index(shop)
        found = list(await engine.suggest("thi"))
        assert found == ["Thing 07", "Thing 21", *(f"Thing {number:02d}" for number in range(7)), "Thing 08"]

    async def test_a_brand_sells_what_its_products_sell(self, index: Index) -> None:
        shop = Shop()
        shop.add("a", "Alpine one", brand="Alp", category=[])
        shop.add("b", "Alpine two", brand="Alp", category=[])
        shop.sell("o", a=3, b=2)
        engine = await index(shop)
        assert list(await engine.suggest("alp")) == ["Alp", "Alpine one", "Alpine two"]

    async def test_what_is_hidden_or_called_otherwise_is_not_suggested(self, index: Index) -> None:
        shop = small_shop()
        shop.deactivate("chair-red")
        shop.revise("mug", "Porcelain beaker", category=("Kitchen",))
        engine = await index(shop)
        assert list(await engine.suggest("red")) == ["Red desk lamp"]
        assert list(await engine.suggest("furn")) == []
        assert list(await engine.suggest("mug")) == []
        assert list(await engine.suggest("beak")) == ["Porcelain beaker"]
        shop.activate("chair-red")
        engine = await index(shop)
        assert list(await engine.suggest("furn")) == ["Furniture"]

    @pytest.mark.parametrize(
        "text", ["'", '"', "\\", "()", "&|!<->", ":*", "a:*b", "-", "🔥", "%s %(x)s", "e" * 200, "ﬃ", "İ", "10/24",
                 "<b>red</b>", "\x01\x1f", "a " * 100, "red\\", "red'"],
    )  # fmt: skip
    async def test_any_text_has_suggestions_or_none(self, index: Index, text: str) -> None:
        engine = await index(small_shop())
        assert len(await engine.suggest(text)) <= 10
