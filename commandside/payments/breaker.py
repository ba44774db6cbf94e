"""When a provider is no longer asked, and when again: a circuit breaker as a plain state machine, without a clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from commandside.payments.port import ProviderUnreachable

State = Literal["closed", "open", "half_open"]
# Of a trial that is under way nobody knows how long it takes.
TRIAL_RETRY_SECONDS = 1.0


class CircuitOpen(ProviderUnreachable):
    """It was not asked: it did not answer lately. It is tried again in about `retry_after_seconds`."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__("the circuit is open: the provider did not answer lately, and was not asked")
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Bounds:
    """What opens the circuit: `failures_limit_count` failures in a row, or, of the last `window_calls_count` calls that
    ended within `window_seconds`, `failing_share` of them (and only when there were so many).
    """

    failures_limit_count: int = 5
    open_seconds: float = 5.0
    window_calls_count: int = 40
    window_seconds: float = 30.0
    failing_share: float = 0.5


class Call:
    """One call that was let through; told once how it went."""

    __slots__ = ("began", "is_trial", "opened_count")

    def __init__(self, began: float, opened_count: int, *, is_trial: bool) -> None:
        self.began = began
        self.opened_count = opened_count
        self.is_trial = is_trial


class Breaker:
    """Closed, all calls are let through. Open, none is, for `open_seconds`. Then it is half open: one at a time is let
    through as a trial; answered it closes the circuit, failed it opens it anew.

    Times are seconds of one clock, whichever, that never goes back. Calls that began before the circuit opened say
    nothing about what came after. `changed` is told every new state but half open, which comes by itself.
    """

    def __init__(self, bounds: Bounds | None = None, changed: Callable[[State], None] | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._changed = changed
        self._failures_count = 0
        self._window: deque[tuple[float, bool]] = deque(maxlen=self._bounds.window_calls_count)
        self._answered_at: float | None = None
        self._open_until: float | None = None
        self._opened_count = 0
        self._trial: Call | None = None

    def state(self, at: float) -> State:
        if self._open_until is None:
            return "closed"
        return "open" if at < self._open_until else "half_open"

    def refuses_for_seconds(self, at: float) -> float | None:
        """How long a call would be refused from now on, as far as is known; None: it would be let through."""
        if self._open_until is None:
            return None
        if at < self._open_until:
            return self._open_until - at
        return None if self._trial is None else TRIAL_RETRY_SECONDS

    def begin(self, at: float) -> Call:
        """Raises CircuitOpen."""
        refused_for_seconds = self.refuses_for_seconds(at)
        if refused_for_seconds is not None:
            raise CircuitOpen(refused_for_seconds)
        call = Call(at, self._opened_count, is_trial=self._open_until is not None)
        if call.is_trial:
            self._trial = call
        return call

    def answered(self, call: Call, at: float) -> None:
        """The provider said something, whatever it was."""
        self._answered_at = at
        if call is self._trial:
            self._close()
        elif self._counts(call):
            self._failures_count = 0
            self._note(at, failed=False)

    def failed(self, call: Call, at: float) -> None:
        """There was no connection, or the provider said that it cannot."""
        if call is self._trial:
            self._open(at)
        elif self._counts(call):
            self._failures_count += 1
            self._note(at, failed=True)
            if self._failures_count >= self._bounds.failures_limit_count or self._fails_too_often(at):
                self._open(at)

    def silent(self, call: Call, at: float) -> None:
        """Nothing came for long. While others are answered that is a matter of this one payment, and no failure."""
        if call.is_trial or self._answered_at is None or self._answered_at <= call.began:
            self.failed(call, at)

    def given_up(self, call: Call) -> None:
        """Whoever asked went away too soon for anything to be said about the provider."""
        if call is self._trial:
            self._trial = None

    def _counts(self, call: Call) -> bool:
        return self._open_until is None and call.opened_count == self._opened_count

    def _note(self, at: float, *, failed: bool) -> None:
        self._window.append((at, failed))

    def _fails_too_often(self, at: float) -> bool:
        since = at - self._bounds.window_seconds
        failures = [failed for ended, failed in self._window if ended >= since]
        if len(failures) < self._bounds.window_calls_count:
            return False
        return sum(failures) >= self._bounds.failing_share * len(failures)

    def _open(self, at: float) -> None:
        self._trial = None
        self._open_until = at + self._bounds.open_seconds
        self._opened_count += 1
        self._tell("open")

    def _close(self) -> None:
        self._trial = self._open_until = None
        self._failures_count = 0
        self._window.clear()
        self._tell("closed")

    def _tell(self, state: State) -> None:
        if self._changed is not None:
            self._changed(state)
