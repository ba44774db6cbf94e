from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import pytest

from queryside.fallback import Breaker, FallbackSearch
from queryside.search import CategoryCount, InvalidCursor, SearchQuery, SearchResult, SearchUnavailable
from queryside.search.engine import SearchRefused
from queryside.search.result import EngineName, Facets

NO_FACETS = Facets(categories=(), brands=(), price_ranges=(), ratings=())


@dataclass
class Engine:
    """Answers with its name, or raises `error`."""

    name: EngineName
    held_position: int = 0
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)

    async def search(self, query: SearchQuery) -> SearchResult:
        self._ask("search")
        return SearchResult(products=(), facets=NO_FACETS, total=0, next_cursor=None, engine=self.name)

    async def suggest(self, text: str) -> tuple[str, ...]:
        self._ask("suggest")
        return (self.name,)

    async def categories(self) -> tuple[CategoryCount, ...]:
        self._ask("categories")
        return (CategoryCount(path=(self.name,), count=1),)

    async def has_category(self, path: tuple[str, ...]) -> bool:
        self._ask("has_category")
        return self.name == "postgres"

    async def position(self) -> int:
        self._ask("position")
        return self.held_position

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error


class Both:
    def __init__(self) -> None:
        self.first = Engine("opensearch", held_position=5)
        self.second = Engine("postgres", held_position=7)
        self.now_seconds = 0.0
        make_breaker = partial(Breaker, clock=lambda: self.now_seconds)
        self.search = FallbackSearch(self.first, self.second, make_breaker=make_breaker)

    async def answered_by(self) -> str:
        return (await self.search.search(SearchQuery())).engine

    async def go_down(self) -> None:
        self.first.error = SearchUnavailable()
        for _ in range(3):
            assert await self.answered_by() == "postgres"
        self.first.asked.clear()

    def pause_is_over(self) -> None:
        self.now_seconds += 60


@pytest.fixture
def both() -> Both:
    return Both()


async def test_the_first_one_answers(both: Both) -> None:
    assert await both.answered_by() == "opensearch"
    assert await both.search.position() == 5
    assert both.second.asked == []


async def test_the_other_one_answers_everything_while_the_first_is_down(both: Both) -> None:
    await both.go_down()
    assert both.search.name == "postgres"
    assert await both.search.suggest("a") == ("postgres",)
    assert (await both.search.categories())[0].path == ("postgres",)
    assert await both.search.has_category(("a",))
    assert await both.search.position() == 7
    assert both.first.asked == []


async def test_the_first_one_answers_again_when_it_holds_what_was_missed(both: Both) -> None:
    await both.go_down()
    both.first.error = None
    both.pause_is_over()
    assert await both.answered_by() == "postgres"
    both.second.held_position = 100  # the shop goes on: what it holds by now is not what is waited for
    both.first.held_position = 7
    both.pause_is_over()
    assert await both.answered_by() == "opensearch"


async def test_what_the_first_one_refuses_is_no_outage(both: Both) -> None:
    both.first.error = SearchRefused()
    for _ in range(5):
        assert await both.answered_by() == "postgres"
    both.first.error = None
    assert await both.answered_by() == "opensearch"


async def test_a_cursor_that_is_none_is_told_by_the_one_that_was_asked(both: Both) -> None:
    both.first.error = InvalidCursor()
    with pytest.raises(InvalidCursor):
        await both.search.search(SearchQuery())
    assert both.second.asked == []


async def test_with_both_down_the_caller_is_told_and_the_first_that_is_back_answers(both: Both) -> None:
    await both.go_down()
    both.second.error = SearchUnavailable()
    with pytest.raises(SearchUnavailable):
        await both.answered_by()
    both.first.error = None
    both.pause_is_over()
    assert await both.answered_by() == "opensearch"
