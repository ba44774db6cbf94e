"""Whether what several clients asked and were told, each in its own time, could have been done one after another.

The search is Wing and Gong's: whatever was called before anybody else was answered may have come first. With Lowe's
memory it never looks twice at the same operations done with the same outcome.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

S = TypeVar("S")
W = TypeVar("W")

STATES_LIMIT_COUNT: Final = 500_000


@dataclass(frozen=True, slots=True)
class Operation(Generic[W]):
    """`what` took effect at one moment from `called` to `returned` (in seconds of one clock), both included.

    `returned` is None where its client was never told: then it had its effect at any time after the call, or never.
    """

    what: W
    called: float
    returned: float | None

    @property
    def is_certain(self) -> bool:
        return self.returned is not None


class NotLinearizable(Exception):
    """No order explains it. `longest` is the longest order that was found (places in the history given).

    One of `stuck` would have to come next, and none of them can.
    """

    def __init__(self, longest: tuple[int, ...], stuck: tuple[int, ...]) -> None:
        super().__init__(f"no order explains more than {len(longest)} operations: none of {list(stuck)} can come next")
        self.longest = longest
        self.stuck = stuck


class TooManyStates(Exception):
    """The search was given up: nothing is known of the history."""


def ensure_linearizable(
    history: Sequence[Operation[W]],
    first: S,
    step: Callable[[S, W], S | None],
    *,
    too_late: Callable[[S, W], bool] = lambda _state, _what: False,
    states_limit_count: int = STATES_LIMIT_COUNT,
) -> tuple[int, ...]:
    """The places of the operations in an order that explains all answers, from the state `first` on.

    `step` gives the (hashable) state that an operation leaves, None where it could not have been done or answered so.
    `too_late` may say of what could not be done in a state that it cannot be done in any later one either: nothing is
    looked for behind that. What was never answered need not be in the order. Raises NotLinearizable, TooManyStates.
    """
    search = _Search(history, step, too_late)
    path = [_Node(search.open_after(0, 0, first), 0, 0, first, None)]
    longest: tuple[int, ...] = ()
    seen = {(0, first)}
    while path:
        node = path[-1]
        if search.is_whole(node.done):
            return tuple(one.place for one in path if one.place is not None)
        for place, state in node.successors:
            done = node.done | 1 << place
            if (done, state) not in seen:
                seen.add((done, state))
                if len(seen) > states_limit_count:
                    raise TooManyStates(f"{len(history)} operations, more than {states_limit_count} states")
                low = search.lowest(node.low, done)
                path.append(_Node(search.open_after(low, done, state), low, done, state, place))
                break
        else:
            if len(path) - 1 >= len(longest):
                longest = tuple(one.place for one in path if one.place is not None)
            path.pop()
    raise NotLinearizable(longest, search.stuck_after(longest))


@dataclass(frozen=True, slots=True)
class _Node(Generic[S]):
    """What was `done` (a bit for each place) and the `state` it left; below `low`, all that is certain is done."""

    successors: Iterator[tuple[int, S]]
    low: int
    done: int
    state: S
    place: int | None


class _Search(Generic[S, W]):
    def __init__(
        self,
        history: Sequence[Operation[W]],
        step: Callable[[S, W], S | None],
        too_late: Callable[[S, W], bool],
    ) -> None:
        self._history = history
        self._step = step
        self._too_late = too_late
        by_call = sorted(range(len(history)), key=lambda place: history[place].called)
        self._certain = [place for place in by_call if history[place].is_certain]
        self._uncertain = [place for place in by_call if not history[place].is_certain]
        self._goal = sum(1 << place for place in self._certain)

    def is_whole(self, done: int) -> bool:
        return done & self._goal == self._goal

    def lowest(self, low: int, done: int) -> int:
        while low < len(self._certain) and done >> self._certain[low] & 1:
            low += 1
        return low

    def open_after(self, low: int, done: int, state: S) -> Iterator[tuple[int, S]]:
        """What may come next, and the state that it leaves; whoever was answered first comes first.

        What changes nothing and can be done now is done now, and nothing else tried: wherever it stands in an order
        that explains all the rest, it may as well stand here.
        """
        found: list[tuple[int, S]] = []
        for place in self._candidates(low, done):
            one = self._history[place]
            after = self._step(state, one.what)
            if after == state:
                return iter([(place, state)])
            if after is not None:
                found.append((place, after))
            elif one.is_certain and self._too_late(state, one.what):
                return iter([])
        return iter(found)

    def stuck_after(self, order: tuple[int, ...]) -> tuple[int, ...]:
        done = sum(1 << place for place in order)
        return tuple(self._candidates(self.lowest(0, done), done))

    def _candidates(self, low: int, done: int) -> list[int]:
        """Called before any other that is still to come was answered; those that were never answered last."""
        history, earliest = self._history, math.inf
        found: list[tuple[float, int]] = []
        for index in range(low, len(self._certain)):
            place = self._certain[index]
            one = history[place]
            if one.called > earliest:
                break
            if not done >> place & 1:
                assert one.returned is not None
                earliest = min(earliest, one.returned)
                found.append((one.returned, place))
        found.sort()
        # A call that came a moment after the first answer was looked at before that answer was known.
        certain = [place for _, place in found if history[place].called <= earliest]
        maybe = [p for p in self._uncertain if history[p].called <= earliest and not done >> p & 1]
        return certain + maybe
