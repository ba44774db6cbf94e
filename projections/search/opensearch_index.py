"""How products and suggestions lie in OpenSearch: what the indexes are called, and what is searched by.

Words are taken apart as the search tables of Postgres do it: the same stems, without case and accents, "/" and "_" part
them. A word scores what its field counts for, however often and in however many products it is ("boolean"): scores are
whole numbers that depend on nothing but the product, so that a page can go on where the last one ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

# Between the names of a category's path. It sorts below all that a name can have in it.
PATH_SEPARATOR: Final = "\x1f"
# Units sold as relevance sees them; what sold more than that is not told apart.
POPULARITY_LIMIT_UNITS: Final = 2**20 - 1
SUGGESTED_WORD_LIMIT_CHARACTERS: Final = 20


@dataclass(frozen=True, slots=True)
class Names:
    """Of the indexes of one shop. Readers know the aliases; `generation` counts from 1."""

    prefix: str = "counterfoil"

    @property
    def products(self) -> str:
        return f"{self.prefix}-products"

    @property
    def suggestions(self) -> str:
        return f"{self.prefix}-suggestions"

    @property
    def state(self) -> str:
        """How far each generation has come, and which one is being built (projections/search/opensearch_state.py)."""
        return f"{self.prefix}-search-state"

    def generation(self, alias: str, generation: int) -> str:
        return f"{alias}-{generation}"


_LETTERS: Final = ["lowercase", "asciifolding"]
_ANALYSIS: Final[dict[str, Any]] = {
    "char_filter": {"gaps": {"type": "mapping", "mappings": ["/ => \\u0020", "_ => \\u0020"]}},
    "filter": {
        "fillers": {"type": "stop", "stopwords": "_english_"},
        "stems": {"type": "stemmer", "language": "porter2"},
        "beginnings": {
            "type": "edge_ngram",
            "min_gram": 1,
            "max_gram": SUGGESTED_WORD_LIMIT_CHARACTERS,
            "preserve_original": True,
        },
    },
    "analyzer": {
        "shop": {"tokenizer": "standard", "char_filter": ["gaps"], "filter": [*_LETTERS, "fillers", "stems"]},
        "letters": {"tokenizer": "standard", "char_filter": ["gaps"], "filter": _LETTERS},
        "beginnings": {"tokenizer": "standard", "char_filter": ["gaps"], "filter": [*_LETTERS, "beginnings"]},
    },
}
_WORDS: Final[Any] = {"type": "text", "analyzer": "shop", "similarity": "boolean"}
_KEYWORD: Final[Any] = {"type": "keyword"}
_SHOWN: Final[Any] = {"type": "keyword", "index": False, "doc_values": False}
_NUMBER: Final[Any] = {"type": "long"}
_WORDS_TYPED: Final[Any] = {**_WORDS, "fields": {"letters": {**_WORDS, "analyzer": "letters"}}}

PRODUCTS: Final[dict[str, Any]] = {
    "dynamic": "strict",
    "properties": {
        "listed": {"type": "boolean"},
        "sku": {**_KEYWORD, "fields": {"words": _WORDS}},
        "title": _WORDS_TYPED,
        "brand": {**_WORDS_TYPED, "fields": {**_WORDS_TYPED["fields"], "name": _KEYWORD}},
        "category": _WORDS,
        "description": _WORDS,
        "path": _KEYWORD,
        "paths": _KEYWORD,
        "lexemes": _KEYWORD,
        "price_minor": _NUMBER,
        "rating_hundredths": {"type": "short"},
        "rating_order": _NUMBER,
        "added_at_microseconds": _NUMBER,
        "units_sold": _NUMBER,
        "popularity": {"type": "integer"},
        "in_stock": {"type": "boolean"},
        **dict.fromkeys(("currency", "images", "review_count", "is_service", "available"), _SHOWN),
    },
}
SUGGESTIONS: Final[dict[str, Any]] = {
    "dynamic": "strict",
    "properties": {
        "text": {
            **_KEYWORD,
            "fields": {"words": {"type": "text", "analyzer": "beginnings", "search_analyzer": "letters"}},
        },
        "products": {"type": "integer"},
        "units_sold": _NUMBER,
    },
}
STATE: Final[dict[str, Any]] = {"dynamic": "false", "properties": {}}


def index_body(mappings: dict[str, Any], *, shards_count: int = 1) -> dict[str, Any]:
    """Nothing is searchable before the feed refreshes: it knows when a moment of the log is complete."""
    settings = {
        "number_of_shards": shards_count,
        "auto_expand_replicas": "0-1",
        "refresh_interval": "-1",
        "analysis": _ANALYSIS,
    }
    return {"settings": {"index": settings}, "mappings": mappings}
