from __future__ import annotations

from typing import Final, Protocol

from queryside.errors import QueryError
from queryside.search.query import SearchQuery
from queryside.search.result import CategoryCount, EngineName, SearchResult

SUGGESTIONS_COUNT: Final = 10


class SearchUnavailable(QueryError):
    """The engine is down, or too slow to wait for."""

    status = 503
    slug = "search-unavailable"
    title = "Search is not available"
    retry_after_seconds = 2

    def __init__(self) -> None:
        super().__init__("Search cannot be answered at the moment.")


class SearchRefused(SearchUnavailable):
    """The engine works, and would not answer this one: another engine might."""


class SearchEngine(Protocol):
    """The port. Every engine passes the same contract suite, so that one can stand in for another."""

    @property
    def name(self) -> EngineName: ...

    async def search(self, query: SearchQuery) -> SearchResult:
        """One page. While the products stay as they are, paging to the end gives each once.

        Raises InvalidCursor, SearchUnavailable.
        """
        ...

    async def suggest(self, text: str) -> tuple[str, ...]:
        """What may be meant by what is typed so far: titles, brands and categories of products that are there.

        Each word is the beginning of a word in it, or nearly so if there is none; those that sold most come first, at
        most SUGGESTIONS_COUNT. Raises SearchUnavailable.
        """
        ...

    async def categories(self) -> tuple[CategoryCount, ...]:
        """Categories that products are in, by path. Raises SearchUnavailable."""
        ...

    async def has_category(self, path: tuple[str, ...]) -> bool:
        """Whether any product is in it or below. Raises SearchUnavailable."""
        ...

    async def position(self) -> int:
        """Up to which position of the log its index holds everything. Raises SearchUnavailable."""
        ...
