from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queryside.search.postgres.statement import quoted
from queryside.search.words import Words, allowed_edits, correctable, folded, parse, replaced


@pytest.mark.parametrize(
    ("text", "whole", "beginning"),
    [
        ("red lamp", "red", "lamp"),
        ("lamp", "", "lamp"),
        ("  red \t lamp ", "red", "lamp"),
        ("red/lamp_shade", "red lamp", "shade"),
        ("red la", "red la", None),
        ('"red lamp"', '"red lamp"', None),
        ('lamp "red', 'lamp "red', None),
        ("lamp -red", "lamp -red", None),
        ("-red lamp", "-red", "lamp"),
        ("red OR blue", "red OR blue", None),
        ("", "", None),
        ("a\x00b\x1flamp", "a b", "lamp"),
    ],
)
def test_the_last_word_may_be_unfinished(text: str, whole: str, beginning: str | None) -> None:
    assert parse(text) == Words(whole, beginning)


@given(st.text())
def test_no_text_has_control_characters_left(text: str) -> None:
    words = parse(text)
    assert all(character >= " " for character in words.whole + (words.beginning or ""))


def test_what_could_be_misspelt() -> None:
    assert correctable('wodden -chiar "red dsek" 2024 of -"blue lamp" lamp lamp x1') == [
        "wodden",
        "red",
        "dsek",
        "lamp",
    ]


def test_only_whole_words_are_put_right() -> None:
    assert replaced("lamp lamps", {"lamp": "lump"}) == "lump lamps"


@pytest.mark.parametrize(("word", "expected"), [("Café", "cafe"), ("STRASSE", "strasse"), ("Straße", "strasse")])
def test_folding(word: str, expected: str) -> None:
    assert folded(word) == expected


def test_quoting() -> None:
    assert quoted("d'\\x") == "'d''\\\\x'"


def test_short_words_may_have_one_wrong_letter() -> None:
    assert [allowed_edits("x" * length) for length in (3, 4, 10)] == [1, 2, 2]
