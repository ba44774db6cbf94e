"""When the shop could do nothing, whatever it wanted: what the faults themselves keep away is not held against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Span = tuple[float, float]  # seconds of the run, from and until


@dataclass(slots=True)
class Outages:
    """`of_store`: no process could write, or time itself jumped. `of_provider`: somebody could not reach the provider.

    Spans may overlap.
    """

    clock: Callable[[], float]
    of_store: list[Span] = field(default_factory=list)
    of_provider: list[Span] = field(default_factory=list)
    _at_work: set[int] = field(default_factory=set)
    _none_since_seconds: float | None = 0.0

    def note_at_work(self, process: int, is_at_work: bool) -> None:
        """Whether this process is up and reaches the log, from now on."""
        if is_at_work:
            self._at_work.add(process)
        else:
            self._at_work.discard(process)
        if self._at_work and self._none_since_seconds is not None:
            self.of_store.append((self._none_since_seconds, self.clock()))
            self._none_since_seconds = None
        elif not self._at_work and self._none_since_seconds is None:
            self._none_since_seconds = self.clock()

    def note_jump(self, seconds: float) -> None:
        self.of_store.append((self.clock(), self.clock() + seconds))

    def note_provider_away(self, seconds: float) -> None:
        self.of_provider.append((self.clock(), self.clock() + seconds))
