from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queryside.search.cursor import MAX_CURSOR_LENGTH, Cursor, InvalidCursor, read_cursor, write_cursor
from queryside.search.query import SearchQuery

QUERY = SearchQuery(text="lamp", brands=("A", "B"), min_rating=Decimal("4.50"))


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=100),
    st.none() | st.just("lamps"),
)
def test_is_read_as_it_was_written(key: int, sku: str, corrected: str | None) -> None:
    text = write_cursor("postgres", QUERY, key, sku, corrected)
    cursor = read_cursor(replace(QUERY, cursor=text), "postgres")
    assert cursor is not None
    assert (cursor.key, cursor.sku, cursor.corrected_text) == (key, sku, corrected)
    assert len(text) <= MAX_CURSOR_LENGTH


def test_there_is_none_on_the_first_page() -> None:
    assert read_cursor(QUERY, "postgres") is None


def test_what_means_the_same_is_the_same_search() -> None:
    cursor = write_cursor("postgres", QUERY, 1, "a", None)
    same = replace(QUERY, brands=("B", "A", "A"), min_rating=Decimal("4.5"), limit=7, cursor=cursor)
    assert isinstance(read_cursor(same, "postgres"), Cursor)


@given(st.text() | st.binary().map(lambda raw: urlsafe_b64encode(raw).decode()))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        read_cursor(replace(QUERY, cursor=text), "postgres")


@pytest.mark.parametrize(
    "forged",
    [
        '["{d}",9223372036854775808,"a",null]',
        '["{d}",1.5,"a",null]',
        '["{d}",1,"a\\u0000",null]',
        '["{d}",1,"a","x\\u0000"]',
        '["{d}",1,"\\ud800",null]',
        '["{d}",1,"a","' + "x" * 401 + '"]',
        '["{d}",1,"a",null,1]',
        '["{d}",1]',
        '["",1,"a",null]',
    ],
)
def test_what_is_forged_is_refused(forged: str) -> None:
    valid = read_cursor(replace(QUERY, cursor=write_cursor("postgres", QUERY, 1, "a", None)), "postgres")
    assert valid is not None
    raw = forged.replace("{d}", valid.query_digest).encode()
    with pytest.raises(InvalidCursor):
        read_cursor(replace(QUERY, cursor=urlsafe_b64encode(raw).decode()), "postgres")


@pytest.mark.parametrize(
    "query", [SearchQuery(), SearchQuery(text="lamp", sort="price_asc"), SearchQuery(category=("Home",), sort="newest")]
)
def test_one_engine_goes_on_where_another_ended(query: SearchQuery) -> None:
    cursor = write_cursor("opensearch", query, -7, "a", None)
    read = read_cursor(replace(query, cursor=cursor), "postgres")
    assert read is not None
    assert (read.key, read.sku) == (-7, "a")


def test_how_well_words_match_each_engine_says_for_itself() -> None:
    cursor = write_cursor("opensearch", QUERY, -7, "a", None)
    assert read_cursor(replace(QUERY, cursor=cursor), "opensearch") is not None
    with pytest.raises(InvalidCursor):
        read_cursor(replace(QUERY, cursor=cursor), "postgres")
