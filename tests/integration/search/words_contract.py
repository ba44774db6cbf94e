"""What every search engine makes of words: matching, ranking, and putting misspelt ones right."""

from __future__ import annotations

import pytest

from queryside.search import SearchQuery
from tests.integration.search.shop import Shop
from tests.integration.search.small_shop import Index, found_skus, skus, small_shop


class WordsContract:
    @pytest.fixture
    def index(self) -> Index:
        raise NotImplementedError

    # -- words

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("lamp", {"lamp-red", "lamp-blue", "lamp-old"}),
            ("LAMPS", {"lamp-red", "lamp-blue", "lamp-old"}),
            ("red lamp", {"lamp-red"}),
            ("red", {"lamp-red", "chair-red"}),
            ("lumen", {"lamp-red", "lamp-blue"}),
            ("furniture", {"chair-red"}),
            ("brass", {"lamp-old"}),
            ("cafe", {"mug"}),
            ("café", {"mug"}),
            ("lant", {"lamp-old"}),
            ("wrappin", {"wrap"}),
            ("red -lamp", {"chair-red"}),
            ('"red desk"', {"lamp-red"}),
            ('"desk red"', set()),
            ("mug or chair", {"mug", "chair-red"}),
            ("chair-red", {"chair-red"}),
            ("lamp/desk", {"lamp-red", "lamp-blue"}),
            ("the lamp", {"lamp-red", "lamp-blue", "lamp-old"}),
        ],
    )
    async def test_finds_by_words(self, index: Index, text: str, expected: set[str]) -> None:
        engine = await index(small_shop())
        assert found_skus(await engine.search(SearchQuery(text=text))) == expected

    async def test_all_products_without_words(self, index: Index) -> None:
        engine = await index(small_shop())
        assert found_skus(await engine.search(SearchQuery())) == {
            "lamp-red", "lamp-blue", "lamp-old", "chair-red", "mug", "wrap"
        }  # fmt: skip

    async def test_an_empty_shop_answers_with_nothing(self, index: Index) -> None:
        engine = await index(Shop())
        result = await engine.search(SearchQuery(text="lamp"))
        assert result.products == ()
        assert result.total == 0
        assert result.next_cursor is None
        assert (
            result.facets.categories
            == result.facets.brands
            == result.facets.price_ranges
            == result.facets.ratings
            == ()
        )
        assert await engine.categories() == ()

    @pytest.mark.parametrize(
        "text",
        ["", " ", "'", '"', "\\", "()", "&|!<->", ":*", "a:*b", "-", '-"', "🔥", "%s %(x)s", "'; drop table", "e" * 200,
         "or", "or or", "the", "\u202e", "ﬃ", "İ", "10/24", "a@b.example", "<b>red</b>", "http://x/y?z",
         "x" * 60 + " lamp", "\x01\x1f", "--", "1e309", "red\\", "red'"],
    )  # fmt: skip
    async def test_any_text_has_an_answer(self, index: Index, text: str) -> None:
        engine = await index(small_shop())
        result = await engine.search(SearchQuery(text=text))
        assert result.total >= len(result.products) >= 0

    async def test_a_title_counts_for_more_than_a_brand_than_a_category_than_a_description(self, index: Index) -> None:
        shop = Shop()
        shop.add("d", "Thing one", description="amber")
        shop.add("c", "Thing two", category=["Amber"])
        shop.add("b", "Thing three", brand="Amber")
        shop.add("a", "Amber thing")
        engine = await index(shop)
        assert skus(await engine.search(SearchQuery(text="amber"))) == ["a", "b", "c", "d"]

    # -- misspelt words

    @pytest.mark.parametrize(
        ("text", "corrected", "expected"),
        [
            ("vintge", "vintage", {"lamp-old"}),
            ("wodden chiar", "wooden chair", {"chair-red"}),
            ('"red dsek"', '"red desk"', {"lamp-red"}),
            ("cofe", "cafe", {"mug"}),
            ("lantren -brass", "lantern -brass", set()),
        ],
    )
    async def test_corrects_what_nothing_has(self, index: Index, text: str, corrected: str, expected: set[str]) -> None:
        engine = await index(small_shop())
        result = await engine.search(SearchQuery(text=text))
        assert found_skus(result) == expected
        assert result.corrected_query == (corrected if expected else None)

    async def test_does_not_correct_what_is_found_but_filtered_out(self, index: Index) -> None:
        engine = await index(small_shop())
        result = await engine.search(SearchQuery(text="mug", brands=("Relic",)))
        assert result.total == 0
        assert result.corrected_query is None

    async def test_does_not_correct_beyond_recognition(self, index: Index) -> None:
        engine = await index(small_shop())
        result = await engine.search(SearchQuery(text="qwxyzzy"))
        assert (result.total, result.corrected_query) == (0, None)

    async def test_does_not_correct_to_a_word_that_only_hidden_products_have(self, index: Index) -> None:
        shop = small_shop()
        shop.deactivate("lamp-old")
        engine = await index(shop)
        result = await engine.search(SearchQuery(text="vintge"))
        assert (result.total, result.corrected_query) == (0, None)

    async def test_pages_of_a_corrected_search_go_on_with_the_correction(self, index: Index) -> None:
        engine = await index(small_shop())
        query = SearchQuery(text="dsek", limit=1)
        first = await engine.search(query)
        assert first.corrected_query == "desk"
        second = await engine.search(SearchQuery(text="dsek", limit=1, cursor=first.next_cursor))
        assert second.corrected_query == "desk"
        assert second.next_cursor is None
        assert set(skus(first) + skus(second)) == {"lamp-red", "lamp-blue"}
