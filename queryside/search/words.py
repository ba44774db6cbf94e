"""From what was typed to what is looked for, and the words in it that may be misspelt."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MIN_PREFIX_LENGTH: Final = 3
# The same characters part words here and in the engines; control characters mean nothing.
_GAPS: Final = re.compile(r"[\s/_\x00-\x1f\x7f-\x9f]+")
_WORD: Final = re.compile(r"[^\W\d_]{3,40}")
_EXCLUDED: Final = re.compile(r'(?<!\S)-(?:"[^"]*"?|\S+)')


@dataclass(frozen=True, slots=True)
class Words:
    """`whole` is as it was typed: words, "phrases", -exclusions, or. `beginning` is a last word, maybe unfinished."""

    whole: str
    beginning: str | None


def parse(text: str) -> Words:
    """Every text has a meaning; an exclusion, a phrase or an "or" has no word that is still being typed."""
    plain = _GAPS.sub(" ", text).strip()
    head, _, last = plain.rpartition(" ")
    whole_only = '"' in plain or last.startswith("-") or "or" in plain.lower().split()
    if whole_only or len(last) < MIN_PREFIX_LENGTH:
        return Words(plain, None)
    return Words(head, last)


def plain_words(text: str) -> list[str]:
    """The words of `text` as they stand, whatever signs are around them."""
    return _GAPS.sub(" ", text).split()


def correctable(text: str) -> list[str]:
    """The words of `text`, as written, that could be misspelt: not what is to be excluded, nor numbers."""
    return list(dict.fromkeys(_WORD.findall(_EXCLUDED.sub(" ", text))))


def folded(word: str) -> str:
    """`word` without case and accents, as the lexicon has it."""
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def replaced(text: str, corrections: Mapping[str, str]) -> str:
    """`text` with each whole word that has a correction put right."""
    return _WORD.sub(lambda found: corrections.get(found[0], found[0]), text)


def allowed_edits(word: str) -> int:
    """How many letters may be wrong (two that changed places are two): a short word soon becomes another."""
    return 1 if len(word) <= 3 else 2
