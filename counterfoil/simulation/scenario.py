"""Who comes into the shop, what they do there, and what goes wrong: drawn from a seed, and data from then on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random
from typing import Final, Generic, TypeVar

from counterfoil.simulation.dice import Part, dice_of
from counterfoil.simulation.faults import ANY_PROCESS, Fault, FaultKind
from counterfoil.simulation.world import PROCESSES_COUNT

WAREHOUSES: Final = ("north", "south")
OPENS_AT_SECONDS: Final = 2.0
# So long they come in, each day; the rest of it only the resumption is at work.
OPEN_SECONDS: Final = 300.0
DAY_SECONDS: Final = 86_400.0
BY_BUS_SHARE: Final = 0.6
T = TypeVar("T")
_TOKENS: Final = (
    ("tok_ok", 48),
    ("tok_declined", 6),
    ("tok_insufficient_funds", 2),
    ("tok_timeout", 7),
    ("tok_slow_300", 5),
    ("tok_slow_4000", 6),
    ("tok_slow_20000", 3),
    ("tok_late_700", 4),
    ("tok_error_then_ok", 6),
    ("tok_webhook", 11),
    ("tok_webhook_declined", 4),
    ("tok_capture_error_then_ok", 8),
    ("tok_capture_timeout", 4),
    ("tok_capture_refused", 2),
)
_SHOPPING: Final = (
    ("browse", 6), ("add", 34), ("change", 10), ("remove", 5), ("clear", 2), ("check_out", 16), ("check_out_twice", 3),
    ("repeat", 8), ("cancel", 7), ("return", 9),
)  # fmt: skip
_OPERATING: Final = (
    ("receive", 8), ("adjust", 4), ("reprice", 7), ("withdraw_from_sale", 2), ("put_on_sale", 14), ("fulfil", 60),
    ("take_back", 14), ("limit", 4),
)  # fmt: skip
_FAULTS: Final[tuple[tuple[FaultKind, int], ...]] = (
    ("crash_before_append", 10), ("crash_after_append", 12), ("append_refused", 5), ("append_unacknowledged", 8),
    ("append_late", 5), ("crash_before_call", 8), ("crash_after_call", 10), ("call_refused", 6), ("call_doubled", 6),
    ("reply_lost", 8), ("provider_goes_dark", 3), ("reply_late", 6), ("webhook_late", 8), ("webhook_doubled", 5),
    ("webhook_answer_lost", 5), ("store_away", 4), ("provider_away", 6), ("clock_off", 4), ("time_jump", 2),
    ("restart", 3), ("relay_changes", 4), ("worker_dies", 6), ("bus_away", 2),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Action:
    """Done `pause_seconds` after the one before. Which product or token, and how many, where it says so."""

    kind: str
    pause_seconds: float
    sku: str = ""
    quantity: int = 0
    token: str = ""
    choice: float = 0.0  # in [0, 1): whichever of several it is, where that is known only then

    def __str__(self) -> str:
        what = " ".join(str(part) for part in (self.kind, self.sku, self.quantity or "", self.token) if part)
        return f"+{self.pause_seconds:.3f} s {what}"


@dataclass(frozen=True, slots=True)
class Person:
    """`owner` is as in a command. A guest who signs in goes on as `signs_in_as`; `operator` works in the shop."""

    owner: str
    comes_at_seconds: float
    actions: tuple[Action, ...]
    signs_in_as: str | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """All that a run is made of, but for what the dice of `seed` say on the way.

    `by_bus`: the read models are fed over a bus, not from the log itself. `shuffled`: of what is ready at one moment
    the dice say what comes first.
    """

    seed: int
    stock: tuple[tuple[str, str, int], ...]  # SKU, warehouse, units
    people: tuple[Person, ...]
    faults: tuple[Fault, ...]
    shuffled: bool = True
    by_bus: bool = False
    asks_when_expired: bool = False  # with every key once more, a day after it was told its answer

    def without(self, *, people: frozenset[int] = frozenset(), faults: frozenset[int] = frozenset()) -> Scenario:
        return replace(
            self,
            people=tuple(one for place, one in enumerate(self.people) if place not in people),
            faults=tuple(one for place, one in enumerate(self.faults) if place not in faults),
        )


class _Weighted(Generic[T]):
    """One of several, some more often than others, and in each scenario others: what is rare must be common in some."""

    def __init__(self, dice: Random, weighted: Sequence[tuple[T, int]], factors: Sequence[float]) -> None:
        self._names = [name for name, _ in weighted]
        sums = accumulate(weight * dice.choice(factors) for _, weight in weighted)
        self._sums = list(sums)

    def drawn(self, dice: Random) -> T:
        return dice.choices(self._names, cum_weights=self._sums)[0]


class _Mix:
    def __init__(self, dice: Random) -> None:
        self.tokens = _Weighted(dice, _TOKENS, (0.1, 1, 1, 1, 4))
        self.shopping = _Weighted(dice, _SHOPPING, (0.5, 1, 1, 2))
        self.operating = _Weighted(dice, _OPERATING, (0.5, 1, 1, 2))
        self.faults = _Weighted(dice, _FAULTS, (0.1, 1, 1, 1, 4))


def draw(seed: int, *, days: int = 1, shoppers_count: int = 49, faults_count: int = 24) -> Scenario:
    """The scenario of a seed; shoppers and faults are so many a day."""
    dice = dice_of(seed, Part.SCENARIO)
    mix = _Mix(dice)
    skus = [f"sku-{number}" for number in range(1, dice.randint(3, 7))]
    stock = tuple(
        (sku, place, dice.choice((1, 3, 8, 40))) for sku in skus for place in WAREHOUSES if dice.random() < 0.8
    )
    people: list[Person] = []
    faults: list[Fault] = []
    for day in range(days):
        opens_at = OPENS_AT_SECONDS + day * DAY_SECONDS
        for number in range(shoppers_count):
            people += _shopper(dice, mix, f"{day}-{number}", opens_at + dice.random() * OPEN_SECONDS, skus)
        for _ in range(2):
            actions = tuple(_operating(dice, mix, skus) for _ in range(shoppers_count * 2))
            people.append(Person("operator", opens_at, actions))
        faults += [_fault(dice, mix, opens_at) for _ in range(faults_count)]
    shuffled, by_bus = dice.random() < 0.8, dice.random() < BY_BUS_SHARE
    return Scenario(seed, stock, tuple(people), tuple(faults), shuffled, by_bus, asks_when_expired=True)


def _shopper(dice: Random, mix: _Mix, name: str, comes_at_seconds: float, skus: list[str]) -> list[Person]:
    kind = dice.random()
    actions = tuple(_shopping(dice, mix, skus) for _ in range(dice.randint(6, 24)))
    if kind < 0.3:
        return [Person(f"guest:{name}", comes_at_seconds, actions)]
    if kind < 0.6:
        merged = dice.randint(1, len(actions) - 1)
        with_merge = (*actions[:merged], Action("merge", dice.random()), *actions[merged:])
        return [Person(f"guest:{name}", comes_at_seconds, with_merge, signs_in_as=f"customer:{name}")]
    person = Person(f"customer:{name}", comes_at_seconds, actions)
    if kind < 0.8:
        return [person]
    return [person, replace(person, actions=tuple(_shopping(dice, mix, skus) for _ in actions))]  # two devices at once


def _shopping(dice: Random, mix: _Mix, skus: list[str]) -> Action:
    kind = mix.shopping.drawn(dice)
    token = mix.tokens.drawn(dice) if kind.startswith("check_out") else ""
    # Half of them want the same thing.
    sku = skus[0] if dice.random() < 0.5 else dice.choice(skus)
    pause_seconds = round(dice.expovariate(1 / 4), 3) if dice.random() < 0.7 else 0.0
    return Action(kind, pause_seconds, sku, dice.choice((1, 1, 1, 2, 5)), token, dice.random())


def _operating(dice: Random, mix: _Mix, skus: list[str]) -> Action:
    kind = mix.operating.drawn(dice)
    pause_seconds = round(dice.expovariate(120 / OPEN_SECONDS), 3)
    return Action(kind, pause_seconds, dice.choice(skus), dice.randint(1, 9), "", dice.random())


def _fault(dice: Random, mix: _Mix, opens_at_seconds: float) -> Fault:
    kind = mix.faults.drawn(dice)
    seconds = {
        "append_late": dice.random() * 6,
        "call_doubled": dice.random() * 20,
        "reply_late": dice.random() * 6,
        "provider_goes_dark": dice.choice((20.0, 300.0, 750.0)),
        "webhook_late": dice.choice((5.0, 40.0, 700.0)),
        "webhook_doubled": dice.random() * 60,
        "webhook_answer_lost": dice.random() * 60,
        "store_away": 1 + dice.random() * 20,
        "provider_away": dice.choice((5.0, 30.0, 300.0, 750.0)),
        "clock_off": dice.choice((-30.0, 2.0, 30.0, 700.0)),
        "relay_changes": dice.random() * 6,
        "worker_dies": dice.choice((0.5, 5.0, 60.0)),
        "bus_away": dice.choice((3.0, 30.0)),
        "time_jump": dice.choice((15.0, 330.0, 700.0)),
    }.get(kind, 0.0)
    process = ANY_PROCESS if dice.random() < 0.5 else dice.randrange(PROCESSES_COUNT)
    at_seconds = opens_at_seconds + 1 + dice.random() * OPEN_SECONDS
    return Fault(kind, round(at_seconds, 3), process, dice.choice((0, 0, 1, 3)), round(seconds, 3))
