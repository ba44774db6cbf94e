"""What is made of words for OpenSearch, without one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queryside.search.cursor import Cursor
from queryside.search.opensearch.asking import key_of, search_body
from queryside.search.opensearch.correcting import corrections, edits
from queryside.search.opensearch.matching import NOTHING, matching
from queryside.search.query import SearchQuery, Sort
from queryside.search.words import parse

letters = st.text("abc", max_size=6)


@pytest.mark.parametrize(
    ("a", "b", "count"),
    [("", "", 0), ("", "ab", 2), ("cafe", "cofe", 1), ("dsek", "desk", 2), ("kitten", "sitting", 3)],
)
def test_edits(a: str, b: str, count: int) -> None:
    assert edits(a, b) == count


@given(letters, letters, letters)
def test_edits_are_a_distance(a: str, b: str, c: str) -> None:
    assert edits(a, b) == edits(b, a)
    assert (edits(a, b) == 0) == (a == b)
    assert edits(a, c) <= edits(a, b) + edits(b, c)


def test_the_nearest_then_the_same_first_letter_then_the_most_frequent() -> None:
    def counted(**counts: int) -> dict[str, Any]:
        return {"aggregations": {"has": {"buckets": {f"lamq={word}": {"doc_count": n} for word, n in counts.items()}}}}

    words = {"lamq": ["lamp", "damq", "lamb", "tram"]}
    assert corrections(words, counted(lamq=0, lamp=2, damq=9, lamb=3, tram=9)) == {"lamq": "lamb"}
    assert corrections(words, counted(lamq=0, lamp=0, damq=9, lamb=0, tram=9)) == {"lamq": "damq"}
    assert corrections(words, counted(lamq=1, lamp=5, damq=9, lamb=3, tram=9)) == {}
    assert corrections(words, counted(lamq=0, lamp=0, damq=0, lamb=0, tram=9)) == {}


@pytest.mark.parametrize("text", ["", " ", "\x01"])
def test_a_text_without_words_finds_nothing(text: str) -> None:
    assert matching(parse(text)) == NOTHING


@given(st.integers(0, 10_000), st.integers(0, 2**20 - 1))
def test_a_page_goes_on_where_the_last_one_ended_by_relevance(score: int, popularity: int) -> None:
    query = SearchQuery(text="lamp")
    key = key_of([float(score), popularity, "a"], query, ranked=True)
    body = search_body(query, matching(parse("lamp")), Cursor("", key, "a"))
    assert body["search_after"] == [score, popularity, "a"]


@pytest.mark.parametrize("sort", ["price_asc", "price_desc", "rating", "newest", "bestselling", "relevance"])
@given(value=st.integers(-(2**53), 2**53))
def test_and_by_any_other_order(sort: Sort, value: int) -> None:
    query = SearchQuery(sort=sort)
    key = key_of([value, "a"], query, ranked=False)
    assert search_body(query, None, Cursor("", key, "a"))["search_after"] == [value, "a"]
