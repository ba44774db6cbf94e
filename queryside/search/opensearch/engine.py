from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import structlog
from opensearchpy import AsyncOpenSearch
from opensearchpy.exceptions import NotFoundError, TransportError

from projections.search.opensearch_client import is_outage, open_opensearch
from projections.search.opensearch_index import PATH_SEPARATOR, Names
from projections.search.opensearch_state import IndexState
from queryside.search import answer
from queryside.search.cursor import Cursor, read_cursor
from queryside.search.engine import SUGGESTIONS_COUNT, SearchRefused, SearchUnavailable
from queryside.search.opensearch import asking
from queryside.search.opensearch.correcting import candidates, candidates_body, corrections, counts_body
from queryside.search.opensearch.matching import Query, matching
from queryside.search.query import SearchQuery
from queryside.search.result import CategoryCount, EngineName, SearchResult
from queryside.search.words import correctable, folded, parse, plain_words, replaced

CATEGORIES_PAGE_COUNT: Final = 1_000
CATEGORIES_PAGES_COUNT: Final = 20
WORDS_COUNT: Final = 8
_log = structlog.get_logger(__name__)


class OpenSearch:
    """The engine on the indexes of projections.search. Every request ends within the client's timeout."""

    name: Final[EngineName] = "opensearch"

    def __init__(self, client: AsyncOpenSearch, names: Names | None = None) -> None:
        self._client = client
        self._names = names or Names()
        self._state = IndexState(client, self._names)

    async def search(self, query: SearchQuery) -> SearchResult:
        cursor = read_cursor(query, self.name)
        corrected = cursor.corrected_text if cursor else None
        text = corrected or query.text
        found = await self._found(query, text, cursor)
        if text is not None and found.total == 0 and cursor is None:
            corrected = await self._corrected(text)
            if corrected is not None:
                found = await self._found(query, corrected, None)
        return answer.result(self.name, query, found, corrected)

    async def suggest(self, text: str) -> tuple[str, ...]:
        words = plain_words(text)[:WORDS_COUNT]
        if not words:
            return ()
        found = await self._suggestions({"operator": "and"}, " ".join(words))
        return found or await self._suggestions({"operator": "and", "fuzziness": "AUTO:3,4"}, " ".join(words))

    async def categories(self) -> tuple[CategoryCount, ...]:
        counts: list[CategoryCount] = []
        after: dict[str, Any] = {}
        for _ in range(CATEGORIES_PAGES_COUNT):
            sources = {"size": CATEGORIES_PAGE_COUNT, "sources": [{"path": {"terms": {"field": "path"}}}], **after}
            found = await self._ask({"size": 0, "query": asking.LISTED, "aggs": {"path": {"composite": sources}}})
            page = found["aggregations"]["path"]
            counts += [
                CategoryCount(path=tuple(path.split(PATH_SEPARATOR)), count=bucket["doc_count"])
                for bucket in page["buckets"]
                if (path := bucket["key"]["path"])
            ]
            if "after_key" not in page:
                break
            after = {"after": page["after_key"]}
        return tuple(counts)

    async def has_category(self, path: tuple[str, ...]) -> bool:
        return await self._any_with(asking.in_category(path))

    async def position(self) -> int:
        with _answering():
            return await self._state.live_position()

    async def _found(self, query: SearchQuery, text: str | None, cursor: Cursor | None) -> answer.Found:
        words = matching(parse(text)) if text is not None else None
        found = await self._ask(asking.search_body(query, words, cursor))
        ranked = words is not None and query.sort == "relevance"
        facets = {name: facet["values"]["buckets"] for name, facet in found["aggregations"].items()}
        return answer.Found(
            total=found["hits"]["total"]["value"],
            products=tuple(
                answer.found_row(asking.key_of(hit["sort"], query, ranked), hit["_source"])
                for hit in found["hits"]["hits"]
            ),
            categories=tuple(
                (tuple(bucket["key"].split(PATH_SEPARATOR)), bucket["doc_count"]) for bucket in facets["category"]
            ),
            brands=tuple((bucket["key"], bucket["doc_count"]) for bucket in facets["brand"]),
            price_ranges=_numbered(facets["price"]),
            stars=_numbered(facets["rating"]),
        )

    async def _corrected(self, text: str) -> str | None:
        """`text` with its unknown words put right: when that finds anything, and `text` even unfiltered nothing."""
        words = parse(text)
        typed = {folded(word): word for word in correctable(text)[:WORDS_COUNT]}
        listed = {"bool": {"filter": [asking.LISTED, matching(words)]}}
        found = await self._ask(candidates_body(list(typed), listed))
        if found["hits"]["hits"] or found["hits"]["total"]["value"] or not typed:
            return None
        like = candidates(found, list(typed))
        counts = await self._ask(counts_body(like, folded(words.beginning or "")))
        right = corrections(like, counts)
        if not right:
            return None
        corrected = replaced(text, {typed[word]: meant for word, meant in right.items()})
        return corrected if await self._any_with(matching(parse(corrected))) else None

    async def _suggestions(self, how: dict[str, str], text: str) -> tuple[str, ...]:
        body = {
            "size": SUGGESTIONS_COUNT,
            "track_total_hits": False,
            "_source": ["text"],
            "query": {
                "bool": {
                    "filter": [
                        {"range": {"products": {"gt": 0}}},
                        {"match": {"text.words": {"query": text, **how}}},
                    ]
                }
            },
            "sort": [{"units_sold": "desc"}, {"products": "desc"}, {"text": "asc"}],
        }
        found = await self._ask(body, self._names.suggestions)
        return tuple(hit["_source"]["text"] for hit in found["hits"]["hits"])

    async def _any_with(self, query: Query) -> bool:
        listed = {"bool": {"filter": [asking.LISTED, query]}}
        found = await self._ask({"size": 0, "terminate_after": 1, "query": listed})
        return bool(found["hits"]["total"]["value"])

    async def _ask(self, body: dict[str, Any], index: str | None = None) -> dict[str, Any]:
        with _answering():
            found: dict[str, Any] = await self._client.search(
                index=index or self._names.products, body=body, params={"allow_partial_search_results": "false"}
            )
        return found


@asynccontextmanager
async def open_opensearch_search(
    url: str, names: Names | None = None, *, max_connections_count: int = 16, timeout_seconds: float = 1.0
) -> AsyncIterator[OpenSearch]:
    """The engine on a client of its own, closed at the end. It opens whether or not OpenSearch answers yet."""
    client = open_opensearch(url, max_connections=max_connections_count, timeout_seconds=timeout_seconds)
    try:
        yield OpenSearch(client, names)
    finally:
        await client.close()


def _numbered(buckets: list[dict[str, Any]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(bucket["key"]), bucket["doc_count"]) for bucket in buckets if bucket["doc_count"])


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except TransportError as error:
        # An index that is not made yet is as good as none.
        if is_outage(error) or isinstance(error, NotFoundError):
            raise SearchUnavailable from error
        _log.error("search_refused", error=str(error), exc_info=error)
        raise SearchRefused from error
