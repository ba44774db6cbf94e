"""Finding products: the port that engines stand behind, what it is asked and what it answers."""

from queryside.search.cursor import InvalidCursor
from queryside.search.engine import SearchEngine, SearchUnavailable
from queryside.search.query import SearchQuery
from queryside.search.result import CategoryCount, SearchResult

__all__ = ["CategoryCount", "InvalidCursor", "SearchEngine", "SearchQuery", "SearchResult", "SearchUnavailable"]
