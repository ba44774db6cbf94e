from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queryside.search.category_path import MAX_DEPTH, format_path, parse_path


@given(st.lists(st.text(min_size=1), min_size=1, max_size=MAX_DEPTH))
def test_every_path_is_read_as_it_was_written(names: list[str]) -> None:
    assert parse_path(format_path(names)) == tuple(names)


@given(st.text("ab/~01"))
def test_what_can_be_read_is_written_the_same(text: str) -> None:
    try:
        names = parse_path(text)
    except ValueError:
        return
    assert format_path(names) == text


def test_names_with_a_slash_or_a_tilde() -> None:
    assert format_path(["Home", "24/7", "~1"]) == "Home/24~17/~01"
    assert parse_path("Home/24~17/~01") == ("Home", "24/7", "~1")


@pytest.mark.parametrize("text", ["", "/", "a/", "/a", "a//b", "~", "a~2", "a/~", "/".join("a" * (MAX_DEPTH + 1))])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match=r"empty|names|~"):
        parse_path(text)
