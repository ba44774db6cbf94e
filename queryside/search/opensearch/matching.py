"""Words, phrases, exclusions and alternatives as OpenSearch's query language has them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from queryside.search.words import Words

Query = dict[str, Any]

# What a word counts for where it is found, and where only the beginning of one is found: title (and SKU) before brand
# before category before description, and in each the whole word before a longer one.
WEIGHTS: Final = {"title": 16, "sku.words": 16, "brand": 8, "category": 4, "description": 2}
BEGINNING_WEIGHTS: Final = {
    "title": 15, "title.letters": 15, "sku.words": 15, "brand": 7, "brand.letters": 7, "category": 3, "description": 1
}  # fmt: skip
_FIELDS: Final = [f"{name}^{weight}" for name, weight in WEIGHTS.items()]
_PART: Final = re.compile(r'(?P<excluded>-?)(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')
NOTHING: Final[Query] = {"match_none": {}}


@dataclass(slots=True)
class _Alternative:
    words: list[str] = field(default_factory=list)
    phrases: list[str] = field(default_factory=list)
    excluded: list[Query] = field(default_factory=list)


def matching(words: Words) -> Query:
    """The query that finds, and scores, what has the words."""
    alternatives = _alternatives(words.whole)
    queries = [_all_of(alternative, words.beginning) for alternative in alternatives]
    if len(queries) == 1:
        return queries[0]
    return {"dis_max": {"queries": queries}}


def _alternatives(whole: str) -> list[_Alternative]:
    alternatives = [_Alternative()]
    for part in _PART.finditer(whole):
        phrase, word, excluded = part["phrase"], part["word"], bool(part["excluded"])
        if word is not None and word.lower() == "or" and not excluded:
            alternatives.append(_Alternative())
        elif excluded:
            alternatives[-1].excluded.append(
                _has(phrase, "phrase") if phrase is not None else _has(word, "cross_fields")
            )
        elif phrase is not None:
            alternatives[-1].phrases.append(phrase)
        else:
            alternatives[-1].words.append(word)
    return alternatives


def _all_of(alternative: _Alternative, beginning: str | None) -> Query:
    count = bool(alternative.words) + len(alternative.phrases) + (beginning is not None)
    if count == 0 and not alternative.excluded:
        return NOTHING
    # A text of nothing but words that search leaves out ("the") finds nothing; beside others they mean nothing.
    left_out = "all" if count > 1 or (alternative.words and alternative.excluded) else "none"
    required = [_has(phrase, "phrase", left_out) for phrase in alternative.phrases]
    if alternative.words:
        required.append(_has(" ".join(alternative.words), "cross_fields", left_out))
    if beginning is not None:
        required.append(_begins(beginning, left_out))
    return {"bool": {"must": required or [{"match_all": {}}], "must_not": alternative.excluded}}


def _has(text: str, how: str, left_out: str = "none") -> Query:
    query = {"query": text, "type": how, "fields": _FIELDS, "zero_terms_query": left_out}
    return {"multi_match": query | ({} if how == "phrase" else {"operator": "and"})}


def _begins(word: str, left_out: str) -> Query:
    prefixes = [
        {"match_bool_prefix": {name: {"query": word, "operator": "and", "boost": weight}}}
        for name, weight in BEGINNING_WEIGHTS.items()
    ]
    return {"dis_max": {"queries": [_has(word, "cross_fields", left_out), *prefixes]}}
