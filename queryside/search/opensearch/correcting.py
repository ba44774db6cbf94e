"""Putting misspelt words right: the nearest one that a listed product has, as the engine on Postgres does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from queryside.search.opensearch.asking import LISTED
from queryside.search.words import allowed_edits

CANDIDATES_COUNT: Final = 20
_LENGTH_MIN: Final = 3


def candidates_body(words: Sequence[str], unfiltered: dict[str, Any]) -> dict[str, Any]:
    """Asks for what is like each of the words, and whether anything has them as they are (`unfiltered` finds it)."""
    suggesters = {
        word: {
            "text": word,
            "term": {
                "field": "lexemes",
                "suggest_mode": "always",
                "max_edits": allowed_edits(word),
                "prefix_length": 0,
                "min_word_length": _LENGTH_MIN,
                "size": CANDIDATES_COUNT,
                "shard_size": 5 * CANDIDATES_COUNT,
                "accuracy": 0.3,
            },
        }
        for word in words
    }
    return {"size": 0, "terminate_after": 1, "query": unfiltered, "suggest": suggesters}


def counts_body(words: Mapping[str, Sequence[str]], beginning: str) -> dict[str, Any]:
    """Asks how many listed products have each word as it is, and each of its candidates.

    The suggester counts what is hidden and gone, too.
    """
    counted = {
        f"{word}={candidate}": _has(candidate, candidate == word == beginning)
        for word, candidates in words.items()
        for candidate in (word, *candidates)
    }
    return {"size": 0, "query": LISTED, "aggs": {"has": {"filters": {"filters": counted}}}}


def candidates(answer: Mapping[str, Any], words: Sequence[str]) -> dict[str, list[str]]:
    suggested = answer.get("suggest", {})
    return {
        word: [option["text"] for entry in suggested.get(word, []) for option in entry["options"]] for word in words
    }


def corrections(words: Mapping[str, Sequence[str]], answer: Mapping[str, Any]) -> dict[str, str]:
    """Of the words that no product has, those that are like one that products have."""
    counts = {key: bucket["doc_count"] for key, bucket in answer["aggregations"]["has"]["buckets"].items()}
    found: dict[str, str] = {}
    for word, candidates in words.items():
        if counts[f"{word}={word}"]:
            continue
        near = [
            (edits(candidate, word), candidate[0] != word[0], -counts[f"{word}={candidate}"], candidate)
            for candidate in candidates
            if counts[f"{word}={candidate}"]
        ]
        near = [each for each in near if each[0] <= allowed_edits(word)]
        if near:
            found[word] = min(near)[-1]
    return found


def edits(a: str, b: str) -> int:
    """Letters to be put in, taken out or replaced to make the one of the other."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (letter != other))
    return row[-1]


def _has(word: str, is_beginning: bool) -> dict[str, Any]:
    return {"prefix" if is_beginning else "term": {"lexemes": {"value": word}}}
