"""Answering from Postgres while the store that is made for it is down: slower, and within bounds."""

from queryside.fallback.breaker import Breaker
from queryside.fallback.search import FallbackSearch
from queryside.fallback.views import FallbackViews

__all__ = ["Breaker", "FallbackSearch", "FallbackViews"]
