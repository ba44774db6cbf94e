"""A circuit breaker: a store that is down is not asked again and again, nor waited for by every caller."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

import structlog

T = TypeVar("T")
State = Literal["closed", "open", "half_open"]
_log = structlog.get_logger(__name__)


class CircuitOpen(Exception):
    """The store was not asked: it did not answer lately."""


class Breaker:
    """Closed, every call goes through; after `failures_limit_count` failures in a row it opens, and none does.

    When its pause is over it is half open: one call at a time goes through, and `is_back` is asked before it, which
    tells whether the store holds again what it ought to. If both succeed it closes; else it opens for twice as long,
    `longest_pause_seconds` at most. Failures are the exceptions of the kinds `outages`; others are answers.
    """

    def __init__(
        self,
        name: str,
        outages: tuple[type[Exception], ...],
        is_back: Callable[[], Awaitable[bool]],
        *,
        failures_limit_count: int = 3,
        pause_seconds: float = 0.5,
        longest_pause_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._outages = outages
        self._is_back = is_back
        self._failures_limit_count = failures_limit_count
        self._first_pause_seconds = pause_seconds
        self._longest_pause_seconds = longest_pause_seconds
        self._clock = clock
        self._failures_count = 0
        self._pause_seconds = pause_seconds
        self._open_until: float | None = None
        self._is_being_tried = False

    @property
    def state(self) -> State:
        if self._open_until is None:
            return "closed"
        return "open" if self._clock() < self._open_until else "half_open"

    async def call(self, operation: Callable[[], Awaitable[T]]) -> T:
        """What `operation` returns or raises. Raises CircuitOpen, not having asked for it."""
        if self._open_until is None:
            return await self._observed(operation)
        if self.state == "open" or self._is_being_tried:
            raise CircuitOpen(self.name)
        self._is_being_tried = True
        try:
            return await self._tried(operation)
        finally:
            self._is_being_tried = False

    async def _observed(self, operation: Callable[[], Awaitable[T]]) -> T:
        try:
            answer = await operation()
        except self._outages:
            self._failures_count += 1
            # Those that were under way when it opened do not open it for longer.
            if self._failures_count >= self._failures_limit_count and self._open_until is None:
                self._open()
            raise
        self._failures_count = 0
        return answer

    async def _tried(self, operation: Callable[[], Awaitable[T]]) -> T:
        try:
            if not await self._is_back():
                self._open_for_longer()
                raise CircuitOpen(self.name)
            answer = await operation()
        except self._outages:
            self._open_for_longer()
            raise
        self._failures_count, self._open_until, self._pause_seconds = 0, None, self._first_pause_seconds
        _log.info("circuit_closed", store=self.name)
        return answer

    def _open(self) -> None:
        self._open_until = self._clock() + self._pause_seconds
        _log.warning("circuit_open", store=self.name, pause_seconds=self._pause_seconds)

    def _open_for_longer(self) -> None:
        self._pause_seconds = min(2 * self._pause_seconds, self._longest_pause_seconds)
        self._open()
